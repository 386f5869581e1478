//! Who may start a height again, and after how long: what keeps one validator, or one transaction that nobody can
//! execute, from making empty blocks without end.
//!
//! A start is charged by its *cause*. A message without a transaction whose height ended in an empty block is charged to
//! its signer: his next ones act 1, 2, 4 … 64 s later, until a block with transactions. A transaction that the block
//! left out waits as long before it starts a height here again. Nothing is refused, only delayed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use alloy_primitives::{Address, B256};

/// The longest delay is 2^6 = 64 s.
const LAST_LEVEL: u32 = 6;

/// Most transactions that are remembered for having been left out; the pool's order decides which are looked at.
const MAX_LEFT_OUT: usize = 1_024;

/// Why a height was started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A transaction of this city's pool.
    Transaction(B256),
    /// A validator's message, and nothing in the pool.
    Message(Address),
    /// The hub holds another set for the chain.
    Handover,
    /// A validator's message, with something in the pool; or the log, after a crash. Charged to nobody.
    Other,
}

/// What became of a started height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether the block has no transactions, and is no handover, nor on the way to one.
    pub(crate) is_empty: bool,
    /// Whether the transaction that was the cause still waits.
    pub(crate) is_left_out: bool,
}

/// The charges of one chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waking {
    signers: HashMap<Address, u32>,
    /// Validators of whom a message waits: a timer runs for each.
    deferred: HashSet<Address>,
    left_out: HashMap<B256, LeftOut>,
    handover: Option<LeftOut>,
}

#[derive(Clone, Copy, Debug)]
struct LeftOut {
    level: u32,
    waits: bool,
}

impl Waking {
    /// How long a message of `signer` waits before it starts a height; zero without a charge.
    pub(crate) fn delay_of(&self, signer: Address) -> Duration {
        self.signers
            .get(&signer)
            .map_or(Duration::ZERO, |&level| delay(level))
    }

    /// A message of `signer`, who is charged, is held. For how long, if no timer runs for him yet: more of his messages do
    /// not put it off.
    pub(crate) fn defer(&mut self, signer: Address) -> Option<Duration> {
        let delay = self.delay_of(signer);
        self.deferred.insert(signer).then_some(delay)
    }

    /// The timer of `signer` is over.
    pub(crate) fn deferred(&mut self, signer: Address) {
        self.deferred.remove(&signer);
    }

    /// Whether `transaction` may start a height now.
    pub(crate) fn may_start(&self, transaction: &B256) -> bool {
        !self
            .left_out
            .get(transaction)
            .is_some_and(|left_out| left_out.waits)
    }

    /// Whether some transaction waits.
    pub(crate) fn has_waiting(&self) -> bool {
        self.left_out.values().any(|left_out| left_out.waits)
    }

    /// Accounts for a finished height. A transaction that now waits, with how long.
    pub(crate) fn finished(&mut self, cause: Cause, outcome: Outcome) -> Option<(B256, Duration)> {
        if !outcome.is_empty {
            self.signers.clear();
        }
        match cause {
            Cause::Message(signer) if outcome.is_empty => {
                let next = self
                    .signers
                    .get(&signer)
                    .map_or(0, |level| (level + 1).min(LAST_LEVEL));
                self.signers.insert(signer, next);
                None
            }
            Cause::Transaction(hash) if outcome.is_left_out => {
                let earlier = self.left_out.get(&hash).map(|left_out| left_out.level);
                if earlier.is_none() && self.left_out.len() >= MAX_LEFT_OUT {
                    return None;
                }
                let level = earlier.map_or(0, |level| (level + 1).min(LAST_LEVEL));
                self.left_out.insert(hash, LeftOut { level, waits: true });
                Some((hash, delay(level)))
            }
            _ => None,
        }
    }

    /// Whether a handover may start a height now.
    pub(crate) fn may_hand_over(&self) -> bool {
        !self.handover.is_some_and(|left_out| left_out.waits)
    }

