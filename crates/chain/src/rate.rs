//! How much of a city's time a chain may take: gas and blocks a second, as the hub's registry gave them out.
//!
//! It belongs to no block's validity: each city keeps to it with the heights that it starts itself, unless it has time to
//! spare, and takes part in those of others. Each block has a price in time, and is paid by time that passes; a chain may be
//! ahead by a burst (the generic cell rate algorithm, ITU-T I.371), and owes for a minute at most. Time is that of blocks. A
//! city that opens the chain anew has forgotten what it took.

use crate::Quota;

/// By how much a chain may be ahead of what it has paid: so much of its gas, and so many of its blocks, come at once after a
/// rest.
const BURST_US: u64 = 10_000_000;

/// The longest that a chain waits for what it took, whoever made it take that, and whatever became of the clock.
const MOST_OWED_US: u64 = 60_000_000;

/// What a chain has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    quota: Option<Quota>,
    /// Whether it may take more at present.
    lent: bool,
    /// Up to when it has paid, Unix microseconds.
    paid_to_us: u64,
}

impl Allowance {
    pub(crate) const fn set(&mut self, quota: Option<Quota>) {
        self.quota = quota;
    }

    pub(crate) fn lend(&mut self, lent: bool, now_ms: u64) {
        self.lent = lent;
        let most = most_paid_to(now_ms);
        self.paid_to_us = self.paid_to_us.min(most);
    }

    /// Whether the chain has to wait until it has paid.
    pub(crate) const fn is_owing(&self, now_ms: u64) -> bool {
        self.due_ms() > now_ms
    }

    /// A block of time `at_ms` took `gas`.
    pub(crate) fn take(&mut self, at_ms: u64, gas: u64) {
        let Some(quota) = self.quota else { return };
        let price = |amount: u64, each_second: u64| {
            let us = u128::from(amount) * 1_000_000 / u128::from(each_second.max(1));
            u64::try_from(us).unwrap_or(u64::MAX)
        };
        let of_gas = match quota.gas_per_second {
            0 => 0,
            each_second => price(gas, each_second),
        };
        let of_block = match quota.blocks_per_second {
            0 => 0,
            each_second => price(1, each_second.into()),
        };
        let from = self.paid_to_us.max(at_ms.saturating_mul(1_000));
        let paid_to = from.saturating_add(of_gas.max(of_block));
        self.paid_to_us = paid_to.min(most_paid_to(at_ms));
    }

    /// Gas that the chain may take now, as far as it is begun.
    pub(crate) fn gas(&self, now_ms: u64) -> u64 {
        let quota = self
            .quota
            .filter(|quota| quota.gas_per_second > 0 && !self.lent);
        let Some(Quota { gas_per_second, .. }) = quota else {
            return u64::MAX;
        };
        let now_us = now_ms.saturating_mul(1_000);
        let ahead_us = self.paid_to_us.saturating_sub(now_us);
        let left = u128::from(gas_per_second) * u128::from(BURST_US.saturating_sub(ahead_us));
        u64::try_from(left / 1_000_000).unwrap_or(u64::MAX)
    }

    /// From when on a height may start, Unix milliseconds.
    pub(crate) const fn due_ms(&self) -> u64 {
        match self.quota {
            None => 0,
            Some(_) if self.lent => 0,
            Some(_) => self.paid_to_us.saturating_sub(BURST_US).div_ceil(1_000),
        }
    }
}

