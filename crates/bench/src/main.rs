//! Measures the program beside its peers: `cargo xtask bench [P1 P6 P12]`.
//!
//! Each target takes rounds of ours and the peer's in turn (A B A B …) on the machine it is run on, and writes its rows into
//! `docs/performance.json` and `docs/performance.md`; rows of targets that were not run stay as they are. Absolute figures
//! belong to one machine at one moment: what is compared is the ratio within a run.

mod cities;
mod client;
mod cometbft;
mod finality;
mod load;
mod machine;
mod offer;
mod program;
mod report;
mod rival;
mod rounds;
mod steady;
mod targets {
    pub(crate) mod agreement;
    pub(crate) mod hub;
    pub(crate) mod loss;
    pub(crate) mod network;
    pub(crate) mod sizes;
    pub(crate) mod start;
    pub(crate) mod store;
    pub(crate) mod throughput;
    pub(crate) mod trie;
}
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use program::Programs;
use report::Report;

/// A target's name and what measures it.
type Target = (
    &'static str,
    fn(&Programs, &mut Report) -> Result<(), Failed>,
);

const TARGETS: [Target; 10] = [
    ("H", targets::hub::run),
    ("P1", targets::throughput::run),
    ("P2", targets::agreement::run),
    ("P2-n", targets::sizes::run),
    ("P4", targets::network::idle),
    ("P5", targets::network::creation),
    ("P6", targets::trie::run),
    ("P12", targets::start::run),
    ("P13", targets::loss::run),
    ("S1", targets::store::run),
];

/// Before a number of rounds.
const ROUNDS: &str = "--rounds=";

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no target {name}; there are {}", TARGETS.map(|(name, _)| name).join(", "))]
    NoTarget { name: String },
    #[error("{what} is not there; hint: {hint}")]
    Missing { what: String, hint: &'static str },
    #[error("cannot run {program}")]
    Run {
        program: String,
        source: std::io::Error,
    },
    #[error("{program} did not answer within {seconds} s")]
    Silent { program: String, seconds: u64 },
    #[error(transparent)]
    Client(#[from] client::ClientError),
    #[error("{refused} of a load were refused; the first: {first}")]
    Refused { refused: usize, first: String },
    #[error("{confirmed} of {accepted} accepted transactions were confirmed")]
    Unconfirmed { confirmed: u64, accepted: u64 },
    #[error("cannot read or write {}", .path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not what this program writes", .path.display())]
    Report {
        path: PathBuf,
        source: serde_json::Error,
    },
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// As many as the command line says (`--rounds=N`), else as many as the target takes.
fn rounds(usual: usize) -> usize {
    let argument =
        std::env::args().find_map(|argument| argument.strip_prefix(ROUNDS)?.parse().ok());
    argument.unwrap_or(usual).max(1)
}

fn measure() -> Result<(), Failed> {
    let arguments = std::env::args().skip(1);
    let asked: Vec<String> = arguments.filter(|name| !name.starts_with(ROUNDS)).collect();
    for name in &asked {
        if !TARGETS.iter().any(|(target, _)| target == name) {
            return Err(Failed::NoTarget { name: name.clone() });
        }
    }
    let programs = Programs::find()?;
    for (name, run) in TARGETS {
        if asked.is_empty() || asked.iter().any(|target| target == name) {
            eprintln!("{name}: load of the machine {:.2}", machine::load_average());
            let mut report = Report::default();
            run(&programs, &mut report)?;
            report.save(&programs.repository)?;
        }
    }
    Ok(())
}
