//! What others hold of a hosted chain: read it, give it transactions, watch its heads.

use std::sync::Arc;

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::B256;
use chain::{Block, Pool, PoolError, Reader};
use execution::Transaction;
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::clock::Clock;

/// A block that has just become final, and durable here.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its receipts, in order.
    pub receipts: Arc<Vec<ReceiptEnvelope>>,
}

/// Transactions for one chain, and where the verdicts go.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) answer: oneshot::Sender<Vec<Result<B256, PoolError>>>,
}

/// A hosted chain. Cheap to clone; the chain stops when its host does, not when handles go.
#[derive(Clone, Debug)]
pub struct ChainHandle {
    pub(crate) reader: Reader,
    /// Written by the chain's driver alone; a lock and not a task, because a wallet's question must not wait for a block.
    pub(crate) pool: Arc<RwLock<Pool>>,
    pub(crate) inbox: mpsc::Sender<Submission>,
    pub(crate) heads: broadcast::Sender<NewBlock>,
    pub(crate) pending: broadcast::Sender<Arc<Transaction>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl ChainHandle {
    /// The read side.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Gives the chain transactions. Each that is answered with its hash is in the log: the end of this process does not
    /// lose it. It is final once it has a receipt.
    pub async fn submit(&self, transactions: Vec<Transaction>) -> Vec<Result<B256, PoolError>> {
        let count = transactions.len();
        let stopped = || (0..count).map(|_| Err(PoolError::Stopped)).collect();
        let (answer, verdicts) = oneshot::channel();
        if self
            .inbox
            .send(Submission {
                transactions,
                answer,
            })
            .await
            .is_err()
        {
            return stopped();
        }
        verdicts.await.unwrap_or_else(|_dropped| stopped())
    }

    /// Looks at the pool. Keep it short: the chain waits meanwhile.
    pub fn pool<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        look(&self.pool.read())
    }

    /// Every block from now on. A slow receiver is told how many it missed.
    #[must_use]
    pub fn heads(&self) -> broadcast::Receiver<NewBlock> {
        self.heads.subscribe()
    }

    /// Every transaction that enters the pool from now on. A slow receiver is told how many it missed.
    #[must_use]
    pub fn pending(&self) -> broadcast::Receiver<Arc<Transaction>> {
        self.pending.subscribe()
    }

    /// Unix milliseconds by the city's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}
