//! The real log on a real folder: torn tails, damage, files that are used again, shared syncs.

use super::frame::{HEADER_BYTES, span};
use super::header::RECORDS_AT;
use super::*;
use crate::conformance;
use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use tempfile::TempDir;

const TINY: SegmentOptions = SegmentOptions {
    segment_bytes: 4_096,
};

fn open(folder: &Path) -> (SegmentLog, Opened) {
    SegmentLog::open(folder, TINY).unwrap()
}

fn payloads(log: &SegmentLog) -> Vec<Vec<u8>> {
    conformance::all(log, Position(0))
        .into_iter()
        .map(|it| it.payload)
        .collect()
}

fn append_synced(log: &SegmentLog, payload: &[u8]) -> Position {
    let end = log.append(1, &[payload]).unwrap();
    log.sync(end).unwrap();
    end
}

/// The segment files, oldest name first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// A folder with the same files.
fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files(folder) {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    copy
}

fn change(file: &Path, act: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    act(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn offset(position: Position) -> usize {
    usize::try_from(RECORDS_AT + position.0).unwrap()
}

#[test]
fn conforms_with_small_and_with_usual_segments() {
    for segment_bytes in [64 << 10, 4 << 20] {
        conformance::log(&mut || {
            let folder = tempfile::tempdir().unwrap();
            Box::new(move || {
                let options = SegmentOptions { segment_bytes };
                Box::new(SegmentLog::open(folder.path(), options).unwrap().0)
            })
        });
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_dropped_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    append_synced(&log, b"first");
    let begin = append_synced(&log, b"second");
    append_synced(&log, b"the last record");
    drop(log);
    let whole = HEADER_BYTES + b"the last record".len();
    for cut in 0..=whole {
        for truncated in [false, true] {
            let copy = copy(folder.path());
            change(&files(copy.path())[0], |bytes| {
                bytes[offset(begin) + cut..].fill(0);
                if truncated {
                    bytes.truncate(offset(begin) + cut);
                }
            });
            let (log, opened) = open(copy.path());
            let mut expected = vec![b"first".to_vec(), b"second".to_vec()];
            if cut == whole {
                expected.push(b"the last record".to_vec());
            }
            assert_eq!(opened.damage, None, "cut at {cut}");
            assert_eq!(payloads(&log), expected, "cut at {cut}");
            append_synced(&log, b"and on");
            drop(log);
            expected.push(b"and on".to_vec());
            assert_eq!(payloads(&open(copy.path()).0), expected, "cut at {cut}");
        }
    }
}

#[test]
fn a_record_after_a_torn_one_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    let begin = append_synced(&log, b"durable");
    log.append(1, &[b"lost...."]).unwrap();
    log.append(1, &[b"not lost"]).unwrap();
    drop(log);
    // Power was lost; of two writes without a sync the later one got there.
    for broken in 0..HEADER_BYTES + 8 {
        let copy = copy(folder.path());
        change(&files(copy.path())[0], |bytes| {
            bytes[offset(begin) + broken] ^= 0x40;
        });
        let (log, opened) = open(copy.path());
        assert_eq!((opened.damage, opened.torn), (None, true), "byte {broken}");
        assert_eq!(payloads(&log), [b"durable"]);
        // A record of the same size leads exactly to where the other one stands.
        append_synced(&log, b"instead.");
        drop(log);
        assert_eq!(
            payloads(&open(copy.path()).0),
            [&b"durable"[..], b"instead."]
        );
    }
}

#[test]
fn a_flipped_byte_before_a_durable_record_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    let bad = append_synced(&log, b"a good record...");
    append_synced(&log, b"one to go bad...");
    append_synced(&log, b"the proof.......");
    drop(log);
    for byte in 0..usize::try_from(span(16)).unwrap() {
        let copy = copy(folder.path());
        change(&files(copy.path())[0], |bytes| {
            bytes[offset(bad) + byte] ^= 0x10;
        });
        let before = fs::read(&files(copy.path())[0]).unwrap();
        let (log, opened) = open(copy.path());
        assert_eq!(opened.damage, Some(bad), "byte {byte}");
        let mut read = Vec::new();
        let replayed = log.replay(Position(0), &mut |entry| {
            read.push(entry.payload);
            true
        });
        assert!(matches!(replayed, Err(LogError::Damaged { at }) if at == bad));
        assert_eq!(read, [b"a good record..."]);
        let refused = [
            log.append(1, &[b"x"]).map(|_| ()),
            log.sync(bad),
            log.release(bad),
        ];
        for result in refused {
            assert!(matches!(result, Err(LogError::Damaged { at }) if at == bad));
        }
        drop(log);
        assert!(
            fs::read(&files(copy.path())[0]).unwrap() == before,
            "nothing is written"
        );
    }
}

/// Fills several tiny segments with records of 488 bytes and says where each begins.
fn fill(log: &SegmentLog, count: u8) -> Vec<Position> {
    (0..count)
        .map(|byte| {
            let begin = log.end();
            append_synced(log, &[byte; 488]);
            begin
        })
        .collect()
}

#[test]
fn damage_in_a_segment_that_is_not_the_last_is_found_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    let begins = fill(&log, 24);
    drop(log);
    assert!(files(folder.path()).len() >= 3);
    for (record, begin) in begins.iter().enumerate().take(8) {
        let copy = copy(folder.path());
        change(&files(copy.path())[0], |bytes| {
            bytes[offset(*begin) + 300] ^= 1;
        });
        assert_eq!(open(copy.path()).1.damage, Some(*begin), "record {record}");
    }
    for missing in [0, 1] {
        let copy = copy(folder.path());
        fs::remove_file(&files(copy.path())[missing]).unwrap();
        assert!(
            open(copy.path()).1.damage.is_some(),
            "file {missing} is missing"
        );
    }
}

