//! Cities of the real engine in simulated time, with simulated links and disks: a seed decides everything.
//!
//! ```text
//!  seed ─▶ plan: cities, clocks, faults, transactions
//!            │
//!            ▼        ┌────────── city ───────────┐
//!  queue of events ─▶ │ inbox ─▶ engine ─▶ effects │ ─▶ log and tables on a simulated disk
//!   by virtual time   └───────────────────────────┘ ─▶ links ─▶ queue
//!            │
//!            └─▶ faults … heal … all is well? … idle for an hour
//! ```
//!
//! What must hold is looked at with every message, block and start: agreement, validity, locks, one signature a step and
//! city, durability of what was shown, blocks for all transactions soon after the faults, and silence when there is nothing
//! to do. Where there is a hub, the chain's cities change by its word. Byzantine cities run the same engine and say something else. Two runs of one seed are the same to the byte.

mod byzantine;
mod checks;
mod city;
mod clock;
mod driver;
mod figures;
mod links;
mod load;
mod phases;
mod plan;
mod random;
mod registry;
mod scenario;
mod words;
mod world;

pub use checks::Failure;
pub use figures::Figures;
pub use load::transfer;

use plan::Plan;
use world::World;

/// One kind of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Ends of processes, of engines, and of power.
    Crashes,
    /// Full, slow, failing and lost disks.
    Disks,
    /// Loss, order, delay and cuts.
    Links,
    /// Wrong clocks.
    Clocks,
    /// Cities that do not keep the rules.
    Byzantine,
    /// None; but the chain's cities change.
    Changes,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed.
    Process,
    /// Power is lost.
    Power,
    /// The engine alone begins anew; the process and its links stay.
    Engine,
}

/// A crash at a certain place, beside what the seed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Which city.
    pub city: usize,
    /// Before which of its effects, counted from 0.
    pub effect: u64,
    /// What ends.
    pub end: End,
}

/// What happens to the hub, in place of what the seed says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// It goes on by a million blocks while the chain is parked, which then is woken.
    Parked {
        /// By a change of its cities; else by a transaction.
        by_handover: bool,
        /// After how many of its blocks the hub's own validators take turns, if they do.
        turn: Option<u64>,
        /// How many of the hub's latest blocks cities can prove to hold something, if not all.
        history: Option<u64>,
    },
    /// It makes no block for an hour.
    Halted,
    /// It does not reach some cities for an hour, and its word does not come from them.
    Partitioned,
    /// It does not reach one city for an hour.
    Unheard,
    /// It suspends the chain and lets it go on, several times.
    Suspended {
        /// Whether the chain is parked now and then when it may be, as a city with many chains does it.
        parks: bool,
    },
    /// Cities leave the chain and come back to it, while it is parked whenever it can be.
    Returning,
}

/// What is to be simulated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many cities, in place of what the seed says.
    pub cities: Option<usize>,
    /// Without faults.
    pub calm: bool,
    /// With a hub, on which the chain's cities change, in place of what the seed says.
    pub changes: Option<bool>,
    /// With a hub to which this happens.
    pub scenario: Option<Scenario>,
    /// Faults of this kind alone.
    pub focus: Option<Focus>,
    /// A crash at a certain place.
    pub crash: Option<Crash>,
    /// A city that says nothing from the beginning.
    pub silent: Option<usize>,
    /// With a line for every event.
    pub trace: bool,
}

/// How a simulation ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What does not hold, if anything.
    pub failure: Option<Failure>,
    /// What was done.
    pub figures: Figures,
    /// The same for two runs that were the same.
    pub digest: u64,
    /// A line for every event, if that was wished for.
    pub trace: Vec<String>,
}

/// Simulates one seed.
#[must_use]
pub fn run(options: Options) -> Outcome {
    let seed = options.seed;
    let plan = Plan::new(options);
    let mut world = World::new(seed, plan, options.trace);
    world.figures.cities = world.cities.len() as u64;
    world.run();
    Outcome {
        seed,
        failure: world.failure.take(),
        digest: world.digest(),
        trace: world.trace.take().unwrap_or_default(),
        figures: world.figures,
    }
}
