//! From our messages and records to the library's inputs, and back.

use alloy_primitives::B256;
use arc_malachitebft_core_consensus::{Input, ProposedValue};
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{
    NilOrVal, Round, SignedProposal, SignedVote, ValueOrigin, VoteType,
};
use types::certificate::CommitSignature;
use types::{Certificate, Signature};

use crate::context::{Addr, CoreProposal, CoreVote, Ctx, Hash, Height};
use crate::message::{
    Message, PolkaCertificate, PolkaSignature, Proposal, RoundCertificate, RoundCertificateKind,
    RoundSignature, Vote, VoteKind,
};
use crate::record::{Record, Value};
use crate::timeouts::TimeoutKind;

pub(crate) const fn value(block_hash: B256) -> NilOrVal<Hash> {
    if block_hash.const_is_zero() {
        NilOrVal::Nil
    } else {
        NilOrVal::Val(Hash(block_hash))
    }
}

const fn block_hash(value: &NilOrVal<Hash>) -> B256 {
    match value {
        NilOrVal::Nil => B256::ZERO,
        NilOrVal::Val(hash) => hash.0,
    }
}

/// The number of a round that exists.
pub(crate) fn number(round: Round) -> u32 {
    round
        .as_u32()
        .expect("the library votes and proposes in no round but real ones")
}

impl From<VoteKind> for VoteType {
    fn from(kind: VoteKind) -> Self {
        match kind {
            VoteKind::Prevote => Self::Prevote,
            VoteKind::Precommit => Self::Precommit,
        }
    }
}

impl From<VoteType> for VoteKind {
    fn from(kind: VoteType) -> Self {
        match kind {
            VoteType::Prevote => Self::Prevote,
            VoteType::Precommit => Self::Precommit,
        }
    }
}

impl CoreVote {
    pub(crate) fn signed(&self, signature: Signature) -> Vote {
        Vote {
            kind: self.kind.into(),
            height: self.height.0,
            round: number(self.round),
            block_hash: block_hash(&self.value),
            validator: self.validator.0,
            signature,
        }
    }
}

impl CoreProposal {
    pub(crate) fn signed(&self, signature: Signature) -> Proposal {
        Proposal {
            height: self.height.0,
            round: number(self.round),
            pol_round: self.pol_round.as_u32(),
            block_hash: self.value.0,
            proposer: self.proposer.0,
            signature,
        }
    }
}

impl From<SignedVote<Ctx>> for Message {
    fn from(vote: SignedVote<Ctx>) -> Self {
        Self::Vote(vote.message.signed(vote.signature))
    }
}

impl From<SignedProposal<Ctx>> for Message {
    fn from(proposal: SignedProposal<Ctx>) -> Self {
        Self::Proposal(proposal.message.signed(proposal.signature))
    }
}

impl From<core::PolkaCertificate<Ctx>> for Message {
    fn from(certificate: core::PolkaCertificate<Ctx>) -> Self {
        let signed = |s: core::PolkaSignature<Ctx>| PolkaSignature {
            validator: s.address.0,
            signature: s.signature,
        };
        let mut signatures: Vec<_> = certificate
            .polka_signatures
            .into_iter()
            .map(signed)
            .collect();
        signatures.sort_by_key(|signed| signed.validator);
        Self::Polka(PolkaCertificate {
            height: certificate.height.0,
            round: number(certificate.round),
            block_hash: certificate.value_id.0,
            signatures,
        })
    }
}

impl From<core::RoundCertificate<Ctx>> for Message {
    fn from(certificate: core::RoundCertificate<Ctx>) -> Self {
        let signed = |s: core::RoundSignature<Ctx>| RoundSignature {
            kind: s.vote_type.into(),
            block_hash: block_hash(&s.value_id),
            validator: s.address.0,
            signature: s.signature,
        };
        let mut signatures: Vec<_> = certificate
            .round_signatures
            .into_iter()
            .map(signed)
            .collect();
        signatures.sort_by_key(|signed| signed.validator);
        Self::Round(RoundCertificate {
            kind: match certificate.cert_type {
                core::RoundCertificateType::Skip => RoundCertificateKind::Skip,
                core::RoundCertificateType::Precommit => RoundCertificateKind::Precommits,
            },
            height: certificate.height.0,
            round: number(certificate.round),
            signatures,
        })
    }
}

/// The certificate of a decision, in the form in which it is kept: addresses ascending.
pub(crate) fn commit_certificate(certificate: core::CommitCertificate<Ctx>) -> Certificate {
    let signed = |s: core::CommitSignature<Ctx>| CommitSignature {
        address: s.address.0,
        signature: s.signature,
    };
    let mut signatures: Vec<_> = certificate
        .commit_signatures
        .into_iter()
        .map(signed)
        .collect();
    signatures.sort_by_key(|signed| signed.address);
    Certificate {
        height: certificate.height.0,
        round: number(certificate.round),
        block_hash: certificate.value_id.0,
        signatures,
    }
}

