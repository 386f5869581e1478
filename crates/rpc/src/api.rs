//! What every method works with, and where its work runs.

use std::sync::Arc;

use alloy_primitives::B256;
use chain::Moment;
use node::ChainHandle;
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::config::NetworkInfo;
use crate::error::Failure;
use crate::filters::Filters;
use crate::limits::Limits;

/// One served chain.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) chain: ChainHandle,
    pub(crate) accounts: Accounts,
    pub(crate) filters: Filters,
    pub(crate) limits: Limits,
    pub(crate) client_version: String,
    pub(crate) network: NetworkInfo,
    pub(crate) genesis_hash: B256,
    workers: Arc<Workers>,
}

/// Places on the threads that answer, for all chains of a server together.
#[derive(Debug)]
pub(crate) struct Workers {
    readers: Arc<Semaphore>,
    evms: Arc<Semaphore>,
}

impl Workers {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            readers: Arc::new(Semaphore::new(limits.readers)),
            evms: Arc::new(Semaphore::new(limits.evms)),
        }
    }
}

/// What a piece of work needs, and so how many run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Rows of the tables.
    Read,
    /// The EVM.
    Evm,
}

impl Api {
    pub(crate) fn new(
        chain: ChainHandle,
        accounts: Accounts,
        limits: Limits,
        client_version: String,
        network: NetworkInfo,
        workers: Arc<Workers>,
    ) -> Result<Self, Failure> {
        let genesis = chain
            .reader()
            .moment()?
            .header(0)?
            .ok_or(Failure::NoHeader)?;
        Ok(Self {
            chain,
            accounts,
            filters: Filters::new(limits.filters, limits.filter_lifetime),
            client_version,
            network,
            genesis_hash: genesis.hash,
            workers,
            limits,
        })
    }

    /// The chain as it is now. Blocks: call it on a worker.
    pub(crate) fn moment(&self) -> Result<Moment, Failure> {
        Ok(self.chain.reader().moment()?)
    }

    /// Runs `work` on a thread of its own kind and waits for it. When the caller goes, work that has begun runs to its
    /// end and keeps its place until then.
    pub(crate) async fn run<T, F>(&self, kind: Work, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Failure> + Send + 'static,
    {
        let places = match kind {
            Work::Read => &self.workers.readers,
            Work::Evm => &self.workers.evms,
        };
        let place = Arc::clone(places)
            .acquire_owned()
            .await
            .map_err(|_closed| Failure::Stopping)?;
        let worker = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        worker.await.map_err(Failure::Panicked)?
    }
}
