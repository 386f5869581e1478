//! What is counted, and how it is shown.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::PeerId;
use crate::limits::Class;
use crate::refused::Refused;

/// Payloads of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub payloads: u64,
    /// Their bytes, without what is around them.
    pub bytes: u64,
}

/// Payloads that were not sent, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// The queue was full.
    pub full: u64,
    /// Longer than [`Class::longest`].
    pub too_long: u64,
    /// The peer was not connected, or the link went down before they left.
    pub unconnected: u64,
}

/// One link as it is now, and what it did since the city became a peer.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// The city.
    pub id: PeerId,
    /// While connected.
    pub connected: Option<Connected>,
    /// Handed to QUIC, by class, in the order of [`Class::ALL`].
    pub sent: [Traffic; 3],
    /// Arrived whole, by class, in the order of [`Class::ALL`].
    pub received: [Traffic; 3],
    /// Payloads that were not sent.
    pub dropped: Drops,
    /// Why it was last refused, or refused us, if it has not come up since.
    pub refused: Option<Refused>,
}

/// A connection as QUIC sees it.
#[derive(Clone, Copy, Debug)]
pub struct Connected {
    /// Where the peer is.
    pub address: SocketAddr,
    /// Estimate of the time there and back.
    pub round_trip: Duration,
    /// UDP datagrams sent on this connection.
    pub datagrams_sent: u64,
    /// UDP datagrams received on this connection.
    pub datagrams_received: u64,
    /// QUIC's pings sent on this connection: keep-alives, and probes after a loss.
    pub pings_sent: u64,
    /// Streams kept open towards the peer.
    pub streams: usize,
    /// Bytes that wait to be sent, with [`OVERHEAD`](crate::OVERHEAD) for each payload.
    pub waiting_bytes: usize,
}

/// Sums over all links since the start, with those of cities that are no peers any more.
#[derive(Clone, Debug)]
pub struct Figures {
    refused: [u64; Refused::ALL.len()],
    /// Handed to QUIC, by class, in the order of [`Class::ALL`].
    pub sent: [Traffic; 3],
    /// Arrived whole, by class, in the order of [`Class::ALL`].
    pub received: [Traffic; 3],
    /// Payloads that were not sent.
    pub dropped: Drops,
    /// Payloads for a city that is no peer.
    pub unknown_peer: u64,
    /// Links that are up.
    pub connected: usize,
}

impl Figures {
    /// How often peers, callers or their bytes were refused for `reason`.
    #[must_use]
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize]
    }

    pub(crate) fn new(counters: &Counters, peers: &[PeerStatus]) -> Self {
        let mut figures = Self {
            refused: counters.refused.each_ref().map(Counter::get),
            sent: counters.departed.sent.each_ref().map(TrafficCounter::get),
            received: counters
                .departed
                .received
                .each_ref()
                .map(TrafficCounter::get),
            dropped: counters.departed.drops(),
            unknown_peer: counters.unknown_peer.get(),
            connected: 0,
        };
        for peer in peers {
            figures.connected += usize::from(peer.connected.is_some());
            for class in Class::ALL.map(Class::index) {
                figures.sent[class].add(peer.sent[class]);
                figures.received[class].add(peer.received[class]);
            }
            figures.dropped.full += peer.dropped.full;
            figures.dropped.too_long += peer.dropped.too_long;
            figures.dropped.unconnected += peer.dropped.unconnected;
        }
        figures
    }
}

impl Traffic {
    fn add(&mut self, other: Self) {
        self.payloads += other.payloads;
        self.bytes += other.bytes;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Answers the new count.
    pub(crate) fn add(&self, amount: u64) -> u64 {
        self.0.fetch_add(amount, Ordering::Relaxed) + amount
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    refused: [Counter; Refused::ALL.len()],
    pub(crate) unknown_peer: Counter,
    /// What those did that are no peers any more: sums never fall.
    pub(crate) departed: PeerCounters,
}

impl Counters {
    /// Answers how often it was for this reason.
    pub(crate) fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize].add(1)
    }
}

#[derive(Debug, Default)]
pub(crate) struct TrafficCounter {
    payloads: Counter,
    bytes: Counter,
}

impl TrafficCounter {
    pub(crate) fn add(&self, length: usize) {
        self.payloads.add(1);
        self.bytes.add(length as u64);
    }

    fn add_all(&self, other: &Self) {
        self.payloads.add(other.payloads.get());
        self.bytes.add(other.bytes.get());
    }

    pub(crate) fn get(&self) -> Traffic {
        Traffic {
            payloads: self.payloads.get(),
            bytes: self.bytes.get(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct PeerCounters {
    pub(crate) sent: [TrafficCounter; 3],
    pub(crate) received: [TrafficCounter; 3],
    pub(crate) dropped_full: Counter,
    pub(crate) dropped_too_long: Counter,
    pub(crate) dropped_unconnected: Counter,
}

impl PeerCounters {
    /// Adds all that `other` counted.
    pub(crate) fn add(&self, other: &Self) {
        for class in Class::ALL.map(Class::index) {
            self.sent[class].add_all(&other.sent[class]);
            self.received[class].add_all(&other.received[class]);
        }
        let drops = other.drops();
        self.dropped_full.add(drops.full);
        self.dropped_too_long.add(drops.too_long);
        self.dropped_unconnected.add(drops.unconnected);
    }

    pub(crate) fn drops(&self) -> Drops {
        Drops {
            full: self.dropped_full.get(),
            too_long: self.dropped_too_long.get(),
            unconnected: self.dropped_unconnected.get(),
        }
    }
}
