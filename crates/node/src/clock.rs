//! The city's clock, a parameter so that a test can own time.

use std::fmt;

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Unix milliseconds. May go backwards: whoever needs more keeps the last value.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the machine's clock enters"
        )]
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
