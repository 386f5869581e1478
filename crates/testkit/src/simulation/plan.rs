//! What a seed decides before the first event: cities, links, faults and when they happen, transactions.
//!
//! Each seed has only some kinds of faults, so that one kind does not hide what another would show.

use std::sync::Arc;
use std::time::Duration;

use types::{NodeKey, Validator, ValidatorSet};

use super::byzantine::Vice;
use super::clock::Clock;
use super::links::Quality;
use super::random::Random;
use super::registry::{self, HubStep};
use super::{Crash, Focus, Options, scenario};

/// Everything that a seed decides at the beginning.
#[derive(Debug)]
pub(super) struct Plan {
    /// The chain's cities, ascending by address; then, perhaps, one of the network that is not the chain's, and some that may
    /// join it.
    pub(super) cities: Vec<CityPlan>,
    pub(super) validators: ValidatorSet,
    pub(super) quality: Quality,
    pub(super) faults: Vec<(Duration, Fault)>,
    /// When all faults end, but for what a third of the power may do for ever.
    pub(super) heal_at: Duration,
    /// A city crashes before one of so many effects; 0: never.
    pub(super) crash_one_in: u64,
    /// A crash at a certain place.
    pub(super) crash: Option<Crash>,
    /// Tables are flushed after one of so many commits.
    pub(super) flush_one_in: u64,
    pub(super) minimum_interval_ms: u64,
    /// When a client sends how many transactions, to how many cities.
    pub(super) load: Vec<Submission>,
    /// What happens to the hub; `None` without one.
    pub(super) hub: Option<Vec<(Duration, HubStep)>>,
    /// Cities with something wrong that lasts, by place.
    pub(super) spoilt: Vec<usize>,
    /// A chain that may rest is parked one time in so many; 0: never.
    pub(super) parks_one_in: u64,
    /// Whether cities that left may come back.
    pub(super) returns: bool,
    /// How many of the hub's latest blocks can be proven to hold something, if not all.
    pub(super) hub_history: Option<u64>,
    /// Within which time a transaction must be in a block even before the faults end, where there are none.
    pub(super) prompt: Option<Duration>,
}

/// A city of the plan.
#[derive(Clone, Debug)]
pub(super) struct CityPlan {
    pub(super) key: Arc<NodeKey>,
    /// 0: not one of the chain's.
    pub(super) power: u64,
    pub(super) clock: Clock,
    pub(super) role: Role,
    /// Whether it may join the chain later.
    pub(super) is_spare: bool,
}

/// What a city is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Honest,
    /// Does these things.
    Byzantine(Vec<Vice>),
}

/// A client's transactions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Submission {
    pub(super) at: Duration,
    pub(super) transactions: u64,
    /// Each goes to so many cities.
    pub(super) copies: usize,
}

/// Something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process ends.
    Kill(usize),
    /// Power is lost.
    PowerCut(usize),
    /// Everywhere at once.
    PowerCutAll,
    /// The disk is lost, the key is not.
    Wipe(usize),
    /// Nothing gets through any more.
    Cut { from: usize, to: usize },
    /// It does again.
    Mend { from: usize, to: usize },
    /// Each sync takes so long.
    Slow(usize, Duration),
    /// The disk takes so many bytes more, and then none.
    Fill(usize, u64),
    /// There is room again.
    Empty(usize),
    /// The next sync fails.
    FailSync(usize),
}

