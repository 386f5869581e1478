//! `cargo xtask`: the tasks of this repository.
//!
//! ```text
//!  test ──▶ steps ──▶ fmt, tidy, clippy, …, black-box suites ──▶ table of minutes
//!           each step: one or more programs, a time limit, and what it needs to run at all
//!  tidy ──▶ rules ──▶ findings      (a rule is a pure function over a file's text)
//! ```
//!
//! Nothing here is part of the program: it needs Cargo and Git, and for some suites Node, Python and FUSE.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to a terminal"
)]

mod bench;
mod conformance;
mod contracts;
mod error;
mod minutes;
mod mutants;
mod process;
mod repository;
mod simulate;
mod test;
mod tidy;

use std::env;
use std::process::ExitCode;

use error::Error;
use repository::Repository;

const USAGE: &str = "\
usage: cargo xtask TASK

  test [--quick|--long] [--list] [STEP…]   everything that must hold; --quick leaves out what needs the release program
  tidy                                     the rules of style that no compiler holds
  contracts [--check]                      compile contracts/ (or check that the artifacts are in step)
  conformance rpc [DIR]                    JSON-RPC cases of DIR against the program
  simulate [--seeds N] [--from S] [--trace] cities in simulated time, each seed a world; a failing one replays exactly
  mutants [--list|--check] [NAME…]         break the code on purpose: each patch must turn its test red
  bench [P1 P6 P12 …]                      measure beside peers, write docs/performance.md
  minutes                                  how long the last test run took";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Reported) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Error> {
    let repository = Repository::find()?;
    match arguments {
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            minutes::print(&repository);
            Ok(())
        }
        ["test", rest @ ..] => test::run(&repository, rest),
        ["tidy"] => tidy::run(&repository),
        ["contracts"] => contracts::build(&repository),
        ["contracts", "--check"] => contracts::check(&repository),
        ["conformance", "rpc", rest @ ..] => conformance::rpc(&repository, rest),
        ["simulate", rest @ ..] => simulate::run(&repository, rest),
        ["mutants", rest @ ..] => mutants::run(&repository, rest),
        ["bench", rest @ ..] => bench::run(&repository, rest),
        ["minutes"] => {
            minutes::print(&repository);
            Ok(())
        }
        _ => Err(Error::Usage(USAGE)),
    }
}
