//! How long a round waits, and the timers that the host is asked to run.
//!
//! Durations are the chain's, from measured delay ([`Delays`](crate::Delays)), within the bounds of
//! its record; whatever these say, none is shorter than 50 ms or longer than 60 s.

use std::time::Duration;

/// The shortest time-out.
const MIN: Duration = Duration::from_millis(50);

/// The longest time-out, however many rounds have passed.
pub(crate) const MAX: Duration = Duration::from_secs(60);

/// What a timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeoutKind {
    /// A proposal.
    Propose = 1,
    /// Agreement among the prevotes, of which more than 2/3 are here.
    Prevote = 2,
    /// Agreement among the precommits, of which more than 2/3 are here.
    Precommit = 3,
    /// Anything at all: then this city's last votes are sent again.
    Rebroadcast = 4,
}

/// A timer: asked for by `Effect::Schedule`, given back whole by `Input::Timeout` when it is over.
///
/// A new one replaces the earlier one of its kind, so that a host needs at most four timers a chain.
/// One that was replaced or cancelled may still be given back; it has no effect then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// The height to which it belongs.
    pub height: u64,
    /// The round to which it belongs.
    pub round: u32,
    /// What it waits for.
    pub kind: TimeoutKind,
    /// How long it waits from now.
    pub duration: Duration,
    /// Tells it from its predecessors of the same kind and round.
    pub generation: u64,
}

/// The waiting times of one chain: a base, and what each further round adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Wait for a proposal in round 0.
    pub propose: Duration,
    /// Wait for prevotes, and for precommits, in round 0.
    pub vote: Duration,
    /// What each round adds to both.
    pub round_step: Duration,
    /// Wait before own votes are sent again.
    pub rebroadcast: Duration,
    /// The shortest wait for a proposal or for votes.
    pub least: Duration,
    /// The longest, however many rounds have passed.
    pub most: Duration,
}

impl Timeouts {
    /// For cities on one continent: half a second for a body to be built, sent and executed, a few
    /// round trips for votes.
    pub const DEFAULT: Self = Self {
        propose: Duration::from_millis(500),
        vote: Duration::from_millis(200),
        round_step: Duration::from_millis(250),
        rebroadcast: Duration::from_secs(5),
        least: MIN,
        most: MAX,
    };

    /// The same between these bounds, as far as they lie between 50 ms and 60 s.
    #[must_use]
    pub fn within(self, least: Duration, most: Duration) -> Self {
        let least = least.clamp(MIN, MAX);
        let most = most.clamp(least, MAX);
        Self {
            least,
            most,
            ..self
        }
    }

    /// How long a timer of this kind runs in this round: between 50 ms and 60 s.
    #[must_use]
    pub fn duration(&self, kind: TimeoutKind, round: u32) -> Duration {
        match kind {
            TimeoutKind::Propose => self.proposal(self.propose, round),
            TimeoutKind::Prevote | TimeoutKind::Precommit => self.proposal(self.vote, round),
            TimeoutKind::Rebroadcast => self.grown(self.rebroadcast, round).clamp(MIN, MAX),
        }
    }

    /// How long a proposer who is awaited for `base` in round 0 is awaited in this round.
    #[must_use]
    pub fn proposal(&self, base: Duration, round: u32) -> Duration {
        let least = self.least.clamp(MIN, MAX);
        let most = self.most.clamp(least, MAX);
        self.grown(base, round).clamp(least, most)
    }

    fn grown(&self, base: Duration, round: u32) -> Duration {
        base.saturating_add(self.round_step.saturating_mul(round))
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{TimeoutKind, Timeouts};

    const KINDS: [TimeoutKind; 4] = [
        TimeoutKind::Propose,
        TimeoutKind::Prevote,
        TimeoutKind::Precommit,
        TimeoutKind::Rebroadcast,
    ];

    #[test]
    fn no_timer_is_shorter_than_50_ms_or_longer_than_60_s() {
        let short = Timeouts {
            propose: Duration::ZERO,
            vote: Duration::ZERO,
            round_step: Duration::ZERO,
            rebroadcast: Duration::ZERO,
            least: Duration::ZERO,
            most: Duration::ZERO,
        };
        let long = Timeouts {
            propose: Duration::MAX,
            vote: Duration::MAX,
            round_step: Duration::MAX,
            rebroadcast: Duration::MAX,
            least: Duration::ZERO,
            most: Duration::MAX,
        };
        for kind in KINDS {
            assert_eq!(short.duration(kind, 7), Duration::from_millis(50));
            assert_eq!(long.duration(kind, u32::MAX), Duration::from_secs(60));
        }
    }

    #[test]
    fn each_round_waits_longer() {
        let timeouts = Timeouts::default();
        for kind in KINDS {
            assert!(timeouts.duration(kind, 1) > timeouts.duration(kind, 0));
        }
    }
}
