//! Lists with one line per entry stay in order.

use super::{Finding, Rules, Source};

pub(super) fn check(rules: &Rules, sources: &[Source], findings: &mut Vec<Finding>) {
    for list in &rules.lists {
        let Some(source) = sources.iter().find(|source| source.path == list.file) else {
            findings.push(Finding::new("tidy.toml", format!("{} is gone; so is its list", list.file)));
            continue;
        };
        let words = match entries(&source.text, &list.name) {
            None => format!("holds no list named {}", list.name),
            Some(entries) => match entries.windows(2).find(|pair| pair[0] > pair[1]) {
                Some(pair) => format!("{}: {} comes before {}", list.name, pair[1], pair[0]),
                None => continue,
            },
        };
        findings.push(Finding::new(&list.file, words));
    }
}

/// The entries of `const NAME: … = &[ … ];`, as written.
fn entries(text: &str, name: &str) -> Option<Vec<String>> {
    let (_, after) = text.split_once(&format!(" {name}:"))?;
    let (_, after) = after.split_once("= &[").or_else(|| after.split_once("= ["))?;
    let (inside, _) = after.split_once("];")?;
    let lines = inside.lines().map(|line| line.split("//").next().unwrap_or_default());
    let joined: String = lines.collect::<Vec<_>>().join(" ");
    // A comma within parentheses does not end an entry.
    let mut depth = 0_i32;
    let pieces = joined.split(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    Some(pieces.map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    //! Cases for lists.
    use super::super::ListRule;
    use super::*;

    fn check_words(text: &str) -> Vec<String> {
        let rules =
            Rules { lists: vec![ListRule { file: "a.rs".into(), name: "LIST".into() }], ..Rules::default() };
        let mut findings = Vec::new();
        check(&rules, &[Source { path: "a.rs".into(), text: text.into() }], &mut findings);
        findings.into_iter().map(|finding| finding.words).collect()
    }

    #[test]
    fn an_entry_out_of_order_is_named() {
        let ordered = "pub const LIST: &[&str] = &[\n    &a::A, // first\n    &b::B,\n];";
        assert_eq!(check_words(ordered), Vec::<String>::new());
        assert_eq!(check_words(&ordered.replace("&a", "&c")), ["LIST: &b::B comes before &c::A"]);
        let pairs = "const LIST: &[(&str, u8)] = &[(\"a\", 2), (\"a-b\", 1)];";
        assert_eq!(check_words(pairs), Vec::<String>::new());
        assert_eq!(check_words(&pairs.replace("a-b", "A")), ["LIST: (\"A\", 1) comes before (\"a\", 2)"]);
        assert_eq!(check_words("nothing"), ["holds no list named LIST"]);
    }
}
