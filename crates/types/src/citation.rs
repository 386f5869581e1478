//! Proof of a hub block that a block cites, and of what the hub holds of the block's chain there.
//!
//! ```text
//!  parent's citation ── set that it names ──▶ certificate of a hub's handover ── … ──▶ certificate of the cited block
//!                                                                                        │ state root
//!                                                        account of the registry ◀───────┘
//!                                                        │ storage root
//!                                       set hash of chain n, record hash of chain n
//! ```
//!
//! It depends on nothing but the hash that the parent cites: a city checks it without its own copy of the hub, which may be
//! behind, and so may anybody who keeps headers.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_rlp::{Encodable as _, RlpDecodable, RlpEncodable};
use alloy_trie::proof::verify_proof;
use alloy_trie::{Nibbles, TrieAccount};

use crate::genesis::HubBlock;
use crate::{BlockRequests, Certificate, CertificateError, ChainId, Domain, ValidatorSet};

/// The contract that keeps set and record hash of each chain.
pub const REGISTRY: Address = address!("000000000000000000000000000000000000ca02");
/// Most hub blocks of one proof.
pub const MAX_HUB_BLOCKS: usize = 64;
/// Most bytes of one proof.
pub const MAX_CITATION_BYTES: usize = 256 << 10;
/// Most nodes on the way to one leaf: a key has 64 nibbles.
const MAX_NODES: usize = 65;
/// Where the registry keeps set hashes, and where record hashes, by number of the chain.
const SET_HASHES: u8 = 0;
const RECORD_HASHES: u8 = 1;

/// A block of the hub with what proves it.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// The requests that it commits to.
    pub requests: Vec<Bytes>,
    /// Its certificate, encoded; empty for the block that the parent cites, which needs none.
    pub certificate: Bytes,
}

/// The proof of a citation.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Citation {
    /// The block that the parent cites, without certificate.
    pub from: CertifiedHeader,
    /// The hub's handover blocks after it, ascending, and last the cited block.
    pub to: Vec<CertifiedHeader>,
    /// Every set that signs one of them, in that order.
    pub sets: Vec<ValidatorSet>,
    /// The registry's account, RLP.
    pub account: Bytes,
    /// Nodes from the cited block's state root towards it.
    pub account_proof: Vec<Bytes>,
    /// Hash of the chain's set.
    pub set_hash: B256,
    /// Nodes from the account's storage root towards it.
    pub set_proof: Vec<Bytes>,
    /// Hash of the chain's record.
    pub record_hash: B256,
    /// Nodes from the account's storage root towards it.
    pub record_proof: Vec<Bytes>,
}

/// What a proven citation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The cited block.
    pub block: HubBlock,
    /// Its number.
    pub number: u64,
    /// Hash of the set that the hub holds for the chain after that block.
    pub set_hash: B256,
    /// Hash of the record.
    pub record_hash: B256,
}

/// The chain of the hub that registers `chain`, and the number of `chain` there.
///
/// `None` for a hub itself, and for ids that are of no network's form.
#[must_use]
pub fn hub_of(chain: ChainId) -> Option<(ChainId, u64)> {
    let n = chain.get() & ((1 << 21) - 1);
    let hub = ChainId::new(chain.get() - n).ok()?;
    (n > 0).then_some((hub, n))
}

/// The slots of the registry that hold set hash and record hash of chain `n`.
#[must_use]
pub fn slots(n: u64) -> [B256; 2] {
    [SET_HASHES, RECORD_HASHES].map(|base| {
        let mut key = [0; 64];
        key[24..32].copy_from_slice(&n.to_be_bytes());
        key[63] = base;
        keccak256(key)
    })
}

impl Citation {
    /// Checks that the hub of `network`'s `chain` has the block `cited`, after the block `parent_cites`, and says what it holds
    /// there of `chain`.
    ///
    /// # Errors
    ///
    /// [`CitationError`], the first rule that does not hold.
    pub fn verify(
        &self,
        domain: &Domain,
        parent_cites: B256,
        cited: B256,
    ) -> Result<Held, CitationError> {
        let bytes = self.length();
        if bytes > MAX_CITATION_BYTES {
            return Err(CitationError::TooLarge { bytes });
        }
        let (hub, n) = hub_of(domain.chain_id).ok_or(CitationError::NoHub)?;
        let hub = Domain::new(hub, domain.network_id);
        let cited_block = self.walk(&hub, parent_cites)?;
        if cited_block.hash_slow() != cited {
            return Err(CitationError::OtherBlock);
        }
        self.check_registry(cited_block.state_root, n)?;
        let ms = crate::header::time_ms(cited_block).ok_or(CitationError::Malformed("time"))?;
        Ok(Held {
            block: HubBlock { hash: cited, ms },
            number: cited_block.number,
            set_hash: self.set_hash,
            record_hash: self.record_hash,
        })
    }

