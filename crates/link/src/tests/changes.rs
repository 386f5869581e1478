//! Cities that are admitted, removed, moved, or given another key while the others go on.

use std::time::Duration;

use bytes::Bytes;

use super::scenery::{City, Plan, closed_for, eventually, plan, start};
use crate::greeting::greet;
use crate::lines::Listed;
use crate::refused::Closing;
use crate::{Class, Config, Event, MOST_PEERS, Peer, PeerId, Refused, StartError};

const REMOVED: Closing = Closing::Refused(Refused::Removed);
const KEY_REPLACED: Closing = Closing::Refused(Refused::KeyReplaced);

/// Two cities whose link is up, which has been told.
async fn pair(plans: &[Plan]) -> (City, City) {
    let (mut one, mut two) = (plans[0].start(&plans[..2]), plans[1].start(&plans[..2]));
    one.up(two.id).await;
    two.up(one.id).await;
    (one, two)
}

/// A payload passes from one to the other, and nothing else is told before it: their link was not touched.
async fn goes_on(from: &City, to: &mut City) {
    let payload = Bytes::from_static(b"as before");
    from.links.send(to.id, 0, Class::Consensus, payload.clone());
    let received = Event::Received {
        peer: from.id,
        chain: 0,
        class: Class::Consensus,
        payload,
    };
    assert_eq!(to.next().await, received);
}

/// The caller may believe itself connected until it is told.
async fn is_a_stranger(caller: &Plan, at: &City, plan: &Plan) {
    let before = at.refused(Refused::Stranger);
    if let Ok(connection) = caller.call(plan).await {
        assert!(greet(&connection, &caller.hello()).await.is_err());
    }
    eventually(|| at.refused(Refused::Stranger) > before).await;
}

/// Calls often, whatever comes of it.
fn impatient(plan: &Plan, plans: &[Plan]) -> Config {
    let mut config = plan.config(plans);
    config.limits.backoff_last = config.limits.backoff_first;
    config.limits.greeting_timeout = Duration::from_millis(500);
    config
}

/// A city that cannot be called, each attempt being counted: when there were some more, others would have had theirs.
fn nowhere(id: u8) -> Peer {
    Peer {
        id: PeerId([id; 20]),
        fingerprint: [id; 32],
        endpoint: "nowhere".to_owned(),
    }
}

