//! The power-cut file system under real programs: it catches a skipped sync, blames nobody who
//! syncs, and behaves as a file system while there is power.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::power_cut::{Counters, Model, PowerCut, Trigger};

/// How many numbers stand in one file of the careless program, and the bytes of one.
const PER_FILE: u64 = 8;
const RECORD_BYTES: usize = 1000;

/// A backing folder and a place to mount it.
struct Place {
    folders: TempDir,
}

impl Place {
    /// `None`, with one line, where nothing can be mounted.
    fn new() -> Option<Self> {
        if !PowerCut::is_available() {
            eprintln!("skipped: needs /dev/fuse");
            return None;
        }
        let folders = TempDir::new().unwrap();
        for folder in ["backing", "mount"] {
            fs::create_dir(folders.path().join(folder)).unwrap();
        }
        Some(Self { folders })
    }

    fn backing(&self) -> PathBuf {
        self.folders.path().join("backing")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folders.path().join("mount").join(path)
    }

    fn mount(&self, model: Model) -> PowerCut {
        PowerCut::mount(&self.backing(), &self.at(""), model).unwrap()
    }
}

/// Runs the careless program until the power fails, and returns the numbers that it called safe but
/// that are not there afterwards.
fn lost(skip: &str, model: Model, seed: u64) -> (Vec<u64>, Counters) {
    let place = Place::new().expect("was checked by the caller");
    let mount = place.mount(model);
    mount.cut_at(Trigger {
        after_steps: seed % 97,
        seed,
        ..Trigger::default()
    });
    let mut program = Command::new(env!("CARGO_BIN_EXE_careless"))
        .arg(place.at(""))
        .args(["--skip", skip])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(program.stdout.take().unwrap()).lines();
    let safe: Vec<u64> = said.map(|line| line.unwrap().parse().unwrap()).collect();
    assert!(
        !program.wait().unwrap().success(),
        "it ends by an I/O error"
    );
    assert!(mount.is_cut());
    let counters = mount.restore().unwrap();
    (
        safe.into_iter()
            .filter(|number| !is_there(&place.backing(), *number))
            .collect(),
        counters,
    )
}

fn is_there(folder: &Path, number: u64) -> bool {
    let mut record = [0; RECORD_BYTES];
    File::open(folder.join(format!("{}.log", number / PER_FILE)))
        .and_then(|file| file.read_exact_at(&mut record, number % PER_FILE * RECORD_BYTES as u64))
        .is_ok_and(|()| record.chunks(8).all(|word| word == number.to_le_bytes()))
}

#[test]
fn a_program_that_skips_a_sync_is_caught_and_one_that_does_not_never_is() {
    if Place::new().is_none() {
        return;
    }
    let caught = |skip, model, seeds| {
        let lossy = (0..seeds)
            .filter(|seed| !lost(skip, model, *seed).0.is_empty())
            .count();
        println!("{skip} skipped, {model:?}: {lossy} of {seeds} cuts lost what was called safe");
        lossy
    };
    assert_eq!(caught("nothing", Model::Strict, 200), 0);
    assert!(caught("bytes", Model::Strict, 30) > 5);
    assert!(caught("folder", Model::Strict, 30) > 5);
    assert_eq!(caught("nothing", Model::OneJournal, 30), 0);
    assert!(caught("bytes", Model::OneJournal, 30) > 5);
    for gentle in [Model::OneJournal, Model::FilesWithNames] {
        let lossy = caught("folder", gentle, 30);
        assert_eq!(lossy, 0, "there a file's sync persists its name");
    }
}

#[test]
fn one_seed_leaves_one_folder() {
    if Place::new().is_none() {
        return;
    }
    for seed in [3, 61] {
        assert_eq!(
            lost("bytes", Model::Strict, seed),
            lost("bytes", Model::Strict, seed)
        );
    }
}

