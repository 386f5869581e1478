//! What a chain may take of a city, as the hub's registry gave it out: gas and blocks a second (see `rate`), and bytes.
//!
//! It belongs to no block's validity: each city keeps to it with the heights that it starts itself, and takes part in those
//! of others. Bytes are those of the chain's rows, keys and values, before they are compressed: headers, transactions,
//! receipts, certificates, state and history. History counts as though all of it were kept, so what a city forgets makes
//! no other room than another, and all cities of a chain come to nearly the same (certificates have more or fewer
//! signatures). A chain that has used them up takes no transaction and begins no block but a handover's, unless the city has
//! bytes to lend; what waits already goes into blocks that are made all the same. There is no way yet to give a chain more.

use crate::PoolError;

/// What a chain may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Gas in a second; 0: no bound.
    pub gas_per_second: u64,
    /// Blocks in a second; 0: no bound.
    pub blocks_per_second: u32,
    /// Bytes that its rows may have; 0: no bound. The block that begins below it may end above it.
    pub bytes: u64,
}

/// A chain has used up its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp {
    /// What its rows have.
    pub held: u64,
    /// What they may have.
    pub given: u64,
}

impl Quota {
    /// Whether rows of `held` bytes leave no room for a block.
    pub(crate) fn used_up_by(&self, held: u64) -> Option<UsedUp> {
        let given = self.bytes;
        (given > 0 && held >= given).then_some(UsedUp { held, given })
    }
}

impl From<UsedUp> for PoolError {
    fn from(UsedUp { held, given }: UsedUp) -> Self {
        Self::UsedUp { held, given }
    }
}

#[cfg(test)]
mod tests {
    use super::{Quota, UsedUp};

    #[test]
    fn bytes_are_used_up_when_nothing_is_left_and_zero_is_no_bound() {
        let quota = |bytes| Quota {
            bytes,
            ..Quota::default()
        };
        assert_eq!(quota(0).used_up_by(u64::MAX), None);
        assert_eq!(quota(100).used_up_by(99), None);
        let used_up = UsedUp {
            held: 100,
            given: 100,
        };
        assert_eq!(quota(100).used_up_by(100), Some(used_up));
        assert_eq!(quota(1).used_up_by(u64::MAX).unwrap().held, u64::MAX);
    }
}
