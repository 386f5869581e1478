//! Rounds of crashes: the release program under load is killed, or loses power, at a moment that a
//! seed decides; started again, it must hold everything that it had promised.
//!
//! ```text
//!  ┌─▶ start (as a user does) ─▶ check against the ledger ─▶ load ─▶ kill -9 or power cut ─┐
//!  └───────────── verify a copy of the data folder (roots recompute) ◀─────────────────────┘
//! ```
//!
//! What is checked after every start: each receipt that was given out stands word for word, in the
//! same block; the height is not below any that was shown; counts, balances, code and storage of
//! every account follow from its transactions on the chain; after a `kill -9` also that a transaction
//! whose hash was answered is not lost. Some crashes hit the start itself. The program is only ever
//! started by the same command: no step of repair exists here. After a number of rounds the folder
//! begins anew, so that the first start is crashed as well.
//!
//! The load's timing is the machine's, so a seed repeats the decisions, not the interleaving: the
//! data folder of a failure is kept.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use self::check::check;
use self::ledger::Account;
use crate::client::{Client, ClientError};
use crate::power_cut::{Model, PowerCut, PowerCutError, Trigger};
use crate::program::{Program, Ready, StartError};

mod check;
mod ledger;
mod load;
mod report;

pub use self::report::Report;

/// How the program is crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// `kill -9`: what the program gave to the system stays.
    Kill,
    /// A loss of power: only what was synced stays for sure, names by this model.
    Power(Model),
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How to crash.
    pub crash: Crash,
    /// How often.
    pub rounds: u64,
    /// The first round's seed; each round adds one.
    pub seed: u64,
    /// The release program.
    pub program: PathBuf,
}

/// A round that failed.
#[derive(Debug, thiserror::Error)]
#[error("round {round} (seed {seed}): {kind}\nits data is kept in {}", .folder.display())]
pub struct Failure {
    /// Which round, from 0.
    pub round: u64,
    /// Its seed: a run that begins with it makes the same decisions.
    pub seed: u64,
    /// Where the data folder is.
    pub folder: PathBuf,
    /// What failed.
    #[source]
    pub kind: Box<FailureKind>,
}