#[test]
fn one_bad_copy_of_a_header_does_no_harm_and_two_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    fill(&log, 24);
    let expected = payloads(&log);
    drop(log);
    for file in 0..files(folder.path()).len() {
        let copy = copy(folder.path());
        let path = &files(copy.path())[file];
        for at in [20, 4_096 + 20] {
            change(path, |bytes| bytes[at] ^= 1);
            let (log, opened) = open(copy.path());
            assert_eq!(opened.damage, None);
            assert_eq!(payloads(&log), expected);
            drop(log);
            change(path, |bytes| {
                bytes[at] ^= u8::from(bytes[at] != bytes[4_116 - at + 20]);
            });
        }
        change(path, |bytes| {
            bytes[20] ^= 1;
            bytes[4_096 + 20] ^= 1;
        });
        assert!(open(copy.path()).1.damage.is_some(), "file {file}");
    }
}

#[test]
fn records_of_a_segment_used_again_never_count() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    fill(&log, 30);
    let held = log.figures().segments;
    log.release(log.end()).unwrap();
    let kept = payloads(&log).len();
    assert!(kept < 8, "whole segments are gone");
    // The next segments are old files; one record is enough to begin one.
    append_synced(&log, &[0xee; 4_000]);
    append_synced(&log, &[0xee; 2_000]);
    assert!(log.figures().segments < held, "files are used again");
    let expected = payloads(&log);
    drop(log);
    let stale = files(folder.path())
        .iter()
        .map(|file| fs::read(file).unwrap())
        .filter(|bytes| bytes.windows(488).any(|it| it == [0xee; 488]))
        .any(|bytes| {
            bytes
                .windows(488)
                .any(|it| it == [it[0]; 488] && it[0] != 0xee && it[0] != 0)
        });
    assert!(stale, "the test needs old records behind the new ones");
    for _ in 0..3 {
        let (log, opened) = open(folder.path());
        assert_eq!(opened.damage, None);
        assert_eq!(payloads(&log), expected);
    }
}

#[test]
fn callers_that_wait_together_share_one_sync() {
    const CALLERS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    append_synced(&log, b"makes the segment");
    let before = log.figures().syncs;
    let barrier = Barrier::new(CALLERS);
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let end = log.append(1, &[b"together"]).unwrap();
                barrier.wait();
                log.sync(end).unwrap();
            });
        }
    });
    assert_eq!(log.figures().syncs, before + 1);
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    append_synced(&log, b"x");
    drop(log);
    change(&files(folder.path())[0], |bytes| {
        for at in [0, 4_096] {
            bytes[at + 11] = 2;
            let crc = crc32c::crc32c(&bytes[at..at + 52]);
            bytes[at + 52..at + 56].copy_from_slice(&crc.to_be_bytes());
        }
    });
    let refused = SegmentLog::open(folder.path(), TINY);
    assert!(matches!(
        refused,
        Err(LogError::TooNew { found: 2, known: 1 })
    ));
}

#[test]
fn a_payload_that_poses_as_a_record_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    let begin = append_synced(&log, b"durable");
    // Written by somebody who knows everything but the salt: a record that claims to prove damage.
    let position = begin.0 + span(0) + 8;
    let place = frame::Place {
        salt: 0,
        generation: 1,
        position,
    };
    let mut forged = vec![0; 8];
    frame::encode(&mut forged, place, position, 1, b"");
    append_synced(&log, &forged);
    drop(log);
    change(&files(folder.path())[0], |bytes| bytes[offset(begin)] ^= 1);
    let (log, opened) = open(folder.path());
    assert_eq!(opened.damage, None);
    assert_eq!(payloads(&log), [b"durable"]);
}

#[test]
fn a_batch_larger_than_a_segment_lies_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path());
    let large = vec![5; 20_000];
    log.append(1, &[b"small", &large, b"small"]).unwrap();
    log.append(1, &[b"after"]).unwrap();
    log.sync(log.end()).unwrap();
    let expected = payloads(&log);
    assert_eq!(expected.len(), 4);
    drop(log);
    assert_eq!(payloads(&open(folder.path()).0), expected);
}
