//! An unchanging view of the tree.

use super::engine::Engine;
use super::readers::Number;
use crate::tables::{Rows, Snapshot, TablesError, Value};
use lsm_tree::{AbstractTree as _, Guard as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Holds a number until it is dropped.
#[derive(Debug)]
pub(super) struct LsmSnapshot {
    engine: Arc<Engine>,
    number: Number,
}

impl LsmSnapshot {
    pub(super) fn take(engine: &Arc<Engine>) -> Self {
        Self {
            number: engine.readers.enter(),
            engine: Arc::clone(engine),
        }
    }
}

impl Drop for LsmSnapshot {
    fn drop(&mut self) {
        self.engine.readers.leave(self.number);
    }
}

impl Snapshot for LsmSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError> {
        self.engine.gets.fetch_add(1, Ordering::Relaxed);
        self.engine.tree.get(key, self.number).map_err(reading)
    }

    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let rows = self.engine.tree.range(from..to, self.number, None);
        Box::new(rows.map(|row| row.into_inner().map_err(reading)))
    }

    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let rows = self.engine.tree.range(from..to, self.number, None).rev();
        Box::new(rows.map(|row| row.into_inner().map_err(reading)))
    }
}

fn reading(source: lsm_tree::Error) -> TablesError {
    TablesError::Engine {
        action: "be read",
        source,
    }
}
