//! A change of an application's cities before it is sent: who stays, leaves and joins, what may fail before and after, and
//! what the hub would refuse of it. Without I/O; what it says goes by the registry as it was read.

use std::collections::BTreeMap;

use hub::abi::City;
use types::{Validator, ValidatorSet};

use crate::network::tolerance::{self, Tolerance};

/// Most cities of an application.
const MOST_CITIES: usize = 100;

/// Why the hub would not take a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    /// The city is there.
    #[error("{id}: the application is on this city already ({place})")]
    PlacedAlready {
        /// The city.
        id: u32,
        /// Where it is.
        place: String,
    },
    /// Those that stay could not certify the handover.
    #[error(
        "{leaving} of {present} cities would leave at once, and at most {most} may, because those that stay certify the \
         handover: change {most} at a time"
    )]
    TooManyLeave {
        /// How many would leave.
        leaving: usize,
        /// Of how many.
        present: usize,
        /// How many may.
        most: usize,
    },
    /// The only city leaves.
    #[error("no city would be left: add one, or end the application with `causeway app close`")]
    NoCityLeft,
    /// More than a chain has.
    #[error("it would have {size} cities; an application has at most {MOST_CITIES}")]
    TooMany {
        /// How many.
        size: usize,
    },
    /// One institution could stop the chain.
    #[error(
        "{member} would run {held} of the {size} cities, of which only {may_fail} may fail: it alone could stop the chain; \
         choose cities of more members, or allow it with --allow-concentration"
    )]
    Concentrated {
        /// The institution.
        member: String,
        /// How many it would run.
        held: usize,
        /// Of how many.
        size: usize,
        /// How many may fail.
        may_fail: usize,
    },
}

/// Who takes part in a change.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Before it.
    pub(super) before: Vec<&'a City>,
    /// After it.
    pub(super) after: Vec<&'a City>,
    /// Among those before.
    pub(super) leaving: Vec<&'a City>,
    /// Among those after.
    pub(super) joining: Vec<&'a City>,
}

impl<'a> Plan<'a> {
    /// The change of an application that is on `before`, in which `leaving`, who are among them, leave; `members` are the
    /// institutions' names by number.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub(super) fn new(
        before: Vec<&'a City>,
        leaving: Vec<&'a City>,
        joining: Vec<&'a City>,
        members: &BTreeMap<u32, String>,
        allow_concentration: bool,
    ) -> Result<Self, PlanError> {
        let placed = |id| before.iter().any(|city| city.id == id);
        if let Some(there) = joining.iter().find(|city| placed(city.id)) {
            return Err(PlanError::PlacedAlready {
                id: there.id,
                place: there.place.clone(),
            });
        }
        let present = before.len();
        let most = may_fail(present).max(1);
        if leaving.len() > most {
            return Err(PlanError::TooManyLeave {
                leaving: leaving.len(),
                present,
                most,
            });
        }
        let stays = |city: &&City| leaving.iter().all(|gone| gone.id != city.id);
        let mut after: Vec<&City> = before.iter().copied().filter(stays).collect();
        after.extend(&joining);
        match after.len() {
            0 => return Err(PlanError::NoCityLeft),
            size if size > MOST_CITIES => return Err(PlanError::TooMany { size }),
            _ => {}
        }
        if !allow_concentration {
            check_concentration(&after, members)?;
        }
        Ok(Self {
            before,
            after,
            leaving,
            joining,
        })
    }

    /// Those that stay.
    pub(super) fn staying(&self) -> impl Iterator<Item = &'a City> {
        let gone = &self.leaving;
        let before = self.before.iter().copied();
        before.filter(|city| gone.iter().all(|left| left.id != city.id))
    }

    /// Whether those that stay are too few to certify the handover, so that one that leaves has to sign it.
    pub(super) fn needs_the_leaving(&self) -> bool {
        self.leaving.len() > may_fail(self.before.len())
    }
}

/// How many of so many cities may fail.
const fn may_fail(cities: usize) -> usize {
    cities.saturating_sub(1) / 3
}

