//! What cargo says about the workspace, and which files belong to it. What is to be thought of them is left to the checks.

use std::path::PathBuf;

use anyhow::Context;
use serde::Deserialize;

use crate::shell;

/// `cargo metadata`, as far as the checks read it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    /// Every package of the tree, guests included.
    pub(crate) packages: Vec<Package>,
    /// Ids of our own packages.
    #[serde(rename = "workspace_members")]
    members: Vec<String>,
    /// Where artefacts go.
    pub(crate) target_directory: PathBuf,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Name.
    pub(crate) name: String,
    id: String,
    /// What it asks for.
    pub(crate) dependencies: Vec<Dependency>,
    manifest_path: PathBuf,
}

/// One line of a package's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Package name.
    pub(crate) name: String,
    /// Name in the source, where it differs.
    pub(crate) rename: Option<String>,
    /// `None` for normal ones, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Folder, for our own.
    pub(crate) path: Option<PathBuf>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let text = shell::read("cargo", &["metadata", "--format-version", "1", "--locked"])?;
        serde_json::from_str(&text).context("read what cargo metadata says")
    }

    /// Our own packages.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.members.contains(&package.id))
    }

    /// Where `profile` leaves an executable of that name.
    pub(crate) fn built(&self, profile: &str, name: &str) -> PathBuf {
        self.target_directory.join(profile).join(name)
    }
}

impl Package {
    /// The folder it lives in.
    pub(crate) fn folder(&self) -> PathBuf {
        self.manifest_path.parent().map(PathBuf::from).unwrap_or_default()
    }
}

/// Every file of the checkout that is, or is about to be, committed; relative paths.
pub(crate) fn files() -> anyhow::Result<Vec<String>> {
    let listed = shell::read("git", &["ls-files", "--cached", "--others", "--exclude-standard", "-z"])?;
    let mut files: Vec<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    files.retain(|path| std::path::Path::new(path).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// The top folder of the checkout; chores run from there.
pub(crate) fn root() -> PathBuf {
    // As cargo says now: a target folder shared by checkouts may hold a binary that another one built.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.ancestors().nth(2).map(PathBuf::from).unwrap_or(here)
}
