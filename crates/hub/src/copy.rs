//! A city's own copy of the hub, as the chains read it that cite it.

use std::sync::OnceLock;

use alloy_primitives::{B256, U256};
use chain::{Cited, Hub, Moment, ReadError, Reader};
use state::{StateError, View, ViewError};
use types::citation::{CertifiedHeader, MAX_HUB_BLOCKS, REGISTRY, hub_of, slots};
use types::genesis::HubBlock;
use types::{BlockRequests, Certificate, ChainId, Citation, ValidatorSet};

use crate::{Registry, RegistryError};

/// A city's own copy of the hub. Empty until there is one.
#[derive(Debug, Default)]
pub struct OwnCopy(OnceLock<Reader>);

/// Why the copy could not be read.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("the hub could not be read")]
    Read(#[from] ReadError),
    #[error("the hub's state is not there")]
    View(#[from] ViewError),
    #[error("the hub's state could not be read")]
    State(#[from] StateError),
    #[error("the registry could not be read")]
    Registry(#[from] RegistryError),
    #[error("hub block {number} is damaged")]
    Damaged { number: u64 },
}

impl OwnCopy {
    /// This is the hub. The first call counts.
    pub fn set(&self, reader: Reader) {
        // Whoever calls again means the same one.
        let _same = self.0.set(reader);
    }

    /// Whether there is a hub.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    fn moment(&self) -> Result<Option<Moment>, CopyError> {
        Ok(self.0.get().map(Reader::moment).transpose()?)
    }

    fn held(&self, chain: ChainId, from: B256) -> Result<Option<B256>, CopyError> {
        let (Some((_, n)), Some(moment)) = (hub_of(chain), self.moment()?) else {
            return Ok(None);
        };
        // A copy that is behind knows less than the chain.
        let newest = moment.head().header.number;
        if moment.number(from)?.is_none_or(|from| from >= newest) {
            return Ok(None);
        }
        let [set_slot, _] = slots(n);
        let view = moment.view(moment.head().header.number)?;
        Ok(Some(word(&view, set_slot)?).filter(|hash| !hash.is_zero()))
    }

    fn newest(
        &self,
        chain: ChainId,
        from: B256,
        latest: &BlockRequests,
    ) -> Result<Option<Cited>, CopyError> {
        let (Some((_, n)), Some(moment)) = (hub_of(chain), self.moment()?) else {
            return Ok(None);
        };
        // What the parent cites may not be here yet.
        let Some(start) = moment.number(from)? else {
            return Ok(None);
        };
        let mut on_the_way = handovers(&moment, start)?;
        let cited = match on_the_way.get(MAX_HUB_BLOCKS - 1) {
            Some(furthest) => *furthest,
            None => moment.head().header.number,
        };
        on_the_way.retain(|number| *number < cited);
        if cited <= start {
            return Ok(None);
        }
        let mut sets = Vec::with_capacity(1 + on_the_way.len());
        for number in [start].iter().chain(&on_the_way) {
            sets.push(set_after(&moment, *number)?);
        }
        // Each is certified by the set after the one before.
        let to = on_the_way.iter().chain([&cited]).zip(&sets);
        let to: Vec<_> = to
            .map(|(number, set)| proven(&moment, *number, set))
            .collect::<Result<_, _>>()?;
        let view = moment.view(cited)?;
        let proof = view.proof(REGISTRY, &slots(n))?;
        let damaged = || CopyError::Damaged { number: cited };
        let account = proof.account.ok_or_else(damaged)?;
        let [set, record] = <[_; 2]>::try_from(proof.storage).map_err(|_other| damaged())?;
        let header = moment.header(cited)?.ok_or_else(damaged)?;
        let (set_hash, record_hash) = (B256::from(set.value), B256::from(record.value));
        let citation = Citation {
            from: CertifiedHeader {
                certificate: alloy_primitives::Bytes::new(),
                ..certified(&moment, start)?
            },
            to,
            sets,
            account: alloy_rlp::encode(alloy_trie::TrieAccount::new(
                account.nonce,
                account.balance,
                account.storage_root,
                account.code_hash,
            ))
            .into(),
            account_proof: proof.account_proof,
            set_hash,
            set_proof: set.proof,
            record_hash,
            record_proof: record.proof,
        };
        let next_set = if set_hash == latest.set_hash {
            None
        } else {
            Some(Registry::new(&moment).validators(n, set_hash)?)
        };
        Ok(Some(Cited {
            block: HubBlock {
                hash: header.hash,
                ms: types::header::time_ms(&header.header).ok_or_else(damaged)?,
            },
            set_hash,
            record_hash,
            proof: citation,
            set: next_set,
        }))
    }
}

impl Hub for OwnCopy {
    fn set_hash(&self, chain: ChainId, from: B256) -> Option<B256> {
        told(self.held(chain, from))
    }

    fn cite(&self, chain: ChainId, from: B256, latest: &BlockRequests) -> Option<Cited> {
        told(self.newest(chain, from, latest))
    }
}

/// What cannot be read is as if the hub had not moved; an operator hears of it.
fn told<T>(read: Result<Option<T>, CopyError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the hub is not cited anew"
        );
        None
    })
}

