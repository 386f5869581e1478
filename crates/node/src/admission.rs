//! The task that lets transactions into a chain's pool: beside the engine, so that neither waits for the other.
//!
//! ```text
//!  rpc ──Submitted──▶ ┐ judge ▸ pool ▸ log ▸ answer ▸ to the other cities ▸ wake the engine
//!  link ──Relayed───▶ ┘ recover ▸ judge ▸ pool ▸ log ▸ wake the engine (never sent on)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes};
use chain::peer::packed;
use chain::{Admitted, Pool, PoolError, Reader, admit};
use execution::Transaction;
use parking_lot::RwLock;
use store::{Log, LogError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use types::ChainId;

use crate::clock::Clock;
use crate::feed::Feed;
use crate::metrics::ChainMetrics;
use crate::peers::{Others, Peers};
use crate::spare::Spare;

/// Submissions that are judged together.
const TOGETHER: usize = 256;

/// Transactions for one chain, and where the verdicts go.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) answer: oneshot::Sender<Vec<Result<B256, PoolError>>>,
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// From a client of this city.
    Submitted(Submission),
    /// From the city that took it from a client.
    Relayed {
        /// Which.
        peer: Address,
        /// An encoded [`chain::PeerMessage::Transactions`].
        payload: Bytes,
    },
}

/// Owns the entrance of one chain's pool.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) entrance: Arc<Entrance>,
    pub(crate) inbox: mpsc::Receiver<Incoming>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// What it judges by, writes to, and tells.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) chain_id: ChainId,
    /// This city.
    pub(crate) own: Address,
    pub(crate) reader: Reader,
    pub(crate) pool: Arc<RwLock<Pool>>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pending: Feed<Arc<Transaction>>,
    pub(crate) metrics: ChainMetrics,
    pub(crate) peers: Arc<dyn Peers>,
    /// The chain's other validators: who gets what clients bring, and who may relay.
    pub(crate) others: Others,
    /// Tells the engine that there is something in the pool.
    pub(crate) pooled: Arc<Notify>,
    /// Whether the chain takes nothing.
    pub(crate) stands: Arc<AtomicBool>,
    /// Whether a chain that has used up its bytes may take more.
    pub(crate) spare: Arc<Spare>,
}

impl Admission {
    /// Serves until told to stop, until every sender is gone, or until the log fails.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => break,
                count = self.inbox.recv_many(&mut batch, TOGETHER) => count,
            };
            if count == 0 {
                return;
            }
            let (entrance, taken) = (Arc::clone(&self.entrance), std::mem::take(&mut batch));
            let done = tokio::task::spawn_blocking(move || entrance.admit(taken));
            match done.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(
                        chain_id = %self.entrance.chain_id,
                        error = &error as &dyn std::error::Error,
                        "no more transactions are taken"
                    );
                    break;
                }
                Err(_panic) => {
                    tracing::error!(chain_id = %self.entrance.chain_id, "the pool's entrance panicked");
                    break;
                }
            }
        }
        // Whoever waits for a verdict is told, and whoever comes later finds the mailbox closed.
        self.inbox.close();
        while let Some(incoming) = self.inbox.recv().await {
            if let Incoming::Submitted(submission) = incoming {
                refuse(submission, || PoolError::Stopped);
            }
        }
    }
}

fn refuse(submission: Submission, why: fn() -> PoolError) {
    let verdicts = submission.transactions.iter().map(|_| Err(why())).collect();
    // The caller may have stopped waiting.
    drop(submission.answer.send(verdicts));
}

impl Entrance {
    /// Judges transactions, writes the good ones to the log, and only then tells their hashes.
    fn admit(&self, incoming: Vec<Incoming>) -> Result<(), LogError> {
        if self.stands.load(Ordering::Acquire) {
            for incoming in incoming {
                if let Incoming::Submitted(submission) = incoming {
                    refuse(submission, || PoolError::Stands);
                }
            }
            return Ok(());
        }
        self.pool.write().lend(self.spare.has_room());
        let (mut transactions, mut answers) = (Vec::new(), Vec::with_capacity(incoming.len()));
        let mut relayed: BTreeMap<Address, Vec<Bytes>> = BTreeMap::new();
        for incoming in incoming {
            match incoming {
                Incoming::Submitted(submission) => {
                    answers.push((submission.transactions.len(), submission.answer));
                    transactions.extend(submission.transactions);
                }
                Incoming::Relayed { peer, payload } => {
                    let raw = self.relayed(peer, &payload);
                    relayed.entry(peer).or_default().extend(raw);
                }
            }
        }
        let now_ms = self.clock.now_ms();
        let admit = |entry, transactions| {
            let admitted = admit(&self.reader, &self.pool, entry, transactions, now_ms);
            let payloads: Vec<&[u8]> = admitted.entries.iter().map(Vec::as_slice).collect();
            if !payloads.is_empty() {
                self.log.append(self.chain_id.get(), &payloads)?;
            }
            Ok::<Admitted, LogError>(admitted)
        };
        let Admitted {
            mut verdicts,
            accepted: mut all,
            ..
        } = admit(self.own, transactions)?;
        for (count, answer) in answers {
            let rest = verdicts.split_off(count.min(verdicts.len()));
            // The caller may have stopped waiting; its transactions stand all the same.
            drop(answer.send(verdicts));
            verdicts = rest;
        }
        self.send_on(&all);
        for (peer, raw) in relayed {
            let recovered = execution::recover_all(&raw);
            let transactions = recovered.into_iter().filter_map(Result::ok).collect();
            // What comes from a city that does not keep the chain is this city's own part.
            let entry = if self.others.get().contains(&peer) {
                peer
            } else {
                self.own
            };
            all.extend(admit(entry, transactions)?.accepted);
        }
        self.pooled.notify_one();
        for transaction in all {
            self.pending.tell(transaction);
        }
        self.metrics.pool(self.pool.read().len());
        Ok(())
    }

    /// The transactions that another city took from its clients.
    fn relayed(&self, peer: Address, payload: &[u8]) -> Vec<Bytes> {
        // Cities that follow a chain bring what their clients give them.
        if !self.others.get().contains(&peer) && !self.reader.profile().is_followed() {
            self.metrics.refused("stranger");
            return Vec::new();
        }
        match chain::PeerMessage::decode(payload) {
            Ok(chain::PeerMessage::Transactions(raw)) => raw,
            Ok(_other) => {
                self.metrics.refused("class");
                Vec::new()
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "no message");
                self.metrics.refused("form");
                Vec::new()
            }
        }
    }

    /// Sends what this city's clients brought to the chain's other cities.
    fn send_on(&self, accepted: &[Arc<Transaction>]) {
        let others = self.others.get();
        if others.is_empty() || accepted.is_empty() {
            return;
        }
        let raw: Vec<Bytes> = accepted
            .iter()
            .map(|transaction| transaction.encoded_2718().into())
            .collect();
        for message in packed(raw) {
            let (class, payload) = (message.class(), Bytes::from(message.encode()));
            for other in others.iter() {
                self.peers
                    .send(*other, self.chain_id, class, payload.clone());
            }
        }
    }
}
