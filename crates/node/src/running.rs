//! Starting a chain, and starting it again in this process when its engine fails.

use std::sync::Arc;

use alloy_primitives::Address;
use chain::{Effect, Engine, Entry, Genesis, Recovery};
use consensus::Timeouts;
use store::{Log, Position, Tables};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::JoinSet;
use types::{ChainId, NodeKey};

use crate::admission::{Admission, Entrance};
use crate::driver::{Chain, Inputs, Outside};
use crate::handle::{ChainHandle, Status};
use crate::host::{Options, StartError};
use crate::metrics::NodeMetrics;
use crate::peers::{Mailboxes, Peers};
use crate::trim::Trim;

/// Submissions that may wait for one chain before a sender must.
const INBOX: usize = 1_024;
/// Messages of other cities that may wait for one chain before they are not read any more.
const MESSAGES: usize = 1_024;
/// How often in a row a chain is started again after its engine failed; a block in between starts the count anew.
const RESTARTS: u32 = 3;
/// Blocks that a slow subscriber may be behind before it misses some.
const HEADS: usize = 1_024;
/// Pool transactions that a slow subscriber may be behind before it misses some.
const PENDING: usize = 8_192;

/// What every chain of a city shares, and what this one began with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) key: Arc<NodeKey>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) options: Options,
    pub(crate) genesis: Genesis,
}

/// What the log says of a chain.
#[derive(Debug)]
struct Recovered {
    engine: Engine,
    first: Vec<Effect>,
    /// Where the log begins.
    start: Position,
}

impl Shared {
    fn chain_id(&self) -> ChainId {
        self.genesis.record.chain_id
    }

    /// Starts the engine from log and rows; after a failure in this process, in the place of the one that failed.
    fn recover(&self, failed: Option<&ChainHandle>) -> Result<Recovered, StartError> {
        let chain_id = self.chain_id();
        let refused = |source| StartError::Recovery { chain_id, source };
        let config = chain::Config {
            key: Arc::clone(&self.key),
            timeouts: Timeouts::default(),
        };
        let mut recovery = match failed {
            None => Recovery::begin(
                &self.genesis,
                config,
                Arc::clone(&self.tables),
                self.options.history,
                self.options.branch_cache_bytes,
            ),
            Some(handle) => Recovery::again(
                &self.genesis,
                config,
                &handle.reader,
                Arc::clone(&handle.pool),
            ),
        }
        .map_err(refused)?;
        let mut outcome = Ok(());
        let mut start = None;
        self.log.replay(Position::default(), &mut |entry| {
            start.get_or_insert(entry.position);
            if entry.chain == chain_id.get() {
                outcome = Entry::decode(&entry.payload)
                    .map_err(|source| StartError::Entry {
                        at: entry.position,
                        source,
                    })
                    .and_then(|entry| recovery.feed(entry).map_err(refused));
            }
            outcome.is_ok()
        })?;
        outcome?;
        let replayed = recovery.replayed();
        let now_ms = self.options.clock.now_ms();
        let (engine, first) = recovery.finish(now_ms).map_err(refused)?;
        if replayed > 0 {
            tracing::info!(%chain_id, replayed, "blocks executed again from the log");
        }
        Ok(Recovered {
            engine,
            first,
            start: start.unwrap_or_default(),
        })
    }
}

/// The validators of a chain, without this city.
fn others(engine: &Engine, own: Address) -> Arc<[Address]> {
    let validators = engine.validators().validators().iter();
    validators
        .map(|validator| validator.address)
        .filter(|address| *address != own)
        .collect()
}

