//! The disk without a kernel in front of it.

use tempfile::TempDir;

use super::*;

fn write(byte: u8) -> Vec<Change> {
    vec![Change::Write {
        offset: 0,
        data: vec![byte; 10],
    }]
}

fn file(disk: &mut Disk, name: &str) -> Ino {
    let kind = Kind::File {
        size: 0,
        unsynced: Unsynced::default(),
    };
    disk.create((ROOT, OsStr::new(name)), kind, 0o644).unwrap()
}

fn stored_files(folder: &TempDir) -> usize {
    fs::read_dir(folder.path().join(STORE)).unwrap().count()
}

#[test]
fn a_folder_comes_back_as_it_was_taken_over() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    fs::write(folder.path().join("inner/one"), "1").unwrap();
    fs::hard_link(folder.path().join("inner/one"), folder.path().join("two")).unwrap();
    let disk = Disk::take_over(folder.path(), Model::Strict).unwrap();
    assert!(
        !folder.path().join("two").exists(),
        "the files are the mount's now"
    );
    disk.restore().unwrap();
    fs::write(folder.path().join("two"), "2").unwrap();
    assert_eq!(
        fs::read(folder.path().join("inner/one")).unwrap(),
        b"2",
        "still one file"
    );
    assert!(!folder.path().join(STORE).exists());
}

#[test]
fn a_folder_that_was_never_restored_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(Disk::take_over(folder.path(), Model::Strict).unwrap());
    let refused = Disk::take_over(folder.path(), Model::Strict).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_trigger_goes_off_before_the_step_that_it_names() {
    let folder = TempDir::new().unwrap();
    let mut disk = Disk::take_over(folder.path(), Model::Strict).unwrap();
    disk.arm(Trigger {
        after_steps: 2,
        seed: 1,
        ..Trigger::default()
    });
    let ino = file(&mut disk, "a");
    disk.modify(ino, write(1), false).unwrap();
    assert_eq!(disk.sync_file(ino).unwrap_err(), Errno::EIO);
    assert!(disk.is_dead());
    assert_eq!(disk.counters().syncs, 0);
    assert_eq!(disk.powered().unwrap_err(), Errno::EIO);
}

#[test]
fn a_trigger_may_wait_for_changes_of_names() {
    let folder = TempDir::new().unwrap();
    let mut disk = Disk::take_over(folder.path(), Model::Strict).unwrap();
    disk.arm(Trigger {
        after_names: 2,
        after_steps: 1,
        seed: 1,
    });
    let ino = file(&mut disk, "a");
    for _ in 0..5 {
        disk.sync_file(ino).unwrap();
    }
    file(&mut disk, "b");
    disk.sync_file(ino).unwrap();
    assert_eq!(disk.sync_file(ino).unwrap_err(), Errno::EIO);
}

#[test]
fn a_removed_file_is_freed_when_its_removal_is_durable_and_its_last_handle_closed() {
    let folder = TempDir::new().unwrap();
    let mut disk = Disk::take_over(folder.path(), Model::Strict).unwrap();
    let ino = file(&mut disk, "a");
    disk.node_mut(ino).unwrap().opens += 1;
    disk.sync_directory(ROOT).unwrap();
    disk.remove(ROOT, OsStr::new("a")).unwrap();
    disk.sync_directory(ROOT).unwrap();
    assert_eq!(stored_files(&folder), 1, "somebody has it open");
    disk.release(ino).unwrap();
    assert_eq!(stored_files(&folder), 0);
}

#[test]
fn an_orderly_end_keeps_everything() {
    let folder = TempDir::new().unwrap();
    let mut disk = Disk::take_over(folder.path(), Model::Strict).unwrap();
    let ino = file(&mut disk, "a");
    disk.modify(ino, write(7), false).unwrap();
    disk.keep_all().unwrap();
    disk.restore().unwrap();
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), [7; 10]);
}
