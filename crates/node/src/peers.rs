//! The other cities, as the chains of this one see them: a way to send, and what comes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use chain::{Engine, PeerClass, Quota};
use link::{Class, Links, PeerId};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use types::ChainId;

use crate::admission::Incoming;
use crate::hosting::NO_CHAIN;

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

/// Removed cities that chains still need for a handover, each with these chains; nothing else passes between them and this
/// city. Written by whoever follows the registry, and read for every message: a lock because it is a look-up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaving(Arc<RwLock<BTreeMap<Address, BTreeSet<u64>>>>);

impl Leaving {
    /// Whether messages of `chain` may pass between `city` and this one.
    pub(crate) fn admits(&self, city: Address, chain: u64) -> bool {
        let all = self.0.read();
        all.get(&city).is_none_or(|chains| chains.contains(&chain))
    }

    /// Whether a chain needs this city still.
    pub(crate) fn has(&self, city: Address) -> bool {
        self.0.read().contains_key(&city)
    }

    /// Says whether that is new.
    pub(crate) fn set(&self, leaving: BTreeMap<Address, BTreeSet<u64>>) -> bool {
        let mut all = self.0.write();
        let is_new = *all != leaving;
        *all = leaving;
        is_new
    }
}

/// The other cities over their links.
#[derive(Clone, Debug)]
pub(crate) struct Linked {
    pub(crate) links: Links,
    pub(crate) leaving: Leaving,
}

impl Linked {
    fn send_under(&self, to: Address, chain: u64, class: PeerClass, payload: Bytes) {
        if self.leaving.admits(to, chain) {
            let to = PeerId(to.into_array());
            self.links.send(to, chain, class_of(class), payload.0);
        }
    }
}

impl Peers for Linked {
    fn send(&self, to: Address, chain: ChainId, class: PeerClass, payload: Bytes) {
        self.send_under(to, chain.get(), class, payload);
    }

    fn send_city(&self, to: Address, class: PeerClass, payload: Bytes) {
        self.send_under(to, NO_CHAIN, class, payload);
    }

    fn is_connected(&self, to: Address) -> bool {
        let id = PeerId(to.into_array());
        let all = self.links.peers();
        all.iter()
            .any(|peer| peer.id == id && peer.connected.is_some())
    }

    fn refuse(&self, city: Address, wait: Duration) {
        self.links.refuse(PeerId(city.into_array()), wait);
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
    /// So much of this city the chain may take.
    Quota(Quota),
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
