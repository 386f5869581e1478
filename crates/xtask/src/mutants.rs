//! `cargo xtask mutants`: does a test notice when the code is broken on purpose?
//!
//! Each file of `crates/testkit/mutations/` is a patch that breaks one rule. It opens with `# fails: PACKAGE TEST`: the
//! test that must pass without it and fail with it. Everything happens in a copy of the repository that is kept between
//! runs, so that only what changed is compiled again.

mod copy;
mod patch;

use std::fs::{self, File};
use std::time::Duration;

use crate::error::Error;
use crate::process;
use crate::repository::Repository;
use copy::Copy;
use patch::Patch;

const FOLDER: &str = "crates/testkit/mutations";

/// A cold build and one test. A mutant that hangs its test is one that nobody would have patience for.
const LIMIT: Duration = Duration::from_mins(20);

const USAGE: &str = "usage: cargo xtask mutants [--list|--check] [NAME…]";

/// Lists, checks or tries the mutants whose names begin with one of the given ones; all when none is given.
///
/// # Errors
///
/// [`Error::Usage`]; [`Error::Found`] when a mutant does not apply or no test notices it.
pub(crate) fn run(repository: &Repository, arguments: &[&str]) -> Result<(), Error> {
    match arguments {
        ["--check"] => check(repository),
        ["--list"] => {
            for patch in patches(repository, &[])? {
                println!("{}  {} {}", patch.name, patch.package, patch.test);
            }
            Ok(())
        }
        names if names.iter().any(|name| name.starts_with('-')) => Err(Error::Usage(USAGE)),
        names => attempt(repository, &patches(repository, names)?),
    }
}

/// Whether every patch still applies to the sources as they are.
///
/// # Errors
///
/// [`Error::Found`] when one does not.
pub(crate) fn check(repository: &Repository) -> Result<(), Error> {
    let patches = patches(repository, &[])?;
    let applies = |patch: &&Patch| {
        let mut git = repository.command("git");
        git.args(["apply", "--check"]).arg(&patch.path);
        process::run(&mut git, LIMIT).is_err()
    };
    let stale: Vec<&Patch> = patches.iter().filter(applies).collect();
    for patch in &stale {
        println!("{} no longer applies", patch.name);
    }
    if stale.is_empty() {
        println!("{} mutants apply", patches.len());
        return Ok(());
    }
    Err(Error::Found {
        count: stale.len(),
        what: "mutants no longer apply: make their patches again",
    })
}

fn patches(repository: &Repository, names: &[&str]) -> Result<Vec<Patch>, Error> {
    let folder = repository.root.join(FOLDER);
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "patch")
    });
    paths.sort();
    let mut patches = Vec::new();
    for path in paths {
        let patch = Patch::read(&path)?;
        if names.is_empty() || names.iter().any(|name| patch.name.starts_with(name)) {
            patches.push(patch);
        }
    }
    Ok(patches)
}

fn attempt(repository: &Repository, patches: &[Patch]) -> Result<(), Error> {
    let copy = Copy::make(repository)?;
    let mut rows = Vec::new();
    for patch in patches {
        println!("\n== {}: {} {}", patch.name, patch.package, patch.test);
        let verdict = judge(repository, &copy, patch)?;
        println!("== {}", verdict.text());
        rows.push((patch, verdict));
    }
    let width = patches
        .iter()
        .map(|patch| patch.name.len())
        .max()
        .unwrap_or(0);
    println!();
    for (patch, verdict) in &rows {
        println!(
            "{:width$}  {:24}  {} {}",
            patch.name,
            verdict.text(),
            patch.package,
            patch.test
        );
    }
    let survivors = rows
        .iter()
        .filter(|(_, verdict)| *verdict != Verdict::Noticed)
        .count();
    println!("{} noticed, {survivors} not", rows.len() - survivors);
    if survivors == 0 {
        Ok(())
    } else {
        Err(Error::Found {
            count: survivors,
            what: "mutants are not noticed",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Noticed,
    Survived,
    FailsWithout,
    NoSuchTest,
    DoesNotApply,
    DoesNotCompile,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Survived => "NOT NOTICED",
            Self::FailsWithout => "its test fails without it",
            Self::NoSuchTest => "its test does not exist",
            Self::DoesNotApply => "does not apply",
            Self::DoesNotCompile => "does not compile",
        }
    }
}

fn judge(repository: &Repository, copy: &Copy, patch: &Patch) -> Result<Verdict, Error> {
    match outcome(&test(repository, copy, patch)?, &patch.test) {
        Test::Passed => {}
        Test::Failed => return Ok(Verdict::FailsWithout),
        Test::Absent => return Ok(Verdict::NoSuchTest),
    }
    if copy.apply(patch).is_err() {
        return Ok(Verdict::DoesNotApply);
    }
    let broken = test(repository, copy, patch);
    copy.undo(patch)?;
    Ok(match outcome(&broken?, &patch.test) {
        Test::Passed => Verdict::Survived,
        Test::Failed => Verdict::Noticed,
        Test::Absent => Verdict::DoesNotCompile,
    })
}

/// Runs one test of one package in the copy and gives what the harness printed. A hang ends as a failure of the test.
fn test(repository: &Repository, copy: &Copy, patch: &Patch) -> Result<String, Error> {
    let output = copy.output();
    let failed = |source| Error::File {
        path: output.clone(),
        source,
    };
    let mut cargo = repository.cargo();
    cargo.args([
        "test",
        "--package",
        &patch.package,
        "--all-targets",
        "--no-fail-fast",
    ]);
    cargo
        .args(["--", "--exact", &patch.test])
        .env("CAUSEWAY_VECTORS", repository.vectors());
    cargo.stdout(File::create(&output).map_err(failed)?);
    copy.place(&mut cargo);
    match process::run(&mut cargo, LIMIT) {
        Ok(()) | Err(Error::Failed { .. } | Error::TooLong { .. }) => {
            fs::read_to_string(&output).map_err(failed)
        }
        Err(error) => Err(error),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Passed,
    Failed,
    Absent,
}

/// What the test harness said of the test; started but never ended counts as failed.
fn outcome(output: &str, test: &str) -> Test {
    let line = format!("test {test} ");
    let said = output.lines().find(|said| said.starts_with(&line));
    match said {
        Some(said) if said.ends_with("... ok") => Test::Passed,
        Some(_) => Test::Failed,
        None if output.contains("running 1 test\n") => Test::Failed,
        None => Test::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::{Test, outcome};

    #[test]
    fn the_harness_is_believed_about_this_test_alone() {
        let ok = "running 0 tests\n\nrunning 1 test\ntest log::a ... ok\n";
        assert_eq!(outcome(ok, "log::a"), Test::Passed);
        assert_eq!(
            outcome("running 1 test\ntest log::a ... FAILED\n", "log::a"),
            Test::Failed
        );
        assert_eq!(
            outcome(
                "running 1 test\ntest log::a - should panic ... FAILED\n",
                "log::a"
            ),
            Test::Failed
        );
        assert_eq!(outcome("running 0 tests\n", "log::a"), Test::Absent);
        assert_eq!(outcome("", "log::a"), Test::Absent);
    }

    #[test]
    fn a_test_that_hung_has_failed() {
        assert_eq!(outcome("running 1 test\n", "log::a"), Test::Failed);
    }
}
