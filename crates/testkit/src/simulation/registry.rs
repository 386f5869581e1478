//! The registry of the simulated network: which cities the chain is to have, one change after the other, and who has heard
//! of it.
//!
//! It does what the contracts and `node`'s follower do: a city that joins holds the chain before the hub names it; the hub
//! names the next set after the handover to the one before was shown; a city's copy of the hub is behind as long as a fault
//! says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use parking_lot::RwLock;
use types::{Domain, Validator, ValidatorSet};

use super::city::{City, Input};
use super::random::Random;
use super::world::{Event, Phase, World};
use crate::hub::{Copy, SimulatedHub};

/// How often what is not settled is looked at.
const TICK: Duration = Duration::from_millis(500);

/// After so many looks a city is told again.
const TELL_AGAIN: u32 = 4;

/// What happens to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HubStep {
    /// A change of the chain's cities is asked for.
    Change,
    /// So many blocks that do not concern the chain.
    Grow(u64),
    /// So many at once, in which its own validators change as often as this.
    Jump(u64, Option<u64>),
    /// The hub's own validators change.
    HandOver,
    /// It makes no block any more.
    Halt,
    /// It makes blocks again.
    GoOn,
    /// Nothing of it reaches a city any more, nor it from there.
    CutOff(usize),
    /// The city hears of it again.
    Rejoin(usize),
    /// The chain's owner suspends it.
    Suspend,
    /// The chain's owner lets it go on.
    Resume,
}

/// A change that is not over.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Who joins, by place.
    pub(super) joining: Option<usize>,
    /// Who leaves, by place.
    pub(super) leaving: Option<usize>,
    next: ValidatorSet,
    is_named: bool,
}

/// The registry.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) hub: Arc<RwLock<SimulatedHub>>,
    /// By place of the city.
    pub(super) copies: Vec<Arc<Copy>>,
    pub(super) change: Option<Change>,
    /// The set that the chain has, or had before the change that is not over.
    set: ValidatorSet,
    /// Whom the hub names for the chain, from which of its blocks on.
    named: BTreeMap<u64, BTreeSet<Address>>,
    /// Whether the chain is suspended, from which of the hub's blocks on.
    suspended: BTreeMap<u64, bool>,
    /// When it was let go on.
    resumed: Option<Duration>,
    /// Since when all honest cities that live know that it is suspended.
    pub(super) still_since: Option<Duration>,
    /// Whether it makes no block; then what was to happen to it.
    is_halted: bool,
    waiting: Vec<HubStep>,
    /// Cities that hear nothing of it, by place.
    cut_off: BTreeSet<usize>,
    /// Whether a look is on its way.
    looks: bool,
    ticks: u32,
}

impl Registry {
    pub(super) fn new(
        domain: &Domain,
        set: ValidatorSet,
        record_hash: alloy_primitives::B256,
        start_ms: u64,
        cities: usize,
    ) -> Self {
        let hub = SimulatedHub::new(domain, set.clone(), record_hash, start_ms);
        let hub = Arc::new(RwLock::new(hub));
        let copy = |_| Arc::new(Copy::new(Arc::clone(&hub), 0));
        Self {
            copies: (0..cities).map(copy).collect(),
            hub,
            change: None,
            set,
            named: BTreeMap::from([(0, BTreeSet::new())]),
            suspended: BTreeMap::new(),
            resumed: None,
            still_since: None,
            is_halted: false,
            waiting: Vec::new(),
            cut_off: BTreeSet::new(),
            looks: false,
            ticks: 0,
        }
    }

    fn height(&self) -> u64 {
        self.hub.read().height()
    }

    /// Whether the chain is suspended now.
    fn is_suspended(&self) -> bool {
        let latest = self.suspended.last_key_value();
        latest.is_some_and(|(_, suspended)| *suspended)
    }

