//! Reads a TOML file into dotted keys with the line each stands on.

use std::path::Path;

use super::Mistake;

/// One `key = value` of the file.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: toml::Value,
    pub(super) shown: String,
    pub(super) place: String,
}

/// Every entry of the file; a file that is no TOML is one mistake.
pub(super) fn entries(path: &Path, text: &str, mistakes: &mut Vec<Mistake>) -> Vec<Entry> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            mistakes.push(Mistake {
                place: format!("{}:{line}", path.display()),
                what: format!("not TOML: {}", error.message()),
                remedy: "write `key = value` lines under [section] headings".into(),
            });
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    walk("", &table, &mut found);
    found
        .into_iter()
        .map(|(key, value)| Entry {
            place: format!("{}:{}", path.display(), line_of_key(text, &key)),
            shown: value.to_string(),
            key,
            value,
        })
        .collect()
}

fn walk(front: &str, table: &toml::Table, found: &mut Vec<(String, toml::Value)>) {
    for (name, value) in table {
        let key = if front.is_empty() { name.clone() } else { format!("{front}.{name}") };
        match value {
            toml::Value::Table(inner) => walk(&key, inner, found),
            other => found.push((key, other.clone())),
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The line that sets the key: under its section's heading, or written with dots.
fn line_of_key(text: &str, key: &str) -> usize {
    let plain =
        |text: &str| text.chars().filter(|c| !matches!(c, '"' | '\'' | ' ' | '\t')).collect::<String>();
    let mut section = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = plain(heading);
        } else if let Some((name, _)) = line.split_once('=') {
            let name = plain(name);
            let whole = if section.is_empty() { name } else { format!("{section}.{name}") };
            if whole == key || key.starts_with(&format!("{whole}.")) {
                return index + 1;
            }
        }
    }
    1
}
