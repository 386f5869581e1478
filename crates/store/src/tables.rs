//! The tables: all derived data of all chains in one ordered map with atomic commits and snapshots.

use std::fmt;
use std::sync::Arc;

/// A stored value; cheap to clone.
pub type Value = lsm_tree::UserValue;

/// Writes of one commit, applied all or not at all. A later write of one key replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Key and value; `None` removes the key.
    pub writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Adds or replaces a row.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push((key, Some(value)));
    }

    /// Removes a row, if it is there.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }
}

/// The seam to derived data.
///
/// - A commit is atomic: no snapshot sees a part of it, and after a crash the tables hold a *prefix* of the commits,
///   at least all that were there at the last [`Tables::flush`] that returned `Ok`.
/// - Commits are cheap and not durable; whoever must not lose one has what it follows from in the log.
/// - After a failed flush the tables refuse commits; reads go on.
pub trait Tables: fmt::Debug + Send + Sync {
    /// Applies `batch`. When it returns, new snapshots see it.
    ///
    /// # Errors
    ///
    /// [`TablesError`]; nothing was applied.
    fn commit(&self, batch: Batch) -> Result<(), TablesError>;

    /// What is committed now, unchanging however much is committed later. Hold it for seconds, not minutes.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Waits until every commit made so far would survive a loss of power.
    ///
    /// # Errors
    ///
    /// [`TablesError`] when the disk refuses.
    fn flush(&self) -> Result<(), TablesError>;

    /// Counters for the metrics page.
    fn figures(&self) -> TablesFigures;
}

/// Rows from a scan, in key order.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<(Value, Value), TablesError>> + 'a>;

/// An unchanging view of the tables.
pub trait Snapshot: fmt::Debug + Send + Sync {
    /// The row of `key`.
    ///
    /// # Errors
    ///
    /// [`TablesError`] when the disk cannot be read or a block's checksum is wrong.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError>;

    /// Rows with `from <= key < to`, ascending.
    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a>;

    /// The same, descending.
    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a>;
}

/// What the tables have done since they were opened, and hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TablesFigures {
    /// Commits applied.
    pub commits: u64,
    /// Flushes of a memtable.
    pub flushes: u64,
    /// Compactions that did something.
    pub compactions: u64,
    /// Snapshots held now.
    pub open_snapshots: u64,
    /// Bytes in memtables.
    pub memtable_bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Rows read by [`Snapshot::get`].
    pub gets: u64,
}

/// Why the tables did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// An earlier flush failed; nothing more is written until they are opened again.
    #[error("the tables stopped writing after an earlier failure; mend the disk and restart")]
    Poisoned,
    /// The engine underneath failed.
    #[error("the tables could not {action}")]
    Engine {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the engine said.
        source: lsm_tree::Error,
    },
    /// The disk refused.
    #[error("the tables could not {action}")]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that the engine cannot hold: keys are 1 to 65,535 bytes long.
    #[error("a key of {bytes} bytes: keys have 1 to 65535")]
    BadKey {
        /// Its length.
        bytes: usize,
    },
    /// The disk does not keep up: too much is committed and not yet flushed.
    #[error("the tables waited in vain for the disk to take what is committed; is it overloaded?")]
    Behind,
    /// Written by a later release.
    #[error(
        "the tables have format version {found}, this program knows up to {known}: use a newer release"
    )]
    TooNew {
        /// The version on disk.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
}

impl TablesError {
    /// Whether the same call may succeed later in this process.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Behind)
    }
}
