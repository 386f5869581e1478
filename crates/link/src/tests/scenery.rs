//! Cities with ports of their own, and callers that speak QUIC and nothing else of the protocol.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, Endpoint, TokioRuntime};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::greeting::greet;
use crate::pins::Pins;
use crate::refused::Closing;
use crate::wire::{Hello, VERSIONS, stream_head};
use crate::{Class, Config, Event, Identity, Limits, Links, Peer, PeerId, Refused, tls};

/// After so long a condition is taken for never.
pub(super) const NEVER: Duration = Duration::from_secs(20);

pub(super) const NETWORK: [u8; 32] = [7; 32];

/// A city that is planned: its key and place are known to others.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) id: PeerId,
    pub(super) identity: Identity,
    pub(super) address: SocketAddr,
}

/// A city that runs.
#[derive(Debug)]
pub(super) struct City {
    pub(super) id: PeerId,
    pub(super) links: Links,
    pub(super) events: mpsc::Receiver<Event>,
}

/// Cities 1 to `n`, in the order of their addresses: each calls those after it.
pub(super) fn plan(n: u8) -> Vec<Plan> {
    (1..=n)
        .map(|number| Plan {
            id: PeerId([number; 20]),
            identity: Identity::generate().unwrap(),
            address: own_address(),
        })
        .collect()
}

/// An address that nothing else of this machine takes, also while its city is down: a loopback address of its own.
fn own_address() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let given = GIVEN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 | (high & 63), low, given[1]);
    let port = 20_000 + u16::from(given[0]);
    SocketAddr::from((ip, port))
}

impl Plan {
    pub(super) fn peer(&self) -> Peer {
        Peer {
            id: self.id,
            fingerprint: self.identity.fingerprint(),
            endpoint: self.address.to_string(),
        }
    }

    /// Knows all of `plans` but itself.
    pub(super) fn config(&self, plans: &[Self]) -> Config {
        let others = plans.iter().filter(|plan| plan.id != self.id);
        Config {
            identity: self.identity.clone(),
            own: self.id,
            network: NETWORK,
            listen: self.address,
            peers: others.map(Self::peer).collect(),
            limits: Limits::default(),
        }
    }

    /// As it is when its key was replaced.
    pub(super) fn with_another_key(&self) -> Self {
        Self {
            identity: Identity::generate().unwrap(),
            ..self.clone()
        }
    }

    pub(super) fn start(&self, plans: &[Self]) -> City {
        start(self.config(plans))
    }

    /// Calls `city` with this plan's key, and says nothing yet.
    pub(super) async fn call(&self, city: &Self) -> Result<Connection, quinn::ConnectionError> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = tls::endpoint(&self.identity);
        let endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime)).unwrap();
        let pins = Arc::new(Pins::new([(city.identity.fingerprint(), city.id)]));
        let client = tls::client(&self.identity, pins, &Limits::default()).unwrap();
        endpoint
            .connect_with(client, city.address, tls::SERVER_NAME)
            .unwrap()
            .await
    }

    /// Calls and greets `city`: from now on only streams are left to get wrong.
    pub(super) async fn greet(&self, city: &Self) -> Connection {
        let connection = self.call(city).await.unwrap();
        timeout(NEVER, greet(&connection, &self.hello()))
            .await
            .unwrap()
            .unwrap();
        connection
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            versions: VERSIONS,
            network: NETWORK,
            city: self.id,
            process: [self.id.0[0]; 16],
        }
    }
}

pub(super) fn start(config: Config) -> City {
    let id = config.own;
    let (links, events) = Links::start(config).unwrap();
    City { id, links, events }
}

impl City {
    /// The first thing told that is wanted; all before it is forgotten.
    pub(super) async fn until<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let event = self.events.recv().await.expect("the links run");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(NEVER, waiting).await.expect("it is told in time")
    }

    /// From now on it knows these cities.
    pub(super) fn set_peers(&self, plans: &[Plan]) {
        self.links.set_peers(plans.iter().map(Plan::peer).collect());
    }

    /// What is told next, whatever it is.
    pub(super) async fn next(&mut self) -> Event {
        self.until(Some).await
    }

    pub(super) async fn up(&mut self, with: PeerId) {
        self.until(|event| (event == Event::Up { peer: with }).then_some(()))
            .await;
    }

    pub(super) async fn down(&mut self, with: PeerId) {
        self.until(|event| (event == Event::Down { peer: with }).then_some(()))
            .await;
    }

    /// The next payload, whatever else is told before it.
    pub(super) async fn received(&mut self) -> (PeerId, u64, Class, Bytes) {
        self.until(|event| match event {
            Event::Received {
                peer,
                chain,
                class,
                payload,
            } => Some((peer, chain, class, payload)),
            _ => None,
        })
        .await
    }

    pub(super) fn refused(&self, reason: Refused) -> u64 {
        self.links.figures().refused(reason)
    }
}

/// Returns when it is so.
pub(super) async fn eventually(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(NEVER, waiting)
        .await
        .expect("it becomes so in time");
}

/// Why the other side closed the connection, as it says.
pub(super) async fn closed_for(connection: &Connection) -> Closing {
    match timeout(NEVER, connection.closed())
        .await
        .expect("it is closed in time")
    {
        quinn::ConnectionError::ApplicationClosed(close) => {
            Closing::from_code(close.error_code).expect("a code of ours")
        }
        other => panic!("{other:?}"),
    }
}

/// The head of a stream and one frame.
pub(super) fn frame(class: Class, chain: u64, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = stream_head(class, chain).to_vec();
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
