//! All chains of a city: which are here, and which of them are awake.
//!
//! ```text
//!            open ─────────────▶ awake: engine, pool, two tasks ──▶ idlest of too many, and nobody looks at it
//!  rows ◀──────────────────────────────────────────── parked ◀─────────────┘
//! ```
//!
//! A parked chain is rows in the store and nothing else. It is opened for whoever wants to read it or has something for it;
//! opening reads a few rows, starts no height, and tells nobody. A bound on the awake ones parks the idlest.

mod delivery;
mod over;
mod replay;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use alloy_primitives::Address;
use chain::over::Register;
use chain::{Entry, Genesis, Quota};
use parking_lot::Mutex;
use store::{Log, Tables, TablesError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use types::{ChainId, NodeKey};

use crate::faults::Faults;
use crate::handle::ChainHandle;
use crate::host::{Options, StartError};
use crate::metrics::NodeMetrics;
use crate::peers::{Mailboxes, Peers, ToChain};
use crate::running::{Recovered, start_chain};
use crate::spare::Spare;
use crate::trim::Trim;

pub(crate) use self::delivery::Delivery;
pub(crate) use self::replay::counts_from;
use self::replay::{Replayed, recover_all, remove_rests, wake, wake_with};

/// The chain id under which the log keeps what concerns the city and no chain.
pub(crate) const NO_CHAIN: u64 = 0;
/// How far a hub's time may be from a city's clock, when both are right enough.
const CLOCKS_APART_MS: u64 = 60_000;
/// How many chains are asked to park for one that is opened; when all of them are busy, there is one more for a while.
const ASKED_TO_PARK: usize = 16;

/// What every chain of a city shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) key: Arc<NodeKey>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) options: Options,
    pub(crate) metrics: NodeMetrics,
    pub(crate) trim: Trim,
    /// This city's copy of the hub; empty where there is none.
    pub(crate) hub: Arc<hub::OwnCopy>,
    /// Cities that the hub names for chains whose set changes. Written by whoever follows the registry.
    pub(crate) named: Mutex<HashMap<u64, BTreeSet<Address>>>,
    /// What chains may take of this city. Written by whoever follows the registry.
    pub(crate) quotas: Mutex<HashMap<u64, Quota>>,
    pub(crate) spare: Arc<Spare>,
    /// What is wrong with this city's clock.
    pub(crate) faults: Faults,
    /// What is kept in mind of chains that are over here.
    pub(crate) over: Register,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Common {
    /// Of this log and these tables, which are in `folder`.
    pub(crate) fn new(
        folder: PathBuf,
        (log, tables): (Arc<dyn Log>, Arc<dyn Tables>),
        key: Arc<NodeKey>,
        peers: Arc<dyn Peers>,
        options: &Options,
        metrics: NodeMetrics,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            log,
            over: Register::new(Arc::clone(&tables)),
            tables,
            key,
            peers,
            metrics,
            trim: Trim::new(options.trim_after_bytes),
            hub: Arc::default(),
            named: Mutex::default(),
            quotas: Mutex::default(),
            spare: Arc::new(Spare::new(folder, !options.strict_capacity)),
            faults: Faults::default(),
            options: options.clone(),
            stop,
        }
    }
}

/// All chains of a city. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hosting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    common: Arc<Common>,
    /// The chain that is never parked: a city's hub, or its only one.
    first: ChainId,
    /// Chains with running tasks. A lock and not a task, because looking a chain up is a few words.
    awake: Mutex<HashMap<u64, Awake>>,
    /// Held by whoever opens or parks a chain: one at a time.
    turn: tokio::sync::Mutex<()>,
    tasks: Mutex<JoinSet<()>>,
    /// When this city lost an earlier log, Unix milliseconds.
    lost_ms: Option<u64>,
    /// Chains whose log cannot be followed: they are not opened, because they would sign what they do not remember.
    failed: HashSet<u64>,
    /// Chains that are to stand still.
    standing: Mutex<HashSet<u64>>,
}

#[derive(Debug)]
struct Awake {
    chain_id: ChainId,
    handle: ChainHandle,
    mailboxes: Mailboxes,
    used: Instant,
}

/// Why a chain could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its rows could not be read, or it could not be started.
    #[error("chain {chain_id} could not be opened")]
    Start {
        /// The chain.
        chain_id: ChainId,
        /// Why.
        source: Box<StartError>,
    },
    /// It could not be continued when the program started.
    #[error(
        "chain {chain_id} stands still: its log could not be followed when this program started"
    )]
    Stopped {
        /// The chain.
        chain_id: ChainId,
    },
    /// The thread that read it panicked.
    #[error("chain {chain_id} could not be opened: its recovery panicked")]
    Panicked {
        /// The chain.
        chain_id: ChainId,
    },
}

