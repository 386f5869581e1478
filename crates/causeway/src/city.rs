//! A city that serves one development chain: what `dev` and `demo` have in common.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use alloy_primitives::{B256, b256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;
use chain::Genesis;
use node::admin::{AdminContext, AdminSocket};
use node::{Clock, Host, Options, SystemClock};
use prometheus_client::registry::Registry;
use rpc::{Config, Cors, NetworkInfo, Server};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use types::{ChainId, Founding, NodeKey, Record, ValidatorSet};

/// The mnemonic of the development accounts; anybody knows it.
pub(crate) const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Threads for blocking work: chains' jobs, reads, calls. More than `rpc` lets in at once.
const BLOCKING_THREADS: usize = 64;

/// How long the answer to a transaction waits for its block: a block takes a few milliseconds, and a client that finds no
/// receipt at once looks again only after seconds (viem: 4).
const SEND_WAIT: Duration = Duration::from_millis(50);

/// What a development city is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where to serve RPC.
    pub(crate) listen: SocketAddr,
    /// The data folder; a temporary one when there is none.
    pub(crate) data: Option<PathBuf>,
    /// The chain id; that of the folder, or 31337, when there is none.
    pub(crate) chain_id: Option<ChainId>,
    /// Least milliseconds between blocks of a new chain.
    pub(crate) block_interval_ms: u64,
    /// Further web pages that may ask.
    pub(crate) cors: Vec<String>,
    /// Further `Host` names that are served.
    pub(crate) hosts: Vec<String>,
    /// Where to serve metrics.
    pub(crate) metrics: Option<SocketAddr>,
}

/// A running city.
#[derive(Debug)]
pub(crate) struct City {
    pub(crate) host: Host,
    pub(crate) server: Server,
    pub(crate) accounts: Vec<PrivateKeySigner>,
    pub(crate) metrics: Option<SocketAddr>,
    admin: AdminSocket,
    tasks: JoinSet<()>,
    // Last, so that it outlives what writes to it.
    temporary: Option<TempDir>,
}

/// The runtime of all commands.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// The keys of the ten funded accounts, m/44'/60'/0'/0/0 to 9 of [`MNEMONIC`]. Constants, because deriving them takes half
/// of the start's time.
const ACCOUNT_KEYS: [B256; 10] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// The ten funded accounts.
pub(crate) fn accounts() -> anyhow::Result<Vec<PrivateKeySigner>> {
    ACCOUNT_KEYS
        .iter()
        .map(|key| Ok(PrivateKeySigner::from_bytes(key)?))
        .collect()
}

impl City {
    /// Starts a city as planned.
    pub(crate) async fn start(plan: Plan) -> anyhow::Result<Self> {
        let temporary = match &plan.data {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("causeway-")
                    .tempdir()
                    .context("no room for temporary data")?,
            ),
        };
        let path = plan
            .data
            .clone()
            .or_else(|| Some(temporary.as_ref()?.path().to_path_buf()))
            .unwrap_or_default();
        let options = Options::development(Arc::new(SystemClock));
        let (wanted, interval) = (plan.chain_id, plan.block_interval_ms);
        let now_ms = SystemClock.now_ms();
        let found = move |key: &NodeKey| {
            genesis(
                key,
                wanted.unwrap_or(ChainId::DEVELOPMENT),
                interval,
                now_ms,
            )
        };
        // Blocks while the log is read: nothing else runs yet.
        let host = tokio::task::block_in_place(|| Host::start(&path, &options, wanted, found))?;
        let accounts = accounts()?;
        let mut registry = Registry::with_prefix("causeway");
        let mut config = Config::new(
            plan.listen,
            NetworkInfo {
                network_id: host.genesis().network_id.0,
                name: String::from("development"),
            },
        );
        config.cors = Cors {
            loopback: true,
            origins: plan.cors,
        };
        config.hosts = plan.hosts;
        config.accounts.clone_from(&accounts);
        config.limits.send_wait = SEND_WAIT;
        config.client_version = format!("causeway/v{}/rust", crate::VERSION.replace(' ', "-"));
        host.metrics().register(&mut registry);
        config.metrics.register(&mut registry);
        let server = Server::start(config, host.chain().clone()).await?;
        let mut tasks = JoinSet::new();
        let metrics = match plan.metrics {
            Some(address) => Some(crate::metrics::serve(address, registry, &mut tasks).await?),
            None => None,
        };
        let admin = listen_admin(&host)?;
        Ok(Self {
            host,
            server,
            accounts,
            metrics,
            admin,
            tasks,
            temporary,
        })
    }

    /// Where RPC is served, for HTTP.
    pub(crate) fn rpc_url(&self) -> String {
        format!("http://{}", self.server.local_addr())
    }

    /// Where RPC is served, for WebSocket.
    pub(crate) fn ws_url(&self) -> String {
        format!("ws://{}", self.server.local_addr())
    }

    /// Whether the data goes with the process.
    pub(crate) const fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Ends everything in order.
    pub(crate) async fn stop(self) {
        let Self {
            host,
            server,
            admin,
            mut tasks,
            temporary,
            ..
        } = self;
        server.stop().await;
        drop(admin);
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        host.stop().await;
        drop(temporary);
    }
}

fn genesis(key: &NodeKey, chain_id: ChainId, block_interval_ms: u64, now_ms: u64) -> Genesis {
    let validators = ValidatorSet::single(key.address());
    let founding = Founding {
        name: String::from("development"),
        founded_ms: now_ms,
        members: Vec::new(),
        cities: vec![key.address()],
        validators: validators.clone(),
        parameters: Vec::new(),
    };
    let mut record = Record::development(chain_id, now_ms);
    record.minimum_interval_ms = block_interval_ms;
    Genesis {
        record,
        validators,
        network_id: founding.network_id(),
    }
}

/// A Unix socket's path has at most 107 bytes: a city does not start in a deeper folder, and the error says so.
fn listen_admin(host: &Host) -> anyhow::Result<AdminSocket> {
    let context = AdminContext {
        chain: host.chain().clone(),
        validators: Arc::new(host.genesis().validators.clone()),
        version: crate::VERSION.to_owned(),
    };
    let path: &Path = &host.path().join("admin.sock");
    AdminSocket::listen(path, context).with_context(|| {
        format!(
            "cannot make the operator's socket {} (its path may have at most 107 bytes)",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{MNEMONIC, accounts};
    use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
    use types::genesis::DEVELOPMENT_ACCOUNTS;

    #[test]
    fn the_keys_are_those_of_the_mnemonic_and_of_the_funded_accounts() {
        let accounts = accounts().expect("they are keys");
        assert_eq!(accounts.len(), DEVELOPMENT_ACCOUNTS.len());
        for ((account, funded), index) in accounts.iter().zip(DEVELOPMENT_ACCOUNTS).zip(0..) {
            let builder = MnemonicBuilder::<English>::default()
                .phrase(MNEMONIC)
                .index(index);
            let derived = builder.expect("an index").build().expect("a key");
            assert_eq!(
                (account.address(), account.address()),
                (funded, derived.address())
            );
        }
    }
}
