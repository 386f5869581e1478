//! Tables of the order and of the resting rule, and a comparison with the rule said plainly.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use proptest::prelude::*;
use types::{Validator, ValidatorSet};

use super::{MissingHeader, Order};

fn address(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn order(powers: &[u64]) -> Order {
    let validators = powers.iter().zip(1..);
    let validators = validators.map(|(&power, byte)| Validator {
        address: address(byte),
        power,
    });
    Order::new(&ValidatorSet::new(validators.collect()).expect("a sound set"))
}

/// A chain in which some validators never propose: every block is made by who is first, or, where
/// that one is dead, by who is next.
fn beneficiaries(
    order: &Order,
    since: u64,
    until: u64,
    dead: &[Address],
) -> BTreeMap<u64, Address> {
    let mut made = BTreeMap::new();
    for height in since..until {
        let turn = order
            .turn(height, since, |at| made.get(&at).copied())
            .expect("all are known");
        let alive = (0..)
            .map(|round| turn.proposer(round))
            .find(|who| !dead.contains(who));
        made.insert(height, alive.expect("somebody lives"));
    }
    made
}

#[test]
fn the_order_lists_all_of_power_one_then_all_of_power_two_and_so_on() {
    assert_eq!(order(&[1, 1, 1]).0.as_ref(), [1, 2, 3].map(address));
    assert_eq!(
        order(&[3, 1, 2]).0.as_ref(),
        [1, 2, 3, 1, 3, 1].map(address)
    );
    assert_eq!(order(&[64]).length(), 64);
}

#[test]
fn places_are_counted_from_the_height_from_which_the_set_holds() {
    let order = order(&[1, 1, 1, 1]);
    let nobody_missed = beneficiaries(&order, 10, 30, &[]);
    for height in 10..30 {
        let turn = order
            .turn(height, 10, |at| nobody_missed.get(&at).copied())
            .expect("known");
        for round in 0..9 {
            let place = (height - 10 + u64::from(round)) % 4;
            let byte = u8::try_from(place + 1).expect("small");
            assert_eq!(
                turn.proposer(round),
                address(byte),
                "height {height}, round {round}"
            );
        }
        assert_eq!(turn.resting(), None);
    }
}

/// How often it was missed in a row, and whether it rests then.
#[test]
fn a_validator_rests_unless_one_more_miss_is_a_power_of_two() {
    let order = order(&[1, 1]);
    let tried = [0, 1, 3, 7, 15, 31, 63];
    for missed in 0..=63_u64 {
        // Place 2 × missed is the first validator's; before it all blocks are the second's.
        let height = 1 + 2 * missed;
        let turn = order.turn(height, 1, |_| Some(address(2))).expect("known");
        let rests = !tried.contains(&missed);
        assert_eq!(
            turn.resting(),
            rests.then_some(address(1)),
            "missed {missed}"
        );
        assert_eq!(
            turn.proposer(0),
            address(if rests { 2 } else { 1 }),
            "missed {missed}"
        );
        // Nobody is skipped after round 0.
        assert_eq!(turn.proposer(1), address(2));
        assert_eq!(turn.proposer(2), address(1));
    }
}

#[test]
fn after_sixty_four_misses_it_is_tried_in_one_turn_of_thirty_two() {
    let order = order(&[1, 1]);
    for turns in 64..300 {
        let turn = order
            .turn(1 + 2 * turns, 1, |_| Some(address(2)))
            .expect("known");
        let tried = turns % 32 == 0;
        assert_eq!(
            turn.resting(),
            (!tried).then_some(address(1)),
            "turn {turns}"
        );
    }
}

#[test]
fn one_own_block_makes_it_count_from_nothing() {
    let order = order(&[1, 1]);
    for ago in 1..=10_u64 {
        let own = 1 + 2 * (20 - ago);
        let made = |at| Some(address(if at == own { 1 } else { 2 }));
        let turn = order.turn(41, 1, made).expect("known");
        let missed = ago - 1;
        assert_eq!(
            turn.resting().is_some(),
            ![0, 1, 3, 7].contains(&missed),
            "{missed} missed"
        );
    }
}

#[test]
fn a_resting_place_goes_to_the_next_that_does_not_rest_and_if_all_rest_to_its_owner() {
    let order = order(&[1, 1, 1, 1]);
    // Two places missed by each of 1, 2 and 3: at height 9 the first three rest.
    let made = |_| Some(address(4));
    let turn = order.turn(9, 1, made).expect("known");
    assert_eq!(turn.proposer(0), address(4));
    assert_eq!(turn.resting(), Some(address(1)));
    // A stranger made all blocks: everybody missed two.
    let turn = order.turn(9, 1, |_| Some(address(99))).expect("known");
    assert_eq!((turn.proposer(0), turn.resting()), (address(1), None));
}

#[test]
fn a_new_set_forgets() {
    let order = order(&[1, 1]);
    let turn = order
        .turn(105, 105, |_| None)
        .expect("no header is asked for");
    assert_eq!(turn.proposer(0), address(1));
    let turn = order
        .turn(107, 105, |at| (at >= 105).then_some(address(2)))
        .expect("known");
    assert_eq!((turn.proposer(0), turn.resting()), (address(1), None));
}

#[test]
fn a_header_that_is_missing_is_an_error() {
    let order = order(&[1, 1]);
    assert_eq!(order.turn(3, 1, |_| None), Err(MissingHeader { height: 1 }));
}

#[test]
fn a_dead_city_costs_few_rounds() {
    let order = order(&[1, 1, 1, 1]);
    let dead = [address(2)];
    let made = beneficiaries(&order, 1, 1_001, &dead);
    let tried = (1..1_001)
        .filter(|&height| {
            let turn = order
                .turn(height, 1, |at| made.get(&at).copied())
                .expect("known");
            dead.contains(&turn.proposer(0))
        })
        .count();
    // 250 places: at 0, 1, 3, 7, 15, 31 and 63 misses, then in the turns 64, 96, … 224.
    assert_eq!(tried, 7 + 6);
}

proptest! {
    #[test]
    fn the_rule_is_as_it_is_written(
        powers in proptest::collection::vec(1_u64..5, 1..6),
        since in 1_u64..5,
        made in proptest::collection::vec(1_u8..7, 1..400),
    ) {
        let order = order(&powers);
        let length = order.length();
        let height = since + made.len() as u64;
        let beneficiary = |at: u64| {
            let index = usize::try_from(at.checked_sub(since)?).ok()?;
            made.get(index).copied().map(address)
        };
        let place = height - since;
        let at = |place: u64| order.0[usize::try_from(place % length).unwrap()];
        let rests = |who: Address| {
            let own = (0..place).rev().filter(|&own| at(own) == who).take(64);
            let missed = own.take_while(|own| beneficiary(since + own) != Some(who)).count();
            let tried = (missed + 1).is_power_of_two()
                || missed == 64 && (place / length).is_multiple_of(32);
            !tried
        };
        let expected = (place..place + length).map(at).find(|&who| !rests(who));
        let turn = order.turn(height, since, beneficiary).unwrap();
        prop_assert_eq!(turn.proposer(0), expected.unwrap_or(at(place)));
        for round in 1..20 {
            prop_assert_eq!(turn.proposer(round), at(place + u64::from(round)));
        }
    }
}
