//! What an instance is told, what it wants done, and how it fails.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use types::{Certificate, CertificateError, Domain, NodeKey};

use crate::authentic::Authentic;
use crate::message::Message;
use crate::record::Record;
use crate::timeouts::{Timeout, TimeoutKind, Timeouts};

/// Who this city is on this chain, and how long it waits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain and network that every signature names.
    pub domain: Domain,
    /// This city's key. A city that is not in the set follows without voting.
    pub key: Arc<NodeKey>,
    /// Whether it follows without voting though it is in the set: it does not know what it signed.
    pub silent: bool,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// How long the proposer of each of the first rounds is awaited, before what the round adds; of
    /// later rounds as the time-outs say.
    pub proposers: Vec<Duration>,
}

impl Config {
    /// How long a timer of this kind runs in this round.
    pub(crate) fn duration(&self, kind: TimeoutKind, round: u32) -> Duration {
        let place = usize::try_from(round).unwrap_or(usize::MAX);
        match (kind, self.proposers.get(place)) {
            (TimeoutKind::Propose, Some(base)) => self.timeouts.proposal(*base, round),
            _ => self.timeouts.duration(kind, round),
        }
    }
}

/// What an instance is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The block built here for [`Effect::GetValue`]; its body is in the log.
    /// Ignored when that round is over.
    Propose {
        /// The round for which it was asked.
        round: u32,
        /// The block's hash.
        block_hash: B256,
    },
    /// The verdict on a block that somebody else proposed; its body is in the log.
    Value {
        /// The round of the proposal that named it.
        round: u32,
        /// The round of that proposal's polka, if it had one.
        pol_round: Option<u32>,
        /// Who signed that proposal.
        proposer: Address,
        /// The block's hash.
        block_hash: B256,
        /// Whether every city must take it, or none may: never a matter of lateness.
        valid: bool,
    },
    /// A message of another validator. One of another height is ignored.
    Message(Authentic),
    /// A timer is over. One of another height, or that was cancelled or replaced, is ignored.
    Timeout(Timeout),
    /// A decision taken elsewhere, whose block is here, executed and found valid.
    Certificate(Certificate),
}

/// What the host must do, in this order, and nothing after the first that fails.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append this to the log.
    Append(Record),
    /// Make everything appended to the log durable, bodies included, before the effects after this.
    Sync,
    /// A block is wanted for this round: answer with [`Input::Propose`], soon or late, but once.
    GetValue {
        /// The round that it is for.
        round: u32,
    },
    /// Send this to all validators of the chain; a proposal of this city together with its body.
    Publish(Message),
    /// Send the body of this block again to all validators.
    Restream {
        /// The block's hash.
        block_hash: B256,
    },
    /// Run a timer, in place of the earlier one of its kind.
    Schedule(Timeout),
    /// Stop all timers of the chain.
    CancelTimeouts,
    /// The height is decided. More effects may follow.
    Decide {
        /// The proof, addresses ascending.
        certificate: Certificate,
    },
    /// Validators that signed two different messages for one step: proofs, both sides signed.
    Evidence(Vec<Equivocation>),
}

/// Two different messages of one validator for one height, round and step.
#[derive(Clone, Debug, PartialEq)]
pub struct Equivocation {
    /// The one seen first.
    pub first: Message,
    /// The one that contradicts it.
    pub second: Message,
}

/// Why an instance is unusable, unless the variant says otherwise. It must be dropped, with nothing
/// of this call performed, and the chain started again from its log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library panicked: on a broken assertion, or because more than f validators conspire.
    #[error("the consensus core panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The library refused to go on, for example because the log contradicts what it derives.
    #[error("the consensus core failed")]
    Core(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An earlier call failed.
    #[error("the instance failed before; start it again from the log")]
    Unusable,
    /// The log holds a record of a height that cannot have begun.
    #[error("the log holds a record of height {record} while height {height} is undecided")]
    LogAhead {
        /// The height that was to be started.
        height: u64,
        /// The height of the record.
        record: u64,
    },
    /// The core wants something signed that contradicts what this city signed before.
    #[error("a second {what} was to be signed at height {height} in round {round}")]
    SignsTwice {
        /// The height.
        height: u64,
        /// The round.
        round: u32,
        /// What: a kind of vote, or a proposal.
        what: &'static str,
    },
    /// The round to sign for is beyond the last one.
    #[error("round {round} is beyond the last one")]
    RoundTooHigh {
        /// The round.
        round: i64,
    },
    /// The library asked for something that it has no reason to.
    #[error("the consensus core asked for {what}")]
    Unexpected {
        /// What it asked for.
        what: &'static str,
    },
    /// The certificate is of another height. The instance is as it was.
    #[error("a certificate of height {certificate} at height {height}")]
    OtherHeight {
        /// The height that is being agreed on.
        height: u64,
        /// The certificate's.
        certificate: u64,
    },
    /// The certificate does not prove a decision. The instance is as it was.
    #[error("the certificate proves no decision of height {height}")]
    BadCertificate {
        /// The height that is being agreed on.
        height: u64,
        /// What is wrong with it.
        source: CertificateError,
    },
}
