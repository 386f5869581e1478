//! What the engine wants done, and how it fails.

use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, B256, Bytes};
use store::tables::Batch;
use types::{Certificate, ValidatorSet};

use crate::import::ImportError;
use crate::peer::PeerMessage;
use crate::{Block, BuildError, ReadError};

/// What the driver must do, in this order, and nothing after the first that fails.
#[derive(Debug)]
pub enum Effect {
    /// Append this payload to the log.
    Append(Vec<u8>),
    /// Make all that was appended durable.
    Sync,
    /// Write the rows of a decided block, then give it back by [`Engine::committed`](crate::Engine::committed). What that answers comes after the
    /// rest of this list.
    Commit(Box<Commit>),
    /// Send to other cities of the chain. May be lost; then the cities exchange their tips again.
    Send {
        /// To whom.
        to: Recipients,
        /// What.
        message: PeerMessage,
    },
    /// Run a timer, in place of the earlier one with the same [`Timer::key`].
    Schedule {
        /// Which.
        timer: Timer,
        /// From now.
        after: Duration,
    },
    /// Stop all timers of consensus.
    CancelTimeouts,
    /// Write rows that prove that a validator signed twice.
    Evidence(Batch),
    /// A line for the operator.
    Notice(Notice),
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// All other validators of the chain.
    All,
    /// One city.
    One(Address),
}

/// A timer of a chain; given back whole by [`Engine::timer`](crate::Engine::timer) when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// One of consensus.
    Consensus(consensus::Timeout),
    /// What is missing of a proposed block, or may be missing of the chain, is asked for again.
    Ask,
    /// Decided blocks that were asked for did not come.
    Follow,
    /// A proposal that had to wait for the clock is tried again.
    Clock,
    /// A delayed message of this validator may start a height.
    Signer(Address),
    /// This transaction may start a height again.
    Transaction(B256),
    /// A handover that was left out may start a height again.
    Handover,
}

/// Tells which timer replaces which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKey {
    /// One of each kind.
    Consensus(consensus::TimeoutKind),
    /// One.
    Ask,
    /// One.
    Follow,
    /// One.
    Clock,
    /// One a validator.
    Signer(Address),
    /// One a transaction.
    Transaction(B256),
    /// One.
    Handover,
}

impl Timer {
    /// Which earlier timer it replaces.
    #[must_use]
    pub const fn key(&self) -> TimerKey {
        match self {
            Self::Consensus(timeout) => TimerKey::Consensus(timeout.kind),
            Self::Ask => TimerKey::Ask,
            Self::Follow => TimerKey::Follow,
            Self::Clock => TimerKey::Clock,
            Self::Signer(signer) => TimerKey::Signer(*signer),
            Self::Transaction(hash) => TimerKey::Transaction(*hash),
            Self::Handover => TimerKey::Handover,
        }
    }
}

/// What an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The clock is behind the latest block, or is not any more.
    ClockBehind {
        /// By how many milliseconds; `None`: it is right again.
        by_ms: Option<u64>,
    },
    /// The clock is far from the median of the other validators', or is not any more.
    ClockFar {
        /// By how many milliseconds theirs are ahead, less than zero: behind; `None`: it is right again.
        ahead_ms: Option<i64>,
    },
    /// A message of another city was refused.
    Refused {
        /// Whose.
        from: Address,
        /// Why, in a word or two: what is counted.
        reason: &'static str,
        /// Whether no honest city of the chain ever sends such a message.
        grave: bool,
    },
    /// So many grave messages of this city were refused that it should not be heard for a while; once a minute at most.
    Untrue {
        /// Which.
        from: Address,
    },
    /// A block that was proposed breaks a rule.
    InvalidBlock {
        /// Who proposed it.
        proposer: Address,
        /// The block.
        hash: B256,
    },
    /// This city lost its log and learned up to which height it must sign nothing.
    Silent {
        /// That height.
        until: u64,
    },
    /// This city knows of blocks that it does not have.
    Behind {
        /// Its latest block.
        number: u64,
        /// The latest that another city has.
        of: u64,
    },
}

/// Rows of a decided block, and the block.
#[derive(Debug)]
pub struct Commit {
    /// What to write, at once.
    pub batch: Batch,
    /// What was decided.
    pub decided: Decided,
}

/// A decided block.
#[derive(Debug)]
pub struct Decided {
    /// The block.
    pub block: Arc<Block>,
    /// Its receipts.
    pub receipts: Arc<Vec<ReceiptEnvelope>>,
    /// The round in which it was decided.
    pub round: u32,
    pub(crate) certificate: Certificate,
    pub(crate) requests: Vec<Bytes>,
    /// The set from the next height on, when it is another.
    pub(crate) next_set: Option<ValidatorSet>,
    /// Whether it cites the hub as far ahead as one proof reaches, so that the next block may have to go on from there.
    pub(crate) is_on_the_way: bool,
    pub(crate) prepared: state::Prepared,
    /// Bytes of the chain's rows with it, as a [`Quota`](crate::Quota) counts them.
    pub size: u64,
}

/// Why a chain stops until it is started again from its log.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The consensus core failed.
    #[error("consensus failed")]
    Consensus(#[from] consensus::Error),
    /// Proposers cannot be told.
    #[error("the proposers of the next height are not known")]
    Proposers(#[from] consensus::MissingHeader),
    /// No block could be built.
    #[error("no block could be built")]
    Build(#[from] BuildError),
    /// A block could not be executed: here, whatever it is.
    #[error("a block could not be executed")]
    Import(#[from] ImportError),
    /// The chain could not be read.
    #[error("the chain could not be read")]
    Read(#[from] ReadError),
    /// A block was decided that this city does not have.
    #[error("block {hash} was decided and is not here")]
    UnknownDecision {
        /// The block.
        hash: B256,
    },
    /// A block was wanted while no height runs: an error of this program.
    #[error("a block was wanted while no height is being agreed on")]
    NoHeight,
    /// The chain is not one of ours.
    #[error("a chain without a record cannot be continued here")]
    Foreign,
    /// Another process signs with this city's key. Starting again does not help.
    #[error(
        "another process signs with this city's key: its message of height {height} was not made here; give this city a new key"
    )]
    KeyElsewhere {
        /// The height of the message, which is kept in the log.
        height: u64,
    },
}

/// What one call of the engine works on: when it is, and what is to be done.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) now_ms: u64,
    pub(crate) out: Vec<Effect>,
}

impl Call {
    pub(crate) const fn at(now_ms: u64) -> Self {
        Self {
            now_ms,
            out: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    pub(crate) fn send(&mut self, to: Address, message: PeerMessage) {
        self.push(Effect::Send {
            to: Recipients::One(to),
            message,
        });
    }

    pub(crate) fn send_all(&mut self, message: PeerMessage) {
        self.push(Effect::Send {
            to: Recipients::All,
            message,
        });
    }

    /// A message is of no use: it may have come late, or from a city that is behind.
    pub(crate) fn refuse(&mut self, from: Address, reason: &'static str) {
        self.push(Effect::Notice(Notice::Refused {
            from,
            reason,
            grave: false,
        }));
    }

    /// A message that no honest city of the chain sends.
    pub(crate) fn accuse(&mut self, from: Address, reason: &'static str) {
        self.push(Effect::Notice(Notice::Refused {
            from,
            reason,
            grave: true,
        }));
    }
}