impl Hosting {
    /// Starts what the log has something of, and `first`; all other chains of the tables stay parked. Blocks while the log
    /// is read, and must be called within a runtime.
    pub(crate) fn start(common: Common, first: &Genesis) -> Result<Self, StartError> {
        let Replayed {
            recovered,
            failed,
            lost_ms,
        } = recover_all(&common, first)?;
        let hosting = Self(Arc::new(Inner {
            common: Arc::new(common),
            first: first.record.chain_id,
            awake: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
            lost_ms,
            failed,
            standing: Mutex::default(),
        }));
        for (genesis, recovered) in &recovered {
            if genesis.record.chain_id == hosting.0.first && genesis.registry.is_some() {
                hosting.0.common.hub.set(recovered.reader());
            }
        }
        if follows_registry(&hosting) {
            // Whether they stand still is known when the registry was looked at.
            let mut standing = hosting.0.standing.lock();
            let placed = recovered
                .iter()
                .filter(|(genesis, _)| genesis.creator.is_some());
            standing.extend(placed.map(|(genesis, _)| genesis.record.chain_id.get()));
        }
        for (genesis, recovered) in recovered {
            // What has nothing to do is opened when somebody wants it.
            let is_first = genesis.record.chain_id == hosting.0.first;
            if is_first || !recovered.can_rest() {
                hosting.run(genesis, recovered);
            }
        }
        let common = hosting.common();
        if !common.options.only_read {
            let trim = common
                .trim
                .clone()
                .run(hosting.clone(), common.stop.clone());
            hosting.spawn(trim);
        }
        Ok(hosting)
    }

    /// The chain that is never parked.
    ///
    /// # Panics
    ///
    /// Never: it is started with the host, and never taken out.
    pub(crate) fn first(&self) -> ChainHandle {
        self.handle(self.0.first).expect("the first chain is awake")
    }

    pub(crate) fn common(&self) -> &Arc<Common> {
        &self.0.common
    }

