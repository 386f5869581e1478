//! The log: one append-only journal for all chains of a city.

use std::fmt;

/// Where a record begins: bytes appended since the log was made. Never reused, only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// One record as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins.
    pub position: Position,
    /// The chain it belongs to (its chain id), as given to [`Log::append`].
    pub chain: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// The journal seam. A contract between whoever must not forget, and a disk.
///
/// - Records come back from [`Log::replay`] in the order in which they were appended, all chains in one sequence.
/// - When [`Log::append`] returns, the records are with the operating system: the end of this process loses nothing.
///   They survive a loss of power only after [`Log::sync`] of their position returned `Ok`.
/// - After a crash a *prefix* of what was appended is there. A torn last record is dropped in silence; a bad record
///   with a good one after it is damage and is reported when the log is opened.
/// - After any failed write or sync the log is poisoned: every later append and sync fails, reads go on.
pub trait Log: fmt::Debug + Send + Sync {
    /// Appends `payloads` for `chain`, next to each other and in order. Returns the position *after* the last one:
    /// what [`Log::sync`] wants.
    ///
    /// # Errors
    ///
    /// [`LogError`]; none of the payloads counts then.
    fn append(&self, chain: u64, payloads: &[&[u8]]) -> Result<Position, LogError>;

    /// Waits until everything before `upto` would survive a loss of power. Callers that wait at the same time share
    /// one `fdatasync`. Does nothing when that is so already.
    ///
    /// # Errors
    ///
    /// [`LogError`]; nothing more may be believed durable then.
    fn sync(&self, upto: Position) -> Result<(), LogError>;

    /// Visits every record that is kept at or after `from`, in order, until `visit` answers `false`.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the disk cannot be read.
    fn replay(&self, from: Position, visit: &mut dyn FnMut(Entry) -> bool) -> Result<(), LogError>;

    /// The position after the last record.
    fn end(&self) -> Position;

    /// Says that no record before `below` will be needed again: whole segments before it may be recycled.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the disk refuses.
    fn release(&self, below: Position) -> Result<(), LogError>;

    /// Counters for the metrics page.
    fn figures(&self) -> LogFigures;
}

/// What the log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Records appended.
    pub records: u64,
    /// Bytes appended, frames included.
    pub bytes: u64,
    /// `fdatasync` calls.
    pub syncs: u64,
    /// Segment files held, spare ones included.
    pub segments: u64,
}

/// Why the log did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// An earlier write failed; the log writes nothing more until it is opened again.
    #[error("the log stopped writing after an earlier failure; mend the disk and restart")]
    Poisoned,
    /// The disk refused.
    #[error("the log could not {action}")]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A record is bad and a good one follows: not a torn tail.
    #[error("the log is damaged at position {}: a good record follows a bad one", .at.0)]
    Damaged {
        /// Where the bad record begins.
        at: Position,
    },
    /// Written by a later release.
    #[error(
        "the log has format version {found}, this program knows up to {known}: use a newer release"
    )]
    TooNew {
        /// The version on disk.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// One payload is larger than a record may be.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl LogError {
    /// Whether the same call may succeed later in this process.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }
}
