//! What a block that cites another hub block than its parent carries, and where a proposer gets it.

use std::fmt;

use alloy_primitives::B256;
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use types::genesis::HubBlock;
use types::{BlockRequests, ChainId, Citation, ValidatorSet};

/// A city's own copy of the hub, as the chains see it that cite it. A contract between a chain and whoever has the copy:
///
/// - It is read as it is, behind or not: nobody waits for the hub. What cannot be read is as if the hub had not moved.
/// - What [`Hub::cite`] gives passes [`Citation::verify`]: other cities have nothing else to go by.
pub trait Hub: fmt::Debug + Send + Sync {
    /// Hash of the set that the hub holds for `chain` after its latest block here; `None` when that is not after the block
    /// `from`, or not known.
    fn set_hash(&self, chain: ChainId, from: B256) -> Option<B256>;

    /// The newest block that can be proven from the block `from` on, for a chain whose latest block says `latest`; `None`
    /// when there is nothing newer here.
    fn cite(&self, chain: ChainId, from: B256, latest: &BlockRequests) -> Option<Cited>;
}

/// A hub block to cite.
#[derive(Clone, Debug)]
pub struct Cited {
    /// The block.
    pub block: HubBlock,
    /// Hash of the set that the hub holds for the chain after it.
    pub set_hash: B256,
    /// Hash of the record.
    pub record_hash: B256,
    /// What proves all that.
    pub proof: Citation,
    /// The set, when it is not the chain's present one.
    pub set: Option<ValidatorSet>,
}

/// What stands beside a block that cites another hub block than its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The proof of the citation; beside a certified block there need be none.
    pub proof: Option<Citation>,
    /// The set from the next height on, when the block names another than its parent.
    pub set: Option<ValidatorSet>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Wire {
    proof: Vec<Citation>,
    set: Vec<ValidatorSet>,
}

impl Beside {
    /// What stands beside a hub's block after which its registry names this set for itself.
    pub(crate) const fn own(set: ValidatorSet) -> Self {
        Self {
            proof: None,
            set: Some(set),
        }
    }

    fn to_wire(&self) -> Wire {
        Wire {
            proof: self.proof.iter().cloned().collect(),
            set: self.set.iter().cloned().collect(),
        }
    }
}

impl Encodable for Beside {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        self.to_wire().encode(out);
    }

    fn length(&self) -> usize {
        self.to_wire().length()
    }
}

impl Decodable for Beside {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let Wire { proof, set } = Wire::decode(buf)?;
        if proof.len() > 1 || set.len() > 1 {
            return Err(alloy_rlp::Error::Custom("more than one proof or set"));
        }
        Ok(Self {
            proof: proof.into_iter().next(),
            set: set.into_iter().next(),
        })
    }
}

impl From<Cited> for Beside {
    fn from(Cited { proof, set, .. }: Cited) -> Self {
        Self {
            proof: Some(proof),
            set,
        }
    }
}
