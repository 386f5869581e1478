//! Scenarios: what happens to the hub, and when, in place of what a seed says of it. The rest of a plan stays as it is.

use std::time::Duration;

use super::Scenario;
use super::plan::{Plan, Submission};
use super::random::Random;
use super::registry::HubStep;

/// How far the hub goes on while the chain is parked.
const MILLION: u64 = 1_000_000;

const HOUR: Duration = Duration::from_secs(3_600);

/// By then a chain without faults is parked whatever happened to it first.
const PARKED_BY: Duration = Duration::from_secs(60);

/// Without faults a transaction is in a block within this, whatever the hub does.
const PROMPT: Duration = Duration::from_secs(10);

/// The plan with a scenario.
pub(super) fn applied(scenario: Scenario, calm: bool, mut plan: Plan, seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x5ce2);
    plan.prompt = calm.then_some(PROMPT);
    let sound = plan.cities.iter_mut().filter(|city| city.clock.is_sound());
    sound.for_each(|city| city.clock = city.clock.kept_right());
    match scenario {
        Scenario::Parked {
            by_handover,
            turn,
            history,
        } => {
            plan.hub_history = history;
            parked(by_handover, turn, &mut plan, &mut random);
        }
        Scenario::Suspended { parks } => {
            plan.parks_one_in = if parks { random.between(1, 3) } else { 0 };
            suspended(&mut plan, &mut random);
        }
        Scenario::Returning => returning(&mut plan, &mut random),
        Scenario::Halted => {
            let ways = vec![(HubStep::Halt, HubStep::GoOn)];
            kept_apart(ways, &mut plan, &mut random);
        }
        Scenario::Partitioned | Scenario::Unheard => {
            let count = plan.cities.iter().filter(|city| city.power > 0).count();
            let cut = match scenario {
                Scenario::Unheard => 1,
                _ => 1 + random.index(count),
            };
            let first = random.index(count);
            let cut = (0..cut).map(|step| (first + step) % count);
            let ways = cut.map(|city| (HubStep::CutOff(city), HubStep::Rejoin(city)));
            kept_apart(ways.collect(), &mut plan, &mut random);
        }
    }
    plan
}

/// Some transactions, none for a minute or longer while the hub goes on, then something that wakes the chain.
fn parked(by_handover: bool, turn: Option<u64>, plan: &mut Plan, random: &mut Random) {
    plan.load
        .retain(|submission| submission.at < plan.heal_at.min(PARKED_BY));
    let jumps = plan.heal_at.max(PARKED_BY) + random.millis(0, 5_000);
    let wakes = jumps + random.millis(100, 30_000);
    let mut steps = vec![(jumps, HubStep::Jump(MILLION, turn))];
    if by_handover {
        steps.push((wakes, HubStep::Change));
    } else {
        plan.load.push(one_transaction(wakes));
    }
    plan.hub = Some(steps);
    plan.heal_at = wakes + Duration::from_millis(1);
}

/// For an hour the hub is away, from all or from some; transactions go on, and changes are asked for before and meanwhile.
fn kept_apart(ways: Vec<(HubStep, HubStep)>, plan: &mut Plan, random: &mut Random) {
    let begins = plan.heal_at.max(PARKED_BY);
    let ends = begins + HOUR;
    let before = begins.saturating_sub(random.millis(0, 3_000));
    let mut steps = vec![(before, HubStep::Change)];
    for _ in 0..3 {
        steps.push((begins + random.millis(0, 3_600_000), HubStep::Change));
    }
    for (away, back) in ways {
        steps.extend([(begins, away), (ends, back)]);
    }
    let times = (0..24).map(|_| begins + random.millis(0, 3_600_000));
    plan.load.extend(times.map(one_transaction));
    plan.hub = Some(steps);
    plan.heal_at = ends + Duration::from_millis(1);
}

/// Suspended and let go on, with transactions and changes before, meanwhile and after.
fn suspended(plan: &mut Plan, random: &mut Random) {
    let mut steps = Vec::new();
    let mut at = plan.heal_at;
    for _ in 0..4 {
        let until = at + random.millis(1_000, 90_000);
        let goes_on = until + random.millis(1_000, 60_000);
        steps.extend([(at, HubStep::Suspend), (until, HubStep::Resume)]);
        let ms = u64::try_from((goes_on - at).as_millis()).unwrap_or(u64::MAX);
        steps.push((at + random.millis(0, ms), HubStep::Change));
        let times = (0..6).map(|_| at + random.millis(0, ms));
        plan.load.extend(times.map(one_transaction));
        at = goes_on;
    }
    plan.hub = Some(steps);
    plan.heal_at = at + Duration::from_secs(1);
}

/// One change after the other, in which those come back that left, each with a transaction at about the same time.
fn returning(plan: &mut Plan, random: &mut Random) {
    let (mut steps, mut at) = (Vec::new(), plan.heal_at);
    for _ in 0..12 {
        at += random.millis(2_000, 30_000);
        steps.push((at, HubStep::Change));
        let about = at + random.millis(0, 2_500);
        plan.load.push(one_transaction(about));
    }
    plan.hub = Some(steps);
    plan.returns = true;
    plan.parks_one_in = random.between(1, 3);
    plan.heal_at = at + Duration::from_secs(5);
}

const fn one_transaction(at: Duration) -> Submission {
    Submission {
        at,
        transactions: 1,
        copies: 1,
    }
}
