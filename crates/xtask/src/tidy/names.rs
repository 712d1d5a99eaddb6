//! Names that say nothing. Which words those are stands in `tidy.toml`.

use super::{Finding, Rules, Source};

const DECLARES: &[&str] = &["fn", "mod", "struct", "enum", "trait", "type", "class", "def", "function"];

pub(super) fn check(rules: &Rules, sources: &[Source], findings: &mut Vec<Finding>) {
    for source in sources {
        // Such as a word after `>` in a shell makes.
        if !source.path.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./@+=".contains(letter)) {
            let words = "a file's name has letters, digits and _ - . @ + = only: rename it, or remove it";
            findings.push(Finding::new(format!("{:?}", source.path), words));
        }
        // Markdown, TOML and the like speak; only code names.
        if ![".rs", ".py", ".ts", ".svelte"].iter().any(|ending| source.path.ends_with(ending)) {
            continue;
        }
        for part in source.path.split('/') {
            let stem = part.split('.').next().unwrap_or_default();
            report(rules, &source.path, stem, findings);
        }
        for (index, line) in source.text.lines().enumerate() {
            if let Some(name) = declared(line) {
                report(rules, &format!("{}:{}", source.path, index + 1), name, findings);
            }
        }
    }
}

fn report(rules: &Rules, place: &str, name: &str, findings: &mut Vec<Finding>) {
    if let Some(word) = words(name).into_iter().find(|word| rules.names.banned.contains(word)) {
        findings.push(Finding::new(
            place,
            format!("the name {name} holds {word:?}, which says nothing: name what it is"),
        ));
    }
}

/// The name a line declares, if it does.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|word| {
        matches!(*word, "pub" | "async" | "const" | "unsafe" | "export" | "default" | "abstract")
            || word.starts_with("pub(")
    });
    let declares = words.next()?;
    if !DECLARES.contains(&declares) {
        return None;
    }
    let name = words.next()?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(&name[..end])
}

/// `snake_case` and `CamelCase` taken apart, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character == '-' || character.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    //! Cases for names.
    use super::*;

    fn check_count(path: &str, text: &str) -> usize {
        let mut rules = Rules::default();
        rules.names.banned = vec!["stuff".into()];
        let mut findings = Vec::new();
        check(&rules, &[Source { path: path.into(), text: text.into() }], &mut findings);
        findings.len()
    }

    #[test]
    fn banned_words_are_found_as_words() {
        assert_eq!(check_count("src/stuff.rs", ""), 1);
        assert_eq!(check_count("src/a.rs", "pub(crate) struct LogStuff {"), 1);
        assert_eq!(check_count("src/a.rs", "    async fn more_stuff<T>(x: T) {"), 1);
        assert_eq!(check_count("src/a.rs", "fn stuffing() {}\n// fn stuff\nlet stuff = 1;"), 0);
        assert_eq!(check_count("docs/stuff.md", "fn stuff()"), 0);
    }

    #[test]
    fn files_have_names_that_can_be_typed() {
        assert_eq!(check_count("web/src/routes/+page@x.svelte", ""), 0);
        assert_eq!(check_count("     right: [", ""), 1);
        assert_eq!(check_count("docs/größe.md", ""), 1);
    }
}
