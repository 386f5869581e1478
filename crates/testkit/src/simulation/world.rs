//! The world: one queue of events by virtual time, and the cities to which they happen.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;
use std::time::Duration;

use alloy_primitives::B256;
use chain::{Genesis, PeerMessage, TimerKey};
use store::simulated::Disk;
use types::{ChainId, Domain, NetworkId, Readers, Record};

use super::byzantine::Byzantine;
use super::checks::{Checks, Failure};
use super::city::{City, Input};
use super::clock::BEGINNING_MS;
use super::figures::Figures;
use super::links::{Fate, Links};
use super::load::Load;
use super::plan::{Fault, Plan, Role};
use super::random::Random;
use super::registry::{HubStep, Registry};

/// A chain of a network, when there is a hub.
const APPLICATION: u64 = (5_000 << 21) + 7;

/// A seed needs some ten thousand events; many more are a storm.
const MAX_EVENTS: u64 = 3_000_000;

/// Something that happens at some time.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A message arrives, if the way has not broken since.
    Deliver {
        from: usize,
        to: usize,
        epoch: u64,
        bytes: Rc<[u8]>,
    },
    /// A city hears that its link to another is there, or dropped something.
    Connected {
        city: usize,
        peer: usize,
    },
    Timer {
        city: usize,
        life: u64,
        key: TimerKey,
        number: u64,
    },
    /// A slow sync is over.
    Synced {
        city: usize,
        life: u64,
    },
    /// A city looks whether a height is due.
    Wake {
        city: usize,
        life: u64,
    },
    Start {
        city: usize,
    },
    Submit {
        number: usize,
    },
    Fault(Fault),
    /// Something happens to the hub.
    Hub(HubStep),
    /// A city's copy of the hub gets what is new.
    HubSeen {
        city: usize,
    },
    /// What the registry has not settled is looked at.
    LookAtRegistry,
    /// These must be in blocks by now.
    Expect(Vec<B256>),
    /// A Byzantine city does something of its own accord.
    Mischief {
        city: usize,
    },
    /// All faults end.
    Heal,
    /// Whether all is as it should be by now.
    Look,
}

/// A simulation under way.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    number: u64,
    events: u64,
    pub(super) genesis: Genesis,
    pub(super) cities: Vec<City>,
    pub(super) links: Links,
    pub(super) checks: Checks,
    pub(super) load: Load,
    pub(super) registry: Option<Registry>,
    /// Cities with something wrong that lasts, by place.
    pub(super) spoilt: Vec<usize>,
    /// The highest hub block that a block cites.
    pub(super) cited: u64,
    pub(super) figures: Figures,
    pub(super) phase: Phase,
    /// What must be in a block at the end.
    pub(super) due: Vec<B256>,
    pub(super) failure: Option<Failure>,
    digest: DefaultHasher,
    pub(super) trace: Option<Vec<String>>,
}

/// How far a simulation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Faulty,
    /// Since the faults ended: everything must be well soon.
    Healing,
    /// Nobody is Byzantine any more: everything must end.
    Settling(Duration),
    Over,
}

fn genesis(seed: u64, plan: &Plan) -> Genesis {
    let chain = match plan.hub {
        Some(_) => ChainId::new(APPLICATION).expect("an id"),
        None => ChainId::DEVELOPMENT,
    };
    let genesis_ms = u64::try_from(BEGINNING_MS).unwrap_or(0) - 1_000;
    // Cities outside the set may read every other chain.
    let readers = if seed.is_multiple_of(2) {
        Readers::Anyone
    } else {
        Readers::Placed
    };
    let record = Record {
        readers,
        minimum_interval_ms: plan.minimum_interval_ms,
        ..Record::development(chain, genesis_ms)
    };
    Genesis {
        record,
        validators: plan.validators.clone(),
        network_id: NetworkId(B256::repeat_byte(3)),
        creator: None,
        registry: None,
    }
}