/// A message as the library's input.
pub(crate) fn message_input(message: Message) -> Input<Ctx> {
    match message {
        Message::Vote(vote) => Input::Vote(SignedVote::new(
            CoreVote {
                kind: vote.kind.into(),
                height: Height(vote.height),
                round: Round::new(vote.round),
                value: value(vote.block_hash),
                validator: Addr(vote.validator),
            },
            vote.signature,
        )),
        Message::Proposal(proposal) => Input::Proposal(SignedProposal::new(
            CoreProposal {
                height: Height(proposal.height),
                round: Round::new(proposal.round),
                value: Hash(proposal.block_hash),
                pol_round: Round::from(proposal.pol_round),
                proposer: Addr(proposal.proposer),
            },
            proposal.signature,
        )),
        Message::Polka(certificate) => {
            let signed =
                |s: PolkaSignature| core::PolkaSignature::new(Addr(s.validator), s.signature);
            Input::PolkaCertificate(core::PolkaCertificate {
                height: Height(certificate.height),
                round: Round::new(certificate.round),
                value_id: Hash(certificate.block_hash),
                polka_signatures: certificate.signatures.into_iter().map(signed).collect(),
            })
        }
        Message::Round(certificate) => {
            let signed = |s: RoundSignature| {
                let value = value(s.block_hash);
                core::RoundSignature::new(s.kind.into(), value, Addr(s.validator), s.signature)
            };
            Input::RoundCertificate(core::RoundCertificate {
                height: Height(certificate.height),
                round: Round::new(certificate.round),
                cert_type: match certificate.kind {
                    RoundCertificateKind::Skip => core::RoundCertificateType::Skip,
                    RoundCertificateKind::Precommits => core::RoundCertificateType::Precommit,
                },
                round_signatures: certificate.signatures.into_iter().map(signed).collect(),
            })
        }
    }
}

/// A judged block as the library's input.
pub(crate) fn value_input(value: Value) -> Input<Ctx> {
    let proposed = ProposedValue {
        height: Height(value.height),
        round: Round::new(value.round),
        valid_round: Round::from(value.pol_round),
        proposer: Addr(value.proposer),
        value: Hash(value.block_hash),
        validity: core::Validity::from_bool(value.valid),
    };
    Input::ProposedValue(proposed, ValueOrigin::Consensus)
}

/// A time-out as the library's input.
pub(crate) fn timeout_input(kind: TimeoutKind, round: u32) -> Input<Ctx> {
    let kind = match kind {
        TimeoutKind::Propose => core::TimeoutKind::Propose,
        TimeoutKind::Prevote => core::TimeoutKind::Prevote,
        TimeoutKind::Precommit => core::TimeoutKind::Precommit,
        TimeoutKind::Rebroadcast => core::TimeoutKind::Rebroadcast,
    };
    Input::TimeoutElapsed(core::Timeout::new(Round::new(round), kind))
}

/// A time-out of the library as ours; the one that does not exist without a target time is `None`.
pub(crate) fn timeout(timeout: core::Timeout) -> Option<(TimeoutKind, u32)> {
    let kind = match timeout.kind {
        core::TimeoutKind::Propose => TimeoutKind::Propose,
        core::TimeoutKind::Prevote => TimeoutKind::Prevote,
        core::TimeoutKind::Precommit => TimeoutKind::Precommit,
        core::TimeoutKind::Rebroadcast => TimeoutKind::Rebroadcast,
        core::TimeoutKind::FinalizeHeight(_) => return None,
    };
    Some((kind, number(timeout.round)))
}

/// What the library wants remembered, as a record. `None` for what it never asks to be.
pub(crate) fn record(height: Height, input: Input<Ctx>) -> Option<Record> {
    match input {
        Input::Vote(vote) => Some(Record::Message(vote.into())),
        Input::Proposal(proposal) => Some(Record::Message(proposal.into())),
        Input::PolkaCertificate(certificate) => Some(Record::Message(certificate.into())),
        Input::ProposedValue(proposed, _) => Some(Record::Value(Value {
            height: proposed.height.0,
            round: number(proposed.round),
            pol_round: proposed.valid_round.as_u32(),
            proposer: proposed.proposer.0,
            block_hash: proposed.value.0,
            valid: proposed.validity.is_valid(),
        })),
        Input::TimeoutElapsed(elapsed) => {
            let (kind, round) = timeout(elapsed)?;
            Some(Record::Timeout {
                height: height.0,
                round,
                kind,
            })
        }
        Input::StartHeight(..)
        | Input::Propose(_)
        | Input::RoundCertificate(_)
        | Input::SyncValueResponse(_) => None,
    }
}

/// A record as the library's input.
pub(crate) fn record_input(record: &Record) -> Input<Ctx> {
    match record {
        Record::Value(value) => value_input(*value),
        Record::Timeout { round, kind, .. } => timeout_input(*kind, *round),
        Record::Message(message) => message_input(message.clone()),
    }
}
