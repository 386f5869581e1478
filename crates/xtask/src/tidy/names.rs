//! A name says what a thing is for. A drawer for everything gets no name here, and `mod.rs` hides which file it is.

use super::{Finding, has_extension};

/// Names of drawers, and of kinds of things where the thing itself should be named.
const BANNED: &[&str] = &[
    "common", "helper", "helpers", "misc", "models", "services", "util", "utils",
];

pub(super) fn check_path(path: &str) -> Option<Finding> {
    if !has_extension(path, &["rs", "sol", "js", "mjs", "py", "toml"]) {
        return None;
    }
    if path.ends_with("/mod.rs") {
        return Some(Finding::new(
            path,
            None,
            "is a `mod.rs`: put `foo.rs` beside `foo/`",
        ));
    }
    let part = path
        .split('/')
        .map(stem)
        .find(|part| BANNED.contains(part))?;
    Some(Finding::new(
        path,
        None,
        format!("has `{part}` in its path: name what it is for"),
    ))
}

pub(super) fn check_modules(path: &str, text: &str) -> Vec<Finding> {
    let banned = text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("pub ")
            .or_else(|| line.strip_prefix("pub(crate) "))
            .unwrap_or(line);
        let name = line.strip_prefix("mod ")?.trim_end_matches([';', '{', ' ']);
        BANNED.contains(&name).then(|| {
            Finding::new(
                path,
                at + 1,
                format!("names a module `{name}`: name what it is for"),
            )
        })
    });
    banned.collect()
}

fn stem(part: &str) -> &str {
    part.split('.').next().unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::{check_modules, check_path};

    #[test]
    fn drawers_are_found_in_paths() {
        for path in [
            "crates/utils/Cargo.toml",
            "crates/a/src/helpers.rs",
            "tests/js/common.mjs",
            "crates/a/src/b/mod.rs",
        ] {
            assert!(check_path(path).is_some(), "{path}");
        }
        for path in [
            "crates/a/src/commonware.rs",
            "crates/a/src/model.rs",
            "docs/misc.md",
        ] {
            assert!(check_path(path).is_none(), "{path}");
        }
    }

    #[test]
    fn drawers_are_found_inside_a_file() {
        assert_eq!(
            check_modules("a.rs", "mod pool;\n    pub(crate) mod utils {\n").len(),
            1
        );
        assert!(check_modules("a.rs", "// mod utils\nmod utilisation;\n").is_empty());
    }
}
