//! A chain that is read and never goes on: what conformance suites serve.
//!
//! Its pool judges by the chain's own rules; nothing is written to a log, and no block is made.

use std::sync::Arc;

use alloy_primitives::Address;
use chain::{Pool, Reader, admit};
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::admission::{Incoming, Submission};
use crate::clock::Clock;
use crate::feed::Feed;
use crate::handle::{ChainHandle, Status};
use crate::peers::{NoPeers, Others};

/// Submissions that may wait before a sender must.
const INBOX: usize = 64;

/// The task of a chain that stands still.
#[derive(Debug)]
pub struct StillChain {
    reader: Reader,
    pool: Arc<RwLock<Pool>>,
    inbox: mpsc::Receiver<Incoming>,
    clock: Arc<dyn Clock>,
}

impl StillChain {
    /// A chain that shows what `reader` reads; [`StillChain::run`] answers submissions.
    #[must_use]
    pub fn new(reader: Reader, clock: Arc<dyn Clock>) -> (Self, ChainHandle) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let pool = Arc::<RwLock<Pool>>::default();
        let handle = ChainHandle {
            reader: reader.clone(),
            pool: Arc::clone(&pool),
            inbox: sender,
            heads: Feed::new(1),
            pending: Feed::new(1),
            clock: Arc::clone(&clock),
            status: Status::default(),
            peers: Arc::new(NoPeers),
            others: Others::default(),
            held: Arc::default(),
            stands: Arc::default(),
        };
        (
            Self {
                reader,
                pool,
                inbox,
                clock,
            },
            handle,
        )
    }

    /// Judges submissions until every handle is gone.
    pub async fn run(mut self) {
        while let Some(incoming) = self.inbox.recv().await {
            // It has no other cities.
            let Incoming::Submitted(Submission {
                transactions,
                answer,
            }) = incoming
            else {
                continue;
            };
            let (reader, pool, now_ms) = (
                self.reader.clone(),
                Arc::clone(&self.pool),
                self.clock.now_ms(),
            );
            let judged = tokio::task::spawn_blocking(move || {
                admit(&reader, &pool, Address::ZERO, transactions, now_ms)
            });
            if let Ok(admitted) = judged.await {
                // The caller may have stopped waiting.
                drop(answer.send(admitted.verdicts));
            }
        }
    }
}