impl Plan {
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) fn new(options: Options) -> Self {
        let Options { calm, focus, .. } = options;
        let mut random = Random::new(options.seed);
        let may = |kind| !calm && focus.is_none_or(|focus| focus == kind);
        let drawn = match random.below(20) {
            0..12 => 4,
            12..15 => 7,
            15..17 => 3,
            17 => 2,
            18 => 1,
            _ => 5,
        };
        let count = options.cities.unwrap_or(drawn);
        let mut powers = powers(count, &mut random);
        if options.silent.is_some() {
            // Whoever is silent must not be a third.
            powers.fill(1);
        }
        let are_loose = may(Focus::Clocks) && random.chance(1, 3);
        let off_by_ms = if are_loose { 700 } else { 100 };
        let mut cities = cities(&powers, off_by_ms, &mut random);
        let validators = cities.iter().map(|city| Validator {
            address: city.key.address(),
            power: city.power,
        });
        let validators = ValidatorSet::new(validators.collect()).expect("a sound set");
        if let Some(city) = options.silent.and_then(|city| cities.get_mut(city)) {
            city.role = Role::Byzantine(vec![Vice::Silence]);
        }
        let heal_at = random.millis(4_000, 25_000);
        let wiped = spoil(&mut cities, may, &mut random);
        let faults = draw_faults(count, &wiped, heal_at, may, &mut random);
        if may(Focus::Byzantine) && random.chance(1, 4) {
            cities.push(stranger(&mut random));
        }
        let least = random.between(1, 20);
        let mut sometimes = |of_1000: u64| {
            if may(Focus::Links) && random.chance(1, 3) {
                random.between(1, of_1000)
            } else {
                0
            }
        };
        let (lost, twice, overtaking, late) =
            (sometimes(80), sometimes(100), sometimes(200), sometimes(60));
        let quality = Quality {
            way_ms: (least, least + random.between(1, 60)),
            lost,
            twice,
            overtaking,
            late,
        };
        let crash_one_in = if may(Focus::Crashes) && random.chance(1, 3) {
            random.between(60, 800)
        } else {
            0
        };
        let flush_one_in = random.between(1, 12);
        let minimum_interval_ms = if random.chance(1, 12) {
            random.between(10, 400)
        } else {
            0
        };
        let load = load(heal_at, count, &mut random);
        // Drawn apart: what else a seed says does not depend on it.
        let mut of_hub = Random::new(options.seed ^ 0x4a6d);
        let has_hub = options.crash.is_none() && options.silent.is_none() && {
            let drawn = !calm && of_hub.chance(1, 3);
            options
                .changes
                .unwrap_or_else(|| drawn || focus == Some(Focus::Changes))
                || options.scenario.is_some()
        };
        let hub = has_hub.then(|| registry::steps(heal_at, &mut of_hub));
        if has_hub {
            let spares = of_hub.between(1, 3);
            cities.extend((0..spares).map(|number| spare(number, &mut of_hub)));
        }
        let is_spoilt = |(place, city): &(usize, &CityPlan)| {
            city.role != Role::Honest || !city.clock.is_sound() || wiped.contains(place)
        };
        let spoilt = cities.iter().enumerate().filter(is_spoilt);
        let spoilt = spoilt.map(|(place, _)| place).collect();
        let plan = Self {
            cities,
            validators,
            quality,
            faults,
            heal_at,
            crash: options.crash,
            crash_one_in,
            flush_one_in,
            minimum_interval_ms,
            load,
            hub,
            spoilt,
            parks_one_in: 0,
            returns: false,
            hub_history: None,
            prompt: None,
        };
        match options.scenario {
            Some(scenario) => scenario::applied(scenario, calm, plan, options.seed),
            None => plan,
        }
    }
}

fn powers(count: usize, random: &mut Random) -> Vec<u64> {
    let equal = random.chance(2, 3);
    let mut power = || if equal { 1 } else { random.between(1, 5) };
    (0..count).map(|_| power()).collect()
}

fn cities(powers: &[u64], off_by_ms: u64, random: &mut Random) -> Vec<CityPlan> {
    let mut cities: Vec<_> = (1_u8..)
        .zip(powers)
        .map(|(number, &power)| CityPlan {
            key: Arc::new(NodeKey::from_bytes(&[number; 32]).expect("a small number is a key")),
            power,
            clock: Clock::sound(off_by_ms, random),
            role: Role::Honest,
            is_spare: false,
        })
        .collect();
    cities.sort_by_key(|city| city.key.address());
    cities
}

fn stranger(random: &mut Random) -> CityPlan {
    CityPlan {
        key: Arc::new(NodeKey::from_bytes(&[0x77; 32]).expect("a key")),
        power: 0,
        clock: Clock::sound(100, random),
        role: Role::Byzantine(Vice::ALL.to_vec()),
        is_spare: false,
    }
}

/// A city that may join.
fn spare(number: u64, random: &mut Random) -> CityPlan {
    let byte = 0x60 + u8::try_from(number).unwrap_or(0);
    CityPlan {
        key: Arc::new(NodeKey::from_bytes(&[byte; 32]).expect("a key")),
        power: 0,
        clock: Clock::sound(100, random),
        role: Role::Honest,
        is_spare: true,
    }
}

