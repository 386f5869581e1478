//! How much of a chain may fail, before it stops or can be lied to.

use std::collections::BTreeMap;

use types::ValidatorSet;

/// How many there are of a kind, and how many of them may fail together, whichever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) all: usize,
    pub(crate) may_fail: usize,
}

/// What a chain tolerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tolerance {
    /// Of its cities.
    pub(crate) cities: Count,
    /// Of the institutions that run them, each with all of its cities.
    pub(crate) members: Count,
}

/// What the chain of `set` tolerates, where `members` names each validator's institution, in the set's order.
pub(crate) fn of<'a>(set: &ValidatorSet, members: impl Iterator<Item = &'a str>) -> Tolerance {
    let cities: Vec<u64> = set
        .validators()
        .iter()
        .map(|validator| validator.power)
        .collect();
    let mut by_member: BTreeMap<&str, u64> = BTreeMap::new();
    for (member, power) in members.zip(&cities) {
        *by_member.entry(member).or_default() += power;
    }
    Tolerance {
        cities: count(set, cities),
        members: count(set, by_member.into_values().collect()),
    }
}

/// The heaviest fail first. As long as the others are a quorum they go on, and those that fail are less than a third, so
/// that they can lie as well.
fn count(set: &ValidatorSet, mut powers: Vec<u64>) -> Count {
    powers.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = set.total_power();
    let failing = powers.iter().take_while(|&&power| {
        left -= power;
        set.is_quorum(left)
    });
    Count {
        may_fail: failing.count(),
        all: powers.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, of};
    use alloy_primitives::Address;
    use types::{Validator, ValidatorSet};

    fn set(powers: &[u64]) -> ValidatorSet {
        let validators = powers.iter().zip(1u8..).map(|(&power, byte)| Validator {
            address: Address::repeat_byte(byte),
            power,
        });
        ValidatorSet::new(validators.collect()).expect("a set")
    }

    #[test]
    fn less_than_a_third_may_fail() {
        let cases = [
            (1, 0),
            (2, 0),
            (3, 0),
            (4, 1),
            (5, 1),
            (6, 1),
            (7, 2),
            (10, 3),
            (13, 4),
            (31, 10),
        ];
        for (all, may_fail) in cases {
            let names: Vec<String> = (0..all).map(|index| index.to_string()).collect();
            let found = of(&set(&vec![1; all]), names.iter().map(String::as_str));
            assert_eq!(found.cities, Count { all, may_fail });
            assert_eq!(found.members, found.cities);
        }
    }

    #[test]
    fn an_institution_fails_with_all_its_cities() {
        let members = ["a", "a", "b", "c", "d", "e", "f"];
        let found = of(&set(&[1; 7]), members.into_iter());
        assert_eq!((found.cities.may_fail, found.members.may_fail), (2, 1));
        let members = ["a", "a", "b", "c"];
        let found = of(&set(&[1; 4]), members.into_iter());
        assert_eq!((found.cities.may_fail, found.members.may_fail), (1, 0));
        let found = of(&set(&[2, 1, 1, 1]), ["a", "b", "c", "d"].into_iter());
        assert_eq!(found.cities.may_fail, 0);
    }
}
