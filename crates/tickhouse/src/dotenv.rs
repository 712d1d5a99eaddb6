//! The `.env` file of the current folder: adds to the environment without overriding it, and remembers what it added.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

/// Name of the file.
const FILE: &str = ".env";

/// Names that came from the file.
static ADDED: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Reads the file if there is one. Folders above are not looked into: what lies there is not about us.
pub(crate) fn load() -> anyhow::Result<()> {
    let path = Path::new(FILE);
    if !path.exists() {
        return Ok(());
    }
    let explain = |error: dotenvy::Error| {
        anyhow::anyhow!(
            "read {FILE} of this folder: {error}; write one NAME=value per line, with quotes around spaces"
        )
    };
    let mut added = BTreeSet::new();
    for entry in dotenvy::from_path_iter(path).map_err(explain)? {
        let (name, _) = entry.map_err(explain)?;
        if std::env::var_os(&name).is_none() {
            added.insert(name);
        }
    }
    dotenvy::from_path(path).map_err(explain)?;
    let _set_once = ADDED.set(added);
    Ok(())
}

/// Where a variable comes from, in words.
pub(crate) fn origin_of(name: &str) -> &'static str {
    if ADDED.get().is_some_and(|added| added.contains(name)) { FILE } else { "environment" }
}
