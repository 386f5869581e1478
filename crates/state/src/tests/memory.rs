//! Tables in memory, for tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use store::tables::{Batch, Rows, Snapshot, Tables, TablesError, TablesFigures, Value};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// One ordered map; a snapshot is a copy if anything is committed while it is held.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Arc<Map>>);

#[derive(Debug)]
struct Now(Arc<Map>);

impl Memory {
    /// All rows whose table byte is in the range.
    pub(super) fn rows(&self, tables: std::ops::RangeInclusive<u8>) -> Map {
        let map = Arc::clone(&self.0.lock());
        map.iter().filter(|(key, _)| tables.contains(&key[8])).map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

impl Tables for Memory {
    fn commit(&self, batch: Batch) -> Result<(), TablesError> {
        let mut map = self.0.lock();
        let map = Arc::make_mut(&mut map);
        for (key, value) in batch.writes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(Now(Arc::clone(&self.0.lock())))
    }

    fn flush(&self) -> Result<(), TablesError> {
        Ok(())
    }

    fn figures(&self) -> TablesFigures {
        TablesFigures::default()
    }
}

impl Now {
    fn between<'a>(&'a self, from: &[u8], to: &[u8]) -> impl DoubleEndedIterator<Item = Result<(Value, Value), TablesError>> + 'a {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        self.0.range::<[u8], _>(bounds).map(|(key, value)| Ok((key.as_slice().into(), value.as_slice().into())))
    }
}

impl Snapshot for Now {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError> {
        Ok(self.0.get(key).map(|value| value.as_slice().into()))
    }

    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        Box::new(self.between(from, to))
    }

    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        Box::new(self.between(from, to).rev())
    }
}
