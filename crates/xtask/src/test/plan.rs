//! The steps, cheap ones first, and what each needs.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::options::Options;
use super::{Step, Verdict, tools};
use crate::error::Error;
use crate::repository::Repository;
use crate::{conformance, contracts, mutants, process, tidy};

/// The step that builds the release program.
pub(super) const BUILD: &str = "build";

/// A cold build of everything on two slow cores.
const COMPILE: Duration = Duration::from_mins(30);

/// A suite of black-box tests that takes longer hangs.
const SUITE: Duration = Duration::from_mins(10);
/// The same among the long tests.
const LONG_SUITE: Duration = Duration::from_mins(90);
/// Chains that a removed city keeps in the long tests.
const REMOVED_FROM: &str = "3000";
/// For how long the hub stands still in the long tests.
const HUB_HALT_SECONDS: &str = "3600";

/// Crash rounds: CI's share, and all of them.
const ROUNDS: Duration = Duration::from_mins(15);
const ALL_ROUNDS: Duration = Duration::from_hours(3);

/// Seeds of the simulation: CI's share, and all of them. Every day has others.
const SEEDS: u64 = 300;
const LONG_SEEDS: u64 = 100_000;
const ALL_SEEDS: Duration = Duration::from_hours(12);

/// Black-box suites: `*.test.mjs` and `test_*.py` directly in these folders.
const JAVASCRIPT: &str = "tests/js";
const PYTHON_TESTS: &str = "tests/python";

/// Two versions of a crate are worth a look, but not 6,000 lines of every run.
const DENY: &[&str] = &[
    "--log-level",
    "error",
    "check",
    "--hide-inclusion-graph",
    "bans",
    "licenses",
    "sources",
];

/// Builds the program and what tests it from outside. Together, so that both share one build of every dependency: built
/// one by one they would ask for different features, and everything would be compiled twice.
pub(crate) const RELEASE: &[&str] = &[
    "build",
    "--release",
    "--package",
    "causeway",
    "--package",
    "testkit",
];

/// What the Python suites need, ruff included.
const REQUIREMENTS: &str = "requirements.txt";

const NODE: &str = "Node 20 or newer with npm";
const PYTHON: &str = "Python 3.11 or newer with venv";
const FUSE: &str = "FUSE: /dev/fuse, and the right to mount";

pub(super) fn steps<'a>(repository: &'a Repository, options: &Options) -> Vec<Step<'a>> {
    let mut steps = checks(repository);
    steps.extend(builds(repository));
    steps.extend(suites(repository, options.long));
    steps.extend(rounds(repository, options.long));
    steps
}

/// What reads the sources.
fn checks(repository: &Repository) -> Vec<Step<'_>> {
    let cargo = |arguments: &'static [&'static str]| {
        move || passed(process::run(repository.cargo().args(arguments), COMPILE))
    };
    let with_tool = |tool: &'static str, arguments: &'static [&'static str]| {
        move || {
            if !tools::has(repository, tool) {
                return skipped(PYTHON);
            }
            passed(process::run(
                repository
                    .command(tools::binary(repository, tool))
                    .args(arguments),
                SUITE,
            ))
        }
    };
    vec![
        quick("tools", move || tools::rust(repository)),
        quick("fmt", cargo(&["fmt", "--all", "--check"])),
        quick("tidy", move || passed(tidy::run(repository))),
        quick("typos", with_tool("typos", &[])),
        quick("deny", with_tool("cargo-deny", DENY)),
        quick("mutants apply", move || passed(mutants::check(repository))),
        step("contracts", move || {
            if !process::is_there("npm") {
                return skipped(NODE);
            }
            contracts::check(repository)?;
            npm_run(repository, &contracts::folder(repository), "lint")
        }),
        step("tests' format", move || {
            if !process::is_there("npm") {
                return skipped(NODE);
            }
            npm_run(repository, &repository.root.join(JAVASCRIPT), "format")
        }),
        step("ruff", move || {
            if !tools::pip(
                repository,
                &repository.root.join(PYTHON_TESTS).join(REQUIREMENTS),
            )? {
                return skipped(PYTHON);
            }
            let ruff = |arguments: &[&str]| {
                let mut ruff = repository.command(tools::binary(repository, "ruff"));
                process::run(
                    ruff.args(arguments).args(["--no-cache", PYTHON_TESTS]),
                    SUITE,
                )
            };
            ruff(&["format", "--check"])?;
            passed(ruff(&["check"]))
        }),
    ]
}

