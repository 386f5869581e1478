//! Carries what the links bring to the chains, and waits for none of them.
//!
//! ```text
//!  link ──Event──▶ Dispatcher ──by chain id──▶ the chain's mailbox ──▶ Driver
//!                       │                  └─▶ transactions for the pool ──▶ Admission
//!                       └─▶ backlog of a chain that is parked, or busy ──in order──▶ the same
//! ```
//!
//! Who sends more than a slow chain takes loses what exceeds his share of its backlog; the chain is told then as if the
//! connection had been lost: the two say where they are. Neither other cities nor other chains notice.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
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

/// Messages of one city that wait for one mailbox.
const MESSAGES: usize = 256;
/// Their bytes; one message may be longer.
const BYTES: usize = 2 << 20;
/// Bytes that wait for all chains.
const BYTES_IN_ALL: usize = 64 << 20;
/// Mailboxes for which something waits: each has a task. What comes for further ones is lost, and nobody is told.
const MAILBOXES: usize = 1_024;
/// Of these, how many one city's messages may begin.
const BEGUN_BY_ONE: usize = 128;

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
/// and each mailbox's task takes, a message at a time.
#[derive(Clone, Debug)]
struct Backlogs {
    waiting: Arc<Mutex<Waiting>>,
    hosting: Hosting,
}

/// A chain's mailbox: its engine's, or its pool's. A full pool keeps no vote waiting.
type Mailbox = (u64, Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Engine,
    Pool,
}

#[derive(Debug, Default)]
struct Waiting {
    backlogs: HashMap<Mailbox, Backlog>,
    /// Of all messages that wait, or are on their way to a mailbox.
    bytes: usize,
    /// How many backlogs each city's messages began.
    begun: BTreeMap<Address, usize>,
}

/// What waits for one mailbox; there while its task runs.
#[derive(Debug)]
struct Backlog {
    begun_by: Address,
    /// Each city has a share of its own, and they take turns.
    cities: BTreeMap<Address, Share>,
    /// Whose turn was last.
    last: Address,
}

#[derive(Debug, Default)]
struct Share {
    messages: VecDeque<Delivery>,
    bytes: usize,
    /// Whether something of this city's was lost.
    has_lost: bool,
}

/// What a mailbox's task does next.
#[derive(Debug)]
enum Next {
    Deliver(Delivery),
    /// Messages of this city were lost, and there is room again.
    Tell(Address),
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
    /// Gives a chain a message, after what waits for the same mailbox.
    fn deliver(&self, chain: u64, message: Delivery) {
        let mailbox = (chain, Kind::of(&message));
        let mut waiting = self.waiting.lock();
        let message = if waiting.backlogs.contains_key(&mailbox) {
            message
        } else {
            let Err(message) = self.hosting.try_deliver(chain, message) else {
                return;
            };
            self.begin(&mut waiting, mailbox, message.peer());
            message
        };
        if !waiting.push(mailbox, message) {
            self.hosting.common().metrics.message_lost();
        }
    }

    /// Tells a chain, if it is awake, that messages reach `peer`, perhaps after some were lost.
    fn connected(&self, chain: u64, peer: Address) {
        if self.hosting.try_connected(chain, peer) {
            return;
        }
        let mailbox = (chain, Kind::Engine);
        let mut waiting = self.waiting.lock();
        self.begin(&mut waiting, mailbox, peer);
        if let Some(backlog) = waiting.backlogs.get_mut(&mailbox) {
            backlog.cities.entry(peer).or_default().has_lost = true;
        }
    }

    /// Begins a backlog and its task, unless there is one, or no room for one more.
    fn begin(&self, waiting: &mut Waiting, mailbox: Mailbox, by: Address) {
        if waiting.begin(mailbox, by) {
            self.hosting.spawn(self.clone().clear(mailbox));
        }
    }

    /// Gives a mailbox what waits for it, until nothing does.
    async fn clear(self, mailbox: Mailbox) {
        let (chain, _) = mailbox;
        loop {
            let next = self.waiting.lock().next(mailbox);
            match next {
                None => return,
                Some(Next::Deliver(message)) => {
                    let length = message.length();
                    self.hosting.deliver(chain, message).await;
                    self.waiting.lock().bytes -= length;
                }
                Some(Next::Tell(peer)) => self.hosting.connected_on(chain, peer).await,
            }
        }
    }
}

impl Kind {
    const fn of(message: &Delivery) -> Self {
        match message {
            Delivery::Message { .. } => Self::Engine,
            Delivery::Transactions { .. } => Self::Pool,
        }
    }
}

impl Waiting {
    /// Begins a backlog, unless there is one, or no room for one more. Says whether it did.
    fn begin(&mut self, mailbox: Mailbox, by: Address) -> bool {
        let begun = self.begun.get(&by).copied().unwrap_or_default();
        let is_full = self.backlogs.len() >= MAILBOXES || begun >= BEGUN_BY_ONE;
        if is_full || self.backlogs.contains_key(&mailbox) {
            return false;
        }
        let backlog = Backlog {
            begun_by: by,
            cities: BTreeMap::new(),
            last: by,
        };
        self.backlogs.insert(mailbox, backlog);
        self.begun.insert(by, begun + 1);
        true
    }

