//! A file that grew too long usually holds two things. Tests are not counted.

use super::{Finding, has_extension, is_test};

const WARN: usize = 500;
const FAIL: usize = 800;

pub(super) fn check(path: &str, text: &str) -> Option<Finding> {
    if !has_extension(path, &["rs", "sol", "mjs", "js", "py"]) || is_test(path) {
        return None;
    }
    match production_lines(text) {
        lines if lines > FAIL => Some(Finding::new(
            path,
            None,
            format!("{lines} lines without tests; {FAIL} is the limit"),
        )),
        lines if lines > WARN => Some(Finding::warning(
            path,
            format!("{lines} lines without tests: does it hold two things?"),
        )),
        _ => None,
    }
}

/// Counts all lines but those of modules under `#[cfg(test)]`. Relies on rustfmt: such a module ends at the first `}`
/// that stands at the beginning of a line.
fn production_lines(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            count += 1;
            continue;
        }
        while lines.next_if(|line| line.starts_with("#[")).is_some() {}
        if lines
            .next_if(|line| line.starts_with("mod ") && line.ends_with('{'))
            .is_some()
        {
            for line in lines.by_ref() {
                if line == "}" {
                    break;
                }
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::{check, production_lines};

    #[test]
    fn tests_are_not_counted_wherever_they_stand() {
        let text = "one\n#[cfg(test)]\n#[path = \"x\"]\nmod tests {\n    two\n}\nthree\n#[cfg(test)]\nmod tests;\nfour\n";
        assert_eq!(production_lines(text), 4);
    }

    #[test]
    fn it_warns_before_it_fails() {
        let weight = |path: &str, lines: usize| {
            check(path, &"x\n".repeat(lines)).map(|finding| finding.weight)
        };
        assert_eq!(weight("a.rs", 500), None);
        assert_eq!(weight("a.rs", 501), Some(Weight::Warning));
        assert_eq!(weight("a.rs", 801), Some(Weight::Failure));
        assert_eq!(weight("crates/a/src/tests.rs", 801), None);
        assert_eq!(weight("data.json", 801), None);
    }
}
