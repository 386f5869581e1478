//! What has been received and not yet been taken, and what else there is to tell: in turns between peers, and between
//! the chains of a peer.
//!
//! ```text
//!  readers ──▶ by class ▸ by peer ▸ by chain ──▶ pump ──▶ mpsc::Receiver<Event>
//!                 (budgets of the peer)             (EVENTS_AHEAD)
//! ```
//!
//! News of links comes first, then the more urgent class; a class that was passed over [`PASSED_OVER`] times has a
//! turn. All is bounded: payloads by the permits they hold, links by the number of peers, drops by [`DROPPED_REMEMBERED`].

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::PeerId;
use crate::limits::{Class, DROPPED_REMEMBERED, PASSED_OVER};
use crate::turns::Turns;

/// One of the connections of all peers, counted from 1.
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
    Up(PeerId),
    Down(PeerId),
    Dropped(PeerId, u64),
    Received(PeerId, Class, u64, Bytes),
}

#[derive(Debug)]
pub(crate) struct Inbox {
    own_key: Option<SocketAddr>,
    /// Those that are up, or told to be.
    links: HashMap<PeerId, Link>,
    last: Generation,
    /// Peers whose link is not as it was told, each once.
    changed: VecDeque<PeerId>,
    dropped: BTreeSet<(PeerId, u64)>,
    classes: [Waiting; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    told: Option<Generation>,
    is: Option<Generation>,
}

#[derive(Debug)]
struct Waiting {
    /// One turn for each payload of a peer.
    peers: Turns<PeerId, ()>,
    /// Of peers that have something waiting.
    chains: HashMap<PeerId, Turns<u64, Arrived>>,
    passed_over: u32,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let waiting = || Waiting {
            peers: Turns::new(),
            chains: HashMap::new(),
            passed_over: 0,
        };
        Self {
            own_key: None,
            links: HashMap::new(),
            last: 0,
            changed: VecDeque::new(),
            dropped: BTreeSet::new(),
            classes: [waiting(), waiting(), waiting()],
        }
    }

    pub(crate) fn own_key(&mut self, from: SocketAddr) {
        self.own_key = Some(from);
    }

    /// A new connection of `peer`. What came by the one before is forgotten.
    pub(crate) fn up(&mut self, peer: PeerId) -> Generation {
        self.forget(peer);
        self.last += 1;
        self.links.entry(peer).or_default().is = Some(self.last);
        self.mark(peer);
        self.last
    }

    /// Without effect if the connection is no longer the peer's.
    pub(crate) fn down(&mut self, peer: PeerId, generation: Generation) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.is != Some(generation) {
            return;
        }
        link.is = None;
        let is_told = link.told.is_some();
        self.forget(peer);
        if is_told {
            self.mark(peer);
        } else {
            // Nobody has to know of it, and what nobody takes must not grow by it.
            self.links.remove(&peer);
            self.changed.retain(|other| *other != peer);
        }
    }

    /// It is no peer any more: of what waits, only that its link is down is still told.
    pub(crate) fn removed(&mut self, peer: PeerId) {
        self.dropped.retain(|(other, _)| *other != peer);
    }

    pub(crate) fn dropped(&mut self, peer: PeerId, chain: u64) {
        if self.dropped.len() < DROPPED_REMEMBERED {
            self.dropped.insert((peer, chain));
        }
    }

    /// Forgotten if the connection is no longer the peer's.
    pub(crate) fn push(
        &mut self,
        peer: PeerId,
        generation: Generation,
        class: Class,
        chain: u64,
        arrived: Arrived,
    ) {
        if self.is(peer) == Some(generation) {
            let waiting = &mut self.classes[class.index()];
            waiting.peers.push(peer, ());
            let chains = waiting.chains.entry(peer).or_insert_with(Turns::new);
            chains.push(chain, arrived);
        }
    }

    pub(crate) fn next(&mut self) -> Option<News> {
        if let Some(from) = self.own_key.take() {
            return Some(News::OwnKey(from));
        }
        while let Some(peer) = self.changed.front().copied() {
            let link = self.links.entry(peer).or_default();
            if link.told != link.is && link.told.take().is_some() {
                return Some(News::Down(peer));
            }
            let news = (link.told != link.is).then_some(News::Up(peer));
            link.told = link.is;
            if link.is.is_none() {
                self.links.remove(&peer);
            }
            self.changed.pop_front();
            if news.is_some() {
                return news;
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
        let chains = waiting.chains.get_mut(&peer)?;
        let (chain, arrived) = chains.pop()?;
        if chains.is_empty() {
            waiting.chains.remove(&peer);
        }
        Some(News::Received(
            peer,
            Class::ALL[chosen],
            chain,
            arrived.payload,
        ))
    }

    fn is(&self, peer: PeerId) -> Option<Generation> {
        self.links.get(&peer)?.is
    }

    fn mark(&mut self, peer: PeerId) {
        if !self.changed.contains(&peer) {
            self.changed.push_back(peer);
        }
    }

    fn forget(&mut self, peer: PeerId) {
        for waiting in &mut self.classes {
            waiting.peers.remove(peer);
            waiting.chains.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests;