/// What compiles: the check build serves Clippy and rustdoc, the debug build the unit tests, the release build the rest.
fn builds(repository: &Repository) -> Vec<Step<'_>> {
    vec![
        quick("clippy", move || {
            let arguments = [
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ];
            passed(process::run(repository.cargo().args(arguments), COMPILE))
        }),
        step("rustdoc", move || {
            let mut rustdoc = repository.cargo();
            rustdoc
                .args(["doc", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-Dwarnings");
            passed(process::run(&mut rustdoc, COMPILE))
        }),
        step(BUILD, move || {
            passed(process::run(repository.cargo().args(RELEASE), COMPILE))
        }),
        quick("unit", move || {
            let arguments: &[&str] = if tools::has(repository, "cargo-nextest") {
                &["nextest", "run", "--workspace", "--no-fail-fast"]
            } else {
                &[
                    "test",
                    "--workspace",
                    "--no-fail-fast",
                    "--lib",
                    "--bins",
                    "--tests",
                ]
            };
            passed(process::run(
                hand_over(repository, repository.cargo().args(arguments)),
                COMPILE,
            ))
        }),
        step("doctests", move || {
            passed(process::run(
                repository.cargo().args(["test", "--workspace", "--doc"]),
                COMPILE,
            ))
        }),
    ]
}

/// What runs the release program from outside, one step a suite.
fn suites(repository: &Repository, long: bool) -> Vec<Step<'_>> {
    let javascript = repository.root.join(JAVASCRIPT);
    let python = repository.root.join(PYTHON_TESTS);
    let mut steps = Vec::new();
    for suite in files(&javascript, "", ".test.mjs") {
        let folder = javascript.clone();
        steps.push(on_program(format!("js: {}", stem(&suite)), move || {
            if !process::is_there("npm") {
                return skipped(NODE);
            }
            tools::npm(repository, &folder)?;
            let mut node = repository.command("node");
            node.current_dir(&folder).arg("--test").arg(&suite);
            if long {
                node.env("HANDOVERS", REMOVED_FROM)
                    .env("HUB_HALT_SECONDS", HUB_HALT_SECONDS);
            }
            let limit = if long { LONG_SUITE } else { SUITE };
            passed(process::run(hand_over(repository, &mut node), limit))
        }));
    }
    for suite in files(&python, "test_", ".py") {
        let folder = python.clone();
        steps.push(on_program(format!("python: {}", stem(&suite)), move || {
            if !tools::pip(repository, &folder.join(REQUIREMENTS))? {
                return skipped(PYTHON);
            }
            let mut pytest = repository.command(tools::binary(repository, "python"));
            pytest
                .current_dir(&folder)
                .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
                .arg(&suite);
            passed(process::run(hand_over(repository, &mut pytest), SUITE))
        }));
    }
    steps
}

