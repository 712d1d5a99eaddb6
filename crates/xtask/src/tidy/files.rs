//! Rules for files: the opening sentence, the length, lints that are silenced, text that must not be there.

use super::{Finding, Rules, Source};

pub(super) fn check(rules: &Rules, sources: &[Source], findings: &mut Vec<Finding>) {
    let tests = test_modules(sources);
    for source in sources {
        if source.ends_in("rs") {
            check_opening(source, findings);
            if !tests.iter().any(|module| is_of(&source.path, module)) {
                check_length(rules, source, findings);
            }
            check_excuses(rules, source, findings);
        }
        check_phrases(rules, source, findings);
        check_machine(rules, source, findings);
    }
    let missing = |path: &&String| !sources.iter().any(|source| source.path == **path);
    for path in rules.files.over_soft.keys().chain(rules.files.excused.keys()).filter(missing) {
        findings.push(Finding::new("tidy.toml", format!("{path} is gone; so is its line")));
    }
}

/// Modules that exist for tests alone: declared below `#[cfg(test)]`. Paths without the ending.
fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut modules = Vec::new();
    for source in sources.iter().filter(|source| source.ends_in("rs")) {
        let stem = source.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main" | "mod")) => folder,
            _ => stem,
        };
        let lines: Vec<&str> = source.text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let name = pair[1].rsplit("mod ").next().and_then(|rest| rest.strip_suffix(';'));
            modules.extend(name.map(|name| format!("{folder}/{name}")));
        }
    }
    modules
}

/// Whether a file is the module, or in its folder.
fn is_of(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn check_opening(source: &Source, findings: &mut Vec<Finding>) {
    if !source.text.trim_start().starts_with("//!") {
        let words = "begin with //!: what it holds, and what it leaves to others";
        findings.push(Finding::new(&source.path, words));
    }
}

fn check_length(rules: &Rules, source: &Source, findings: &mut Vec<Finding>) {
    let (soft, hard) = (rules.files.lines_soft, rules.files.lines_hard);
    let lines = production_lines(source);
    let recorded = rules.files.over_soft.get(&source.path).copied();
    let words = match recorded {
        _ if lines > hard => {
            format!("{lines} lines of production code, {hard} are the end: make it a folder")
        }
        None if lines > soft => {
            format!("{lines} lines of production code, {soft} are enough: make it a folder")
        }
        Some(was) if lines > was => format!("grew from {was} to {lines} lines; it may only shrink"),
        Some(was) if lines < was => {
            let line = if lines > soft { format!("lower it to {lines}") } else { "drop its line".into() };
            format!("shrank from {was} to {lines} lines: {line} in tidy.toml")
        }
        _ => return,
    };
    findings.push(Finding::new(&source.path, words));
}

/// Lines that are shipped: none of a test file, and of others those before the tests at their end.
fn production_lines(source: &Source) -> usize {
    let path = &source.path;
    let is_test = ["/tests/", "/benches/"].iter().any(|folder| path.contains(folder))
        || path.ends_with("_tests.rs")
        || path.ends_with("/tests.rs");
    if is_test {
        return 0;
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let tests =
        lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with("mod tests {"));
    tests.unwrap_or(lines.len())
}

fn check_excuses(rules: &Rules, source: &Source, findings: &mut Vec<Finding>) {
    let lints = ["too_many_lines", "too_many_arguments"].map(|lint| format!("clippy::{lint}"));
    let count: usize = lints.iter().map(|lint| source.text.matches(lint.as_str()).count()).sum();
    let allowed = rules.files.excused.get(&source.path).copied().unwrap_or(0);
    if count != allowed {
        let words = format!("silences limits for functions {count} times, tidy.toml says {allowed}");
        findings.push(Finding::new(&source.path, words));
    }
}

fn check_phrases(rules: &Rules, source: &Source, findings: &mut Vec<Finding>) {
    // The rules name what they forbid.
    if source.path == "tidy.toml" {
        return;
    }
    for phrase in &rules.phrases {
        for (index, line) in source.text.lines().enumerate() {
            if line.contains(&phrase.text) {
                findings.push(Finding::new(
                    format!("{}:{}", source.path, index + 1),
                    format!("{:?} is not for keeps: {}", phrase.text, phrase.remedy),
                ));
            }
        }
    }
}

fn check_machine(rules: &Rules, source: &Source, findings: &mut Vec<Finding>) {
    if rules.machine.allowed_in.iter().any(|place| source.path.starts_with(place.as_str())) {
        return;
    }
    for (index, line) in source.text.lines().enumerate() {
        for root in &rules.machine.roots {
            if names_folder(line, root) {
                findings.push(Finding::new(
                    format!("{}:{}", source.path, index + 1),
                    format!("names the folder /{root} of one machine; take it from the environment"),
                ));
            }
        }
    }
}

/// Whether a line holds the folder, or something in it, as the beginning of a path.
fn names_folder(line: &str, root: &str) -> bool {
    let path = format!("/{root}");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let begins = before.is_none_or(|character| " \"'`=(:,".contains(character));
        let ends = after.is_none_or(|character| "/ \"'`),".contains(character));
        begins && ends
    })
}

