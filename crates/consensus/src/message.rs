//! What validators say to each other, and its bytes on the wire and in the log.
//!
//! ```text
//!  message = version (1 byte) ‖ kind (1 byte) ‖ RLP list
//!  kind 1  vote               [1 prevote | 2 precommit, height, round, block hash, validator, signature]
//!  kind 2  proposal           [height, round, polRound + 1, block hash, proposer, signature]
//!  kind 3  polka certificate  [height, round, block hash, [[validator, signature], …]]
//!  kind 4  round certificate  [1 skip | 2 precommits, height, round,
//!                              [[1 | 2, block hash, validator, signature], …]]
//! ```
//!
//! The zero hash means nil, as in what is signed. Validators in a certificate are strictly ascending.
//! Decoding bounds everything and checks the form; whether a message is *true* is the matter of
//! [`authenticate`](crate::authenticate).

mod rlp;

use alloy_primitives::{Address, B256};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};
use types::validators::MAX_VALIDATORS;
use types::vote::MAX_ROUND;
use types::{Domain, Signature};

/// The version of all messages.
const VERSION: u8 = 1;

/// The largest message: a round certificate with all validators' signatures, each of at most 126 bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 + 126 * MAX_VALIDATORS;

/// A message of consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// One validator's vote.
    Vote(Vote),
    /// A proposer names a block. Its body travels beside it.
    Proposal(Proposal),
    /// Proof of a polka.
    Polka(PolkaCertificate),
    /// Proof that a round may be entered.
    Round(RoundCertificate),
}

/// Which of the two votes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoteKind {
    /// "I would take this block."
    Prevote = 1,
    /// "I am locked on this block." More than 2/3 of these decide.
    Precommit = 2,
}

/// A vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The block's number.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block, or zero for nil.
    pub block_hash: B256,
    /// Who votes.
    pub validator: Address,
    /// Over the EIP-712 hash `Prevote` or `Commit`.
    pub signature: Signature,
}

/// A proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The block's number.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The earlier round in which this block got a polka, if it did.
    pub pol_round: Option<u32>,
    /// The block, never zero.
    pub block_hash: B256,
    /// Who proposes.
    pub proposer: Address,
    /// Over the EIP-712 hash `Proposal`.
    pub signature: Signature,
}

/// Prevotes of more than 2/3 of the power for one block in one round.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct PolkaCertificate {
    /// The block's number.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block, never zero.
    pub block_hash: B256,
    /// The prevotes.
    pub signatures: Vec<PolkaSignature>,
}

/// One prevote in a [`PolkaCertificate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct PolkaSignature {
    /// Who voted.
    pub validator: Address,
    /// Over the EIP-712 hash `Prevote`.
    pub signature: Signature,
}

/// What a [`RoundCertificate`] proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundCertificateKind {
    /// Votes of more than 1/3 of the power in this round: it may be entered.
    Skip = 1,
    /// Precommits of more than 2/3 of the power in this round: the next may be entered.
    Precommits = 2,
}

/// Votes, for whatever block or for nil, that allow a round to be entered.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct RoundCertificate {
    /// What it proves.
    pub kind: RoundCertificateKind,
    /// The block's number.
    pub height: u64,
    /// The round of the votes.
    pub round: u32,
    /// The votes.
    pub signatures: Vec<RoundSignature>,
}

