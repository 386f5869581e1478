//! Whose turn it is.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{Arrived, Generation, Inbox, News};
use crate::PeerId;
use crate::limits::{Class, DROPPED_REMEMBERED, PASSED_OVER};

const fn id(peer: u8) -> PeerId {
    PeerId([peer; 20])
}

/// An inbox of peers that are all up, which has been told.
fn inbox(peers: u8) -> (Inbox, Vec<Generation>) {
    let mut inbox = Inbox::new();
    let generations = (0..peers).map(|peer| inbox.up(id(peer))).collect();
    for peer in 0..peers {
        assert_eq!(inbox.next(), Some(News::Up(id(peer))));
    }
    (inbox, generations)
}

fn arrived(budget: &Arc<Semaphore>) -> Arrived {
    Arrived {
        payload: Bytes::from_static(b"payload"),
        _permit: Arc::clone(budget).try_acquire_owned().unwrap(),
    }
}

/// Which peer and chain is served next.
fn next(inbox: &mut Inbox) -> (PeerId, Class, u64) {
    match inbox.next() {
        Some(News::Received(peer, class, chain, _)) => (peer, class, chain),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_flood_of_one_peer_or_chain_delays_others_by_one_payload() {
    let budget = Arc::new(Semaphore::new(100));
    let (mut inbox, generations) = inbox(2);
    for _ in 0..10 {
        inbox.push(id(0), generations[0], Class::Sync, 7, arrived(&budget));
    }
    inbox.push(id(0), generations[0], Class::Sync, 8, arrived(&budget));
    inbox.push(id(1), generations[1], Class::Sync, 9, arrived(&budget));
    assert_eq!(next(&mut inbox), (id(0), Class::Sync, 7));
    assert_eq!(next(&mut inbox), (id(1), Class::Sync, 9));
    assert_eq!(next(&mut inbox), (id(0), Class::Sync, 8));
    assert_eq!(next(&mut inbox), (id(0), Class::Sync, 7));
}

#[test]
fn the_urgent_comes_first_and_the_rest_has_its_turns() {
    let budget = Arc::new(Semaphore::new(10_000));
    let (mut inbox, generations) = inbox(1);
    for _ in 0..1000 {
        for class in Class::ALL {
            inbox.push(id(0), generations[0], class, 1, arrived(&budget));
        }
    }
    let first: Vec<Class> = (0..100).map(|_| next(&mut inbox).1).collect();
    let of = |class| first.iter().filter(|other| **other == class).count();
    assert!(
        first[..PASSED_OVER as usize]
            .iter()
            .all(|class| *class == Class::Consensus)
    );
    assert!(of(Class::Consensus) > 80, "{first:?}");
    assert!(
        of(Class::Transactions) >= 4 && of(Class::Sync) >= 4,
        "{first:?}"
    );
}

#[test]
fn what_is_taken_or_forgotten_frees_its_budget() {
    let budget = Arc::new(Semaphore::new(3));
    let (mut inbox, generations) = inbox(1);
    for _ in 0..3 {
        inbox.push(id(0), generations[0], Class::Sync, 1, arrived(&budget));
    }
    assert_eq!(budget.available_permits(), 0);
    next(&mut inbox);
    assert_eq!(budget.available_permits(), 1);
    inbox.down(id(0), generations[0]);
    assert_eq!(budget.available_permits(), 3);
    assert_eq!(inbox.next(), Some(News::Down(id(0))));
    // A reader that comes late.
    inbox.push(id(0), generations[0], Class::Sync, 1, arrived(&budget));
    assert_eq!(inbox.next(), None);
    assert_eq!(budget.available_permits(), 3);
}

#[test]
fn a_link_that_flickers_is_told_down_and_up_once() {
    let (mut inbox, mut last) = inbox(2);
    for _ in 0..5 {
        inbox.down(id(1), last[1]);
        last[1] = inbox.up(id(1));
    }
    assert_eq!(inbox.next(), Some(News::Down(id(1))));
    assert_eq!(inbox.next(), Some(News::Up(id(1))));
    assert_eq!(inbox.next(), None);
    inbox.down(id(0), last[0]);
    let again = inbox.up(id(0));
    inbox.down(id(0), again);
    assert_eq!(inbox.next(), Some(News::Down(id(0))));
    assert_eq!(inbox.next(), None);
    let again = inbox.up(id(0));
    inbox.down(id(0), again);
    assert_eq!(inbox.next(), None);
}

#[test]
fn the_end_of_an_earlier_connection_is_none_of_the_later_one() {
    let (mut inbox, last) = inbox(1);
    let later = inbox.up(id(0));
    inbox.down(id(0), last[0]);
    assert_eq!(inbox.next(), Some(News::Down(id(0))));
    assert_eq!(inbox.next(), Some(News::Up(id(0))));
    assert_eq!(inbox.next(), None);
    inbox.down(id(0), later);
    assert_eq!(inbox.next(), Some(News::Down(id(0))));
}

#[test]
fn nothing_is_kept_of_links_that_are_down_told_or_not() {
    let budget = Arc::new(Semaphore::new(10));
    let (mut inbox, last) = inbox(1);
    for peer in 1..200 {
        let generation = inbox.up(id(peer));
        let payload = arrived(&budget);
        inbox.push(id(peer), generation, Class::Sync, 1, payload);
        inbox.dropped(id(peer), 1);
        inbox.down(id(peer), generation);
        inbox.removed(id(peer));
    }
    assert_eq!((inbox.links.len(), inbox.changed.len()), (1, 0));
    inbox.down(id(0), last[0]);
    assert_eq!(inbox.next(), Some(News::Down(id(0))));
    assert_eq!(inbox.next(), None);
    assert!(inbox.links.is_empty() && inbox.dropped.is_empty());
    let of = |waiting: &super::Waiting| waiting.chains.len();
    assert_eq!(inbox.classes.iter().map(of).sum::<usize>(), 0);
}

#[test]
fn drops_are_told_once_for_each_chain_and_bounded() {
    let (mut inbox, _) = inbox(1);
    inbox.dropped(id(0), 5);
    inbox.dropped(id(0), 5);
    assert_eq!(inbox.next(), Some(News::Dropped(id(0), 5)));
    assert_eq!(inbox.next(), None);
    for chain in 0..2 * DROPPED_REMEMBERED as u64 {
        inbox.dropped(id(0), chain);
    }
    let told = std::iter::from_fn(|| inbox.next()).count();
    assert_eq!(told, DROPPED_REMEMBERED);
}
