//! Why a task did not succeed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Every failure of this tool; [`fmt::Display`] gives the one line that a person reads.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line was not understood.
    Usage(&'static str),
    /// `cargo metadata` did not answer.
    Metadata(cargo_metadata::Error),
    /// A program could not be started.
    Start { program: String, source: io::Error },
    /// A program ended with a failure; it has said why.
    Failed { program: String, code: Option<i32> },
    /// A program took longer than its step may.
    TooLong { program: String, limit: Duration },
    /// A file or folder could not be read or written.
    File { path: PathBuf, source: io::Error },
    /// Something that must be there is not.
    Missing { what: String, hint: &'static str },
    /// The task ran and said itself what is wrong; nothing is to be added.
    Reported,
    /// The task ran and found what must not be.
    Found { count: usize, what: &'static str },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(usage) => f.write_str(usage),
            Self::Reported => f.write_str("see above"),
            Self::Metadata(source) => write!(f, "cargo metadata failed: {source}"),
            Self::Start { program, source } => {
                write!(f, "{program} could not be started: {source}")
            }
            Self::Failed {
                program,
                code: Some(code),
            } => write!(f, "{program} ended with code {code}"),
            Self::Failed {
                program,
                code: None,
            } => write!(f, "{program} was ended by a signal"),
            Self::TooLong { program, limit } => {
                write!(f, "{program} took more than {} s", limit.as_secs())
            }
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Missing { what, hint } => write!(f, "{what} is missing: {hint}"),
            Self::Found { count, what } => write!(f, "{count} {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Metadata(source) => Some(source),
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<cargo_metadata::Error> for Error {
    fn from(source: cargo_metadata::Error) -> Self {
        Self::Metadata(source)
    }
}
