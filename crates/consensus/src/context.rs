//! Our values in the library's shape, and back.
//!
//! The library is generic over a context; nothing of it is seen outside this crate. A value is a
//! block's hash and is its own id. Signatures are checked before anything gets in here
//! ([`authenticate`](crate::authenticate)), so that a validator needs no public key but its address.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use arc_malachitebft_core_consensus::{Input, ProposedValue};
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{
    Context, NilOrVal, Round, SignedExtension, SignedProposal, SignedVote, ValueOrigin, VoteType,
};
use types::certificate::CommitSignature;
use types::{Certificate, Signature, ValidatorSet};

use crate::message::{
    Message, PolkaCertificate, PolkaSignature, Proposal, RoundCertificate, RoundCertificateKind,
    RoundSignature, Vote, VoteKind,
};
use crate::proposers::Turn;
use crate::record::{Record, Value};
use crate::timeouts::TimeoutKind;

/// The context of one height: an instance, because proposers follow from the chain.
#[derive(Clone, Debug)]
pub(crate) struct Ctx {
    pub(crate) turn: Turn,
}

macro_rules! wrapped {
    ($name:ident, $inner:ty) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

wrapped!(Addr, Address);
wrapped!(Hash, B256);
wrapped!(Height, u64);

/// A vote without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreVote {
    pub(crate) kind: VoteType,
    height: Height,
    pub(crate) round: Round,
    value: NilOrVal<Hash>,
    validator: Addr,
}

/// A proposal without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreProposal {
    height: Height,
    pub(crate) round: Round,
    value: Hash,
    pol_round: Round,
    proposer: Addr,
}

/// Bodies travel beside consensus: the library sees no parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPart;

/// A validator of the height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    address: Addr,
    power: u64,
}

/// The validators of the height, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    members: Arc<[Member]>,
    total: u64,
}

/// Signing is the host's; the library only carries signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scheme;

impl From<&ValidatorSet> for Set {
    fn from(set: &ValidatorSet) -> Self {
        let member = |v: &types::Validator| Member {
            address: Addr(v.address),
            power: v.power,
        };
        Self {
            members: set.validators().iter().map(member).collect(),
            total: set.total_power(),
        }
    }
}

impl Context for Ctx {
    type Address = Addr;
    type Height = Height;
    type ProposalPart = NoPart;
    type Proposal = CoreProposal;
    type Validator = Member;
    type ValidatorSet = Set;
    type Timeouts = core::LinearTimeouts;
    type Value = Hash;
    type Vote = CoreVote;
    type Extension = ();
    type SigningScheme = Scheme;

    fn select_proposer<'a>(&self, set: &'a Set, _: Height, round: Round) -> &'a Member {
        let proposer = self.turn.proposer(round.as_u32().unwrap_or(0));
        core::ValidatorSet::<Self>::get_by_address(set, &Addr(proposer))
            .expect("the order of a set holds only its members")
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Hash,
        pol_round: Round,
        proposer: Addr,
    ) -> CoreProposal {
        CoreProposal {
            height,
            round,
            value,
            pol_round,
            proposer,
        }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Hash>,
        validator: Addr,
    ) -> CoreVote {
        CoreVote {
            kind: VoteType::Prevote,
            height,
            round,
            value,
            validator,
        }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<Hash>,
        validator: Addr,
    ) -> CoreVote {
        CoreVote {
            kind: VoteType::Precommit,
            height,
            round,
            value,
            validator,
        }
    }
}

impl core::Address for Addr {}

impl core::Value for Hash {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

impl core::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl core::Vote<Ctx> for CoreVote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Hash> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<Hash> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Addr {
        &self.validator
    }

    fn extension(&self) -> Option<&SignedExtension<Ctx>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Ctx>> {
        None
    }

    fn extend(self, _: SignedExtension<Ctx>) -> Self {
        self
    }
}

impl core::Proposal<Ctx> for CoreProposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Hash {
        &self.value
    }

    fn take_value(self) -> Hash {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Addr {
        &self.proposer
    }
}

impl core::ProposalPart<Ctx> for NoPart {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

impl core::Validator<Ctx> for Member {
    fn address(&self) -> &Addr {
        &self.address
    }

    fn public_key(&self) -> &() {
        &()
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

impl core::ValidatorSet<Ctx> for Set {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.total
    }

    fn get_by_address(&self, address: &Addr) -> Option<&Member> {
        let index = self
            .members
            .binary_search_by_key(address, |member| member.address)
            .ok()?;
        self.members.get(index)
    }

    fn get_by_index(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }
}

impl core::SigningScheme for Scheme {
    type DecodingError = &'static str;
    type Signature = Signature;
    type PublicKey = ();
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Signature, &'static str> {
        bytes
            .try_into()
            .map(Signature)
            .map_err(|_length| "a signature has 65 bytes")
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(_: &[u8]) -> Result<(), &'static str> {
        Ok(())
    }

    fn encode_public_key((): &()) -> Vec<u8> {
        Vec::new()
    }
}

const fn value(block_hash: B256) -> NilOrVal<Hash> {
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
