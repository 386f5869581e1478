//! `crash-rounds kill|power`: crashes the release program again and again and holds it to its word.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use testkit::crash_rounds::{self, Crash, Plan};
use testkit::power_cut::{Model, PowerCut};

/// Crashes the program under load, starts it again and checks that every promise holds.
#[derive(Parser)]
struct Arguments {
    /// How to crash it.
    #[arg(value_enum)]
    crash: How,
    /// How often.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Where the random decisions begin; each round adds one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The release program.
    #[arg(long, env = "CAUSEWAY_BIN", default_value = "target/release/causeway")]
    bin: PathBuf,
    /// When a loss of power leaves names: to tell a promise that POSIX makes from one that most file
    /// systems keep.
    #[arg(long, value_enum, default_value_t = Names::Strict)]
    names: Names,
    /// Say nothing of single rounds.
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum How {
    /// `kill -9`.
    Kill,
    /// A loss of power, on a simulated disk. Needs /dev/fuse.
    Power,
}

#[derive(Clone, Copy, ValueEnum)]
enum Names {
    /// After a sync of their folder, as POSIX has it.
    Strict,
    /// After a sync of the file too, as all journalling file systems have it.
    Files,
    /// After any sync, as ext4 has it.
    Journal,
}

fn main() -> ExitCode {
    let Arguments {
        crash,
        rounds,
        seed,
        bin,
        names,
        quiet,
    } = Arguments::parse();
    let crash = match crash {
        How::Kill => Crash::Kill,
        How::Power if !PowerCut::is_available() => {
            println!("skipped: a simulated disk needs /dev/fuse");
            return ExitCode::SUCCESS;
        }
        How::Power => Crash::Power(match names {
            Names::Strict => Model::Strict,
            Names::Files => Model::FilesWithNames,
            Names::Journal => Model::OneJournal,
        }),
    };
    println!("{rounds} rounds from seed {seed}");
    let plan = Plan {
        crash,
        rounds,
        seed,
        program: bin,
    };
    let progress = |line: &str| {
        if !quiet {
            eprintln!("{line}");
        }
    };
    match crash_rounds::run(&plan, progress) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}
