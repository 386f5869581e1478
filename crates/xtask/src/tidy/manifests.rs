//! Manifests of one hand: lints, package fields and versions come from the workspace, names are sorted.

use super::toml::{Entry, entries};
use super::{Finding, is_tooling};

/// What the standard library has by now.
const OUTLIVED: &[&str] = &["lazy_static", "once_cell"];

/// Erases the types of errors: for the program's `main`, and for tooling.
const ERASER: &str = "anyhow";
const MAY_ERASE: &str = "causeway";

/// Fields of `[package]` that are the workspace's.
const INHERITED: &[&str] = &["edition", "license", "publish", "rust-version", "version"];

/// Lints in which a tooling crate's own table may differ.
const RELAXED: &[&str] = &[
    "exit",
    "panic",
    "print_stderr",
    "print_stdout",
    "unwrap_in_result",
    "unwrap_used",
];

/// One line of a table of lints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lint<'a> {
    tool: &'a str,
    name: &'a str,
    level: &'a str,
}

/// The lints of the workspace's manifest.
pub(super) fn workspace_lints(root: &str) -> Vec<Lint<'_>> {
    lints(&entries(root), "workspace.lints.")
}

/// Holds one manifest, the root's or a crate's.
pub(super) fn check(path: &str, text: &str, workspace: &[Lint<'_>]) -> Vec<Finding> {
    let entries = entries(text);
    let mut findings = sorted(path, &entries);
    let Some(name) = value(&entries, "package", "name") else {
        return findings;
    };
    let name = name.trim_matches('"');
    for field in INHERITED {
        if value(&entries, "package", &format!("{field}.workspace")) != Some("true") {
            findings.push(Finding::new(
                path,
                None,
                format!("`{field}` is not the workspace's: `{field}.workspace = true`"),
            ));
        }
    }
    findings.extend(check_lints(path, name, &entries, workspace));
    findings.extend(check_dependencies(path, name, &entries));
    findings
}

fn check_lints(
    path: &str,
    name: &str,
    entries: &[Entry<'_>],
    workspace: &[Lint<'_>],
) -> Vec<Finding> {
    if value(entries, "lints", "workspace") == Some("true") {
        return Vec::new();
    }
    if !is_tooling(name) {
        return vec![Finding::new(
            path,
            None,
            "has lints of its own: `[lints] workspace = true`",
        )];
    }
    let own = lints(entries, "lints.");
    let differs = |lint: &&Lint<'_>| !RELAXED.contains(&lint.name) && !own.contains(lint);
    let missing = workspace.iter().filter(differs);
    missing
        .map(|lint| {
            Finding::new(
                path,
                None,
                format!("its lints differ from the workspace's in `{}`", lint.name),
            )
        })
        .collect()
}

fn check_dependencies(path: &str, name: &str, entries: &[Entry<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries
        .iter()
        .filter(|entry| is_dependencies(entry.section))
    {
        let dependency = crate_of(entry);
        let mut found = |what: String| findings.push(Finding::new(path, entry.line, what));
        let inherits =
            entry.key.ends_with(".workspace") || entry.value.contains("workspace = true");
        if !inherits {
            found(format!(
                "`{dependency}` has a version of its own: `{dependency}.workspace = true`"
            ));
        }
        if OUTLIVED.contains(&dependency) {
            found(format!(
                "`{dependency}` is in the standard library by now: `std::sync::{{LazyLock, OnceLock}}`"
            ));
        }
        if dependency == ERASER && name != MAY_ERASE && !is_tooling(name) {
            found(format!(
                "`{ERASER}` is for the program's `main` only: write an enum for the operation"
            ));
        }
    }
    for entry in entries
        .iter()
        .filter(|entry| is_table_of_one(entry.section))
    {
        findings.push(Finding::new(
            path,
            entry.line,
            "gives one dependency a section: write it on one line",
        ));
    }
    findings
}

/// Every table of dependencies lists its names in order, the workspace's as well.
fn sorted(path: &str, entries: &[Entry<'_>]) -> Vec<Finding> {
    let follows = |pair: &&[Entry<'_>]| {
        let [first, second] = pair else { return false };
        let listed = is_dependencies(first.section) || first.section == "workspace.dependencies";
        listed && first.section == second.section && crate_of(first) > crate_of(second)
    };
    let out_of_order = entries.windows(2).filter(follows);
    out_of_order
        .map(|pair| {
            Finding::new(
                path,
                pair[1].line,
                format!(
                    "`{}` stands after `{}`",
                    crate_of(&pair[1]),
                    crate_of(&pair[0])
                ),
            )
        })
        .collect()
}

fn is_dependencies(section: &str) -> bool {
    section
        .rsplit('.')
        .next()
        .is_some_and(|last| last.ends_with("dependencies"))
        && !section.starts_with("workspace")
}

fn is_table_of_one(section: &str) -> bool {
    section
        .rsplit_once('.')
        .is_some_and(|(table, _)| is_dependencies(table))
}

fn crate_of<'a>(entry: &Entry<'a>) -> &'a str {
    entry
        .key
        .split('.')
        .next()
        .unwrap_or(entry.key)
        .trim_matches('"')
}

fn value<'a>(entries: &[Entry<'a>], section: &str, key: &str) -> Option<&'a str> {
    entries
        .iter()
        .find(|entry| entry.section == section && entry.key == key)
        .map(|entry| entry.value)
}

