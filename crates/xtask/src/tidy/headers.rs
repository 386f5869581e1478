//! Every source file of more than 30 lines opens by saying what it is for.

use super::{Finding, has_extension};

/// Up to this many lines a file explains itself.
const SHORT: usize = 30;

pub(super) fn check(path: &str, text: &str) -> Option<Finding> {
    let openings: &[&str] = if has_extension(path, &["rs"]) {
        &["//!"]
    } else if has_extension(path, &["js", "mjs", "sol"]) {
        &["//", "/*"]
    } else if has_extension(path, &["py"]) {
        &["\"\"\"", "#"]
    } else if has_extension(path, &["sh"]) || path == ".ci/run" {
        &["#"]
    } else {
        return None;
    };
    if text.lines().count() <= SHORT {
        return None;
    }
    let first = text
        .lines()
        .find(|line| !line.starts_with("#!/") && !line.trim().is_empty())
        .unwrap_or("");
    let opens = openings.iter().any(|opening| first.starts_with(opening));
    (!opens).then(|| {
        Finding::new(
            path,
            1,
            format!("opens without `{}`: say what the file is for", openings[0]),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    fn long(first: &str) -> String {
        format!("{first}\n{}", "line\n".repeat(40))
    }

    #[test]
    fn a_long_file_opens_with_its_purpose() {
        assert!(check("a.rs", &long("use std::fmt;")).is_some());
        assert!(check("a.rs", &long("//! What it is for.")).is_none());
        assert!(check("a.rs", &long("// Not a header.")).is_some());
        assert!(check("a.mjs", &long("import x from 'y';")).is_some());
        assert!(check("a.py", &long("\"\"\"What it is for.\"\"\"")).is_none());
        assert!(check("a.sh", &long("#!/bin/sh\n# What it is for.")).is_none());
        assert!(check("a.sh", &long("#!/bin/sh\nset -e")).is_some());
    }

    #[test]
    fn a_short_file_and_a_file_of_data_need_none() {
        assert!(check("a.rs", "use std::fmt;\n").is_none());
        assert!(check("a.json", &long("{")).is_none());
    }
}
