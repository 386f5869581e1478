//! Public JSON-RPC conformance cases against a server of ours.
//!
//! ```text
//!  tests/METHOD/NAME.io ─▶ Case ─▶ exchange by exchange over HTTP ─▶ comparison, or schema ─▶ Report
//!  tests/genesis.json, chain.rlp ─▶ production executor and root check ─▶ rpc server ──┘
//! ```
//!
//! The cases are those of the `execution-apis` repository; the rules of comparing are those of its
//! runner, which the folder's README states. They run in alphabetical order, each once. A case that
//! cannot pass stands in `exclusions` with its reason; it is run all the same, and a case that is
//! excluded and passes is a failure, so that the table stays true.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::case::{Case, CaseError};
use self::schema::Schemas;
use crate::client::{Client, ClientError};

pub mod case;
pub mod chain;
mod comparison;
mod exclusions;
mod schema;
pub mod server;

pub use self::schema::SchemaError;

/// The upstream runner's patience with one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of an answer that differs, as much is shown.
const SHOWN_CHARS: usize = 600;

/// Why the cases could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ConformanceError {
    /// The folder has no cases, or they cannot be read.
    #[error("cannot read {}", .path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no case.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The methods' schemas cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// An exclusion names no case.
    #[error("the exclusion of {name} names no case: remove it")]
    Stale {
        /// The method or case it names.
        name: &'static str,
    },
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected, and why.
    Failed(String),
    /// Cannot pass, and why; and it did not.
    Excluded(&'static str),
}

/// All outcomes, in the order of running.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// `METHOD/NAME` and what became of it.
    pub outcomes: Vec<(String, Outcome)>,
}

/// Runs all cases below `folder`, whose name begins with `only`, against the server at `url`.
/// `openrpc` is the file with the methods' schemas.
///
/// # Errors
///
/// [`ConformanceError`]; a case that fails is no error.
pub fn run(
    folder: &Path,
    openrpc: &Path,
    url: &str,
    only: &str,
) -> Result<Report, ConformanceError> {
    let cases = case::read_all(folder)?;
    if let Some(name) = exclusions::stale(&cases) {
        return Err(ConformanceError::Stale { name });
    }
    let schemas = Schemas::read(openrpc)?;
    let outcomes = cases
        .iter()
        .filter(|case| case.name.starts_with(only))
        .map(|case| {
            let outcome = match (attempt(case, &schemas, url), exclusions::reason(&case.name)) {
                (Ok(()), None) => Outcome::Passed,
                (Ok(()), Some(_)) => Outcome::Failed("passes, but is excluded".to_owned()),
                (Err(why), None) => Outcome::Failed(why.to_string()),
                (Err(_), Some(reason)) => Outcome::Excluded(reason),
            };
            (case.name.clone(), outcome)
        })
        .collect();
    Ok(Report { outcomes })
}

/// Why a case fails.
#[derive(Debug, thiserror::Error)]
enum Difference {
    #[error("no answer: {0}")]
    Client(#[from] ClientError),
    #[error("no JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{place}: expected {}, got {}", shorten(.expected), shorten(.found))]
    Value {
        place: String,
        expected: String,
        found: String,
    },
    #[error("{0}")]
    Schema(String),
}

fn attempt(case: &Case, schemas: &Schemas, url: &str) -> Result<(), Difference> {
    let mut client = Client::connect(url, PATIENCE)?;
    for exchange in &case.exchanges {
        let answer: Value = serde_json::from_slice(&client.post(exchange.request.as_bytes())?)?;
        let expected = &exchange.response;
        match (case.only_schema, answer.get("result")) {
            (true, Some(result)) => {
                let method = case.method();
                schemas.check(method, result).map_err(Difference::Schema)?;
            }
            // Where only the form counts, one error is as good as another.
            (true, None) if expected.get("error").is_some() && answer.get("error").is_some() => {}
            (true | false, _) => comparison::compare(expected, &answer)?,
        }
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

impl Report {
    /// Whether no case failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_))) == 0
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| wanted(outcome))
            .count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            match outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => writeln!(f, "failed    {name}\n          {why}")?,
                Outcome::Excluded(reason) => writeln!(f, "excluded  {name}: {reason}")?,
            }
        }
        let passed = self.count(|outcome| matches!(outcome, Outcome::Passed));
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let excluded = self.count(|outcome| matches!(outcome, Outcome::Excluded(_)));
        writeln!(f, "{passed} passed, {failed} failed, {excluded} excluded")
    }
}
