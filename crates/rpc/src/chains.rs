//! Which chain a request is for: `/chain/<chain id>` is that chain, every other path the city's first.
//!
//! What answers for a chain is made when somebody asks it, and kept for the chains that were asked last; a chain stays
//! awake for as long as it is kept here.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use jsonrpsee::server::Methods;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use lru::LruCache;
use node::{ChainHandle, Hosting, OpenError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use types::ChainId;

use crate::accounts::Accounts;
use crate::api::{Api, Workers};
use crate::config::Config;
use crate::error::Failure;
use crate::methods;
use crate::server::{RpcBuilder, StartError, rpc_config};
use crate::service::{CallLayer, Shared};

/// What a path begins with that names a chain.
const PREFIX: &str = "/chain/";
/// Chains whose methods are kept. Fewer than may be awake, so that there is always one to park.
const KEPT: NonZeroUsize = NonZeroUsize::new(128).expect("128 is not zero");

/// What answers for one chain.
#[derive(Clone)]
pub(crate) struct Served {
    chain: ChainHandle,
    pub(crate) methods: Methods,
    pub(crate) rpc: RpcBuilder,
}

/// All chains of a server.
pub(crate) struct Chains {
    config: Config,
    calls: Arc<Semaphore>,
    workers: Arc<Workers>,
    first: Served,
    first_id: u64,
    /// The chains that were asked last; a lock because it is held for a look-up alone.
    kept: Mutex<LruCache<u64, Served>>,
}

/// Why nothing answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoChain {
    /// Not a number, or not one of a chain here.
    #[error("no chain {asked} on this city\n")]
    Unknown {
        /// As it was asked for, shortened.
        asked: String,
    },
    /// It is here, and cannot be served.
    #[error("the chain cannot be served now\n")]
    Open(#[source] OpenError),
    /// It is here, and cannot be served.
    #[error("the chain cannot be served now\n")]
    Start(#[source] StartError),
}

impl Chains {
    /// Serves `first`, and what else `config.hosting` has.
    pub(crate) async fn start(config: Config, first: ChainHandle) -> Result<Self, StartError> {
        let calls = Arc::new(Semaphore::new(config.limits.calls));
        let workers = Arc::new(Workers::new(&config.limits));
        let first_id = first.reader().profile().chain_id.get();
        let served = serve(&config, &calls, &workers, first).await?;
        Ok(Self {
            config,
            calls,
            workers,
            first: served,
            first_id,
            kept: Mutex::new(LruCache::new(KEPT)),
        })
    }

    /// What answers for the chain that `path` names.
    pub(crate) async fn at(&self, path: &str) -> Result<Served, NoChain> {
        let Some(asked) = path.strip_prefix(PREFIX) else {
            return Ok(self.first.clone());
        };
        let asked = asked.strip_suffix('/').unwrap_or(asked);
        let unknown = || NoChain::Unknown {
            asked: asked.chars().take(20).collect(),
        };
        let chain_id = asked
            .parse()
            .ok()
            .and_then(|id| ChainId::new(id).ok())
            .ok_or_else(unknown)?;
        if chain_id.get() == self.first_id {
            return Ok(self.first.clone());
        }
        let hosting: &Hosting = self.config.hosting.as_ref().ok_or_else(unknown)?;
        let kept = self.kept.lock().get(&chain_id.get()).cloned();
        if let Some(served) = kept {
            if hosting.is_current(&served.chain) {
                return Ok(served);
            }
            // It ended; perhaps it is here again.
            self.kept.lock().pop(&chain_id.get());
        }
        let opened = hosting.open(chain_id).await.map_err(NoChain::Open)?;
        let handle = opened.ok_or_else(unknown)?;
        let served = serve(&self.config, &self.calls, &self.workers, handle)
            .await
            .map_err(NoChain::Start)?;
        self.kept.lock().put(chain_id.get(), served.clone());
        Ok(served)
    }
}

async fn serve(
    config: &Config,
    calls: &Arc<Semaphore>,
    workers: &Arc<Workers>,
    chain: ChainHandle,
) -> Result<Served, StartError> {
    let accounts = Accounts::new(config.accounts.clone());
    let workers = Arc::clone(workers);
    let (limits, version, network) = (
        config.limits.clone(),
        config.client_version.clone(),
        config.network.clone(),
    );
    let held = chain.clone();
    let read = move || Api::new(chain, accounts, limits, version, network, workers);
    let api = tokio::task::spawn_blocking(read)
        .await
        .map_err(Failure::Panicked)
        .flatten()
        .map_err(|failure| StartError::Chain(failure.into()))?;
    let api = Arc::new(api);
    let methods =
        methods::all(Arc::clone(&api)).map_err(|error| StartError::Methods(error.into()))?;
    let shared = Shared {
        api,
        metrics: config.metrics.clone(),
        names: Arc::new(methods.method_names().collect::<HashSet<_>>()),
        calls: Arc::clone(calls),
    };
    let rpc = RpcServiceBuilder::new().layer(CallLayer(shared));
    let rpc = jsonrpsee::server::Server::builder()
        .set_config(rpc_config(&config.limits))
        .set_rpc_middleware(rpc)
        .to_service_builder();
    Ok(Served {
        chain: held,
        methods: methods.into(),
        rpc,
    })
}
