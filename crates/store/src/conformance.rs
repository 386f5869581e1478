//! What every implementer of the two seams must do. [`log`] and [`tables`] run all of it and panic at the first
//! thing that is not so.

use crate::log::{Entry, Log, LogError, Position};
use crate::tables::{Batch, Snapshot, Tables, TablesError, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Opens what is at one place, again and again. What was opened before was dropped.
pub type Opener<T> = Box<dyn FnMut() -> Box<T>>;

/// Runs the suite of [`Log`]. `fresh` gives a new, empty place each time.
///
/// # Panics
///
/// When the implementer does not conform.
pub fn log(fresh: &mut dyn FnMut() -> Opener<dyn Log>) {
    a_new_log_is_empty(&mut fresh());
    records_come_back_in_order(&mut fresh());
    replay_begins_and_stops_where_told(&mut fresh());
    sizes_at_the_edges_are_kept(&mut fresh());
    a_record_that_is_too_large_is_refused(&mut fresh());
    a_sync_without_news_costs_nothing(&mut fresh());
    positions_go_on_after_opening_again(&mut fresh());
    released_records_go_and_others_stay(&mut fresh());
    threads_share_a_log(&mut fresh());
}

/// Runs the suite of [`Tables`]. `fresh` gives a new, empty place each time. A place that is dropped and opened again
/// may be as of any commit not before the last flush.
///
/// # Panics
///
/// When the implementer does not conform.
pub fn tables(fresh: &mut dyn FnMut() -> Opener<dyn Tables>) {
    a_commit_is_seen_by_later_snapshots_only(&mut fresh());
    the_last_write_of_a_key_counts(&mut fresh());
    ranges_are_half_open_and_go_both_ways(&mut fresh());
    a_snapshot_stays_as_it_was(&mut fresh());
    bad_keys_change_nothing(&mut fresh());
    large_values_come_back(&mut fresh());
    what_was_flushed_is_there_again(&mut fresh());
    what_was_not_flushed_is_a_prefix(&mut fresh());
    figures_count(&mut fresh());
    no_reader_sees_a_part_of_a_commit(&mut fresh());
}

/// All records that are kept at or after `from`.
///
/// # Panics
///
/// When the log cannot be read.
#[must_use]
pub fn all(log: &dyn Log, from: Position) -> Vec<Entry> {
    let mut entries = Vec::new();
    let keep = &mut |entry| {
        entries.push(entry);
        true
    };
    log.replay(from, keep).expect("a log can be read");
    entries
}

fn append(log: &dyn Log, chain: u64, payloads: &[&[u8]]) -> Position {
    log.append(chain, payloads).expect("a log can be written")
}

fn a_new_log_is_empty(open: &mut Opener<dyn Log>) {
    let log = open();
    assert_eq!(log.end(), Position(0));
    assert_eq!(all(&*log, Position(0)), []);
    log.sync(Position(0)).expect("nothing to sync");
    assert_eq!(append(&*log, 1, &[]), Position(0), "no payloads, no change");
    log.release(Position(0)).expect("nothing to release");
}

fn records_come_back_in_order(open: &mut Opener<dyn Log>) {
    let log = open();
    let first = append(&*log, 7, &[b"one", b"two"]);
    let second = append(&*log, u64::MAX, &[b"three"]);
    let third = append(&*log, 7, &[b"four"]);
    assert!(first < second && second < third);
    assert_eq!(log.end(), third);
    for _ in 0..2 {
        let entries = all(&*log, Position(0));
        let read: Vec<_> = entries
            .iter()
            .map(|it| (it.chain, &it.payload[..]))
            .collect();
        let written: [(u64, &[u8]); 4] =
            [(7, b"one"), (7, b"two"), (u64::MAX, b"three"), (7, b"four")];
        assert_eq!(read, written);
        assert_eq!(entries[0].position, Position(0));
        assert_eq!([entries[2].position, entries[3].position], [first, second]);
        log.sync(third).expect("a log can be synced");
    }
    let figures = log.figures();
    assert_eq!(figures.records, 4);
    assert!(figures.bytes > 15 && figures.segments > 0);
}

fn replay_begins_and_stops_where_told(open: &mut Opener<dyn Log>) {
    let log = open();
    let middle = append(&*log, 1, &[b"a", b"b"]);
    let end = append(&*log, 2, &[b"c", b"d"]);
    assert_eq!(all(&*log, middle).len(), 2);
    assert_eq!(
        all(&*log, Position(middle.0 + 1)).len(),
        1,
        "not a record's beginning"
    );
    assert_eq!(all(&*log, end), []);
    assert_eq!(all(&*log, Position(u64::MAX)), []);
    let mut count = 0;
    let two = &mut |_| {
        count += 1;
        count < 2
    };
    log.replay(Position(0), two).expect("a log can be read");
    assert_eq!(count, 2);
}

fn sizes_at_the_edges_are_kept(open: &mut Opener<dyn Log>) {
    // Around what lies in one segment, one sector, one block, one read.
    let sizes = [
        0,
        1,
        7,
        8,
        9,
        487,
        488,
        489,
        4_095,
        4_096,
        4_097,
        65_511,
        65_512,
        65_513,
        262_145,
        5 << 20,
    ];
    let payloads: Vec<Vec<u8>> = sizes
        .iter()
        .zip(1_u8..)
        .map(|(&size, byte)| vec![byte; size])
        .collect();
    let log = open();
    for payload in &payloads {
        append(&*log, 1, &[payload, payload]);
    }
    log.sync(log.end()).expect("a log can be synced");
    let check = |log: &dyn Log| {
        let read: Vec<_> = all(log, Position(0))
            .into_iter()
            .map(|it| it.payload)
            .collect();
        let written: Vec<_> = payloads.iter().flat_map(|it| [it, it]).collect();
        assert!(read.iter().eq(written), "what was written comes back");
    };
    check(&*log);
    drop(log);
    check(&*open());
}

fn a_record_that_is_too_large_is_refused(open: &mut Opener<dyn Log>) {
    let log = open();
    let large = vec![1; crate::segments::MAX_PAYLOAD_BYTES + 1];
    let refused = log.append(1, &[b"fits", &large]);
    assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    assert_eq!(log.end(), Position(0), "none of the payloads counts");
    append(&*log, 1, &[b"after"]);
    assert_eq!(all(&*log, Position(0)).len(), 1);
}

fn a_sync_without_news_costs_nothing(open: &mut Opener<dyn Log>) {
    let log = open();
    let early = append(&*log, 1, &[b"a"]);
    let late = append(&*log, 1, &[b"b"]);
    log.sync(early).expect("a log can be synced");
    let syncs = log.figures().syncs;
    assert!(syncs > 0);
    log.sync(late).expect("a log can be synced");
    log.sync(early).expect("a log can be synced");
    assert_eq!(log.figures().syncs, syncs, "one sync took both");
}

fn positions_go_on_after_opening_again(open: &mut Opener<dyn Log>) {
    let mut expected = Vec::new();
    for round in 0_u8..5 {
        let log = open();
        assert_eq!(all(&*log, Position(0)), expected);
        let position = log.end();
        let payload = vec![round; 100 * usize::from(round)];
        let end = append(&*log, u64::from(round), &[&payload]);
        log.sync(end).expect("a log can be synced");
        expected.push(Entry {
            position,
            chain: u64::from(round),
            payload,
        });
    }
}

fn released_records_go_and_others_stay(open: &mut Opener<dyn Log>) {
    let mut ends = Vec::new();
    for round in 0_u32..6 {
        let log = open();
        let before = log.figures().segments;
        for number in 0_u32..100 {
            let mut payload = vec![0; 50_000];
            payload[..4].copy_from_slice(&(100 * round + number).to_be_bytes());
            ends.push(append(&*log, 1, &[&payload]));
        }
        log.sync(log.end()).expect("a log can be synced");
        let kept = *ends.get(ends.len() - 50).expect("a hundred are there");
        log.release(kept).expect("a log can be released");
        let after = log.figures().segments;
        assert!(
            round == 0 || after <= before + 2,
            "files are used again: {before} to {after}"
        );
        check_released(&*log, kept, 100 * round + 99);
        drop(log);
        check_released(&*open(), kept, 100 * round + 99);
    }
}

/// 49 records, numbered up to `last`, lie at and after `kept`.
fn check_released(log: &dyn Log, kept: Position, last: u32) {
    let entries = all(log, Position(0));
    assert!(entries.len() < 200, "what is released goes, by and by");
    let numbers = entries.iter().filter_map(|it| it.payload.first_chunk());
    let numbers: Vec<_> = numbers.map(|it| u32::from_be_bytes(*it)).collect();
    let first = last + 1 - u32::try_from(numbers.len()).expect("few records");
    assert!(
        first <= last - 48,
        "released too much: begins with {first} of {last}"
    );
    assert!(
        numbers.into_iter().eq(first..=last),
        "all from the first that is kept"
    );
    assert_eq!(all(log, kept).len(), 49);
}

fn threads_share_a_log(open: &mut Opener<dyn Log>) {
    const THREADS: u64 = 4;
    const EACH: u32 = 100;
    let log = open();
    thread::scope(|scope| {
        for chain in 0..THREADS {
            let log = &*log;
            scope.spawn(move || {
                for number in 0..EACH {
                    let end = append(log, chain, &[&number.to_be_bytes(), b"beside it"]);
                    log.sync(end).expect("a log can be synced");
                }
            });
        }
    });
    assert!(
        log.figures().syncs <= THREADS * u64::from(EACH),
        "never more syncs than callers"
    );
    let entries = all(&*log, Position(0));
    for pair in entries.chunks(2) {
        assert_eq!(pair[0].chain, pair[1].chain, "one append is in one piece");
    }
    for chain in 0..THREADS {
        let numbers = entries.iter().filter(|it| it.chain == chain).step_by(2);
        let read = numbers.map(|it| it.payload.clone());
        assert!(
            read.eq((0..EACH).map(|it| it.to_be_bytes().to_vec())),
            "each thread's order holds"
        );
    }
}

fn batch(writes: &[(&str, Option<&str>)]) -> Batch {
    let own = |it: &str| it.as_bytes().to_vec();
    Batch {
        writes: writes
            .iter()
            .map(|(key, value)| (own(key), value.map(own)))
            .collect(),
    }
}

fn commit(tables: &dyn Tables, writes: &[(&str, Option<&str>)]) {
    tables.commit(batch(writes)).expect("tables can be written");
}

fn get(snapshot: &dyn Snapshot, key: &str) -> Option<String> {
    let value = snapshot.get(key.as_bytes()).expect("tables can be read");
    value.map(|it| text(&it))
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Rows as `key=value`, both ways; the ways must agree.
fn rows(snapshot: &dyn Snapshot, from: &str, to: &str) -> Vec<String> {
    let line = |row: Result<(Value, Value), TablesError>| {
        let (key, value) = row.expect("tables can be read");
        format!("{}={}", text(&key), text(&value))
    };
    let forward: Vec<_> = snapshot
        .range(from.as_bytes(), to.as_bytes())
        .map(line)
        .collect();
    let mut back: Vec<_> = snapshot
        .range_back(from.as_bytes(), to.as_bytes())
        .map(line)
        .collect();
    back.reverse();
    assert_eq!(forward, back, "both directions give the same rows");
    forward
}

fn a_commit_is_seen_by_later_snapshots_only(open: &mut Opener<dyn Tables>) {
    let tables = open();
    let before = tables.snapshot();
    commit(&*tables, &[("a", Some("1")), ("b", Some("2"))]);
    let after = tables.snapshot();
    assert_eq!([get(&*before, "a"), get(&*before, "b")], [None, None]);
    assert_eq!(get(&*after, "a").as_deref(), Some("1"));
    assert_eq!(get(&*after, "b").as_deref(), Some("2"));
    assert_eq!(get(&*after, "c"), None);
    commit(&*tables, &[]);
    assert_eq!(rows(&*tables.snapshot(), "a", "z"), ["a=1", "b=2"]);
}

fn the_last_write_of_a_key_counts(open: &mut Opener<dyn Tables>) {
    let tables = open();
    commit(
        &*tables,
        &[("a", Some("old")), ("b", Some("old")), ("c", Some("old"))],
    );
    commit(
        &*tables,
        &[
            ("a", Some("1")),
            ("b", Some("1")),
            ("c", None),
            ("a", Some("2")),
            ("b", None),
            ("c", Some("2")),
            ("d", None),
        ],
    );
    assert_eq!(rows(&*tables.snapshot(), "a", "z"), ["a=2", "c=2"]);
    tables.flush().expect("tables can be flushed");
    assert_eq!(rows(&*tables.snapshot(), "a", "z"), ["a=2", "c=2"]);
    drop(tables);
    let tables = open();
    assert_eq!(rows(&*tables.snapshot(), "a", "z"), ["a=2", "c=2"]);
    assert_eq!(get(&*tables.snapshot(), "b"), None);
}

fn ranges_are_half_open_and_go_both_ways(open: &mut Opener<dyn Tables>) {
    let tables = open();
    commit(
        &*tables,
        &[
            ("a", Some("1")),
            ("ab", Some("2")),
            ("b", Some("3")),
            ("c", Some("4")),
        ],
    );
    // Half in files, half in memory.
    tables.flush().expect("tables can be flushed");
    commit(
        &*tables,
        &[("ab", None), ("bb", Some("5")), ("c", Some("6"))],
    );
    let snapshot = tables.snapshot();
    assert_eq!(rows(&*snapshot, "a", "c"), ["a=1", "b=3", "bb=5"]);
    assert_eq!(rows(&*snapshot, "a", "d"), ["a=1", "b=3", "bb=5", "c=6"]);
    assert_eq!(rows(&*snapshot, "aa", "b"), [""; 0]);
    assert_eq!(rows(&*snapshot, "b", "b"), [""; 0]);
    assert_eq!(
        rows(&*snapshot, "c", "a"),
        [""; 0],
        "the wrong way round is empty"
    );
    assert_eq!(
        rows(&*snapshot, "", "b"),
        ["a=1"],
        "the empty key is before all"
    );
}

fn a_snapshot_stays_as_it_was(open: &mut Opener<dyn Tables>) {
    let tables = open();
    let mut held = Vec::new();
    for number in 0..20 {
        let value = number.to_string();
        commit(&*tables, &[("x", Some(&value)), (&value, Some(&value))]);
        if number % 4 == 1 {
            commit(&*tables, &[("x", None)]);
        }
        held.push((number, tables.snapshot()));
        if number % 3 == 2 {
            tables.flush().expect("tables can be flushed");
        }
    }
    for (number, snapshot) in &held {
        let expected = (number % 4 != 1).then(|| number.to_string());
        assert_eq!(get(&**snapshot, "x"), expected);
        assert_eq!(rows(&**snapshot, "0", "x").len(), number + 1);
    }
}

fn bad_keys_change_nothing(open: &mut Opener<dyn Tables>) {
    let tables = open();
    for bad in [vec![], vec![1; 65_536]] {
        let mut batch = batch(&[("a", Some("1"))]);
        batch.put(bad, vec![]);
        assert!(matches!(
            tables.commit(batch),
            Err(TablesError::BadKey { .. })
        ));
    }
    assert_eq!(rows(&*tables.snapshot(), "a", "z"), [""; 0]);
    let mut longest = Batch::default();
    longest.put(vec![b'k'; 65_535], vec![]);
    tables.commit(longest).expect("the longest key fits");
    tables.flush().expect("tables can be flushed");
    let value = tables
        .snapshot()
        .get(&[b'k'; 65_535])
        .expect("tables can be read");
    assert_eq!(
        value.as_deref(),
        Some(&b""[..]),
        "an empty value is a value"
    );
}

fn large_values_come_back(open: &mut Opener<dyn Tables>) {
    let tables = open();
    let sizes = [1_023, 1_024, 1_025, 100_000, 3 << 20];
    let mut batch = Batch::default();
    for (size, byte) in sizes.into_iter().zip(1..) {
        batch.put(vec![byte], vec![byte; size]);
    }
    tables.commit(batch).expect("tables can be written");
    let check = |tables: &dyn Tables| {
        for (size, byte) in sizes.into_iter().zip(1..) {
            let value = tables.snapshot().get(&[byte]).expect("tables can be read");
            assert!(
                value.is_some_and(|it| *it == vec![byte; size]),
                "a value of {size} bytes"
            );
        }
        let snapshot = tables.snapshot();
        let found = snapshot
            .range(&[0], &[9])
            .map(|row| row.expect("tables can be read").1.len());
        assert!(found.eq(sizes));
    };
    check(&*tables);
    tables.flush().expect("tables can be flushed");
    check(&*tables);
    drop(tables);
    check(&*open());
}

fn what_was_flushed_is_there_again(open: &mut Opener<dyn Tables>) {
    for round in 0..5 {
        let tables = open();
        assert_eq!(rows(&*tables.snapshot(), "0", "9").len(), round);
        let value = round.to_string();
        commit(&*tables, &[(&value, Some("there")), ("last", Some(&value))]);
        tables.flush().expect("tables can be flushed");
        tables.flush().expect("nothing to flush");
    }
    assert_eq!(get(&*open().snapshot(), "last").as_deref(), Some("4"));
}

fn what_was_not_flushed_is_a_prefix(open: &mut Opener<dyn Tables>) {
    let mut next = 0_u32;
    for _ in 0..5 {
        let tables = open();
        let flushed = next + 3;
        for number in next..next + 10 {
            let key = format!("{number:06}");
            commit(&*tables, &[(&key, Some("x")), ("last", Some(&key))]);
            if number + 1 == flushed {
                tables.flush().expect("tables can be flushed");
            }
        }
        drop(tables);
        let snapshot = open().snapshot();
        let found = rows(&*snapshot, "0", "9");
        let there = u32::try_from(found.len()).expect("few rows");
        assert!(
            (flushed..=next + 10).contains(&there),
            "{there} commits of {flushed} or more"
        );
        let expected = (0..there).map(|it| format!("{it:06}=x"));
        assert!(
            found.into_iter().eq(expected),
            "the first commits, without a gap"
        );
        assert_eq!(
            get(&*snapshot, "last"),
            Some(format!("{:06}", there - 1)),
            "whole commits"
        );
        next = there;
    }
}

fn figures_count(open: &mut Opener<dyn Tables>) {
    let tables = open();
    commit(&*tables, &[("a", Some("1"))]);
    commit(&*tables, &[("a", Some("2"))]);
    let held = [tables.snapshot(), tables.snapshot()];
    assert_eq!(get(&*held[0], "a").as_deref(), Some("2"));
    let figures = tables.figures();
    assert_eq!(
        (figures.commits, figures.open_snapshots, figures.gets),
        (2, 2, 1)
    );
    drop(held);
    assert_eq!(tables.figures().open_snapshots, 0);
    tables.flush().expect("tables can be flushed");
    assert_eq!(tables.figures().flushes, 1);
}

fn no_reader_sees_a_part_of_a_commit(open: &mut Opener<dyn Tables>) {
    const ROWS: u8 = 40;
    let tables = open();
    let write = |number: u32| {
        let mut batch = Batch::default();
        (0..ROWS).for_each(|row| batch.put(vec![row], number.to_be_bytes().to_vec()));
        tables.commit(batch).expect("tables can be written");
    };
    write(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut last = Value::from(&[0; 4]);
            while !done.load(Ordering::Acquire) {
                let snapshot = tables.snapshot();
                let first = snapshot.get(&[ROWS - 1]).expect("tables can be read");
                let first = first.expect("written before");
                let seen = snapshot.range(&[0], &[ROWS]);
                let seen: Vec<_> = seen.map(|row| row.expect("tables can be read").1).collect();
                assert_eq!(seen.len(), usize::from(ROWS));
                assert!(seen.iter().all(|it| *it == first), "one commit's rows");
                assert!(first >= last, "never back");
                last = first;
            }
        });
        let flushing = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                tables.flush().expect("tables can be flushed");
            }
        });
        (1..300).for_each(write);
        done.store(true, Ordering::Release);
        for thread in [reading, flushing] {
            assert!(thread.join().is_ok());
        }
    });
}
