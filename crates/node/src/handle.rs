//! What others hold of a hosted chain: read it, give it transactions, watch its heads.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, B256};
use chain::{Block, Pool, PoolError, Reader};
use execution::Transaction;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::admission::{Incoming, Submission};
use crate::clock::Clock;
use crate::feed::Feed;
use crate::peers::{Others, Peers};

/// A block that has just become final, and durable here.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its receipts, in order.
    pub receipts: Arc<Vec<ReceiptEnvelope>>,
}

/// How a chain does among its cities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainStatus {
    /// The latest block that another city says it has, when that is above this city's own.
    pub behind: Option<u64>,
    /// The height that is being agreed on, and its round; `None` while the chain is parked.
    pub agreeing: Option<(u64, u32)>,
    /// Whether this city, which is none of the validators, holds what more than two thirds of them say they hold.
    pub holds: bool,
}

/// Written by the chain's driver; a lock and not a task, because it is two words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status(Arc<Mutex<ChainStatus>>);

impl Status {
    pub(crate) fn set(&self, status: ChainStatus) {
        *self.0.lock() = status;
    }
}

/// A hosted chain. Cheap to clone. The chain stays awake for as long as one is held, and stops when its host does.
#[derive(Clone, Debug)]
pub struct ChainHandle {
    pub(crate) reader: Reader,
    /// Written by the chain's entrance and engine; a lock and not a task, because a wallet's question must not wait for a block.
    pub(crate) pool: Arc<RwLock<Pool>>,
    pub(crate) inbox: mpsc::Sender<Incoming>,
    pub(crate) heads: Feed<NewBlock>,
    pub(crate) pending: Feed<Arc<Transaction>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Status,
    pub(crate) peers: Arc<dyn Peers>,
    /// The chain's other validators.
    pub(crate) others: Others,
    /// Counts the handles: a chain that somebody holds is not parked.
    pub(crate) held: Arc<()>,
    /// Whether it takes nothing and begins no height.
    pub(crate) stands: Arc<AtomicBool>,
}

impl ChainHandle {
    /// Whether there is another handle than this one.
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.held) > 1
    }

    /// Whether both are of one life of the chain.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
    }

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
            .send(Incoming::Submitted(Submission {
                transactions,
                answer,
            }))
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
        self.heads.listen()
    }

    /// Every transaction that enters the pool from now on. A slow receiver is told how many it missed.
    #[must_use]
    pub fn pending(&self) -> broadcast::Receiver<Arc<Transaction>> {
        self.pending.listen()
    }

    /// How the chain does among its cities.
    #[must_use]
    pub fn status(&self) -> ChainStatus {
        *self.status.0.lock()
    }

    /// How many of the chain's other validators are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        let is_connected = |other: &&Address| self.peers.is_connected(**other);
        self.others.get().iter().filter(is_connected).count()
    }

    /// Unix milliseconds by the city's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}