/// The registry of a network that has one, which begins with the chain as it is.
fn registry(plan: &Plan, domain: &Domain, record: &Record) -> Option<Registry> {
    plan.hub.as_ref()?;
    let set = plan.validators.clone();
    let (start_ms, cities) = (record.genesis_ms, plan.cities.len());
    let registry = Registry::new(domain, set, record.hash(), start_ms, cities);
    if let Some(blocks) = plan.hub_history {
        registry.hub.write().keep_history(blocks);
    }
    Some(registry)
}

impl World {
    pub(super) fn new(seed: u64, plan: Plan, trace: bool) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut genesis = genesis(seed, &plan);
        let chain = genesis.record.chain_id;
        let domain = Domain::new(chain, genesis.network_id);
        let registry = registry(&plan, &domain, &genesis.record);
        genesis.creator = registry.as_ref().map(|it| it.hub.read().block(0));
        let cities: Vec<_> = plan
            .cities
            .iter()
            .enumerate()
            .map(|(place, city)| City {
                key: std::sync::Arc::clone(&city.key),
                address: city.key.address(),
                power: city.power,
                runs: city.power > 0,
                is_spare: city.is_spare,
                left: false,
                hub: registry
                    .as_ref()
                    .map(|it| std::sync::Arc::clone(&it.copies[place]) as _),
                clock: city.clock,
                disk: Disk::new(random.next()),
                segment_bytes: 4_096 << (2 * random.below(3)),
                life: 0,
                living: None,
                byzantine: match &city.role {
                    Role::Honest => None,
                    Role::Byzantine(vices) => {
                        let key = std::sync::Arc::clone(&city.key);
                        Some(Byzantine::new(key, domain, vices.clone(), &mut random))
                    }
                },
                loses_disk: false,
                performed: 0,
                lost_log: false,
                sync_takes: Duration::ZERO,
                sync_fault: false,
                shown: 0,
                gone: false,
            })
            .collect();
        let byzantine = cities
            .iter()
            .filter(|city| !city.is_honest())
            .map(|city| city.address);
        let checks = Checks::new(domain, plan.validators.clone(), byzantine.collect());
        let links = Links::new(cities.len(), plan.quality);
        Self {
            links,
            load: Load::new(seed, chain),
            registry,
            spoilt: plan.spoilt.clone(),
            cited: 0,
            plan,
            random,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            number: 0,
            events: 0,
            genesis,
            cities,
            checks,
            figures: Figures::default(),
            phase: Phase::Faulty,
            due: Vec::new(),
            failure: None,
            digest: DefaultHasher::new(),
            trace: trace.then(Vec::new),
        }
    }

    /// Lets everything happen that the plan says, and all that follows from it.
    pub(super) fn run(&mut self) {
        self.begin();
        while self.failure.is_none() && self.phase != Phase::Over {
            let Some(((at, _), event)) = self.queue.pop_first() else {
                self.quiet();
                break;
            };
            self.now = at;
            self.events += 1;
            if self.events > MAX_EVENTS {
                self.fail(None, "liveness", "a storm: events without end");
            }
            self.happen(event);
        }
        self.figures.virtual_time = self.now;
        self.figures.blocks = self.checks.blocks;
    }

    fn begin(&mut self) {
        self.count_lasting();
        for city in 0..self.cities.len() {
            let at = self.random.millis(0, 50);
            self.at(at, Event::Start { city });
            if self.cities[city].byzantine.is_some() {
                self.at(at, Event::Mischief { city });
            }
        }
        for (at, fault) in self.plan.faults.clone() {
            self.at(at, Event::Fault(fault));
        }
        for number in 0..self.plan.load.len() {
            self.at(self.plan.load[number].at, Event::Submit { number });
        }
        for (at, step) in self.plan.hub.clone().unwrap_or_default() {
            self.at(at, Event::Hub(step));
        }
        self.at(self.plan.heal_at, Event::Heal);
    }

    /// What a part of the cities is for ever.
    fn count_lasting(&mut self) {
        for city in &self.plan.cities {
            if !city.clock.is_sound() {
                self.figures.count("wrong clock");
            }
            if let Role::Byzantine(vices) = &city.role {
                if city.power == 0 && !city.is_spare {
                    self.figures.count("city outside the set");
                    continue;
                }
                for vice in vices {
                    self.figures.count(vice.name());
                }
            }
        }
    }

    /// Lets something happen at a time.
    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.queue.insert((at.max(self.now), self.number), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver {
                from,
                to,
                epoch,
                bytes,
            } => self.deliver(from, to, epoch, &bytes),
            Event::Connected { city, peer } => {
                self.mark("connected", city, &[]);
                self.tell(|| format!("city {city}: connected to {peer}"));
                self.put(city, Input::Connected(peer));
            }
            Event::Timer {
                city,
                life,
                key,
                number,
            } => self.timer_over(city, life, key, number),
            Event::Synced { city, life } => {
                if self.cities[city].life == life {
                    self.synced(city);
                }
            }
            Event::Wake { city, life } => {
                if self.cities[city].life == life {
                    if let Some(living) = &mut self.cities[city].living {
                        living.wakes_at = None;
                    }
                    self.work(city);
                }
            }
            Event::Start { city } => self.start(city),
            Event::Submit { number } => self.submit(number),
            Event::Fault(fault) => self.fault(fault),
            Event::Hub(step) => self.hub(step),
            Event::HubSeen { city } => self.hub_seen(city),
            Event::LookAtRegistry => self.look_at_registry(),
            Event::Expect(hashes) => self.expect(&hashes),
            Event::Mischief { city } => self.mischief(city),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
        }
    }

    fn deliver(&mut self, from: usize, to: usize, epoch: u64, bytes: &[u8]) {
        if self.links.epoch(from, to) != Some(epoch) || self.cities[to].living.is_none() {
            return;
        }
        self.mark("deliver", to, bytes);
        self.figures.messages += 1;
        let message = match PeerMessage::decode(bytes) {
            Ok(message) => message,
            Err(error) => {
                self.tell(|| format!("city {to}: from {from} no message: {error}"));
                if self.cities[from].is_honest() {
                    self.fail(Some(from), "encoding", &format!("{error}"));
                }
                return;
            }
        };
        self.tell(|| format!("city {to}: from {from} {}", super::words::of(&message)));
        // Byzantine cities tell each other what they hear, those outside the set among them.
        if !self.cities[to].is_honest() {
            for city in self.cities.iter_mut().filter(|city| city.is_stranger()) {
                if let Some(byzantine) = &mut city.byzantine {
                    byzantine.overhear(&message);
                }
            }
        }
        let message = match &mut self.cities[to].byzantine {
            Some(byzantine) => {
                let (message, parcels) = byzantine.hear(from, message, &mut self.random);
                for (peer, bytes) in parcels {
                    self.transmit(to, peer, bytes.into());
                }
                message
            }
            None => Some(message),
        };
        if let Some(message) = message {
            self.put(to, Input::Received(from, message));
        }
    }

    fn timer_over(&mut self, city: usize, life: u64, key: TimerKey, number: u64) {
        if self.cities[city].life != life {
            return;
        }
        let Some(living) = &mut self.cities[city].living else {
            return;
        };
        if living
            .timers
            .get(&key)
            .is_none_or(|(current, _)| *current != number)
        {
            return;
        }
        if let Some((_, timer)) = living.timers.remove(&key) {
            self.mark("timer", city, &number.to_be_bytes());
            self.tell(|| format!("city {city}: {timer:?} is over"));
            self.put(city, Input::Timer(timer));
        }
    }

    /// Sends bytes on their way.
    pub(super) fn transmit(&mut self, from: usize, to: usize, bytes: Rc<[u8]>) {
        let message = PeerMessage::decode(&bytes);
        if let (Ok(PeerMessage::Transactions(raw)), false) =
            (&message, self.cities[from].is_honest())
        {
            // A flipped bit makes another sender, and gas is free: then it is that sender's.
            self.checks
                .known
                .extend(raw.iter().map(alloy_primitives::keccak256));
        }
        let class = message.map_or(chain::PeerClass::Consensus, |message| message.class());
        let Some(epoch) = self.links.epoch(from, to) else {
            return;
        };
        match self.links.send(from, to, class, self.now, &mut self.random) {
            Fate::Cut => {}
            Fate::Dropped(after) => {
                self.figures.count("message lost");
                self.tell(|| format!("city {from}: to {to} lost"));
                let at = self.now + after;
                self.at(
                    at,
                    Event::Connected {
                        city: from,
                        peer: to,
                    },
                );
                self.at(
                    at,
                    Event::Connected {
                        city: to,
                        peer: from,
                    },
                );
            }
            Fate::Arrives(at, again, how) => {
                if let Some(how) = how {
                    self.figures.count(how);
                }
                if let Some(again) = again {
                    self.figures.count("message twice");
                    let bytes = Rc::clone(&bytes);
                    self.at(
                        again,
                        Event::Deliver {
                            from,
                            to,
                            epoch,
                            bytes,
                        },
                    );
                }
                self.at(
                    at,
                    Event::Deliver {
                        from,
                        to,
                        epoch,
                        bytes,
                    },
                );
            }
        }
    }

    /// Both ends of a link hear that it is there.
    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let open = self.links.epoch(one, other).is_some() && self.links.epoch(other, one).is_some();
        let alive = |city: usize| self.cities[city].living.is_some();
        if one == other || !open || !alive(one) || !alive(other) {
            return;
        }
        for (city, peer) in [(one, other), (other, one)] {
            let at = self.now + self.links.latency(&mut self.random);
            self.at(at, Event::Connected { city, peer });
        }
    }

    pub(super) fn fail(&mut self, city: Option<usize>, what: &'static str, text: &str) {
        if self.failure.is_none() {
            self.tell(|| format!("FAILED: {what}: {text}"));
            let (at, text) = (self.now, text.to_owned());
            self.failure = Some(Failure {
                at,
                city,
                what,
                text,
            });
        }
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.6} {}", self.now.as_secs_f64(), line()));
        }
    }

    /// Takes something that happened into the number that tells whether two runs were the same.
    pub(super) fn mark(&mut self, what: &str, city: usize, bytes: &[u8]) {
        (self.now, what, city, bytes).hash(&mut self.digest);
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// What still waits to happen to honest cities.
    pub(super) fn waiting(&self) -> Option<String> {
        let happens = |event: &Event| match event {
            Event::Timer {
                city,
                life,
                key,
                number,
            } => {
                let city = &self.cities[*city];
                city.life == *life
                    && city.living.as_ref().is_some_and(|living| {
                        living
                            .timers
                            .get(key)
                            .is_some_and(|(current, _)| current == number)
                    })
            }
            Event::Deliver {
                from, to, epoch, ..
            } => self.links.epoch(*from, *to) == Some(*epoch) && self.cities[*to].living.is_some(),
            Event::Connected { city, .. }
            | Event::Synced { city, .. }
            | Event::Wake { city, .. }
            | Event::Start { city } => !self.cities[*city].gone,
            Event::Mischief { .. } | Event::Look => false,
            Event::Submit { .. }
            | Event::Fault(_)
            | Event::Heal
            | Event::Hub(_)
            | Event::HubSeen { .. }
            | Event::LookAtRegistry
            | Event::Expect(_) => true,
        };
        let ((at, _), event) = self.queue.iter().find(|(_, event)| happens(event))?;
        Some(format!("{event:?} at {at:?}"))
    }
}
