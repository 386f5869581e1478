//! The engine of one chain: a state machine over pool, consensus and execution.
//!
//! ```text
//!  admit ──▶ pool ──wake──▶ height ──GetValue──▶ build ──Propose──▶ … ──Decide──▶ Commit ──committed──▶ next or parked
//! ```
//!
//! A parked chain has no height: no instance, no timer. The driver performs effects strictly in order; after a failure
//! it performs none, drops the engine, and starts the chain again from its log.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_consensus::{ReceiptEnvelope, Transaction as _};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256};
use consensus::{Instance, Order, Timeout, Timeouts};
use execution::Transaction;
use parking_lot::RwLock;
use state::State;
use store::tables::{Batch, Tables};
use types::{BlockRequests, Domain, NodeKey, ValidatorSet};

use crate::admission::{Admitted, admit};
use crate::candidate::{self, Built, Candidate, MAX_LOOKED_AT};
use crate::import::{self, ImportError};
use crate::{Block, BuildError, Entry, Moment, Pool, Profile, ReadError, Reader, entry};

/// Who this city is on the chain.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node key.
    pub key: Arc<NodeKey>,
    /// How long consensus waits.
    pub timeouts: Timeouts,
}

/// What the driver must do, in this order, and nothing after the first that fails.
#[derive(Debug)]
pub enum Effect {
    /// Append this payload to the log.
    Append(Vec<u8>),
    /// Make all that was appended durable.
    Sync,
    /// Write the rows of a decided block, then give it back by [`Engine::committed`].
    Commit(Box<Commit>),
    /// Send to the chain's validators.
    Publish(consensus::Message),
    /// Send the body of this block again.
    Restream {
        /// The block.
        block_hash: B256,
    },
    /// Run a timer, in place of the earlier one of its kind.
    Schedule(Timeout),
    /// Stop all timers.
    CancelTimeouts,
    /// Proofs that validators signed twice: kept and served.
    Evidence(Vec<consensus::Equivocation>),
    /// A line for the operator.
    Notice(Notice),
}

/// What an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The clock is behind the latest block.
    ClockBehind {
        /// By how many milliseconds.
        by_ms: u64,
    },
}

/// Rows of a decided block, and the block.
#[derive(Debug)]
pub struct Commit {
    /// What to write, at once.
    pub batch: Batch,
    /// What was decided.
    pub decided: Decided,
}

/// A decided block.
#[derive(Debug)]
pub struct Decided {
    /// The block.
    pub block: Arc<Block>,
    /// Its receipts.
    pub receipts: Arc<Vec<ReceiptEnvelope>>,
    prepared: state::Prepared,
}

