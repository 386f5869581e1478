//! What an instance writes to the log, and reads back after a crash.
//!
//! ```text
//!  record = version (1 byte) ‖ kind (1 byte) ‖ body
//!  kind 1  value     RLP [height, round, polRound + 1, proposer, block hash, valid]
//!  kind 2  timeout   RLP [height, round, 1 propose | 2 prevote | 3 precommit]
//!  kind 3  message   the message, its own version first
//! ```
//!
//! Every record names its height: a log is read by whoever restarts, and a time-out that was taken
//! for one of another height would make it vote differently.

use alloy_primitives::{Address, B256};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};

use crate::message::{DecodeError, Message};
use crate::timeouts::TimeoutKind;

/// The version of all records.
const VERSION: u8 = 1;

/// One record of one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A block is known and judged.
    Value(Value),
    /// A time-out took place.
    Timeout {
        /// The height.
        height: u64,
        /// The round.
        round: u32,
        /// Which; never [`TimeoutKind::Rebroadcast`].
        kind: TimeoutKind,
    },
    /// A message was accepted, or signed here.
    Message(Message),
}

/// A block and the verdict on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The block's number.
    pub height: u64,
    /// The round of the proposal that named it.
    pub round: u32,
    /// The round of that proposal's polka.
    pub pol_round: Option<u32>,
    /// Who proposed it.
    pub proposer: Address,
    /// The block's hash.
    pub block_hash: B256,
    /// Whether every city must take it.
    pub valid: bool,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ValueBody {
    height: u64,
    round: u32,
    pol_round_plus_one: u32,
    proposer: Address,
    block_hash: B256,
    valid: bool,
}

#[derive(RlpEncodable, RlpDecodable)]
struct TimeoutBody {
    height: u64,
    round: u32,
    kind: u8,
}

impl Record {
    /// The height that it belongs to.
    #[must_use]
    pub const fn height(&self) -> u64 {
        match self {
            Self::Value(value) => value.height,
            Self::Timeout { height, .. } => *height,
            Self::Message(message) => message.height(),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Value(value) => {
                out.push(1);
                ValueBody {
                    height: value.height,
                    round: value.round,
                    pol_round_plus_one: value.pol_round.map_or(0, |round| round.saturating_add(1)),
                    proposer: value.proposer,
                    block_hash: value.block_hash,
                    valid: value.valid,
                }
                .encode(&mut out);
            }
            Self::Timeout {
                height,
                round,
                kind,
            } => {
                out.push(2);
                TimeoutBody {
                    height: *height,
                    round: *round,
                    kind: *kind as u8,
                }
                .encode(&mut out);
            }
            Self::Message(message) => {
                out.push(3);
                out.extend(message.encode());
            }
        }
        out
    }

    /// Reads one record that fills `bytes`. Never panics.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let [version, kind, body @ ..] = bytes else {
            return Err(DecodeError::TooShort);
        };
        if *version != VERSION {
            return Err(DecodeError::Version { version: *version });
        }
        match kind {
            1 => {
                let value: ValueBody = alloy_rlp::decode_exact(body).map_err(DecodeError::Rlp)?;
                Ok(Self::Value(Value {
                    height: value.height,
                    round: value.round,
                    pol_round: value.pol_round_plus_one.checked_sub(1),
                    proposer: value.proposer,
                    block_hash: value.block_hash,
                    valid: value.valid,
                }))
            }
            2 => {
                let timeout: TimeoutBody =
                    alloy_rlp::decode_exact(body).map_err(DecodeError::Rlp)?;
                let kind = match timeout.kind {
                    1 => TimeoutKind::Propose,
                    2 => TimeoutKind::Prevote,
                    3 => TimeoutKind::Precommit,
                    kind => return Err(DecodeError::Kind { kind }),
                };
                Ok(Self::Timeout {
                    height: timeout.height,
                    round: timeout.round,
                    kind,
                })
            }
            3 => Message::decode(body).map(Self::Message),
            &kind => Err(DecodeError::Kind { kind }),
        }
    }
}

#[cfg(test)]
mod tests;
