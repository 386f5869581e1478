//! The tree, the numbers and the commit lock; no threads of its own.
//!
//! Rules that hold here, and why:
//!
//! - A commit's inserts share one number, and the lock is held over all of them; the number is published after the
//!   last. So no snapshot sees a part of a commit.
//! - A memtable is sealed only under the commit lock, between commits. So no flush takes a part of a commit, and
//!   after a crash the tree holds a prefix of the commits.
//! - What is published is the counter's value under the commit lock: all numbers below it are whole commits or the
//!   library's own. So a reader always finds the library's newest version that is older than its number.
//! - Evictions, also of versions with the memtables that they hold, go up to the oldest number in use, no further.

use super::readers::Readers;
use crate::tables::TablesError;
use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree as _, AnyTree, SequenceNumberCounter, Slice};
use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// One tree under our rules.
pub(super) struct Engine {
    pub(super) tree: AnyTree,
    /// Commits and the library draw their numbers here.
    numbers: SequenceNumberCounter,
    pub(super) readers: Readers,
    /// Rows asked for by key.
    pub(super) gets: AtomicU64,
    commit_lock: Mutex<()>,
}

/// The commit lock, held.
pub(super) struct Committing<'a> {
    engine: &'a Engine,
    _lock: MutexGuard<'a, ()>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the tree that `config` makes of the two counters: commits, and what the library calls visible.
    pub(super) fn open(
        config: impl FnOnce(SequenceNumberCounter, SequenceNumberCounter) -> lsm_tree::Config,
    ) -> Result<Self, TablesError> {
        let numbers = SequenceNumberCounter::default();
        let visible = SequenceNumberCounter::default();
        let tree =
            config(numbers.clone(), visible)
                .open()
                .map_err(|source| TablesError::Engine {
                    action: "be opened",
                    source,
                })?;
        // The first number is 1: a reader at 0 would be taken for one without a version.
        let next = tree.get_highest_persisted_seqno().unwrap_or(0) + 1;
        numbers.fetch_max(next);
        let readers = Readers::new(numbers.get());
        Ok(Self {
            tree,
            numbers,
            readers,
            gets: AtomicU64::new(0),
            commit_lock: Mutex::new(()),
        })
    }

    /// Waits for the commit lock.
    pub(super) fn begin(&self) -> Committing<'_> {
        Committing {
            engine: self,
            _lock: self.commit_lock.lock(),
        }
    }

    /// The commit lock, if nobody holds it.
    pub(super) fn try_begin(&self) -> Option<Committing<'_>> {
        let lock = self.commit_lock.try_lock()?;
        Some(Committing {
            engine: self,
            _lock: lock,
        })
    }

    /// Writes all sealed memtables to disk. On return they are durable.
    pub(super) fn flush_sealed(&self) -> Result<(), TablesError> {
        let lock = self.tree.get_flush_lock();
        self.tree
            .flush(&lock, self.readers.oldest())
            .map_err(|source| TablesError::Engine {
                action: "flush",
                source,
            })?;
        Ok(())
    }

    /// Compacts once. Says whether there was anything to do.
    pub(super) fn compact(&self, strategy: &Arc<Leveled>) -> Result<bool, TablesError> {
        let before = self.tree.current_version().id();
        let strategy = Arc::clone(strategy);
        self.tree
            .compact(strategy, self.readers.oldest())
            .map_err(|source| TablesError::Engine {
                action: "compact",
                source,
            })?;
        Ok(self.tree.current_version().id() != before)
    }

    /// Lets go of versions, and of the flushed memtables that they hold, which no reader needs.
    pub(super) fn forget_old_versions(&self) -> Result<(), TablesError> {
        // When a commit is under way it publishes at its end what is published here.
        if let Some(committing) = self.try_begin() {
            committing.publish();
        }
        let oldest = self.readers.oldest();
        let path = self.tree.tree_config().path.clone();
        self.tree
            .get_version_history_lock()
            .maintenance(&path, oldest)
            .map_err(|source| TablesError::Engine {
                action: "remove an old version",
                source,
            })
    }
}

impl Committing<'_> {
    /// Applies one commit. Returns the size of the active memtable in bytes.
    ///
    /// Keys are valid: the caller has checked that.
    pub(super) fn apply(
        &self,
        writes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> u64 {
        let number = self.engine.numbers.next();
        let mut size = 0;
        for (key, value) in writes {
            let (_, now) = match value {
                Some(value) => self.engine.tree.insert(key, Slice::from(value), number),
                None => self.engine.tree.remove(key, number),
            };
            size = now;
        }
        self.publish();
        size
    }

    /// Seals the active memtable. `None` when it is empty; else its size in bytes.
    pub(super) fn seal(&self) -> Option<u64> {
        self.engine.tree.rotate_memtable().map(|it| it.size())
    }

    fn publish(&self) {
        self.engine.readers.publish(self.engine.numbers.get());
    }
}