/// One vote in a [`RoundCertificate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct RoundSignature {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The block, or zero for nil.
    pub block_hash: B256,
    /// Who voted.
    pub validator: Address,
    /// Over the EIP-712 hash `Prevote` or `Commit`.
    pub signature: Signature,
}

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_MESSAGE_BYTES`].
    #[error("{bytes} bytes are more than a message has")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Fewer than the two bytes before the list.
    #[error("it ends before it begins")]
    TooShort,
    /// A version that this release does not know.
    #[error("version {version} is unknown")]
    Version {
        /// The version.
        version: u8,
    },
    /// A kind that this version does not have.
    #[error("kind {kind} is unknown")]
    Kind {
        /// The kind.
        kind: u8,
    },
    /// Not the RLP of that kind, or something after it.
    #[error("not the encoding of its kind")]
    Rlp(#[source] alloy_rlp::Error),
    /// It says what no validator may say.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// A message that is none, whoever signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Above [`MAX_ROUND`].
    #[error("round {round} is above the last one")]
    Round {
        /// The round.
        round: u32,
    },
    /// A proposal or a polka certificate for nil.
    #[error("it names no block")]
    Nil,
    /// A proposal whose polka would be of its own round or a later one.
    #[error("the polka of round {pol_round} is not before round {round}")]
    PolRound {
        /// The proposal's round.
        round: u32,
        /// The polka's.
        pol_round: u32,
    },
    /// Validators of a certificate that are not strictly ascending, or too many.
    #[error("the validators of the certificate are out of order, repeated or too many")]
    Validators,
    /// A prevote where only precommits count.
    #[error("a prevote in a certificate of precommits")]
    Prevote,
}

impl Message {
    /// The height that it is about.
    #[must_use]
    pub const fn height(&self) -> u64 {
        match self {
            Self::Vote(vote) => vote.height,
            Self::Proposal(proposal) => proposal.height,
            Self::Polka(certificate) => certificate.height,
            Self::Round(certificate) => certificate.height,
        }
    }

    /// The round that it is about.
    #[must_use]
    pub const fn round(&self) -> u32 {
        match self {
            Self::Vote(vote) => vote.round,
            Self::Proposal(proposal) => proposal.round,
            Self::Polka(certificate) => certificate.round,
            Self::Round(certificate) => certificate.round,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body): (u8, &dyn Encodable) = match self {
            Self::Vote(vote) => (1, vote),
            Self::Proposal(proposal) => (2, proposal),
            Self::Polka(certificate) => (3, certificate),
            Self::Round(certificate) => (4, certificate),
        };
        let mut out = Vec::with_capacity(2 + body.length());
        out.extend([VERSION, kind]);
        body.encode(&mut out);
        out
    }

    /// Reads one message that fills `bytes`. Never panics; a message that is read encodes to the
    /// same bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(DecodeError::TooLarge { bytes: bytes.len() });
        }
        let [version, kind, body @ ..] = bytes else {
            return Err(DecodeError::TooShort);
        };
        if *version != VERSION {
            return Err(DecodeError::Version { version: *version });
        }
        let message = match kind {
            1 => alloy_rlp::decode_exact(body).map(Self::Vote),
            2 => alloy_rlp::decode_exact(body).map(Self::Proposal),
            3 => alloy_rlp::decode_exact(body).map(Self::Polka),
            4 => alloy_rlp::decode_exact(body).map(Self::Round),
            &kind => return Err(DecodeError::Kind { kind }),
        };
        let message = message.map_err(DecodeError::Rlp)?;
        message.check_form()?;
        Ok(message)
    }

    /// The rules that hold whatever the chain, the height and the set.
    pub(crate) fn check_form(&self) -> Result<(), FormError> {
        let round = self.round();
        if round > MAX_ROUND {
            return Err(FormError::Round { round });
        }
        match self {
            Self::Vote(_) => Ok(()),
            Self::Proposal(proposal) => match proposal.pol_round {
                _ if proposal.block_hash.is_zero() => Err(FormError::Nil),
                Some(pol_round) if pol_round >= round => {
                    Err(FormError::PolRound { round, pol_round })
                }
                _ => Ok(()),
            },
            Self::Polka(certificate) if certificate.block_hash.is_zero() => Err(FormError::Nil),
            Self::Polka(certificate) => {
                ascending(certificate.signatures.iter().map(|signed| signed.validator))
            }
            Self::Round(certificate) => {
                let only_precommits = certificate.kind == RoundCertificateKind::Precommits;
                let prevote = |signed: &RoundSignature| signed.kind == VoteKind::Prevote;
                if only_precommits && certificate.signatures.iter().any(prevote) {
                    return Err(FormError::Prevote);
                }
                ascending(certificate.signatures.iter().map(|signed| signed.validator))
            }
        }
    }
}

impl Vote {
    /// What its validator signs.
    #[must_use]
    pub fn digest(&self, domain: &Domain) -> B256 {
        match self.kind {
            VoteKind::Prevote => domain.prevote_hash(self.height, self.round, self.block_hash),
            VoteKind::Precommit => domain.commit_hash(self.height, self.round, self.block_hash),
        }
    }
}

impl Proposal {
    /// What its proposer signs.
    #[must_use]
    pub fn digest(&self, domain: &Domain) -> B256 {
        let pol_round = self.pol_round.map_or(-1, i64::from);
        domain.proposal_hash(self.height, self.round, pol_round, self.block_hash)
    }
}

impl From<Vote> for Message {
    fn from(vote: Vote) -> Self {
        Self::Vote(vote)
    }
}

impl From<Proposal> for Message {
    fn from(proposal: Proposal) -> Self {
        Self::Proposal(proposal)
    }
}

fn ascending(validators: impl ExactSizeIterator<Item = Address>) -> Result<(), FormError> {
    if validators.len() <= MAX_VALIDATORS && validators.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(FormError::Validators)
    }
}

#[cfg(test)]
pub(crate) mod tests;
