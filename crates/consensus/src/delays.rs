//! How long a chain's cities are awaited, from how long they took.
//!
//! ```text
//!  each proposal that was awaited ─▶ mean, deviation of its proposer ─▶ wait for that proposer ┐
//!  own vote to quorum ─────────────▶ mean, deviation ─────────────────▶ wait for votes         ├─▶ time-outs of a height
//!  rounds that fail ───────────────▶ strain ────────────────────────────────────────────────────┘
//! ```
//!
//! As TCP's retransmission timer (RFC 6298): mean plus four deviations, here twice that, so that a wait does not fall below
//! two means. What a city does bears on nobody but itself:
//!
//! * A proposer's speed says how long *it* is awaited. It cannot make the wait for another one short; and not its own
//!   longer than the default and twice the median of all, which takes more than half of the cities to move.
//! * Votes are timed up to a quorum, which no third can hasten or delay: it has an honest city's vote that had to come
//!   here, and the honest ones are one.
//!
//! All begins with the defaults. Nothing here is agreed on: cities may wait for different times.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy_primitives::Address;

use crate::timeouts::{MAX, Timeouts};

/// A wait is so many times what is measured to be nearly always enough.
const SAFETY: u32 = 2;

/// Deviations above the mean (RFC 6298, 2.2).
const DEVIATIONS: u32 = 4;

/// The least deviation that is counted (RFC 6298's G): clocks are read in milliseconds, and a disk's syncs differ by more.
const GRAIN: Duration = Duration::from_millis(20);

/// What is doubled, is doubled at most so often.
const MOST_DOUBLINGS: u32 = 3;

/// Rounds that fail double all waits once and no more: cities that saw different rounds then wait so much alike that the
/// rounds' own growth soon covers the difference. Where one waits eight times as long as another, and every vote is needed,
/// the quick one has voted for nothing in each round before the slow one's block is there.
const MOST_STRAIN: u32 = 1;

/// Votes are awaited for no longer than so many defaults, before rounds and strain add to it. A proposer's wait holds this
/// city up alone; waits for votes that differ by more than a proposer's wait keep cities from being in one round together.
const MOST_VOTE_DEFAULTS: u32 = 2;

/// How long the cities of one chain take, as this city sees it.
#[derive(Clone, Debug)]
pub struct Delays {
    defaults: Timeouts,
    /// How many other validators there are.
    others: usize,
    proposers: BTreeMap<Address, Proposer>,
    votes: Estimate,
    /// How often waits are doubled because rounds fail.
    strain: u32,
}

/// What is known of one proposer.
#[derive(Clone, Copy, Debug)]
struct Proposer {
    estimate: Estimate,
    /// Whether a proposal of its was ever measured.
    is_known: bool,
    /// Turns since the last proposal that passed without one.
    missed: u32,
    /// Those among them in which it was heard nevertheless.
    late: u32,
}

/// A mean and a mean deviation, both weighted towards the latest.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    mean: Duration,
    deviation: Duration,
}

impl Delays {
    /// Nothing is known yet of the `others` validators; `defaults` hold.
    #[must_use]
    pub fn new(defaults: Timeouts, others: usize) -> Self {
        Self {
            defaults,
            others,
            proposers: BTreeMap::new(),
            votes: Estimate::of(defaults.vote),
            strain: 0,
        }
    }

    /// The chain has another set from now on, with `others` validators beside this city. What is known of those who `stay` is
    /// kept.
    pub fn change(&mut self, others: usize, stay: impl Fn(&Address) -> bool) {
        self.others = others;
        self.proposers.retain(|proposer, _| stay(proposer));
    }

