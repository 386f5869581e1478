//! Nothing is left for later in a comment, and no test is switched off.

use super::{Finding, has_extension};

/// Split, so that this file does not find itself.
const MARKERS: &[[&str; 2]] = &[["TO", "DO"], ["FIX", "ME"], ["XX", "X"]];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rust = has_extension(path, &["rs"]);
    for (at, line) in text.lines().enumerate() {
        for marker in MARKERS.iter().map(|halves| halves.concat()) {
            if has_word(line, &marker) {
                findings.push(Finding::new(
                    path,
                    at + 1,
                    format!("holds `{marker}`: finish it, or write an issue"),
                ));
            }
        }
        if rust && line.trim_start().starts_with("#[ignore") {
            findings.push(Finding::new(path, at + 1, "switches a test off"));
        }
    }
    findings
}

/// Whether `word` stands in `line` by itself, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word =
        |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (
            line[..at].chars().next_back(),
            line[at + word.len()..].chars().next(),
        );
        !part_of_word(before) && !part_of_word(after)
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn markers_are_found_as_words() {
        let marker = ["TO", "DO"].concat();
        assert_eq!(check("a.rs", &format!("x\n// {marker}: later")).len(), 1);
        assert_eq!(check("a.md", &format!("({marker})")).len(), 1);
        assert!(check("a.rs", &format!("let {marker}S = 1;")).is_empty());
        assert!(check("a.rs", "let todo = 1;").is_empty());
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        assert_eq!(check("a.rs", "    #[ignore = \"slow\"]").len(), 1);
        assert!(check("a.rs", "// #[ignore] is not used").is_empty());
    }
}
