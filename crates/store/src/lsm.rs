//! The tables in one log-structured tree (`lsm-tree`), which has no journal: what is not flushed is gone after a
//! crash, and is made again from the log.
//!
//! ```text
//!   commit ─▶ active memtable ─seal─▶ sealed ─flush─▶ sorted files and value files ─compact─▶ …
//!                                                      fsynced, then one new version
//! ```
//!
//! `engine` holds the rules that make a commit atomic for readers and crashes; `workers` are the two threads,
//! which sleep when nothing is to be done; `readers` says who may see what.

mod engine;
mod interrupt;
mod marker;
mod readers;
mod snapshot;
#[cfg(test)]
mod tests;
mod workers;

use crate::files::make_folder;
use crate::tables::{Batch, Snapshot, Tables, TablesError, TablesFigures};
use engine::{Committing, Engine};
use interrupt::Interrupt;
use lsm_tree::{AbstractTree as _, Cache, Config, KvSeparationOptions};
use snapshot::LsmSnapshot;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use workers::Shared;

/// The longest key of the engine.
const MAX_KEY_BYTES: usize = 65_535;

/// Value files are made about this large: a small one is cheap to rewrite when most of it is stale.
const VALUE_FILE_BYTES: u64 = 64 << 20;

/// How the tables use memory and disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LsmOptions {
    /// Memory for blocks that were read, in bytes. Taken only as it is used.
    pub cache_bytes: u64,
    /// A memtable is flushed when it has this many bytes …
    pub memtable_bytes: u64,
    /// … or when a commit has been in it for so long.
    pub flush_after: Duration,
    /// Sealed memtables that may wait for the flusher; a commit waits when there are as many.
    pub sealed_limit: usize,
    /// How long a commit waits before it fails with [`TablesError::Behind`].
    pub wait_at_most: Duration,
    /// Below this many bytes a memtable is not flushed for its age alone: what is in it is executed again from the log in
    /// no time, and a chain that does nothing wakes nobody.
    pub age_from_bytes: u64,
    /// Values of at least this many bytes lie apart from their keys, so that compaction leaves them alone. `None` where a
    /// loss of power must not depend on the file system: `lsm-tree` 3.1.10 does not sync the folder of its value files, so
    /// that on a file system that does not persist a new file's name with its data the tree may miss one.
    pub separate_from_bytes: Option<u32>,
}

impl Default for LsmOptions {
    /// For production: 256 MiB of cache, flushed at 64 MiB or 30 s.
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            memtable_bytes: 64 << 20,
            flush_after: Duration::from_secs(30),
            sealed_limit: 3,
            wait_at_most: Duration::from_secs(30),
            age_from_bytes: 1 << 20,
            separate_from_bytes: None,
        }
    }
}

impl LsmOptions {
    /// For development and tests: 16 MiB of cache, flushed at 16 MiB or 30 s.
    #[must_use]
    pub fn small() -> Self {
        Self {
            cache_bytes: 16 << 20,
            memtable_bytes: 16 << 20,
            ..Self::default()
        }
    }
}

/// The real tables. Dropping them ends their threads and flushes nothing: as after a crash, commits since the last
/// flush are made again from the log. [`LsmTables::close`] flushes.
#[derive(Debug)]
pub struct LsmTables {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    commits: AtomicU64,
}

impl LsmTables {
    /// Opens the tables in `folder`, which is made when it is not there. The caller holds whatever lock keeps other
    /// processes away.
    ///
    /// # Errors
    ///
    /// [`TablesError::Io`], [`TablesError::Engine`] and [`TablesError::TooNew`].
    pub fn open(folder: &Path, options: LsmOptions) -> Result<Self, TablesError> {
        let interrupt = Interrupt::default();
        let engine = Arc::new(open_engine(folder, options, &interrupt)?);
        let shared = Arc::new(Shared::new(engine, interrupt, options));
        let mut tables = Self {
            shared,
            threads: Vec::new(),
            commits: AtomicU64::new(0),
        };
        // If the second does not start, dropping `tables` ends the first.
        tables.spawn("store-flush", Shared::flush_until_stopped)?;
        tables.spawn("store-compact", Shared::compact_until_stopped)?;
        Ok(tables)
    }

