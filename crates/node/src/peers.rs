//! The other cities, as the chains of this one see them: a way to send, and whoever carries what comes to the right chain.
//!
//! ```text
//!  link ──Event──▶ Dispatcher ──by chain id──▶ the chain's mailbox ──▶ Driver
//!                                          └─▶ transactions for the pool ──▶ Admission
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use chain::{Engine, PeerClass};
use link::{Class, Event, Links, PeerId};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};
use types::ChainId;

use crate::admission::Incoming;
use crate::hosting::{Delivery, Hosting, NO_CHAIN};
use crate::tips::{self, ToTips};

/// Sends messages of chains to other cities. A contract between a chain and whoever has the links:
///
/// - It never blocks. What cannot be sent, or does not arrive, is lost; the chain is then told of that city by
///   [`ToChain::Connected`], once messages reach it again.
/// - Messages of one chain and one class to one city arrive in the order in which they were sent.
pub(crate) trait Peers: fmt::Debug + Send + Sync {
    /// Sends one encoded message of `chain`.
    fn send(&self, to: Address, chain: ChainId, class: PeerClass, payload: Bytes);

    /// Sends one encoded message that is of no chain.
    fn send_city(&self, to: Address, class: PeerClass, payload: Bytes);

    /// Whether there is a connection.
    fn is_connected(&self, to: Address) -> bool;

    /// Ends the connection with a city that lied, and takes none for so long.
    fn refuse(&self, city: Address, wait: Duration);
}

/// There is no other city.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPeers;

impl Peers for NoPeers {
    fn send(&self, _to: Address, _chain: ChainId, _class: PeerClass, _payload: Bytes) {}

    fn send_city(&self, _to: Address, _class: PeerClass, _payload: Bytes) {}

    fn is_connected(&self, _to: Address) -> bool {
        false
    }

    fn refuse(&self, _city: Address, _wait: Duration) {}
}

impl Peers for Links {
    fn send(&self, to: Address, chain: ChainId, class: PeerClass, payload: Bytes) {
        let to = PeerId(to.into_array());
        Self::send(self, to, chain.get(), class_of(class), payload.0);
    }

    fn send_city(&self, to: Address, class: PeerClass, payload: Bytes) {
        let to = PeerId(to.into_array());
        Self::send(self, to, NO_CHAIN, class_of(class), payload.0);
    }

    fn is_connected(&self, to: Address) -> bool {
        let id = PeerId(to.into_array());
        self.peers()
            .iter()
            .any(|peer| peer.id == id && peer.connected.is_some())
    }

    fn refuse(&self, city: Address, wait: Duration) {
        Self::refuse(self, PeerId(city.into_array()), wait);
    }
}

const fn class_of(class: PeerClass) -> Class {
    match class {
        PeerClass::Consensus => Class::Consensus,
        PeerClass::Transactions => Class::Transactions,
        PeerClass::Sync => Class::Sync,
    }
}

/// What a chain's engine hears: of other cities, and of its host.
#[derive(Debug)]
pub(crate) enum ToChain {
    /// A message, as it came.
    Message {
        /// Whose: the link has checked its key.
        peer: Address,
        /// The encoded message.
        payload: Bytes,
    },
    /// Messages reach this city, perhaps after some were lost.
    Connected {
        /// Which.
        peer: Address,
    },
    /// The hub has moved as far as the chain goes.
    HubMoved {
        /// Cities that the hub names for the chain.
        named: BTreeSet<Address>,
    },
    /// The chain is to begin no height; or to go on.
    Stand(bool),
    /// What is live in the log is to be written again, and then this is to be answered.
    CopyForward(oneshot::Sender<()>),
    /// Nobody has use for the chain: it is to end if it has nothing to do, and to say whether it does.
    Park(oneshot::Sender<bool>),
    /// The chain is over here: it is to end at once, with a height open perhaps, and to say up to where this city may have
    /// signed; 0 when it does not know.
    End(oneshot::Sender<u64>),
}

/// The validators of a chain but this city. Written by the chain's driver when the set changes; a lock and not a task,
/// because it is a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Others(Arc<RwLock<Arc<[Address]>>>);

impl Default for Others {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(Arc::from([]))))
    }
}

impl Others {
    pub(crate) fn of(engine: &Engine, own: Address) -> Self {
        let others = Self::default();
        others.set(engine, own);
        others
    }

    pub(crate) fn set(&self, engine: &Engine, own: Address) {
        let validators = engine.validators().validators().iter();
        let others = validators
            .map(|validator| validator.address)
            .filter(|address| *address != own)
            .collect();
        *self.0.write() = others;
    }

    pub(crate) fn get(&self) -> Arc<[Address]> {
        Arc::clone(&self.0.read())
    }
}

/// Where one chain takes what comes from other cities.
#[derive(Clone, Debug)]
pub(crate) struct Mailboxes {
    pub(crate) engine: mpsc::Sender<ToChain>,
    pub(crate) admission: mpsc::Sender<Incoming>,
}

/// How long a city that met its own key can still be met: the other calls up to five times in its first seconds.
const STAYS_FOUND: Duration = Duration::from_secs(30);

/// Carries what the links bring to the chains.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) links: Links,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) hosting: Hosting,
    pub(crate) tips: mpsc::Sender<ToTips>,
    /// Told when this city's key was met elsewhere.
    pub(crate) halt: Arc<watch::Sender<bool>>,
}

impl Dispatcher {
    /// Runs until the links are gone. Waits for a chain whose mailbox is full: the links then stop reading, and the peer
    /// waits.
    pub(crate) async fn run(mut self) {
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Received {
                    peer,
                    chain,
                    class,
                    payload,
                } => {
                    let (peer, payload) = (Address::from(peer.0), Bytes::from(payload));
                    if tips::is_mine(chain) {
                        // What does not fit is told again at the next connection.
                        drop(self.tips.try_send(ToTips::Message(peer, payload)));
                        continue;
                    }
                    let message = match class {
                        Class::Transactions => Delivery::Transactions { peer, payload },
                        Class::Consensus | Class::Sync => Delivery::Message { peer, payload },
                    };
                    self.hosting.deliver(chain, message).await;
                }
                Event::Up { peer } => {
                    let peer = Address::from(peer.0);
                    tracing::info!(%peer, "connected");
                    self.hosting.connected(peer).await;
                    drop(self.tips.try_send(ToTips::Connected(peer)));
                }
                // This city is ending itself.
                Event::Down { .. } if *self.halt.borrow() => {}
                Event::Down { peer } => {
                    tracing::warn!(peer = %Address::from(peer.0), "no connection");
                }
                Event::Dropped { peer, chain } => {
                    self.hosting
                        .connected_on(chain, Address::from(peer.0))
                        .await;
                }
                Event::OwnKey { from } => {
                    tracing::error!(
                        %from,
                        "another process uses this city's key: this city stops; give one of the two a new key"
                    );
                    self.halt.send_replace(true);
                    // The other process finds out by the same links: they stay for a while, and nobody is answered.
                    let silence = async { while self.events.recv().await.is_some() {} };
                    // Over, or the links are gone: both are right.
                    drop(tokio::time::timeout(STAYS_FOUND, silence).await);
                    self.links.stop().await;
                    return;
                }
            }
        }
    }
}
