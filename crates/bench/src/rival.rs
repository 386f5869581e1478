//! The tables over `redb`, a copy-on-write B-tree in one file: what the engine of ours is measured beside. Nothing but the
//! measurements uses it.
//!
//! A commit is one transaction without durability, for the log is the journal. As the tables of ours do, it makes what is
//! committed durable by itself after so many bytes, and when [`Tables::flush`] is called.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{
    AccessGuard, Database, Durability, ReadOnlyTable, ReadableDatabase as _, TableDefinition,
    WriteTransaction,
};
use store::{Batch, LsmOptions, Rows, Snapshot, Tables, TablesError, TablesFigures, Value};

/// Its name with its version.
pub(crate) const NAME: &str = "redb 4.6";

const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");
type Guard<'a> = AccessGuard<'a, &'static [u8]>;

/// Of the seam, not of the engine.
const MAX_KEY_BYTES: usize = 65_535;

/// All rows in one table of one file.
pub(crate) struct RedbTables {
    database: Arc<Database>,
    /// Makes all durable when so many bytes are committed since it was done last.
    durable_after_bytes: u64,
    /// Committed and perhaps not durable. One commit at a time changes it: the engine has one writer.
    pending_bytes: AtomicU64,
    commits: AtomicU64,
    flushes: AtomicU64,
    readers: Arc<Readers>,
}

#[derive(Debug, Default)]
struct Readers {
    open: AtomicU64,
    gets: AtomicU64,
}

struct RedbSnapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// Without it the file is closed, and nothing more is read. Dropped after what reads.
    _database: Arc<Database>,
    readers: Arc<Readers>,
}

impl RedbTables {
    /// Opens or makes the file in `folder`. Of the options, the cache and the bytes of a memtable mean something here.
    pub(crate) fn open(folder: &Path, options: LsmOptions) -> Result<Self, TablesError> {
        let cache_bytes = usize::try_from(options.cache_bytes).unwrap_or(usize::MAX);
        let database = Database::builder()
            .set_cache_size(cache_bytes)
            .create(folder.join("rows.redb"))
            .map_err(failed("be opened"))?;
        let tables = Self {
            database: Arc::new(database),
            durable_after_bytes: options.memtable_bytes,
            pending_bytes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            readers: Arc::default(),
        };
        let transaction = tables.begin(Durability::Immediate)?;
        drop(transaction.open_table(ROWS).map_err(failed("be made"))?);
        transaction.commit().map_err(failed("be made"))?;
        Ok(tables)
    }

    fn begin(&self, durability: Durability) -> Result<WriteTransaction, TablesError> {
        let mut transaction = self
            .database
            .begin_write()
            .map_err(failed("begin a commit"))?;
        transaction
            .set_durability(durability)
            .map_err(failed("begin a commit"))?;
        Ok(transaction)
    }
}

impl Tables for RedbTables {
    fn commit(&self, mut batch: Batch) -> Result<(), TablesError> {
        let mut bytes = 0;
        for (key, value) in &batch.writes {
            if key.is_empty() || key.len() > MAX_KEY_BYTES {
                return Err(TablesError::BadKey { bytes: key.len() });
            }
            bytes += (key.len() + value.as_ref().map_or(0, Vec::len)) as u64;
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        // Neighbours one after another, so that a page is changed once; a later write of one key stays the later one.
        batch.writes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let pending = self.pending_bytes.load(Ordering::Relaxed) + bytes;
        let is_due = pending >= self.durable_after_bytes;
        let transaction = self.begin(if is_due {
            Durability::Immediate
        } else {
            Durability::None
        })?;
        {
            let mut rows = transaction.open_table(ROWS).map_err(failed("be written"))?;
            for (key, value) in &batch.writes {
                match value {
                    Some(value) => rows.insert(key.as_slice(), value.as_slice()),
                    None => rows.remove(key.as_slice()),
                }
                .map_err(failed("be written"))?;
            }
        }
        transaction.commit().map_err(failed("be written"))?;
        self.flushes.fetch_add(u64::from(is_due), Ordering::Relaxed);
        let pending = if is_due { 0 } else { pending };
        self.pending_bytes.store(pending, Ordering::Relaxed);
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let transaction = self
            .database
            .begin_read()
            .expect("an open database can be read");
        let rows = transaction
            .open_table(ROWS)
            .expect("the table was made when it was opened");
        self.readers.open.fetch_add(1, Ordering::Relaxed);
        Arc::new(RedbSnapshot {
            rows,
            _database: Arc::clone(&self.database),
            readers: Arc::clone(&self.readers),
        })
    }

    fn flush(&self) -> Result<(), TablesError> {
        let transaction = self.begin(Durability::Immediate)?;
        transaction.commit().map_err(failed("be flushed"))?;
        self.pending_bytes.store(0, Ordering::Relaxed);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn figures(&self) -> TablesFigures {
        TablesFigures {
            commits: self.commits.load(Ordering::Relaxed),
            flushes: self.flushes.load(Ordering::Relaxed),
            open_snapshots: self.readers.open.load(Ordering::Relaxed),
            memtable_bytes: self.pending_bytes.load(Ordering::Relaxed),
            gets: self.readers.gets.load(Ordering::Relaxed),
            ..TablesFigures::default()
        }
    }
}

impl Snapshot for RedbSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError> {
        self.readers.gets.fetch_add(1, Ordering::Relaxed);
        let row = self.rows.get(key).map_err(failed("be read"))?;
        Ok(row.map(|value| Value::from(value.value())))
    }

    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        self.rows(from, to, false)
    }

    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        self.rows(from, to, true)
    }
}

impl RedbSnapshot {
    fn rows<'a>(&'a self, from: &[u8], to: &[u8], back: bool) -> Rows<'a> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let found = match self.rows.range::<&[u8]>(from..to) {
            Ok(found) => found,
            Err(error) => return Box::new(std::iter::once(Err(failed("be read")(error)))),
        };
        let owned = |row: Result<(Guard<'_>, Guard<'_>), _>| {
            let (key, value) = row.map_err(failed("be read"))?;
            Ok((Value::from(key.value()), Value::from(value.value())))
        };
        if back {
            Box::new(found.rev().map(owned))
        } else {
            Box::new(found.map(owned))
        }
    }
}

impl Drop for RedbSnapshot {
    fn drop(&mut self) {
        self.readers.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for RedbTables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedbTables")
            .field("pending_bytes", &self.pending_bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedbSnapshot")
            .finish_non_exhaustive()
    }
}

/// The seam has no case for this engine: what it says is kept as the source of a failure of the disk.
fn failed<E>(action: &'static str) -> impl Fn(E) -> TablesError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| TablesError::Io {
        action,
        source: std::io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::RedbTables;
    use store::{LsmOptions, conformance};

    #[test]
    fn conforms_when_most_commits_are_durable_and_when_few_are() {
        for memtable_bytes in [10, 16 << 20] {
            conformance::tables(&mut || {
                let folder = tempfile::tempdir().unwrap();
                Box::new(move || {
                    let options = LsmOptions {
                        memtable_bytes,
                        ..LsmOptions::small()
                    };
                    Box::new(RedbTables::open(folder.path(), options).unwrap())
                })
            });
        }
    }
}