    /// The time-outs of a height. How long each proposer is awaited is [`Delays::proposal`].
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            propose: self.strained(self.defaults.propose),
            vote: self.strained(self.votes()),
            ..self.defaults
        }
    }

    /// How long this proposer is awaited, before what its round adds and within no bounds yet.
    #[must_use]
    pub fn proposal(&self, proposer: Address) -> Duration {
        let default = self.defaults.propose;
        let wait = match self.proposers.get(&proposer) {
            Some(known) if known.is_known => doubled(known.estimate.wait(), known.late),
            // It had its chance: no longer than for the slowest that is known.
            Some(unknown) if unknown.missed > 0 => {
                let slowest = self.waits().max().unwrap_or(default);
                doubled(slowest.min(default), unknown.late)
            }
            _ => default,
        };
        self.strained(wait.min(self.longest()))
    }

    /// A block of this proposer was here so long after it began to be awaited; perhaps too late.
    pub fn proposed(&mut self, proposer: Address, waited: Duration) {
        if waited > MAX {
            // A clock was set, or this city slept.
            return;
        }
        let most = self.proposal(proposer);
        let known = self.proposer(proposer);
        known.is_known = true;
        (known.missed, known.late) = (0, 0);
        known.estimate.add(waited.min(most));
    }

    /// A turn of this proposer passed without its block, though this city awaited it. Whoever `was_heard` since its turn
    /// before is slow, and given more time; whoever was not is away, and not waited for longer than before.
    pub fn missed(&mut self, proposer: Address, was_heard: bool) {
        let known = self.proposer(proposer);
        known.missed = known.missed.saturating_add(1);
        if was_heard {
            known.late = known.late.saturating_add(1);
        }
    }

    /// A quorum of votes was here so long after this city's own.
    pub fn voted(&mut self, waited: Duration) {
        if waited <= MAX {
            let most = self.strained(self.votes());
            self.votes.add(waited.min(most));
        }
    }

    /// A height was decided in this round. One dead proposer costs a round; more than that, again and again, is a sign that
    /// the waits are too short.
    pub fn decided(&mut self, round: u32) {
        self.strain = match round {
            0 => self.strain.saturating_sub(1),
            1 => self.strain,
            _ => (self.strain + 1).min(MOST_STRAIN),
        };
    }

    fn proposer(&mut self, proposer: Address) -> &mut Proposer {
        let default = self.defaults.propose;
        self.proposers.entry(proposer).or_insert_with(|| Proposer {
            estimate: Estimate::of(default),
            is_known: false,
            missed: 0,
            late: 0,
        })
    }

    /// The waits for proposers of whom proposals were measured.
    fn waits(&self) -> impl Iterator<Item = Duration> {
        let known = self.proposers.values().filter(|known| known.is_known);
        known.map(|known| known.estimate.wait())
    }

    /// The longest wait for a single proposer: the default, or twice the median once more than half are known.
    fn longest(&self) -> Duration {
        let mut waits: Vec<Duration> = self.waits().collect();
        waits.sort_unstable();
        let default = self.defaults.propose;
        if waits.len() * 2 <= self.others {
            return default;
        }
        // Those that are not known count as quick: they are fewer.
        let median = (waits.len() * 2).checked_sub(self.others + 1);
        let median = median.and_then(|place| waits.get(place / 2));
        median.map_or(default, |median| default.max(*median * 2))
    }

    fn votes(&self) -> Duration {
        let most = self.defaults.vote * MOST_VOTE_DEFAULTS;
        self.votes.wait().min(most)
    }

    fn strained(&self, wait: Duration) -> Duration {
        doubled(wait, self.strain)
    }
}

impl Estimate {
    /// One whose wait is this, all of it because nothing is known.
    fn of(wait: Duration) -> Self {
        Self {
            mean: Duration::ZERO,
            deviation: wait / (SAFETY * DEVIATIONS),
        }
    }

    /// RFC 6298, 2.3.
    fn add(&mut self, sample: Duration) {
        self.deviation = self.deviation * 3 / 4 + self.mean.abs_diff(sample) / 4;
        self.mean = self.mean * 7 / 8 + sample / 8;
    }

    fn wait(&self) -> Duration {
        (self.mean + self.deviation.max(GRAIN) * DEVIATIONS) * SAFETY
    }
}

fn doubled(wait: Duration, times: u32) -> Duration {
    wait.saturating_mul(1 << times.min(MOST_DOUBLINGS))
}

#[cfg(test)]
mod tests;
