//! The links of a city: started with its peers, used by whoever drives its chains, stopped with the city.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{Endpoint, TokioRuntime};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::error;

use crate::accept::{Waiting, accept};
use crate::calls::{Line, call_self, keep_calling, keep_waiting};
use crate::figures::{Counters, Figures, PeerStatus};
use crate::identity::{Fingerprint, Identity};
use crate::inbox::{Inbox, News};
use crate::limits::{Class, EVENTS_AHEAD, Limits};
use crate::refused::Closing;
use crate::shared::{PeerState, Shared};
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
    /// All other cities. The own entry may be among them: it is called at the start, in search of another process
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
        /// Of which chain, as the peer says.
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
    /// The network knows another key for this city.
    #[error(
        "the network knows this city by another link key: compare its card with the genesis file"
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
    /// Behind a lock so that any handle can stop them.
    tasks: Arc<Mutex<JoinSet<()>>>,
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
        let (shared, published) = shared(&identity, own, network, peers, limits)?;
        let shared = Arc::new(shared);
        let endpoint = listen(&identity, address, &shared)?;
        let (events, receiver) = mpsc::channel(EVENTS_AHEAD);
        let mut tasks = JoinSet::new();
        let mut waiting = Vec::with_capacity(shared.peers.len());
        for (index, peer) in shared.peers.iter().enumerate() {
            let line = Line {
                shared: Arc::clone(&shared),
                endpoint: endpoint.clone(),
                config: tls::client(&identity, vec![peer.key, shared.own_key], &shared.limits)
                    .map_err(setup)?,
                peer: index,
            };
            if own < peer.id {
                tasks.spawn(keep_calling(line));
                waiting.push(None);
            } else {
                let (callers, receiver) = mpsc::channel(1);
                tasks.spawn(keep_waiting(line, receiver));
                waiting.push(Some(callers));
            }
        }
        if let Some(published) = published {
            let to_self =
                tls::client(&identity, vec![shared.own_key], &shared.limits).map_err(setup)?;
            let (shared, endpoint) = (Arc::clone(&shared), endpoint.clone());
            tasks.spawn(call_self(shared, endpoint, to_self, published));
        }
        let waiting: Waiting = waiting.into();
        tasks.spawn(accept(Arc::clone(&shared), endpoint.clone(), waiting));
        tasks.spawn(pump(Arc::clone(&shared), events));
        let tasks = Arc::new(Mutex::new(tasks));
        let links = Self {
            shared,
            endpoint,
            tasks,
        };
        Ok((links, receiver))
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
    pub fn send(&self, to: PeerId, chain: u64, class: Class, payload: Bytes) {
        self.shared.send(to, chain, class, payload);
    }

    /// Closes the connection with a peer whose payloads were no payloads of an honest city, and keeps it out for so
    /// long; longer if it has to stay out already. It is told why.
    pub fn refuse(&self, peer: PeerId, wait: Duration) {
        self.shared.keep_out(peer, wait);
    }

    /// Every link as it is now.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.peers.iter().map(PeerState::status).collect()
    }

    /// Sums over all links.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures::new(&self.shared.counters, &self.peers())
    }

    /// Says farewell to the peers, so that they need not wait for a time-out, and ends every task.
    pub async fn stop(self) {
        self.endpoint.close(Closing::Stopping.code(), b"");
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.abort_all();
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Err(failed) if failed.is_panic() => error!(%failed, "a task of the links failed"),
                Ok(()) | Err(_) => {}
            }
        }
        // A peer that does not take it finds out by itself.
        let _taken = timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("own", &self.shared.own.city)
            .field("peers", &self.shared.peers.len())
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

/// With the own published endpoint, if the own entry is among the peers.
fn shared(
    identity: &Identity,
    own: PeerId,
    network: NetworkId,
    cities: Vec<Peer>,
    limits: Limits,
) -> Result<(Shared, Option<String>), StartError> {
    if let Some(class) = limits.too_small() {
        return Err(StartError::Limits(class));
    }
    let own_key = identity.fingerprint();
    let mut published = None;
    let mut peers: Vec<PeerState> = Vec::new();
    let mut by_id = HashMap::new();
    let mut by_key = HashMap::new();
    for Peer {
        id,
        fingerprint: key,
        endpoint,
    } in cities
    {
        if id == own {
            if key != own_key {
                return Err(StartError::OwnKeyDiffers);
            }
            published = Some(endpoint);
            continue;
        }
        if key == own_key {
            return Err(StartError::KeyTwice(own, id));
        }
        if by_id.insert(id, peers.len()).is_some() {
            return Err(StartError::CityTwice(id));
        }
        if let Some(other) = by_key.insert(key, peers.len()) {
            return Err(StartError::KeyTwice(peers[other].id, id));
        }
        peers.push(PeerState::new(id, key, endpoint, &limits));
    }
    let mut process = [0; 16];
    SystemRandom::new()
        .fill(&mut process)
        .map_err(|_unspecified| StartError::Random)?;
    let shared = Shared {
        own: Hello {
            versions: VERSIONS,
            network,
            city: own,
            process,
        },
        own_key,
        limits,
        inbox: Mutex::new(Inbox::new(peers.len())),
        peers,
        by_id,
        by_key,
        counters: Counters::default(),
        news: Notify::new(),
    };
    Ok((shared, published))
}

fn listen(
    identity: &Identity,
    listen: SocketAddr,
    shared: &Shared,
) -> Result<Endpoint, StartError> {
    let mut known: Vec<Fingerprint> = shared.by_key.keys().copied().collect();
    known.push(shared.own_key);
    let server = tls::server(identity, known, &shared.limits).map_err(setup)?;
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
        let id = |index: usize| shared.peers[index].id;
        room.send(match news {
            News::OwnKey(from) => Event::OwnKey { from },
            News::Up(peer) => Event::Up { peer: id(peer) },
            News::Down(peer) => Event::Down { peer: id(peer) },
            News::Dropped(peer, chain) => Event::Dropped {
                peer: id(peer),
                chain,
            },
            News::Received(peer, class, chain, payload) => Event::Received {
                peer: id(peer),
                chain,
                class,
                payload,
            },
        });
    }
}
