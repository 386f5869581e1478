//! Who is refused, and what both sides are told.

use std::net::SocketAddr;

use bytes::Bytes;

use super::scenery::{NETWORK, closed_for, eventually, plan, start};
use crate::greeting::greet;
use crate::refused::Closing;
use crate::wire::Hello;
use crate::{Class, Event, Identity, Links, PeerId, Refused, StartError};

#[tokio::test]
async fn a_key_that_is_not_the_pinned_one_is_refused_by_the_side_that_calls() {
    let plans = plan(2);
    let mut config = plans[0].config(&plans);
    config.peers[0].fingerprint = Identity::generate().unwrap().fingerprint();
    let (one, two) = (start(config), plans[1].start(&plans));
    eventually(|| one.refused(Refused::WrongKey) > 0).await;
    assert_eq!(one.links.peers()[0].refused, Some(Refused::WrongKey));
    assert_eq!(
        one.links.figures().connected + two.links.figures().connected,
        0
    );
}

#[tokio::test]
async fn a_key_that_is_not_the_pinned_one_is_refused_by_the_side_that_waits() {
    let plans = plan(2);
    let mut config = plans[1].config(&plans);
    config.peers[0].fingerprint = Identity::generate().unwrap().fingerprint();
    let (one, two) = (plans[0].start(&plans), start(config));
    eventually(|| two.refused(Refused::Stranger) > 0).await;
    eventually(|| one.refused(Refused::KeyUnknownThere) > 0).await;
    assert_eq!(
        one.links.figures().connected + two.links.figures().connected,
        0
    );
}

#[tokio::test]
async fn a_stranger_does_not_get_past_the_handshake_and_harms_nobody() {
    let plans = plan(2);
    let (mut one, mut two) = (plans[0].start(&plans), plans[1].start(&plans));
    one.up(two.id).await;
    let stranger = plans[0].with_another_key();
    for times in 1..=3 {
        // The caller may believe itself connected until it is told.
        if let Ok(connection) = stranger.call(&plans[1]).await {
            assert!(greet(&connection, &stranger.hello()).await.is_err());
        }
        eventually(|| two.refused(Refused::Stranger) == times).await;
    }
    one.links
        .send(two.id, 1, Class::Consensus, Bytes::from_static(b"vote"));
    assert_eq!(two.received().await.3, "vote");
    assert_eq!(two.links.figures().connected, 1);
}

#[tokio::test]
async fn another_network_is_refused_by_both() {
    let plans = plan(2);
    let mut config = plans[0].config(&plans);
    config.network = [8; 32];
    let (one, two) = (start(config), plans[1].start(&plans));
    eventually(|| one.refused(Refused::OtherNetwork) > 0).await;
    eventually(|| two.refused(Refused::OtherNetwork) > 0).await;
    assert_eq!(
        one.links.figures().connected + two.links.figures().connected,
        0
    );
}

/// What a city says to a peer of its that greets with `hello`.
async fn answer_to(hello: impl FnOnce(Hello) -> Hello) -> (Closing, u64) {
    let plans = plan(2);
    let two = plans[1].start(&plans);
    let connection = plans[0].call(&plans[1]).await.unwrap();
    let greeted = greet(&connection, &hello(plans[0].hello())).await.unwrap();
    assert_eq!(greeted.hello.network, NETWORK);
    let closing = closed_for(&connection).await;
    let Closing::Refused(reason) = closing else {
        panic!("{closing:?}")
    };
    assert_eq!(two.links.figures().connected, 0);
    (closing, two.refused(reason))
}

#[tokio::test]
async fn a_version_nobody_here_speaks_is_refused() {
    let answer = answer_to(|hello| Hello {
        versions: (2, 9),
        ..hello
    })
    .await;
    assert_eq!(answer, (Closing::Refused(Refused::Version), 1));
}

