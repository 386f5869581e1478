//! How far this city's clock is from those of the others, by the times of the blocks that they propose.
//!
//! A fresh block carries its proposer's time; it arrives a little later. The median over the others says whether it is this
//! clock that is wrong: a few that are wrong, or lie, do not move it.

use std::collections::BTreeMap;

use alloy_primitives::Address;

/// From how many milliseconds on an operator is told: where this city's blocks begin to be untimely elsewhere.
const FAR_MS: i64 = 500;

/// How this clock is to the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// They are this much ahead of it, in milliseconds; less than zero: behind.
    Far { ahead_ms: i64 },
    /// It is right enough.
    Near,
}

/// The clocks of one chain's validators.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    /// The latest proposal's time less this clock's at its arrival, by proposer, in milliseconds.
    ahead_ms: BTreeMap<Address, i64>,
    was_far: bool,
}

impl Clocks {
    /// A fresh block of `proposer` with time `block_ms` came at `now_ms`; `others` is how many there are. What is seen, when that is
    /// not what was seen before.
    pub(crate) fn saw(
        &mut self,
        proposer: Address,
        block_ms: u64,
        now_ms: u64,
        others: usize,
    ) -> Option<Seen> {
        self.ahead_ms
            .insert(proposer, block_ms.wrapping_sub(now_ms).cast_signed());
        let median = self.median(others)?;
        let is_far = median.unsigned_abs() > FAR_MS.unsigned_abs();
        let was_far = std::mem::replace(&mut self.was_far, is_far);
        match (was_far, is_far) {
            (false, true) => Some(Seen::Far { ahead_ms: median }),
            (true, false) => Some(Seen::Near),
            _ => None,
        }
    }

    /// Forgets the clocks of those who are not validators any more.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&Address) -> bool) {
        self.ahead_ms.retain(|city, _| is_there(city));
    }

    /// `None` while fewer than half of the others have been heard.
    fn median(&self, others: usize) -> Option<i64> {
        if self.ahead_ms.len() * 2 <= others {
            return None;
        }
        let mut sorted: Vec<i64> = self.ahead_ms.values().copied().collect();
        sorted.sort_unstable();
        // Of two in the middle, the one that blames this clock less.
        let middle = &sorted[(sorted.len() - 1) / 2..=sorted.len() / 2];
        middle
            .iter()
            .copied()
            .min_by_key(|ahead_ms| ahead_ms.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::{Clocks, Seen};

    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;

    fn city(n: u8) -> Address {
        Address::repeat_byte(n)
    }

    #[test]
    fn one_wrong_clock_among_the_others_says_nothing_of_this_one() {
        let mut clocks = Clocks::default();
        let now = 1_700_000_000_000;
        assert_eq!(clocks.saw(city(1), now + YEAR_MS, now, 3), None, "too few");
        assert_eq!(clocks.saw(city(2), now - 3, now, 3), None);
        assert_eq!(clocks.saw(city(3), now - 20, now, 3), None);
    }

    #[test]
    fn a_clock_far_from_the_median_is_told_once_until_it_is_right_again() {
        let mut clocks = Clocks::default();
        let (now, wrong) = (1_700_000_000_000, 1_700_000_000_000 + YEAR_MS);
        assert_eq!(clocks.saw(city(1), now, wrong, 3), None);
        let behind = -i64::try_from(YEAR_MS).expect("fits");
        assert_eq!(
            clocks.saw(city(2), now, wrong, 3),
            Some(Seen::Far { ahead_ms: behind })
        );
        assert_eq!(clocks.saw(city(3), now, wrong, 3), None, "told");
        let right = (1..=3).map(|n| clocks.saw(city(n), now + 9, now + 10, 3));
        assert_eq!(right.collect::<Vec<_>>(), [None, Some(Seen::Near), None]);
        for n in 1..=2 {
            clocks.saw(city(n), now, wrong, 3);
        }
        assert_eq!(
            clocks.saw(city(3), now, wrong, 3),
            None,
            "told at the second"
        );
    }
}
