//! Guests are used, explained, and bring the same features to a build as to a test.

use std::collections::BTreeSet;

use anyhow::Context;

use super::{Finding, Rules, Source};
use crate::shell;
use crate::workspace::{Package, Workspace};

const EXPLAINED_IN: &str = "docs/dependencies.md";

pub(super) fn check(
    rules: &Rules,
    workspace: &Workspace,
    sources: &[Source],
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let mut used = BTreeSet::new();
    for room in workspace.rooms() {
        check_named(rules, room, sources, findings);
        used.extend(room.dependencies.iter().map(|dependency| dependency.name.clone()));
    }
    check_table(&used, sources, findings)?;
    check_selection(findings)
}

/// Each guest of a room is named in its source.
fn check_named(rules: &Rules, room: &Package, sources: &[Source], findings: &mut Vec<Finding>) {
    let folder = format!("crates/{}/", room.name);
    let text: Vec<&str> = sources
        .iter()
        .filter(|source| source.ends_in("rs") && source.path.starts_with(&folder))
        .map(|source| source.text.as_str())
        .collect();
    let excused = rules.unnamed_guests.get(&room.name);
    for dependency in &room.dependencies {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
        let is_excused = excused.is_some_and(|names| names.contains(name));
        let word = name.replace('-', "_");
        if !is_excused && !text.iter().any(|text| holds_word(text, &word)) {
            let words = format!("{name} is not used; take it out");
            findings.push(Finding::new(format!("{folder}Cargo.toml"), words));
        }
    }
}

fn holds_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(is_part)
            && !text[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// Each line of `[workspace.dependencies]` is used by a room and explained.
fn check_table(
    used: &BTreeSet<String>,
    sources: &[Source],
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let text =
        |path: &str| sources.iter().find(|source| source.path == path).map(|source| source.text.as_str());
    let manifest: toml::Table =
        toml::from_str(text("Cargo.toml").context("read Cargo.toml")?).context("understand Cargo.toml")?;
    let declared = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .context("find [workspace.dependencies] in Cargo.toml")?;
    let explained = text(EXPLAINED_IN).unwrap_or_default();
    for (name, entry) in declared {
        if entry.get("path").is_some() {
            continue;
        }
        if !used.contains(name) {
            findings.push(Finding::new("Cargo.toml", format!("no room uses {name}; take it out")));
        }
        if !explained.contains(&format!("| `{name}` |")) {
            findings.push(Finding::new(EXPLAINED_IN, format!("say in one line why {name} is a guest")));
        }
    }
    Ok(())
}

/// A build and a test run resolve to the same features, so that the second does not build the lake anew.
fn check_selection(findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let build = selection("normal,build")?;
    let test = selection("normal,build,dev")?;
    // A package may be there twice, for the build and for its own machine, with different features.
    for line in build.difference(&test) {
        let (package, _) = line;
        if test.iter().any(|(other, _)| other == package) {
            findings.push(Finding::new(
                "crates/acceptance/Cargo.toml",
                format!(
                    "tests bring other features to {package} than a build, so the lake would be built twice: \
                     list them there under [dependencies]"
                ),
            ));
        }
    }
    Ok(())
}

fn selection(edges: &str) -> anyhow::Result<BTreeSet<(String, String)>> {
    let arguments =
        ["tree", "--locked", "--workspace", "--edges", edges, "--prefix", "none", "--format", "{p}|{f}"];
    let listed = shell::read("cargo", &arguments)?;
    let lines = listed.lines().map(|line| line.trim_end_matches(" (*)"));
    Ok(lines
        .filter_map(|line| line.split_once('|'))
        .map(|(package, features)| (package.to_owned(), features.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    //! Cases for guests.
    use super::*;

    #[test]
    fn a_guest_counts_as_used_when_named_as_a_word() {
        assert!(holds_word("use serde_json::Value;", "serde_json"));
        assert!(holds_word("#[tokio::test]", "tokio"));
        assert!(!holds_word("use serde_json::Value;", "serde"));
    }
}
