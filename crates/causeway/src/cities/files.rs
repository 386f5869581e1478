//! Small files: read up to a bound, written so that they are whole or not there.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Its owner alone (0600).
    Private,
    /// Everybody, as far as the process's umask lets them (0644).
    Public,
}

/// Why a small file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no file of the kind that was asked for.
    #[error("{} has more than {most} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that it may have.
        most: u64,
    },
    /// Nothing is written over.
    #[error("{} is there already", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Whether the file is simply not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A JSON value that could not be read; says at which key.
pub(crate) type JsonError = serde_path_to_error::Error<serde_json::Error>;

/// Reads a file of at most `most` bytes.
///
/// # Errors
///
/// [`FileError`].
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io("read", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > most {
        return Err(FileError::TooLarge {
            path: path.to_path_buf(),
            most,
        });
    }
    Ok(bytes)
}

/// Reads one JSON value and nothing after it.
///
/// # Errors
///
/// [`JsonError`].
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let value = T::deserialize(serde_path_to_error::Deserializer::new(
        &mut json, &mut track,
    ));
    match value.and_then(|value| json.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(JsonError::new(track.path(), error)),
    }
}

/// The `version` of a JSON object, whatever else it has; `None` where there is none.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u64,
    }
    let read: Result<Versioned, _> = serde_json::from_slice(bytes);
    read.ok().map(|read| read.version)
}

/// The mode bits of a file.
///
/// # Errors
///
/// [`FileError`].
pub(crate) fn mode(path: &Path) -> Result<u32, FileError> {
    let metadata = fs::metadata(path).map_err(FileError::io("look at", path))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// Writes a file that must not be there yet.
///
/// # Errors
///
/// [`FileError`]; nothing is at `path` then, or what was.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
    let file = prepare(path, bytes, mode)?;
    match file.persist_noclobber(path) {
        Ok(_file) => sync_folder(path),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileError::Exists {
                path: path.to_path_buf(),
            })
        }
        Err(error) => Err(FileError::io("write", path)(error.error)),
    }
}

/// Writes a file in place of what is there.
///
/// # Errors
///
/// [`FileError`]; what was there still is.
pub(crate) fn write_over(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
    let file = prepare(path, bytes, mode)?;
    match file.persist(path) {
        Ok(_file) => sync_folder(path),
        Err(error) => Err(FileError::io("write", path)(error.error)),
    }
}

/// The bytes in a nameless neighbour of `path`, synced.
fn prepare(path: &Path, bytes: &[u8], mode: Mode) -> Result<tempfile::NamedTempFile, FileError> {
    let write = || -> io::Result<tempfile::NamedTempFile> {
        let bits = match mode {
            Mode::Private => 0o600,
            Mode::Public => 0o644,
        };
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(bits))
            .tempfile_in(folder_of(path))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(FileError::io("write", path))
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(FileError::io("sync", folder))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::{FileError, Mode, mode, parse_json, read, write_new, write_over};

    #[test]
    fn a_file_is_written_once_unless_asked_and_has_its_mode() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        write_new(&path, b"first", Mode::Private).expect("written");
        assert_eq!(mode(&path).expect("there"), 0o600);
        assert!(matches!(
            write_new(&path, b"second", Mode::Public),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(read(&path, 5).expect("there"), b"first");
        write_over(&path, b"second", Mode::Public).expect("written");
        assert_eq!(read(&path, 6).expect("there"), b"second");
        assert_eq!(mode(&path).expect("there") & 0o600, 0o600);
        let left = std::fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(left, 1, "nothing but the file is left");
    }

    #[test]
    fn what_is_too_large_or_missing_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        assert!(read(&path, 5).expect_err("not there").is_missing());
        std::fs::write(&path, b"123456").expect("written");
        assert!(matches!(
            read(&path, 5),
            Err(FileError::TooLarge { most: 5, .. })
        ));
    }

    #[test]
    fn json_errors_name_the_key() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Value {
            #[expect(dead_code, reason = "only whether it is read counts")]
            list: Vec<u64>,
        }
        for (text, wanted) in [
            (r#"{"list":[1,"x"]}"#, "list[1]: "),
            (r#"{"list":[1],"more":2}"#, "more"),
            (r#"{"list":[1],"list":[1]}"#, "duplicate field `list`"),
            (r#"{}"#, "missing field `list`"),
            (r#"{"list":[1]}x"#, "trailing characters"),
            (r#"{"list":[1]"#, "EOF"),
        ] {
            let error = parse_json::<Value>(text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains(wanted), "{text}: {error}");
        }
    }
}
