//! The links of a city: started with its peers, used by whoever drives its chains, stopped with the city.

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{Endpoint, ServerConfig, TokioRuntime};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::accept::accept;
use crate::figures::{Figures, PeerStatus};
use crate::identity::{Fingerprint, Identity};
use crate::inbox::News;
use crate::limits::{Class, EVENTS_AHEAD, Limits, MOST_PEERS};
use crate::lines::{Lines, Listed};
use crate::refused::Closing;
use crate::shared::Shared;
use crate::tls::{self, SetupError};
use crate::wire::{Hello, VERSIONS};

/// A city's address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

/// What tells networks apart: a hash of what was founded.
pub type NetworkId = [u8; 32];

/// What the links of a city are made of.
#[derive(Debug)]
pub struct Config {
    /// The city's key.
    pub identity: Identity,
    /// The city's address.
    pub own: PeerId,
    /// The city's network.
    pub network: NetworkId,
    /// Where calls are taken, and from where they are made (UDP).
    pub listen: SocketAddr,
    /// All other cities, as they are at the start. The own entry may be among them: it is called at the start, in search of another process
    /// with the own key.
    pub peers: Vec<Peer>,
    /// Bounds and times.
    pub limits: Limits,
}

/// Another city as the network knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub id: PeerId,
    /// The only key that is taken for its own.
    pub fingerprint: Fingerprint,
    /// Host and port.
    pub endpoint: String,
}

/// What happens on the links. See the crate's documentation for the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The link is up: say where you are, since anything said before may be lost.
    Up {
        /// With whom.
        peer: PeerId,
    },
    /// The link is down; what waited is dropped, and will not be told as [`Event::Dropped`].
    Down {
        /// With whom.
        peer: PeerId,
    },
    /// A payload came.
    Received {
        /// From whom: it proved to hold this city's key.
        peer: PeerId,
        /// Of which chain, as the peer says; 0 if it concerns none.
        chain: u64,
        /// For what, as the peer says.
        class: Class,
        /// Up to [`Class::longest`] bytes, not looked at.
        payload: Bytes,
    },
    /// One or more payloads for this chain did not fit into the queue while the link was up.
    Dropped {
        /// For whom.
        peer: PeerId,
        /// Of which chain.
        chain: u64,
    },
    /// Another process holds the city's key, and proved it. One of both has to stop for good.
    OwnKey {
        /// Where it is.
        from: SocketAddr,
    },
}

/// Why there are no links.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket cannot be had.
    #[error(
        "cannot listen on {listen} (UDP): is the port free, and the address one of this machine?"
    )]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Two peers have one address.
    #[error("the city {0} is named twice")]
    CityTwice(PeerId),
    /// Two cities have one key.
    #[error("the cities {0} and {1} have one key")]
    KeyTwice(PeerId, PeerId),
    /// More than [`MOST_PEERS`].
    #[error("there are more than {MOST_PEERS} other cities")]
    TooMany,
    /// The network knows another key for this city.
    #[error(
        "the network knows this city by another link key: compare its card with what the network lists"
    )]
    OwnKeyDiffers,
    /// The bounds do not allow a class's longest payload.
    #[error("the limit of received bytes is below the longest payload of {0:?}")]
    Limits(Class),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// TLS or QUIC cannot be set up.
    #[error("cannot set up TLS or QUIC")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A handle to the running links; clones are the same links. When the last one is dropped, they are cut.
#[derive(Clone)]
pub struct Links {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    /// Behind a lock so that any handle can change or stop them; never held across an `.await`.
    lines: Arc<Mutex<Option<Lines>>>,
}

/// How long peers have for taking the farewell.
const FAREWELL: Duration = Duration::from_secs(1);

