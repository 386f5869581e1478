//! Who proposes: a function of the set and of the headers before, so that every city knows it alike.
//!
//! A set's order lists its addresses ascending, first all of power ≥ 1, then those of power ≥ 2, and
//! so on. With `i` the height minus the height from which the set holds:
//!
//! - Round r ≥ 1 belongs to place (i + r) mod length, whoever that is.
//! - Round 0 belongs to place i mod length unless that validator *rests*; then to the next in order
//!   that does not; if all rest, to place i.
//!
//! A validator rests by how often it was missed: of its own places, the last `m` in a row (back to
//! the set's first height, at most 64) have a block with another beneficiary. It rests unless m + 1
//! is a power of two, so that it is tried again ever less often, or, with m = 64, in one turn of 32.

use std::sync::Arc;

use alloy_primitives::Address;
use types::ValidatorSet;

/// The most places that are looked back at.
const MEMORY: usize = 64;

/// Of how many turns of the order a validator with 64 misses is tried in one.
const LAST_RESORT: u64 = 32;

/// The order of a set. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order(Arc<[Address]>);

/// The proposers of one height. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    order: Order,
    /// The height's place, counted from the set's first height.
    place: u64,
    /// Who proposes in round 0.
    first: Address,
}

/// A header that the order depends on is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header of height {height} is missing, and proposers follow from it")]
pub struct MissingHeader {
    /// Its height.
    pub height: u64,
}

impl Order {
    /// The order of `set`.
    #[must_use]
    pub fn new(set: &ValidatorSet) -> Self {
        let most = set
            .validators()
            .iter()
            .map(|validator| validator.power)
            .max()
            .unwrap_or(0);
        let places = (1..=most).flat_map(|power| {
            let heavy = set
                .validators()
                .iter()
                .filter(move |validator| validator.power >= power);
            heavy.map(|validator| validator.address)
        });
        Self(places.collect())
    }

    /// How many places it has: the sum of all powers.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.len() as u64
    }

    /// The proposers of `height`, for a set that holds from height `since`. `beneficiary` gives that
    /// of a lower header of the chain; it is asked for none below `since`, nor for one more than
    /// 64 × length below `height`.
    ///
    /// # Errors
    /// [`MissingHeader`] when `beneficiary` does not know one that counts.
    ///
    /// # Panics
    /// If `height` is below `since`: the set does not hold there.
    pub fn turn(
        &self,
        height: u64,
        since: u64,
        beneficiary: impl Fn(u64) -> Option<Address>,
    ) -> Result<Turn, MissingHeader> {
        assert!(
            since <= height,
            "a set that holds from {since} has no proposer at {height}"
        );
        let place = height - since;
        let mut first = self.at(place);
        let mut judged = Vec::new();
        for next in place..place + self.length() {
            let candidate = self.at(next);
            if judged.contains(&candidate) {
                continue;
            }
            if !self.rests(candidate, place, since, &beneficiary)? {
                first = candidate;
                break;
            }
            judged.push(candidate);
        }
        Ok(Turn {
            order: self.clone(),
            place,
            first,
        })
    }

    fn at(&self, place: u64) -> Address {
        let index = usize::try_from(place % self.length()).expect("less than the length");
        self.0[index]
    }

    fn rests(
        &self,
        validator: Address,
        place: u64,
        since: u64,
        beneficiary: &impl Fn(u64) -> Option<Address>,
    ) -> Result<bool, MissingHeader> {
        let mut missed = 0_usize;
        for own in self.places_before(validator, place).take(MEMORY) {
            let height = since + own;
            if beneficiary(height).ok_or(MissingHeader { height })? == validator {
                break;
            }
            missed += 1;
        }
        let last_resort = missed == MEMORY && (place / self.length()).is_multiple_of(LAST_RESORT);
        Ok(!(missed + 1).is_power_of_two() && !last_resort)
    }

    /// The places of `validator` below `place`, the latest first.
    fn places_before(&self, validator: Address, place: u64) -> impl Iterator<Item = u64> {
        let length = self.length();
        let in_order: Vec<u64> = (0..length)
            .rev()
            .filter(|&index| self.at(index) == validator)
            .collect();
        (0..=place / length)
            .rev()
            .flat_map(move |turn| {
                in_order
                    .clone()
                    .into_iter()
                    .map(move |at| turn * length + at)
            })
            .skip_while(move |&own| own >= place)
    }
}

impl Turn {
    /// Who proposes in `round`.
    #[must_use]
    pub fn proposer(&self, round: u32) -> Address {
        match round {
            0 => self.first,
            round => self.order.at(self.place + u64::from(round)),
        }
    }

    /// The validator whose place this height is, if it rests.
    #[must_use]
    pub fn resting(&self) -> Option<Address> {
        let owner = self.order.at(self.place);
        (owner != self.first).then_some(owner)
    }
}

#[cfg(test)]
mod tests;
