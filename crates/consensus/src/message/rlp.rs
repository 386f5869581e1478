//! The parts of a message's encoding that are not derived.

use alloy_primitives::{Address, B256};
use alloy_rlp::{BufMut, Decodable, Encodable, RlpDecodable, RlpEncodable};
use types::Signature;

use super::{Proposal, RoundCertificateKind, VoteKind};

/// A proposal on the wire: the round of the polka as an unsigned number, 0 for none.
#[derive(RlpEncodable, RlpDecodable)]
struct ProposalBody {
    height: u64,
    round: u32,
    pol_round_plus_one: u32,
    block_hash: B256,
    proposer: Address,
    signature: Signature,
}

impl From<&Proposal> for ProposalBody {
    fn from(proposal: &Proposal) -> Self {
        Self {
            height: proposal.height,
            round: proposal.round,
            pol_round_plus_one: proposal
                .pol_round
                .map_or(0, |round| round.saturating_add(1)),
            block_hash: proposal.block_hash,
            proposer: proposal.proposer,
            signature: proposal.signature,
        }
    }
}

impl Encodable for Proposal {
    fn encode(&self, out: &mut dyn BufMut) {
        ProposalBody::from(self).encode(out);
    }

    fn length(&self) -> usize {
        ProposalBody::from(self).length()
    }
}

impl Decodable for Proposal {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let body = ProposalBody::decode(buf)?;
        Ok(Self {
            height: body.height,
            round: body.round,
            pol_round: body.pol_round_plus_one.checked_sub(1),
            block_hash: body.block_hash,
            proposer: body.proposer,
            signature: body.signature,
        })
    }
}

impl Encodable for VoteKind {
    fn encode(&self, out: &mut dyn BufMut) {
        (*self as u8).encode(out);
    }

    fn length(&self) -> usize {
        1
    }
}

impl Decodable for VoteKind {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        match u8::decode(buf)? {
            1 => Ok(Self::Prevote),
            2 => Ok(Self::Precommit),
            _ => Err(alloy_rlp::Error::Custom("neither prevote nor precommit")),
        }
    }
}

impl Encodable for RoundCertificateKind {
    fn encode(&self, out: &mut dyn BufMut) {
        (*self as u8).encode(out);
    }

    fn length(&self) -> usize {
        1
    }
}

impl Decodable for RoundCertificateKind {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        match u8::decode(buf)? {
            1 => Ok(Self::Skip),
            2 => Ok(Self::Precommits),
            _ => Err(alloy_rlp::Error::Custom("neither skip nor precommits")),
        }
    }
}
