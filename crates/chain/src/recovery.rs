//! Starting a chain from its log and its rows.
//!
//! The rows hold a prefix of the decided blocks; the log holds every block above them, the records of a height that was
//! not decided, and the pool. [`Recovery`] is fed the chain's entries in order; what is decided is executed and written
//! again, what is not is kept for consensus.

use std::collections::HashMap;
use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use parking_lot::RwLock;
use state::{History, State};
use store::tables::{Tables, TablesError};
use types::{Certificate, Domain};

use crate::effects::{Effect, EngineError, Notice};
use crate::engine::{Config, Engine};
use crate::entry::{Entry, Genesis};
use crate::{GenesisError, Pool, Profile, ReadError, Reader, over};

/// Most transactions of the log that are looked at for the pool; the newest count. Twice what a pool holds.
const MAX_TRANSACTIONS: usize = 2 * crate::pool::MAX_TOTAL;

/// A chain that is being started.
#[derive(Debug)]
pub struct Recovery {
    engine: Engine,
    /// The latest block in the rows.
    tip: u64,
    /// Bodies above the tip by hash; few: those of the height after it.
    bodies: HashMap<B256, Entry>,
    records: Vec<consensus::Record>,
    transactions: std::collections::VecDeque<Bytes>,
    replayed: u64,
}

/// Why a chain could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Block 0 could not be written.
    #[error("block 0 could not be written")]
    Genesis(#[from] GenesisError),
    /// The rows could not be read.
    #[error("the chain could not be read")]
    Read(#[from] ReadError),
    /// The tables could not be read.
    #[error("the tables could not be read")]
    Tables(#[from] TablesError),
    /// The engine refuses.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log says that a block is decided and does not hold it.
    #[error("the log says that block {number} is decided, and does not hold its body")]
    NoBody {
        /// The block.
        number: u64,
    },
    /// The log begins above the rows' end.
    #[error(
        "the tables end at block {tip} and the log goes on at block {number}: blocks between them are lost"
    )]
    Gap {
        /// The last in the tables.
        tip: u64,
        /// The first in the log.
        number: u64,
    },
}

