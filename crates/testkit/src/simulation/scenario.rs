//! Scenarios: what happens to the hub, and when, in place of what a seed says of it. The rest of a plan stays as it is.

use std::time::Duration;

use super::Scenario;
use super::plan::{Plan, Submission};
use super::random::Random;
use super::registry::HubStep;

/// How far the hub goes on while the chain is parked.
const MILLION: u64 = 1_000_000;

/// By then a chain without faults is parked whatever happened to it first.
const PARKED_BY: Duration = Duration::from_secs(60);

/// Without faults a transaction is in a block within this, whatever the hub does.
const PROMPT: Duration = Duration::from_secs(10);

/// The plan with a scenario.
pub(super) fn applied(scenario: Scenario, calm: bool, mut plan: Plan, seed: u64) -> Plan {
    let mut random = Random::new(seed ^ 0x5ce2);
    plan.prompt = calm.then_some(PROMPT);
    match scenario {
        Scenario::Parked {
            by_handover,
            turn,
            history,
        } => {
            plan.hub_history = history;
            parked(by_handover, turn, &mut plan, &mut random);
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

const fn one_transaction(at: Duration) -> Submission {
    Submission {
        at,
        transactions: 1,
        copies: 1,
    }
}
