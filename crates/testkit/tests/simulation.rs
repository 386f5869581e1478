//! Seeds of the simulation: each is a world of its own, and a failing one can be had again by its number.
//!
//! `cargo xtask simulate --seeds 1 --from SEED --trace` shows what happened.

use std::ops::Range;

use testkit::simulation::{self, Crash, End, Figures, Focus, Options};

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

/// Simulates faults of one kind, and looks whether they happened.
fn hold_with(focus: Focus, seeds: Range<u64>, happened: &[&str]) {
    let options = Options {
        focus: Some(focus),
        ..Options::default()
    };
    let figures = hold(seeds, options);
    for what in happened {
        assert!(figures.counts.contains_key(what), "no {what} in {figures}");
    }
}

#[test]
fn four_cities_without_faults_agree_in_the_first_round_and_make_no_empty_block() {
    let options = Options {
        cities: Some(4),
        calm: true,
        ..Options::default()
    };
    let figures = hold(0..12, options);
    assert_eq!(figures.highest_round, 0, "{figures}");
    assert_eq!(figures.blocks.1, 0, "{figures}");
    assert!(figures.blocks.0 >= 60, "{figures}");
}

#[test]
fn cities_change_by_the_hubs_word_and_nothing_is_lost() {
    let options = Options {
        changes: Some(true),
        ..Options::default()
    };
    let figures = hold(0..40, options);
    for what in [
        "handover",
        "change: a city replaced",
        "change: a city added",
        "change: a city taken out",
        "hub's own handover",
    ] {
        assert!(figures.counts.contains_key(what), "no {what} in {figures}");
    }
}

#[test]
fn a_seed_is_the_same_twice() {
    for seed in 0..8 {
        let options = Options {
            seed,
            trace: true,
            ..Options::default()
        };
        let (once, again) = (simulation::run(options), simulation::run(options));
        let differs = once.trace.iter().zip(&again.trace).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(once.digest, again.digest, "seed {seed}");
    }
}

#[test]
fn crashes_of_processes_engines_and_power_lose_and_double_nothing() {
    let happened = [
        "process killed",
        "power cut",
        "power cut everywhere",
        "crash before an effect",
        "engine started again before an effect",
    ];
    hold_with(Focus::Crashes, 0..50, &happened);
}

#[test]
fn disks_that_are_full_slow_failing_or_lost_do_no_harm() {
    let happened = [
        "full disk",
        "append that the disk refused",
        "slow disk",
        "sync that failed",
        "disk lost",
        "notice: silent",
    ];
    hold_with(Focus::Disks, 0..50, &happened);
}

#[test]
fn links_that_lose_double_delay_reorder_and_break_only_cost_time() {
    let happened = [
        "message lost",
        "message twice",
        "message late",
        "message overtaking",
        "way cut",
    ];
    hold_with(Focus::Links, 0..40, &happened);
}

#[test]
fn clocks_of_a_third_may_be_anything() {
    hold_with(
        Focus::Clocks,
        0..40,
        &["wrong clock", "notice: clock behind"],
    );
}

#[test]
fn a_third_may_lie_and_strangers_are_not_heard() {
    let happened = [
        "Byzantine: two proposals",
        "Byzantine: two votes",
        "Byzantine: silence",
        "Byzantine: silence to some",
        "Byzantine: invalid block",
        "Byzantine: untimely block",
        "Byzantine: withheld body",
        "Byzantine: false outline",
        "Byzantine: stale certificate",
        "Byzantine: flipped recovery id",
        "Byzantine: garbage",
        "Byzantine: waking",
        "Byzantine: replay",
        "Byzantine: asking",
        "city outside the set",
        "evidence kept",
        "notice: invalid block",
        "notice: stranger",
    ];
    hold_with(Focus::Byzantine, 0..60, &happened);
}

#[test]
fn everything_at_once_is_survived() {
    hold(0..60, Options::default());
}

/// Four cities without faults, of which the first crashes once: before each of the effects of its first heights in turn.
fn crash_everywhere(end: End, silent: Option<usize>) {
    for effect in 0..EFFECTS {
        let crash = Crash {
            city: 0,
            effect,
            end,
        };
        let options = Options {
            seed: effect,
            cities: Some(4),
            calm: true,
            crash: Some(crash),
            silent,
            ..Options::default()
        };
        let outcome = simulation::run(options);
        if let Some(failure) = outcome.failure {
            panic!("{options:?}: {failure}");
        }
        let crashes = outcome
            .figures
            .counts
            .keys()
            .any(|what| what.contains("before an effect"));
        assert!(crashes, "{options:?}: there is no such effect");
    }
}

/// About three heights.
const EFFECTS: u64 = 100;

#[test]
fn a_process_may_end_before_any_effect() {
    crash_everywhere(End::Process, None);
}

#[test]
fn power_may_end_before_any_effect() {
    crash_everywhere(End::Power, None);
}

#[test]
fn an_engine_may_begin_anew_before_any_effect_and_a_city_be_silent() {
    crash_everywhere(End::Engine, Some(3));
}

/// How long proposers of first rounds were awaited in vain, in the order of the trace, in milliseconds.
fn awaited_in_vain(trace: &[String]) -> Vec<f64> {
    let over = trace
        .iter()
        .filter(|line| line.contains("round: 0, kind: Propose") && line.ends_with("is over"));
    let duration = |line: &String| {
        let (_, rest) = line.split_once("duration: ")?;
        rest.split_once("ms,")?.0.parse().ok()
    };
    over.filter_map(duration).collect()
}

#[test]
fn a_city_that_says_nothing_is_awaited_for_less_than_the_default_once_others_are_measured() {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for seed in 0..24 {
        let options = Options {
            seed,
            cities: Some(4),
            calm: true,
            silent: Some(3),
            trace: true,
            ..Options::default()
        };
        let outcome = simulation::run(options);
        assert_eq!(outcome.failure, None, "seed {seed}");
        let waits = awaited_in_vain(&outcome.trace);
        if let [begin, .., end] = waits.as_slice() {
            first.push(*begin);
            last.push(*end);
        }
    }
    assert!(first.len() >= 12, "{first:?}");
    assert!(first.iter().all(|wait| *wait == 500.0), "{first:?}");
    let mean = last.iter().sum::<f64>() / last.len() as f64;
    assert!(mean < 450.0, "{last:?}");
}