fn check_concentration(cities: &[&City], members: &BTreeMap<u32, String>) -> Result<(), PlanError> {
    let mut held: BTreeMap<u32, usize> = BTreeMap::new();
    for city in cities {
        *held.entry(city.member).or_default() += 1;
    }
    let may_fail = may_fail(cities.len());
    match held.into_iter().max_by_key(|(_member, held)| *held) {
        Some((member, held)) if held > may_fail => Err(PlanError::Concentrated {
            member: members
                .get(&member)
                .cloned()
                .unwrap_or_else(|| format!("member {member}")),
            held,
            size: cities.len(),
            may_fail,
        }),
        _ => Ok(()),
    }
}

/// What the chain of these cities tolerates, each of the same weight.
///
/// # Panics
///
/// Never: registered cities have different node keys, and there is one at least.
pub(super) fn tolerance(cities: &[&City]) -> Tolerance {
    let mut cities: Vec<&City> = cities.to_vec();
    cities.sort_unstable_by_key(|city| city.node);
    let validator = |city: &&City| Validator {
        address: city.node,
        power: 1,
    };
    let set = ValidatorSet::new(cities.iter().map(validator).collect());
    let set = set.expect("registered cities have different node keys, and there is one");
    let members: Vec<String> = cities.iter().map(|city| city.member.to_string()).collect();
    tolerance::of(&set, members.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::{Plan, PlanError, tolerance};
    use crate::application::places::tests::city;
    use alloy_primitives::Address;
    use hub::abi::City;
    use std::collections::BTreeMap;

    /// Cities 1 to 9, each of a member of its own but for 9, which is member 1's.
    fn cities() -> Vec<City> {
        (1..=9)
            .map(|id| City {
                node: Address::with_last_byte(u8::try_from(id).expect("small")),
                member: if id == 9 { 1 } else { id },
                ..city(id, "CN SHA", 1)
            })
            .collect()
    }

    fn change(
        before: &[usize],
        leaving: &[usize],
        joining: &[usize],
        allowed: bool,
    ) -> Result<Vec<u32>, PlanError> {
        let all = cities();
        let some = |ids: &[usize]| ids.iter().map(|id| &all[id - 1]).collect();
        let names = BTreeMap::from([(1, String::from("Bank"))]);
        let (before, leaving, joining) = (some(before), some(leaving), some(joining));
        let plan = Plan::new(before, leaving, joining, &names, allowed)?;
        Ok(plan.after.iter().map(|city| city.id).collect())
    }

    #[test]
    fn what_the_hub_would_refuse_is_refused_before() {
        let four = [1, 2, 3, 4];
        assert_eq!(change(&four, &[4], &[5], false), Ok(vec![1, 2, 3, 5]));
        assert_eq!(
            change(&four, &[], &[5, 6], false),
            Ok(vec![1, 2, 3, 4, 5, 6])
        );
        assert_eq!(
            change(&[1, 2, 3, 4, 5, 6, 7], &[6, 7], &[], false),
            Ok(vec![1, 2, 3, 4, 5])
        );
        let refused = [
            (change(&four, &[], &[2], false), "2: the application is on"),
            (change(&four, &[2], &[2], false), "2: the application is on"),
            (
                change(&four, &[1, 2], &[5, 6], false),
                "2 of 4 cities would leave at once, and at most 1 may",
            ),
            (change(&[1], &[1], &[], true), "no city would be left"),
            (
                change(&four, &[4], &[9], false),
                "Bank would run 2 of the 4 cities, of which only 1 may fail",
            ),
            (
                change(&four, &[4], &[], false),
                "would run 1 of the 3 cities, of which only 0 may fail",
            ),
        ];
        for (outcome, wanted) in refused {
            let error = outcome.expect_err(wanted).to_string();
            assert!(error.contains(wanted), "{error}");
        }
        assert_eq!(change(&four, &[4], &[9], true), Ok(vec![1, 2, 3, 9]));
        assert_eq!(change(&[1], &[1], &[2], true), Ok(vec![2]));
    }

    #[test]
    fn an_institution_counts_with_all_its_cities() {
        let all = cities();
        let found = tolerance(&[&all[0], &all[1], &all[2], &all[8]]);
        assert_eq!((found.cities.all, found.cities.may_fail), (4, 1));
        assert_eq!((found.members.all, found.members.may_fail), (3, 0));
    }
}
