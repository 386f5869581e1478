//! The rules of what survives, over many seeds, on a plain temporary file.

use std::io::Read;

use rand::SeedableRng;

use super::*;

/// A file that holds `synced`, with `changes` made to it since.
fn file(synced: &[u8], changes: &[Change]) -> (File, Unsynced) {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(synced, 0).unwrap();
    (
        file,
        Unsynced {
            changes: changes.to_vec(),
        },
    )
}

fn write(offset: u64, byte: u8, length: usize) -> Change {
    Change::Write {
        offset,
        data: vec![byte; length],
    }
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; index(file.metadata().unwrap().len())];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn after_cut(synced: &[u8], changes: &[Change], seed: u64) -> (Vec<u8>, Lost) {
    let (file, mut unsynced) = file(synced, changes);
    let mut rng = StdRng::seed_from_u64(seed);
    let lost = unsynced
        .lose_power(&file, Mood::Some(0.5), &mut rng)
        .unwrap();
    (content(&file), lost)
}

#[test]
fn a_read_sees_unsynced_changes_and_a_sync_makes_the_same_bytes_durable() {
    let changes = [
        write(2, b'x', 3),
        Change::Resize { size: 4 },
        write(8, b'y', 2),
        Change::Zero { range: 0..1 },
    ];
    let (file, mut unsynced) = file(b"abcdefgh", &changes);
    let expected = b"\0bxx\0\0\0\0yy";
    let mut seen = vec![0; expected.len()];
    unsynced.read(&file, 0, &mut seen).unwrap();
    assert_eq!(seen, expected);
    assert_eq!(
        content(&file),
        b"abcdefgh",
        "nothing is durable before the sync"
    );
    unsynced.sync(&file).unwrap();
    assert_eq!(content(&file), expected);
    assert!(unsynced.is_empty());
}

#[test]
fn moods_at_the_ends_keep_nothing_and_everything() {
    let changes = [write(0, b'x', 2000), Change::Resize { size: 1000 }];
    for (mood, expected) in [
        (Mood::Nothing, vec![b'a'; 600]),
        (Mood::Everything, vec![b'x'; 1000]),
    ] {
        let (file, mut unsynced) = file(&[b'a'; 600], &changes);
        unsynced
            .lose_power(&file, mood, &mut StdRng::seed_from_u64(1))
            .unwrap();
        assert_eq!(content(&file), expected, "{mood:?}");
    }
}

#[test]
fn every_outcome_of_two_writes_happens_and_each_sector_is_old_or_new() {
    let (old, sectors) = (vec![b'o'; 4096], 8);
    let changes = [write(0, b'1', 2048), write(2048, b'2', 2048)];
    let mut seen = BTreeSet::new();
    for seed in 0..2000 {
        let (bytes, _) = after_cut(&old, &changes, seed);
        assert_eq!(bytes.len(), 4096, "no change touched the size");
        let mut halves = [false; 2];
        for sector in 0..sectors {
            let piece = &bytes[sector * 512..(sector + 1) * 512];
            let new = if sector < 4 { b'1' } else { b'2' };
            assert!(
                piece.iter().all(|byte| *byte == piece[0]),
                "seed {seed}: a torn sector"
            );
            assert!([b'o', new].contains(&piece[0]), "seed {seed}");
            halves[sector / 4] |= piece[0] == new;
        }
        seen.insert(halves);
    }
    assert_eq!(
        seen.len(),
        4,
        "first only, second only, both, none: {seen:?}"
    );
}

#[test]
fn a_sector_never_holds_a_later_write_without_the_earlier_one() {
    let changes = [write(0, b'1', 100), write(100, b'2', 100)];
    for seed in 0..500 {
        let (bytes, _) = after_cut(&[b'o'; 512], &changes, seed);
        assert!(
            bytes[100] != b'2' || bytes[0] == b'1',
            "seed {seed}: the page cache holds one copy of a sector"
        );
    }
}

#[test]
fn the_size_is_one_that_the_file_had() {
    let changes = [
        write(512, b'1', 512),
        Change::Resize { size: 100 },
        write(100, b'2', 4000),
    ];
    let mut sizes = BTreeSet::new();
    for seed in 0..500 {
        sizes.insert(after_cut(&[b'o'; 512], &changes, seed).0.len());
    }
    assert_eq!(sizes, BTreeSet::from([512, 1024, 100, 4100]));
}

#[test]
fn what_is_lost_is_counted() {
    let mut most = Lost::default();
    for seed in 0..200 {
        let (_, lost) = after_cut(&[], &[write(0, b'1', 8192)], seed);
        assert!(lost.bytes <= 8192 && lost.bytes % SECTOR == 0);
        assert_eq!(lost.torn_writes == 1, lost.bytes > 0 && lost.bytes < 8192);
        most.bytes = most.bytes.max(lost.bytes);
        most.torn_writes += lost.torn_writes;
    }
    assert_eq!(most.bytes, 8192);
    assert!(most.torn_writes > 10, "{most:?}");
}

#[test]
fn one_seed_gives_one_outcome() {
    let changes: Vec<_> = (0..50).map(|at| write(at * 700, b'x', 900)).collect();
    assert_eq!(after_cut(b"", &changes, 7), after_cut(b"", &changes, 7));
    assert_ne!(after_cut(b"", &changes, 7), after_cut(b"", &changes, 8));
}

#[test]
fn a_read_beyond_the_file_is_zeros() {
    let (file, unsynced) = file(b"abc", &[]);
    let mut buffer = [9; 6];
    unsynced.read(&file, 1, &mut buffer).unwrap();
    assert_eq!(&buffer, b"bc\0\0\0\0");
    let mut rest = String::new();
    assert_eq!((&file).read_to_string(&mut rest).unwrap(), 3);
}