    /// Follows the hub from the block `start` to the last one, and returns that.
    fn walk(&self, hub: &Domain, start: B256) -> Result<&Header, CitationError> {
        if self.to.len() > MAX_HUB_BLOCKS {
            return Err(CitationError::TooMany {
                blocks: self.to.len(),
            });
        }
        if self.from.header.hash_slow() != start || !self.from.certificate.is_empty() {
            return Err(CitationError::Start);
        }
        let mut number = self.from.header.number;
        let mut set_hash = self.from.requests()?.set_hash;
        let mut sets = self.sets.iter();
        let mut set = signing(&mut sets, set_hash)?;
        let (cited, handovers) = self.to.split_last().ok_or(CitationError::OtherBlock)?;
        for block in handovers {
            block.check(hub, set, number)?;
            let next = block.requests()?.set_hash;
            if next == set_hash {
                // Whatever is not needed has no place in a proof: one citation has one proof.
                return Err(CitationError::Superfluous);
            }
            (number, set_hash) = (block.header.number, next);
            set = signing(&mut sets, set_hash)?;
        }
        cited.check(hub, set, number)?;
        cited.requests()?;
        if sets.next().is_some() {
            return Err(CitationError::Superfluous);
        }
        Ok(&cited.header)
    }

    fn check_registry(&self, state_root: B256, n: u64) -> Result<(), CitationError> {
        let proofs = [&self.account_proof, &self.set_proof, &self.record_proof];
        if proofs.iter().any(|proof| proof.len() > MAX_NODES) {
            return Err(CitationError::Malformed("proof"));
        }
        let account: TrieAccount = alloy_rlp::decode_exact(&self.account)
            .map_err(|_malformed| CitationError::Malformed("account"))?;
        let key = Nibbles::unpack(keccak256(REGISTRY));
        verify_proof(
            state_root,
            key,
            Some(self.account.to_vec()),
            &self.account_proof,
        )
        .map_err(|_other| CitationError::NotHeld("account"))?;
        let [set_slot, record_slot] = slots(n);
        let check = |slot: B256, value: B256, proof: &[Bytes], what| {
            if value.is_zero() {
                return Err(CitationError::NotHeld(what));
            }
            let key = Nibbles::unpack(keccak256(slot));
            let value = alloy_rlp::encode(U256::from_be_bytes(value.0));
            verify_proof(account.storage_root, key, Some(value), proof)
                .map_err(|_other| CitationError::NotHeld(what))
        };
        check(set_slot, self.set_hash, &self.set_proof, "set hash")?;
        check(
            record_slot,
            self.record_hash,
            &self.record_proof,
            "record hash",
        )
    }
}

/// The next set, which must be the one with this hash.
fn signing<'a>(
    sets: &mut impl Iterator<Item = &'a ValidatorSet>,
    hash: B256,
) -> Result<&'a ValidatorSet, CitationError> {
    sets.next()
        .filter(|set| set.hash() == hash)
        .ok_or(CitationError::Set)
}

impl CertifiedHeader {
    /// What the block says of the next height, if it is what the header commits to.
    fn requests(&self) -> Result<BlockRequests, CitationError> {
        let requests = BlockRequests::from_requests(&self.requests)
            .ok_or(CitationError::Malformed("requests"))?;
        if self.header.requests_hash != Some(requests.hash()) {
            return Err(CitationError::Malformed("requests"));
        }
        Ok(requests)
    }

    /// Checks that this is a block after `number` that more than two thirds of `set` signed.
    fn check(&self, hub: &Domain, set: &ValidatorSet, number: u64) -> Result<(), CitationError> {
        if self.header.number <= number {
            return Err(CitationError::NotAfter {
                number: self.header.number,
                start: number,
            });
        }
        let certificate = Certificate::decode(&self.certificate)?;
        if certificate.block_hash != self.header.hash_slow()
            || certificate.height != self.header.number
        {
            return Err(CitationError::OtherCertificate);
        }
        Ok(certificate.verify(hub, set)?)
    }
}

/// Why a citation is not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CitationError {
    /// The chain is a hub, or has none.
    #[error("the chain has no hub to cite")]
    NoHub,
    /// More than [`MAX_HUB_BLOCKS`].
    #[error("{blocks} hub blocks are more than {MAX_HUB_BLOCKS}")]
    TooMany {
        /// How many.
        blocks: usize,
    },
    /// More than [`MAX_CITATION_BYTES`].
    #[error("a proof of {bytes} bytes is over the limit of {MAX_CITATION_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It does not begin with the block that the parent cites.
    #[error("the proof does not begin where the parent's citation is")]
    Start,
    /// It does not end with the cited block.
    #[error("the proof is of another hub block")]
    OtherBlock,
    /// It holds what it does not need.
    #[error("the proof holds more than it needs")]
    Superfluous,
    /// A set that signs is not there, or another one is.
    #[error("a validator set of the hub is missing")]
    Set,
    /// Not above the block before.
    #[error("hub block {number} is not after {start}")]
    NotAfter {
        /// Its number.
        number: u64,
        /// The number of the one before.
        start: u64,
    },
    /// The certificate of another block.
    #[error("a hub block has another block's certificate")]
    OtherCertificate,
    /// A certificate that proves nothing.
    #[error("a hub block is not certified")]
    Certificate(#[from] CertificateError),
    /// A part that is not what its name says.
    #[error("the proof's {0} is malformed")]
    Malformed(&'static str),
    /// The hub's state does not hold it.
    #[error("the hub's state does not hold this {0}")]
    NotHeld(&'static str),
}