pub(crate) fn start_chain(
    shared: Shared,
    metrics: &NodeMetrics,
    stop: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<(ChainHandle, Mailboxes), StartError> {
    let recovered = shared.recover(None)?;
    let chain_id = shared.chain_id();
    let others = others(&recovered.engine, shared.key.address());
    let (inbox, submissions) = mpsc::channel(INBOX);
    let (messages, from_peers) = mpsc::channel(MESSAGES);
    let pooled = Arc::new(Notify::new());
    let handle = ChainHandle {
        reader: recovered.engine.reader().clone(),
        pool: Arc::clone(recovered.engine.pool()),
        inbox,
        heads: broadcast::Sender::new(HEADS),
        pending: broadcast::Sender::new(PENDING),
        clock: Arc::clone(&shared.options.clock),
        status: Status::default(),
        peers: Arc::clone(&shared.peers),
        others: Arc::clone(&others),
    };
    let metrics = metrics.chain(chain_id);
    let outside = Outside {
        chain_id,
        trim: Trim::new(
            chain_id.get(),
            shared.options.trim_after_bytes,
            recovered.start,
        ),
        log: Arc::clone(&shared.log),
        tables: Arc::clone(&shared.tables),
        clock: Arc::clone(&shared.options.clock),
        heads: handle.heads.clone(),
        metrics: metrics.clone(),
        peers: Arc::clone(&shared.peers),
        others: Arc::clone(&others),
        status: handle.status.clone(),
    };
    let entrance = Entrance {
        chain_id,
        own: shared.key.address(),
        reader: handle.reader.clone(),
        pool: Arc::clone(&handle.pool),
        log: Arc::clone(&shared.log),
        clock: Arc::clone(&shared.options.clock),
        pending: handle.pending.clone(),
        metrics,
        peers: Arc::clone(&shared.peers),
        others,
        pooled: Arc::clone(&pooled),
    };
    let admission = Admission {
        entrance: Arc::new(entrance),
        inbox: submissions,
        stop: stop.clone(),
    };
    let mailboxes = Mailboxes {
        engine: messages,
        admission: handle.inbox.clone(),
    };
    let inputs = Inputs {
        inbox: from_peers,
        pooled,
        stop: stop.clone(),
    };
    if !shared.options.only_read {
        tasks.spawn(admission.run());
        tasks.spawn(keep(shared, recovered, outside, inputs, handle.clone()));
    }
    Ok((handle, mailboxes))
}

/// Runs a chain; starts it again from its log when its engine fails. The other chains never notice.
async fn keep(
    shared: Shared,
    first: Recovered,
    outside: Outside,
    mut inputs: Inputs,
    handle: ChainHandle,
) {
    let chain_id = outside.chain_id;
    let shared = Arc::new(shared);
    let (mut recovered, mut left, mut height) = (first, RESTARTS, 0);
    loop {
        let Recovered { engine, first, .. } = recovered;
        let chain = Chain::new(engine, outside.clone());
        let error = match chain.serve(first, &mut inputs).await {
            Ok(()) => {
                tracing::debug!(%chain_id, "chain closed");
                return;
            }
            Err(error) => error,
        };
        let reached = handle
            .reader
            .moment()
            .map_or(height, |moment| moment.head().header.number);
        if reached > height {
            (left, height) = (RESTARTS, reached);
        }
        if !error.is_mendable() || left == 0 {
            tracing::error!(
                %chain_id,
                error = &error as &dyn std::error::Error,
                "chain stopped; it answers reads, and goes on when the program is started again"
            );
            return;
        }
        left -= 1;
        tracing::error!(
            %chain_id,
            error = &error as &dyn std::error::Error,
            "the chain's engine failed; it is started again from the log"
        );
        let (shared, failed) = (Arc::clone(&shared), handle.clone());
        let again = tokio::task::spawn_blocking(move || shared.recover(Some(&failed))).await;
        recovered = match again {
            Ok(Ok(recovered)) => recovered,
            Ok(Err(error)) => {
                tracing::error!(%chain_id, error = &error as &dyn std::error::Error, "chain stopped");
                return;
            }
            Err(_panic) => {
                tracing::error!(%chain_id, "chain stopped: its recovery panicked");
                return;
            }
        };
    }
}