    /// The same, as far as a city knows.
    fn is_suspended_to(&self, city: usize) -> bool {
        let known = self.suspended.range(..=self.copies[city].seen());
        known.last().is_some_and(|(_, suspended)| *suspended)
    }

    /// Whether the chain stands still, or did so until this long ago.
    pub(super) fn stood_still(&self, now: Duration, within: Duration) -> bool {
        self.is_suspended() || self.resumed.is_some_and(|at| now < at + within)
    }

    /// Whether this is one of the chain's cities, as far as the hub was shown.
    pub(super) fn has(&self, address: Address) -> bool {
        self.set.get(address).is_some()
    }

    /// Whom the hub names for the chain, as far as a city knows.
    fn named_to(&self, city: usize) -> BTreeSet<Address> {
        let seen = self.copies[city].seen();
        let latest = self.named.range(..=seen).next_back();
        latest.map(|(_, named)| named.clone()).unwrap_or_default()
    }
}

/// The set without one and with another of power 1.
fn changed(set: &ValidatorSet, without: Option<Address>, with: Option<Address>) -> ValidatorSet {
    let mut validators: Vec<_> = set
        .validators()
        .iter()
        .copied()
        .filter(|validator| Some(validator.address) != without)
        .collect();
    validators.extend(with.map(|address| Validator { address, power: 1 }));
    validators.sort_by_key(|validator| validator.address);
    ValidatorSet::new(validators).expect("a sound set")
}

impl World {
    /// Something happens to the hub.
    pub(super) fn hub(&mut self, step: HubStep) {
        let Some(registry) = &mut self.registry else {
            return;
        };
        let needs_no_block = |step| {
            use HubStep::{CutOff, GoOn, Halt, Rejoin};
            matches!(step, Halt | GoOn | CutOff(_) | Rejoin(_))
        };
        if registry.is_halted && !needs_no_block(step) {
            self.figures.count("hub halted: what waits for it");
            return registry.waiting.push(step);
        }
        match step {
            HubStep::Halt => {
                self.figures.count("hub halted");
                registry.is_halted = true;
                return;
            }
            HubStep::GoOn => return self.hub_goes_on(),
            HubStep::CutOff(city) => {
                self.figures.count("city cut off from the hub");
                registry.cut_off.insert(city);
                return;
            }
            HubStep::Rejoin(city) => {
                registry.cut_off.remove(&city);
                return self.hub_seen(city);
            }
            HubStep::Suspend => {
                if registry.change.is_some() || registry.is_suspended() {
                    return;
                }
                self.figures.count("chain suspended");
                registry.hub.write().grow(1);
                registry.suspended.insert(registry.height(), true);
            }
            HubStep::Resume => {
                if !registry.is_suspended() {
                    return;
                }
                registry.hub.write().grow(1);
                registry.suspended.insert(registry.height(), false);
                registry.resumed = Some(self.now);
                registry.still_since = None;
            }
            HubStep::Grow(blocks) => {
                self.figures.count("hub blocks made at once");
                registry.hub.write().grow(blocks);
            }
            HubStep::Jump(blocks, turn) => {
                registry.hub.write().jump(blocks, turn);
                self.figures.count("hub far ahead at once");
                if self.all_are_parked() {
                    self.figures.count("hub far ahead of a parked chain");
                }
            }
            HubStep::HandOver => {
                self.figures.count("hub's own handover");
                registry.hub.write().hand_over();
            }
            HubStep::Change => self.ask_for_change(),
        }
        self.spread();
    }

    /// It makes blocks again: what waited happens.
    fn hub_goes_on(&mut self) {
        if let Some(registry) = &mut self.registry
            && registry.is_halted
        {
            registry.is_halted = false;
            for step in std::mem::take(&mut registry.waiting) {
                self.hub(step);
            }
            self.look_at_registry_soon();
        }
    }

