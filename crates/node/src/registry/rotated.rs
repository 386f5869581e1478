//! Cities that go on under a new key: what is on them is to go over to the cities as which they do.
//!
//! ```text
//!  a running chain names a city that has a successor, and not the successor ─▶ `rotate` ─▶ a change, for `changes` to see to
//! ```
//!
//! The chain's cities may say it, and the successor: each takes its turn as for removed cities, and says it again until the
//! registry shows it. The registry passes over what it cannot take, but for what the successor has no room for: one such chain
//! would keep all others of the same act, so it is left out.

use std::collections::BTreeMap;

use hub::abi::{APPLICATIONS, Capacity, City};
use hub::acts::{self, Budget, Kind};
use hub::registry::{ACTIVE, REMOVED, Status};
use hub::{Placement, Registry, RegistryError};

use super::changes::{Waiting, turn};
use super::{FollowError, Follower, Known};

/// Cities with a successor, and what is to go over to it.
#[derive(Debug, Default)]
pub(super) struct Rotated {
    cities: BTreeMap<u32, Rotation>,
}

/// What is on one city.
#[derive(Debug)]
struct Rotation {
    successor: u32,
    chains: BTreeMap<u64, Staying>,
}

/// A chain that is to go over.
#[derive(Debug)]
struct Staying {
    act: Waiting,
    /// How many cities the chain has.
    cities: usize,
    /// What it takes of each.
    taken: Capacity,
}

/// What a city has left to give.
#[derive(Debug)]
struct Room(Capacity);

/// Cities whose chains are to go over, with the cities to which. A removed one's chains leave it anyway, and to a successor
/// that is not in force nothing can go.
pub(super) fn successors(
    registry: &Registry<'_>,
    all: &[City],
) -> Result<BTreeMap<u32, u32>, RegistryError> {
    let status = |id| {
        all.iter()
            .find(|city| city.id == id)
            .map(|city| city.status)
    };
    let mut successors = registry.successors(all)?;
    successors.retain(|city, successor| {
        status(*city) != Some(REMOVED) && status(*successor) == Some(ACTIVE)
    });
    Ok(successors)
}

impl Rotated {
    /// Whether there is something to be said soon.
    pub(super) fn is_busy(&self) -> bool {
        self.cities
            .values()
            .any(|rotation| !rotation.chains.is_empty())
    }

    /// Cities with a successor, and that.
    pub(super) fn cities(&self) -> BTreeMap<u32, u32> {
        let cities = self.cities.iter();
        cities
            .map(|(city, rotation)| (*city, rotation.successor))
            .collect()
    }

    /// These are the cities with a successor now.
    pub(super) fn set(&mut self, successors: BTreeMap<u32, u32>) {
        self.cities
            .retain(|city, rotation| successors.get(city) == Some(&rotation.successor));
        for (city, successor) in successors {
            self.cities.entry(city).or_insert_with(|| Rotation {
                successor,
                chains: BTreeMap::new(),
            });
        }
    }

    /// So an application is now: is it to go over, and has the city with number `own` a part in that?
    pub(super) fn saw(&mut self, own: Option<u32>, placement: &Placement) {
        let n = placement.n;
        let is_free = placement.status == Status::Runs && placement.change.is_none();
        let names = |city| placement.cities.contains(&city);
        for (city, Rotation { successor, chains }) in &mut self.cities {
            let has_part = own.is_some_and(|own| names(own) || own == *successor);
            if !is_free || !has_part || !names(*city) || names(*successor) {
                chains.remove(&n);
                continue;
            }
            let act = chains
                .get(&n)
                .map_or_else(Waiting::default, |staying| staying.act);
            let staying = Staying {
                act,
                cities: placement.cities.len(),
                taken: placement.taken.clone(),
            };
            chains.insert(n, staying);
        }
    }
}

impl Room {
    fn of(city: &City) -> Self {
        let (offer, taken) = (&city.offer, &city.taken);
        // An offer may be lower than what was taken before.
        Self(Capacity {
            gasPerSecond: offer.gasPerSecond.saturating_sub(taken.gasPerSecond),
            bytesStored: offer.bytesStored.saturating_sub(taken.bytesStored),
            chains: offer.chains.saturating_sub(taken.chains),
            blocksPerSecond: offer.blocksPerSecond.saturating_sub(taken.blocksPerSecond),
        })
    }

    /// Takes what one application takes, if there is so much.
    fn take(&mut self, wanted: &Capacity) -> bool {
        let left = (|| {
            Some(Capacity {
                gasPerSecond: self.0.gasPerSecond.checked_sub(wanted.gasPerSecond)?,
                bytesStored: self.0.bytesStored.checked_sub(wanted.bytesStored)?,
                chains: self.0.chains.checked_sub(wanted.chains)?,
                blocksPerSecond: self.0.blocksPerSecond.checked_sub(wanted.blocksPerSecond)?,
            })
        })();
        let fits = left.is_some();
        if let Some(left) = left {
            self.0 = left;
        }
        fits
    }
}

impl Follower {
    /// Asks for chains of cities with a successor to go over to it, as far as it is time.
    pub(super) async fn see_to_rotated(&self, known: &mut Known) {
        for (city, rotation) in &mut known.rotated.cities {
            let (successor, staying) = (rotation.successor, rotation.chains.len());
            let mut due = rotation.chains.iter_mut().filter_map(|(n, staying)| {
                let is_due = staying.act.is_due(turn(known.own_id, *n));
                is_due.then_some((*n, staying))
            });
            let Some(first) = due.next() else { continue };
            let mut room = match self.room(successor) {
                Ok(room) => room,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the registry could not be asked; it is tried again"
                    );
                    continue;
                }
            };
            let mut budget = Budget::new(Kind::Rotate);
            let (mut ns, mut without_room) = (Vec::new(), 0_usize);
            for (n, chain) in std::iter::once(first).chain(due) {
                if !room.take(&chain.taken) {
                    without_room += 1;
                    chain.act.say();
                } else if budget.fits(chain.cities) {
                    ns.push(n);
                    chain.act.say();
                } else {
                    break;
                }
            }
            if without_room > 0 {
                tracing::warn!(
                    city,
                    successor,
                    chains = without_room,
                    "chains stay on a city that has a new key: the city as which it goes on offers too little for them"
                );
            }
            if !ns.is_empty() {
                let chains = ns.len();
                tracing::info!(
                    city,
                    successor,
                    chains,
                    staying,
                    "chains go over to a city's new key"
                );
                self.say((APPLICATIONS, acts::rotate(*city, ns))).await;
            }
        }
    }

    fn room(&self, city: u32) -> Result<Room, FollowError> {
        let hub = self.hub.reader().moment()?;
        Ok(Room::of(&Registry::new(&hub).city(city)?))
    }
}

#[cfg(test)]
mod tests;