    /// The chains that this city keeps, ascending by id.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn chains(&self) -> Result<Vec<ChainId>, TablesError> {
        let hosted = chain::genesis::hosted(&*self.0.common.tables)?;
        Ok(hosted
            .into_iter()
            .map(|genesis| genesis.record.chain_id)
            .collect())
    }

    /// How many chains have a running task.
    #[must_use]
    pub fn awake_count(&self) -> usize {
        self.0.awake.lock().len()
    }

    /// Whether a chain has a running task.
    #[must_use]
    pub fn is_awake(&self, chain: ChainId) -> bool {
        self.0.awake.lock().contains_key(&chain.get())
    }

    /// The mailboxes of all awake engines, none of which is being asked to park.
    pub(crate) async fn engines_at_rest(&self) -> Vec<(ChainId, mpsc::Sender<ToChain>)> {
        let _turn = self.0.turn.lock().await;
        self.engines()
    }

    /// Whether a chain has a running task, and is not just being asked to park.
    pub(crate) async fn stays_awake(&self, chain_id: ChainId) -> bool {
        let _turn = self.0.turn.lock().await;
        self.is_awake(chain_id)
    }

    /// Whether a handle is that of the chain as it is awake now, and not of a former life of its.
    #[must_use]
    pub fn is_current(&self, handle: &ChainHandle) -> bool {
        let chain_id = handle.reader().profile().chain_id;
        let mut awake = self.0.awake.lock();
        awake.get_mut(&chain_id.get()).is_some_and(|awake| {
            awake.used = Instant::now();
            awake.handle.is_same(handle)
        })
    }

    /// The mailboxes of all awake engines.
    pub(crate) fn engines(&self) -> Vec<(ChainId, mpsc::Sender<ToChain>)> {
        let awake = self.0.awake.lock();
        awake
            .values()
            .map(|awake| (awake.chain_id, awake.mailboxes.engine.clone()))
            .collect()
    }

    /// What to hold of a chain; `None` when this city does not keep it. It stays awake for as long as it is held.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open(&self, chain_id: ChainId) -> Result<Option<ChainHandle>, OpenError> {
        if let Some(handle) = self.handle(chain_id) {
            return Ok(Some(handle));
        }
        let _turn = self.0.turn.lock().await;
        if let Some(handle) = self.handle(chain_id) {
            return Ok(Some(handle));
        }
        if self.0.failed.contains(&chain_id.get()) {
            return Err(OpenError::Stopped { chain_id });
        }
        let common = Arc::clone(&self.0.common);
        let found = self.blocking(chain_id, move || {
            match chain::genesis::find(&*common.tables, chain_id)? {
                None => Ok(None),
                Some(genesis) => wake(&common, genesis).map(Some),
            }
        });
        let Some((genesis, recovered)) = found.await? else {
            return Ok(None);
        };
        self.make_room().await;
        Ok(Some(self.run(genesis, recovered)))
    }

    /// Begins a chain and opens it; opens it when it is here already.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn create(&self, genesis: Genesis) -> Result<ChainHandle, OpenError> {
        let chain_id = genesis.record.chain_id;
        if let Some(handle) = self.handle(chain_id) {
            return Ok(handle);
        }
        let _turn = self.0.turn.lock().await;
        if let Some(handle) = self.handle(chain_id) {
            return Ok(handle);
        }
        if self.0.failed.contains(&chain_id.get()) {
            return Err(OpenError::Stopped { chain_id });
        }
        let may_have_voted = self.may_have_voted(&genesis);
        let common = Arc::clone(&self.0.common);
        let begun = self.blocking(chain_id, move || {
            match chain::genesis::find(&*common.tables, chain_id)? {
                Some(genesis) => wake(&common, genesis),
                None => {
                    remove_rests(&common, chain_id)?;
                    let mut entries = vec![genesis.to_entry()];
                    if may_have_voted {
                        entries.push(Entry::lost_log());
                    }
                    let payloads: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
                    // Whatever is signed on the chain is synced after this.
                    common.log.append(chain_id.get(), &payloads)?;
                    wake_with(&common, genesis, &entries)
                }
            }
        });
        let (genesis, recovered) = begun.await?;
        self.make_room().await;
        Ok(self.run(genesis, recovered))
    }

    /// Says whom the hub names for a chain beside its own set; nobody, when no change is on its way.
    pub(crate) fn name(&self, chain_id: ChainId, named: BTreeSet<Address>) {
        let mut all = self.0.common.named.lock();
        if named.is_empty() {
            all.remove(&chain_id.get());
        } else {
            all.insert(chain_id.get(), named);
        }
    }

    /// Whether the hub names this city for a chain whose set changes.
    pub(crate) fn names(&self, chain_id: ChainId, city: Address) -> bool {
        let named = self.0.common.named.lock();
        named
            .get(&chain_id.get())
            .is_some_and(|named| named.contains(&city))
    }

    /// Has a chain look at the hub; opens it for that. Returns the chain, which is awake for as long as it is held; `None` when
    /// it is not here.
    pub(crate) async fn hub_moved(
        &self,
        chain_id: ChainId,
    ) -> Result<Option<ChainHandle>, OpenError> {
        let Some(handle) = self.open(chain_id).await? else {
            return Ok(None);
        };
        let named = self.0.common.named.lock().get(&chain_id.get()).cloned();
        if let Some(engine) = self.engine(chain_id.get()) {
            let named = named.unwrap_or_default();
            // A chain that stopped reads nothing.
            drop(engine.send(ToChain::HubMoved { named }).await);
        }
        Ok(Some(handle))
    }

    /// Says what a chain may take of this city.
    pub(crate) async fn set_quota(&self, chain_id: ChainId, quota: Quota) {
        // Nor while it is being opened, when it has read what it may take and cannot be told yet.
        let _turn = self.0.turn.lock().await;
        let before = {
            let mut quotas = self.0.common.quotas.lock();
            quotas.insert(chain_id.get(), quota)
        };
        if before == Some(quota) {
            return;
        }
        if let Some(engine) = self.engine(chain_id.get()) {
            // A chain that stopped begins nothing.
            drop(engine.send(ToChain::Quota(quota)).await);
        }
    }

    /// Has a chain stand still, or go on: what stands still answers reads, takes nothing, and begins no height; one that began
    /// is finished. Says whether that is new.
    pub(crate) async fn stand(&self, chain_id: ChainId, stands: bool) -> bool {
        let _turn = self.0.turn.lock().await;
        let is_new = {
            let mut standing = self.0.standing.lock();
            if stands {
                standing.insert(chain_id.get())
            } else {
                standing.remove(&chain_id.get())
            }
        };
        let engine = {
            let awake = self.0.awake.lock();
            awake.get(&chain_id.get()).map(|awake| {
                awake.handle.stands.store(stands, Ordering::Release);
                awake.mailboxes.engine.clone()
            })
        };
        if let Some(engine) = engine.filter(|_| is_new) {
            // A chain that stopped begins nothing.
            drop(engine.send(ToChain::Stand(stands)).await);
        }
        is_new
    }

    /// Waits until all tasks have ended, which they do when the host says so.
    pub(crate) async fn ended(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
            if tasks.is_empty() {
                return;
            }
            while let Some(done) = tasks.join_next().await {
                if let Err(error) = done {
                    tracing::error!(%error, "a chain's task ended badly");
                }
            }
        }
    }

    /// Runs `task` until the host ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock();
        // Those that have ended are forgotten.
        while let Some(done) = tasks.try_join_next() {
            if let Err(error) = done {
                tracing::error!(%error, "a chain's task ended badly");
            }
        }
        tasks.spawn(task);
    }

    fn handle(&self, chain_id: ChainId) -> Option<ChainHandle> {
        let mut awake = self.0.awake.lock();
        let awake = awake.get_mut(&chain_id.get())?;
        awake.used = Instant::now();
        Some(awake.handle.clone())
    }

    /// Whether this city may have signed something on a chain that it knows nothing of, before it lost its log.
    fn may_have_voted(&self, genesis: &Genesis) -> bool {
        let began_ms = genesis
            .creator
            .map_or(genesis.record.genesis_ms, |block| block.ms);
        self.0
            .lost_ms
            .is_some_and(|lost_ms| began_ms <= lost_ms.saturating_add(CLOCKS_APART_MS))
    }

    /// What this city must remember of a log that it lost; nothing when it lost none.
    pub(crate) fn live_entry(&self) -> Option<Vec<u8>> {
        self.0.lost_ms.map(Entry::lost_log_at)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        chain_id: ChainId,
        work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
    ) -> Result<T, OpenError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(source)) => Err(OpenError::Start {
                chain_id,
                source: Box::new(source),
            }),
            Err(_panic) => Err(OpenError::Panicked { chain_id }),
        }
    }

    fn run(&self, genesis: Genesis, recovered: Recovered) -> ChainHandle {
        let chain_id = genesis.record.chain_id;
        let stands = self.0.standing.lock().contains(&chain_id.get());
        let (handle, mailboxes) = start_chain(self, genesis, recovered, stands);
        let awake = Awake {
            chain_id,
            handle: handle.clone(),
            mailboxes,
            used: Instant::now(),
        };
        let mut all = self.0.awake.lock();
        all.insert(chain_id.get(), awake);
        self.0.common.metrics.awake(all.len());
        handle
    }

    /// Parks the idlest chains while too many are awake. Call with the turn.
    async fn make_room(&self) {
        for _ in 0..ASKED_TO_PARK {
            let Some(idlest) = self.take_idlest() else {
                return;
            };
            if park(&idlest).await || matches!(self.end(&idlest).await, Ok(true)) {
                continue;
            }
            let used = Instant::now();
            self.put_back(Awake { used, ..idlest });
        }
    }

    /// Takes the chain out that nobody has used for longest, when too many are awake.
    fn take_idlest(&self) -> Option<Awake> {
        let mut awake = self.0.awake.lock();
        if awake.len() < self.0.common.options.awake_chains {
            return None;
        }
        let first = self.0.first.get();
        let idle = awake
            .iter()
            .filter(|(chain, awake)| **chain != first && !awake.handle.is_held_elsewhere());
        let chain = *idle.min_by_key(|(_, awake)| awake.used)?.0;
        awake.remove(&chain)
    }

    /// Puts a chain back that was taken out and did not end.
    fn put_back(&self, taken: Awake) {
        let mut awake = self.0.awake.lock();
        awake.insert(taken.chain_id.get(), taken);
    }
}

/// Whether somebody will follow the registry here.
fn follows_registry(hosting: &Hosting) -> bool {
    let common = hosting.common();
    common.hub.is_set() && !common.options.only_read
}

/// Asks a chain to end; it does not while it has something to do.
async fn park(chain: &Awake) -> bool {
    let waiting = &chain.mailboxes.admission;
    if waiting.capacity() < waiting.max_capacity() {
        return false;
    }
    let (answer, parked) = oneshot::channel();
    let asked = chain.mailboxes.engine.send(ToChain::Park(answer)).await;
    // A chain that stopped for an error is not started again by this.
    asked.is_ok() && parked.await.unwrap_or(false)
}
