//! The data folder of a city: one process at a time, one format version, one key.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use types::NodeKey;

/// The newest format of the folder that this program knows.
const FORMAT: u32 = 1;

/// Name of the file with an encrypted key, which this crate does not read.
const KEYSTORE: &str = "node.key.json";

/// Name of the file that says that the key has never signed.
const UNUSED: &str = "key.unused";

/// A data folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    // Held for its lock; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {} is in use by another process; stop it or choose another with --data", .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error(
        "the data folder {} has format version {found}, this program knows up to {FORMAT}: use a newer release",
        .path.display()
    )]
    TooNew {
        /// The folder.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Something else is there.
    #[error("{} is not a data folder of this program: {what}", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The disk refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Folder {
    /// Takes the folder for this process; makes it when it is not there.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source| FolderError::Io {
                action,
                path,
                source,
            }
        };
        // What is in it is for its owner alone, whatever the modes of the files.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make the data folder", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("write to the data folder, at", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::InUse {
                    path: path.to_path_buf(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        let folder = Self {
            path: path.to_path_buf(),
            _lock: lock,
        };
        folder.check_format()?;
        Ok(folder)
    }

    fn check_format(&self) -> Result<(), FolderError> {
        let path = self.path.join("format");
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found > FORMAT => Err(FolderError::TooNew {
                    path: self.path.clone(),
                    found,
                }),
                Ok(_known) => Ok(()),
                Err(_no_number) => Err(FolderError::Foreign {
                    path: self.path.clone(),
                    what: "its file `format` holds no number",
                }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&path, format!("{FORMAT}\n").as_bytes()).map_err(|source| {
                    FolderError::Io {
                        action: "write",
                        path,
                        source,
                    }
                })
            }
            Err(source) => Err(FolderError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says that a key that is about to be made has never signed. Whoever makes a key calls this first.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn mark_unused(&self) -> Result<(), FolderError> {
        let path = self.path.join(UNUSED);
        let text = b"The node key in this folder has never signed. Removed when it may have.\n";
        write_whole(&path, text).map_err(|source| FolderError::Io {
            action: "write",
            path,
            source,
        })
    }

    /// Whether the node key has never signed. If it may have, and there is no log, then the log is lost.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.path.join(UNUSED).exists()
    }

    /// The node key may sign from now on: what it signs is in the log.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn mark_used(&self) -> Result<(), FolderError> {
        let path = self.path.join(UNUSED);
        let failed = |source| FolderError::Io {
            action: "remove",
            path: path.clone(),
            source,
        };
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        let folder = File::open(&self.path).map_err(failed)?;
        folder.sync_all().map_err(failed)
    }

    /// The city's node key: read from `node.key` (mode 0600), made on first use.
    ///
    /// # Errors
    ///
    /// [`FolderError`].
    pub fn node_key(&self) -> Result<NodeKey, FolderError> {
        let path = self.path.join("node.key");
        match fs::read_to_string(&path) {
            Ok(text) => parse_key(&text).ok_or(FolderError::Foreign {
                path: self.path.clone(),
                what: "its file `node.key` does not hold 32 bytes in hexadecimal that are a key",
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.path.join(KEYSTORE).exists() {
                    return Err(FolderError::Foreign {
                        path: self.path.clone(),
                        what: "its node key is encrypted: `causeway city run` can read it",
                    });
                }
                let failed = |source| FolderError::Io {
                    action: "make a node key at",
                    path: path.clone(),
                    source,
                };
                self.mark_unused()?;
                let key = fresh_key().map_err(failed)?;
                let text = format!("{}\n", alloy_primitives::hex::encode(key.to_bytes()));
                write_whole(&path, text.as_bytes()).map_err(failed)?;
                Ok(key)
            }
            Err(source) => Err(FolderError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }
}

fn parse_key(text: &str) -> Option<NodeKey> {
    let bytes = alloy_primitives::hex::decode(text.trim()).ok()?;
    NodeKey::from_bytes(&<[u8; 32]>::try_from(bytes).ok()?)
}

fn fresh_key() -> io::Result<NodeKey> {
    let mut random = File::open("/dev/urandom")?;
    loop {
        let mut bytes = [0; 32];
        random.read_exact(&mut bytes)?;
        // All but about one in 2^128 are keys.
        if let Some(key) = NodeKey::from_bytes(&bytes) {
            return Ok(key);
        }
    }
}

/// Writes a small file so that after a loss of power it is whole or not there.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Folder, FolderError};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_has_one_owner_and_keeps_its_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("city");
        let folder = Folder::open(&path).expect("free");
        assert!(matches!(
            Folder::open(&path),
            Err(FolderError::InUse { .. })
        ));
        let address = folder.node_key().expect("a key").address();
        drop(folder);
        let folder = Folder::open(&path).expect("free again");
        assert_eq!(folder.node_key().expect("the key").address(), address);
        let mode = std::fs::metadata(path.join("node.key"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_later_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("format"), "2\n").expect("written");
        assert!(matches!(
            Folder::open(dir.path()),
            Err(FolderError::TooNew { found: 2, .. })
        ));
        std::fs::write(dir.path().join("format"), "soup").expect("written");
        assert!(matches!(
            Folder::open(dir.path()),
            Err(FolderError::Foreign { .. })
        ));
    }
}
