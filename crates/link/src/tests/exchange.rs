//! Cities that mean well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::scenery::{City, eventually, plan, start};
use crate::{Class, Event, Limits, OVERHEAD, PeerId, QueueLimits};

/// The first `n` cities of as many, all of whose links are up.
async fn cities(n: u8) -> Vec<City> {
    let plans = plan(n);
    let mut cities: Vec<City> = plans.iter().map(|city| city.start(&plans)).collect();
    for city in &mut cities {
        let mut missing: BTreeSet<PeerId> = plans.iter().map(|plan| plan.id).collect();
        missing.remove(&city.id);
        city.until(|event| {
            if let Event::Up { peer } = event {
                missing.remove(&peer);
            }
            missing.is_empty().then_some(())
        })
        .await;
    }
    cities
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_city_hears_every_other_in_every_class_and_order_is_kept() {
    let mut cities = cities(3).await;
    let ids: Vec<PeerId> = cities.iter().map(|city| city.id).collect();
    for from in &cities {
        for to in ids.iter().filter(|to| **to != from.id) {
            for number in 0..20_u8 {
                for class in Class::ALL {
                    let payload = Bytes::from(vec![from.id.0[0], number]);
                    from.links.send(*to, u64::from(number % 2), class, payload);
                }
            }
        }
    }
    for city in &mut cities {
        let mut last: BTreeMap<(PeerId, u64, Class), u8> = BTreeMap::new();
        for _ in 0..2 * 3 * 20 {
            let (peer, chain, class, payload) = city.received().await;
            assert_eq!(payload[0], peer.0[0]);
            let before = last.insert((peer, chain, class), payload[1]);
            let due = before.map_or(chain, |before| u64::from(before) + 2);
            assert_eq!(u64::from(payload[1]), due);
        }
        assert_eq!(last.len(), 2 * 3 * 2);
        let figures = city.links.figures();
        assert_eq!(figures.connected, 2);
        assert_eq!(
            figures.sent.map(|sent| (sent.payloads, sent.bytes)),
            [(40, 80); 3]
        );
        assert_eq!(figures.received, figures.sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_and_the_shortest_payload_pass_and_a_longer_one_is_not_sent() {
    let mut cities = cities(2).await;
    let (one, two) = (cities[0].id, cities[1].id);
    for class in Class::ALL {
        cities[0]
            .links
            .send(two, 1, class, Bytes::from(vec![5; class.longest() + 1]));
        cities[0]
            .until(|event| {
                (event
                    == Event::Dropped {
                        peer: two,
                        chain: 1,
                    })
                .then_some(())
            })
            .await;
        for payload in [
            Bytes::from(vec![class as u8; class.longest()]),
            Bytes::new(),
        ] {
            cities[0].links.send(two, 1, class, payload.clone());
            let received = cities[1].received().await;
            assert!(received == (one, 1, class, payload), "{class:?}");
        }
    }
    assert_eq!(cities[0].links.figures().dropped.too_long, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_chains_share_a_link_and_hold_few_streams() {
    const CHAINS: u64 = 3000;
    let mut cities = cities(2).await;
    let two = cities[1].id;
    for round in 0..2_u8 {
        for chain in 0..CHAINS {
            cities[0]
                .links
                .send(two, chain, Class::Consensus, Bytes::from(vec![round]));
        }
        let mut heard = BTreeSet::new();
        for _ in 0..CHAINS {
            let (_, chain, _, payload) = cities[1].received().await;
            assert_eq!(payload[0], round);
            assert!(heard.insert(chain));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_urgent_overtakes_a_full_link() {
    let mut cities = cities(2).await;
    let two = cities[1].id;
    fill(&cities[0], two).await;
    // A vote, while blocks wait in the queue, in QUIC and at the receiver, who takes nothing.
    cities[0]
        .links
        .send(two, 1, Class::Consensus, Bytes::from_static(b"vote"));
    let receiver = cities[1].links.clone();
    eventually(|| receiver.figures().received[Class::Consensus.index()].payloads == 1).await;
    let mut before = 0;
    while cities[1].received().await.2 != Class::Consensus {
        before += 1;
    }
    // Those that were in the channel already.
    assert!(before <= 9, "{before}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_and_tells_and_the_link_goes_on() {
    let mut cities = cities(2).await;
    let (one, two) = (cities[0].id, cities[1].id);
    fill(&cities[0], two).await;
    let peer = &cities[0].links.peers()[0];
    let bound = Limits::default().queues[Class::Sync.index()].chain_bytes;
    let waiting = peer.connected.unwrap().waiting_bytes;
    assert!(waiting <= bound && waiting > bound / 2, "{waiting}");
    let (sent, dropped) = {
        let figures = cities[0].links.figures();
        (FILLING, figures.dropped.full)
    };
    assert!(dropped > 0);
    cities[0]
        .until(|event| {
            (event
                == Event::Dropped {
                    peer: two,
                    chain: 9,
                })
            .then_some(())
        })
        .await;
    // What was not dropped arrives, and what comes after it.
    for _ in dropped..sent {
        assert_eq!(cities[1].received().await.0, one);
    }
    cities[0]
        .links
        .send(two, 9, Class::Sync, Bytes::from_static(b"after"));
    assert_eq!(cities[1].received().await.3, "after");
}

/// Payloads of 1 MiB that [`fill`] sends: more than all queues between two cities hold.
const FILLING: u64 = 120;

/// Sends blocks of chain 9 until nothing moves any more, since the peer takes nothing.
async fn fill(from: &City, to: PeerId) {
    let block = Bytes::from(vec![1; 1 << 20]);
    let sent = || from.links.figures().sent[Class::Sync.index()].payloads;
    for number in 0..FILLING {
        // Up to where the receiver's budget ends every one finds room.
        from.links.send(to, 9, Class::Sync, block.clone());
        if number < 20 {
            eventually(|| sent() > number).await;
        }
    }
    assert!(from.links.figures().dropped.full > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_city_does_not_hold_up_another() {
    let mut cities = cities(3).await;
    let (one, two, three) = (cities[0].id, cities[1].id, cities[2].id);
    // The second city floods the third, which takes nothing for now; then the first has one word to say.
    fill(&cities[1], three).await;
    cities[0]
        .links
        .send(three, 9, Class::Sync, Bytes::from_static(b"word"));
    let receiver = cities[2].links.clone();
    eventually(|| {
        let peers = receiver.peers();
        peers
            .iter()
            .any(|peer| peer.id == one && peer.received[Class::Sync.index()].payloads == 1)
    })
    .await;
    let mut before = 0;
    loop {
        match cities[2].received().await {
            (peer, ..) if peer == one => break,
            (peer, ..) => assert_eq!(peer, two),
        }
        before += 1;
    }
    assert!(before <= 10, "{before}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_grows_for_a_city_that_is_away() {
    let plans = plan(2);
    let one = plans[0].start(&plans);
    for _ in 0..1000 {
        one.links
            .send(plans[1].id, 1, Class::Sync, Bytes::from(vec![0; 1000]));
    }
    one.links
        .send(PeerId([99; 20]), 1, Class::Sync, Bytes::new());
    let figures = one.links.figures();
    assert_eq!(figures.dropped.unconnected, 1000);
    assert_eq!(figures.unknown_peer, 1);
    assert_eq!(figures.connected, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_link_sends_keep_alives_from_one_side_and_nothing_else() {
    let keep_alive = Duration::from_millis(300);
    let plans = plan(2);
    let mut cities: Vec<City> = plans
        .iter()
        .map(|plan| {
            let mut config = plan.config(&plans);
            config.limits.keep_alive = keep_alive;
            config.limits.idle_timeout = 10 * keep_alive;
            start(config)
        })
        .collect();
    cities[0].up(plans[1].id).await;
    cities[1].up(plans[0].id).await;
    let seen = |city: &City| city.links.peers()[0].connected.unwrap();
    // On a busy machine a late answer makes QUIC probe; what is sent of its own accord would be in every window.
    for _ in 0..10 {
        let (start, first) = (Instant::now(), [seen(&cities[0]), seen(&cities[1])]);
        eventually(|| seen(&cities[0]).pings_sent >= first[0].pings_sent + 6).await;
        let (took, last) = (start.elapsed(), [seen(&cities[0]), seen(&cities[1])]);
        assert_eq!(last[1].pings_sent, first[1].pings_sent);
        let sent = last[0].datagrams_sent - first[0].datagrams_sent;
        // Each keep-alive is one datagram, and is answered by one; the last answer may be under way.
        let answers = last[1].datagrams_sent - first[1].datagrams_sent;
        if took >= 5 * keep_alive && sent == 6 && answers <= 7 {
            return;
        }
    }
    panic!("no six keep-alives without anything else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_streams_are_closed_and_opened_again() {
    let plans = plan(2);
    let mut cities: Vec<City> = plans
        .iter()
        .map(|plan| {
            let mut config = plan.config(&plans);
            config.limits.stream_idle = Duration::from_millis(20);
            start(config)
        })
        .collect();
    cities[0].up(plans[1].id).await;
    for number in 0..3_u8 {
        cities[0]
            .links
            .send(plans[1].id, 1, Class::Sync, Bytes::from(vec![number]));
        assert_eq!(cities[1].received().await.3[0], number);
        let links = cities[0].links.clone();
        eventually(|| links.peers()[0].connected.unwrap().streams == 0).await;
    }
    assert_eq!(cities[1].links.figures().dropped.full, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_queues_share_their_room_between_chains() {
    let plans = plan(2);
    let mut config = plans[0].config(&plans);
    let queue = QueueLimits {
        chain_bytes: 4 << 20,
        total_bytes: 4 << 20,
    };
    config.limits.queues = [queue; 3];
    let (mut one, two) = (start(config), plans[1].start(&plans));
    one.up(two.id).await;
    fill(&one, two.id).await;
    one.links.send(
        two.id,
        10,
        Class::Sync,
        Bytes::from(vec![0; (1 << 20) - OVERHEAD]),
    );
    let told = one.until(|event| match event {
        Event::Dropped { chain, .. } => Some(chain),
        _ => None,
    });
    assert_eq!(told.await, 9);
    assert_eq!(two.links.figures().connected, 1);
}