    /// A block left a handover out for which this city started the height. How long it waits now.
    pub(crate) fn handover_left_out(&mut self) -> Duration {
        let level = self
            .handover
            .map_or(0, |left_out| (left_out.level + 1).min(LAST_LEVEL));
        self.handover = Some(LeftOut { level, waits: true });
        delay(level)
    }

    /// The wait of a handover is over.
    pub(crate) fn handover_waited(&mut self) {
        if let Some(left_out) = &mut self.handover {
            left_out.waits = false;
        }
    }

    /// There was a handover.
    pub(crate) fn handed_over(&mut self) {
        self.handover = None;
    }

    /// The wait of a transaction is over.
    pub(crate) fn waited(&mut self, transaction: &B256) {
        if let Some(left_out) = self.left_out.get_mut(transaction) {
            left_out.waits = false;
        }
    }

    /// Forgets transactions that wait no longer in the pool.
    pub(crate) fn keep(&mut self, is_pooled: impl Fn(&B256) -> bool) {
        self.left_out.retain(|hash, _| is_pooled(hash));
    }
}

fn delay(level: u32) -> Duration {
    Duration::from_secs(1 << level)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy_primitives::{Address, B256};

    use super::{Cause, Outcome, Waking};

    const EMPTY: Outcome = Outcome {
        is_empty: true,
        is_left_out: false,
    };
    const FULL: Outcome = Outcome {
        is_empty: false,
        is_left_out: false,
    };

    #[test]
    fn a_signer_of_empty_starts_waits_ever_longer_until_a_block_with_transactions() {
        let (mut waking, liar) = (Waking::default(), Address::repeat_byte(1));
        let mut delays = Vec::new();
        for _ in 0..9 {
            delays.push(waking.delay_of(liar).as_secs());
            assert_eq!(waking.finished(Cause::Message(liar), EMPTY), None);
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(
            waking.delay_of(Address::repeat_byte(2)),
            Duration::ZERO,
            "others do not pay"
        );
        waking.finished(Cause::Other, FULL);
        assert_eq!(waking.delay_of(liar), Duration::ZERO);
        waking.finished(Cause::Message(liar), FULL);
        waking.finished(Cause::Other, EMPTY);
        assert_eq!(waking.delay_of(liar), Duration::ZERO, "neither was in vain");
    }

    #[test]
    fn one_timer_at_a_time_runs_for_a_charged_signer() {
        let (mut waking, liar) = (Waking::default(), Address::repeat_byte(1));
        waking.finished(Cause::Message(liar), EMPTY);
        let second = Some(Duration::from_secs(1));
        assert_eq!(waking.defer(liar), second);
        assert_eq!(waking.defer(liar), None, "it runs");
        waking.deferred(liar);
        assert_eq!(waking.defer(liar), second);
    }

    #[test]
    fn a_transaction_that_blocks_leave_out_starts_ever_fewer_heights() {
        let (mut waking, hash) = (Waking::default(), B256::repeat_byte(1));
        let left_out = Outcome {
            is_left_out: true,
            ..EMPTY
        };
        for seconds in [1, 2, 4, 8, 16, 32, 64, 64] {
            assert!(waking.may_start(&hash));
            let wait = waking.finished(Cause::Transaction(hash), left_out);
            assert_eq!(wait, Some((hash, Duration::from_secs(seconds))));
            assert!(!waking.may_start(&hash) && waking.has_waiting());
            waking.waited(&hash);
        }
        waking.keep(|_| false);
        assert!(!waking.has_waiting());
        let wait = waking.finished(Cause::Transaction(hash), left_out);
        assert_eq!(
            wait,
            Some((hash, Duration::from_secs(1))),
            "it begins anew once it left the pool"
        );
    }

    #[test]
    fn what_is_remembered_of_transactions_is_bounded() {
        let mut waking = Waking::default();
        let left_out = Outcome {
            is_left_out: true,
            ..EMPTY
        };
        for n in 0..2_000_u64 {
            waking.finished(
                Cause::Transaction(B256::from(alloy_primitives::U256::from(n))),
                left_out,
            );
        }
        assert_eq!(waking.left_out.len(), super::MAX_LEFT_OUT);
    }
}
