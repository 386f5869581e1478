//! What has been received and not yet been taken, and what else there is to tell: in turns between peers, and between
//! the chains of a peer.
//!
//! ```text
//!  readers ──▶ by class ▸ by peer ▸ by chain ──▶ pump ──▶ mpsc::Receiver<Event>
//!                 (budgets of the peer)             (EVENTS_AHEAD)
//! ```
//!
//! News of links comes first, then the more urgent class; a class that was passed over [`PASSED_OVER`] times has a
//! turn. All is bounded: payloads by the permits they hold, links by their number, drops by [`DROPPED_REMEMBERED`].

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::{Class, DROPPED_REMEMBERED, PASSED_OVER};
use crate::turns::Turns;

/// A peer's place in the configuration.
pub(crate) type PeerIndex = usize;

/// One of a peer's connections, counted from 1.
pub(crate) type Generation = u64;

/// A payload and the part of its peer's budget that it holds.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) payload: Bytes,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What there is to tell next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    OwnKey(SocketAddr),
    Up(PeerIndex),
    Down(PeerIndex),
    Dropped(PeerIndex, u64),
    Received(PeerIndex, Class, u64, Bytes),
}

#[derive(Debug)]
pub(crate) struct Inbox {
    own_key: Option<SocketAddr>,
    links: Vec<Link>,
    /// Peers whose link is not as it was told, each once.
    changed: VecDeque<PeerIndex>,
    dropped: BTreeSet<(PeerIndex, u64)>,
    classes: [Waiting; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    told: Option<Generation>,
    is: Option<Generation>,
    last: Generation,
}

#[derive(Debug)]
struct Waiting {
    /// One turn for each payload of a peer.
    peers: Turns<PeerIndex, ()>,
    chains: Vec<Turns<u64, Arrived>>,
    passed_over: u32,
}

impl Inbox {
    pub(crate) fn new(peers: usize) -> Self {
        let waiting = || Waiting {
            peers: Turns::new(),
            chains: (0..peers).map(|_| Turns::new()).collect(),
            passed_over: 0,
        };
        Self {
            own_key: None,
            links: vec![Link::default(); peers],
            changed: VecDeque::new(),
            dropped: BTreeSet::new(),
            classes: [waiting(), waiting(), waiting()],
        }
    }

    pub(crate) fn own_key(&mut self, from: SocketAddr) {
        self.own_key = Some(from);
    }

    /// A new connection of `peer`. What came by the one before is forgotten.
    pub(crate) fn up(&mut self, peer: PeerIndex) -> Generation {
        self.forget(peer);
        let link = &mut self.links[peer];
        link.last += 1;
        link.is = Some(link.last);
        let generation = link.last;
        self.mark(peer);
        generation
    }

    pub(crate) fn down(&mut self, peer: PeerIndex) {
        self.forget(peer);
        self.links[peer].is = None;
        self.mark(peer);
    }

    pub(crate) fn dropped(&mut self, peer: PeerIndex, chain: u64) {
        if self.dropped.len() < DROPPED_REMEMBERED {
            self.dropped.insert((peer, chain));
        }
    }

    /// Forgotten if the connection is no longer the peer's.
    pub(crate) fn push(
        &mut self,
        peer: PeerIndex,
        generation: Generation,
        class: Class,
        chain: u64,
        arrived: Arrived,
    ) {
        if self.links[peer].is == Some(generation) {
            let waiting = &mut self.classes[class.index()];
            waiting.peers.push(peer, ());
            waiting.chains[peer].push(chain, arrived);
        }
    }

    pub(crate) fn next(&mut self) -> Option<News> {
        if let Some(from) = self.own_key.take() {
            return Some(News::OwnKey(from));
        }
        while let Some(peer) = self.changed.front().copied() {
            let link = &mut self.links[peer];
            if link.told == link.is {
                self.changed.pop_front();
            } else if link.told.take().is_some() {
                return Some(News::Down(peer));
            } else {
                link.told = link.is;
                self.changed.pop_front();
                return Some(News::Up(peer));
            }
        }
        if let Some((peer, chain)) = self.dropped.pop_first() {
            return Some(News::Dropped(peer, chain));
        }
        self.next_payload()
    }

    fn next_payload(&mut self) -> Option<News> {
        let has = |waiting: &Waiting| !waiting.peers.is_empty();
        let most_urgent = self.classes.iter().position(has)?;
        let chosen = self
            .classes
            .iter()
            .position(|waiting| has(waiting) && waiting.passed_over >= PASSED_OVER)
            .unwrap_or(most_urgent);
        for (at, waiting) in self.classes.iter_mut().enumerate() {
            if at == chosen {
                waiting.passed_over = 0;
            } else if has(waiting) {
                waiting.passed_over += 1;
            }
        }
        let waiting = &mut self.classes[chosen];
        let (peer, ()) = waiting.peers.pop()?;
        let (chain, arrived) = waiting.chains[peer].pop()?;
        Some(News::Received(
            peer,
            Class::ALL[chosen],
            chain,
            arrived.payload,
        ))
    }

    fn mark(&mut self, peer: PeerIndex) {
        if !self.changed.contains(&peer) {
            self.changed.push_back(peer);
        }
    }

    fn forget(&mut self, peer: PeerIndex) {
        for waiting in &mut self.classes {
            waiting.peers.remove(peer);
            waiting.chains[peer] = Turns::new();
        }
    }
}

#[cfg(test)]
mod tests;