    /// Whatever is wrong with the hub ends.
    pub(super) fn heal_hub(&mut self) {
        let Some(registry) = &self.registry else {
            return;
        };
        for city in registry.cut_off.clone() {
            self.hub(HubStep::Rejoin(city));
        }
        self.hub_goes_on();
        self.hub(HubStep::Resume);
    }

    fn all_are_parked(&self) -> bool {
        let living = self.cities.iter().filter_map(|city| city.living.as_ref());
        living.into_iter().all(|living| living.engine.is_parked())
    }

    /// The chain's owner asks for a change, if the one before is over.
    fn ask_for_change(&mut self) {
        let Some(registry) = self.registry.as_ref().filter(|it| it.change.is_none()) else {
            return;
        };
        if registry.is_suspended() {
            return;
        }
        let set = registry.set.clone();
        let place = |address: Address| self.cities.iter().position(|city| city.address == address);
        let places: Vec<usize> = set
            .validators()
            .iter()
            .filter_map(|validator| place(validator.address))
            .collect();
        let spare = self
            .cities
            .iter()
            .position(|city| city.is_spare && !city.runs && !city.gone);
        let spare = spare.filter(|place| !registry.cut_off.contains(place));
        let kind = self.random.below(4);
        let joining = spare.filter(|_| kind != 0);
        let leaving = (kind != 1 || joining.is_none())
            .then(|| places[self.random.index(places.len())])
            .filter(|_| places.len() > 1 || joining.is_some());
        let address = |place: Option<usize>| place.map(|place| self.cities[place].address);
        let next = changed(&set, address(leaving), address(joining));
        if next == set || !self.bears(&next) {
            return;
        }
        self.tell(|| format!("the hub: {leaving:?} leaves, {joining:?} joins"));
        self.figures.count(match (joining, leaving) {
            (Some(_), Some(_)) => "change: a city replaced",
            (Some(_), None) => "change: a city added",
            _ => "change: a city taken out",
        });
        if let Some(joining) = joining {
            if self.cities[joining].left {
                self.figures.count("change: a city came back");
            }
            self.cities[joining].runs = true;
            let at = self.now + self.random.millis(10, 1_500);
            self.at(at, Event::Start { city: joining });
        }
        let Some(registry) = &mut self.registry else {
            return;
        };
        registry.hub.write().grow(1);
        let validators = set.validators().iter().map(|validator| validator.address);
        let mut named: BTreeSet<Address> = validators.collect();
        named.extend(joining.map(|place| self.cities[place].address));
        registry.named.insert(registry.height(), named);
        registry.change = Some(Change {
            joining,
            leaving,
            next,
            is_named: false,
        });
        // Whoever is to teach the one that joins has to know who that is.
        self.spread();
        self.look_at_registry_soon();
    }

    /// Whether a set goes on with all that the plan lets go wrong for ever in less than a third of it.
    fn bears(&self, set: &ValidatorSet) -> bool {
        let is_spoilt = |address: Address| {
            let place = self.cities.iter().position(|city| city.address == address);
            place.is_none_or(|place| self.spoilt.contains(&place))
        };
        let validators = set.validators().iter();
        let spoilt = validators.filter(|validator| is_spoilt(validator.address));
        spoilt.map(|validator| validator.power).sum::<u64>() * 3 < set.total_power()
    }

    /// Every city's copy gets what is new, each in its time.
    fn spread(&mut self) {
        for city in 0..self.cities.len() {
            let longest = if self.phase == Phase::Faulty && self.random.chance(1, 6) {
                20_000
            } else {
                400
            };
            let at = self.now + self.random.millis(1, longest);
            self.at(at, Event::HubSeen { city });
        }
    }

    /// A city's copy of the hub is up to date.
    pub(super) fn hub_seen(&mut self, city: usize) {
        let Some(registry) = &self.registry else {
            return;
        };
        if registry.cut_off.contains(&city) {
            return;
        }
        registry.copies[city].catch_up();
        self.tell_of_hub(city);
        self.look_who_stands();
        self.look_at_registry_soon();
    }

