//! The simulated disk: all files and names of one mount, what is durable of them and what is not.
//! Knows nothing of FUSE; errors are the system's error numbers.
//!
//! The durable bytes of a file lie in a plain file in the backing folder, under the file's number, in
//! the hidden folder [`STORE`]. Everything else is in memory until [`Disk::restore`] lays the folder
//! out again as it was left.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fuser::Errno;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::file::{Change, Mood, Unsynced};
use super::names::{Edit, Ino, Model, Names, ROOT};
use super::{Counters, Trigger};

#[cfg(test)]
mod tests;

/// Where the backing folder keeps the files of a mount, by number.
pub(super) const STORE: &str = ".power-cut";

/// What a number stands for.
#[derive(Debug)]
pub(super) enum Kind {
    Directory,
    /// A plain file: its size as the program sees it, and what no sync has covered.
    File {
        size: u64,
        unsynced: Unsynced,
    },
    /// A Unix socket: only the name is on the disk.
    Socket,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Permission bits; durable at once, as are times.
    pub(super) mode: u32,
    pub(super) modified: SystemTime,
    /// Open handles: such a file lives on without a name.
    pub(super) opens: u32,
}

#[derive(Debug)]
pub(super) struct Disk {
    backing: PathBuf,
    names: Names,
    nodes: BTreeMap<Ino, Node>,
    next: u64,
    counters: Counters,
    trigger: Option<Trigger>,
    dead: bool,
}

impl Disk {
    /// Takes over the files of a plain folder: all of them are durable.
    pub(super) fn take_over(backing: &Path, model: Model) -> io::Result<Self> {
        fs::create_dir(backing.join(STORE))?;
        let mode = fs::metadata(backing)?.mode() & 0o7777;
        let mut disk = Self {
            backing: backing.to_path_buf(),
            names: Names::new(model),
            nodes: BTreeMap::from([(ROOT, Node::new(Kind::Directory, mode))]),
            next: ROOT.0 + 1,
            counters: Counters::default(),
            trigger: None,
            dead: false,
        };
        let mut hard_links = BTreeMap::new();
        disk.scan(backing, ROOT, &mut hard_links)?;
        disk.names.keep_all();
        Ok(disk)
    }

