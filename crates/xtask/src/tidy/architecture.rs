//! ARCHITECTURE.md is a map: three pages, or nobody reads it.

use super::Finding;

/// A page of 600 words, three of them.
const WORDS: usize = 1_800;

/// A page of 60 lines, three of them.
const LINES: usize = 180;

pub(super) fn check(path: &str, text: &str) -> Option<Finding> {
    if path != "ARCHITECTURE.md" {
        return None;
    }
    let (words, lines) = (text.split_whitespace().count(), text.lines().count());
    (words > WORDS || lines > LINES).then(|| {
        Finding::new(
            path,
            None,
            format!("{words} words on {lines} lines; three pages are {WORDS} words, {LINES} lines"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn three_pages_are_enough() {
        assert!(check("ARCHITECTURE.md", &"a word\n".repeat(180)).is_none());
        assert!(check("ARCHITECTURE.md", &"word\n".repeat(181)).is_some());
        assert!(check("ARCHITECTURE.md", &"word ".repeat(1_801)).is_some());
        assert!(check("README.md", &"word ".repeat(1_801)).is_none());
    }
}
