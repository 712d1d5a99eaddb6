//! Who may be a guest: bans, licences and sources of `deny.toml`, checked without cargo-deny, which would have to be built first.
//!
//! Only the keys that file uses are understood; any other is refused, so that none is passed over in silence.

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::tidy::Finding;
use crate::workspace::{Package, Workspace};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    bans: Bans,
    licenses: Licenses,
    sources: Sources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: String,
    wildcards: String,
    allow_wildcard_paths: bool,
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
}

/// Compares the tree of packages with `deny.toml`.
pub(crate) fn check(workspace: &Workspace, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let rules: Rules = toml::from_str(&std::fs::read_to_string("deny.toml").context("read deny.toml")?)
        .context("understand deny.toml")?;
    let is_understood = rules.bans.multiple_versions == "allow" && rules.bans.allow_wildcard_paths;
    ensure!(
        is_understood,
        "deny.toml: only multiple-versions = \"allow\" and allow-wildcard-paths = true are known here"
    );
    for package in &workspace.packages {
        let place = format!("{} {}", package.name, package.version);
        for words in [ban(&rules, package), license(&rules.licenses, package), source(&rules, package)] {
            findings.extend(words.map(|words| Finding::new(&place, words)));
        }
    }
    for room in workspace.rooms() {
        for dependency in &room.dependencies {
            let is_wild = dependency.req == "*" && dependency.path.is_none();
            if rules.bans.wildcards == "deny" && is_wild {
                findings.push(Finding::new(
                    format!("crates/{}/Cargo.toml", room.name),
                    format!("name a version of {}", dependency.name),
                ));
            }
        }
    }
    Ok(())
}

fn ban(rules: &Rules, package: &Package) -> Option<String> {
    let ban = rules.bans.deny.iter().find(|ban| ban.name == package.name)?;
    Some(format!("is banned: {}", ban.reason))
}

fn source(rules: &Rules, package: &Package) -> Option<String> {
    let source = package.source.as_deref()?;
    let rule =
        if source.starts_with("git+") { &rules.sources.unknown_git } else { &rules.sources.unknown_registry };
    (source != REGISTRY && rule == "deny")
        .then(|| format!("comes from {source}, not from the registry cargo knows"))
}

fn license(rules: &Licenses, package: &Package) -> Option<String> {
    let Some(expression) = &package.license else {
        return Some("names no licence".into());
    };
    let exceptions = rules.exceptions.iter().filter(|exception| exception.name == package.name);
    let also: Vec<&String> = exceptions.flat_map(|exception| &exception.allow).collect();
    let is_allowed =
        |name: &str| rules.allow.iter().chain(also.iter().copied()).any(|allowed| allowed == name);
    (!satisfies(expression, &is_allowed))
        .then(|| format!("licence {expression} is not among those of deny.toml"))
}

/// Whether an SPDX expression can be satisfied with allowed licences. The old `A/B` means `A OR B`.
fn satisfies(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, is_allowed)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut is_good = all_of(words, is_allowed);
    while words.next_if_eq(&"OR").is_some() {
        is_good |= all_of(words, is_allowed);
    }
    is_good
}

fn all_of(words: &mut Words<'_>, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut is_good = one(words, is_allowed);
    while words.next_if_eq(&"AND").is_some() {
        is_good &= one(words, is_allowed);
    }
    is_good
}

fn one(words: &mut Words<'_>, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        let is_good = any_of(words, is_allowed);
        return words.next() == Some(")") && is_good;
    }
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next().unwrap_or_default();
        return is_allowed(&format!("{word} WITH {exception}"));
    }
    is_allowed(word)
}

#[cfg(test)]
mod tests {
    //! Cases for licences.
    use super::*;

    #[test]
    fn expressions_are_read_as_written() {
        let is_allowed = |name: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&name);
        for good in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "ISC AND (GPL-3.0 OR MIT)"] {
            assert!(satisfies(good, &is_allowed), "{good}");
        }
        assert!(satisfies("Apache-2.0 WITH LLVM-exception OR Apache-2.0", &is_allowed));
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT", "ISC AND (GPL-3.0 OR BSL-1.0)"] {
            assert!(!satisfies(bad, &is_allowed), "{bad}");
        }
    }
}
