//! Waits by table: who can move which of them, and how far.

use std::time::Duration;

use alloy_primitives::Address;

use super::{Delays, Estimate, GRAIN};
use crate::timeouts::{TimeoutKind, Timeouts};

const DEFAULTS: Timeouts = Timeouts::DEFAULT;

fn city(n: u8) -> Address {
    Address::repeat_byte(n)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Three others that were awaited so long, again and again; each in its turn.
fn measured(waited: [Duration; 3], turns: usize) -> Delays {
    let mut delays = Delays::new(DEFAULTS, 3);
    for _ in 0..turns {
        for (n, waited) in (1..).zip(waited) {
            delays.proposed(city(n), waited);
        }
    }
    delays
}

#[test]
fn all_begins_with_the_defaults() {
    let delays = Delays::new(DEFAULTS, 3);
    assert_eq!(delays.timeouts(), DEFAULTS);
    assert_eq!(delays.proposal(city(1)), DEFAULTS.propose);
    let wait = Estimate::of(ms(600)).wait();
    assert_eq!(wait, ms(600));
}

#[test]
fn near_cities_are_awaited_shortly_and_far_ones_long_enough() {
    // Milliseconds that each takes, and the wait that comes of it: at least twice, and never near the bare minimum.
    for (takes, most) in [(0, 160), (5, 170), (40, 240), (150, 460)] {
        let delays = measured([ms(takes); 3], 60);
        let wait = delays.proposal(city(1));
        assert!(
            wait >= 2 * (ms(takes) + GRAIN) && wait <= ms(most + 5),
            "{takes} ms: {wait:?}"
        );
    }
}

#[test]
fn a_city_makes_nobodys_wait_short_but_its_own() {
    let honest = measured([ms(40); 3], 60).proposal(city(1));
    let delays = measured([ms(40), ms(40), ms(0)], 60);
    assert_eq!(delays.proposal(city(1)), honest);
    assert!(delays.proposal(city(3)) < honest);
}

#[test]
fn a_city_that_dawdles_is_awaited_no_longer_than_by_default() {
    let mut delays = measured([ms(10); 3], 60);
    let near = delays.proposal(city(1));
    for _ in 0..100 {
        // As late as it is still awaited.
        let dawdles = delays.proposal(city(3));
        delays.proposed(city(3), dawdles);
        delays.missed(city(3), true);
    }
    assert_eq!(delays.proposal(city(3)), DEFAULTS.propose);
    assert_eq!(delays.proposal(city(1)), near);
}

#[test]
fn where_all_are_slower_than_the_default_the_waits_follow() {
    let mut delays = Delays::new(DEFAULTS, 3);
    let takes = ms(1_200);
    let enough = |delays: &Delays| (1..=3).all(|n| delays.proposal(city(n)) > takes);
    let mut turns = 0;
    while !enough(&delays) {
        (1..=3).for_each(|n| delays.proposed(city(n), takes));
        turns += 1;
        assert!(turns < 40, "{delays:?}");
    }
}

#[test]
fn who_is_slow_is_given_more_time_and_who_is_away_is_not() {
    let quick = measured([ms(10); 3], 60);
    let wait = quick.proposal(city(1));
    let mut away = quick.clone();
    let mut slow = quick;
    for times in 1..=4 {
        away.missed(city(1), false);
        assert_eq!(away.proposal(city(1)), wait);
        slow.missed(city(1), true);
        let doubled = wait * (1 << times.min(3));
        assert_eq!(slow.proposal(city(1)), doubled.min(DEFAULTS.propose));
    }
    slow.proposed(city(1), ms(10));
    assert!(
        slow.proposal(city(1)) <= wait + ms(1),
        "one proposal, and it is as before"
    );
}

#[test]
fn a_city_that_never_proposed_gets_one_chance_by_default() {
    let mut delays = measured([ms(10), ms(40), ms(0)], 60);
    let unknown = city(9);
    assert_eq!(delays.proposal(unknown), DEFAULTS.propose);
    delays.missed(unknown, false);
    assert_eq!(
        delays.proposal(unknown),
        delays.proposal(city(2)),
        "as the slowest"
    );
    delays.missed(unknown, true);
    assert_eq!(delays.proposal(unknown), 2 * delays.proposal(city(2)));
}

#[test]
fn votes_are_awaited_as_long_as_quorums_take() {
    let mut delays = Delays::new(DEFAULTS, 3);
    for _ in 0..60 {
        delays.voted(ms(5));
    }
    assert_eq!(delays.timeouts().vote.as_millis(), 169);
    assert_eq!(delays.timeouts().propose, DEFAULTS.propose);
    for _ in 0..60 {
        delays.voted(ms(700));
    }
    // And no longer than two defaults: rounds add what is missing.
    assert_eq!(delays.timeouts().vote, 2 * DEFAULTS.vote);
}

#[test]
fn heights_of_many_rounds_double_all_waits_until_first_rounds_suffice() {
    let mut delays = measured([ms(10); 3], 60);
    let (before, votes) = (delays.proposal(city(1)), delays.timeouts().vote);
    delays.decided(1);
    assert_eq!(delays.proposal(city(1)), before, "somebody is dead");
    for times in [1_u32, 1] {
        delays.decided(2);
        assert_eq!(delays.proposal(city(1)), before * (1 << times));
        assert_eq!(delays.timeouts().vote, votes * (1 << times));
    }
    delays.decided(0);
    assert_eq!(delays.proposal(city(1)), before);
}

#[test]
fn a_clock_that_is_set_spoils_nothing() {
    let mut delays = measured([ms(10); 3], 60);
    let before = (delays.proposal(city(1)), delays.timeouts());
    delays.proposed(city(1), Duration::from_secs(3_600));
    delays.voted(Duration::MAX);
    assert_eq!((delays.proposal(city(1)), delays.timeouts()), before);
}

#[test]
fn one_slow_sample_at_most_triples_a_wait() {
    let mut delays = measured([ms(10); 3], 60);
    let (before, votes) = (delays.proposal(city(1)), delays.timeouts().vote);
    delays.proposed(city(1), Duration::from_secs(60));
    delays.voted(Duration::from_secs(60));
    assert!(delays.proposal(city(1)) <= 3 * before, "{delays:?}");
    assert!(delays.timeouts().vote <= 3 * votes, "{delays:?}");
}

#[test]
fn a_record_bounds_what_is_measured() {
    let timeouts = measured([ms(1); 3], 60).timeouts().within(ms(120), ms(700));
    for round in [0, 1, 1_000] {
        let waits = [
            timeouts.proposal(ms(1), round),
            timeouts.duration(TimeoutKind::Prevote, round),
            timeouts.duration(TimeoutKind::Precommit, round),
        ];
        assert!(waits.iter().all(|wait| (ms(120)..=ms(700)).contains(wait)));
    }
}
