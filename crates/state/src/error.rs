//! Why the state could not answer.

use alloy_primitives::B256;
use store::tables::TablesError;

/// Why a question to a [`View`](crate::View), or a root, failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The tables could not be read.
    #[error("the state could not be read")]
    Tables(#[from] TablesError),
    /// A row that must be there is not, or has a form that nothing writes.
    #[error("the state is damaged: {what}; restore the city from its log or a snapshot")]
    Damaged {
        /// Which row, in words.
        what: &'static str,
    },
    /// No code of this hash was ever stored.
    #[error("no code has the hash {hash}")]
    NoCode {
        /// What was asked for.
        hash: B256,
    },
    /// A root can be prepared only on the latest block.
    #[error(
        "block {number} cannot be prepared on a view of block {parent} while the latest is {head}"
    )]
    NotNext {
        /// The block to prepare.
        number: u64,
        /// The block viewed.
        parent: u64,
        /// The latest block in the view's snapshot.
        head: u64,
    },
}

impl StateError {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }

    /// The stable text for the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Tables(_) => "state-unreadable",
            Self::Damaged { .. } => "state-damaged",
            Self::NoCode { .. } => "code-unknown",
            Self::NotNext { .. } => "state-not-next",
        }
    }
}

/// Why there is no view of a block.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// What that block's state was is no longer kept.
    #[error("the state of block {number} is no longer kept; the oldest kept is that of {oldest}")]
    NotKept {
        /// The block asked for.
        number: u64,
        /// The oldest block that can be asked for.
        oldest: u64,
    },
    /// There is no such block yet.
    #[error("block {number} is not there yet; the latest is {head}")]
    NotYet {
        /// The block asked for.
        number: u64,
        /// The latest block.
        head: u64,
    },
    /// The tables could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl ViewError {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::NotYet { .. })
    }

    /// The stable text for the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotKept { .. } => "state-not-kept",
            Self::NotYet { .. } => "block-unknown",
            Self::State(source) => source.code(),
        }
    }
}
