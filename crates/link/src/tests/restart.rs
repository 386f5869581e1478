//! Cities that stop, crash and return.

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::scenery::{City, Plan, closed_for, eventually, plan};
use crate::refused::Closing;
use crate::{Class, Event};

/// A city returns within this time, which is far below the idle timeout of 30 s.
const SOON: Duration = Duration::from_secs(5);

/// A city in a runtime of its own, so that it can be killed: nothing of it says farewell.
fn start_apart(plan: &Plan, plans: &[Plan]) -> (Runtime, City) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let city = {
        let _inside = runtime.enter();
        plan.start(plans)
    };
    (runtime, city)
}

/// Kills the city `killed` (0 or 1) of two and starts it again.
async fn killed_and_back(killed: usize) {
    let plans = plan(2);
    let stays = 1 - killed;
    let mut witness = plans[stays].start(&plans);
    let (runtime, mut city) = start_apart(&plans[killed], &plans);
    witness.up(city.id).await;
    city.up(witness.id).await;
    runtime.shutdown_background();
    drop(city);
    let back = Instant::now();
    let (runtime, mut city) = eventually_started(&plans[killed], &plans).await;
    city.up(witness.id).await;
    // What was up, as far as the witness knew, is told to have been down.
    let told = [
        next_of_link(&mut witness).await,
        next_of_link(&mut witness).await,
    ];
    assert_eq!(
        told,
        [Event::Down { peer: city.id }, Event::Up { peer: city.id }]
    );
    assert!(back.elapsed() < SOON, "{:?}", back.elapsed());
    witness
        .links
        .send(city.id, 1, Class::Consensus, Bytes::from_static(b"again"));
    assert_eq!(city.received().await.3, "again");
    city.links
        .send(witness.id, 1, Class::Consensus, Bytes::from_static(b"here"));
    assert_eq!(witness.received().await.3, "here");
    // A runtime may not be dropped where tasks run.
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_city_that_cannot_knock_is_missed_at_the_next_word() {
    let plans = plan(3);
    let mut witness = plans[0].start(&plans[..2]);
    let (runtime, mut city) = start_apart(&plans[1], &plans[..2]);
    witness.up(city.id).await;
    city.up(witness.id).await;
    runtime.shutdown_background();
    drop(city);
    // It looks for the witness where nobody is.
    let mut lost = plans[0].clone();
    lost.address = plans[2].address;
    let start = Instant::now();
    let (runtime, mut city) = eventually_started(&plans[1], &[lost]).await;
    witness.links.send(
        city.id,
        1,
        Class::Consensus,
        Bytes::from_static(b"are you there?"),
    );
    witness.down(city.id).await;
    witness.up(city.id).await;
    city.up(witness.id).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    runtime.shutdown_background();
}

/// The port is free when the killed runtime's last task is gone.
async fn eventually_started(plan: &Plan, plans: &[Plan]) -> (Runtime, City) {
    eventually(|| std::net::UdpSocket::bind(plan.address).is_ok()).await;
    start_apart(plan, plans)
}

async fn next_of_link(city: &mut City) -> Event {
    city.until(|event| matches!(event, Event::Up { .. } | Event::Down { .. }).then_some(event))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_city_that_calls_is_back_at_once() {
    killed_and_back(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_city_that_is_called_is_back_at_once() {
    killed_and_back(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_city_that_stops_says_so_and_is_met_again() {
    for stops in [0, 1] {
        let plans = plan(2);
        let mut witness = plans[1 - stops].start(&plans);
        let mut city = plans[stops].start(&plans);
        witness.up(city.id).await;
        city.up(witness.id).await;
        let stopped = Instant::now();
        city.links.stop().await;
        drop(city.events);
        witness.down(plans[stops].id).await;
        assert!(stopped.elapsed() < SOON);
        eventually(|| std::net::UdpSocket::bind(plans[stops].address).is_ok()).await;
        let mut city = plans[stops].start(&plans);
        witness.up(city.id).await;
        city.up(witness.id).await;
    }
}

#[tokio::test]
async fn a_second_process_of_a_city_takes_its_links_and_the_first_is_told() {
    let plans = plan(2);
    let mut two = plans[1].start(&plans);
    let first = plans[0].greet(&plans[1]).await;
    two.up(plans[0].id).await;
    let _second = plans[0].greet(&plans[1]).await;
    assert_eq!(closed_for(&first).await, Closing::Replaced);
    let told = [next_of_link(&mut two).await, next_of_link(&mut two).await];
    assert_eq!(
        told,
        [
            Event::Down { peer: plans[0].id },
            Event::Up { peer: plans[0].id }
        ]
    );
}