    /// Adds a message to its city's share of a backlog; says whether there was room. That it was lost is noted.
    fn push(&mut self, mailbox: Mailbox, message: Delivery) -> bool {
        let Some(backlog) = self.backlogs.get_mut(&mailbox) else {
            return false;
        };
        let length = message.length();
        let share = backlog.cities.entry(message.peer()).or_default();
        // The first one may be longer than a share, and keeps no other out.
        let fits = share.messages.is_empty()
            || (share.messages.len() < MESSAGES && share.bytes + length <= BYTES);
        if !fits || self.bytes + length > BYTES_IN_ALL {
            share.has_lost = true;
            return false;
        }
        share.bytes += length;
        self.bytes += length;
        share.messages.push_back(message);
        true
    }

    /// What a mailbox's task is to do; `None` when nothing waits, and the backlog is over. The bytes of a message count until
    /// it is delivered.
    fn next(&mut self, mailbox: Mailbox) -> Option<Next> {
        let backlog = self.backlogs.get_mut(&mailbox)?;
        while let Some(city) = backlog.next_city() {
            backlog.last = city;
            let share = backlog.cities.get_mut(&city)?;
            if let Some(message) = share.messages.pop_front() {
                share.bytes -= message.length();
                return Some(Next::Deliver(message));
            }
            let has_lost = share.has_lost;
            backlog.cities.remove(&city);
            if has_lost {
                return Some(Next::Tell(city));
            }
        }
        let begun_by = self.backlogs.remove(&mailbox)?.begun_by;
        if let Slot::Occupied(mut begun) = self.begun.entry(begun_by) {
            *begun.get_mut() -= 1;
            if *begun.get() == 0 {
                begun.remove();
            }
        }
        None
    }
}

impl Backlog {
    /// Whose turn is after the last.
    fn next_city(&self) -> Option<Address> {
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let next = self.cities.range(after).next();
        let next = next.or_else(|| self.cities.first_key_value());
        next.map(|(city, _)| *city)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes};

    use super::{
        BEGUN_BY_ONE, BYTES, BYTES_IN_ALL, Delivery, Kind, MESSAGES, Mailbox, Next, Waiting,
    };

    const MAILBOX: Mailbox = (7, Kind::Engine);
    const OTHER: Mailbox = (7, Kind::Pool);

    fn city(n: u8) -> Address {
        Address::repeat_byte(n)
    }

    fn message(peer: u8, length: usize) -> Delivery {
        Delivery::Message {
            peer: city(peer),
            payload: Bytes::from(vec![peer; length]),
        }
    }

    fn waiting() -> Waiting {
        let mut waiting = Waiting::default();
        for mailbox in [MAILBOX, OTHER] {
            assert!(waiting.begin(mailbox, city(1)));
        }
        waiting
    }

    /// Whose message is next; its bytes count no more.
    fn next(waiting: &mut Waiting) -> Address {
        match waiting.next(MAILBOX) {
            Some(Next::Deliver(message)) => {
                waiting.bytes -= message.length();
                message.peer()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_floods_loses_what_is_his_and_the_others_take_turns_with_him() {
        let mut waiting = waiting();
        for _ in 0..MESSAGES {
            assert!(waiting.push(MAILBOX, message(9, 10)));
        }
        assert!(!waiting.push(MAILBOX, message(9, 10)), "his share is full");
        for length in [1, 2] {
            assert!(waiting.push(MAILBOX, message(8, length)), "hers is not");
        }
        assert!(waiting.push(OTHER, message(9, 10)), "another mailbox");
        for peer in [8, 9, 8, 9] {
            assert_eq!(next(&mut waiting), city(peer));
        }
        for _ in 2..MESSAGES {
            assert_eq!(next(&mut waiting), city(9));
        }
        let Some(Next::Tell(lost)) = waiting.next(MAILBOX) else {
            panic!("nobody is told");
        };
        assert_eq!(lost, city(9));
        assert!(waiting.next(MAILBOX).is_none());
        assert!(!waiting.backlogs.contains_key(&MAILBOX));
        assert_eq!(waiting.bytes, 10, "of the other mailbox");
        assert_eq!(waiting.begun.get(&city(1)), Some(&1));
    }

    #[test]
    fn messages_of_one_city_keep_their_order() {
        let mut waiting = waiting();
        for length in 1..=20 {
            assert!(waiting.push(MAILBOX, message(1, length)));
        }
        for length in 1..=20 {
            match waiting.next(MAILBOX) {
                Some(Next::Deliver(message)) => assert_eq!(message.length(), length),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn bytes_are_bounded_and_the_longest_message_passes() {
        let mut waiting = waiting();
        assert!(waiting.push(MAILBOX, message(1, BYTES + 1)));
        assert!(!waiting.push(MAILBOX, message(1, 1)));
        assert!(waiting.push(MAILBOX, message(2, BYTES_IN_ALL - BYTES - 1)));
        assert!(!waiting.push(OTHER, message(3, 1)), "all together");
        assert_eq!(waiting.bytes, BYTES_IN_ALL);
        assert_eq!(next(&mut waiting), city(2));
        assert!(waiting.push(OTHER, message(3, 1)));
    }

    #[test]
    fn one_city_begins_so_many_backlogs_and_no_more() {
        let mut waiting = Waiting::default();
        for chain in 0..2_000 {
            let began = waiting.begin((chain, Kind::Engine), city(1));
            assert_eq!(began, chain < BEGUN_BY_ONE as u64, "{chain}");
        }
        assert!(waiting.begin((3_000, Kind::Engine), city(2)));
        assert!(
            !waiting.push((1_999, Kind::Engine), message(1, 1)),
            "there is none"
        );
        assert!(waiting.next((0, Kind::Engine)).is_none());
        assert!(waiting.begin((0, Kind::Pool), city(1)), "one is over");
    }
}
