//! A city's data folder with everything in it that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chain::{Entry, EntryError, Genesis, Recovery, RecoveryError};
use consensus::Timeouts;
use state::History;
use store::{
    Log, LogError, LsmOptions, LsmTables, Position, SegmentLog, SegmentOptions, Tables, TablesError,
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use types::{ChainId, NodeKey};

use crate::clock::Clock;
use crate::driver::{Driver, Outside};
use crate::folder::{Folder, FolderError};
use crate::handle::ChainHandle;
use crate::metrics::NodeMetrics;
use crate::trim::Trim;

/// Submissions that may wait for one chain before a sender must.
const INBOX: usize = 1_024;
/// Blocks that a slow subscriber may be behind before it misses some.
const HEADS: usize = 1_024;
/// Pool transactions that a slow subscriber may be behind before it misses some.
const PENDING: usize = 8_192;

/// How a city keeps its data.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's segments.
    pub segments: SegmentOptions,
    /// The tables.
    pub tables: LsmOptions,
    /// How much of the past is kept.
    pub history: History,
    /// Memory for the branches of one chain's state, in bytes.
    pub branch_cache_bytes: usize,
    /// Bytes that the log may grow before it is trimmed.
    pub trim_after_bytes: u64,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// For a development chain: small buffers, all of the past.
    #[must_use]
    pub fn development(clock: Arc<dyn Clock>) -> Self {
        Self {
            segments: SegmentOptions::small(),
            tables: LsmOptions::small(),
            history: History::All,
            branch_cache_bytes: 32 << 20,
            trim_after_bytes: 64 << 20,
            clock,
        }
    }
}

/// Why a city did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The tables cannot be used.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The chain cannot be continued.
    #[error("chain {chain_id} cannot be continued")]
    Recovery {
        /// The chain.
        chain_id: ChainId,
        /// Why.
        source: RecoveryError,
    },
    /// An entry of the log cannot be read.
    #[error("the log holds an entry that cannot be read, at position {}", .at.0)]
    Entry {
        /// Where.
        at: Position,
        /// Why.
        source: EntryError,
    },
    /// There is no chain in the folder.
    #[error("the data folder {} holds no chain", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds another chain than the one asked for.
    #[error(
        "the data folder holds chain {found}, not {wanted}; leave --chain-id out, or choose another folder"
    )]
    OtherChain {
        /// What is there.
        found: ChainId,
        /// What was asked for.
        wanted: ChainId,
    },
}