async fn after_some_calls(city: &City) {
    let before = city.refused(Refused::Unresolved);
    eventually(|| city.refused(Refused::Unresolved) >= before + 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_city_that_is_admitted_is_called_and_let_in_and_the_others_go_on() {
    // The one admitted calls the others, calls one of them, or calls none.
    for admitted in 0..3 {
        let plans = plan(3);
        let mut old = plans.clone();
        let admitted = old.remove(admitted);
        let (mut one, mut two) = pair(&old).await;
        let mut new = admitted.start(&plans);
        for city in [&one, &two] {
            city.set_peers(&plans);
        }
        for city in [&mut one, &mut two] {
            assert_eq!(city.next().await, Event::Up { peer: new.id });
        }
        let mut met = [new.next().await, new.next().await];
        met.sort_by_key(|event| format!("{event:?}"));
        assert_eq!(met, [&one, &two].map(|city| Event::Up { peer: city.id }));
        for city in [&mut one, &mut two] {
            goes_on(&new, city).await;
            goes_on(city, &mut new).await;
        }
        goes_on(&one, &mut two).await;
        goes_on(&two, &mut one).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_city_that_is_removed_is_cut_at_once_and_is_a_stranger_then() {
    for at in 0..2 {
        let plans = plan(3);
        // One calls the removed city, the other is called by it.
        let others = [plans[0].clone(), plans[2].clone()];
        let removed = &plans[1];
        let mut city = others[at].start(&plans);
        let mut other = others[1 - at].start(&plans);
        city.up(other.id).await;
        other.up(city.id).await;
        let mut gone = removed.start(&others[at..=at]);
        city.up(gone.id).await;
        gone.up(city.id).await;
        let sent = city.links.figures().sent;
        let payload = Bytes::from_static(b"for nobody");
        city.set_peers(&others);
        // It is done, not only begun.
        assert!(city.links.peers().iter().all(|peer| peer.id != gone.id));
        assert_eq!(city.links.figures().connected, 1);
        assert_eq!(city.refused(Refused::Removed), 1);
        city.links.send(gone.id, 1, Class::Sync, payload);
        assert_eq!(city.links.figures().unknown_peer, 1);
        assert_eq!(city.links.figures().sent, sent);
        assert_eq!(city.next().await, Event::Down { peer: gone.id });
        gone.down(city.id).await;
        eventually(|| gone.links.peers()[0].refused.is_some()).await;
        is_a_stranger(removed, &city, &others[at]).await;
        goes_on(&city, &mut other).await;
        goes_on(&other, &mut city).await;
    }
}

#[tokio::test]
async fn a_city_that_is_removed_is_told_so_and_what_it_did_stays_counted() {
    let plans = plan(2);
    let mut two = plans[1].start(&plans);
    let connection = plans[0].greet(&plans[1]).await;
    two.up(plans[0].id).await;
    two.links
        .send(plans[0].id, 1, Class::Sync, Bytes::from_static(b"sent"));
    eventually(|| two.links.figures().sent[Class::Sync.index()].payloads == 1).await;
    two.set_peers(&[]);
    assert_eq!(closed_for(&connection).await, REMOVED);
    two.down(plans[0].id).await;
    let figures = two.links.figures();
    assert_eq!(figures.sent[Class::Sync.index()].bytes, 4);
    assert_eq!(two.links.peers().len(), 0);
    // Admitted again, it is a peer like any other.
    two.set_peers(&plans);
    let _connection = plans[0].greet(&plans[1]).await;
    assert_eq!(two.next().await, Event::Up { peer: plans[0].id });
    assert_eq!(two.links.figures().sent, figures.sent);
}

#[tokio::test]
async fn a_city_that_is_removed_while_it_greets_is_not_let_in() {
    let plans = plan(2);
    for side in 0..2 {
        let (caller, plan) = (&plans[side], &plans[1 - side]);
        let mut city = plan.start(&[]);
        city.set_peers(&plans);
        let connection = caller.call(plan).await.unwrap();
        // It greets, so the handshake is behind it.
        let heard = connection.accept_uni().await.unwrap();
        drop(heard);
        city.set_peers(&[]);
        let mut said = connection.open_uni().await.unwrap();
        said.write_all(&caller.hello().encode()).await.unwrap();
        said.finish().unwrap();
        assert_eq!(closed_for(&connection).await, REMOVED);
        assert!(city.events.try_recv().is_err());
        city.links.stop().await;
    }
}

#[tokio::test]
async fn a_city_that_is_removed_is_not_called_any_more() {
    let plans = plan(2);
    let mut config = impatient(&plans[0], &plans);
    config.peers.push(nowhere(9));
    let (one, two) = (start(config), plans[1].start(&[]));
    let refused = || one.refused(Refused::KeyUnknownThere);
    eventually(|| refused() > 2).await;
    one.links.set_peers(vec![nowhere(9)]);
    // A call may have been about to end.
    let calls = refused() + 1;
    after_some_calls(&one).await;
    assert!(refused() <= calls);
    let strangers = two.refused(Refused::Stranger);
    after_some_calls(&one).await;
    assert_eq!(two.refused(Refused::Stranger), strangers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_city_that_moved_is_called_where_it_is_now_and_an_open_link_stays() {
    let plans = plan(3);
    let away = Plan {
        address: plans[2].address,
        ..plans[1].clone()
    };
    let mut one = start(impatient(&plans[0], std::slice::from_ref(&away)));
    // It looks for nobody, so that it has to be found.
    let mut lost = plans[0].clone();
    lost.address = plans[2].address;
    let mut two = plans[1].start(&[lost]);
    eventually(|| one.refused(Refused::Unreachable) > 0).await;
    one.set_peers(&plans[..2]);
    assert_eq!(one.next().await, Event::Up { peer: two.id });
    two.up(one.id).await;
    one.set_peers(&[away]);
    goes_on(&one, &mut two).await;
    goes_on(&two, &mut one).await;
    assert_eq!(one.links.figures().connected, 1);
}

#[tokio::test]
async fn a_key_that_is_replaced_closes_the_link_and_only_the_new_one_opens_it() {
    let plans = plan(2);
    let mut two = plans[1].start(&plans);
    let new = plans[0].with_another_key();
    let connection = plans[0].greet(&plans[1]).await;
    two.up(new.id).await;
    two.set_peers(std::slice::from_ref(&new));
    assert_eq!(two.links.figures().connected, 0);
    assert_eq!(two.refused(Refused::KeyReplaced), 1);
    assert_eq!(two.next().await, Event::Down { peer: new.id });
    assert_eq!(closed_for(&connection).await, KEY_REPLACED);
    is_a_stranger(&plans[0], &two, &plans[1]).await;
    let connection = new.greet(&plans[1]).await;
    assert_eq!(two.next().await, Event::Up { peer: new.id });
    // The new key is pinned for the city now, and closes nothing when it is listed again, elsewhere.
    let mut moved = new.clone();
    moved.address = plans[1].address;
    two.set_peers(&[moved]);
    assert_eq!(two.links.figures().connected, 1);
    assert_eq!(connection.close_reason(), None);
}

#[tokio::test]
async fn a_key_that_is_replaced_during_a_greeting_does_not_get_in() {
    let plans = plan(2);
    let two = plans[1].start(&plans);
    let connection = plans[0].call(&plans[1]).await.unwrap();
    drop(connection.accept_uni().await.unwrap());
    two.set_peers(&[plans[0].with_another_key()]);
    let mut said = connection.open_uni().await.unwrap();
    said.write_all(&plans[0].hello().encode()).await.unwrap();
    said.finish().unwrap();
    assert_eq!(closed_for(&connection).await, KEY_REPLACED);
    assert_eq!(two.links.figures().connected, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_city_with_a_new_key_is_called_by_it() {
    let plans = plan(2);
    let (mut one, two) = pair(&plans).await;
    two.links.stop().await;
    drop(two.events);
    one.down(plans[1].id).await;
    let new = plans[1].with_another_key();
    eventually(|| std::net::UdpSocket::bind(new.address).is_ok()).await;
    let mut two = new.start(&plans);
    eventually(|| one.refused(Refused::WrongKey) > 0).await;
    one.set_peers(&[new]);
    assert_eq!(one.next().await, Event::Up { peer: two.id });
    two.up(one.id).await;
}

#[tokio::test]
async fn two_cities_may_exchange_their_keys_in_one_step() {
    let plans = plan(3);
    let mut three = plans[2].start(&plans);
    let connections = [
        plans[0].greet(&plans[2]).await,
        plans[1].greet(&plans[2]).await,
    ];
    eventually(|| three.links.figures().connected == 2).await;
    let mut exchanged = plans[..2].to_vec();
    exchanged[0].identity = plans[1].identity.clone();
    exchanged[1].identity = plans[0].identity.clone();
    three.set_peers(&exchanged);
    for connection in &connections {
        assert_eq!(closed_for(connection).await, KEY_REPLACED);
    }
    for plan in &exchanged {
        let _connection = plan.greet(&plans[2]).await;
        three.up(plan.id).await;
    }
    assert_eq!(three.refused(Refused::Stranger), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_list_again_changes_nothing_in_whatever_order() {
    let plans = plan(3);
    let mut cities: Vec<City> = plans.iter().map(|city| city.start(&plans)).collect();
    for city in &mut cities {
        for _ in 0..2 {
            assert!(matches!(city.next().await, Event::Up { .. }));
        }
    }
    let mut backwards = plans.clone();
    backwards.reverse();
    for list in [&plans, &plans, &backwards, &plans] {
        for city in &cities {
            city.set_peers(list);
        }
    }
    let [one, two, three] = &mut cities[..] else {
        panic!()
    };
    goes_on(one, two).await;
    goes_on(two, three).await;
    goes_on(three, one).await;
    goes_on(two, one).await;
    goes_on(three, two).await;
    goes_on(one, three).await;
    for city in &cities {
        assert_eq!(city.links.figures().connected, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lists_the_key_of_another_or_of_this_city_takes_no_place() {
    let plans = plan(3);
    let (mut one, mut two) = pair(&plans[..2]).await;
    let thief = |of: &Plan| Plan {
        id: PeerId([0; 20]),
        ..of.clone()
    };
    let other_self = plans[0].with_another_key();
    one.set_peers(&[
        thief(&plans[1]),
        thief(&plans[0]),
        other_self,
        plans[0].clone(),
        plans[1].clone(),
        plans[1].with_another_key(),
    ]);
    let listed: Vec<PeerId> = one.links.peers().iter().map(|peer| peer.id).collect();
    assert_eq!(listed, [two.id]);
    goes_on(&one, &mut two).await;
    goes_on(&two, &mut one).await;
}

#[test]
fn a_list_is_taken_up_to_its_bound_and_who_is_there_has_precedence() {
    let peer = |number: usize| {
        let mut peer = nowhere(0);
        peer.id.0[..8].copy_from_slice(&number.to_be_bytes());
        peer.fingerprint[..8].copy_from_slice(&number.to_be_bytes());
        peer
    };
    let own = PeerId([255; 20]);
    let list: Vec<Peer> = (0..MOST_PEERS + 10).map(peer).collect();
    let last = peer(MOST_PEERS + 9);
    let listed = Listed::sort_out(own, [255; 32], list, |peer| *peer == last);
    assert!(matches!(listed.faults[..], [StartError::TooMany]));
    assert_eq!(listed.peers.len(), MOST_PEERS);
    assert_eq!(listed.peers[..2], [last, peer(0)]);
}

#[tokio::test]
async fn who_is_refused_is_not_called_either_until_its_time_is_over() {
    let plans = plan(2);
    let mut config = impatient(&plans[0], &plans);
    config.peers.push(nowhere(9));
    let (mut one, mut two) = (start(config), plans[1].start(&plans));
    one.up(two.id).await;
    two.up(one.id).await;
    one.links.refuse(two.id, Duration::MAX);
    assert_eq!(one.links.figures().connected, 0);
    one.down(two.id).await;
    assert_eq!(two.next().await, Event::Down { peer: one.id });
    assert_eq!(two.links.peers()[0].refused, Some(Refused::Untrue));
    after_some_calls(&one).await;
    assert!(two.events.try_recv().is_err());
    // Neither another place nor another key shortens it.
    let moved = plans[1].with_another_key();
    one.links.set_peers(vec![moved.peer(), nowhere(9)]);
    let connection = moved.call(&plans[0]).await.unwrap();
    let paused = Closing::Refused(Refused::Paused);
    assert_eq!(closed_for(&connection).await, paused);
    assert_eq!(one.refused(Refused::Paused), 1);
    assert_eq!(one.refused(Refused::Untrue), 1);
}

#[tokio::test]
async fn links_that_were_stopped_take_no_list() {
    let plans = plan(2);
    let one = plans[0].start(&plans);
    let handle = one.links.clone();
    one.links.stop().await;
    handle.set_peers(vec![]);
    assert_eq!(handle.peers().len(), 1);
}

#[test]
fn peers_are_set_from_outside_the_runtime() {
    let plans = plan(2);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut one, two) = {
        let _inside = runtime.enter();
        (plans[0].start(&[]), plans[1].start(&plans))
    };
    one.set_peers(&plans);
    runtime.block_on(one.up(two.id));
}
