//! A city's two clocks: the one on the wall, which may be wrong in every way, and the one that timers run on.

use std::time::Duration;

/// Unix milliseconds at the beginning of a simulation.
pub(super) const BEGINNING_MS: i64 = 1_800_000_000_000;

/// A year in milliseconds.
const YEAR_MS: i64 = 365 * 86_400_000;

/// How a city's clock goes beside virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// How far ahead it was when virtual time began.
    offset_ms: i64,
    /// Milliseconds on the wall in a second of virtual time: negative runs backwards.
    wall: i64,
    /// The same of the clock for timers: positive.
    timers: u32,
}

impl Clock {
    /// Right within `by_ms`, and a thousandth fast or slow.
    pub(super) fn sound(by_ms: u64, random: &mut super::random::Random) -> Self {
        let signed = |value: u64| i64::try_from(value).unwrap_or(0);
        Self {
            offset_ms: signed(random.below(2 * by_ms + 1)) - signed(by_ms),
            wall: 999 + signed(random.below(3)),
            timers: u32::try_from(random.between(999, 1_001)).unwrap_or(1_000),
        }
    }

    /// Wrong: the kinds of wrong by number.
    pub(super) fn wrong(kind: u64) -> Self {
        let right = Self {
            offset_ms: 0,
            wall: 1_000,
            timers: 1_000,
        };
        match kind % 6 {
            0 => Self {
                offset_ms: YEAR_MS,
                ..right
            },
            1 => Self {
                offset_ms: -YEAR_MS,
                ..right
            },
            2 => Self {
                wall: 1_500,
                timers: 1_500,
                ..right
            },
            3 => Self {
                wall: 500,
                timers: 500,
                ..right
            },
            4 => Self {
                wall: -1_000,
                ..right
            },
            _ => Self {
                offset_ms: -5_000,
                ..right
            },
        }
    }

    /// The same set right all the time, as a network's time does it: what a thousandth makes of an hour is no sound clock.
    pub(super) const fn kept_right(self) -> Self {
        Self {
            wall: 1_000,
            ..self
        }
    }

    /// Whether it is right, or nearly.
    pub(super) const fn is_sound(&self) -> bool {
        self.offset_ms.abs() <= 1_000 && self.wall > 990 && self.wall < 1_010
    }

    /// Unix milliseconds on the wall.
    pub(super) fn now_ms(&self, now: Duration) -> u64 {
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let gone_ms = micros / 1_000 * self.wall / 1_000;
        u64::try_from(BEGINNING_MS + self.offset_ms + gone_ms).unwrap_or(0)
    }

    /// How long a timer of `after` takes in virtual time.
    pub(super) fn lasts(&self, after: Duration) -> Duration {
        after * 1_000 / self.timers
    }

    /// Virtual time until this clock shows `ms`; at most a second, because it may be set.
    pub(super) fn until(&self, ms: u64, now: Duration) -> Duration {
        let left = ms.saturating_sub(self.now_ms(now)).clamp(1, 1_000);
        Duration::from_millis(left)
    }
}
