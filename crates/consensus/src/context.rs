//! Our values in the library's shape.
//!
//! The library is generic over a context; nothing of it is seen outside this crate. A value is a
//! block's hash and is its own id. Signatures are checked before anything gets in here
//! ([`authenticate`](crate::authenticate)), so that a validator needs no public key but its address.
//! [`translation`](crate::translation) leads from our messages and records to these and back.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use arc_malachitebft_core_types as core;
use arc_malachitebft_core_types::{Context, NilOrVal, Round, SignedExtension, VoteType};
use types::{Signature, ValidatorSet};

use crate::proposers::Turn;

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
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: NilOrVal<Hash>,
    pub(crate) validator: Addr,
}

/// A proposal without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreProposal {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: Hash,
    pub(crate) pol_round: Round,
    pub(crate) proposer: Addr,
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
