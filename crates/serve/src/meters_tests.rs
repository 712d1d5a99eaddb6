//! The list against the sources, the conventions and the committed page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs")
            && path != root().join("crates/serve/src/meters.rs")
        {
            files.push(path);
        }
    }
}

/// Kinds and names of the metrics that a text counts.
fn counted(text: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for kind in ["counter", "gauge", "histogram"] {
        for part in text.split(&format!("{kind}!(")).skip(1) {
            let name = part.trim_start().strip_prefix('"').and_then(|part| part.split('"').next());
            found.extend(name.map(|name| (kind, name.to_owned())));
        }
    }
    found
}

#[test]
fn every_metric_that_is_counted_is_listed_and_every_listed_one_is_counted() {
    let mut files = vec![root().join("crates/serve/src/meters.rs")];
    for room in std::fs::read_dir(root().join("crates")).unwrap() {
        sources(&room.unwrap().path().join("src"), &mut files);
    }
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let counted: BTreeSet<(&str, String)> = texts.flat_map(|text| counted(&text)).collect();
    let listed: BTreeSet<(&str, String)> =
        METRICS.iter().map(|(name, kind, ..)| (kind.as_str(), (*name).to_owned())).collect();
    let unlisted: Vec<_> = counted.difference(&listed).collect();
    let uncounted: Vec<_> = listed.difference(&counted).collect();
    assert!(unlisted.is_empty(), "counted somewhere, to be listed in serve/src/meters.rs: {unlisted:?}");
    assert!(uncounted.is_empty(), "listed, but counted nowhere: {uncounted:?}");
}

#[test]
fn names_follow_the_conventions() {
    for pair in METRICS.windows(2) {
        assert!(pair[0].0 < pair[1].0, "{} and {} are out of order", pair[0].0, pair[1].0);
    }
    for (name, kind, _, help) in METRICS {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}: only counters end in _total");
        let has_other_unit = ["_ms", "_millis", "_micros", "_minutes", "_percent", "_mib", "_kb"];
        assert!(!has_other_unit.iter().any(|end| name.ends_with(end)), "{name}: base units only");
        if *kind == Kind::Histogram {
            assert!(name.ends_with("_seconds") || name.ends_with("_bytes"), "{name} names no unit");
        }
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
    }
}

#[test]
fn the_committed_page_is_what_the_list_says() {
    let path = root().join("docs/reference/metrics.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page(), "docs/reference/metrics.md is stale: run the test with UPDATE_GOLDEN=1");
}