/// What can fail in a round.
#[derive(Debug, thiserror::Error)]
pub enum FailureKind {
    /// The program did not come up again.
    #[error("{0}")]
    Start(#[from] StartError),
    /// It came up and did not answer.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A promise was broken.
    #[error("broken promise: {0}")]
    Broken(String),
    /// Its own verification found something.
    #[error("causeway verify: {0}")]
    Verify(String),
    /// The simulated disk failed: no fault of the program.
    #[error("{0}")]
    PowerCut(#[from] PowerCutError),
    /// The test's own folder failed.
    #[error("the test's own folder")]
    Folder(#[from] std::io::Error),
}

/// A folder lives this many rounds.
const ROUNDS_PER_FOLDER: u64 = 25;
/// The load lasts at most this long.
const MAX_LOAD: Duration = Duration::from_millis(500);
/// One crash in this many hits the start.
const CRASHES_AT_START: u32 = 5;
/// Within so many steps and changes of names of the simulated disk an exact cut falls: about those
/// of a start, and of a load.
const START: (u64, u64) = (40, 8);
const LOAD: (u64, u64) = (400, 12);
/// No answer takes this long while the program lives.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs all rounds, or up to the first failure.
///
/// # Errors
///
/// [`Failure`] of a round.
///
/// # Panics
///
/// When there is no room for temporary folders.
pub fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut place = None;
    for round in 0..plan.rounds {
        let seed = plan.seed.wrapping_add(round);
        if round % ROUNDS_PER_FOLDER == 0 {
            place = None;
        }
        let place = place.get_or_insert_with(|| Place::new().expect("a temporary folder"));
        let last = round + 1 == plan.rounds || (round + 1) % ROUNDS_PER_FOLDER == 0;
        let line = place
            .round(plan, seed, last, &mut report)
            .map_err(|kind| Failure {
                round,
                seed,
                folder: place.keep(),
                kind: Box::new(kind),
            })?;
        report.rounds += 1;
        progress(&format!("round {round} (seed {seed}): {line}"));
    }
    Ok(report)
}

/// A data folder with its history.
struct Place {
    folders: TempDir,
    accounts: Vec<Account>,
    /// The highest block that the program showed.
    shown: u64,
}

impl Place {
    fn new() -> std::io::Result<Self> {
        let folders = TempDir::with_prefix("crash-rounds-")?;
        for folder in ["data", "mount"] {
            std::fs::create_dir(folders.path().join(folder))?;
        }
        Ok(Self {
            folders,
            accounts: Vec::new(),
            shown: 0,
        })
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.folders.path().join(name)
    }

    /// Leaves the folder for whoever looks into a failure.
    fn keep(&mut self) -> PathBuf {
        self.folders.disable_cleanup(true);
        self.folders.path().to_path_buf()
    }

    /// One start, check, load, crash and verification; after the `last` crash of a folder also a
    /// start and a check of everything.
    fn round(
        &mut self,
        plan: &Plan,
        seed: u64,
        last: bool,
        report: &mut Report,
    ) -> Result<String, FailureKind> {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = Disk::new(plan.crash, self)?;
        let program = Program::start(&plan.program, &disk.folder, &self.folder("stderr"))?;
        let at_start = rng.random_ratio(1, CRASHES_AT_START);
        let span = MAX_LOAD.mul_f64(rng.random());
        let line;
        if at_start {
            disk.cut_at(exact_cut(&mut rng, START, seed));
            // Its answer is no promise: either it came up in time or it did not.
            line = if program.serves_within(span) {
                "crashed as it came up".to_owned()
            } else {
                "crashed in its start".to_owned()
            };
            report.crashes_at_start += 1;
        } else {
            let ready = program.ready()?;
            report.starts.push(ready.after);
            self.check(plan, &ready, Some(&mut rng), report)?;
            if rng.random_ratio(2, 3) {
                disk.cut_at(exact_cut(&mut rng, LOAD, seed));
            }
            let crash = || disk.cut(seed);
            let load = load::Load {
                url: &ready.url,
                span,
                seed,
            };
            let sum = load.run(&mut self.accounts, crash)?;
            self.shown = self.shown.max(sum.height);
            report.add(&sum);
            line = format!(
                "{} sent, {} receipts, height {}",
                sum.sent, sum.receipts, sum.height
            );
        }
        disk.cut(seed)?;
        program.kill();
        disk.restore(report)?;
        if !self.accounts.is_empty() {
            // Before the first finished start there may be no chain to verify.
            self.verify(&plan.program)?;
        }
        if last {
            let program =
                Program::start(&plan.program, &self.folder("data"), &self.folder("stderr"))?;
            let ready = program.ready()?;
            report.starts.push(ready.after);
            self.check(plan, &ready, None, report)?;
        }
        Ok(line)
    }

    /// Holds the program against its promises: the last ones and a sample of the older ones, or with
    /// no `sample` all.
    fn check(
        &mut self,
        plan: &Plan,
        ready: &Ready,
        sample: Option<&mut StdRng>,
        report: &mut Report,
    ) -> Result<(), FailureKind> {
        let mut client = Client::connect(&ready.url, PATIENCE)?;
        if self.accounts.is_empty() {
            self.accounts = check::endowments(&mut client, &ready.accounts)?;
        }
        let keeps_pool = plan.crash == Crash::Kill;
        report.checked += check(
            &mut client,
            &mut self.accounts,
            self.shown,
            keeps_pool,
            sample,
        )?;
        Ok(())
    }

    /// Lets the program verify a copy of the data, so that no trace of that is in the next round.
    fn verify(&self, program: &Path) -> Result<(), FailureKind> {
        let copy = self.folder("copy");
        copy_folder(&self.folder("data"), &copy)?;
        let output = Command::new(program)
            .args(["verify", "--json", "--data"])
            .arg(&copy)
            .output()
            .map_err(|source| StartError::Run {
                program: program.to_path_buf(),
                source,
            })?;
        std::fs::remove_dir_all(&copy)?;
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() && told["ok"] == true {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(FailureKind::Verify(
            String::from_utf8_lossy(&said).into_owned(),
        ))
    }
}

/// A cut at a step drawn from all, or soon after a change of names: those are rare and matter most.
fn exact_cut(rng: &mut StdRng, (steps, names): (u64, u64), seed: u64) -> Trigger {
    if rng.random() {
        Trigger {
            after_names: 0,
            after_steps: rng.random_range(0..steps),
            seed,
        }
    } else {
        let after_names = rng.random_range(1..=names);
        Trigger {
            after_names,
            after_steps: rng.random_range(0..8),
            seed,
        }
    }
}

/// Where the program's data lies while it runs.
struct Disk {
    folder: PathBuf,
    /// For a loss of power: the mount.
    power: Option<PowerCut>,
}

impl Disk {
    fn new(crash: Crash, place: &Place) -> Result<Self, PowerCutError> {
        let (data, mount) = (place.folder("data"), place.folder("mount"));
        Ok(match crash {
            Crash::Kill => Self {
                folder: data,
                power: None,
            },
            Crash::Power(model) => {
                let power = PowerCut::mount(&data, &mount, model)?;
                Self {
                    folder: mount,
                    power: Some(power),
                }
            }
        })
    }

    fn cut_at(&self, trigger: Trigger) {
        if let Some(power) = &self.power {
            power.cut_at(trigger);
        }
    }

    fn cut(&self, seed: u64) -> Result<(), PowerCutError> {
        self.power.as_ref().map_or(Ok(()), |power| power.cut(seed))
    }

    fn restore(self, report: &mut Report) -> Result<(), PowerCutError> {
        if let Some(power) = self.power {
            report.disk(power.restore()?);
        }
        Ok(())
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
