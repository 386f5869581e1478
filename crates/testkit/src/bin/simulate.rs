//! `simulate --seeds N [--from S]`: cities in simulated time, one world a seed; ends at the first seed that fails.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use testkit::simulation::{self, Figures, Focus, Options, Outcome, Scenario};

/// The last lines of a failing seed's trace that are printed.
const LAST_LINES: usize = 200;

/// Signers that a thread remembers: its cities meet each signature several times, and recovering is most of their work.
const SIGNERS: usize = 1 << 14;

/// Simulates cities, and holds them to what must hold whatever happens.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many cities, in place of what each seed says.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=31))]
    cities: Option<u8>,
    /// Faults of one kind alone, or none.
    #[arg(long, value_enum)]
    focus: Option<Kind>,
    /// What happens to the hub, in place of what each seed says of it.
    #[arg(long, value_enum)]
    scenario: Option<Hub>,
    /// A line for every event, on standard error.
    #[arg(long)]
    trace: bool,
    /// Each seed twice: both runs have to be the same.
    #[arg(long)]
    twice: bool,
    /// Goes on after a seed that fails.
    #[arg(long)]
    keep_going: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Nothing,
    Crashes,
    Disks,
    Links,
    Clocks,
    Byzantine,
    Changes,
}

impl Kind {
    const fn focus(self) -> Option<Focus> {
        match self {
            Self::Nothing => None,
            Self::Crashes => Some(Focus::Crashes),
            Self::Disks => Some(Focus::Disks),
            Self::Links => Some(Focus::Links),
            Self::Clocks => Some(Focus::Clocks),
            Self::Byzantine => Some(Focus::Byzantine),
            Self::Changes => Some(Focus::Changes),
        }
    }
}

/// Scenarios by name.
#[derive(Clone, Copy, ValueEnum)]
enum Hub {
    ParkedTransaction,
    ParkedHandover,
    ParkedTransactionTurns,
    ParkedHandoverTurns,
    Halted,
    Partitioned,
    Unheard,
    Suspended,
    SuspendedAndParked,
    Returning,
}

impl Hub {
    fn scenario(self) -> Scenario {
        /// Blocks from turn to turn: the registry's.
        const TURN: Option<u64> = Some(1_024);
        let parked = |by_handover, turn| Scenario::Parked {
            by_handover,
            turn,
            history: None,
        };
        match self {
            Self::ParkedTransaction => parked(false, None),
            Self::ParkedHandover => parked(true, None),
            Self::ParkedTransactionTurns => parked(false, TURN),
            Self::ParkedHandoverTurns => parked(true, TURN),
            Self::Halted => Scenario::Halted,
            Self::Partitioned => Scenario::Partitioned,
            Self::Unheard => Scenario::Unheard,
            Self::Suspended => Scenario::Suspended { parks: false },
            Self::SuspendedAndParked => Scenario::Suspended { parks: true },
            Self::Returning => Scenario::Returning,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    println!("{} seeds from {}", arguments.seeds, arguments.from);
    let (figures, failed) = run_all(&arguments);
    print!("{figures}");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{seconds:.1} s, {:.1} seeds a second",
        figures.seeds as f64 / seconds
    );
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    for outcome in &failed {
        if let Some(failure) = &outcome.failure {
            println!("FAILED: seed {}: {failure}", outcome.seed);
        }
    }
    if let Some(first) = failed.first().filter(|_| !arguments.trace) {
        println!("the last events of seed {}:", first.seed);
        let outcome = simulation::run(Options {
            trace: true,
            ..options(&arguments, first.seed)
        });
        let skip = outcome.trace.len().saturating_sub(LAST_LINES);
        for line in &outcome.trace[skip..] {
            println!("{line}");
        }
        println!(
            "again: cargo xtask simulate --seeds 1 --from {} --trace",
            first.seed
        );
    }
    ExitCode::FAILURE
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    Options {
        seed,
        cities: arguments.cities.map(usize::from),
        calm: matches!(arguments.focus, Some(Kind::Nothing)),
        focus: arguments.focus.and_then(Kind::focus),
        changes: matches!(arguments.focus, Some(Kind::Changes)).then_some(true),
        scenario: arguments.scenario.map(Hub::scenario),
        trace: arguments.trace,
        ..Options::default()
    }
}

/// Runs all seeds on as many threads as the machine has.
fn run_all(arguments: &Arguments) -> (Figures, Vec<Outcome>) {
    let next = AtomicU64::new(0);
    let gathered = Mutex::new((Figures::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                types::remember_signers(SIGNERS);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let stopped = {
                        let gathered = gathered.lock().unwrap();
                        !gathered.1.is_empty() && !arguments.keep_going
                    };
                    if number >= arguments.seeds || stopped {
                        return;
                    }
                    let outcome = one(arguments, arguments.from + number);
                    let mut gathered = gathered.lock().unwrap();
                    gathered.0.add(&outcome.figures);
                    if outcome.failure.is_some() {
                        gathered.1.push(outcome);
                    }
                }
            });
        }
    });
    let (figures, mut failed) = gathered.into_inner().unwrap();
    failed.sort_by_key(|outcome| outcome.seed);
    (figures, failed)
}

fn one(arguments: &Arguments, seed: u64) -> Outcome {
    let outcome = simulation::run(options(arguments, seed));
    for line in &outcome.trace {
        eprintln!("{line}");
    }
    if arguments.twice {
        let again = simulation::run(options(arguments, seed));
        assert_eq!(
            outcome.digest, again.digest,
            "seed {seed} is not the same twice"
        );
    }
    outcome
}
