//! The rules of the store on the real tree: whole commits for readers and after crashes, flushes by size and age,
//! waiting, failing.

use super::*;
use crate::conformance;
use crate::simulated::tests::{check_tables, tables_op};
use crate::tables::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::sync::mpsc;
use tempfile::TempDir;

/// Long enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);

const ROWS: u16 = 100;

fn options() -> LsmOptions {
    // Nothing is flushed unless a test says so.
    LsmOptions {
        flush_after: PATIENCE * 60,
        ..LsmOptions::small()
    }
}

fn open(folder: &TempDir, options: LsmOptions) -> LsmTables {
    LsmTables::open(folder.path(), options).unwrap()
}

fn engine(folder: &TempDir) -> Arc<Engine> {
    Arc::new(open_engine(folder.path(), options(), &Interrupt::default()).unwrap())
}

fn writes(value: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    (0..ROWS)
        .map(|row| (row.to_be_bytes().to_vec(), Some(value.to_vec())))
        .collect()
}

fn batch(value: &[u8]) -> Batch {
    Batch {
        writes: writes(value),
    }
}

/// The value that all rows have.
fn common(snapshot: &dyn Snapshot) -> Value {
    let values: Vec<_> = snapshot
        .range(&[0, 0], &ROWS.to_be_bytes())
        .map(|it| it.unwrap().1)
        .collect();
    assert_eq!(values.len(), usize::from(ROWS));
    assert!(
        values.iter().all(|it| *it == values[0]),
        "all rows are of one commit"
    );
    values[0].clone()
}

/// Waits until so many memtables are durable.
fn await_flushed(tables: &LsmTables, count: u64) {
    let mut state = tables.shared.state.lock();
    while state.flushed < count {
        let waited = tables.shared.progress.wait_for(&mut state, PATIENCE);
        assert!(!waited.timed_out(), "{count} memtables are flushed");
    }
}

#[test]
fn conforms_with_small_and_with_usual_memtables() {
    for memtable_bytes in [1_000, 16 << 20] {
        conformance::tables(&mut || {
            let folder = tempfile::tempdir().unwrap();
            Box::new(move || {
                Box::new(open(
                    &folder,
                    LsmOptions {
                        memtable_bytes,
                        ..options()
                    },
                ))
            })
        });
    }
}

#[test]
fn a_reader_in_mid_commit_sees_the_commit_before_even_during_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    {
        let committing = engine.begin();
        committing.apply(writes(b"one"));
        committing.seal().unwrap();
    }
    let mut seen = Vec::new();
    let in_the_middle = writes(b"two").into_iter().enumerate().map(|(at, write)| {
        if at == usize::from(ROWS) / 2 {
            // The library moves its visible number past this commit's.
            engine.flush_sealed().unwrap();
        }
        if at > 0 {
            seen.push(common(&LsmSnapshot::take(&engine)));
        }
        write
    });
    engine.begin().apply(in_the_middle);
    assert_eq!(seen.len(), usize::from(ROWS) - 1);
    assert!(seen.iter().all(|it| **it == *b"one"));
    assert_eq!(*common(&LsmSnapshot::take(&engine)), *b"two");
}

#[test]
fn a_commit_is_whole_or_absent_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let small = LsmOptions {
        memtable_bytes: 10_000,
        ..options()
    };
    let tables = open(&folder, small);
    // Larger than a memtable: sealed after it, not in the middle of it.
    tables.commit(batch(&[1; 500])).unwrap();
    await_flushed(&tables, 1);
    tables.commit(batch(&[2; 500])).unwrap();
    await_flushed(&tables, 2);
    // Smaller: nothing of it is sealed, so a flush now takes nothing of it.
    tables.commit(batch(&[3; 5])).unwrap();
    tables.shared.engine.flush_sealed().unwrap();
    drop(tables);
    let tables = open(&folder, small);
    assert_eq!(*common(&*tables.snapshot()), [2; 500]);
}

#[test]
fn a_snapshot_outlives_flushes_and_compactions_and_then_frees_all_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    let strategy = Arc::new(lsm_tree::compaction::Leveled::default());
    let write = |value: &[u8]| {
        let committing = engine.begin();
        committing.apply(writes(value));
        committing.seal().unwrap();
    };
    write(b"held");
    let held = LsmSnapshot::take(&engine);
    let mut compactions = 0;
    for number in 0..12_u8 {
        write(&[number; 2_000]);
        engine.flush_sealed().unwrap();
        while engine.compact(&strategy).unwrap() {
            compactions += 1;
        }
        engine.forget_old_versions().unwrap();
        assert_eq!(*common(&held), *b"held");
        assert_eq!(*common(&LsmSnapshot::take(&engine)), [number; 2_000]);
    }
    assert!(compactions > 0);
    assert!(engine.tree.version_free_list_len() > 0);
    drop(held);
    engine.forget_old_versions().unwrap();
    assert_eq!(
        engine.tree.version_free_list_len(),
        0,
        "old versions and their memtables are gone"
    );
    assert_eq!(engine.tree.sealed_memtable_count(), 0);
}