#[test]
fn after_the_cut_every_request_fails_and_what_was_synced_is_there() {
    let Some(place) = Place::new() else { return };
    fs::write(place.backing().join("old"), "from before").unwrap();
    let mount = place.mount(Model::Strict);
    let file = File::create_new(place.at("new")).unwrap();
    file.write_all_at(b"synced", 0).unwrap();
    file.sync_all().unwrap();
    File::open(place.at("")).unwrap().sync_all().unwrap();
    mount.cut(1).unwrap();
    let codes = [
        file.write_all_at(b"later", 0),
        file.sync_data(),
        file.set_len(0),
        File::create_new(place.at("third")).map(drop),
        fs::read_dir(place.at("")).map(drop),
        fs::rename(place.at("new"), place.at("moved")),
        fs::remove_file(place.at("old")),
    ]
    .map(|answer| answer.unwrap_err().raw_os_error());
    assert_eq!(codes, [Some(libc::EIO); 7]);
    drop(file);
    mount.restore().unwrap();
    let mut names: Vec<_> = fs::read_dir(place.backing())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["new", "old"]);
    assert_eq!(fs::read(place.backing().join("new")).unwrap(), b"synced");
    assert_eq!(
        fs::read(place.backing().join("old")).unwrap(),
        b"from before"
    );
}

