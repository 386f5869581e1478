//! What goes over to a city's new key, and who has a part in that.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use hub::Placement;
use hub::abi::{Capacity, City, Offer};
use hub::registry::{Changing, Status};
use types::ChainId;

use super::{Room, Rotated};

const N: u64 = 7;
/// The city before, and the one as which it goes on.
const BEFORE: u32 = 4;
const SUCCESSOR: u32 = 9;

fn capacity(each: u32) -> Capacity {
    Capacity {
        gasPerSecond: each.into(),
        bytesStored: each.into(),
        chains: each,
        blocksPerSecond: each,
    }
}

fn placement(cities: &[u32]) -> Placement {
    Placement {
        n: N,
        chain_id: ChainId::new(1 << 22).expect("in range"),
        status: Status::Runs,
        cities: cities.to_vec(),
        validators: Vec::new(),
        set_hash: B256::ZERO,
        taken: capacity(1),
        change: None,
    }
}

fn rotated() -> Rotated {
    let mut rotated = Rotated::default();
    rotated.set(BTreeMap::from([(BEFORE, SUCCESSOR)]));
    rotated
}

/// Whether the city with number `own` has the application go over.
fn goes(own: Option<u32>, placement: &Placement) -> bool {
    let mut rotated = rotated();
    rotated.saw(own, placement);
    rotated.is_busy()
}

#[test]
fn what_runs_on_a_city_with_a_new_key_and_does_not_change_goes_over() {
    let runs = placement(&[1, 2, 3, BEFORE]);
    for (own, wanted) in [
        (Some(1), true),
        (Some(BEFORE), true),
        (Some(SUCCESSOR), true),
        (Some(5), false),
        (None, false),
    ] {
        assert_eq!(goes(own, &runs), wanted, "{own:?}");
    }
    let with = |change: fn(&mut Placement)| {
        let mut other = runs.clone();
        change(&mut other);
        other
    };
    let changing = Changing {
        is_named: false,
        leaving: vec![BEFORE],
        joining: vec![SUCCESSOR],
        joining_nodes: Vec::new(),
        leaving_nodes: Vec::new(),
        ready: Vec::new(),
    };
    let mut in_change = runs.clone();
    in_change.change = Some(changing);
    for other in [
        with(|it| it.status = Status::Stands),
        with(|it| it.status = Status::Closed),
        with(|it| it.cities.retain(|city| *city != BEFORE)),
        with(|it| it.cities.push(SUCCESSOR)),
        in_change,
    ] {
        assert!(!goes(Some(1), &other), "{other:?}");
        // What was to go over before is not any more.
        let mut rotated = rotated();
        rotated.saw(Some(1), &runs);
        assert!(rotated.is_busy());
        rotated.saw(Some(1), &other);
        assert!(!rotated.is_busy(), "{other:?}");
    }
}

#[test]
fn another_successor_is_another_beginning_and_none_is_the_end() {
    let runs = placement(&[1, 2, 3, BEFORE]);
    let mut rotated = rotated();
    rotated.saw(Some(1), &runs);
    rotated.set(BTreeMap::from([(BEFORE, SUCCESSOR)]));
    assert!(rotated.is_busy(), "the same as before");
    rotated.set(BTreeMap::from([(BEFORE, SUCCESSOR + 1)]));
    assert!(!rotated.is_busy());
    assert_eq!(rotated.cities()[&BEFORE], SUCCESSOR + 1);
    rotated.saw(Some(1), &runs);
    assert!(rotated.is_busy());
    rotated.set(BTreeMap::new());
    assert!(!rotated.is_busy());
}

#[test]
fn what_a_city_has_no_room_for_keeps_nothing_else() {
    let city = City {
        id: SUCCESSOR,
        member: 1,
        node: Address::ZERO,
        tlsFingerprint: B256::ZERO,
        place: String::new(),
        endpoint: String::new(),
        rpc: String::new(),
        status: 1,
        since: 0,
        offer: Offer {
            gasPerSecond: 10,
            bytesStored: 10,
            chains: 3,
            blocksPerSecond: 2,
            pricePerGasSecond: 0,
            policy: 0,
            listed: Vec::new(),
        },
        taken: capacity(1),
    };
    let mut room = Room::of(&city);
    assert!(room.take(&capacity(1)), "all of its blocks a second");
    assert!(!room.take(&capacity(1)));
    let mut without_blocks = capacity(1);
    without_blocks.blocksPerSecond = 0;
    assert!(room.take(&without_blocks), "it is still there for others");
    assert!(!room.take(&without_blocks), "three chains are all");
    let lowered = City {
        taken: capacity(20),
        ..city
    };
    assert!(!Room::of(&lowered).take(&capacity(1)));
}
