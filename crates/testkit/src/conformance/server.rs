//! The imported chain behind our RPC server, on a port of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use alloy_primitives::B256;
use node::{Clock, StillChain};
use rpc::{Config, NetworkInfo, Server, StartError};
use tokio::runtime::Runtime;

use super::chain::Imported;

/// Why the chain is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The runtime did not start.
    #[error("no runtime")]
    Runtime(#[source] std::io::Error),
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] ::chain::ReadError),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A server that serves until it is dropped.
#[derive(Debug)]
pub struct Served {
    /// Where: `http://127.0.0.1:PORT`.
    pub url: String,
    _server: Server,
    _runtime: Runtime,
    _imported: Imported,
}

/// The moment of the last block, for ever: the cases were filled in it.
#[derive(Debug)]
struct Stopped {
    now_ms: u64,
}

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// Serves a chain that stands still: its pool takes transactions in, no block is made.
///
/// # Errors
///
/// [`ServeError`].
pub fn serve(imported: Imported) -> Result<Served, ServeError> {
    let runtime = Runtime::new().map_err(ServeError::Runtime)?;
    let timestamp = imported.reader.moment()?.head().header.timestamp;
    let clock = Arc::new(Stopped {
        now_ms: timestamp * 1000,
    });
    let (chain, handle) = StillChain::new(imported.reader.clone(), clock);
    // Ends with the runtime.
    drop(runtime.handle().spawn(chain.run()));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let network = NetworkInfo {
        network_id: B256::ZERO,
        name: "conformance".to_owned(),
    };
    let server = runtime.block_on(Server::start(Config::new(listen, network), handle))?;
    let url = format!("http://{}", server.local_addr());
    Ok(Served {
        url,
        _server: server,
        _runtime: runtime,
        _imported: imported,
    })
}
