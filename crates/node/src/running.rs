//! Starting a chain, and starting it again in this process when its engine fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chain::{Effect, Engine, Entry, Genesis, Pool, Reader, Recovery};
use consensus::Timeouts;
use parking_lot::RwLock;
use state::History;
use tokio::sync::{Notify, mpsc};
use types::ChainId;

use crate::admission::{Admission, Entrance};
use crate::driver::{Chain, Inputs, Outside};
use crate::feed::Feed;
use crate::handle::{ChainHandle, Status};
use crate::host::StartError;
use crate::hosting::{Common, Hosting, counts_from};
use crate::peers::{Mailboxes, Others};

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

/// What log and rows say of a chain.
#[derive(Debug)]
pub(crate) struct Recovered {
    engine: Engine,
    first: Vec<Effect>,
}

impl Recovered {
    /// Ends a recovery that was fed all that there is.
    pub(crate) fn finish(
        chain_id: ChainId,
        recovery: Recovery,
        common: &Common,
    ) -> Result<Self, StartError> {
        let replayed = recovery.replayed();
        let (engine, first) = recovery
            .finish(common.options.clock.now_ms())
            .map_err(|source| StartError::Recovery { chain_id, source })?;
        if replayed > 0 {
            tracing::info!(%chain_id, replayed, "blocks executed again from the log");
        }
        Ok(Self { engine, first })
    }

    /// The read side.
    pub(crate) fn reader(&self) -> Reader {
        self.engine.reader().clone()
    }

    /// What the engine is told that it does not remember: what the chain may take, whether it stands still, and whom the hub names.
    fn tell(&mut self, chain_id: ChainId, common: &Common, stands: bool) {
        if stands {
            self.engine.stand_still();
        }
        let quota = common.quotas.lock().get(&chain_id.get()).copied();
        self.engine.set_quota(quota);
        let named = common.named.lock().get(&chain_id.get()).cloned();
        // The engine may have been made before there was a copy of the hub to look at.
        self.first
            .extend(self.engine.hub_moved(named.unwrap_or_default()));
    }

    /// Whether there is nothing to do for the chain.
    pub(crate) fn can_rest(&self) -> bool {
        self.first.is_empty() && self.engine.can_rest()
    }
}

/// A recovery of the chain that `genesis` begins, to be fed what the log has of it.
pub(crate) fn recovery(common: &Common, genesis: &Genesis) -> Result<Recovery, StartError> {
    let chain_id = genesis.record.chain_id;
    let options = &common.options;
    // A hub, or the only chain there is, has the larger part of the memory.
    let cache_bytes = match genesis.creator {
        None => options.branch_cache_bytes,
        Some(_) => options.application_cache_bytes,
    };
    // A chain that was away for long cites the hub from where it left off, at each 64th of its handovers.
    let history = match genesis.creator {
        None => History::All,
        Some(_) => options.history,
    };
    Recovery::begin(
        genesis,
        config(common, genesis),
        Arc::clone(&common.tables),
        history,
        cache_bytes,
    )
    .map_err(|source| StartError::Recovery { chain_id, source })
}

fn config(common: &Common, genesis: &Genesis) -> chain::Config {
    let has_hub = genesis.creator.is_some();
    chain::Config {
        key: Arc::clone(&common.key),
        timeouts: Timeouts::default(),
        hub: has_hub.then(|| Arc::clone(&common.hub) as _),
        meter: Some(Arc::new(common.metrics.chain(genesis.record.chain_id))),
    }
}

/// Starts the engine from log and rows in the place of the one that failed.
fn recover_again(
    common: &Common,
    genesis: &Genesis,
    reader: &Reader,
    pool: Arc<RwLock<Pool>>,
) -> Result<Recovered, StartError> {
    let chain_id = genesis.record.chain_id;
    // What the engine left unsynced is about to be shown as decided.
    common.log.sync(common.log.end())?;
    let refused = |source| StartError::Recovery { chain_id, source };
    let mut recovery = Recovery::again(config(common, genesis), reader, pool).map_err(refused)?;
    let mut outcome = Ok(());
    let from = counts_from(common, chain_id.get())?;
    common.log.replay(from, &mut |entry| {
        if entry.chain == chain_id.get() {
            let at = entry.position;
            outcome = Entry::decode(&entry.payload)
                .map_err(|source| StartError::Entry { at, source })
                .and_then(|entry| recovery.feed(entry).map_err(refused));
        }
        outcome.is_ok()
    })?;
    outcome?;
    Recovered::finish(chain_id, recovery, common)
}

