//! What the tasks of the links have in common: the peers, what waits for them, what came from them, the counters.
//!
//! Locks are held for a queue operation and never across an `.await`. It is no task of its own, because a sender must
//! be told at once whether its payload fits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::Connection;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::PeerId;
use crate::figures::{Connected, Counters, PeerCounters, PeerStatus, TrafficCounter};
use crate::identity::Fingerprint;
use crate::inbox::{Arrived, Generation, Inbox, PeerIndex};
use crate::limits::{Class, Limits, OVERHEAD};
use crate::outbox::Outbox;
use crate::refused::{Closing, Refused};
use crate::wire::Hello;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) own: Hello,
    pub(crate) own_key: Fingerprint,
    pub(crate) limits: Limits,
    pub(crate) peers: Vec<PeerState>,
    pub(crate) by_id: HashMap<PeerId, PeerIndex>,
    pub(crate) by_key: HashMap<Fingerprint, PeerIndex>,
    pub(crate) counters: Counters,
    pub(crate) inbox: Mutex<Inbox>,
    /// The inbox has something to tell.
    pub(crate) news: Notify,
}

#[derive(Debug)]
pub(crate) struct PeerState {
    pub(crate) id: PeerId,
    pub(crate) key: Fingerprint,
    pub(crate) endpoint: String,
    pub(crate) link: Mutex<LinkState>,
    /// Something waits for this peer.
    pub(crate) ready: Notify,
    /// The peer asks to be called.
    pub(crate) knock: Notify,
    /// Of what may have been received and not been taken, by class, in units of [`OVERHEAD`] bytes.
    pub(crate) budgets: [Arc<Semaphore>; 3],
    /// Open towards the peer, as its writer last said.
    pub(crate) streams: AtomicUsize,
    pub(crate) counters: PeerCounters,
}

#[derive(Debug, Default)]
pub(crate) struct LinkState {
    /// While connected.
    pub(crate) open: Option<Open>,
    /// The process that last knocked.
    pub(crate) knocked: Option<[u8; 16]>,
    pub(crate) paused_until: Option<Instant>,
    /// What the log was last told about this peer, so that it is told once.
    pub(crate) told: Option<Refused>,
}

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) connection: Connection,
    pub(crate) process: [u8; 16],
    pub(crate) outbox: Outbox,
}

impl PeerState {
    pub(crate) fn new(id: PeerId, key: Fingerprint, endpoint: String, limits: &Limits) -> Self {
        let budget = |bytes: usize| {
            Arc::new(Semaphore::new(
                (bytes / OVERHEAD).min(Semaphore::MAX_PERMITS),
            ))
        };
        Self {
            id,
            key,
            endpoint,
            link: Mutex::default(),
            ready: Notify::new(),
            knock: Notify::new(),
            budgets: limits.received_bytes.map(budget),
            streams: AtomicUsize::new(0),
            counters: PeerCounters::default(),
        }
    }

    /// How long the peer has to stay out.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        let until = self.link.lock().paused_until?;
        (until > Instant::now()).then_some(until)
    }

    /// Whether another process than the one we are connected with asks to be called.
    pub(crate) fn is_knocked(&self) -> bool {
        let mut link = self.link.lock();
        let connected = link.open.as_ref().map(|open| open.process);
        link.knocked
            .take()
            .is_some_and(|knocked| connected != Some(knocked))
    }

    pub(crate) fn status(&self) -> PeerStatus {
        let link = self.link.lock();
        let connected = link.open.as_ref().map(|open| {
            let stats = open.connection.stats();
            Connected {
                address: open.connection.remote_address(),
                round_trip: stats.path.rtt,
                datagrams_sent: stats.udp_tx.datagrams,
                datagrams_received: stats.udp_rx.datagrams,
                pings_sent: stats.frame_tx.ping,
                streams: self.streams.load(Ordering::Relaxed),
                waiting_bytes: open.outbox.total_bytes(),
            }
        });
        PeerStatus {
            id: self.id,
            connected,
            sent: self.counters.sent.each_ref().map(TrafficCounter::get),
            received: self.counters.received.each_ref().map(TrafficCounter::get),
            dropped: self.counters.drops(),
            refused: link.told,
        }
    }

    pub(crate) fn take(&self, class: Class) -> Option<(u64, Bytes)> {
        self.link.lock().open.as_mut()?.outbox.take(class)
    }

    /// Whether something waits that is more urgent than `class`.
    pub(crate) fn has_before(&self, class: Class) -> bool {
        let link = self.link.lock();
        link.open
            .as_ref()
            .is_some_and(|open| open.outbox.has_before(class))
    }
}