    /// A city's follower tells the chain.
    pub(super) fn tell_of_hub(&mut self, city: usize) {
        let Some(registry) = &self.registry else {
            return;
        };
        let mut named = registry.named_to(city);
        let stands = registry.is_suspended_to(city);
        // As the program's follower does it: until the chain says what the registry says, it is told whom that names.
        let hub = registry.hub.read();
        let held = hub.held(registry.copies[city].seen());
        let living = self.cities[city].living.as_ref();
        if living.is_some_and(|living| **living.engine.validators() != *held) {
            named.extend(held.validators().iter().map(|one| one.address));
        }
        let is_settled = living.is_some_and(|living| **living.engine.validators() == *held);
        drop(hub);
        if let Some(living) = &mut self.cities[city].living {
            if living.rests && is_settled {
                // Nothing is opened for that; it is told when something else opens it.
                living.stands = stands;
                return;
            }
            if living.stands != stands {
                living.stands = stands;
                living.inbox.push_front(Input::Stand);
            }
        }
        named.remove(&self.cities[city].address);
        self.put(city, Input::HubMoved(named));
    }

    /// Since when everybody knows that the chain is suspended.
    fn look_who_stands(&mut self) {
        let honest = self.cities.iter().filter(|city| city.is_honest());
        let mut living = honest.filter_map(|city| city.living.as_ref());
        let all = living.all(|living| living.stands);
        if let Some(registry) = &mut self.registry
            && registry.is_suspended()
            && all
        {
            registry.still_since.get_or_insert(self.now);
        }
    }

    fn look_at_registry_soon(&mut self) {
        if let Some(registry) = &mut self.registry
            && !registry.looks
        {
            registry.looks = true;
            self.at(self.now + TICK, Event::LookAtRegistry);
        }
    }

    /// What is not settled goes on, if it can.
    pub(super) fn look_at_registry(&mut self) {
        let Some(registry) = &mut self.registry else {
            return;
        };
        registry.looks = false;
        registry.ticks += 1;
        let tells = registry.ticks.is_multiple_of(TELL_AGAIN);
        self.go_on_with_change();
        let unsettled = self.unsettled();
        if tells {
            for city in &unsettled {
                self.tell_of_hub(*city);
            }
        }
        let is_changing = self
            .registry
            .as_ref()
            .is_some_and(|registry| registry.change.is_some());
        if is_changing || !unsettled.is_empty() {
            self.look_at_registry_soon();
        }
    }

    /// Honest cities that live and whose chain is not as their copy of the hub has it.
    fn unsettled(&self) -> Vec<usize> {
        let Some(registry) = &self.registry else {
            return Vec::new();
        };
        let hub = registry.hub.read();
        let joining = registry.change.as_ref().and_then(|change| change.joining);
        let is_unsettled = |place: &usize| {
            let city = &self.cities[*place];
            let Some(living) = city.living.as_ref().filter(|_| city.is_honest()) else {
                return false;
            };
            let held = hub.held(registry.copies[*place].seen());
            joining == Some(*place) || **living.engine.validators() != *held
        };
        (0..self.cities.len()).filter(is_unsettled).collect()
    }

