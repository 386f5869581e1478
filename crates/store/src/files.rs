//! The files that the log stands on: one flat folder of named files, written at offsets.
//!
//! [`Folder`] is a folder of the operating system; [`crate::simulated::Disk`] is one in memory that can lose
//! power. The log is the same code over both.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One flat folder of files.
///
/// - What was written and not synced may be lost, kept or torn by a power cut, in any order.
/// - A file that was made is there after a power cut only once [`Files::sync_folder`] returned `Ok`;
///   a file that was removed may come back until then.
pub(crate) trait Files: fmt::Debug + Send + Sync {
    /// The names of all files in the folder, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file to read and write; makes it, empty, when it is not there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Bytes>>;

    /// Removes a file. Handles that are open go on reading it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the folder's own entries durable.
    fn sync_folder(&self) -> io::Result<()>;

    /// A number that nobody outside can guess and that does not come twice.
    fn salt(&self) -> u64;
}

/// One open file. All methods may be called from several threads.
pub(crate) trait Bytes: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Reads at `offset`; less than asked for, or nothing, only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. A gap before it reads as zeros.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written before would survive a loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the operating system.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder; makes it when it is not there, and its entry in its parent durable.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

/// Makes `path` and what is missing above it; each new entry is durable on return.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    fs::create_dir(path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    })?;
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Makes the entries of the folder `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Bytes>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    fn salt(&self) -> u64 {
        // Each `RandomState` is keyed by the system's randomness: the one source that `std` has.
        RandomState::new().hash_one(0_u8)
    }
}

impl Bytes for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