    /// Flushes and ends.
    ///
    /// # Errors
    ///
    /// As [`Tables::flush`].
    pub fn close(self) -> Result<(), TablesError> {
        self.flush()
    }

    fn spawn(&mut self, name: &str, life: fn(&Shared)) -> Result<(), TablesError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || life(&shared))
            .map_err(|source| TablesError::Io {
                action: "start a thread",
                source,
            })?;
        self.threads.push(thread);
        Ok(())
    }

    /// The commit lock, once there is room for another memtable.
    fn begin(&self) -> Result<Committing<'_>, TablesError> {
        loop {
            self.await_room()?;
            // Not held while waiting: the flusher needs it to make room.
            let committing = self.shared.engine.begin();
            let state = self.shared.state.lock();
            if state.poisoned {
                return Err(TablesError::Poisoned);
            }
            if state.sealed.len() < self.shared.options.sealed_limit {
                return Ok(committing);
            }
        }
    }

    fn await_room(&self) -> Result<(), TablesError> {
        let mut state = self.shared.state.lock();
        while !state.poisoned && state.sealed.len() >= self.shared.options.sealed_limit {
            let wait = self.shared.options.wait_at_most;
            if self.shared.progress.wait_for(&mut state, wait).timed_out() {
                return Err(TablesError::Behind);
            }
        }
        Ok(())
    }
}

fn open_engine(
    folder: &Path,
    options: LsmOptions,
    interrupt: &Interrupt,
) -> Result<Engine, TablesError> {
    make_folder(folder).map_err(|source| TablesError::Io {
        action: "make their folder",
        source,
    })?;
    marker::check(folder)?;
    let separation = options.separate_from_bytes.map(|bytes| {
        KvSeparationOptions::default()
            .separation_threshold(bytes)
            .file_target_size(VALUE_FILE_BYTES)
    });
    let cache = Arc::new(Cache::with_capacity_bytes(options.cache_bytes));
    Engine::open(|numbers, visible| {
        Config::new(folder.join("tree"), numbers, visible)
            .use_cache(cache)
            .with_kv_separation(separation)
            .with_compaction_filter_factory(Some(Arc::new(interrupt.clone())))
    })
}

impl Tables for LsmTables {
    fn commit(&self, batch: Batch) -> Result<(), TablesError> {
        if let Some((key, _)) = batch
            .writes
            .iter()
            .find(|(key, _)| key.is_empty() || key.len() > MAX_KEY_BYTES)
        {
            return Err(TablesError::BadKey { bytes: key.len() });
        }
        let committing = self.begin()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        if batch.writes.is_empty() {
            return Ok(());
        }
        let size = committing.apply(batch.writes);
        if size >= self.shared.options.memtable_bytes {
            self.shared.seal(&committing);
        } else if size >= self.shared.options.age_from_bytes {
            self.shared.note_commit(&committing);
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(LsmSnapshot::take(&self.shared.engine))
    }

    fn flush(&self) -> Result<(), TablesError> {
        let goal = self.shared.seal(&self.shared.engine.begin());
        let mut state = self.shared.state.lock();
        while state.flushed < goal {
            if state.poisoned {
                return Err(TablesError::Poisoned);
            }
            self.shared.progress.wait(&mut state);
        }
        if state.poisoned {
            Err(TablesError::Poisoned)
        } else {
            Ok(())
        }
    }

    fn figures(&self) -> TablesFigures {
        let engine = &self.shared.engine;
        let sealed: u64 = self.shared.state.lock().sealed.iter().sum();
        TablesFigures {
            commits: self.commits.load(Ordering::Relaxed),
            flushes: self.shared.flushes.load(Ordering::Relaxed),
            compactions: self.shared.compactions.load(Ordering::Relaxed),
            open_snapshots: engine.readers.count(),
            memtable_bytes: sealed + engine.tree.active_memtable().size(),
            disk_bytes: engine.tree.disk_space(),
            gets: engine.gets.load(Ordering::Relaxed),
        }
    }
}

impl Drop for LsmTables {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A panic in it has poisoned the tables and was reported there.
            let _ = thread.join();
        }
    }
}