fn lints<'a>(entries: &[Entry<'a>], prefix: &str) -> Vec<Lint<'a>> {
    let lint = |entry: &Entry<'a>| {
        let tool = entry.section.strip_prefix(prefix)?;
        Some(Lint {
            tool,
            name: entry.key,
            level: entry.value,
        })
    };
    entries.iter().filter_map(lint).collect()
}

#[cfg(test)]
mod tests {
    use super::{Finding, check, workspace_lints};

    const ROOT: &str =
        "[workspace.lints.clippy]\npanic = \"warn\"\nexit = \"warn\"\nuse_self = \"warn\"\n";

    fn manifest(name: &str, rest: &str) -> String {
        format!(
            "[package]\nname = \"{name}\"\nversion.workspace = true\nedition.workspace = true\n\
             rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n{rest}"
        )
    }

    fn found(name: &str, rest: &str) -> Vec<Finding> {
        check(
            "crates/x/Cargo.toml",
            &manifest(name, rest),
            &workspace_lints(ROOT),
        )
    }

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn a_manifest_that_inherits_everything_is_clean() {
        let rest = format!(
            "[dependencies]\na.workspace = true\nb = {{ workspace = true, features = [\"c\"] }}\n\n{LINTS}"
        );
        assert_eq!(found("x", &rest), []);
    }

    #[test]
    fn a_version_of_its_own_is_found_in_every_table() {
        for table in [
            "dependencies",
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            assert_eq!(
                found("x", &format!("[{table}]\na = \"1\"\n\n{LINTS}")).len(),
                1,
                "{table}"
            );
        }
        assert_eq!(
            found(
                "x",
                &format!("[dependencies.a]\nworkspace = true\n\n{LINTS}")
            )
            .len(),
            1
        );
    }

    #[test]
    fn order_is_held_in_crates_and_in_the_workspace() {
        assert_eq!(
            found(
                "x",
                &format!("[dependencies]\nb.workspace = true\na.workspace = true\n\n{LINTS}")
            )
            .len(),
            1
        );
        assert_eq!(
            check(
                "Cargo.toml",
                "[workspace.dependencies]\nb = \"1\"\na = \"1\"\n",
                &[]
            )
            .len(),
            1
        );
        assert_eq!(
            check(
                "Cargo.toml",
                "[workspace.dependencies]\na = \"1\"\na-b = \"1\"\n",
                &[]
            ),
            []
        );
    }

    #[test]
    fn only_tooling_has_lints_of_its_own_and_only_relaxed_ones() {
        assert_eq!(found("x", "").len(), 1);
        assert_eq!(found("x", "[lints.clippy]\nuse_self = \"warn\"\n").len(), 1);
        assert_eq!(
            found(
                "testkit",
                "[lints.clippy]\npanic = \"allow\"\nuse_self = \"warn\"\n"
            ),
            []
        );
        assert_eq!(
            found(
                "testkit",
                "[lints.clippy]\npanic = \"allow\"\nuse_self = \"allow\"\n"
            )
            .len(),
            1
        );
    }

    #[test]
    fn outlived_crates_and_erased_errors_are_found() {
        assert_eq!(
            found(
                "x",
                &format!("[dependencies]\nonce_cell.workspace = true\n\n{LINTS}")
            )
            .len(),
            1
        );
        assert_eq!(
            found(
                "x",
                &format!("[dependencies]\nanyhow.workspace = true\n\n{LINTS}")
            )
            .len(),
            1
        );
        assert_eq!(
            found(
                "causeway",
                &format!("[dependencies]\nanyhow.workspace = true\n\n{LINTS}")
            ),
            []
        );
    }

    #[test]
    fn a_package_field_of_its_own_is_found() {
        let text = manifest("x", LINTS).replace("edition.workspace = true", "edition = \"2021\"");
        assert_eq!(
            check("crates/x/Cargo.toml", &text, &workspace_lints(ROOT)).len(),
            1
        );
    }
}
