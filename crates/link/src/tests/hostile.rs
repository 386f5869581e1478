//! A peer whose key is right and whose bytes are not.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, SendStream};

use super::scenery::{City, Plan, closed_for, eventually, frame, plan, start};
use crate::limits::GREETED_FROM_ONE;
use crate::refused::Closing;
use crate::{Class, Event, Refused};

/// The second city, which the first, hostile one may call again at once after an abuse, and an honest third.
async fn besieged() -> (Vec<Plan>, City, City) {
    let plans = plan(3);
    let mut config = plans[1].config(&plans);
    config.limits.pause = Duration::ZERO;
    let mut city = start(config);
    let mut honest = plans[2].start(&plans);
    honest.up(plans[1].id).await;
    city.up(plans[2].id).await;
    (plans, city, honest)
}

/// Opens a stream, says `bytes` on it, and ends it if so wanted.
async fn say(connection: &Connection, bytes: &[u8], ends: bool) -> SendStream {
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if ends {
        stream.finish().unwrap();
    }
    // Ended by being dropped.
    stream
}

async fn still_serves(city: &mut City, honest: &City) {
    honest
        .links
        .send(city.id, 3, Class::Consensus, Bytes::from_static(b"honest"));
    let (peer, .., payload) = city.received().await;
    assert_eq!((peer, payload.as_ref()), (honest.id, b"honest".as_slice()));
}

#[tokio::test]
async fn what_is_no_frame_closes_the_connection_and_is_counted() {
    let (plans, mut city, honest) = besieged().await;
    let too_long = |class: Class| frame(class, 1, u32::try_from(class.longest() + 1).unwrap(), b"");
    let cases: Vec<(Vec<u8>, bool, Refused)> = vec![
        (too_long(Class::Consensus), false, Refused::FrameTooLong),
        (too_long(Class::Transactions), false, Refused::FrameTooLong),
        (too_long(Class::Sync), false, Refused::FrameTooLong),
        (
            frame(Class::Sync, 1, u32::MAX, b""),
            false,
            Refused::FrameTooLong,
        ),
        (b"GET / HTTP/1.1\r\n".to_vec(), false, Refused::StreamHead),
        (
            vec![1, 3, 0, 0, 0, 0, 0, 0, 0, 0],
            false,
            Refused::StreamHead,
        ),
        (
            vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            false,
            Refused::StreamHead,
        ),
        (vec![], true, Refused::CutShort),
        (vec![1, 0, 0], true, Refused::CutShort),
        (vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0], true, Refused::CutShort),
        (frame(Class::Sync, 1, 5, b"four"), true, Refused::CutShort),
        (
            [frame(Class::Sync, 1, 1, b"x"), vec![0, 0]].concat(),
            true,
            Refused::CutShort,
        ),
    ];
    for (bytes, ends, reason) in cases {
        let before = city.refused(reason);
        let connection = plans[0].greet(&plans[1]).await;
        let _stream = say(&connection, &bytes, ends).await;
        assert_eq!(
            closed_for(&connection).await,
            Closing::Refused(reason),
            "{bytes:?}"
        );
        eventually(|| city.refused(reason) == before + 1).await;
        city.down(plans[0].id).await;
    }
    still_serves(&mut city, &honest).await;
}

#[tokio::test]
async fn random_bytes_never_do_more_than_end_the_connection() {
    let (plans, mut city, honest) = besieged().await;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..30 {
        let connection = plans[0].greet(&plans[1]).await;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_le_bytes()
        })
        .take(100)
        .flatten()
        .collect();
        for piece in bytes.chunks(100) {
            let Ok(mut stream) = connection.open_uni().await else {
                break;
            };
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
        let closing = closed_for(&connection).await;
        assert!(
            matches!(closing, Closing::Refused(reason) if reason.is_abuse()),
            "{closing:?}"
        );
    }
    let figures = city.links.figures();
    let abuses = Refused::ALL.into_iter().filter(|reason| reason.is_abuse());
    assert_eq!(
        abuses.map(|reason| figures.refused(reason)).sum::<u64>(),
        30
    );
    still_serves(&mut city, &honest).await;
}

