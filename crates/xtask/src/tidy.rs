//! `cargo xtask tidy`: the rules of style that neither rustc nor Clippy holds.
//!
//! Each module is one rule: a pure function over a path and a text, tested on small strings. This file only carries
//! files to rules and findings to the terminal. A rule that needs an exception is changed here, in the open; there
//! is no comment that silences one.

mod architecture;
mod errors;
mod headers;
mod layers;
mod leftovers;
mod links;
mod manifests;
mod names;
mod places;
mod sizes;
mod toml;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::contracts;
use crate::error::Error;
use crate::repository::Repository;

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from one; none when it is about the whole file.
    line: Option<usize>,
    what: String,
    weight: Weight,
}

/// Whether a finding fails the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Warning,
    Failure,
}

impl Finding {
    fn new(path: &str, line: impl Into<Option<usize>>, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: line.into(),
            what: what.into(),
            weight: Weight::Failure,
        }
    }

    fn warning(path: &str, what: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::new(path, None, what)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weight == Weight::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.path)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Runs every rule and prints what they find.
///
/// # Errors
///
/// [`Error::Found`] when a finding is more than a warning.
pub(crate) fn run(repository: &Repository) -> Result<(), Error> {
    let files = repository.files()?;
    let mut findings = layers::check(&layers::members(&repository.metadata));

    let mut texts = Vec::new();
    for path in &files {
        findings.extend(names::check_path(path));
        if let Some(text) = repository.text(path)? {
            texts.push((path.as_str(), text));
        }
    }
    let root_manifest = texts
        .iter()
        .find(|(path, _)| *path == "Cargo.toml")
        .map_or("", |(_, text)| text);
    let workspace_lints = manifests::workspace_lints(root_manifest);
    let known: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    for (path, text) in &texts {
        findings.extend(check_text(path, text));
        if Path::new(path)
            .file_name()
            .is_some_and(|name| name == "Cargo.toml")
        {
            findings.extend(manifests::check(path, text, &workspace_lints));
        }
        if has_extension(path, &["md"]) {
            findings.extend(links::check(path, text, &|path| {
                links::look_up(path, &known, &texts)
            }));
        }
    }
    if contracts::folder(repository).join("node_modules").is_dir() {
        contracts::check(repository)?;
    }
    report(&findings, files.len())
}

/// The rules that need nothing but one file.
fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = places::check(path, text);
    if !is_generated(path) {
        findings.extend(headers::check(path, text));
        findings.extend(sizes::check(path, text));
        findings.extend(leftovers::check(path, text));
    }
    if has_extension(path, &["rs"]) {
        findings.extend(names::check_modules(path, text));
        findings.extend(errors::check(path, text));
    }
    findings.extend(architecture::check(path, text));
    findings
}

fn report(findings: &[Finding], files: usize) -> Result<(), Error> {
    for finding in findings {
        println!("{finding}");
    }
    match findings
        .iter()
        .filter(|finding| finding.weight == Weight::Failure)
        .count()
    {
        0 => {
            println!("tidy: {files} files, nothing to mend");
            Ok(())
        }
        count => Err(Error::Found {
            count,
            what: "findings of tidy to mend",
        }),
    }
}

/// What a generator writes is its generator's business. The generator is checked instead.
fn is_generated(path: &str) -> bool {
    let by_folder = path
        .split('/')
        .any(|part| ["generated", "artifacts", "testdata", "vectors"].contains(&part));
    by_folder || path.ends_with(".lock") || path.ends_with("package-lock.json")
}

/// Whether a source file holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests")
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    Path::new(path)
        .extension()
        .and_then(|found| found.to_str())
        .is_some_and(|found| extensions.contains(&found))
}

/// The crates of the program are held to more than those that only test, measure or build it.
fn is_tooling(krate: &str) -> bool {
    layers::TOOLING.contains(&krate)
}

#[cfg(test)]
mod tests {
    use super::{Finding, is_generated, is_test, report};

    #[test]
    fn warnings_alone_do_not_fail() {
        assert!(report(&[Finding::warning("a.rs", "long")], 1).is_ok());
        assert!(
            report(
                &[
                    Finding::warning("a.rs", "long"),
                    Finding::new("b.rs", 3, "wrong")
                ],
                2
            )
            .is_err()
        );
    }

    #[test]
    fn a_finding_reads_as_a_place_and_a_sentence() {
        assert_eq!(
            Finding::new("b.rs", 3, "wrong").to_string(),
            "b.rs:3: wrong"
        );
        assert_eq!(
            Finding::warning("a.rs", "long").to_string(),
            "warning: a.rs: long"
        );
    }

    #[test]
    fn tests_and_generated_files_are_told_by_their_paths() {
        assert!(is_test("crates/chain/src/pool/tests.rs") && is_test("tests/js/ethers.mjs"));
        assert!(!is_test("crates/chain/src/tests_of_life.rs"));
        assert!(is_generated("contracts/artifacts/Token.json") && is_generated("Cargo.lock"));
        assert!(!is_generated("crates/types/src/lib.rs"));
    }
}
