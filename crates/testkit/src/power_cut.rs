//! A file system that loses power: what a program did not sync is forgotten, reordered or torn.
//!
//! ```text
//!   program under test ──▶ kernel ──FUSE──▶ Mounted ──▶ Disk ─┬─▶ what is durable: backing folder
//!                                                             └─▶ what is not: in memory
//!   test ──▶ PowerCut: cut(seed) ─────────────────────────────┘
//! ```
//!
//! A round of a test: [`PowerCut::mount`] over a folder; start the program on the mount; put load on
//! it; [`PowerCut::cut`], after which the mount answers every request with an I/O error; kill the
//! program; [`PowerCut::restore`], which leaves a plain folder with what survived; start the program
//! again on that folder, or on a new mount of it, and look for what it had promised.
//!
//! Nothing reaches the backing folder before a sync asks for it, so the answer that a program gave
//! before the cut can be held against it. The rules of what survives stand in `power_cut/file.rs`
//! for bytes and in [`Model`] and `power_cut/names.rs` for names. In short: unsynced writes survive
//! independently, whole, torn or not at all; entries of a directory survive in order up to a moment;
//! an `fsync` of a file does not persist its name, unless a gentler [`Model`] is asked for.
//!
//! Not modelled: durability of permissions and times (they hold at once), symbolic links, extended
//! attributes, `sync` and `syncfs` (they make nothing durable here).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use fuser::{BackgroundSession, Config, MountOption};

use self::disk::Disk;
use self::mount::Mounted;
pub use self::names::Model;

mod disk;
mod file;
mod mount;
mod names;

/// What happened on a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Everything that changed something or made it durable: the unit of [`Trigger`].
    pub steps: u64,
    /// Writes, truncations and allocations of files.
    pub writes: u64,
    /// Bytes of the writes.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub directory_syncs: u64,
    /// Creations, links, renames and removals.
    pub name_changes: u64,
    /// Bytes that the cut forgot.
    pub forgotten_bytes: u64,
    /// Name changes that the cut forgot.
    pub forgotten_names: u64,
    /// Writes of which the cut left a part.
    pub torn_writes: u64,
}

/// A cut at an exact place: once `after_names` more names have changed, before the step that follows
/// `after_steps` more steps. Flushes, compactions and new files of a log are rare, and all change
/// names: this is how a cut falls into one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// How many more changes of names ([`Counters::name_changes`]) come first.
    pub after_names: u64,
    /// How many more steps ([`Counters::steps`]) are served then.
    pub after_steps: u64,
    /// What survives, as in [`PowerCut::cut`].
    pub seed: u64,
}

/// Why a mount could not be made or undone.
#[derive(Debug, thiserror::Error)]
pub enum PowerCutError {
    /// The backing folder could not be taken over, or was left by a mount that was never restored.
    #[error("cannot take over {}; a mount over it may not have been restored", .folder.display())]
    TakeOver {
        /// The backing folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system did not mount.
    #[error("cannot mount on {}; this needs /dev/fuse and the right to mount", .mountpoint.display())]
    Mount {
        /// Where.
        mountpoint: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system did not unmount; as a rule a program still has files open.
    #[error("cannot unmount {}; end the programs that use it first", .mountpoint.display())]
    Unmount {
        /// Where.
        mountpoint: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The backing folder failed: the test's own disk, not the simulated one.
    #[error("cannot write the backing folder {}", .folder.display())]
    Backing {
        /// The backing folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A mounted file system that can lose power.
///
/// Dropped without [`Self::restore`] it unmounts and leaves the backing folder unusable.
#[derive(Debug)]
pub struct PowerCut {
    /// Shared with the thread that serves the kernel; see [`Mounted`].
    disk: Arc<Mutex<Disk>>,
    session: BackgroundSession,
    backing: PathBuf,
    mountpoint: PathBuf,
}

impl PowerCut {
    /// Whether this machine can mount at all.
    ///
    /// # Panics
    ///
    /// Where the environment has `CI` set and `/dev/fuse` is missing: CI skips nothing.
    #[must_use]
    pub fn is_available() -> bool {
        let available = Path::new("/dev/fuse").exists();
        assert!(
            available || std::env::var_os("CI").is_none(),
            "CI needs /dev/fuse"
        );
        available
    }

    /// Mounts over the plain folder `backing`, whose files are durable, at the empty folder
    /// `mountpoint`. Until [`Self::restore`] the files of `backing` are only to be seen there.
    ///
    /// # Errors
    ///
    /// [`PowerCutError::TakeOver`], [`PowerCutError::Mount`].
    pub fn mount(backing: &Path, mountpoint: &Path, model: Model) -> Result<Self, PowerCutError> {
        let disk = Disk::take_over(backing, model).map_err(|source| PowerCutError::TakeOver {
            folder: backing.to_path_buf(),
            source,
        })?;
        let disk = Arc::new(Mutex::new(disk));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("power-cut".into()),
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoAtime,
        ];
        let session = fuser::spawn_mount(Mounted::new(Arc::clone(&disk)), mountpoint, &config)
            .map_err(|source| PowerCutError::Mount {
                mountpoint: mountpoint.to_path_buf(),
                source,
            })?;
        Ok(Self {
            disk,
            session,
            backing: backing.to_path_buf(),
            mountpoint: mountpoint.to_path_buf(),
        })
    }

    /// The power fails now. `seed` decides what survives of what was not synced; equal seeds after
    /// equal requests leave equal folders. A second cut does nothing.
    ///
    /// # Errors
    ///
    /// [`PowerCutError::Backing`] when the test's own disk fails.
    pub fn cut(&self, seed: u64) -> Result<(), PowerCutError> {
        self.disk()
            .lose_power(seed)
            .map_err(|source| self.backing_failed(source))
    }

    /// The power will fail by itself before a certain step.
    pub fn cut_at(&self, trigger: Trigger) {
        self.disk().arm(trigger);
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.disk().is_dead()
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.disk().counters()
    }

    /// Unmounts and lays `backing` out as a plain folder: with what survived the cut, or, when the
    /// power never failed, with everything. The programs that used the mount must have ended.
    ///
    /// # Errors
    ///
    /// [`PowerCutError::Unmount`], [`PowerCutError::Backing`].
    ///
    /// # Panics
    ///
    /// If the thread that served the kernel panicked.
    pub fn restore(self) -> Result<Counters, PowerCutError> {
        let Self {
            disk,
            session,
            backing,
            mountpoint,
        } = self;
        session
            .umount_and_join()
            .map_err(|source| PowerCutError::Unmount { mountpoint, source })?;
        let disk = Arc::into_inner(disk).expect("the serving thread has ended");
        let mut disk = disk.into_inner().expect("the serving thread did not panic");
        let counters = disk.counters();
        let kept = if disk.is_dead() {
            Ok(())
        } else {
            disk.keep_all()
        };
        kept.and_then(|()| disk.restore())
            .map_err(|source| PowerCutError::Backing {
                folder: backing,
                source,
            })?;
        Ok(counters)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("the serving thread did not panic")
    }

    fn backing_failed(&self, source: io::Error) -> PowerCutError {
        PowerCutError::Backing {
            folder: self.backing.clone(),
            source,
        }
    }
}
