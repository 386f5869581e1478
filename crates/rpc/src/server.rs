//! The server: accepts connections, admits their requests, and hands them to the methods.
//!
//! ```text
//!  TcpListener ─▶ Connection ─▶ Host, Origin ─▶ CORS ─▶ JSON-RPC (HTTP or WebSocket) ─▶ calls ─▶ methods
//!                 (bounded)     403             headers                                (bounded)
//! ```
//!
//! An idle server has no timer: it waits for a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, PingConfig, ServerConfig,
    ServerHandle, StopHandle, TowerServiceBuilder, serve_with_graceful_shutdown, stop_channel, ws,
};
use node::ChainHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::layer::util::{Identity, Stack};
use tower::{Layer as _, Service as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::accounts::Caller;
use crate::chains::{Chains, NoChain, Served};
use crate::config::Config;
use crate::connection::{Connection, Traffic};
use crate::guard::{Guard, Name, is_loopback_address};
use crate::limits::Limits;
use crate::service::CallLayer;
use crate::subscriptions::Names;

/// How long answers under way may take when the server stops.
const STOP_TIME: Duration = Duration::from_millis(500);
/// How long accepting pauses when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a WebSocket client must show that it is there. Only an open WebSocket has this timer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A WebSocket client that is silent for longer is gone.
const PING_LIMIT: Duration = Duration::from_secs(70);

pub(crate) type RpcBuilder = TowerServiceBuilder<Stack<CallLayer, Identity>, Identity>;

/// A running server.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: ServerHandle,
    /// The accepting task, which owns the connections.
    tasks: JoinSet<()>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken.
    #[error(
        "cannot listen on {address}: another program does already; stop it or choose another port"
    )]
    InUse {
        /// Where it should have listened.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The chain to serve could not be read.
    #[error("the chain to serve could not be read")]
    Chain(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Two methods have one name.
    #[error("the table of methods is wrong")]
    Methods(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StartError {
    /// Whether the same start may succeed later without anybody's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }

    /// Stable name for interfaces.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "address-in-use",
            Self::Listen { .. } => "cannot-listen",
            Self::Chain(_) => "chain-unreadable",
            Self::Methods(_) => "methods-wrong",
        }
    }
}

impl Server {
    /// Starts to serve `chain`, and what else `config` names. It serves until it is stopped or dropped.
    ///
    /// # Errors
    ///
    /// [`StartError`], in one line for whoever starts it.
    pub async fn start(config: Config, chain: ChainHandle) -> Result<Self, StartError> {
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| match source.kind() {
                io::ErrorKind::AddrInUse => StartError::InUse { address },
                _ => StartError::Listen { address, source },
            })?;
        let local_addr = listener
            .local_addr()
            .map_err(|source| StartError::Listen { address, source })?;
        let limits = config.limits.clone();
        let guard = Guard::new(config.hosts.clone(), config.cors.clone());
        let chains = Chains::start(config, chain).await?;
        let (stopped, stop) = stop_channel();
        let acceptor = Acceptor {
            listener,
            places: Arc::new(Semaphore::new(limits.connections)),
            door: Door {
                guard: Arc::new(guard),
                bodies: Arc::new(Semaphore::new(
                    body_units(limits.bodies_bytes as usize) as usize
                )),
                limits,
                chains: Arc::new(chains),
                stopped,
            },
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(acceptor.run());
        Ok(Self {
            local_addr,
            stop,
            tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops: accepts nothing more, lets answers under way end for half a second, and closes all connections.
    pub async fn stop(mut self) {
        // It fails only when it has stopped already.
        let _already = self.stop.stop();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
            tracing::debug!("connections were closed with answers under way");
        }
        self.tasks.abort_all();
    }
}

pub(crate) fn rpc_config(limits: &Limits) -> ServerConfig {
    // Connections have their bound where they are accepted; the library counts requests too, which have theirs.
    let most = u32::try_from(limits.connections + limits.calls).unwrap_or(u32::MAX);
    ServerConfig::builder()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(most)
        .max_subscriptions_per_connection(limits.subscriptions)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .set_message_buffer_capacity(limits.buffered_messages.max(1))
        .enable_ws_ping(
            PingConfig::new()
                .ping_interval(PING_INTERVAL)
                .inactive_limit(PING_LIMIT),
        )
        .set_id_provider(Names)
        .build()
}

/// Takes connections in.
struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    door: Door,
}

impl Acceptor {
    async fn run(self) {
        let mut connections = JoinSet::new();
        let mut stopped = std::pin::pin!(self.door.stopped.clone().shutdown());
        loop {
            let accepted = tokio::select! {
                () = &mut stopped => break,
                Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = self.accept() => accepted,
            };
            let Ok((socket, peer, place)) = accepted else {
                // No descriptors left: some may come free.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let traffic = Arc::new(Traffic::default());
            let connection = Connection::new(socket, Arc::clone(&traffic), place);
            let is_local = is_loopback_address(peer.ip());
            connections.spawn(self.door.clone().serve(connection, traffic, is_local));
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    async fn accept(
        &self,
    ) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (socket, peer) = self.listener.accept().await?;
        // It fails when the client has gone already, which the connection will notice.
        let _gone = socket.set_nodelay(true);
        Ok((socket, peer, place))
    }
}

/// What every connection's requests pass.
#[derive(Clone)]
struct Door {
    guard: Arc<Guard>,
    limits: Limits,
    bodies: Arc<Semaphore>,
    chains: Arc<Chains>,
    stopped: StopHandle,
}

impl Door {
    async fn serve(self, connection: Connection, traffic: Arc<Traffic>, is_local: bool) {
        let stopped = self.stopped.clone().shutdown();
        let guard = Arc::clone(&self.guard);
        let service = tower::service_fn(move |request: http::Request<_>| {
            self.clone()
                .answer(request.map(HttpBody::new), Arc::clone(&traffic), is_local)
        });
        let service = cors(guard).layer(service);
        if let Err(error) = serve_with_graceful_shutdown(connection, service, stopped).await {
            tracing::debug!(%error, "a connection ended");
        }
    }

    async fn answer(
        self,
        request: HttpRequest,
        traffic: Arc<Traffic>,
        is_local: bool,
    ) -> Result<HttpResponse, tower::BoxError> {
        let is_websocket = ws::is_upgrade_request(&request);
        let (mut parts, body) = request.into_parts();
        let name = match self.guard.admit(&parts, is_websocket) {
            Ok(name) => name,
            Err(refused) => return Ok(plain(StatusCode::FORBIDDEN, refused.to_string())),
        };
        parts.extensions.insert(Caller {
            is_local: is_local && name == Name::Loopback,
        });
        if is_websocket {
            parts.extensions.insert(traffic);
        }
        let units = body_units(
            announced(&parts.headers)
                .unwrap_or(usize::MAX)
                .min(self.limits.request_bytes as usize),
        );
        let Ok(_room) = Arc::clone(&self.bodies).try_acquire_many_owned(units) else {
            return Ok(plain(
                StatusCode::SERVICE_UNAVAILABLE,
                String::from("too many requests at once\n"),
            ));
        };
        let Served { methods, rpc, .. } = match self.chains.at(parts.uri.path()).await {
            Ok(served) => served,
            Err(none) => return Ok(no_chain(&none)),
        };
        let mut rpc = rpc.build(methods, self.stopped);
        let answer = rpc.call(HttpRequest::from_parts(parts, body));
        match tokio::time::timeout(self.limits.request_time, answer).await {
            Ok(answer) => answer,
            Err(_elapsed) => Ok(plain(
                StatusCode::REQUEST_TIMEOUT,
                String::from("the request took too long\n"),
            )),
        }
    }
}

fn no_chain(none: &NoChain) -> HttpResponse {
    let status = match none {
        NoChain::Unknown { .. } => StatusCode::NOT_FOUND,
        NoChain::Open(_) | NoChain::Start(_) => {
            tracing::error!(
                error = none as &dyn std::error::Error,
                "a chain is not served"
            );
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    plain(status, none.to_string())
}

/// Bodies are counted in KiB, and each as at least one.
fn body_units(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

fn announced(headers: &http::HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn plain(status: StatusCode, text: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn cors(guard: Arc<Guard>) -> CorsLayer {
    CorsLayer::new()
        .allow_methods([Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .allow_private_network(true)
        .allow_origin(AllowOrigin::predicate(move |origin, _request| {
            guard.allows_origin(origin)
        }))
}