/// Gives less than a third of the power a bent that lasts: Byzantine, with a wrong clock, or about to lose its disk.
/// Returns who is to lose it.
fn spoil(cities: &mut [CityPlan], may: impl Fn(Focus) -> bool, random: &mut Random) -> Vec<usize> {
    let total: u64 = cities.iter().map(|city| city.power).sum();
    let (mut spoilt, mut wiped) = (0, Vec::new());
    let first = random.index(cities.len());
    for step in 0..cities.len() {
        let index = (first + step) % cities.len();
        let city = &mut cities[index];
        if (spoilt + city.power) * 3 >= total {
            continue;
        }
        match random.below(8) {
            0..4 if may(Focus::Byzantine) => city.role = Role::Byzantine(vices(random)),
            4 | 5 if may(Focus::Clocks) => city.clock = Clock::wrong(random.next()),
            6 if may(Focus::Disks) => wiped.push(index),
            _ => continue,
        }
        spoilt += city.power;
    }
    wiped
}

fn vices(random: &mut Random) -> Vec<Vice> {
    let mut vices = Vec::new();
    for _ in 0..random.between(1, 3) {
        let vice = *random.pick(Vice::ALL).expect("there are some");
        if !vices.contains(&vice) {
            vices.push(vice);
        }
    }
    vices
}

fn draw_faults(
    count: usize,
    wiped: &[usize],
    heal_at: Duration,
    may: impl Fn(Focus) -> bool,
    random: &mut Random,
) -> Vec<(Duration, Fault)> {
    let heal_ms = u64::try_from(heal_at.as_millis()).unwrap_or(u64::MAX);
    let mut faults: Vec<_> = wiped
        .iter()
        .map(|&city| (random.millis(500, heal_ms), Fault::Wipe(city)))
        .collect();
    for kind in 0..7 {
        let focus = match kind {
            0..3 => Focus::Crashes,
            3..6 => Focus::Disks,
            _ => Focus::Links,
        };
        if !may(focus) || !random.chance(1, 3) {
            continue;
        }
        for _ in 0..random.between(1, 4) {
            let at = random.millis(100, heal_ms);
            let later = (at + random.millis(50, 8_000)).min(heal_at);
            let (city, other) = (random.index(count), random.index(count));
            match kind {
                0 => faults.push((at, Fault::Kill(city))),
                1 => faults.push((at, Fault::PowerCut(city))),
                2 => faults.push((at, Fault::PowerCutAll)),
                3 => {
                    faults.push((at, Fault::Slow(city, random.millis(1, 300))));
                    faults.push((later, Fault::Slow(city, Duration::ZERO)));
                }
                4 => {
                    faults.push((at, Fault::Fill(city, random.below(80_000))));
                    faults.push((later, Fault::Empty(city)));
                }
                5 => faults.push((at, Fault::FailSync(city))),
                _ => cut(count, (city, other), (at, later), random, &mut faults),
            }
        }
    }
    faults
}

/// One way, both ways between two cities, or the cities in two parts.
fn cut(
    count: usize,
    (city, other): (usize, usize),
    (at, later): (Duration, Duration),
    random: &mut Random,
    faults: &mut Vec<(Duration, Fault)>,
) {
    let mut ways = Vec::new();
    match random.below(3) {
        0 => ways.push((city, other)),
        1 => ways.extend([(city, other), (other, city)]),
        _ => {
            let part = random.next();
            let is_left = |city: usize| part >> city & 1 == 1;
            for from in 0..count {
                ways.extend(
                    (0..count)
                        .filter(|to| is_left(from) != is_left(*to))
                        .map(|to| (from, to)),
                );
            }
        }
    }
    for (from, to) in ways.into_iter().filter(|(from, to)| from != to) {
        faults.push((at, Fault::Cut { from, to }));
        faults.push((later, Fault::Mend { from, to }));
    }
}

fn load(heal_at: Duration, count: usize, random: &mut Random) -> Vec<Submission> {
    let heal_ms = u64::try_from(heal_at.as_millis()).unwrap_or(u64::MAX);
    let mut load: Vec<_> = (0..random.between(4, 26))
        .map(|_| random.millis(50, heal_ms))
        .collect();
    // What is sent after the faults must get in, whatever happened before. Without it, who lags has to find out by himself.
    if random.chance(2, 3) {
        load.push(heal_at + random.millis(500, 2_000));
        load.push(heal_at + random.millis(500, 5_000));
    }
    load.into_iter()
        .map(|at| Submission {
            at,
            transactions: random.between(1, 3),
            copies: 1 + random.index(count.min(3)),
        })
        .collect()
}
