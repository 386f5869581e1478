//! Tables in memory: every row with its versions.

use super::Disk;
use super::random::Random;
use crate::tables::{Batch, Rows, Snapshot, Tables, TablesError, TablesFigures, Value};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest key, as in the real tables.
const MAX_KEY_BYTES: usize = 65_535;

/// A version counts commits.
type Version = u64;

/// What the disk holds, and what would be in memory.
#[derive(Debug, Default)]
pub(super) struct StoredTables {
    /// Versions of each row, ascending.
    rows: BTreeMap<Vec<u8>, Vec<(Version, Option<Value>)>>,
    committed: Version,
    flushed: Version,
    /// Versions in use, and by how many snapshots.
    open: BTreeMap<Version, u64>,
}

/// The simulated tables.
#[derive(Debug)]
pub struct SimulatedTables {
    disk: Disk,
    life: u64,
    figures: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    flushes: AtomicU64,
    gets: AtomicU64,
    poisoned: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
struct SimulatedSnapshot {
    disk: Disk,
    life: u64,
    version: Version,
    figures: Arc<Counters>,
}

impl StoredTables {
    /// Goes back to some commit not before the last flush.
    pub(super) fn lose_memory(&mut self, random: &mut Random) {
        let kept = self.flushed + random.below(self.committed - self.flushed + 1);
        self.rows.retain(|_, versions| {
            versions.retain(|(version, _)| *version <= kept);
            !versions.is_empty()
        });
        self.open.clear();
        self.committed = kept;
        self.flushed = kept;
    }

    fn apply(&mut self, batch: Batch) {
        self.committed += 1;
        let version = self.committed;
        let oldest = self
            .open
            .keys()
            .next()
            .copied()
            .unwrap_or(version)
            .min(self.flushed);
        for (key, value) in batch.writes {
            let versions = self.rows.entry(key).or_default();
            if versions.last().is_some_and(|(last, _)| *last == version) {
                versions.pop();
            }
            versions.push((version, value.map(Value::from)));
            // What the oldest reader sees is the first that is needed.
            let needed = versions.partition_point(|(it, _)| *it <= oldest);
            versions.drain(..needed.saturating_sub(1));
        }
    }

    fn leave(&mut self, version: Version) {
        if let Some(count) = self.open.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&version);
            }
        }
    }
}

fn seen(versions: &[(Version, Option<Value>)], version: Version) -> Option<&Value> {
    let count = versions.partition_point(|(it, _)| *it <= version);
    versions[..count].last()?.1.as_ref()
}

impl SimulatedTables {
    pub(super) fn open(disk: &Disk) -> Self {
        let life = disk.state.lock().life;
        Self {
            disk: disk.clone(),
            life,
            figures: Arc::default(),
        }
    }

    fn check_writable(&self) -> Result<(), TablesError> {
        if self.figures.poisoned.load(Ordering::Acquire) {
            return Err(TablesError::Poisoned);
        }
        Ok(())
    }
}

fn gone(source: io::Error) -> TablesError {
    TablesError::Io {
        action: "reach their disk",
        source,
    }
}

impl Tables for SimulatedTables {
    fn commit(&self, batch: Batch) -> Result<(), TablesError> {
        self.check_writable()?;
        let bad = |key: &[u8]| key.is_empty() || key.len() > MAX_KEY_BYTES;
        if let Some((key, _)) = batch.writes.iter().find(|(key, _)| bad(key)) {
            return Err(TablesError::BadKey { bytes: key.len() });
        }
        let mut state = self.disk.state.lock();
        state.check_life(self.life).map_err(gone)?;
        state.tables.apply(batch);
        self.figures.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let mut state = self.disk.state.lock();
        let version = state.tables.committed;
        if state.life == self.life {
            *state.tables.open.entry(version).or_default() += 1;
        }
        let (disk, figures) = (self.disk.clone(), Arc::clone(&self.figures));
        Arc::new(SimulatedSnapshot {
            disk,
            life: self.life,
            version,
            figures,
        })
    }

    fn flush(&self) -> Result<(), TablesError> {
        self.check_writable()?;
        let mut state = self.disk.state.lock();
        state.check_life(self.life).map_err(gone)?;
        if state.failing_flushes > 0 {
            state.failing_flushes -= 1;
            self.figures.poisoned.store(true, Ordering::Release);
            let source = io::Error::other("a flush that was told to fail");
            return Err(TablesError::Io {
                action: "flush",
                source,
            });
        }
        state.tables.flushed = state.tables.committed;
        self.figures.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn figures(&self) -> TablesFigures {
        TablesFigures {
            commits: self.figures.commits.load(Ordering::Relaxed),
            flushes: self.figures.flushes.load(Ordering::Relaxed),
            open_snapshots: self.disk.state.lock().tables.open.values().sum(),
            gets: self.figures.gets.load(Ordering::Relaxed),
            ..TablesFigures::default()
        }
    }
}

impl SimulatedSnapshot {
    fn with<T>(&self, look: impl FnOnce(&StoredTables) -> T) -> Result<T, TablesError> {
        let state = self.disk.state.lock();
        state.check_life(self.life).map_err(gone)?;
        Ok(look(&state.tables))
    }
}

impl Drop for SimulatedSnapshot {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.life == self.life {
            state.tables.leave(self.version);
        }
    }
}

impl Snapshot for SimulatedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError> {
        self.figures.gets.fetch_add(1, Ordering::Relaxed);
        self.with(|tables| seen(tables.rows.get(key)?, self.version).cloned())
    }

    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        let (from, to) = (Bound::Included(from.to_vec()), to.to_vec());
        Box::new(Walk {
            snapshot: self,
            from,
            to,
            back: false,
        })
    }

    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        let (from, to) = (Bound::Included(from.to_vec()), to.to_vec());
        Box::new(Walk {
            snapshot: self,
            from,
            to,
            back: true,
        })
    }
}

/// A scan: what is still to be visited.
#[derive(Debug)]
struct Walk<'a> {
    snapshot: &'a SimulatedSnapshot,
    from: Bound<Vec<u8>>,
    to: Vec<u8>,
    back: bool,
}

impl Walk<'_> {
    /// Whether nothing is left. Also keeps the map from panicking at bounds that are the wrong way round.
    fn is_done(&self) -> bool {
        match &self.from {
            Bound::Included(from) | Bound::Excluded(from) => *from >= self.to,
            Bound::Unbounded => false,
        }
    }

    fn step(&self, tables: &StoredTables) -> Option<(Vec<u8>, Value)> {
        let mut rows = tables
            .rows
            .range::<Vec<u8>, _>((self.from.as_ref(), Bound::Excluded(&self.to)))
            .filter_map(|(key, versions)| Some((key, seen(versions, self.snapshot.version)?)));
        let (key, value) = if self.back {
            rows.next_back()
        } else {
            rows.next()
        }?;
        Some((key.clone(), value.clone()))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Value, Value), TablesError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done() {
            return None;
        }
        match self.snapshot.with(|tables| self.step(tables)) {
            Err(error) => {
                self.to.clear();
                Some(Err(error))
            }
            Ok(None) => None,
            Ok(Some((key, value))) => {
                let row = (Value::from(&key[..]), value);
                if self.back {
                    self.to = key;
                } else {
                    self.from = Bound::Excluded(key);
                }
                Some(Ok(row))
            }
        }
    }
}