    fn go_on_with_change(&mut self) {
        let Some(registry) = &mut self.registry else {
            return;
        };
        let Some(change) = &mut registry.change else {
            return;
        };
        if registry.is_halted {
            return;
        }
        let (joining, leaving, next) = (change.joining, change.leaving, change.next.clone());
        let cut_off = registry.cut_off.clone();
        if !change.is_named {
            let holds = joining.is_none_or(|place| {
                let hears = !cut_off.contains(&place);
                let living = self.cities[place].living.as_ref().filter(|_| hears);
                living.is_some_and(|living| living.engine.holds_chain())
            });
            if holds {
                change.is_named = true;
                registry.hub.write().name(next.clone());
                let (before, after) = (registry.set.validators(), next.validators());
                let named = before.iter().chain(after).map(|one| one.address).collect();
                registry.named.insert(registry.height(), named);
                self.tell(|| "the hub names the next set".to_owned());
                self.spread();
            }
            return;
        }
        // Whoever stays shows the handover block: it is not lost with whoever leaves.
        let shows = |(place, city): (usize, &City)| {
            let may = city.is_honest() && !cut_off.contains(&place);
            let living = city.living.as_ref().filter(|_| may);
            let stays = next.get(city.address).is_some();
            stays && living.is_some_and(|living| **living.engine.validators() == next)
        };
        if *self.checks.latest_set() != next || !self.cities.iter().enumerate().any(shows) {
            return;
        }
        let Some(registry) = &mut self.registry else {
            return;
        };
        registry.set = next;
        registry.change = None;
        registry.hub.write().grow(1);
        registry.named.insert(registry.height(), BTreeSet::new());
        self.figures.count("handover");
        self.tell(|| "the hub is shown the handover".to_owned());
        if let Some(city) = leaving {
            self.forget_waiting(city);
            let may_return = self.plan.returns && !self.spoilt.contains(&city);
            let it = &mut self.cities[city];
            if may_return {
                (it.runs, it.is_spare, it.left) = (false, true, true);
            } else {
                it.gone = true;
            }
            it.living = None;
            it.life += 1;
            self.links.end(city);
        }
        self.spread();
    }

    /// What a city that leaves took from clients, and nobody else heard of, is not waited for.
    fn forget_waiting(&mut self, city: usize) {
        let pooled = |place: usize| -> BTreeSet<alloy_primitives::B256> {
            let living = self.cities[place].living.as_ref();
            let content = living.map(|living| living.engine.pool().read().content());
            let content = content.into_iter().flatten();
            content
                .map(|(_, _, pooled)| *pooled.transaction.hash())
                .collect()
        };
        let mut lost = pooled(city);
        for place in (0..self.cities.len()).filter(|place| *place != city) {
            let living = self.cities[place].living.as_ref();
            let waiting = living.map(|living| living.engine.pool().read().executable(usize::MAX));
            for transaction in waiting.into_iter().flatten() {
                lost.remove(transaction.hash());
            }
        }
        self.due.retain(|hash| !lost.contains(hash));
    }

    /// What of the registry is not as it should be when all faults are over.
    pub(super) fn unwell_registry(&self) -> Option<String> {
        let registry = self.registry.as_ref()?;
        if let Some(change) = &registry.change {
            let joining = change
                .joining
                .and_then(|place| self.cities[place].living.as_ref());
            let holds = joining.map(|living| {
                let engine = &living.engine;
                (living.tip(), engine.holds_chain(), engine.is_settled())
            });
            let set = self.checks.latest_set();
            return Some(format!(
                "a change of {set:?} is not over: {change:?}; who joins: {holds:?}"
            ));
        }
        let unsettled = self.unsettled();
        (!unsettled.is_empty()).then(|| format!("{unsettled:?} have another set than the hub"))
    }
}

/// When what happens to the hub.
pub(super) fn steps(heal_at: Duration, random: &mut Random) -> Vec<(Duration, HubStep)> {
    let heal_ms = u64::try_from(heal_at.as_millis()).unwrap_or(u64::MAX);
    let mut steps = Vec::new();
    for _ in 0..random.between(1, 4) {
        steps.push((random.millis(200, heal_ms), HubStep::Change));
    }
    if random.chance(1, 2) {
        steps.push((heal_at + random.millis(1_000, 6_000), HubStep::Change));
    }
    for _ in 0..random.below(4) {
        let blocks = random.between(1, 300);
        steps.push((random.millis(100, heal_ms), HubStep::Grow(blocks)));
    }
    for _ in 0..random.below(3) {
        steps.push((random.millis(100, heal_ms), HubStep::HandOver));
    }
    steps
}