#[cfg(test)]
mod tests {
    //! Cases for each rule about files.
    use super::*;

    fn rust(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn check_words(rules: &Rules, path: &str, text: &str) -> String {
        let mut findings = Vec::new();
        check(rules, &[rust(path, text)], &mut findings);
        findings.into_iter().map(|finding| finding.words).collect::<Vec<_>>().join("; ")
    }

    fn rules() -> Rules {
        let mut rules = Rules::default();
        (rules.files.lines_soft, rules.files.lines_hard) = (4, 8);
        rules
    }

    #[test]
    fn a_file_opens_with_a_sentence() {
        assert_eq!(check_words(&rules(), "a.rs", "//! Holds a.\n"), "");
        assert!(check_words(&rules(), "a.rs", "mod a;\n").contains("begin with //!"));
        assert_eq!(check_words(&rules(), "a.py", "import a\n"), "");
    }

    #[test]
    fn production_code_is_short_and_only_gets_shorter() {
        let text = "//! A.\n1\n2\n3\n4\n5\n";
        assert!(check_words(&rules(), "src/a.rs", text).contains("6 lines of production code, 4"));
        assert_eq!(check_words(&rules(), "src/a_tests.rs", text), "");
        assert_eq!(check_words(&rules(), "a/tests/it/main.rs", text), "");
        let tests = "//! A.\n1\n#[cfg(test)]\nmod tests {\n1\n2\n3\n}\n";
        assert_eq!(check_words(&rules(), "src/a.rs", tests), "");
        let title = rust("src/lib.rs", "//! A.\n#[cfg(test)]\nmod fakes;\n");
        let mut findings = Vec::new();
        check(&rules(), &[title, rust("src/fakes.rs", text), rust("src/fakes/b.rs", text)], &mut findings);
        assert_eq!(findings, []);

        let mut ratchet = rules();
        ratchet.files.over_soft.insert("src/a.rs".into(), 6);
        assert_eq!(check_words(&ratchet, "src/a.rs", text), "");
        assert!(check_words(&ratchet, "src/a.rs", &format!("{text}6\n")).contains("grew from 6 to 7"));
        assert!(check_words(&ratchet, "src/a.rs", "//! A.\n1\n2\n3\n4\n").contains("lower it to 5"));
        assert!(check_words(&ratchet, "src/a.rs", "//! A.\n").contains("drop its line"));
        assert!(check_words(&ratchet, "src/a.rs", &"//! A.\n".repeat(9)).contains("are the end"));
        assert!(check_words(&ratchet, "src/b.rs", "//! B.\n").contains("src/a.rs is gone"));
    }

    #[test]
    fn silenced_limits_are_counted() {
        let text = format!("//! A.\n#[expect({}_lines, reason = \"\")]\n", "clippy::too_many");
        assert!(check_words(&rules(), "a.rs", &text).contains("silences limits for functions 1 times"));
    }

    #[test]
    fn phrases_and_folders_of_one_machine_are_found() {
        let mut strict = rules();
        strict.phrases.push(super::super::PhraseRule { text: "later".into(), remedy: "now".into() });
        strict.machine.roots = vec!["attic".into()];
        assert!(check_words(&strict, "a.md", "we do it later\n").contains("not for keeps: now"));
        let folder = format!("cd {}attic/house\n", '/');
        assert!(check_words(&strict, "a.md", &folder).contains("of one machine"));
        assert_eq!(check_words(&strict, "a.md", "the house/attic/ is empty, /atticus is not\n"), "");
    }
}
