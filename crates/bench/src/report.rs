//! `docs/performance.json` and `docs/performance.md`: one row a figure, nothing in them typed by hand.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::rounds::Rounds;
use crate::{Failed, machine};

/// One figure beside its peer's.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    /// The target, or the target and which of its figures: `P12-memory`.
    id: String,
    what: String,
    /// What it is to reach, in words.
    target: String,
    /// Median of the rounds.
    ours: f64,
    peer: Option<f64>,
    peer_name: Option<String>,
    /// Ours to the peer's.
    ratio: Option<f64>,
    unit: String,
    rounds: usize,
    spread: Spread,
    met: bool,
    commit: String,
    date: String,
    machine: String,
    /// Load average when the figure was there: above the number of cores, others were at work beside it.
    load: f64,
    /// What the figure does not contain, and what else was seen.
    not_done: String,
}

/// Least and greatest of the rounds.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Spread {
    ours: [f64; 2],
    peer: Option<[f64; 2]>,
}

/// What is known of a figure before it is one.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    pub(crate) id: &'a str,
    pub(crate) what: &'a str,
    pub(crate) target: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) ours: &'a Rounds,
    /// The peer's name with its version, and its rounds.
    pub(crate) peer: Option<(&'a str, &'a Rounds)>,
    pub(crate) commit: &'a str,
    pub(crate) not_done: String,
}

/// Rows of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// What earlier runs left; none is no failure.
    fn open(docs: &Path) -> Result<Self, Failed> {
        let path = docs.join("performance.json");
        let rows = match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|source| Failed::Report { path, source })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Failed::File { path, source }),
        };
        Ok(Self { rows })
    }

    /// Puts a figure in place of the last one of the same name. `met` judges the median and, where there is a peer, the
    /// ratio of ours to the peer's.
    pub(crate) fn add(
        &mut self,
        measured: Measured<'_>,
        met: impl FnOnce(f64, Option<f64>) -> bool,
    ) {
        let ours = measured.ours.median();
        let theirs = measured.peer.map(|(_, rounds)| rounds.median());
        let ratio = theirs
            .filter(|theirs| *theirs > 0.0)
            .map(|theirs| ours / theirs);
        let row = Row {
            id: measured.id.into(),
            what: measured.what.into(),
            target: measured.target.into(),
            ours: rounded(ours),
            peer: measured.peer.map(|(_, rounds)| rounded(rounds.median())),
            peer_name: measured.peer.map(|(name, _)| name.into()),
            ratio: ratio.map(rounded),
            unit: measured.unit.into(),
            rounds: measured.ours.count(),
            spread: Spread {
                ours: measured.ours.spread().map(rounded),
                peer: measured
                    .peer
                    .map(|(_, rounds)| rounds.spread().map(rounded)),
            },
            met: met(ours, ratio),
            commit: measured.commit.into(),
            date: machine::date(),
            machine: machine::describe(),
            load: machine::load_average(),
            not_done: measured.not_done,
        };
        eprintln!(
            "{}: {} {} {:?}, peer {:?} {:?}, ratio {:?}, load {}",
            row.id,
            row.ours,
            row.unit,
            row.spread.ours,
            row.peer,
            row.spread.peer,
            row.ratio,
            row.load
        );
        self.put(row);
    }

    fn put(&mut self, row: Row) {
        self.rows.retain(|other| other.id != row.id);
        self.rows.push(row);
        self.rows.sort_by(|a, b| by_target(&a.id, &b.id));
    }

    /// Puts these rows into both files, in place of those of the same names: what another run wrote meanwhile stays.
    pub(crate) fn save(self, repository: &Path) -> Result<(), Failed> {
        let docs = repository.join("docs");
        let mut all = Self::open(&docs)?;
        for row in self.rows {
            all.put(row);
        }
        all.write(&docs)
    }

    fn write(&self, docs: &Path) -> Result<(), Failed> {
        let json = serde_json::to_string_pretty(&self.rows).expect("rows are plain");
        for (name, text) in [
            ("performance.json", json + "\n"),
            ("performance.md", self.markdown()),
        ] {
            let path = docs.join(name);
            std::fs::write(&path, text).map_err(|source| Failed::File { path, source })?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = String::from(
            "# Performance\n\n\
             Written by `cargo xtask bench`, which reruns everything or the targets that it is given; the same rows are in\n\
             [`performance.json`](performance.json). A figure is the median of its rounds, least and greatest in brackets, rounds of ours\n\
             and the peer's taken in turn on one machine. Absolute figures are that machine's: read the ratio. *Load* is the load\n\
             average at the time: above the number of cores, other work ran beside.\n\n\
             | id | what | target | ours | peer | ours ÷ peer | met | rounds | load | commit | date |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let peer = match (row.peer, &row.peer_name, row.spread.peer) {
                (Some(peer), Some(name), Some(spread)) => {
                    format!("{name}: {}", figure(peer, spread, &row.unit))
                }
                _ => "—".into(),
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {peer} | {} | {} | {} | {} | {} | {} |",
                row.id,
                row.what,
                row.target,
                figure(row.ours, row.spread.ours, &row.unit),
                row.ratio.map_or("—".into(), |ratio| ratio.to_string()),
                match (row.target.as_str(), row.met) {
                    ("printed", _) => "—",
                    (_, true) => "yes",
                    (_, false) => "**no**",
                },
                row.rounds,
                row.load,
                row.commit,
                row.date,
            )
            .expect("a string takes everything");
        }
        text.push_str("\n## What is not in a figure, and what else was seen\n\n");
        for row in &self.rows {
            writeln!(text, "* **{}**: {}", row.id, row.not_done)
                .expect("a string takes everything");
        }
        text.push_str("\n## Machine\n\n");
        let mut machines: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            match machines
                .iter_mut()
                .find(|(machine, _)| *machine == row.machine)
            {
                Some((_, ids)) => ids.push(&row.id),
                None => machines.push((&row.machine, vec![&row.id])),
            }
        }
        for (machine, ids) in machines {
            writeln!(text, "* {machine}: {}", ids.join(", ")).expect("a string takes everything");
        }
        text
    }
}

fn figure(median: f64, [least, greatest]: [f64; 2], unit: &str) -> String {
    if least == greatest {
        return format!("{median} {unit}");
    }
    format!("{median} {unit} ({least}–{greatest})")
}

/// Three digits that say something, more only before the point.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return 0.0;
    }
    let digits = (2.0 - figure.abs().log10().floor()).clamp(0.0, 6.0);
    let scale = 10_f64.powf(digits);
    (figure * scale).round() / scale
}

/// P2 before P12, P12 before P12-memory.
fn by_target(a: &str, b: &str) -> Ordering {
    let key = |id: &str| {
        let (target, _) = id.split_once('-').unwrap_or((id, ""));
        target[1..].parse::<u32>().unwrap_or(u32::MAX)
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::{by_target, rounded};

    #[test]
    fn figures_keep_three_digits_and_whole_numbers_stay_whole() {
        assert_eq!(rounded(12_345.6), 12_346.0);
        assert_eq!(rounded(1.2345), 1.23);
        assert_eq!(rounded(0.012_345), 0.0123);
        assert_eq!(rounded(0.0), 0.0);
    }

    #[test]
    fn targets_stand_in_the_order_of_their_numbers() {
        let mut ids = ["P12-size", "P6", "P12", "P1"];
        ids.sort_by(|a, b| by_target(a, b));
        assert_eq!(ids, ["P1", "P6", "P12", "P12-size"]);
    }
}