/// Runs a chain's tasks, unless it is only read; one that `stands` begins nothing.
pub(crate) fn start_chain(
    hosting: &Hosting,
    genesis: Genesis,
    mut recovered: Recovered,
    stands: bool,
) -> (ChainHandle, Mailboxes) {
    let common = hosting.common();
    let chain_id = genesis.record.chain_id;
    recovered.tell(chain_id, common, stands);
    let others = Others::of(&recovered.engine, common.key.address());
    let (inbox, submissions) = mpsc::channel(INBOX);
    let (messages, from_peers) = mpsc::channel(MESSAGES);
    let pooled = Arc::new(Notify::new());
    let handle = ChainHandle {
        reader: recovered.engine.reader().clone(),
        pool: Arc::clone(recovered.engine.pool()),
        inbox,
        heads: Feed::new(HEADS),
        pending: Feed::new(PENDING),
        clock: Arc::clone(&common.options.clock),
        status: Status::default(),
        peers: Arc::clone(&common.peers),
        others: others.clone(),
        held: Arc::default(),
        stands: Arc::new(AtomicBool::new(stands)),
    };
    let metrics = common.metrics.chain(chain_id);
    let outside = Outside {
        chain_id,
        common: Arc::clone(common),
        heads: handle.heads.clone(),
        metrics: metrics.clone(),
        others: others.clone(),
        status: handle.status.clone(),
        stands: Arc::clone(&handle.stands),
    };
    let entrance = Entrance {
        chain_id,
        own: common.key.address(),
        reader: handle.reader.clone(),
        pool: Arc::clone(&handle.pool),
        log: Arc::clone(&common.log),
        clock: Arc::clone(&common.options.clock),
        pending: handle.pending.clone(),
        metrics,
        peers: Arc::clone(&common.peers),
        others,
        pooled: Arc::clone(&pooled),
        stands: Arc::clone(&handle.stands),
        spare: Arc::clone(&common.spare),
    };
    let admission = Admission {
        entrance: Arc::new(entrance),
        inbox: submissions,
        stop: common.stop.clone(),
    };
    let mailboxes = Mailboxes {
        engine: messages,
        admission: handle.inbox.clone(),
    };
    let inputs = Inputs {
        inbox: from_peers,
        pooled,
        stop: common.stop.clone(),
    };
    if !common.options.only_read {
        hosting.spawn(admission.run());
        hosting.spawn(keep(genesis, recovered, outside, inputs));
    }
    (handle, mailboxes)
}

/// Runs a chain; starts it again from its log when its engine fails. The other chains never notice.
async fn keep(genesis: Genesis, first: Recovered, outside: Outside, mut inputs: Inputs) {
    let chain_id = outside.chain_id;
    let reader = first.engine.reader().clone();
    let pool = Arc::clone(first.engine.pool());
    let (mut recovered, mut left, mut height) = (first, RESTARTS, 0);
    let mut is_again = false;
    loop {
        let stands = outside.stands.load(Ordering::Acquire);
        if is_again {
            // A handover may have been made, or restored, that nobody was told of.
            let own = outside.common.key.address();
            outside.others.set(&recovered.engine, own);
            recovered.tell(chain_id, &outside.common, stands);
        }
        is_again = true;
        let Recovered { engine, first } = recovered;
        let chain = Chain::new(engine, outside.clone());
        let error = match chain.serve(first, &mut inputs).await {
            Ok(()) => {
                outside.common.faults.forget(chain_id);
                tracing::debug!(%chain_id, "chain closed");
                return;
            }
            Err(error) => error,
        };
        let reached = reader
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
        let (common, genesis) = (Arc::clone(&outside.common), genesis.clone());
        let (reader, pool) = (reader.clone(), Arc::clone(&pool));
        let again = move || recover_again(&common, &genesis, &reader, pool);
        recovered = match tokio::task::spawn_blocking(again).await {
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