#[test]
fn with_power_it_is_a_file_system_like_any_other() {
    let Some(place) = Place::new() else { return };
    let mount = place.mount(Model::Strict);
    fs::create_dir_all(place.at("a/b")).unwrap();
    fs::write(place.at("a/b/file"), "0123456789").unwrap();
    fs::hard_link(place.at("a/b/file"), place.at("a/linked")).unwrap();
    fs::rename(place.at("a/b"), place.at("moved")).unwrap();
    fs::rename(place.at("a/linked"), place.at("linked")).unwrap();
    assert_eq!(
        fs::remove_dir(place.at("moved")).unwrap_err().kind(),
        io::ErrorKind::DirectoryNotEmpty
    );
    fs::remove_dir(place.at("a")).unwrap();

    let mut file = File::options()
        .read(true)
        .append(true)
        .open(place.at("linked"))
        .unwrap();
    file.write_all(b"abc").unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "89abc");
    file.set_len(4).unwrap();
    assert_eq!(fs::read(place.at("moved/file")).unwrap(), b"0123");
    fs::remove_file(place.at("linked")).unwrap();
    file.write_all(b"XY").unwrap();
    assert_eq!(fs::read(place.at("moved/file")).unwrap(), b"0123XY");

    let open_only = File::create_new(place.at("gone")).unwrap();
    fs::remove_file(place.at("gone")).unwrap();
    open_only.write_all_at(b"still here", 0).unwrap();
    let mut seen = [0; 10];
    open_only.read_exact_at(&mut seen, 0).unwrap();
    assert_eq!(&seen, b"still here");

    let held = File::create_new(place.at("lock")).unwrap();
    held.try_lock().unwrap();
    assert!(
        File::open(place.at("lock")).unwrap().try_lock().is_err(),
        "locks hold"
    );
    fs::set_permissions(place.at("lock"), Permissions::from_mode(0o600)).unwrap();

    let socket = UnixListener::bind(place.at("socket")).unwrap();
    UnixStream::connect(place.at("socket")).unwrap();
    drop((file, open_only, held, socket));
    let big = vec![7_u8; 3_000_000];
    fs::write(place.at("big"), &big).unwrap();
    mount.restore().unwrap();

    let backing = place.backing();
    assert_eq!(fs::read(backing.join("moved/file")).unwrap(), b"0123XY");
    assert_eq!(fs::read(backing.join("big")).unwrap(), big);
    assert_eq!(
        fs::metadata(backing.join("lock"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let mut names: Vec<_> = fs::read_dir(backing)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["big", "lock", "moved", "socket"]);
}

#[test]
fn a_write_through_a_synchronous_handle_is_durable_when_it_returns() {
    let Some(place) = Place::new() else { return };
    for flag in [libc::O_SYNC, libc::O_DSYNC] {
        fs::write(place.backing().join("file"), "").unwrap();
        let mount = place.mount(Model::Strict);
        let file = File::options()
            .write(true)
            .custom_flags(flag)
            .open(place.at("file"))
            .unwrap();
        file.write_all_at(b"through", 0).unwrap();
        mount.cut(hard_seed()).unwrap();
        drop(file);
        mount.restore().unwrap();
        assert_eq!(fs::read(place.backing().join("file")).unwrap(), b"through");
    }
}

#[test]
fn pages_of_a_shared_mapping_are_durable_after_msync_and_not_before() {
    let Some(place) = Place::new() else { return };
    for (sync, expected) in [(true, b'm'), (false, b'o')] {
        fs::write(place.backing().join("file"), [b'o'; 4096]).unwrap();
        let mount = place.mount(Model::Strict);
        let map = Mapping::of(&place.at("file"), 4096);
        map.fill(b'm', sync);
        mount.cut(hard_seed()).unwrap();
        drop(map);
        mount.restore().unwrap();
        assert_eq!(
            fs::read(place.backing().join("file")).unwrap(),
            [expected; 4096]
        );
    }
}

#[test]
fn preallocated_space_is_there_and_zero() {
    let Some(place) = Place::new() else { return };
    let mount = place.mount(Model::Strict);
    let file = File::create_new(place.at("segment")).unwrap();
    file.write_all_at(b"head", 0).unwrap();
    assert_eq!(allocate(&file, 0, 1 << 20), 0);
    file.sync_all().unwrap();
    drop(file);
    mount.restore().unwrap();
    let bytes = fs::read(place.backing().join("segment")).unwrap();
    assert_eq!((bytes.len(), &bytes[..4]), (1 << 20, &b"head"[..]));
    assert!(bytes[4..].iter().all(|byte| *byte == 0));
}

/// A seed whose cut keeps nothing that was not synced: found, not assumed.
fn hard_seed() -> u64 {
    (0..100)
        .find(|seed| {
            let place = Place::new().unwrap();
            let mount = place.mount(Model::Strict);
            for name in 0..8 {
                fs::write(place.at(&name.to_string()), [1; 8192]).unwrap();
            }
            mount.cut(*seed).unwrap();
            mount.restore().unwrap();
            fs::read_dir(place.backing()).unwrap().next().is_none()
        })
        .expect("one seed in four keeps nothing")
}

#[expect(unsafe_code, reason = "the standard library has no fallocate")]
fn allocate(file: &File, offset: i64, length: i64) -> i32 {
    use std::os::fd::AsRawFd;
    // SAFETY: takes a descriptor that is open and plain numbers.
    unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, length) }
}

/// A shared mapping of a whole file.
struct Mapping {
    start: *mut libc::c_void,
    length: usize,
}

#[expect(unsafe_code, reason = "the standard library has no mmap")]
impl Mapping {
    fn of(path: &Path, length: usize) -> Self {
        use std::os::fd::AsRawFd;
        let file = File::options().read(true).write(true).open(path).unwrap();
        let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping of an open file; nothing else uses its address.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                access,
                shared,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start, length }
    }

    fn fill(&self, byte: u8, sync: bool) {
        // SAFETY: the mapping is `length` bytes long and lives as long as `self`.
        unsafe { self.start.cast::<u8>().write_bytes(byte, self.length) };
        if sync {
            // SAFETY: as above.
            let synced = unsafe { libc::msync(self.start, self.length, libc::MS_SYNC) };
            assert_eq!(synced, 0);
        }
    }
}

#[expect(unsafe_code, reason = "the standard library has no munmap")]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: unmaps what `of` mapped, once.
        unsafe { libc::munmap(self.start, self.length) };
    }
}