impl Links {
    /// Listens, and starts to call. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the peers contradict each other or the socket cannot be had.
    pub fn start(config: Config) -> Result<(Self, mpsc::Receiver<Event>), StartError> {
        let Config {
            identity,
            own,
            network,
            listen: address,
            peers,
            limits,
        } = config;
        if let Some(class) = limits.too_small() {
            return Err(StartError::Limits(class));
        }
        let listed = Listed::sort_out(own, identity.fingerprint(), peers, |_| false);
        if let Some(fault) = listed.faults.into_iter().next() {
            return Err(fault);
        }
        let hello = Hello {
            versions: VERSIONS,
            network,
            city: own,
            process: draw()?,
        };
        let shared = Arc::new(Shared::new(hello, identity.fingerprint(), limits));
        let server = tls::server(&identity, Arc::clone(&shared.pins), &shared.limits);
        let endpoint = listen(&identity, address, server.map_err(setup)?)?;
        let (events, receiver) = mpsc::channel(EVENTS_AHEAD);
        let mut lines = Lines::new(identity, Arc::clone(&shared), endpoint.clone());
        lines.set(&listed.peers).map_err(setup)?;
        if let Some(published) = listed.published {
            lines.call_self(published).map_err(setup)?;
        }
        lines.spawn(accept(Arc::clone(&shared), endpoint.clone()));
        lines.spawn(pump(Arc::clone(&shared), events));
        let links = Self {
            shared,
            endpoint,
            lines: Arc::new(Mutex::new(Some(lines))),
        };
        Ok((links, receiver))
    }

    /// From now on these are the other cities. Whoever is new is called and let in. Whoever is not listed any more
    /// loses its connection, and what waits for it or came from it, before this returns; it is not called again, and
    /// cannot call. A changed endpoint is where the next call goes; a changed key closes the connection, unless that
    /// showed the new one already. All others notice nothing, and the same list again changes nothing.
    ///
    /// The own entry is passed over. Entries that contradict others, and those beyond [`MOST_PEERS`], are left out and
    /// told to the log; what is pinned already has precedence, then what comes first. Never waits; without effect
    /// after [`stop`](Self::stop).
    pub fn set_peers(&self, peers: Vec<Peer>) {
        if let Some(lines) = &mut *self.lines.lock() {
            lines.list(peers);
        }
    }

    /// Where calls are taken.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Puts a payload into the queue of its peer, class and chain. Never waits: what does not fit is dropped, counted,
    /// and told by [`Event::Dropped`] while the link is up. While it is down everything is dropped and counted.
    ///
    /// A chain's number means nothing here; that of no chain, 0, is one like the others.
    pub fn send(&self, to: PeerId, chain: u64, class: Class, payload: Bytes) {
        self.shared.send(to, chain, class, payload);
    }

    /// Closes the connection with a peer whose payloads were no payloads of an honest city, and keeps it out for so
    /// long (a year at most), or longer if it has to stay out already: it is neither called nor let in. It is told why.
    /// What waits for it or came from it is dropped. A new key or endpoint does not shorten it; being no peer for a
    /// while does.
    pub fn refuse(&self, peer: PeerId, wait: Duration) {
        self.shared.keep_out(peer, wait);
    }

    /// Every link as it is now.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.status()
    }

    /// Sums over all links since the start.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Says farewell to the peers, so that they need not wait for a time-out, and ends every task.
    pub async fn stop(self) {
        self.endpoint.close(Closing::Stopping.code(), b"");
        let lines = self.lines.lock().take();
        if let Some(lines) = lines {
            lines.end().await;
        }
        // A peer that does not take it finds out by itself.
        let _taken = timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("own", &self.shared.own.city)
            .field("peers", &self.shared.peers.read().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn draw() -> Result<[u8; 16], StartError> {
    let mut process = [0; 16];
    SystemRandom::new()
        .fill(&mut process)
        .map_err(|_unspecified| StartError::Random)?;
    Ok(process)
}

fn listen(
    identity: &Identity,
    listen: SocketAddr,
    server: ServerConfig,
) -> Result<Endpoint, StartError> {
    let endpoint = tls::endpoint(identity);
    UdpSocket::bind(listen)
        .and_then(|socket| Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime)))
        .map_err(|source| StartError::Listen { listen, source })
}

fn setup(error: SetupError) -> StartError {
    StartError::Setup(Box::new(error))
}

/// Hands over what there is to tell, whenever there is room: who is next is decided as late as possible.
async fn pump(shared: Arc<Shared>, events: mpsc::Sender<Event>) {
    while let Ok(room) = events.reserve().await {
        let news = loop {
            let next = shared.inbox.lock().next();
            match next {
                Some(news) => break news,
                None => shared.news.notified().await,
            }
        };
        room.send(match news {
            News::OwnKey(from) => Event::OwnKey { from },
            News::Up(peer) => Event::Up { peer },
            News::Down(peer) => Event::Down { peer },
            News::Dropped(peer, chain) => Event::Dropped { peer, chain },
            News::Received(peer, class, chain, payload) => Event::Received {
                peer,
                chain,
                class,
                payload,
            },
        });
    }
}