/// A running city.
#[derive(Debug)]
pub struct Host {
    folder: Folder,
    key: Arc<NodeKey>,
    log: Arc<SegmentLog>,
    tables: Arc<LsmTables>,
    chain: ChainHandle,
    genesis: Genesis,
    metrics: NodeMetrics,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Host {
    /// Opens the data folder at `path` and continues its chain; in a new folder, begins the one that `found` makes for
    /// the city's key. Blocks while the log is read, and must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`]; the folder is as it was.
    pub fn start(
        path: &Path,
        options: &Options,
        wanted: Option<ChainId>,
        found: impl FnOnce(&NodeKey) -> Genesis,
    ) -> Result<Self, StartError> {
        Self::launch(path, options, wanted, |key| Some(found(key)))
    }

    /// Opens the data folder at `path` and continues its chain. Blocks while the log is read, and must be called within a
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`], [`StartError::Empty`] when there is no chain in it.
    pub fn open(path: &Path, options: &Options) -> Result<Self, StartError> {
        Self::launch(path, options, None, |_key| None)
    }

    fn launch(
        path: &Path,
        options: &Options,
        wanted: Option<ChainId>,
        found: impl FnOnce(&NodeKey) -> Option<Genesis>,
    ) -> Result<Self, StartError> {
        let folder = Folder::open(path)?;
        let key = Arc::new(folder.node_key()?);
        let (log, opened) = SegmentLog::open(&path.join("log"), options.segments)?;
        if let Some(at) = opened.damage {
            return Err(LogError::Damaged { at }.into());
        }
        let log = Arc::new(log);
        let tables = Arc::new(LsmTables::open(&path.join("tables"), options.tables)?);
        let genesis = match known_genesis(&*log, &*tables)? {
            Some(genesis) => genesis,
            None => {
                let genesis = found(&key).ok_or_else(|| StartError::Empty {
                    path: path.to_path_buf(),
                })?;
                let end = log.append(genesis.record.chain_id.get(), &[&genesis.to_entry()])?;
                log.sync(end)?;
                genesis
            }
        };
        let chain_id = genesis.record.chain_id;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != chain_id) {
            return Err(StartError::OtherChain {
                found: chain_id,
                wanted,
            });
        }
        let metrics = NodeMetrics::new(
            Arc::clone(&log) as Arc<dyn Log>,
            Arc::clone(&tables) as Arc<dyn Tables>,
        );
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let parts = Parts {
            log: Arc::clone(&log) as _,
            tables: Arc::clone(&tables) as _,
            key: Arc::clone(&key),
            stopped,
        };
        let chain = start_chain(&genesis, options, parts, &metrics, &mut tasks)?;
        Ok(Self {
            folder,
            key,
            log,
            tables,
            chain,
            genesis,
            metrics,
            tasks,
            stop,
        })
    }

    /// The hosted chain.
    #[must_use]
    pub const fn chain(&self) -> &ChainHandle {
        &self.chain
    }

    /// What the chain began with.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The city's key.
    #[must_use]
    pub fn key(&self) -> &NodeKey {
        &self.key
    }

    /// The data folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What is counted.
    #[must_use]
    pub const fn metrics(&self) -> &NodeMetrics {
        &self.metrics
    }

    /// Stops all chains, writes what is in memory, and lets go of the folder. A crash instead loses nothing that counts.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(done) = self.tasks.join_next().await {
            if let Err(error) = done {
                tracing::error!(%error, "a chain's task ended badly");
            }
        }
        let (log, tables) = (self.log, self.tables);
        let flushed = tokio::task::spawn_blocking(move || {
            log.sync(log.end())?;
            tables.flush()?;
            Ok::<(), StartError>(())
        });
        match flushed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "not flushed at the end"
            ),
            Err(error) => tracing::error!(%error, "the last flush ended badly"),
        }
    }
}

/// What every chain of a city shares.
struct Parts {
    log: Arc<dyn Log>,
    tables: Arc<dyn Tables>,
    key: Arc<NodeKey>,
    stopped: watch::Receiver<bool>,
}

/// The chain that the folder holds: in its rows, or, when it began just before a crash, in its log.
fn known_genesis(log: &dyn Log, tables: &dyn Tables) -> Result<Option<Genesis>, StartError> {
    if let Some(genesis) = chain::genesis::hosted(tables)?.into_iter().next() {
        return Ok(Some(genesis));
    }
    let mut found = None;
    log.replay(Position::default(), &mut |entry| {
        if let Ok(Entry::Genesis(genesis)) = Entry::decode(&entry.payload) {
            found = Some(*genesis);
        }
        found.is_none()
    })?;
    Ok(found)
}

fn start_chain(
    genesis: &Genesis,
    options: &Options,
    parts: Parts,
    metrics: &NodeMetrics,
    tasks: &mut JoinSet<()>,
) -> Result<ChainHandle, StartError> {
    let Parts {
        log,
        tables,
        key,
        stopped,
    } = parts;
    let chain_id = genesis.record.chain_id;
    let failed = |source| StartError::Recovery { chain_id, source };
    let config = chain::Config {
        key,
        timeouts: Timeouts::default(),
    };
    let mut recovery = Recovery::begin(
        genesis,
        config,
        Arc::clone(&tables),
        options.history,
        options.branch_cache_bytes,
    )
    .map_err(failed)?;
    let mut outcome = Ok(());
    let mut start = None;
    log.replay(Position::default(), &mut |entry| {
        start.get_or_insert(entry.position);
        if entry.chain == chain_id.get() {
            outcome = Entry::decode(&entry.payload)
                .map_err(|source| StartError::Entry {
                    at: entry.position,
                    source,
                })
                .and_then(|entry| recovery.feed(entry).map_err(failed));
        }
        outcome.is_ok()
    })?;
    outcome?;
    let replayed = recovery.replayed();
    let (engine, first) = recovery.finish(options.clock.now_ms()).map_err(failed)?;
    if replayed > 0 {
        tracing::info!(%chain_id, replayed, "blocks executed again from the log");
    }

    let (inbox, submissions) = mpsc::channel(INBOX);
    let handle = ChainHandle {
        reader: engine.reader().clone(),
        pool: Arc::clone(engine.pool()),
        inbox,
        heads: broadcast::Sender::new(HEADS),
        pending: broadcast::Sender::new(PENDING),
        clock: Arc::clone(&options.clock),
    };
    let outside = Outside {
        chain_id,
        trim: Trim::new(
            chain_id.get(),
            options.trim_after_bytes,
            start.unwrap_or_default(),
        ),
        log,
        tables,
        clock: Arc::clone(&options.clock),
        heads: handle.heads.clone(),
        pending: handle.pending.clone(),
        metrics: metrics.chain(chain_id),
    };
    tasks.spawn(Driver::new(engine, outside, submissions, stopped).run(first));
    Ok(handle)
}
