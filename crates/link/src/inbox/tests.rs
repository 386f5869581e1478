//! Whose turn it is.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{Arrived, Generation, Inbox, News, PeerIndex};
use crate::limits::{Class, DROPPED_REMEMBERED, PASSED_OVER};

/// An inbox of peers that are all up, which has been told.
fn inbox(peers: usize) -> (Inbox, Vec<Generation>) {
    let mut inbox = Inbox::new(peers);
    let generations = (0..peers).map(|peer| inbox.up(peer)).collect();
    for peer in 0..peers {
        assert_eq!(inbox.next(), Some(News::Up(peer)));
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
fn next(inbox: &mut Inbox) -> (PeerIndex, Class, u64) {
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
        inbox.push(0, generations[0], Class::Sync, 7, arrived(&budget));
    }
    inbox.push(0, generations[0], Class::Sync, 8, arrived(&budget));
    inbox.push(1, generations[1], Class::Sync, 9, arrived(&budget));
    assert_eq!(next(&mut inbox), (0, Class::Sync, 7));
    assert_eq!(next(&mut inbox), (1, Class::Sync, 9));
    assert_eq!(next(&mut inbox), (0, Class::Sync, 8));
    assert_eq!(next(&mut inbox), (0, Class::Sync, 7));
}

#[test]
fn the_urgent_comes_first_and_the_rest_has_its_turns() {
    let budget = Arc::new(Semaphore::new(10_000));
    let (mut inbox, generations) = inbox(1);
    for _ in 0..1000 {
        for class in Class::ALL {
            inbox.push(0, generations[0], class, 1, arrived(&budget));
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
        inbox.push(0, generations[0], Class::Sync, 1, arrived(&budget));
    }
    assert_eq!(budget.available_permits(), 0);
    next(&mut inbox);
    assert_eq!(budget.available_permits(), 1);
    inbox.down(0);
    assert_eq!(budget.available_permits(), 3);
    assert_eq!(inbox.next(), Some(News::Down(0)));
    // A reader that comes late.
    inbox.push(0, generations[0], Class::Sync, 1, arrived(&budget));
    assert_eq!(inbox.next(), None);
    assert_eq!(budget.available_permits(), 3);
}

#[test]
fn a_link_that_flickers_is_told_down_and_up_once() {
    let (mut inbox, _) = inbox(2);
    for _ in 0..5 {
        inbox.down(1);
        inbox.up(1);
    }
    assert_eq!(inbox.next(), Some(News::Down(1)));
    assert_eq!(inbox.next(), Some(News::Up(1)));
    assert_eq!(inbox.next(), None);
    inbox.down(0);
    inbox.up(0);
    inbox.down(0);
    assert_eq!(inbox.next(), Some(News::Down(0)));
    assert_eq!(inbox.next(), None);
    inbox.up(0);
    inbox.down(0);
    assert_eq!(inbox.next(), None);
}

#[test]
fn drops_are_told_once_for_each_chain_and_bounded() {
    let (mut inbox, _) = inbox(1);
    inbox.dropped(0, 5);
    inbox.dropped(0, 5);
    assert_eq!(inbox.next(), Some(News::Dropped(0, 5)));
    assert_eq!(inbox.next(), None);
    for chain in 0..2 * DROPPED_REMEMBERED as u64 {
        inbox.dropped(0, chain);
    }
    let told = std::iter::from_fn(|| inbox.next()).count();
    assert_eq!(told, DROPPED_REMEMBERED);
}