#[tokio::test]
async fn streams_and_datagrams_that_are_not_allowed_are_refused_by_quic() {
    let (plans, mut city, honest) = besieged().await;
    let connection = plans[0].greet(&plans[1]).await;
    assert_eq!(connection.max_datagram_size(), None);
    // Neither more streams than allowed nor one in both directions: the caller is not even let begin.
    let mut promises = Vec::new();
    for _ in 0..300 {
        let opening = tokio::time::timeout(Duration::from_millis(200), connection.open_uni());
        let Ok(stream) = opening.await else { break };
        let mut stream = stream.unwrap();
        stream
            .write_all(&frame(Class::Sync, 1, 9 << 20, b"a promise"))
            .await
            .unwrap();
        promises.push(stream);
    }
    let both = tokio::time::timeout(Duration::from_millis(200), connection.open_bi()).await;
    assert!(both.is_err());
    // 256 promises of 9 MiB each: they are not believed, and others are served.
    still_serves(&mut city, &honest).await;
    assert_eq!(connection.close_reason(), None);
}

#[tokio::test]
async fn who_abused_its_link_has_to_wait() {
    let plans = plan(2);
    let mut two = plans[1].start(&plans);
    let connection = plans[0].greet(&plans[1]).await;
    two.up(plans[0].id).await;
    let _stream = say(&connection, b"no head of a stream", false).await;
    assert_eq!(
        closed_for(&connection).await,
        Closing::Refused(Refused::StreamHead)
    );
    two.down(plans[0].id).await;
    let again = plans[0].call(&plans[1]).await.unwrap();
    assert_eq!(closed_for(&again).await, Closing::Refused(Refused::Paused));
    assert_eq!(two.refused(Refused::Paused), 1);
}

#[tokio::test]
async fn who_is_refused_is_told_and_kept_out_for_as_long_as_that_was_said() {
    let (plans, mut city, honest) = besieged().await;
    let connection = plans[0].greet(&plans[1]).await;
    city.up(plans[0].id).await;
    city.links.refuse(plans[0].id, Duration::from_mins(5));
    let untrue = Closing::Refused(Refused::Untrue);
    assert_eq!(closed_for(&connection).await, untrue);
    city.down(plans[0].id).await;
    city.links.refuse(plans[0].id, Duration::ZERO);
    let again = plans[0].call(&plans[1]).await.unwrap();
    assert_eq!(closed_for(&again).await, Closing::Refused(Refused::Paused));
    assert_eq!(city.refused(Refused::Untrue), 2);
    still_serves(&mut city, &honest).await;
}

#[tokio::test]
async fn who_was_refused_for_a_while_may_come_back_after_it() {
    let plans = plan(2);
    let (mut one, mut two) = (plans[0].start(&plans), plans[1].start(&plans));
    one.up(plans[1].id).await;
    two.up(plans[0].id).await;
    // The one that is kept out is the one that calls, and then the other.
    for (city, peer) in [(&two, plans[0].id), (&one, plans[1].id)] {
        city.links.refuse(peer, Duration::from_millis(50));
    }
    one.down(plans[1].id).await;
    two.down(plans[0].id).await;
    one.up(plans[1].id).await;
    two.up(plans[0].id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_nothing_costs_a_full_queue_and_no_more() {
    let (plans, mut city, honest) = besieged().await;
    let deaf = plans[0].greet(&plans[1]).await;
    city.up(plans[0].id).await;
    let block = Bytes::from(vec![1; 1 << 20]);
    for class in Class::ALL {
        for chain in 0..100 {
            city.links.send(plans[0].id, chain, class, block.clone());
        }
    }
    city.until(|event| matches!(event, Event::Dropped { .. }).then_some(()))
        .await;
    let status = &city.links.peers()[0];
    let limit: usize = crate::Limits::default()
        .queues
        .iter()
        .map(|queue| queue.total_bytes)
        .sum();
    let waiting = status.connected.unwrap().waiting_bytes;
    assert!(waiting <= limit && waiting > limit / 2, "{waiting}");
    city.links.send(
        honest.id,
        1,
        Class::Sync,
        Bytes::from_static(b"for the honest"),
    );
    let mut honest = honest;
    assert_eq!(honest.received().await.3, "for the honest");
    assert_eq!(deaf.close_reason(), None);
}

#[tokio::test]
async fn callers_that_say_nothing_keep_nobody_out() {
    let plans = plan(3);
    let mut config = plans[2].config(&plans);
    // Longer than the test.
    config.limits.greeting_timeout = Duration::from_mins(5);
    let mut city = start(config);
    let mut silent = Vec::new();
    for _ in 0..GREETED_FROM_ONE {
        silent.push(plans[1].call(&plans[2]).await.unwrap());
    }
    let refused = plans[1].call(&plans[2]).await.unwrap_err();
    assert_eq!(Refused::told_by(&refused), Some(Refused::Busy));
    assert_eq!(city.refused(Refused::Busy), 1);
    let honest = plans[0].start(&plans);
    city.up(honest.id).await;
    assert_eq!(city.refused(Refused::Greeting), 0);
    drop(silent);
}
