//! Letting go of log that is no longer needed.
//!
//! When the log has grown by a stated amount, the pool's live transactions are copied forward, the tables are flushed on
//! a thread of their own, and then everything before the copies is released: all of it is decided, and its rows are
//! durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chain::Engine;
use parking_lot::Mutex;
use store::{Log, LogError, Position, Tables};

/// When and how far the log of a city with one chain is released.
#[derive(Clone, Debug)]
pub(crate) struct Trim {
    chain: u64,
    /// Bytes of log that are let grow before it is trimmed.
    after_bytes: u64,
    /// Where the log was trimmed last; a lock because the thread that flushes writes it.
    last: Arc<Mutex<Position>>,
    busy: Arc<AtomicBool>,
}

impl Trim {
    pub(crate) fn new(chain: u64, after_bytes: u64, start: Position) -> Self {
        Self {
            chain,
            after_bytes,
            last: Arc::new(Mutex::new(start)),
            busy: Arc::default(),
        }
    }

    /// Call between two heights: nothing of this chain is undecided then.
    pub(crate) fn after_block(
        &self,
        engine: &Engine,
        log: &Arc<dyn Log>,
        tables: &Arc<dyn Tables>,
    ) -> Result<(), LogError> {
        let floor = log.end();
        if floor.0 - self.last.lock().0 < self.after_bytes || self.busy.swap(true, Ordering::AcqRel)
        {
            return Ok(());
        }
        let entries = engine.live_entries();
        let payloads: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        if !payloads.is_empty() {
            let end = log.append(self.chain, &payloads)?;
            log.sync(end)?;
        }
        let (log, tables) = (Arc::clone(log), Arc::clone(tables));
        let (last, busy) = (Arc::clone(&self.last), Arc::clone(&self.busy));
        tokio::task::spawn_blocking(move || {
            match tables.flush() {
                Ok(()) => match log.release(floor) {
                    Ok(()) => *last.lock() = floor,
                    Err(error) => tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "log not released"
                    ),
                },
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "tables not flushed"
                ),
            }
            busy.store(false, Ordering::Release);
        });
        Ok(())
    }
}
