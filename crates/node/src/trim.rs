//! Letting go of log that is no longer needed.
//!
//! When the log has grown by a stated amount, every awake chain writes what it still needs of it again, between two of its
//! heights; the tables are flushed, and then everything before the first of these copies is released: all of it is decided,
//! and its rows are durable. A parked chain needs nothing of the log. While a chain is stuck in a height, nothing is
//! released, but one that is over here is ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use store::{Log, LogError, Position, TablesError};
use tokio::sync::{Notify, oneshot, watch};
use types::ChainId;

use crate::hosting::{Hosting, NO_CHAIN, OpenError};
use crate::peers::ToChain;

/// How long a chain may take to come between two heights, before the log is kept for another while.
const PATIENCE: Duration = Duration::from_secs(10);

/// When the log of a city is released.
#[derive(Clone, Debug)]
pub(crate) struct Trim {
    /// Bytes of log that are let grow before it is trimmed.
    after_bytes: u64,
    /// Where the log was trimmed last, or when that was last tried; a lock because the task that trims writes it.
    last: Arc<Mutex<Position>>,
    busy: Arc<AtomicBool>,
    grown: Arc<Notify>,
}

/// Why the log was kept.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("chain {chain} did not come between two heights; the log is kept until it does")]
    Stuck { chain: ChainId },
    #[error(
        "chain {chain} could not be followed at the start; the log is kept, which alone has what it signed"
    )]
    Failed { chain: ChainId },
    #[error("a chain that is over here was not ended")]
    Over(#[from] OpenError),
    #[error("the log was not released")]
    Log(#[from] LogError),
    #[error("the tables were not flushed")]
    Tables(#[from] TablesError),
    #[error("the thread that flushes panicked")]
    Panicked,
}

impl Trim {
    pub(crate) fn new(after_bytes: u64) -> Self {
        Self {
            after_bytes,
            last: Arc::default(),
            busy: Arc::default(),
            grown: Arc::default(),
        }
    }

    /// The log begins at `start`.
    pub(crate) fn begin(&self, start: Position) {
        *self.last.lock() = start;
    }

    /// Call after a block: looks whether it is time.
    pub(crate) fn after_block(&self, log: &dyn Log) {
        let grown_by = log.end().0 - self.last.lock().0;
        if grown_by >= self.after_bytes && !self.busy.swap(true, Ordering::AcqRel) {
            self.grown.notify_one();
        }
    }

    /// Trims whenever it is time, until told to stop.
    pub(crate) async fn run(self, hosting: Hosting, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.grown.notified() => {}
            }
            let floor = hosting.common().log.end();
            // After a failure it is tried again when the log has grown as much once more.
            *self.last.lock() = floor;
            if let Err(kept) = trim(&hosting, floor).await {
                tracing::warn!(error = &kept as &dyn std::error::Error, "log not trimmed");
            }
            self.busy.store(false, Ordering::Release);
        }
    }
}

async fn trim(hosting: &Hosting, floor: Position) -> Result<(), Kept> {
    if let Some(chain) = hosting.let_go_of_failed().await? {
        return Err(Kept::Failed { chain });
    }
    for (chain, engine) in hosting.engines_at_rest().await {
        let (done, copied) = oneshot::channel();
        // A chain that stopped has nobody to ask: what it needs stays in the log.
        let stuck = Kept::Stuck { chain };
        if engine.send(ToChain::CopyForward(done)).await.is_err() {
            if hosting.stays_awake(chain).await && !hosting.end_if_over(chain).await? {
                return Err(stuck);
            }
            continue;
        }
        match tokio::time::timeout(PATIENCE, copied).await {
            Ok(Ok(())) => {}
            // It was parked before it read the message.
            Ok(Err(_dropped)) if !hosting.stays_awake(chain).await => {}
            Ok(Err(_)) | Err(_) => {
                // What is over is not waited for: the height will not be decided.
                if !hosting.end_if_over(chain).await? {
                    return Err(stuck);
                }
            }
        }
    }
    let (common, live) = (Arc::clone(hosting.common()), hosting.live_entry());
    let released = tokio::task::spawn_blocking(move || {
        if let Some(live) = live {
            common.log.append(NO_CHAIN, &[&live])?;
        }
        common.log.sync(common.log.end())?;
        common.tables.flush()?;
        common.log.release(floor)?;
        Ok(())
    });
    released.await.unwrap_or(Err(Kept::Panicked))
}
