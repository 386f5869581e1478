//! A city's data folder with everything in it that runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::Address;
use chain::over::Register;
use chain::{EngineError, Entry, EntryError, Genesis, RecoveryError};
use link::{Event, Identity, Limits, Links, Peer, PeerId};
use state::History;
use store::{
    Log, LogError, LsmOptions, LsmTables, Position, SegmentLog, SegmentOptions, Tables, TablesError,
};
use tokio::sync::{mpsc, watch};
use types::{ChainId, NetworkId, NodeKey};

use crate::clock::Clock;
use crate::dispatch::Dispatcher;
use crate::folder::{Folder, FolderError};
use crate::handle::ChainHandle;
use crate::hosting::{Common, Hosting, NO_CHAIN};
use crate::metrics::NodeMetrics;
use crate::peers::{Leaving, Linked, NoPeers, Peers};
use crate::registry::Follower;
use crate::tips;

/// How a city keeps its data.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's segments.
    pub segments: SegmentOptions,
    /// The tables.
    pub tables: LsmOptions,
    /// How much of the past is kept.
    pub history: History,
    /// Memory for the branches of the state of a hub, or of a city's only chain, in bytes.
    pub branch_cache_bytes: usize,
    /// Memory for the branches of an application's state while it is awake, in bytes.
    pub application_cache_bytes: usize,
    /// Chains that may be awake at once; for one more the idlest is parked.
    pub awake_chains: usize,
    /// Bytes that the log may grow before it is trimmed.
    pub trim_after_bytes: u64,
    /// Whether chains are held to the gas and blocks a second that the hub gave them even while the city has time to spare, and
    /// to their bytes while it has room.
    pub strict_capacity: bool,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Whether the chain is only read: nothing is signed, nothing made, and no other city met.
    pub only_read: bool,
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
            application_cache_bytes: 1 << 20,
            awake_chains: 256,
            trim_after_bytes: 64 << 20,
            strict_capacity: false,
            clock,
            only_read: false,
        }
    }

    /// For a city of a network: the last 8,192 blocks of history of each application, and the hub's whole history.
    #[must_use]
    pub fn city(clock: Arc<dyn Clock>) -> Self {
        Self {
            segments: SegmentOptions::default(),
            tables: LsmOptions::default(),
            history: History::Blocks(8_192),
            branch_cache_bytes: 64 << 20,
            application_cache_bytes: 1 << 20,
            awake_chains: 1_024,
            trim_after_bytes: 256 << 20,
            strict_capacity: false,
            clock,
            only_read: false,
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
    /// The folder holds data of another network than the one asked for.
    #[error(
        "the data folder holds data of the network {}, not of {}; a city belongs to one network",
        .found.0, .wanted.0
    )]
    OtherNetwork {
        /// What is there.
        found: NetworkId,
        /// What was asked for.
        wanted: NetworkId,
    },
    /// The links to the other cities cannot be had.
    #[error(transparent)]
    Links(#[from] link::StartError),
    /// The chain has other validators, and nothing is known of them.
    #[error("the chain has {count} validators; this folder is run by `causeway city run`")]
    Unconnected {
        /// How many.
        count: usize,
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

impl StartError {
    /// Whether it concerns the city and not one chain: its store, or its key.
    pub(crate) const fn is_of_the_city(&self) -> bool {
        match self {
            Self::Log(_) | Self::Tables(_) => true,
            Self::Recovery { source, .. } => matches!(
                source,
                RecoveryError::Engine(EngineError::KeyElsewhere { .. })
            ),
            _ => false,
        }
    }
}

/// A city's place: its folder, which belongs to this process, and its key.
#[derive(Debug)]
pub struct Seat {
    /// The data folder.
    pub folder: Folder,
    /// The city's node key.
    pub key: Arc<NodeKey>,
}

impl Seat {
    /// Takes the folder at `path`, with the plain key that is in it, or a new one.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        let folder = Folder::open(path)?;
        let key = Arc::new(folder.node_key()?);
        Ok(Self { folder, key })
    }
}

/// The other cities of the network, and how this one meets them.
#[derive(Debug)]
pub struct Cities {
    /// The key of this city's links.
    pub identity: Identity,
    /// Where other cities are awaited (UDP).
    pub listen: SocketAddr,
    /// All cities of the network, this one perhaps among them.
    pub peers: Vec<Peer>,
    /// Where some cities are, whatever the registry says of them.
    pub endpoints: BTreeMap<Address, String>,
    /// The network that they are of, where it is known beforehand: a folder of another is refused.
    pub network: Option<NetworkId>,
}

impl Cities {
    fn meet(
        self,
        key: &NodeKey,
        genesis: &Genesis,
    ) -> Result<(Links, mpsc::Receiver<Event>), link::StartError> {
        Links::start(link::Config {
            identity: self.identity,
            own: PeerId(key.address().into_array()),
            network: genesis.network_id.0.0,
            listen: self.listen,
            peers: self.peers,
            limits: Limits::default(),
        })
    }
}

/// A running city.
#[derive(Debug)]
pub struct Host {
    folder: Folder,
    key: Arc<NodeKey>,
    log: Arc<SegmentLog>,
    tables: Arc<LsmTables>,
    hosting: Hosting,
    chain: ChainHandle,
    genesis: Genesis,
    links: Option<Links>,
    stop: Arc<watch::Sender<bool>>,
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
        let seat = Seat::take(path)?;
        Self::launch(seat, options, wanted, None, |key| Some(found(key)))
    }

    /// Opens the data folder at `path` and shows its chain, which stands still. Blocks while the log is read, and must be
    /// called within a runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`], [`StartError::Empty`] when there is no chain in it.
    ///
    /// # Panics
    ///
    /// Never: a constant is a key.
    pub fn open(path: &Path, options: &Options) -> Result<Self, StartError> {
        // It signs nothing: the city's own key is not needed, and may be encrypted.
        let nobody = NodeKey::from_bytes(&[1; 32]).expect("a small number is a key");
        let seat = Seat {
            folder: Folder::open(path)?,
            key: Arc::new(nobody),
        };
        let options = Options {
            only_read: true,
            ..options.clone()
        };
        Self::launch(seat, &options, None, None, |_key| None)
    }

    /// Continues the chain in the folder of `seat`, or begins the one that `found` makes for its key, with the other
    /// cities. Blocks while the log is read, and must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`]; the folder is as it was.
    pub fn launch(
        seat: Seat,
        options: &Options,
        wanted: Option<ChainId>,
        cities: Option<Cities>,
        found: impl FnOnce(&NodeKey) -> Option<Genesis>,
    ) -> Result<Self, StartError> {
        let Seat { folder, key } = seat;
        let (log, tables) = open_store(folder.path(), options)?;
        let wanted = Wanted {
            chain_id: wanted,
            network: cities.as_ref().and_then(|cities| cities.network),
            is_alone: cities.is_none(),
        };
        let genesis = first_chain(&folder, &*log, &tables, options, &wanted, || found(&key))?;
        let (stop, stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        let endpoints = cities
            .as_ref()
            .map(|cities| cities.endpoints.clone())
            .unwrap_or_default();
        let met = cities
            .map(|cities| cities.meet(&key, &genesis))
            .transpose()?;
        let links = met.as_ref().map(|(links, _)| links.clone());
        let metrics = NodeMetrics::new(
            Arc::clone(&log) as Arc<dyn Log>,
            Arc::clone(&tables) as Arc<dyn Tables>,
            links.clone(),
        );
        let leaving = Leaving::default();
        let peers = match &links {
            Some(links) => Arc::new(Linked {
                links: links.clone(),
                leaving: leaving.clone(),
            }) as _,
            None => Arc::new(NoPeers) as Arc<dyn Peers>,
        };
        let store = (Arc::clone(&log) as _, Arc::clone(&tables) as _);
        let common = Common::new(
            folder.path().to_owned(),
            store,
            Arc::clone(&key),
            peers,
            options,
            metrics,
            stopped,
        );
        let hosting = Hosting::start(common, &genesis)?;
        let chain = hosting.first();
        if genesis.registry.is_some() && !options.only_read {
            let follower = Follower {
                hub: chain.clone(),
                hosting: hosting.clone(),
                links: links.clone(),
                network_id: genesis.network_id,
                own: key.address(),
                endpoints,
                leaving: leaving.clone(),
                stop: hosting.common().stop.clone(),
            };
            hosting.spawn(follower.run());
        }
        if let Some((links, events)) = met {
            listen(&hosting, links, leaving, events, Arc::clone(&stop));
        }
        Ok(Self {
            folder,
            key,
            log,
            tables,
            hosting,
            chain,
            genesis,
            links,
            stop,
        })
    }

    /// All chains of this city.
    #[must_use]
    pub const fn hosting(&self) -> &Hosting {
        &self.hosting
    }

    /// The chain that is always awake: the network's hub, or the only one.
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
    pub fn metrics(&self) -> &NodeMetrics {
        &self.hosting.common().metrics
    }

    /// The links to the other cities, where there are some.
    #[must_use]
    pub const fn links(&self) -> Option<&Links> {
        self.links.as_ref()
    }

    /// Stops all chains, writes what is in memory, and lets go of the folder. A crash instead loses nothing that counts.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The end of the links ends whoever listens to them.
        if let Some(links) = self.links.take() {
            links.stop().await;
        }
        self.hosting.ended().await;
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

/// Carries what the links bring to the chains.
fn listen(
    hosting: &Hosting,
    links: Links,
    leaving: Leaving,
    events: mpsc::Receiver<Event>,
    halt: Arc<watch::Sender<bool>>,
) {
    let (tips, inbox) = mpsc::channel(tips::WAITING);
    let stopped = hosting.common().stop.clone();
    hosting.spawn(tips::run(hosting.clone(), inbox, stopped));
    let dispatcher = Dispatcher {
        links,
        leaving,
        events,
        hosting: hosting.clone(),
        tips,
        halt,
    };
    hosting.spawn(dispatcher.run());
}

fn open_store(
    path: &Path,
    options: &Options,
) -> Result<(Arc<SegmentLog>, Arc<LsmTables>), StartError> {
    let (log, opened) = SegmentLog::open(&path.join("log"), options.segments)?;
    if let Some(at) = opened.damage {
        return Err(LogError::Damaged { at }.into());
    }
    let tables = LsmTables::open(&path.join("tables"), options.tables)?;
    Ok((Arc::new(log), Arc::new(tables)))
}

/// Writes the first entries of `chains` into an empty log. A key that may have signed before, and has no log, lost it.
fn begin(
    log: &dyn Log,
    chains: &[Genesis],
    is_unused: bool,
    options: &Options,
) -> Result<(), LogError> {
    let mut end = log.end();
    let has_others = |genesis: &Genesis| genesis.validators.validators().len() > 1;
    if !is_unused && chains.iter().any(has_others) {
        let lost = Entry::lost_log_at(options.clock.now_ms());
        end = log.append(NO_CHAIN, &[&lost])?;
    }
    for genesis in chains {
        let mut entries = vec![genesis.to_entry()];
        if !is_unused && has_others(genesis) {
            tracing::warn!(
                chain_id = %genesis.record.chain_id,
                "this city's key was used before, and its log is not here"
            );
            entries.push(Entry::lost_log());
        }
        let payloads: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        end = log.append(genesis.record.chain_id.get(), &payloads)?;
    }
    log.sync(end)
}

/// What a folder is to hold.
struct Wanted {
    chain_id: Option<ChainId>,
    network: Option<NetworkId>,
    /// Nothing is known of other cities.
    is_alone: bool,
}

impl Wanted {
    fn check(&self, genesis: &Genesis, options: &Options) -> Result<(), StartError> {
        let found = genesis.record.chain_id;
        if let Some(wanted) = self.chain_id.filter(|wanted| *wanted != found) {
            return Err(StartError::OtherChain { found, wanted });
        }
        let found = genesis.network_id;
        if let Some(wanted) = self.network.filter(|wanted| *wanted != found) {
            return Err(StartError::OtherNetwork { found, wanted });
        }
        let count = genesis.validators.validators().len();
        if self.is_alone && count > 1 && !options.only_read {
            return Err(StartError::Unconnected { count });
        }
        Ok(())
    }
}

/// What the first chain of the folder began with; a new one is begun with what `found` makes. Nothing is written before
/// all is as it is wanted.
fn first_chain(
    folder: &Folder,
    log: &dyn Log,
    tables: &Arc<LsmTables>,
    options: &Options,
    wanted: &Wanted,
    found: impl FnOnce() -> Option<Genesis>,
) -> Result<Genesis, StartError> {
    let known = known_genesis(log, &**tables)?;
    let is_new = known.is_none();
    let genesis = known.or_else(found).ok_or_else(|| StartError::Empty {
        path: folder.path().to_path_buf(),
    })?;
    wanted.check(&genesis, options)?;
    if is_new {
        let first = std::slice::from_ref(&genesis);
        begin(log, first, folder.is_unused(), options)?;
    } else if log.end() == Position::default() && !options.only_read {
        // Rows without a log: the log is lost, whatever the rows remember.
        Register::new(Arc::clone(tables) as _).log_lost()?;
        let hosted = chain::genesis::hosted(&**tables)?;
        begin(log, &hosted, folder.is_unused(), options)?;
    }
    if !options.only_read {
        // What it signs from now on is in the log.
        folder.mark_used()?;
    }
    Ok(genesis)
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
