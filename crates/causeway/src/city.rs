//! A city that serves its chain, alone or with others: what all commands that run cities have in common.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;
use node::Host;
use node::admin::{AdminContext, AdminSocket};
use prometheus_client::registry::Registry;
use rpc::{Config, Cors, NetworkInfo, Server};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Threads for blocking work: chains' jobs, reads, calls. More than `rpc` lets in at once.
const BLOCKING_THREADS: usize = 64;

/// How long the answer to a transaction waits for its block on a development chain: a block takes a few milliseconds, and
/// a client that finds no receipt at once looks again only after seconds (viem: 4).
pub(crate) const SEND_WAIT: Duration = Duration::from_millis(50);

/// How a city is served to clients.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// Where; nothing is served without it.
    pub(crate) listen: Option<SocketAddr>,
    /// Which web pages may ask.
    pub(crate) cors: Cors,
    /// Further `Host` names that are served.
    pub(crate) hosts: Vec<String>,
    /// Accounts whose keys this city holds for its clients.
    pub(crate) accounts: Vec<PrivateKeySigner>,
    /// How long the answer to a transaction waits for its block.
    pub(crate) send_wait: Duration,
    /// The network's name.
    pub(crate) name: String,
    /// Where to serve metrics.
    pub(crate) metrics: Option<SocketAddr>,
}

/// A running city.
#[derive(Debug)]
pub(crate) struct City {
    pub(crate) host: Host,
    pub(crate) server: Option<Server>,
    pub(crate) metrics: Option<SocketAddr>,
    admin: AdminSocket,
    tasks: JoinSet<()>,
}

impl City {
    /// Serves what `host` keeps.
    pub(crate) async fn serve(host: Host, serving: Serving) -> anyhow::Result<Self> {
        let mut registry = Registry::with_prefix("causeway");
        host.metrics().register(&mut registry);
        let server = match serving.listen {
            None => None,
            Some(listen) => {
                let network = NetworkInfo {
                    network_id: host.genesis().network_id.0,
                    name: serving.name,
                };
                let mut config = Config::new(listen, network);
                config.cors = serving.cors;
                config.hosts = serving.hosts;
                config.accounts = serving.accounts;
                config.limits.send_wait = serving.send_wait;
                config.hosting = Some(host.hosting().clone());
                config.client_version =
                    format!("causeway/v{}/rust", crate::VERSION.replace(' ', "-"));
                config.metrics.register(&mut registry);
                Some(Server::start(config, host.chain().clone()).await?)
            }
        };
        let mut tasks = JoinSet::new();
        let metrics = match serving.metrics {
            Some(address) => Some(crate::metrics::serve(address, registry, &mut tasks).await?),
            None => None,
        };
        let admin = listen_admin(&host)?;
        Ok(Self {
            host,
            server,
            metrics,
            admin,
            tasks,
        })
    }

    /// Where RPC is served.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::local_addr)
    }

    /// Where RPC is served, for HTTP; empty where it is not.
    pub(crate) fn rpc_url(&self) -> String {
        self.address()
            .map(|address| format!("http://{address}"))
            .unwrap_or_default()
    }

    /// Where RPC is served, for WebSocket; empty where it is not.
    pub(crate) fn ws_url(&self) -> String {
        self.address()
            .map(|address| format!("ws://{address}"))
            .unwrap_or_default()
    }

    /// Ends everything in order.
    pub(crate) async fn stop(self) {
        let Self {
            host,
            server,
            admin,
            mut tasks,
            ..
        } = self;
        if let Some(server) = server {
            server.stop().await;
        }
        drop(admin);
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        host.stop().await;
    }
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