#[test]
fn a_commit_that_grows_old_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(
        &folder,
        LsmOptions {
            flush_after: Duration::from_millis(20),
            age_from_bytes: 0,
            ..options()
        },
    );
    for round in 1..=3 {
        tables.commit(batch(&[7; 20])).unwrap();
        await_flushed(&tables, round);
    }
    drop(tables);
    assert_eq!(*common(&*open(&folder, options()).snapshot()), [7; 20]);
}

#[test]
fn dropping_flushes_nothing_and_closing_flushes_all() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(&folder, options());
    tables.commit(batch(b"closed")).unwrap();
    tables.close().unwrap();
    let tables = open(&folder, options());
    tables.commit(batch(b"dropped")).unwrap();
    drop(tables);
    assert_eq!(*common(&*open(&folder, options()).snapshot()), *b"closed");
}

#[test]
fn a_commit_waits_for_room_and_says_so_when_it_waits_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let wait_at_most = Duration::from_millis(20);
    let options = LsmOptions {
        memtable_bytes: 1_000,
        sealed_limit: 2,
        wait_at_most,
        ..options()
    };
    let tables = open(&folder, options);
    let (hold, held) = mpsc::channel::<()>();
    let (ready, is_ready) = mpsc::channel();
    std::thread::scope(|scope| {
        let engine = &tables.shared.engine;
        scope.spawn(move || {
            let _lock = engine.tree.get_flush_lock();
            ready.send(()).unwrap();
            let _ = held.recv();
        });
        is_ready.recv().unwrap();
        tables.commit(batch(&[1; 50])).unwrap();
        tables.commit(batch(&[2; 50])).unwrap();
        let error = tables.commit(batch(&[3; 50])).unwrap_err();
        assert!(matches!(error, TablesError::Behind) && error.is_retryable());
        assert_eq!(*common(&*tables.snapshot()), [2; 50], "nothing was applied");
        drop(hold);
    });
    await_flushed(&tables, 2);
    tables.commit(batch(&[4; 50])).unwrap();
    assert_eq!(*common(&*tables.snapshot()), [4; 50]);
}

#[test]
fn a_failed_flush_poisons_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let tables = open(&folder, options());
    tables.commit(batch(b"one")).unwrap();
    tables.flush().unwrap();
    tables.commit(batch(b"two")).unwrap();
    // A folder stands where the next file is to be made.
    let next = tables.shared.engine.tree.next_table_id();
    let obstacles = (next..next + 4).map(|id| folder.path().join(format!("tree/tables/{id}")));
    let obstacles: Vec<_> = obstacles.collect();
    obstacles.iter().for_each(|it| fs::create_dir(it).unwrap());
    assert!(matches!(tables.flush(), Err(TablesError::Poisoned)));
    assert!(matches!(
        tables.commit(batch(b"x")),
        Err(TablesError::Poisoned)
    ));
    assert!(matches!(tables.flush(), Err(TablesError::Poisoned)));
    assert_eq!(*common(&*tables.snapshot()), *b"two");
    drop(tables);
    obstacles.iter().for_each(|it| fs::remove_dir(it).unwrap());
    assert_eq!(*common(&*open(&folder, options()).snapshot()), *b"one");
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder, options()));
    fs::write(folder.path().join("format"), "causeway tables 2\n").unwrap();
    let refused = LsmTables::open(folder.path(), options());
    assert!(matches!(
        refused,
        Err(TablesError::TooNew { found: 2, known: 1 })
    ));
    fs::write(folder.path().join("format"), "something else").unwrap();
    assert!(matches!(
        LsmTables::open(folder.path(), options()),
        Err(TablesError::Io { .. })
    ));
}

#[test]
fn an_interrupted_compaction_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::default();
    let engine = open_engine(folder.path(), options(), &interrupt).unwrap();
    let strategy = Arc::new(lsm_tree::compaction::Leveled::default());
    interrupt.set();
    let mut interrupted = 0;
    for number in 0..8_u8 {
        let committing = engine.begin();
        committing.apply(writes(&[number; 50]));
        committing.seal().unwrap();
        drop(committing);
        engine.flush_sealed().unwrap();
        interrupted += u32::from(engine.compact(&strategy).is_err());
    }
    assert!(interrupted > 0);
    drop(engine);
    assert_eq!(*common(&*open(&folder, options()).snapshot()), [7; 50]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn the_tables_are_as_of_some_commit(
        ops in vec(tables_op(), 1..60),
        memtable_bytes in prop_oneof![Just(500_u64), Just(16 << 20)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let options = LsmOptions { memtable_bytes, separate_from_bytes: Some(100), ..options() };
        check_tables(Box::new(move || Box::new(open(&folder, options))), ops);
    }
}
