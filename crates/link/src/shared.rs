//! What the tasks of the links have in common: the peers, what waits for them, what came from them, the counters.
//!
//! Locks are held for a queue operation and never across an `.await`. It is no task of its own, because a sender must
//! be told at once whether its payload fits. Locks are taken in this order: the peers, one peer's link, then the
//! inbox or the pins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use quinn::Connection;
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use crate::PeerId;
use crate::figures::{Counters, Figures, PeerStatus};
use crate::identity::Fingerprint;
use crate::inbox::{Arrived, Generation, Inbox};
use crate::limits::{Class, Limits};
use crate::outbox::Outbox;
use crate::peer::{Open, PeerState};
use crate::pins::Pins;
use crate::refused::{Closing, Refused};
use crate::wire::Hello;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) own: Hello,
    pub(crate) own_key: Fingerprint,
    pub(crate) limits: Limits,
    pub(crate) peers: RwLock<BTreeMap<PeerId, Arc<PeerState>>>,
    /// The keys of all peers, and our own: who may call.
    pub(crate) pins: Arc<Pins>,
    pub(crate) counters: Counters,
    pub(crate) inbox: Mutex<Inbox>,
    /// The inbox has something to tell.
    pub(crate) news: Notify,
}

impl Shared {
    pub(crate) fn new(own: Hello, own_key: Fingerprint, limits: Limits) -> Self {
        Self {
            pins: Arc::new(Pins::new([(own_key, own.city)])),
            own,
            own_key,
            limits,
            peers: RwLock::default(),
            counters: Counters::default(),
            inbox: Mutex::new(Inbox::new()),
            news: Notify::new(),
        }
    }

    pub(crate) fn peer(&self, id: PeerId) -> Option<Arc<PeerState>> {
        self.peers.read().get(&id).map(Arc::clone)
    }

    pub(crate) fn status(&self) -> Vec<PeerStatus> {
        let peers = self.peers.read();
        peers.values().map(|peer| peer.status()).collect()
    }

    pub(crate) fn figures(&self) -> Figures {
        // Held until all is read: a peer that leaves is in one of both sums.
        let peers = self.peers.read();
        let status: Vec<PeerStatus> = peers.values().map(|peer| peer.status()).collect();
        Figures::new(&self.counters, &status)
    }

    /// Puts a payload into the peer's queue, or drops it.
    pub(crate) fn send(&self, to: PeerId, chain: u64, class: Class, payload: Bytes) {
        let Some(peer) = self.peer(to) else {
            self.counters.unknown_peer.add(1);
            return;
        };
        if payload.len() > class.longest() {
            peer.counters.dropped_too_long.add(1);
            self.tell_dropped(to, [chain]);
            return;
        }
        let dropped = {
            let mut link = peer.link.lock();
            let Some(open) = &mut link.open else {
                peer.counters.dropped_unconnected.add(1);
                return;
            };
            open.outbox.offer(class, chain, payload)
        };
        peer.ready.notify_one();
        if !dropped.is_empty() {
            peer.counters.dropped_full.add(dropped.len() as u64);
            self.tell_dropped(to, dropped);
        }
    }

    /// A greeted connection becomes the link with this peer, unless that changed while it was made.
    pub(crate) fn open(
        &self,
        peer: &PeerState,
        connection: Connection,
        process: [u8; 16],
    ) -> Result<Generation, Refused> {
        let mut link = peer.link.lock();
        peer.admit_to(&link, &connection)?;
        link.told = None;
        let generation = self.inbox.lock().up(peer.id);
        link.open = Some(Open {
            connection,
            generation,
            process,
            outbox: Outbox::new(&self.limits),
        });
        drop(link);
        self.news.notify_one();
        Ok(generation)
    }

    /// The link is down: what waited for the peer is dropped, and what came from it is not delivered any more.
    /// Without effect on a later connection.
    pub(crate) fn close(&self, peer: &PeerState, generation: Generation) {
        let open = {
            let mut link = peer.link.lock();
            let open = link.open.take_if(|open| open.generation == generation);
            self.inbox.lock().down(peer.id, generation);
            open
        };
        if let Some(open) = open {
            peer.counters.dropped_unconnected.add(open.outbox.count());
        }
        self.news.notify_one();
    }

    /// Closes the link at once; its session ends by this. False if there is none.
    pub(crate) fn cut(&self, peer: &PeerState, reason: Refused) -> bool {
        let open = {
            let link = peer.link.lock();
            let open = link.open.as_ref();
            open.map(|open| (open.connection.clone(), open.generation))
        };
        let Some((connection, generation)) = open else {
            return false;
        };
        connection.close(Closing::Refused(reason).code(), b"");
        self.close(peer, generation);
        true
    }

    pub(crate) fn arrived(
        &self,
        peer: &PeerState,
        generation: Generation,
        class: Class,
        chain: u64,
        arrived: Arrived,
    ) {
        peer.counters.received[class.index()].add(arrived.payload.len());
        self.inbox
            .lock()
            .push(peer.id, generation, class, chain, arrived);
        self.news.notify_one();
    }

    pub(crate) fn own_key_met(&self, from: SocketAddr) {
        self.counters.refused(Refused::OwnKey);
        error!(%from, "{}", Refused::OwnKey);
        self.inbox.lock().own_key(from);
        self.news.notify_one();
    }

    /// Counts a refusal of a peer, tells the log of it once, and pauses the peer for an abuse.
    pub(crate) fn refuse(&self, peer: &PeerState, reason: Refused) {
        self.counters.refused(reason);
        if reason.is_abuse() {
            peer.pause(self.limits.pause);
        }
        self.tell(peer, reason);
    }

    /// Closes the connection with a peer for what it said, and keeps it out.
    pub(crate) fn keep_out(&self, id: PeerId, wait: Duration) {
        let Some(peer) = self.peer(id) else {
            self.counters.unknown_peer.add(1);
            return;
        };
        peer.pause(wait);
        self.counters.refused(Refused::Untrue);
        self.tell(&peer, Refused::Untrue);
        self.cut(&peer, Refused::Untrue);
    }

    /// Tells the log, once, that we and a peer do not come together.
    pub(crate) fn tell(&self, peer: &PeerState, reason: Refused) {
        let (before, endpoint) = {
            let mut link = peer.link.lock();
            (link.told.replace(reason), Arc::clone(&link.endpoint))
        };
        let (city, code) = (peer.id, reason.code());
        if before == Some(reason) {
            debug!(%city, code, "{reason}");
        } else {
            warn!(%city, %endpoint, code, "{reason}");
        }
    }

    /// Counts a refusal of somebody unknown. The log is told at each doubling, so that nobody can fill it.
    pub(crate) fn refuse_caller(&self, from: SocketAddr, reason: Refused) {
        let times = self.counters.refused(reason);
        if times.is_power_of_two() {
            warn!(%from, code = reason.code(), times, "{reason}");
        }
    }

    fn tell_dropped(&self, peer: PeerId, chains: impl IntoIterator<Item = u64>) {
        let mut inbox = self.inbox.lock();
        for chain in chains {
            inbox.dropped(peer, chain);
        }
        drop(inbox);
        self.news.notify_one();
    }
}
