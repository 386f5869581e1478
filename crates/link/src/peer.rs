//! One peer: what is pinned for it, its connection while there is one, and what waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::Connection;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;

use crate::calls::{Caller, shown_key};
use crate::figures::{Connected, PeerCounters, PeerStatus, TrafficCounter};
use crate::inbox::Generation;
use crate::limits::{Class, LONGEST_PAUSE, Limits, OVERHEAD};
use crate::outbox::Outbox;
use crate::pins::Pins;
use crate::refused::Refused;
use crate::{Peer, PeerId};

#[derive(Debug)]
pub(crate) struct PeerState {
    pub(crate) id: PeerId,
    /// The peer's key, and our own, which may answer where the peer is called.
    pub(crate) pins: Arc<Pins>,
    /// To the task that keeps the link, if it is one that waits for calls.
    pub(crate) callers: Option<mpsc::Sender<Caller>>,
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

#[derive(Debug)]
pub(crate) struct LinkState {
    /// Where the next call goes.
    pub(crate) endpoint: Arc<str>,
    /// It is no peer any more: nothing becomes its link.
    pub(crate) removed: bool,
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
    pub(crate) generation: Generation,
    pub(crate) process: [u8; 16],
    pub(crate) outbox: Outbox,
}

impl PeerState {
    pub(crate) fn new(
        peer: &Peer,
        pins: Pins,
        callers: Option<mpsc::Sender<Caller>>,
        limits: &Limits,
    ) -> Self {
        let budget = |bytes: usize| {
            Arc::new(Semaphore::new(
                (bytes / OVERHEAD).min(Semaphore::MAX_PERMITS),
            ))
        };
        Self {
            id: peer.id,
            pins: Arc::new(pins),
            callers,
            link: Mutex::new(LinkState {
                endpoint: peer.endpoint.as_str().into(),
                removed: false,
                open: None,
                knocked: None,
                paused_until: None,
                told: None,
            }),
            ready: Notify::new(),
            knock: Notify::new(),
            budgets: limits.received_bytes.map(budget),
            streams: AtomicUsize::new(0),
            counters: PeerCounters::default(),
        }
    }

    pub(crate) fn endpoint(&self) -> Arc<str> {
        Arc::clone(&self.link.lock().endpoint)
    }

    /// How long the peer has to stay out.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.link.lock().paused_until()
    }

    /// Whether a connection may become, or stay, the link with this peer as things are now.
    pub(crate) fn admit(&self, connection: &Connection) -> Result<(), Refused> {
        self.admit_to(&self.link.lock(), connection)
    }

    /// As [`admit`](Self::admit), for who holds the lock.
    pub(crate) fn admit_to(
        &self,
        link: &LinkState,
        connection: &Connection,
    ) -> Result<(), Refused> {
        if link.removed {
            return Err(Refused::Removed);
        }
        if !self.is_pinned(connection) {
            return Err(Refused::KeyReplaced);
        }
        if link.paused_until().is_some() {
            return Err(Refused::Paused);
        }
        Ok(())
    }

    /// Whether the other side of the connection showed the key that is pinned for this peer now.
    pub(crate) fn is_pinned(&self, connection: &Connection) -> bool {
        shown_key(connection).and_then(|key| self.pins.whose(&key)) == Some(self.id)
    }

    /// Keeps the peer out for so long, or longer if it has to stay out already.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_PAUSE);
        let mut link = self.link.lock();
        link.paused_until = link.paused_until.max(Some(until));
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

impl LinkState {
    fn paused_until(&self) -> Option<Instant> {
        self.paused_until.filter(|until| *until > Instant::now())
    }
}
