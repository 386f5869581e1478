//! Carries what the links bring to the chains, and waits for none of them.
//!
//! ```text
//!  link ──Event──▶ Dispatcher ──by chain id──▶ the chain's mailbox ──▶ Driver
//!                       │                  └─▶ transactions for the pool ──▶ Admission
//!                       └─▶ backlog of a chain that is parked, or busy ──in order──▶ the same
//! ```
//!
//! A chain that is slow loses what exceeds its backlog, and is told then as if the connection had been lost: it says where it
//! is, and is told what it missed. No other chain notices.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use link::{Class, Event, Links};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::hosting::{Delivery, Hosting};
use crate::peers::Leaving;
use crate::tips::{self, ToTips};

/// How long a city that met its own key can still be met: the other calls up to five times in its first seconds.
const STAYS_FOUND: Duration = Duration::from_secs(30);

/// Messages that wait for one chain beyond its mailbox.
const MESSAGES: usize = 1_024;
/// Their bytes; one message may be longer.
const BYTES: usize = 8 << 20;
/// Bytes that wait for all chains.
const BYTES_IN_ALL: usize = 64 << 20;
/// Chains for which something waits: each has a task. What comes for further ones is lost.
const CHAINS: usize = 1_024;

/// Carries what the links bring to the chains.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) links: Links,
    pub(crate) leaving: Leaving,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) hosting: Hosting,
    pub(crate) tips: mpsc::Sender<ToTips>,
    /// Told when this city's key was met elsewhere.
    pub(crate) halt: Arc<watch::Sender<bool>>,
}

/// What waits for chains that are not open, or whose mailboxes are full. Cheap to clone; a lock because the dispatcher adds
/// and each chain's task takes, a message at a time.
#[derive(Clone, Debug)]
struct Backlogs {
    waiting: Arc<Mutex<Waiting>>,
    hosting: Hosting,
}

#[derive(Debug, Default)]
struct Waiting {
    chains: HashMap<u64, Backlog>,
    bytes: usize,
}

/// What waits for one chain; there while its task runs.
#[derive(Debug, Default)]
struct Backlog {
    messages: VecDeque<Delivery>,
    bytes: usize,
    /// Cities of which something was lost.
    lost: BTreeSet<Address>,
}

/// What a chain's task does next.
enum Next {
    Deliver(Delivery),
    /// Messages of these cities were lost, and there is room again.
    Tell(BTreeSet<Address>),
}