impl Shared {
    /// Puts a payload into the peer's queue, or drops it.
    pub(crate) fn send(&self, to: PeerId, chain: u64, class: Class, payload: Bytes) {
        let Some(index) = self.by_id.get(&to).copied() else {
            self.counters.unknown_peer.add(1);
            return;
        };
        let peer = &self.peers[index];
        if payload.len() > class.longest() {
            peer.counters.dropped_too_long.add(1);
            self.tell_dropped(index, [chain]);
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
            self.tell_dropped(index, dropped);
        }
    }

    /// A greeted connection becomes the link with this peer.
    pub(crate) fn open(
        &self,
        index: PeerIndex,
        connection: Connection,
        process: [u8; 16],
    ) -> Generation {
        let mut link = self.peers[index].link.lock();
        link.told = None;
        link.open = Some(Open {
            connection,
            process,
            outbox: Outbox::new(&self.limits),
        });
        drop(link);
        let generation = self.inbox.lock().up(index);
        self.news.notify_one();
        generation
    }

    /// The link is down: what waited for the peer is dropped, and what came from it is not delivered any more.
    pub(crate) fn close(&self, index: PeerIndex) {
        let peer = &self.peers[index];
        let open = peer.link.lock().open.take();
        if let Some(open) = open {
            peer.counters.dropped_unconnected.add(open.outbox.count());
        }
        self.inbox.lock().down(index);
        self.news.notify_one();
    }

    pub(crate) fn arrived(
        &self,
        index: PeerIndex,
        generation: Generation,
        class: Class,
        chain: u64,
        arrived: Arrived,
    ) {
        self.peers[index].counters.received[class.index()].add(arrived.payload.len());
        self.inbox
            .lock()
            .push(index, generation, class, chain, arrived);
        self.news.notify_one();
    }

    pub(crate) fn own_key_met(&self, from: std::net::SocketAddr) {
        self.counters.refused(Refused::OwnKey);
        tracing::error!(%from, "{}", Refused::OwnKey);
        self.inbox.lock().own_key(from);
        self.news.notify_one();
    }

    /// Counts a refusal of a peer, tells the log of it once, and pauses the peer for an abuse.
    pub(crate) fn refuse(&self, index: PeerIndex, reason: Refused) {
        self.counters.refused(reason);
        if reason.is_abuse() {
            self.peers[index].link.lock().paused_until = Some(Instant::now() + self.limits.pause);
        }
        self.tell(index, reason);
    }

    /// Closes the connection with a peer for what it said, and keeps it out.
    pub(crate) fn keep_out(&self, peer: PeerId, wait: Duration) {
        let Some(index) = self.by_id.get(&peer).copied() else {
            self.counters.unknown_peer.add(1);
            return;
        };
        let connection = {
            let mut link = self.peers[index].link.lock();
            let until = Instant::now() + wait;
            link.paused_until = link.paused_until.max(Some(until));
            link.open.as_ref().map(|open| open.connection.clone())
        };
        self.counters.refused(Refused::Untrue);
        self.tell(index, Refused::Untrue);
        // Its session ends by this.
        if let Some(connection) = connection {
            connection.close(Closing::Refused(Refused::Untrue).code(), b"");
        }
    }

    /// Tells the log, once, that we and a peer do not come together.
    pub(crate) fn tell(&self, index: PeerIndex, reason: Refused) {
        let peer = &self.peers[index];
        let before = peer.link.lock().told.replace(reason);
        let (city, code) = (peer.id, reason.code());
        if before == Some(reason) {
            debug!(%city, code, "{reason}");
        } else {
            warn!(%city, endpoint = peer.endpoint, code, "{reason}");
        }
    }

    /// Counts a refusal of somebody unknown. The log is told at each doubling, so that nobody can fill it.
    pub(crate) fn refuse_caller(&self, from: std::net::SocketAddr, reason: Refused) {
        let times = self.counters.refused(reason);
        if times.is_power_of_two() {
            warn!(%from, code = reason.code(), times, "{reason}");
        }
    }

    fn tell_dropped(&self, index: PeerIndex, chains: impl IntoIterator<Item = u64>) {
        let mut inbox = self.inbox.lock();
        for chain in chains {
            inbox.dropped(index, chain);
        }
        drop(inbox);
        self.news.notify_one();
    }
}