/// Up to when a chain has paid at most.
const fn most_paid_to(now_ms: u64) -> u64 {
    now_ms
        .saturating_mul(1_000)
        .saturating_add(BURST_US + MOST_OWED_US)
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Quota};

    const START_MS: u64 = 1_700_000_000_000;

    fn allowance(gas_per_second: u64, blocks_per_second: u32) -> Allowance {
        let mut allowance = Allowance::default();
        allowance.set(Some(Quota {
            gas_per_second,
            blocks_per_second,
            bytes: 0,
        }));
        allowance
    }

    /// Blocks of `gas` as early as they may be, for so many seconds: how many there are.
    fn blocks(allowance: &mut Allowance, gas: u64, seconds: u64) -> u64 {
        let (mut now_ms, mut count) = (START_MS, 0);
        while now_ms < START_MS + seconds * 1_000 {
            allowance.take(now_ms, gas);
            count += 1;
            now_ms = allowance.due_ms().max(now_ms + 1);
        }
        count
    }

    #[test]
    fn a_burst_and_then_what_the_rate_gives() {
        // 10 blocks' gas a second, and 100 at once; one more is begun while the last microsecond is left.
        let in_a_minute = blocks(&mut allowance(210_000, 0), 21_000, 60);
        assert!((700..=701).contains(&in_a_minute), "{in_a_minute}");
        // The dearer of both counts.
        let in_a_minute = blocks(&mut allowance(210_000, 5), 21_000, 60);
        assert!((350..=351).contains(&in_a_minute), "{in_a_minute}");
    }

    #[test]
    fn one_block_may_take_more_than_a_burst_and_is_paid_afterwards() {
        let mut allowance = allowance(1_000_000, 0);
        allowance.take(START_MS, 30_000_000);
        assert_eq!(allowance.due_ms(), START_MS + 20_000);
    }

    #[test]
    fn a_block_may_take_what_is_left_of_the_burst() {
        let mut allowance = allowance(1_000_000, 0);
        assert_eq!(allowance.gas(START_MS), 10_000_000);
        allowance.take(START_MS, 4_000_000);
        assert_eq!(allowance.gas(START_MS), 6_000_000);
        assert_eq!(allowance.gas(START_MS + 1_000), 7_000_000);
        allowance.take(START_MS + 1_000, 30_000_000);
        assert_eq!(allowance.gas(START_MS + 1_000), 0);
        assert_eq!(allowance.gas(START_MS + 60_000), 10_000_000);
        assert_eq!(Allowance::default().gas(START_MS), u64::MAX);
    }

    #[test]
    fn nobody_makes_a_chain_owe_for_longer_than_a_minute() {
        let mut allowance = allowance(1_000_000, 0);
        for block in 0..1_000 {
            allowance.take(START_MS + block, 30_000_000);
        }
        assert_eq!(allowance.due_ms(), START_MS + 999 + 60_000);
    }

    #[test]
    fn a_rest_is_not_saved_up_beyond_the_burst() {
        let mut allowance = allowance(1_000, 0);
        allowance.take(START_MS, 1_000);
        let later = START_MS + 3_600_000;
        allowance.take(later, 10_000);
        assert_eq!(allowance.due_ms(), later);
        allowance.take(later, 1_000);
        assert_eq!(allowance.due_ms(), later + 1_000);
    }

    #[test]
    fn what_is_lent_is_paid_all_the_same() {
        let mut allowance = allowance(1_000_000, 0);
        allowance.lend(true, START_MS);
        allowance.take(START_MS, 30_000_000);
        assert_eq!(allowance.gas(START_MS), u64::MAX);
        assert!(!allowance.is_owing(START_MS));
        allowance.lend(false, START_MS);
        assert!(allowance.is_owing(START_MS));
        assert_eq!(allowance.due_ms(), START_MS + 20_000);
    }

    #[test]
    fn without_a_rate_nothing_waits_and_absurd_numbers_do_no_harm() {
        let mut free = Allowance::default();
        free.take(u64::MAX, u64::MAX);
        assert_eq!(free.due_ms(), 0);
        let mut unbounded = allowance(0, 0);
        unbounded.take(START_MS, u64::MAX);
        assert!(unbounded.due_ms() < START_MS);
        let mut slowest = allowance(1, 1);
        slowest.take(u64::MAX, u64::MAX);
        assert!(slowest.due_ms() > START_MS);
        slowest.lend(false, START_MS);
        assert_eq!(slowest.due_ms(), START_MS + 60_000, "the clock was wrong");
    }
}