/// Why a chain stops until it is started again from its log.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The consensus core failed.
    #[error("consensus failed")]
    Consensus(#[from] consensus::Error),
    /// Proposers cannot be told.
    #[error("the proposers of the next height are not known")]
    Proposers(#[from] consensus::MissingHeader),
    /// No block could be built.
    #[error("no block could be built")]
    Build(#[from] BuildError),
    /// A block from the log does not execute as it did.
    #[error("a block of the log could not be executed again")]
    Import(#[from] ImportError),
    /// The chain could not be read.
    #[error("the chain could not be read")]
    Read(#[from] ReadError),
    /// A block was decided that this city does not have.
    #[error("block {hash} was decided and is not here")]
    UnknownDecision {
        /// The block.
        hash: B256,
    },
    /// The chain is not one of ours.
    #[error("a chain without a record cannot be continued here")]
    Foreign,
}

/// A height that was started and is not finished.
#[derive(Debug)]
struct Height {
    instance: Instance,
    /// Executed blocks of this height by hash: those that may be decided.
    candidates: HashMap<B256, Candidate>,
    parent: Moment,
}

/// The engine of one chain of ours.
#[derive(Debug)]
pub struct Engine {
    profile: Arc<Profile>,
    domain: Domain,
    config: Config,
    tables: Arc<dyn Tables>,
    state: Arc<State>,
    reader: Reader,
    pool: Arc<RwLock<Pool>>,
    set: Arc<ValidatorSet>,
    order: Order,
    requests: BlockRequests,
    /// Unix milliseconds of the latest block.
    tip_ms: u64,
    height: Option<Height>,
}

impl Engine {
    /// An engine on the latest block of `reader`, whose next height has the validators `set`.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub(crate) fn new(
        profile: Arc<Profile>,
        config: Config,
        tables: Arc<dyn Tables>,
        state: Arc<State>,
        set: ValidatorSet,
    ) -> Result<Self, EngineError> {
        let domain = *profile.domain().ok_or(EngineError::Foreign)?;
        let reader = Reader::new(
            Arc::clone(&profile),
            Arc::clone(&tables),
            Arc::clone(&state),
        );
        let moment = reader.moment()?;
        let number = moment.head().header.number;
        let damaged = ReadError::Damaged {
            what: "requests",
            number,
        };
        let seal = moment.seal(number)?.unwrap_or_default();
        let requests = BlockRequests::from_requests(&seal.requests).ok_or(damaged)?;
        let order = Order::new(&set);
        let tip_ms = types::header::time_ms(&moment.head().header).unwrap_or_default();
        Ok(Self {
            profile,
            domain,
            config,
            tables,
            state,
            reader,
            pool: Arc::default(),
            set: Arc::new(set),
            order,
            requests,
            tip_ms,
            height: None,
        })
    }

    /// The read side.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The pool; written by this engine alone.
    #[must_use]
    pub const fn pool(&self) -> &Arc<RwLock<Pool>> {
        &self.pool
    }

    /// Whether no height is being agreed on.
    #[must_use]
    pub const fn is_parked(&self) -> bool {
        self.height.is_none()
    }

    /// The log payloads that must be kept for the pool, when older ones are released.
    #[must_use]
    pub fn pool_entries(&self) -> Vec<Vec<u8>> {
        let mut pooled: Vec<_> = self.pool.read().content();
        pooled.sort_by_key(|(_, _, pooled)| pooled.arrival);
        pooled
            .iter()
            .map(|(_, _, pooled)| entry::transaction_entry(&pooled.transaction.encoded_2718()))
            .collect()
    }

    /// Judges transactions at `now_ms` and takes the good ones into the pool.
    pub fn admit(&mut self, transactions: Vec<Transaction>, now_ms: u64) -> Admitted {
        admit(&self.reader, &self.pool, transactions, now_ms)
    }

    /// When the next height may start, in Unix milliseconds; `None` when there is nothing to start it for. Not in the
    /// past of the latest block plus the record's minimum interval.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        if self.height.is_some() || !self.pool.read().has_executable() {
            return None;
        }
        let interval = self
            .profile
            .record()
            .map_or(0, |record| record.minimum_interval_ms);
        Some(if interval == 0 {
            0
        } else {
            self.tip_ms.saturating_add(interval)
        })
    }

    /// Starts the next height if it is due.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine.
    pub fn wake(&mut self, now_ms: u64) -> Result<Vec<Effect>, EngineError> {
        if self.due_ms().is_none_or(|due| now_ms < due) {
            return Ok(Vec::new());
        }
        self.start(&[], HashMap::new(), now_ms)
    }

    /// A timer is over.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine.
    pub fn timeout(&mut self, timeout: Timeout, now_ms: u64) -> Result<Vec<Effect>, EngineError> {
        let mut out = Vec::new();
        if let Some(height) = &mut self.height {
            let effects = height.instance.step(consensus::Input::Timeout(timeout))?;
            self.absorb(effects, &mut out, now_ms)?;
        }
        Ok(out)
    }

    /// The rows of a decided block are written: the chain's head is that block.
    pub fn committed(&mut self, decided: Decided) {
        let Decided {
            block, prepared, ..
        } = decided;
        self.state.adopt(prepared);
        self.height = None;
        self.tip_ms = types::header::time_ms(&block.header).unwrap_or_default();
        let mut next: HashMap<Address, u64> = HashMap::new();
        for (transaction, sender) in block.body.transactions.iter().zip(&block.senders) {
            next.insert(*sender, transaction.nonce() + 1);
        }
        let mut pool = self.pool.write();
        for (sender, nonce) in next {
            pool.advance(sender, nonce);
        }
    }

    /// Starts the next height; `replay` and `candidates` are what the log remembers of it.
    pub(crate) fn start(
        &mut self,
        replay: &[consensus::Record],
        candidates: HashMap<B256, Candidate>,
        now_ms: u64,
    ) -> Result<Vec<Effect>, EngineError> {
        let parent = self.reader.moment()?;
        let number = parent.head().header.number + 1;
        let beneficiary = |height| {
            let head = parent.header(height).ok().flatten()?;
            Some(head.header.beneficiary)
        };
        let turn = self
            .order
            .turn(number, self.requests.from_height, beneficiary)?;
        let config = consensus::Config {
            domain: self.domain,
            key: Arc::clone(&self.config.key),
            timeouts: self.config.timeouts,
        };
        let (instance, effects) =
            Instance::start(config, number, Arc::clone(&self.set), turn, replay)?;
        self.height = Some(Height {
            instance,
            candidates,
            parent,
        });
        let mut out = Vec::new();
        self.absorb(effects, &mut out, now_ms)?;
        Ok(out)
    }

    /// Turns the effects of consensus into those of the chain; answers a wish for a value after all that came with it.
    fn absorb(
        &mut self,
        effects: Vec<consensus::Effect>,
        out: &mut Vec<Effect>,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let mut wanted = None;
        for effect in effects {
            match effect {
                consensus::Effect::Append(record) => {
                    out.push(Effect::Append(entry::consensus_entry(&record)));
                }
                consensus::Effect::Sync => out.push(Effect::Sync),
                consensus::Effect::GetValue { round } => wanted = Some(round),
                consensus::Effect::Publish(message) => out.push(Effect::Publish(message)),
                consensus::Effect::Restream { block_hash } => {
                    out.push(Effect::Restream { block_hash });
                }
                consensus::Effect::Schedule(timeout) => out.push(Effect::Schedule(timeout)),
                consensus::Effect::CancelTimeouts => out.push(Effect::CancelTimeouts),
                consensus::Effect::Evidence(found) => out.push(Effect::Evidence(found)),
                consensus::Effect::Decide { certificate } => self.decide(&certificate, out)?,
            }
        }
        let Some(round) = wanted else { return Ok(()) };
        let block_hash = self.build(out, now_ms)?;
        let Some(height) = &mut self.height else {
            return Ok(());
        };
        let effects = height
            .instance
            .step(consensus::Input::Propose { round, block_hash })?;
        // Only a new round wishes for a value again, and that takes a time-out: this does not nest.
        self.absorb(effects, out, now_ms)
    }

    /// Builds a block on the height's parent and appends its body.
    fn build(&mut self, out: &mut Vec<Effect>, now_ms: u64) -> Result<B256, EngineError> {
        let Some(height) = &mut self.height else {
            return Err(EngineError::Foreign);
        };
        let head = &height.parent.head().header;
        let parent_ms = types::header::time_ms(head).unwrap_or_default();
        if parent_ms + 1 > now_ms + MAX_AHEAD_MS {
            out.push(Effect::Notice(Notice::ClockBehind {
                by_ms: parent_ms + 1 - now_ms,
            }));
        }
        let transactions = self.pool.read().executable(MAX_LOOKED_AT);
        let Built { candidate, refused } = candidate::build(
            &self.profile,
            &self.state,
            &height.parent,
            self.config.key.address(),
            now_ms,
            &self.requests,
            transactions,
        )?;
        if !refused.is_empty() {
            let mut pool = self.pool.write();
            for (transaction, _reason) in refused {
                pool.remove(transaction.signer(), transaction.nonce());
            }
        }
        out.push(Effect::Append(entry::body_entry(
            &candidate.block,
            &candidate.requests,
        )));
        let hash = candidate.block.hash;
        height.candidates.insert(hash, candidate);
        Ok(hash)
    }

    fn decide(
        &mut self,
        certificate: &types::Certificate,
        out: &mut Vec<Effect>,
    ) -> Result<(), EngineError> {
        let hash = certificate.block_hash;
        let unknown = EngineError::UnknownDecision { hash };
        let candidate = self
            .height
            .as_mut()
            .and_then(|height| height.candidates.remove(&hash))
            .ok_or(unknown)?;
        // One sync for the last vote and the decision: the log keeps a prefix, so the decision never survives alone.
        if matches!(out.last(), Some(Effect::Sync)) {
            out.pop();
        }
        out.push(Effect::Append(entry::decided_entry(certificate)));
        out.push(Effect::Sync);
        let mut batch = Batch::default();
        let encoded = certificate.encode().into();
        candidate::write_rows(&self.profile, &self.state, &candidate, encoded, &mut batch);
        let Candidate {
            block,
            receipts,
            prepared,
            ..
        } = candidate;
        let decided = Decided {
            block,
            receipts,
            prepared,
        };
        out.push(Effect::Commit(Box::new(Commit { batch, decided })));
        Ok(())
    }

    /// Executes a block of the log again: a candidate of the height that is not decided yet.
    pub(crate) fn execute_again(&self, block: Entry) -> Result<Option<Candidate>, EngineError> {
        let Entry::Body { block, requests } = block else {
            return Ok(None);
        };
        let parent = self.reader.moment()?;
        if block.header.parent_hash != parent.head().hash {
            return Ok(None);
        }
        Ok(Some(import::execute(
            &self.profile,
            &self.state,
            &parent,
            *block,
            Some(requests),
        )?))
    }

    /// Writes a block that the log says is decided.
    pub(crate) fn restore(
        &mut self,
        candidate: Candidate,
        certificate: &types::Certificate,
    ) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        candidate::write_rows(
            &self.profile,
            &self.state,
            &candidate,
            certificate.encode().into(),
            &mut batch,
        );
        self.tables.commit(batch).map_err(ImportError::from)?;
        self.state.adopt(candidate.prepared);
        self.tip_ms = types::header::time_ms(&candidate.block.header).unwrap_or_default();
        Ok(())
    }
}

/// A proposer does not run further ahead of its clock than this.
const MAX_AHEAD_MS: u64 = 250;
