//! A disk in memory that can lose power, and the two seams on it.
//!
//! ```text
//!   SegmentLog ──▶ ┌ Disk ──────────────────────────────┐ ◀── SimulatedTables
//!                  │ files: durable bytes + later writes │
//!                  │ tables: versions + the last flush   │ ◀── power_cut(seed), kill(seed), faults
//!                  └─────────────────────────────────────┘
//! ```
//!
//! The log is the real one: only the files under it are simulated, so that a simulation tests its recovery too.
//! The tables are a map with versions; after a cut they come back as of some commit not before the last flush.
//! Everything is decided by seeds. A log or tables that were open at a cut answer errors from then on, as the
//! process that held them is gone.

mod files;
mod random;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

pub use random::Random;
pub use tables::SimulatedTables;

use crate::log::LogError;
use crate::segments::{Opened, SegmentLog, SegmentOptions};
use files::StoredFile;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tables::StoredTables;

/// Small, so that a simulation sees many segments begin and end.
const SEGMENT_BYTES: u64 = 64 << 10;

/// One city's disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Counts cuts: a handle of an earlier life is dead.
    life: u64,
    random: Random,
    /// What the folder says now, and what it would say after a cut.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    files: BTreeMap<u64, StoredFile>,
    next_file: u64,
    /// How many bytes all files together may have.
    limit: Option<u64>,
    failing_syncs: u32,
    failing_flushes: u32,
    tables: StoredTables,
}

impl Disk {
    /// An empty disk. `seed` decides the numbers that the log draws.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            life: 0,
            random: Random::new(seed),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            limit: None,
            failing_syncs: 0,
            failing_flushes: 0,
            tables: StoredTables::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Opens the log on this disk, with segments of 64 KiB.
    ///
    /// # Errors
    ///
    /// As [`SegmentLog::open`].
    pub fn open_log(&self) -> Result<(SegmentLog, Opened), LogError> {
        self.open_log_with(SegmentOptions {
            segment_bytes: SEGMENT_BYTES,
        })
    }

    /// Opens the log on this disk.
    ///
    /// # Errors
    ///
    /// As [`SegmentLog::open`].
    pub fn open_log_with(&self, options: SegmentOptions) -> Result<(SegmentLog, Opened), LogError> {
        SegmentLog::open_on(Arc::new(self.handle()), options)
    }

    /// Opens the tables on this disk.
    #[must_use]
    pub fn open_tables(&self) -> SimulatedTables {
        SimulatedTables::open(self)
    }

    /// Power is lost and comes back. Of what was written and not synced, `seed` decides what is there: nothing, all,
    /// or any sectors of it, some torn at a byte; files that were made or removed without a sync of the folder are
    /// there or not. The tables are as of some commit not before the last flush.
    pub fn power_cut(&self, seed: u64) {
        let mut random = Random::new(seed);
        let mut state = self.state.lock();
        state.end_life(&mut random);
        state.lose_names(&mut random);
        for file in state.files.values_mut() {
            file.lose_power(&mut random);
        }
    }

    /// The process ends at once, as by `kill -9`. All that the log wrote is there; the tables lose what was in
    /// memory, down to some commit not before the last flush, as `seed` decides.
    pub fn kill(&self, seed: u64) {
        self.state.lock().end_life(&mut Random::new(seed));
    }

    /// Lets the next sync of the log fail. What it was to make durable may be lost by a cut, whatever is synced later.
    pub fn fail_next_sync(&self) {
        self.state.lock().failing_syncs += 1;
    }

    /// Lets the next flush of the tables fail.
    pub fn fail_next_flush(&self) {
        self.state.lock().failing_flushes += 1;
    }

    /// Lets the log's files have `bytes` together and no more: a write beyond fails as on a full disk.
    pub fn limit(&self, bytes: Option<u64>) {
        self.state.lock().limit = bytes;
    }

    /// Bytes of all files of the log.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Flips one bit of what is durable in the log: `place` of all bytes of all files, wrapping.
    pub fn rot(&self, place: u64) {
        let mut state = self.state.lock();
        let mut skip = place % state.used().max(1);
        for file in state.files.values_mut() {
            if file.flip(skip) {
                return;
            }
            skip -= file.len();
        }
    }

    fn handle(&self) -> files::Handle {
        files::Handle {
            disk: self.clone(),
            life: self.state.lock().life,
        }
    }
}

impl State {
    fn end_life(&mut self, random: &mut Random) {
        self.life += 1;
        self.failing_syncs = 0;
        self.failing_flushes = 0;
        self.tables.lose_memory(random);
    }

    /// What the folder says after a cut.
    fn lose_names(&mut self, random: &mut Random) {
        let names: Vec<String> = self
            .names
            .keys()
            .chain(self.durable_names.keys())
            .cloned()
            .collect();
        for name in names {
            let (now, durable) = (self.names.get(&name), self.durable_names.get(&name));
            if now != durable && random.chance(1, 2) {
                match durable.copied() {
                    Some(id) => self.names.insert(name, id),
                    None => self.names.remove(&name),
                };
            }
        }
        self.durable_names.clone_from(&self.names);
        let Self { files, names, .. } = self;
        files.retain(|id, _| names.values().any(|it| it == id));
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|id| self.files.get(id))
            .map(StoredFile::len)
            .sum()
    }

    fn check_life(&self, life: u64) -> io::Result<()> {
        if self.life == life {
            Ok(())
        } else {
            Err(io::Error::other("the process that opened this is gone"))
        }
    }
}
