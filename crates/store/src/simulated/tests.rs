//! The log and the tables against models, with power cuts; everything by seed.

use super::*;
use crate::conformance;
use crate::log::{Entry, Log, Position};
use crate::tables::{Batch, Snapshot, Tables, TablesError};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn the_log_conforms() {
    let mut seed = 0;
    conformance::log(&mut || {
        seed += 1;
        let disk = Disk::new(seed);
        Box::new(move || Box::new(disk.open_log().unwrap().0))
    });
}

#[test]
fn the_tables_conform() {
    let mut seed = 0;
    conformance::tables(&mut || {
        seed += 1;
        let disk = Disk::new(seed);
        let mut opened = 0;
        Box::new(move || {
            opened += 1;
            disk.kill(seed * 100 + opened);
            Box::new(disk.open_tables())
        })
    });
}

/// One thing that happens to a log.
#[derive(Clone, Debug)]
enum LogOp {
    Append(u64, Vec<usize>),
    Sync,
    Release(usize),
    FailSync,
    PowerCut(u64),
    Kill(u64),
}

fn log_op() -> impl Strategy<Value = LogOp> {
    let size = prop_oneof![6 => 0..200_usize, 3 => 0..5_000_usize, 1 => 0..40_000_usize];
    prop_oneof![
        8 => (0..3_u64, vec(size, 1..5)).prop_map(|(chain, sizes)| LogOp::Append(chain, sizes)),
        4 => Just(LogOp::Sync),
        1 => any::<usize>().prop_map(LogOp::Release),
        1 => Just(LogOp::FailSync),
        3 => any::<u64>().prop_map(LogOp::PowerCut),
        1 => any::<u64>().prop_map(LogOp::Kill),
    ]
}

/// What must be in the log.
#[derive(Default)]
struct LogModel {
    /// All records, released ones too.
    entries: Vec<Entry>,
    /// How many of them must survive a power cut.
    durable: usize,
    /// How many of them may be gone.
    released: usize,
    failed: bool,
}

impl LogModel {
    fn append(&mut self, log: &dyn Log, chain: u64, sizes: &[usize]) {
        let fill = u8::try_from(self.entries.len() % 251).unwrap();
        let payloads: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![fill; size]).collect();
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let start = log.end();
        match log.append(chain, &slices) {
            Ok(end) => {
                let read = conformance::all(log, start);
                assert_eq!(read.len(), sizes.len());
                assert_eq!(log.end(), end);
                self.entries.extend(read);
            }
            Err(_) => self.failed = true,
        }
    }

    fn sync(&mut self, log: &dyn Log) {
        match log.sync(log.end()) {
            Ok(()) => self.durable = self.entries.len(),
            Err(_) => self.failed = true,
        }
    }

    /// The log was opened again: it holds a prefix, and everything that was durable.
    fn reopened(&mut self, log: &dyn Log, at_least: usize) {
        let read = conformance::all(log, Position(0));
        let start = match read.first() {
            Some(first) => self
                .entries
                .iter()
                .position(|it| it.position == first.position)
                .unwrap(),
            None => self.released,
        };
        assert!(start <= self.released, "what was not released is kept");
        let end = start + read.len();
        assert!(
            end >= at_least,
            "{end} records of {at_least} that must be there"
        );
        assert_eq!(
            read,
            self.entries[start..end],
            "a prefix of what was appended"
        );
        self.entries.truncate(end);
        self.durable = end;
        self.failed = false;
    }
}