impl Recovery {
    /// Begins with the chain that `genesis` makes; writes block 0 when there is none. `cache_bytes` bounds the memory of
    /// the state's branches.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn begin(
        genesis: &Genesis,
        config: Config,
        tables: Arc<dyn Tables>,
        history: History,
        cache_bytes: usize,
    ) -> Result<Self, RecoveryError> {
        let chain_id = genesis.record.chain_id;
        let domain = Domain::new(chain_id, genesis.network_id);
        let profile = Arc::new(Profile::causeway(
            genesis.record.clone(),
            domain,
            genesis.creator.is_some(),
        ));
        let state =
            Arc::new(State::new(chain_id, history, cache_bytes).metered(config.meter.clone()));
        let reader = Reader::new(Arc::clone(&profile), tables, Arc::clone(&state));
        if let Err(error) = reader.moment() {
            let ReadError::NoGenesis = error else {
                return Err(error.into());
            };
            let (_, tables, _) = reader.parts();
            genesis.write(&profile, &state, &*tables)?;
        }
        let pool = Arc::default();
        Self::on(reader, config, pool)
    }

    /// Begins anew in a process whose engine failed: whoever holds `reader` and `pool` goes on with them. The pool is
    /// emptied first, and filled again from the log.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn again(
        config: Config,
        reader: &Reader,
        pool: Arc<RwLock<Pool>>,
    ) -> Result<Self, RecoveryError> {
        *pool.write() = Pool::default();
        Self::on(reader.clone(), config, pool)
    }

    fn on(reader: Reader, config: Config, pool: Arc<RwLock<Pool>>) -> Result<Self, RecoveryError> {
        let mut engine = Engine::new(reader, config, pool)?;
        let (_, tables, _) = engine.reader().parts();
        if let Some(until) = over::find(&*tables, engine.reader().profile().chain_id)?.silent_to {
            engine.keep_silent(until);
        }
        let tip = engine.reader().moment()?.head().header.number;
        Ok(Self {
            engine,
            tip,
            bodies: HashMap::new(),
            records: Vec::new(),
            transactions: std::collections::VecDeque::new(),
            replayed: 0,
        })
    }

    /// Takes the next entry of the chain's log.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn feed(&mut self, entry: Entry) -> Result<(), RecoveryError> {
        let tip = self.tip;
        match entry {
            Entry::Genesis(_) => {}
            Entry::Body { ref block, .. } => {
                if block.header.number == tip + 1 {
                    self.bodies.insert(block.header.hash_slow(), entry);
                }
            }
            Entry::Consensus(record) => {
                if record.height() == tip + 1 {
                    self.records.push(record);
                }
            }
            Entry::Decided(certificate) => self.decided(tip, &certificate)?,
            Entry::Transaction(raw) => {
                if self.transactions.len() >= MAX_TRANSACTIONS {
                    self.transactions.pop_front();
                }
                self.transactions.push_back(raw);
            }
            Entry::Silence { until } => self.engine.keep_silent(until),
            Entry::Elsewhere(message) => {
                let height = message.height();
                return Err(EngineError::KeyElsewhere { height }.into());
            }
            Entry::Evidence(evidence) => self.engine.restore_evidence(&evidence)?,
        }
        Ok(())
    }

    /// How many blocks were executed again.
    #[must_use]
    pub const fn replayed(&self) -> u64 {
        self.replayed
    }

    /// The chain as it was, its pool, and what is to be done first.
    ///
    /// # Errors
    ///
    /// [`RecoveryError`].
    pub fn finish(mut self, now_ms: u64) -> Result<(Engine, Vec<Effect>), RecoveryError> {
        let raw: Vec<Bytes> = std::mem::take(&mut self.transactions).into();
        let pooled = execution::recover_all(&raw)
            .into_iter()
            .filter_map(Result::ok)
            .collect();
        // Those that were mined meanwhile are refused for their nonce, and that is all.
        drop(self.engine.admit(pooled, now_ms));
        let mut effects = Vec::new();
        if !self.records.is_empty() {
            let mut candidates = HashMap::new();
            for (hash, body) in std::mem::take(&mut self.bodies) {
                if let Some(candidate) = self.engine.execute_again(body)? {
                    candidates.insert(hash, candidate);
                }
            }
            effects = match self.engine.resume(&self.records, candidates, now_ms) {
                Ok(effects) => effects,
                Err(EngineError::Consensus(error))
                    if self.engine.validators().validators().len() > 1 =>
                {
                    self.give_up_height(&error, now_ms)?
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok((self.engine, effects))
    }

    /// The records of the undecided height do not lead to what was signed: this city signs nothing more at that height, and
    /// lets the others decide it.
    fn give_up_height(
        &mut self,
        error: &consensus::Error,
        now_ms: u64,
    ) -> Result<Vec<Effect>, RecoveryError> {
        let until = self.tip + 1;
        tracing::error!(
            height = until,
            error = error as &dyn std::error::Error,
            "the log of the undecided height cannot be replayed; this city signs nothing more at this height"
        );
        self.engine.keep_silent(until);
        let mut effects = self.engine.resume(&[], HashMap::new(), now_ms)?;
        effects.push(Effect::Notice(Notice::Silent { until }));
        Ok(effects)
    }

    fn decided(&mut self, tip: u64, certificate: &Certificate) -> Result<(), RecoveryError> {
        let number = certificate.height;
        if number <= tip {
            return Ok(());
        }
        if number > tip + 1 {
            return Err(RecoveryError::Gap { tip, number });
        }
        let body = self
            .bodies
            .remove(&certificate.block_hash)
            .ok_or(RecoveryError::NoBody { number })?;
        let candidate = self
            .engine
            .execute_again(body)?
            .ok_or(RecoveryError::NoBody { number })?;
        self.engine.restore(candidate, certificate)?;
        self.engine.end_silence();
        self.tip = number;
        self.bodies.clear();
        self.records.clear();
        self.replayed += 1;
        Ok(())
    }
}