fn word(view: &View, slot: B256) -> Result<B256, StateError> {
    let value = view.storage(REGISTRY, U256::from_be_bytes(slot.0))?;
    Ok(B256::from(value))
}

/// The hub's blocks above `start` that name another set than their parents, ascending. Each says since when its set holds,
/// so that the blocks in between are not looked at.
fn handovers(moment: &Moment, start: u64) -> Result<Vec<u64>, CopyError> {
    let mut found = Vec::new();
    let mut number = moment.head().header.number;
    while number > start {
        let latest = requests(moment, number)?;
        // Since this block set and record are as they are.
        let since = latest.from_height.saturating_sub(1);
        if since <= start {
            break;
        }
        let before = requests(moment, since - 1)?;
        if before.set_hash != latest.set_hash {
            found.push(since);
        }
        number = since - 1;
    }
    found.reverse();
    Ok(found)
}

fn requests(moment: &Moment, number: u64) -> Result<BlockRequests, CopyError> {
    let damaged = CopyError::Damaged { number };
    let seal = moment.seal(number)?;
    seal.and_then(|seal| BlockRequests::from_requests(&seal.requests))
        .ok_or(damaged)
}

/// The set that holds from the height after `number` on.
fn set_after(moment: &Moment, number: u64) -> Result<ValidatorSet, CopyError> {
    let hash = requests(moment, number)?.set_hash;
    let preimage = moment.preimage(hash)?;
    preimage
        .and_then(|preimage| alloy_rlp::decode_exact(&preimage).ok())
        .ok_or(CopyError::Damaged { number })
}

/// The block with as many signatures as prove it: a proof of many blocks has to stay below
/// [`MAX_CITATION_BYTES`](types::citation::MAX_CITATION_BYTES).
fn proven(moment: &Moment, number: u64, set: &ValidatorSet) -> Result<CertifiedHeader, CopyError> {
    let whole = certified(moment, number)?;
    let certificate = Certificate::decode(&whole.certificate)
        .map_err(|_malformed| CopyError::Damaged { number })?;
    Ok(CertifiedHeader {
        certificate: certificate.of_quorum(set).encode().into(),
        ..whole
    })
}

fn certified(moment: &Moment, number: u64) -> Result<CertifiedHeader, CopyError> {
    let damaged = || CopyError::Damaged { number };
    let header = moment.header(number)?.ok_or_else(damaged)?.header;
    let seal = moment.seal(number)?.ok_or_else(damaged)?;
    Ok(CertifiedHeader {
        header,
        requests: seal.requests,
        certificate: seal.certificate,
    })
}