    fn scan(
        &mut self,
        folder: &Path,
        directory: Ino,
        hard_links: &mut BTreeMap<u64, Ino>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            if directory == ROOT && name == STORE {
                continue;
            }
            let metadata = fs::symlink_metadata(&path)?;
            let mode = metadata.mode() & 0o7777;
            let ino = if metadata.is_dir() {
                let ino = self.add(Kind::Directory, mode);
                self.scan(&path, ino, hard_links)?;
                fs::remove_dir(&path)?;
                ino
            } else if metadata.is_file() {
                if let Some(ino) = hard_links.get(&metadata.ino()) {
                    fs::remove_file(&path)?;
                    *ino
                } else {
                    let size = metadata.len();
                    let ino = self.add(
                        Kind::File {
                            size,
                            unsynced: Unsynced::default(),
                        },
                        mode,
                    );
                    fs::rename(&path, self.stored(ino))?;
                    hard_links.insert(metadata.ino(), ino);
                    ino
                }
            } else if metadata.file_type().is_socket() {
                fs::remove_file(&path)?;
                self.add(Kind::Socket, mode)
            } else {
                return Err(io::Error::other(format!(
                    "{}: not a plain file",
                    path.display()
                )));
            };
            self.names.change(vec![Edit {
                directory,
                name,
                entry: Some(ino),
            }]);
        }
        Ok(())
    }

    /// Lays the backing folder out as a plain folder with the durable names and bytes.
    pub(super) fn restore(self) -> io::Result<()> {
        let mut placed = BTreeMap::new();
        self.lay_out(ROOT, &self.backing, &mut placed)?;
        fs::remove_dir_all(self.backing.join(STORE))
    }

    fn lay_out(
        &self,
        directory: Ino,
        folder: &Path,
        placed: &mut BTreeMap<Ino, PathBuf>,
    ) -> io::Result<()> {
        for (name, ino) in self.names.durable_entries(directory) {
            let (path, node) = (folder.join(name), &self.nodes[&ino]);
            match (&node.kind, placed.get(&ino)) {
                (Kind::Directory, Some(_)) => panic!("a directory with two names: {ino:?}"),
                (_, Some(first)) => {
                    fs::hard_link(first, &path)?;
                    continue;
                }
                (Kind::Directory, None) => {
                    fs::create_dir(&path)?;
                    placed.insert(ino, path.clone());
                    self.lay_out(ino, &path, placed)?;
                }
                (Kind::File { .. }, None) => fs::rename(self.stored(ino), &path)?,
                (Kind::Socket, None) => make_socket(&path)?,
            }
            fs::set_permissions(&path, Permissions::from_mode(node.mode))?;
            placed.insert(ino, path);
        }
        Ok(())
    }

    /// Every request passes here first: after the power cut nothing is answered, and a trigger that
    /// waits for a count goes off before the request that reaches it.
    pub(super) fn powered(&mut self) -> Result<(), Errno> {
        if self.dead { Err(Errno::EIO) } else { Ok(()) }
    }

    /// As [`Self::powered`], for requests that change something or make it durable.
    fn step(&mut self) -> Result<(), Errno> {
        self.powered()?;
        if let Some(trigger) = &mut self.trigger
            && trigger.after_names == 0
        {
            if trigger.after_steps == 0 {
                let seed = trigger.seed;
                self.lose_power(seed)?;
                return Err(Errno::EIO);
            }
            trigger.after_steps -= 1;
        }
        self.counters.steps += 1;
        Ok(())
    }

    pub(super) fn arm(&mut self, trigger: Trigger) {
        self.trigger = Some(trigger);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// The power fails: from here on nothing is answered, and of what was not synced only a part,
    /// drawn by `seed`, is left. Does nothing a second time.
    pub(super) fn lose_power(&mut self, seed: u64) -> io::Result<()> {
        if std::mem::replace(&mut self.dead, true) {
            return Ok(());
        }
        let mut rng = StdRng::seed_from_u64(seed);
        // A quarter each at the ends: bugs like all or nothing best.
        let mood = match rng.random_range(0..4) {
            0 => Mood::Nothing,
            1 => Mood::Everything,
            _ => Mood::Some(rng.random()),
        };
        self.counters.forgotten_names += self.names.lose_power(mood, &mut rng);
        let backing = &self.backing;
        for (ino, node) in &mut self.nodes {
            if let Kind::File { unsynced, .. } = &mut node.kind
                && !unsynced.is_empty()
            {
                let mood = match mood {
                    Mood::Some(_) => Mood::Some(rng.random()),
                    ends => ends,
                };
                let file = open_stored(backing, *ino)?;
                let lost = unsynced.lose_power(&file, mood, &mut rng)?;
                self.counters.forgotten_bytes += lost.bytes;
                self.counters.torn_writes += lost.torn_writes;
            }
        }
        Ok(())
    }

    /// Makes everything durable, as an orderly shutdown of the machine does.
    pub(super) fn keep_all(&mut self) -> io::Result<()> {
        self.names.keep_all();
        let files: Vec<_> = self.nodes.keys().copied().collect();
        files.into_iter().try_for_each(|ino| self.sync_bytes(ino))
    }

    fn sync_bytes(&mut self, ino: Ino) -> io::Result<()> {
        if let Some(Node {
            kind: Kind::File { unsynced, .. },
            ..
        }) = self.nodes.get_mut(&ino)
            && !unsynced.is_empty()
        {
            unsynced.sync(&open_stored(&self.backing, ino)?)?;
        }
        Ok(())
    }

    pub(super) fn lookup(&self, directory: Ino, name: &OsStr) -> Result<Ino, Errno> {
        self.names.get(directory, name).ok_or(Errno::ENOENT)
    }

    pub(super) fn node(&self, ino: Ino) -> Result<&Node, Errno> {
        self.nodes.get(&ino).ok_or(Errno::ENOENT)
    }

    pub(super) fn node_mut(&mut self, ino: Ino) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    pub(super) fn links(&self, ino: Ino) -> u32 {
        self.names.links(ino)
    }

    pub(super) fn entries(&self, directory: Ino) -> Vec<(OsString, Ino)> {
        self.names.entries(directory)
    }

    /// Makes a file, directory or socket under a name that is free.
    pub(super) fn create(
        &mut self,
        (directory, name): (Ino, &OsStr),
        kind: Kind,
        mode: u32,
    ) -> Result<Ino, Errno> {
        self.step()?;
        if self.names.get(directory, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let is_file = matches!(kind, Kind::File { .. });
        let ino = self.add(kind, mode & 0o7777);
        if is_file {
            File::create_new(self.stored(ino))?;
        }
        self.change(vec![Edit {
            directory,
            name: name.into(),
            entry: Some(ino),
        }]);
        Ok(ino)
    }

    pub(super) fn link(&mut self, ino: Ino, (directory, name): (Ino, &OsStr)) -> Result<(), Errno> {
        self.step()?;
        if self.names.get(directory, name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.change(vec![Edit {
            directory,
            name: name.into(),
            entry: Some(ino),
        }]);
        Ok(())
    }

    pub(super) fn remove(&mut self, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        self.step()?;
        let ino = self.lookup(directory, name)?;
        if self.is_directory(ino) && !self.names.entries(ino).is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.change(vec![Edit {
            directory,
            name: name.into(),
            entry: None,
        }]);
        self.collect();
        Ok(())
    }

    /// Moves `from` to `to`, replacing what is there; with `exchange` the two change places.
    pub(super) fn rename(
        &mut self,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        exchange: bool,
    ) -> Result<(), Errno> {
        self.step()?;
        let moved = self.lookup(from.0, from.1)?;
        let replaced = self.names.get(to.0, to.1);
        if replaced == Some(moved) {
            return Ok(());
        }
        if let Some(replaced) = replaced
            && !exchange
            && self.is_directory(replaced)
            && !self.names.entries(replaced).is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        let left_behind = if exchange {
            Some(replaced.ok_or(Errno::ENOENT)?)
        } else {
            None
        };
        self.change(vec![
            Edit {
                directory: from.0,
                name: from.1.into(),
                entry: left_behind,
            },
            Edit {
                directory: to.0,
                name: to.1.into(),
                entry: Some(moved),
            },
        ]);
        self.collect();
        Ok(())
    }

    pub(super) fn read(&self, ino: Ino, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let Kind::File { size, unsynced } = &self.node(ino)?.kind else {
            return Err(Errno::EISDIR);
        };
        let length = length.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(length));
        let mut buffer = vec![0; length];
        if length > 0 {
            unsynced.read(&open_stored(&self.backing, ino)?, offset, &mut buffer)?;
        }
        Ok(buffer)
    }

    /// Changes a file; with `durably` it is synced in the same step.
    pub(super) fn modify(
        &mut self,
        ino: Ino,
        changes: Vec<Change>,
        durably: bool,
    ) -> Result<(), Errno> {
        self.step()?;
        self.counters.writes += 1;
        let node = self.node_mut(ino)?;
        node.modified = SystemTime::now();
        let Kind::File { size, unsynced } = &mut node.kind else {
            return Err(Errno::EISDIR);
        };
        let mut written = 0;
        for change in changes {
            *size = change.size_after(*size);
            if let Change::Write { data, .. } = &change {
                written += data.len() as u64;
            }
            unsynced.push(change);
        }
        self.counters.written_bytes += written;
        if durably {
            self.counters.syncs += 1;
            self.sync_bytes(ino)?;
            self.names.sync_file(ino);
        }
        Ok(())
    }

    pub(super) fn size(&self, ino: Ino) -> Result<u64, Errno> {
        match self.node(ino)?.kind {
            Kind::File { size, .. } => Ok(size),
            Kind::Directory | Kind::Socket => Ok(0),
        }
    }

    /// `fsync` or `fdatasync` of a file: its bytes and its size.
    pub(super) fn sync_file(&mut self, ino: Ino) -> Result<(), Errno> {
        self.step()?;
        self.counters.syncs += 1;
        self.sync_bytes(ino)?;
        self.names.sync_file(ino);
        Ok(())
    }

    /// `fsync` of a directory: its entries.
    pub(super) fn sync_directory(&mut self, directory: Ino) -> Result<(), Errno> {
        self.step()?;
        self.counters.directory_syncs += 1;
        self.names.sync(directory);
        self.collect();
        Ok(())
    }

    pub(super) fn release(&mut self, ino: Ino) -> Result<(), Errno> {
        let node = self.node_mut(ino)?;
        node.opens = node.opens.saturating_sub(1);
        if node.opens == 0 && !self.dead {
            self.collect();
        }
        Ok(())
    }

    fn change(&mut self, edits: Vec<Edit>) {
        self.counters.name_changes += 1;
        if let Some(trigger) = &mut self.trigger {
            trigger.after_names = trigger.after_names.saturating_sub(1);
        }
        self.names.change(edits);
    }

    fn add(&mut self, kind: Kind, mode: u32) -> Ino {
        let ino = Ino(self.next);
        self.next += 1;
        if matches!(kind, Kind::Directory) {
            self.names.add_directory(ino);
        }
        self.nodes.insert(ino, Node::new(kind, mode));
        ino
    }

    fn is_directory(&self, ino: Ino) -> bool {
        matches!(
            self.nodes.get(&ino),
            Some(Node {
                kind: Kind::Directory,
                ..
            })
        )
    }

    /// Frees files that no name leads to, now or after any loss of power, and nobody has open.
    fn collect(&mut self) {
        let named = self.names.named();
        let backing = &self.backing;
        self.nodes.retain(|ino, node| {
            let kept = named.contains(ino) || node.opens > 0;
            if !kept && matches!(node.kind, Kind::File { .. }) {
                // A leftover in the store does no harm: it goes with the store.
                let _ = fs::remove_file(stored(backing, *ino));
            }
            kept
        });
        self.names.keep_only(&named);
    }

    fn stored(&self, ino: Ino) -> PathBuf {
        stored(&self.backing, ino)
    }
}

impl Node {
    fn new(kind: Kind, mode: u32) -> Self {
        Self {
            kind,
            mode,
            modified: SystemTime::now(),
            opens: 0,
        }
    }
}

fn stored(backing: &Path, ino: Ino) -> PathBuf {
    backing.join(STORE).join(ino.0.to_string())
}

fn open_stored(backing: &Path, ino: Ino) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .open(stored(backing, ino))
}

/// The name of a socket that nobody listens on: what a loss of power leaves of one.
fn make_socket(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    #[expect(
        unsafe_code,
        reason = "the standard library makes no socket node without a listener"
    )]
    // SAFETY: `path` is a string that ends in a zero byte and outlives the call.
    let made = unsafe { libc::mknod(path.as_ptr(), libc::S_IFSOCK | 0o600, 0) };
    if made == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