fn check_log(seed: u64, segment_bytes: u64, ops: Vec<LogOp>) {
    let disk = Disk::new(seed);
    let options = SegmentOptions { segment_bytes };
    let mut log = disk.open_log_with(options).unwrap().0;
    let mut model = LogModel::default();
    for op in ops {
        match op {
            LogOp::Append(chain, sizes) if !model.failed => model.append(&log, chain, &sizes),
            LogOp::Sync if !model.failed => model.sync(&log),
            LogOp::Release(of) if !model.failed && model.durable > 0 => {
                let index = of % model.durable;
                // What fails half-way may or may not have released.
                model.released = model.released.max(index);
                model.failed = log.release(model.entries[index].position).is_err();
            }
            LogOp::FailSync => disk.fail_next_sync(),
            LogOp::PowerCut(seed) => {
                disk.power_cut(seed);
                let (opened, found) = disk.open_log_with(options).unwrap();
                assert_eq!(found.damage, None, "a power cut is no damage");
                log = opened;
                model.reopened(&log, model.durable);
            }
            LogOp::Kill(seed) => {
                disk.kill(seed);
                log = disk.open_log_with(options).unwrap().0;
                model.reopened(&log, model.entries.len());
            }
            _ if model.failed => {
                assert!(log.append(1, &[b"x"]).is_err(), "poisoned stays poisoned");
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_log_keeps_a_prefix_and_all_that_was_synced(
        seed in any::<u64>(),
        segment_bytes in prop_oneof![Just(4_096_u64), Just(65_536)],
        ops in vec(log_op(), 1..60),
    ) {
        check_log(seed, segment_bytes, ops);
    }

    #[test]
    fn rot_is_reported_or_at_the_very_end(seed in any::<u64>(), count in 2..40_usize, place in any::<u64>()) {
        let disk = Disk::new(seed);
        let options = SegmentOptions { segment_bytes: 4_096 };
        let log = disk.open_log_with(options).unwrap().0;
        for _ in 0..count {
            let end = log.append(1, &[&[7; 200]]).unwrap();
            log.sync(end).unwrap();
        }
        let written = conformance::all(&log, Position(0));
        disk.rot(place);
        disk.power_cut(seed);
        let (log, opened) = disk.open_log_with(options).unwrap();
        let mut read = Vec::new();
        let result = log.replay(Position(0), &mut |entry| { read.push(entry); true });
        prop_assert_eq!(&read[..], &written[..read.len()], "never wrong bytes");
        prop_assert_eq!(result.is_err(), opened.damage.is_some());
        prop_assert!(opened.damage.is_some() || read.len() + 1 >= count, "lost without a word");
    }
}

#[test]
fn a_failed_sync_poisons_the_log_and_reading_goes_on() {
    let disk = Disk::new(1);
    let (log, _) = disk.open_log().unwrap();
    let end = log.append(1, &[b"kept"]).unwrap();
    log.sync(end).unwrap();
    let end = log.append(1, &[b"in doubt"]).unwrap();
    disk.fail_next_sync();
    assert!(matches!(log.sync(end), Err(LogError::Io { .. })));
    assert!(matches!(log.sync(end), Err(LogError::Poisoned)));
    assert!(matches!(log.append(1, &[b"x"]), Err(LogError::Poisoned)));
    assert_eq!(conformance::all(&log, Position(0)).len(), 2);
    disk.kill(0);
    let (log, _) = disk.open_log().unwrap();
    assert_eq!(conformance::all(&log, Position(0)).len(), 2);
    log.append(1, &[b"again"]).unwrap();
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let disk = Disk::new(1);
    let (log, _) = disk.open_log().unwrap();
    disk.limit(Some(300_000));
    let mut durable = 0;
    let error = loop {
        match log.append(1, &[&[1; 10_000]]).and_then(|end| log.sync(end)) {
            Ok(()) => durable += 1,
            Err(error) => break error,
        }
    };
    let full = |it: &io::Error| it.kind() == io::ErrorKind::StorageFull;
    assert!(
        matches!(&error, LogError::Io { source, .. } if full(source)),
        "{error}"
    );
    assert!(durable > 10);
    assert_eq!(conformance::all(&log, Position(0)).len(), durable);
    disk.power_cut(7);
    disk.limit(None);
    let (log, opened) = disk.open_log().unwrap();
    assert_eq!(opened.damage, None);
    assert_eq!(conformance::all(&log, Position(0)).len(), durable);
    log.append(1, &[&[1; 10_000]]).unwrap();
}

#[test]
fn what_was_open_at_a_cut_is_dead() {
    let disk = Disk::new(1);
    let (log, _) = disk.open_log().unwrap();
    let tables = disk.open_tables();
    let snapshot = tables.snapshot();
    disk.power_cut(1);
    assert!(log.append(1, &[b"x"]).is_err());
    assert!(tables.commit(Batch::default()).is_err());
    assert!(tables.flush().is_err());
    assert!(snapshot.get(b"x").is_err());
    assert_eq!(snapshot.range(b"a", b"b").filter(Result::is_err).count(), 1);
}

#[test]
fn a_failed_flush_poisons_the_tables_and_reading_goes_on() {
    let disk = Disk::new(1);
    let tables = disk.open_tables();
    let mut batch = Batch::default();
    batch.put(b"a".to_vec(), b"1".to_vec());
    tables.commit(batch.clone()).unwrap();
    disk.fail_next_flush();
    assert!(matches!(tables.flush(), Err(TablesError::Io { .. })));
    assert!(matches!(tables.commit(batch), Err(TablesError::Poisoned)));
    assert!(tables.snapshot().get(b"a").unwrap().is_some());
}

#[test]
fn the_same_seeds_give_the_same_disk() {
    let run = || {
        let disk = Disk::new(5);
        for round in 0..20 {
            let (log, _) = disk.open_log().unwrap();
            let tables = disk.open_tables();
            for byte in 0..10 {
                log.append(round, &[&[byte; 700]]).unwrap();
                let mut batch = Batch::default();
                batch.put(vec![byte + 1], round.to_be_bytes().to_vec());
                tables.commit(batch).unwrap();
            }
            disk.power_cut(round);
        }
        let entries = conformance::all(&disk.open_log().unwrap().0, Position(0));
        (entries, rows(&*disk.open_tables().snapshot()))
    };
    assert_eq!(run(), run());
}

fn rows(snapshot: &dyn Snapshot) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let rows = snapshot.range(&[0], &[255]);
    rows.map(|row| row.unwrap())
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

/// One thing that happens to tables.
#[derive(Clone, Debug)]
pub(crate) enum TablesOp {
    Commit(Vec<(u8, Option<(u8, usize)>)>),
    Flush,
    Hold,
    Release,
    Crash,
}

pub(crate) fn tables_op() -> impl Strategy<Value = TablesOp> {
    let value = proptest::option::of((
        any::<u8>(),
        prop_oneof![9 => 0..40_usize, 1 => 0..3_000_usize],
    ));
    prop_oneof![
        8 => vec((1..30_u8, value), 0..12).prop_map(TablesOp::Commit),
        2 => Just(TablesOp::Flush),
        2 => Just(TablesOp::Hold),
        1 => Just(TablesOp::Release),
        1 => Just(TablesOp::Crash),
    ]
}

/// Runs `ops` on tables and on a model of all their states.
pub(crate) fn check_tables(mut open: Box<dyn FnMut() -> Box<dyn Tables>>, ops: Vec<TablesOp>) {
    let mut tables = open();
    let mut states = vec![BTreeMap::new()];
    let mut flushed = 0;
    let mut held = Vec::new();
    for op in ops {
        match op {
            TablesOp::Commit(writes) => {
                let mut state = states.last().unwrap().clone();
                let mut batch = Batch::default();
                for (key, value) in writes {
                    let value = value.map(|(byte, size)| vec![byte; size]);
                    match &value {
                        Some(value) => state.insert(vec![key], value.clone()),
                        None => state.remove(&vec![key]),
                    };
                    batch.writes.push((vec![key], value));
                }
                tables.commit(batch).unwrap();
                states.push(state);
            }
            TablesOp::Flush => {
                tables.flush().unwrap();
                flushed = states.len() - 1;
            }
            TablesOp::Hold => held.push((tables.snapshot(), states.last().unwrap().clone())),
            TablesOp::Release => drop(held.pop()),
            TablesOp::Crash => {
                held.clear();
                drop(tables);
                tables = open();
                let found = rows(&*tables.snapshot());
                let kept = states
                    .iter()
                    .rposition(|it| *it == found)
                    .expect("some commit's state");
                assert!(kept >= flushed, "state {kept}, and {flushed} was flushed");
                states.truncate(kept + 1);
                flushed = kept;
            }
        }
        for (snapshot, state) in &held {
            assert_eq!(rows(&**snapshot), *state, "a snapshot stays");
        }
        let snapshot = tables.snapshot();
        let state = states.last().unwrap();
        assert_eq!(rows(&*snapshot), *state);
        for key in 1..30 {
            assert_eq!(
                snapshot.get(&[key]).unwrap().as_deref(),
                state.get(&vec![key]).map(|it| &it[..])
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_tables_are_as_of_some_commit(seed in any::<u64>(), ops in vec(tables_op(), 1..60)) {
        let disk = Disk::new(seed);
        let mut cuts = Random::new(seed);
        let open = move || -> Box<dyn Tables> {
            disk.power_cut(cuts.draw());
            Box::new(disk.open_tables())
        };
        check_tables(Box::new(open), ops);
    }
}
