//! The house rules: compares the tree with `tidy.toml`. What clippy and rustfmt can see is left to them.

mod files;
mod guests;
mod links;
mod lists;
mod names;
mod rooms;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::shell;
use crate::workspace::{self, Workspace};

/// `tidy.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    rooms: BTreeMap<String, Vec<String>>,
    guests: BTreeMap<String, Vec<String>>,
    unnamed_guests: BTreeMap<String, Vec<String>>,
    files: FileRules,
    names: NameRules,
    lists: Vec<ListRule>,
    phrases: Vec<PhraseRule>,
    machine: MachineRules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRules {
    lines_soft: usize,
    lines_hard: usize,
    over_soft: BTreeMap<String, usize>,
    excused: BTreeMap<String, usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRules {
    banned: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListRule {
    file: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhraseRule {
    text: String,
    remedy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineRules {
    roots: Vec<String>,
    allowed_in: Vec<String>,
}

/// A broken rule: where, and what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    place: String,
    words: String,
}

impl Finding {
    /// At a place, in words that name the remedy.
    pub(crate) fn new(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self { place: place.into(), words: words.into() }
    }
}

/// A file with its text.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn ends_in(&self, ending: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == ending)
    }
}

/// Checks everything and says what is broken.
pub(crate) fn run() -> anyhow::Result<()> {
    let findings = check()?;
    if findings.is_empty() {
        shell::say("tidy: nothing to say");
        return Ok(());
    }
    for Finding { place, words } in &findings {
        shell::say(&format!("{place}: {words}"));
    }
    bail!("{} broken house rules", findings.len())
}

fn check() -> anyhow::Result<Vec<Finding>> {
    let root = workspace::root();
    std::env::set_current_dir(&root).with_context(|| format!("go to {}", root.display()))?;
    let rules: Rules = toml::from_str(&std::fs::read_to_string("tidy.toml").context("read tidy.toml")?)
        .context("understand tidy.toml")?;
    let workspace = Workspace::load()?;
    // What is no text (pictures, compressed fixtures) is not read.
    let sources: Vec<Source> = workspace::files()?
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| Source { path, text }))
        .collect();

    let mut findings = Vec::new();
    rooms::check(&rules, &workspace, &mut findings);
    files::check(&rules, &sources, &mut findings);
    names::check(&rules, &sources, &mut findings);
    links::check(&sources, &mut findings);
    lists::check(&rules, &sources, &mut findings);
    guests::check(&rules, &workspace, &sources, &mut findings)?;
    findings.sort();
    findings.dedup();
    Ok(findings)
}