#[tokio::test]
async fn a_city_that_names_itself_as_another_is_refused() {
    let answer = answer_to(|hello| Hello {
        city: PeerId([9; 20]),
        ..hello
    })
    .await;
    assert_eq!(answer, (Closing::Refused(Refused::OtherCity), 1));
}

#[tokio::test]
async fn no_hello_is_refused() {
    for said in [
        b"GET / HTTP/1.1".as_slice(),
        &[0, 0],
        &[0xff; 3],
        &[0, 76, b'C'],
        &[],
    ] {
        let plans = plan(2);
        let two = plans[1].start(&plans);
        let connection = plans[0].call(&plans[1]).await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(said).await.unwrap();
        stream.finish().unwrap();
        let closing = closed_for(&connection).await;
        assert_eq!(closing, Closing::Refused(Refused::Greeting), "{said:?}");
        eventually(|| two.refused(Refused::Greeting) == 1).await;
    }
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let plans = plan(2);
    let mut config = plans[1].config(&plans);
    config.limits.greeting_timeout = std::time::Duration::from_millis(100);
    let two = start(config);
    let connection = plans[0].call(&plans[1]).await.unwrap();
    eventually(|| two.refused(Refused::Greeting) == 1).await;
    assert!(matches!(
        connection.closed().await,
        quinn::ConnectionError::ApplicationClosed(_)
    ));
}

#[tokio::test]
async fn another_process_with_the_own_key_is_found_by_both() {
    let plans = plan(1);
    let original = |listen: SocketAddr| {
        let mut config = plans[0].config(&[]);
        config.listen = listen;
        config.peers = vec![plans[0].peer()];
        start(config)
    };
    let mut first = original(plans[0].address);
    // A copy of the data folder elsewhere: it calls the city's published address.
    let mut copy = original("127.0.0.1:0".parse().unwrap());
    let copy_address = copy.links.local_addr().unwrap();
    let from = |event| match event {
        Event::OwnKey { from } => Some(from),
        _ => None,
    };
    assert_eq!(first.until(from).await, copy_address);
    assert_eq!(copy.until(from).await, plans[0].address);
}

#[tokio::test]
async fn an_endpoint_that_leads_back_is_an_echo_and_no_other_process() {
    let plans = plan(2);
    let mut config = plans[0].config(&plans);
    config.peers[0].endpoint = plans[0].address.to_string();
    config.peers.push(plans[0].peer());
    let mut one = start(config);
    eventually(|| one.refused(Refused::Echo) > 1).await;
    assert_eq!(one.refused(Refused::OwnKey), 0);
    assert!(one.events.try_recv().is_err());
}

#[tokio::test]
async fn peers_that_contradict_each_other_are_no_configuration() {
    let plans = plan(3);
    let refusal = |change: &dyn Fn(&mut crate::Config)| {
        let mut config = plans[0].config(&plans);
        change(&mut config);
        Links::start(config).map(|_| ()).unwrap_err()
    };
    let twice = refusal(&|config| {
        config.peers[1].id = config.peers[0].id;
    });
    assert!(matches!(twice, StartError::CityTwice(_)), "{twice:?}");
    let key = refusal(&|config| {
        config.peers[1].fingerprint = config.peers[0].fingerprint;
    });
    assert!(matches!(key, StartError::KeyTwice(..)), "{key:?}");
    let own = refusal(&|config| {
        config.peers[0].fingerprint = config.identity.fingerprint();
    });
    assert!(matches!(own, StartError::KeyTwice(..)), "{own:?}");
    let differs = refusal(&|config| {
        config.peers[0].id = config.own;
    });
    assert!(matches!(differs, StartError::OwnKeyDiffers), "{differs:?}");
    let small = refusal(&|config| config.limits.received_bytes[0] = 1 << 20);
    assert!(
        matches!(small, StartError::Limits(Class::Consensus)),
        "{small:?}"
    );
    let taken = plans[1].start(&plans);
    let listen = refusal(&|config| config.listen = taken.links.local_addr().unwrap());
    assert!(matches!(listen, StartError::Listen { .. }), "{listen:?}");
}
