//! Scenarios of the hub: each over some seeds, without other faults and with them.

use std::ops::Range;

use testkit::simulation::{self, Figures, Options, Scenario};

/// Simulates the seeds, all of which have to hold.
fn hold(seeds: Range<u64>, options: Options) -> Figures {
    let mut figures = Figures::default();
    for seed in seeds {
        let outcome = simulation::run(Options { seed, ..options });
        if let Some(failure) = outcome.failure {
            panic!("seed {seed} with {options:?}: {failure}");
        }
        figures.add(&outcome.figures);
    }
    figures
}

fn hold_calm(seeds: Range<u64>, scenario: Scenario) -> Figures {
    let options = Options {
        calm: true,
        scenario: Some(scenario),
        ..Options::default()
    };
    hold(seeds, options)
}

#[track_caller]
fn happened(figures: &Figures, what: &str, least: u64) {
    let count = figures.counts.get(what).copied().unwrap_or(0);
    assert!(count >= least, "{count} times {what} in {figures}");
}

const fn parked(by_handover: bool, turn: Option<u64>) -> Scenario {
    Scenario::Parked {
        by_handover,
        turn,
        history: None,
    }
}

/// Blocks from one turn of the hub's validators to the next: the registry's.
const TURN: Option<u64> = Some(1_024);

#[test]
fn a_chain_parked_for_a_million_hub_blocks_is_woken_by_a_transaction() {
    let figures = hold_calm(0..12, parked(false, None));
    happened(&figures, "hub far ahead of a parked chain", 12);
    happened(&figures, "citation far ahead of the one before", 8);
    assert_eq!(figures.blocks.1, 0, "{figures}");
}

#[test]
fn a_chain_parked_for_a_million_hub_blocks_is_woken_by_a_handover() {
    let figures = hold_calm(0..12, parked(true, None));
    happened(&figures, "hub far ahead of a parked chain", 12);
    happened(&figures, "citation far ahead of the one before", 8);
    happened(&figures, "handover", 8);
}

#[test]
fn the_hubs_validators_may_have_taken_turns_meanwhile() {
    let figures = hold_calm(0..8, parked(false, TURN));
    happened(&figures, "hub far ahead of a parked chain", 8);
    assert_eq!(figures.blocks.1, 0, "{figures}");
}

/// 976 handovers of the hub are between the citations, and one proof has 64.
#[test]
fn a_handover_for_which_the_hub_is_cited_several_times_waits_for_nothing() {
    let figures = hold_calm(0..8, parked(true, TURN));
    happened(&figures, "hub far ahead of a parked chain", 8);
    happened(&figures, "handover", 6);
    assert!(figures.blocks.1 >= 15 * 6, "{figures}");
}

/// Whoever forgets what the hub held at old blocks cannot cite these, and through no other one can newer ones be reached.
#[test]
fn without_the_hubs_past_there_is_no_way_over_that_many_turns() {
    let options = Options {
        calm: true,
        scenario: Some(Scenario::Parked {
            by_handover: true,
            turn: TURN,
            history: Some(8_192),
        }),
        ..Options::default()
    };
    let failure = simulation::run(options).failure.expect("it stands");
    assert_eq!(failure.what, "liveness");
    assert!(
        failure.text.contains("is not over"),
        "another failure: {failure}"
    );
}

#[test]
fn while_the_hub_stands_still_for_an_hour_chains_go_on_and_what_waited_heals() {
    let figures = hold_calm(0..12, Scenario::Halted);
    happened(&figures, "hub halted", 12);
    happened(&figures, "hub halted: what waits for it", 24);
    happened(&figures, "handover", 12);
}

#[test]
fn cities_that_the_hub_does_not_reach_keep_their_chains() {
    for scenario in [Scenario::Partitioned, Scenario::Unheard] {
        let figures = hold_calm(0..12, scenario);
        happened(&figures, "city cut off from the hub", 12);
        happened(&figures, "handover", 12);
    }
}

/// The same with all other faults.
#[test]
fn a_hub_that_is_away_makes_nothing_else_worse() {
    for scenario in [Scenario::Halted, Scenario::Partitioned, Scenario::Unheard] {
        let options = Options {
            scenario: Some(scenario),
            ..Options::default()
        };
        hold(100..108, options);
    }
}

#[test]
fn a_suspended_chain_makes_no_block_and_goes_on_with_what_waited() {
    let scenario = Scenario::Suspended { parks: false };
    let figures = hold_calm(0..16, scenario);
    happened(&figures, "chain suspended", 32);
    let options = Options {
        scenario: Some(scenario),
        ..Options::default()
    };
    hold(100..108, options);
}

#[test]
fn cities_come_back_to_a_chain_that_is_parked_whenever_it_can_be() {
    let figures = hold_calm(0..16, Scenario::Returning);
    happened(&figures, "change: a city came back", 16);
    happened(&figures, "parked chain opened", 100);
    let options = Options {
        scenario: Some(Scenario::Returning),
        ..Options::default()
    };
    hold(100..108, options);
}