impl Dispatcher {
    /// Runs until the links are gone.
    pub(crate) async fn run(mut self) {
        let backlogs = Backlogs {
            waiting: Arc::default(),
            hosting: self.hosting.clone(),
        };
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Received {
                    peer,
                    chain,
                    class,
                    payload,
                } => {
                    let (peer, payload) = (Address::from(peer.0), Bytes::from(payload));
                    if !self.leaving.admits(peer, chain) {
                        continue;
                    }
                    if tips::is_mine(chain) {
                        // What does not fit is told again at the next connection.
                        drop(self.tips.try_send(ToTips::Message(peer, payload)));
                        continue;
                    }
                    let message = match class {
                        Class::Transactions => Delivery::Transactions { peer, payload },
                        Class::Consensus | Class::Sync => Delivery::Message { peer, payload },
                    };
                    backlogs.deliver(chain, message);
                }
                Event::Up { peer } => {
                    let peer = Address::from(peer.0);
                    tracing::info!(%peer, "connected");
                    for (chain, _) in self.hosting.engines() {
                        if self.leaving.admits(peer, chain.get()) {
                            backlogs.connected(chain.get(), peer);
                        }
                    }
                    drop(self.tips.try_send(ToTips::Connected(peer)));
                }
                // This city is ending itself.
                Event::Down { .. } if *self.halt.borrow() => {}
                Event::Down { peer } => {
                    tracing::warn!(peer = %Address::from(peer.0), "no connection");
                }
                Event::Dropped { peer, chain } => {
                    backlogs.connected(chain, Address::from(peer.0));
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

impl Backlogs {
    /// Gives a chain a message, after what waits for it.
    fn deliver(&self, chain: u64, message: Delivery) {
        let mut waiting = self.waiting.lock();
        let message = if waiting.chains.contains_key(&chain) {
            message
        } else {
            let Err(message) = self.hosting.try_deliver(chain, message) else {
                return;
            };
            self.begin(&mut waiting, chain);
            message
        };
        if !waiting.push(chain, message) {
            self.hosting.common().metrics.message_lost();
        }
    }

    /// Tells a chain, if it is awake, that messages reach `peer`, perhaps after some were lost.
    fn connected(&self, chain: u64, peer: Address) {
        if self.hosting.try_connected(chain, peer) {
            return;
        }
        let mut waiting = self.waiting.lock();
        self.begin(&mut waiting, chain);
        if let Some(backlog) = waiting.chains.get_mut(&chain) {
            backlog.lost.insert(peer);
        }
    }

    /// Begins a backlog and its task, unless there is one, or no room for one more.
    fn begin(&self, waiting: &mut Waiting, chain: u64) {
        if waiting.chains.len() < CHAINS && !waiting.chains.contains_key(&chain) {
            waiting.chains.insert(chain, Backlog::default());
            self.hosting.spawn(self.clone().clear(chain));
        }
    }

    /// Gives a chain what waits for it, in order, until nothing does.
    async fn clear(self, chain: u64) {
        loop {
            let next = self.waiting.lock().next(chain);
            match next {
                None => return,
                Some(Next::Deliver(message)) => self.hosting.deliver(chain, message).await,
                Some(Next::Tell(lost)) => {
                    for peer in lost {
                        self.hosting.connected_on(chain, peer).await;
                    }
                }
            }
        }
    }
}

impl Waiting {
    /// Adds a message to a backlog; says whether there was room. Whose was lost is noted.
    fn push(&mut self, chain: u64, message: Delivery) -> bool {
        let Some(backlog) = self.chains.get_mut(&chain) else {
            return false;
        };
        let length = message.length();
        let fits = backlog.messages.len() < MESSAGES
            && backlog.bytes + length <= BYTES
            && self.bytes + length <= BYTES_IN_ALL;
        // The first one of a chain may be longer than all that fits, and keeps no other out.
        if !fits && !backlog.messages.is_empty() {
            backlog.lost.insert(message.peer());
            return false;
        }
        backlog.bytes += length;
        self.bytes += length;
        backlog.messages.push_back(message);
        true
    }

    /// What a chain's task is to do; `None` when nothing waits, and the backlog is over.
    fn next(&mut self, chain: u64) -> Option<Next> {
        let backlog = self.chains.get_mut(&chain)?;
        if let Some(message) = backlog.messages.pop_front() {
            backlog.bytes -= message.length();
            self.bytes -= message.length();
            return Some(Next::Deliver(message));
        }
        let lost = std::mem::take(&mut backlog.lost);
        if !lost.is_empty() {
            return Some(Next::Tell(lost));
        }
        self.chains.remove(&chain);
        None
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes};

    use super::{BYTES, Backlog, Delivery, MESSAGES, Next, Waiting};

    const CHAIN: u64 = 7;

    fn message(peer: u8, length: usize) -> Delivery {
        Delivery::Message {
            peer: Address::repeat_byte(peer),
            payload: Bytes::from(vec![peer; length]),
        }
    }

    fn waiting() -> Waiting {
        let mut waiting = Waiting::default();
        for chain in [CHAIN, CHAIN + 1] {
            waiting.chains.insert(chain, Backlog::default());
        }
        waiting
    }

    #[test]
    fn what_waits_comes_in_order_then_who_lost_something_is_told_then_it_is_over() {
        let mut waiting = waiting();
        for n in 0..MESSAGES {
            let peer = u8::try_from(n % 3).unwrap_or_default();
            assert!(waiting.push(CHAIN, message(peer, 10)), "{n}");
        }
        for peer in [8, 9, 8] {
            assert!(!waiting.push(CHAIN, message(peer, 10)), "full");
        }
        assert!(
            waiting.push(CHAIN + 1, message(1, 10)),
            "another chain has its own room"
        );
        for n in 0..MESSAGES {
            let Some(Next::Deliver(next)) = waiting.next(CHAIN) else {
                panic!("{n} is missing");
            };
            let wanted = u8::try_from(n % 3).unwrap_or_default();
            assert_eq!(next.peer(), Address::repeat_byte(wanted));
        }
        let Some(Next::Tell(lost)) = waiting.next(CHAIN) else {
            panic!("nobody is told");
        };
        let wanted = [8, 9].map(Address::repeat_byte);
        assert!(lost.iter().eq(&wanted), "{lost:?}");
        assert!(waiting.next(CHAIN).is_none());
        assert!(!waiting.chains.contains_key(&CHAIN));
        assert_eq!(waiting.bytes, 10, "of the other chain");
    }

    #[test]
    fn bytes_are_bounded_and_the_longest_message_passes() {
        let mut waiting = waiting();
        assert!(waiting.push(CHAIN, message(1, BYTES + 1)));
        assert!(!waiting.push(CHAIN, message(2, 1)));
        assert!(waiting.push(CHAIN + 1, message(1, BYTES)));
        assert!(!waiting.push(CHAIN + 1, message(2, 1)));
        assert!(matches!(waiting.next(CHAIN), Some(Next::Deliver(_))));
        assert!(waiting.push(CHAIN, message(2, 1)));
        assert_eq!(waiting.bytes, BYTES + 1);
    }
}