/// What crashes the program, and what asks it the public conformance cases.
fn rounds(repository: &Repository, long: bool) -> Vec<Step<'_>> {
    let limit = if long { ALL_ROUNDS } else { ROUNDS };
    let crash = move |kind: &str, rounds: &str| {
        let mut testkit = repository.command(repository.target.join("release/crash-rounds"));
        testkit.args([kind, "--rounds", rounds, "--seed", &seed()]);
        passed(process::run(hand_over(repository, &mut testkit), limit))
    };
    vec![
        on_program("crash: kill -9".to_owned(), move || {
            crash("kill", if long { "200" } else { "20" })
        }),
        on_program("crash: loss of power".to_owned(), move || {
            if OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/fuse")
                .is_err()
            {
                return skipped(FUSE);
            }
            crash("power", if long { "500" } else { "30" })
        }),
        // After the build it is there; it does not look at the program itself.
        on_program("simulation".to_owned(), move || {
            let mut simulate = repository.command(repository.target.join("release/simulate"));
            let (seeds, limit) = if long {
                (LONG_SEEDS, ALL_SEEDS)
            } else {
                (SEEDS, ROUNDS)
            };
            let from = days().saturating_mul(LONG_SEEDS).to_string();
            simulate.args(["--seeds", &seeds.to_string(), "--from", &from]);
            passed(process::run(&mut simulate, limit))
        }),
        on_program("conformance: rpc".to_owned(), move || {
            if !repository.vectors().is_dir() {
                return skipped("the conformance vectors: name their folder in CAUSEWAY_VECTORS");
            }
            passed(conformance::rpc(repository, &[]))
        }),
    ]
}

/// Tells a test where the program and the vectors are. Nothing else of ours is read from the environment.
fn hand_over<'c>(repository: &Repository, command: &'c mut Command) -> &'c mut Command {
    command
        .env("CAUSEWAY_BIN", repository.target.join("release/causeway"))
        .env("CAUSEWAY_VECTORS", repository.vectors())
}

/// The crash tests start elsewhere every day; the runner prints it, so that a failure can be had again.
fn seed() -> String {
    days().to_string()
}

fn days() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400)
}

/// Files directly in `folder`, sorted.
fn files(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let name_fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(prefix) && name.ends_with(suffix)
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(name_fits)
        .collect();
    files.sort();
    files
}

/// The name of a suite: the file's, up to the first dot.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// Runs a script of a `package.json`, after what it names is installed.
fn npm_run(repository: &Repository, folder: &Path, script: &str) -> Result<Verdict, Error> {
    tools::npm(repository, folder)?;
    let mut npm = repository.command("npm");
    passed(process::run(
        npm.current_dir(folder).args(["run", "--silent", script]),
        SUITE,
    ))
}

fn quick<'a>(name: &str, action: impl Fn() -> Result<Verdict, Error> + 'a) -> Step<'a> {
    Step {
        quick: true,
        ..step(name, action)
    }
}

fn step<'a>(name: &str, action: impl Fn() -> Result<Verdict, Error> + 'a) -> Step<'a> {
    Step {
        name: name.to_owned(),
        quick: false,
        needs_program: false,
        action: Box::new(action),
    }
}

fn on_program<'a>(name: String, action: impl Fn() -> Result<Verdict, Error> + 'a) -> Step<'a> {
    Step {
        name,
        quick: false,
        needs_program: true,
        action: Box::new(action),
    }
}

fn passed(result: Result<(), Error>) -> Result<Verdict, Error> {
    result.map(|()| Verdict::Passed)
}

fn skipped(needs: &str) -> Result<Verdict, Error> {
    Ok(Verdict::Skipped(needs.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::path::Path;

    use super::{files, stem};

    #[test]
    fn a_suite_is_a_file_of_its_kind_directly_in_the_folder() {
        let folder = env::temp_dir().join(format!("causeway-xtask-suites-{}", std::process::id()));
        fs::create_dir_all(folder.join("deep")).unwrap();
        for name in [
            "viem.test.mjs",
            "cast.test.mjs",
            "harness.mjs",
            "deep/x.test.mjs",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        let names: Vec<String> = files(&folder, "", ".test.mjs")
            .iter()
            .map(|path| stem(path))
            .collect();
        assert_eq!(names, ["cast", "viem"]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(files(&folder, "", "").is_empty());
    }

    #[test]
    fn a_suite_is_called_by_its_name_alone() {
        assert_eq!(
            stem(Path::new("tests/js/command-line.test.mjs")),
            "command-line"
        );
        assert_eq!(stem(Path::new("tests/python/test_web3.py")), "test_web3");
    }
}
