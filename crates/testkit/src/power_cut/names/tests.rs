//! What a loss of power may do to names, and what it may not, over many seeds.

use rand::SeedableRng;

use super::*;

const SIDE: Ino = Ino(2);

fn set(directory: Ino, name: &str, ino: u64) -> Edit {
    Edit {
        directory,
        name: name.into(),
        entry: Some(Ino(ino)),
    }
}

fn remove(directory: Ino, name: &str) -> Edit {
    Edit {
        directory,
        name: name.into(),
        entry: None,
    }
}

/// A root with a durable folder `side`.
fn names(model: Model) -> Names {
    let mut names = Names::new(model);
    names.add_directory(SIDE);
    names.change(vec![set(ROOT, "side", SIDE.0)]);
    names.keep_all();
    names
}

fn durable(names: &Names, directory: Ino) -> Vec<String> {
    let entries = names.durable_entries(directory);
    entries
        .into_iter()
        .map(|(name, ino)| format!("{}={}", name.display(), ino.0))
        .collect()
}

/// Every different outcome over many seeds: the root's entries and the folder's.
fn outcomes(model: Model, prepare: impl Fn(&mut Names)) -> BTreeSet<(Vec<String>, Vec<String>)> {
    (0..500)
        .map(|seed| {
            let mut names = names(model);
            prepare(&mut names);
            names.lose_power(Mood::Some(0.5), &mut StdRng::seed_from_u64(seed));
            let root = durable(&names, ROOT)
                .into_iter()
                .filter(|name| name != "side=2");
            (root.collect(), durable(&names, SIDE))
        })
        .collect()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn changes_of_one_directory_survive_in_order_and_directories_are_independent() {
    let seen = outcomes(Model::Strict, |names| {
        names.change(vec![set(ROOT, "a", 10)]);
        names.change(vec![set(SIDE, "c", 12)]);
        names.change(vec![set(ROOT, "b", 11)]);
    });
    let mut expected = BTreeSet::new();
    for root in [&[][..], &["a=10"], &["a=10", "b=11"]] {
        for side in [&[][..], &["c=12"]] {
            expected.insert((strings(root), strings(side)));
        }
    }
    assert_eq!(seen, expected);
}

#[test]
fn one_journal_keeps_the_order_of_all_directories() {
    let seen = outcomes(Model::OneJournal, |names| {
        names.change(vec![set(ROOT, "a", 10)]);
        names.change(vec![set(SIDE, "c", 12)]);
        names.change(vec![set(ROOT, "b", 11)]);
    });
    let expected = [
        (strings(&[]), strings(&[])),
        (strings(&["a=10"]), strings(&[])),
        (strings(&["a=10"]), strings(&["c=12"])),
        (strings(&["a=10", "b=11"]), strings(&["c=12"])),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn a_move_between_directories_is_never_half_done() {
    let seen = outcomes(Model::Strict, |names| {
        names.change(vec![set(ROOT, "a", 10)]);
        names.keep_all();
        names.change(vec![set(SIDE, "first", 11)]);
        names.change(vec![remove(ROOT, "a"), set(SIDE, "a", 10)]);
        names.change(vec![set(ROOT, "after", 12)]);
    });
    let expected = [
        (strings(&["a=10"]), strings(&[])),
        (strings(&["a=10"]), strings(&["first=11"])),
        (strings(&[]), strings(&["a=10", "first=11"])),
        (strings(&["after=12"]), strings(&["a=10", "first=11"])),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn files_that_wander_between_directories_are_always_in_exactly_one() {
    let seen = outcomes(Model::Strict, |names| {
        names.change(vec![set(ROOT, "a", 10)]);
        names.change(vec![set(SIDE, "b", 11)]);
        names.keep_all();
        for _ in 0..3 {
            names.change(vec![remove(ROOT, "a"), set(SIDE, "a", 10)]);
            names.change(vec![remove(SIDE, "b"), set(ROOT, "b", 11)]);
            names.change(vec![remove(SIDE, "a"), set(ROOT, "a", 10)]);
            names.change(vec![remove(ROOT, "b"), set(SIDE, "b", 11)]);
        }
    });
    for (root, side) in &seen {
        let mut all: Vec<_> = root.iter().chain(side).collect();
        all.sort();
        assert_eq!(all, ["a=10", "b=11"]);
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_replacing_rename_leaves_the_old_file_or_the_new_one() {
    let seen = outcomes(Model::Strict, |names| {
        names.change(vec![set(ROOT, "current", 10)]);
        names.change(vec![set(ROOT, "next", 11)]);
        names.keep_all();
        names.change(vec![remove(ROOT, "next"), set(ROOT, "current", 11)]);
    });
    let expected = [
        (strings(&["current=10", "next=11"]), strings(&[])),
        (strings(&["current=11"]), strings(&[])),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn a_sync_of_one_directory_persists_its_entries_and_no_others() {
    let mut names = names(Model::Strict);
    names.change(vec![set(ROOT, "a", 10)]);
    names.change(vec![set(SIDE, "b", 11)]);
    names.sync_file(Ino(11));
    names.sync(ROOT);
    assert_eq!(
        names.lose_power(Mood::Nothing, &mut StdRng::seed_from_u64(1)),
        1
    );
    assert_eq!(durable(&names, ROOT), ["a=10", "side=2"]);
    assert_eq!(durable(&names, SIDE), [""; 0]);
}

#[test]
fn a_synced_move_takes_along_what_came_before_it_on_the_other_side() {
    let mut names = names(Model::Strict);
    names.change(vec![set(SIDE, "a", 10)]);
    names.change(vec![remove(SIDE, "a"), set(ROOT, "a", 10)]);
    names.change(vec![set(SIDE, "later", 11)]);
    names.sync(ROOT);
    assert_eq!(
        names.lose_power(Mood::Nothing, &mut StdRng::seed_from_u64(1)),
        1
    );
    assert_eq!(durable(&names, ROOT), ["a=10", "side=2"]);
    assert_eq!(durable(&names, SIDE), [""; 0]);
}

#[test]
fn a_file_may_take_its_names_along_with_those_above_it_and_no_others() {
    let mut names = names(Model::FilesWithNames);
    let inner = Ino(3);
    names.add_directory(inner);
    names.change(vec![set(SIDE, "inner", inner.0)]);
    names.change(vec![set(inner, "a", 10)]);
    names.change(vec![set(inner, "later", 11)]);
    names.change(vec![set(ROOT, "other", 12)]);
    names.sync_file(Ino(10));
    assert_eq!(
        names.lose_power(Mood::Nothing, &mut StdRng::seed_from_u64(1)),
        2
    );
    assert_eq!(durable(&names, ROOT), ["side=2"]);
    assert_eq!(durable(&names, SIDE), ["inner=3"]);
    assert_eq!(durable(&names, inner), ["a=10"]);
}

#[test]
fn with_one_journal_a_sync_of_a_file_persists_all_names() {
    let mut names = names(Model::OneJournal);
    names.change(vec![set(SIDE, "a", 10)]);
    names.sync_file(Ino(10));
    assert_eq!(
        names.lose_power(Mood::Nothing, &mut StdRng::seed_from_u64(1)),
        0
    );
    assert_eq!(durable(&names, SIDE), ["a=10"]);
}

#[test]
fn a_removed_file_is_named_until_its_removal_is_durable() {
    let mut names = names(Model::Strict);
    names.change(vec![set(ROOT, "a", 10)]);
    names.sync(ROOT);
    names.change(vec![remove(ROOT, "a")]);
    assert_eq!(names.get(ROOT, OsStr::new("a")), None);
    assert_eq!(names.links(Ino(10)), 0);
    assert!(names.named().contains(&Ino(10)));
    names.sync(ROOT);
    assert!(!names.named().contains(&Ino(10)));
}
