//! Links between pages of the repository lead somewhere. Addresses of the world are not tried.

use std::path::Path;

use super::{Finding, Source};

pub(super) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    for source in sources.iter().filter(|source| source.ends_in("md")) {
        let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
        for target in targets(&source.text) {
            if !folder.join(target).exists() {
                findings.push(Finding::new(&source.path, format!("the link to {target} leads nowhere")));
            }
        }
    }
}

/// Targets of `[text](target)` that are paths, without what follows `#`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        (!target.is_empty() && !target.contains(':')).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    //! Cases for links.
    use super::*;

    #[test]
    fn paths_are_told_from_addresses() {
        let text = "[a](b/c.md#d) ![p](e.png) [w](https://example.org/x) [h](#here)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["b/c.md", "e.png"]);
    }
}
