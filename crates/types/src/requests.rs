//! What a block commits to beyond Ethereum: outbox, next validators, next rules (EIP-7685 requests).

use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes};

use crate::{Record, ValidatorSet};

/// Request type of the outbox root.
const OUTBOX: u8 = 0xC0;
/// Request type of the set and the record that hold from the next height.
const NEXT: u8 = 0xC1;

/// The requests of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequests {
    /// Root of the messages to other chains; zero until a fork defines it.
    pub outbox_root: B256,
    /// Hash of the validator set from `from_height` on.
    pub set_hash: B256,
    /// Hash of the record from `from_height` on.
    pub record_hash: B256,
    /// The height from which set and record hold, as far back as they did: the next height when either is new.
    pub from_height: u64,
}

impl BlockRequests {
    /// The requests of a genesis, which names set and record of height 1.
    #[must_use]
    pub fn genesis(record: &Record, set: &ValidatorSet) -> Self {
        Self {
            outbox_root: B256::ZERO,
            set_hash: set.hash(),
            record_hash: record.hash(),
            from_height: 1,
        }
    }

    /// Those of block `number`, whose parent has these, when set and record from the next height on are as given.
    #[must_use]
    pub fn followed_by(&self, number: u64, set_hash: B256, record_hash: B256) -> Self {
        let is_new = set_hash != self.set_hash || record_hash != self.record_hash;
        Self {
            outbox_root: B256::ZERO,
            set_hash,
            record_hash,
            from_height: if is_new { number + 1 } else { self.from_height },
        }
    }

    /// As they stand beside the block: two requests, each with its type byte.
    #[must_use]
    pub fn to_requests(&self) -> Requests {
        let mut outbox = Vec::with_capacity(33);
        outbox.push(OUTBOX);
        outbox.extend_from_slice(self.outbox_root.as_slice());
        let mut next = Vec::with_capacity(73);
        next.push(NEXT);
        next.extend_from_slice(self.set_hash.as_slice());
        next.extend_from_slice(self.record_hash.as_slice());
        next.extend_from_slice(&self.from_height.to_be_bytes());
        Requests::new(vec![Bytes::from(outbox), Bytes::from(next)])
    }

    /// Reads what stands beside a block. `None` when it is not exactly our two requests.
    #[must_use]
    pub fn from_requests(requests: &[Bytes]) -> Option<Self> {
        let [outbox, next] = requests else {
            return None;
        };
        let (&[OUTBOX], root) = outbox.split_first_chunk::<1>()? else {
            return None;
        };
        let (&[NEXT], next) = next.split_first_chunk::<1>()? else {
            return None;
        };
        let (set, next) = next.split_first_chunk::<32>()?;
        let (record, next) = next.split_first_chunk::<32>()?;
        Some(Self {
            outbox_root: B256::from(<[u8; 32]>::try_from(root).ok()?),
            set_hash: B256::from(*set),
            record_hash: B256::from(*record),
            from_height: u64::from_be_bytes(next.try_into().ok()?),
        })
    }

    /// The header's `requestsHash`: SHA-256 over the SHA-256 of each request (EIP-7685).
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.to_requests().requests_hash()
    }
}

#[cfg(test)]
mod tests {
    use super::BlockRequests;
    use alloy_primitives::B256;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_hash_is_the_one_that_the_format_spells_out() {
        let requests = BlockRequests {
            outbox_root: B256::repeat_byte(1),
            set_hash: B256::repeat_byte(2),
            record_hash: B256::repeat_byte(3),
            from_height: 0x0405,
        };
        let mut first = vec![0xC0];
        first.extend([1; 32]);
        let mut second = vec![0xC1];
        second.extend([2; 32]);
        second.extend([3; 32]);
        second.extend([0, 0, 0, 0, 0, 0, 4, 5]);
        let mut all = Sha256::new();
        all.update(Sha256::digest(first));
        all.update(Sha256::digest(second));
        assert_eq!(requests.hash().0[..], all.finalize()[..]);
        assert_eq!(
            BlockRequests::from_requests(&requests.to_requests()),
            Some(requests)
        );
        assert_eq!(BlockRequests::from_requests(&[]), None);
    }
}
