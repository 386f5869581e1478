//! What a server is told when it starts.

use std::net::SocketAddr;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use node::Hosting;

use crate::Limits;
use crate::metrics::Metrics;

/// One server of a city's chains.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, for HTTP and WebSocket alike. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Which pages may ask.
    pub cors: Cors,
    /// `Host` names that are served besides those of loopback, without a port.
    pub hosts: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// Keys that sign for whoever asks from loopback. For development chains alone.
    pub accounts: Vec<PrivateKeySigner>,
    /// Answer of `web3_clientVersion`.
    pub client_version: String,
    /// Answer of `causeway_getNetwork`.
    pub network: NetworkInfo,
    /// Where calls are counted.
    pub metrics: Metrics,
    /// Whose other chains are served at `/chain/<chain id>`; none without it.
    pub hosting: Option<Hosting>,
}

impl Config {
    /// A server of one chain on `listen` for every page of loopback, without accounts, with the usual bounds.
    #[must_use]
    pub fn new(listen: SocketAddr, network: NetworkInfo) -> Self {
        Self {
            listen,
            cors: Cors {
                loopback: true,
                origins: Vec::new(),
            },
            hosts: Vec::new(),
            limits: Limits::default(),
            accounts: Vec::new(),
            client_version: String::from("causeway"),
            network,
            metrics: Metrics::default(),
            hosting: None,
        }
    }
}

/// Which web pages may read answers, and open a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Every page served from this machine's loopback.
    pub loopback: bool,
    /// Further origins as browsers write them (`https://example.org`); `*` is every page.
    pub origins: Vec<String>,
}

/// The network and the chain that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInfo {
    /// The network's id.
    pub network_id: B256,
    /// Its name, for people.
    pub name: String,
}
