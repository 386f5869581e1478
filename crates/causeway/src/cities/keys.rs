//! The secret files of a city: its node key, plain or under a password, the key of its links, and the key that speaks for
//! its member where that was made with it.

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, hex};
use link::Identity;
use node::{Folder, FolderError};
use types::NodeKey;
use zeroize::Zeroizing;

use super::files::{self, FileError, JsonError, Mode};
use super::keystore::{self, Keystore, KeystoreError};
use super::password::{Password, PasswordError, PasswordSource};

/// The node key as 64 hexadecimal digits.
pub(crate) const PLAIN_FILE: &str = "node.key";
/// The node key under a password.
pub(crate) const KEYSTORE_FILE: &str = "node.key.json";
/// The key of the city's links, PEM.
pub(crate) const TLS_FILE: &str = "tls.key";

/// The authority's key as 64 hexadecimal digits; belongs on another machine.
pub(crate) const AUTHORITY_FILE: &str = "authority.key";
/// The authority's key under a password.
pub(crate) const AUTHORITY_KEYSTORE_FILE: &str = "authority.key.json";

/// Most bytes of a key's file.
const MAX_FILE: u64 = 16 << 10;

/// Why a key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There is none.
    #[error("{} holds no node key: make one with `causeway city init`", .data.display())]
    NoKey {
        /// The data folder.
        data: PathBuf,
    },
    /// Which one counts?
    #[error("{} holds both {PLAIN_FILE} and {KEYSTORE_FILE}: remove the one that is not the city's", .data.display())]
    TwoKeys {
        /// The data folder.
        data: PathBuf,
    },
    /// Others could have read it.
    #[error("{} can be read by others (mode {mode:04o}): the key may be known; if it is not, chmod 600", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not 32 bytes that are a key.
    #[error("{} does not hold 32 bytes in hexadecimal that are a key", .path.display())]
    Plain {
        /// The file.
        path: PathBuf,
    },
    /// Encrypted, and nobody says with what.
    #[error(
        "{} is encrypted: give --key-password-file or --key-command (of a node key, also under [key] in city.toml)",
        .path.display()
    )]
    NeedsPassword {
        /// The file.
        path: PathBuf,
    },
    /// A password for a key that has none.
    #[error("{} is not encrypted: a password was given for it", .path.display())]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON of the right form.
    #[error("{}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: JsonError,
    },
    /// The keystore gives no key.
    #[error("{}", .path.display())]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeystoreError,
    },
    /// The key of the links.
    #[error("{}", .path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why.
        source: link::IdentityError,
    },
}

/// Makes the node key of a folder that has none, encrypted when there is a password.
///
/// # Errors
///
/// [`KeyError`]; no key is there then.
pub(crate) fn make_node_key(
    folder: &Folder,
    password: Option<&Password>,
) -> Result<NodeKey, KeyError> {
    let Some(password) = password else {
        return Ok(folder.node_key()?);
    };
    let path = folder.path().join(KEYSTORE_FILE);
    // Before anything is said of a key: the one that is there may have signed.
    if path.symlink_metadata().is_ok() {
        return Err(FileError::Exists { path }.into());
    }
    let failed = |source| KeyError::Keystore {
        path: path.clone(),
        source,
    };
    folder.mark_unused()?;
    let key = keystore::fresh_key().map_err(failed)?;
    let keystore = Keystore::encrypt(&key, password).map_err(failed)?;
    files::write_new(&path, keystore.to_text().as_bytes(), Mode::Private)?;
    Ok(key)
}

/// Makes the key that speaks for a member, encrypted when there is a password, and tells its file.
///
/// # Errors
///
/// [`KeyError`]; no key is there then.
pub(crate) fn make_authority_key(
    data: &Path,
    password: Option<&Password>,
) -> Result<(Address, PathBuf), KeyError> {
    let name = password.map_or(AUTHORITY_FILE, |_password| AUTHORITY_KEYSTORE_FILE);
    let path = data.join(name);
    let failed = |source| KeyError::Keystore {
        path: path.clone(),
        source,
    };
    let key = keystore::fresh_key().map_err(failed)?;
    let text = Zeroizing::new(match password {
        Some(password) => Keystore::encrypt(&key, password).map_err(failed)?.to_text(),
        None => hex::encode(Zeroizing::new(key.to_bytes()).as_slice()),
    });
    files::write_new(&path, text.as_bytes(), Mode::Private)?;
    Ok((key.address(), path))
}

/// Reads a key from its file, whichever of the two forms it has.
///
/// # Errors
///
/// [`KeyError`].
pub(crate) async fn read_key(
    path: &Path,
    source: Option<&PasswordSource>,
) -> Result<NodeKey, KeyError> {
    let text = Zeroizing::new(files::read(path, MAX_FILE)?);
    check_mode(path)?;
    let path = path.to_path_buf();
    if !text.trim_ascii_start().starts_with(b"{") {
        return match source {
            Some(_given) => Err(KeyError::NotEncrypted { path }),
            None => parse_plain(&text).ok_or(KeyError::Plain { path }),
        };
    }
    decrypt(path, &text, source).await
}

/// Reads the node key of a folder; never makes one.
///
/// # Errors
///
/// [`KeyError`].
pub(crate) async fn read_node_key(
    data: &Path,
    source: Option<&PasswordSource>,
) -> Result<NodeKey, KeyError> {
    let plain = data.join(PLAIN_FILE);
    let keystore = data.join(KEYSTORE_FILE);
    match (read_secret(&plain)?, read_secret(&keystore)?) {
        (None, None) => Err(KeyError::NoKey {
            data: data.to_path_buf(),
        }),
        (Some(_), Some(_)) => Err(KeyError::TwoKeys {
            data: data.to_path_buf(),
        }),
        (Some(_), None) if source.is_some() => Err(KeyError::NotEncrypted { path: plain }),
        (Some(text), None) => parse_plain(&text).ok_or(KeyError::Plain { path: plain }),
        (None, Some(text)) => decrypt(keystore, &text, source).await,
    }
}

/// The key in a keystore's text.
async fn decrypt(
    path: PathBuf,
    text: &[u8],
    source: Option<&PasswordSource>,
) -> Result<NodeKey, KeyError> {
    let Some(source) = source else {
        return Err(KeyError::NeedsPassword { path });
    };
    let read: Keystore = match files::parse_json(text) {
        Ok(read) => read,
        Err(source) => return Err(KeyError::Form { path, source }),
    };
    let password = Password::from_source(source).await?;
    read.decrypt(&password)
        .map_err(|source| KeyError::Keystore { path, source })
}

/// Makes the key of the city's links.
///
/// # Errors
///
/// [`KeyError`]; no key is there then.
pub(crate) fn make_identity(data: &Path) -> Result<Identity, KeyError> {
    let path = data.join(TLS_FILE);
    let identity = Identity::generate().map_err(|source| KeyError::Identity {
        path: path.clone(),
        source,
    })?;
    let text = Zeroizing::new(identity.to_pem());
    files::write_new(&path, text.as_bytes(), Mode::Private)?;
    Ok(identity)
}

/// Reads the key of the city's links.
///
/// # Errors
///
/// [`KeyError`].
pub(crate) fn read_identity(data: &Path) -> Result<Identity, KeyError> {
    let path = data.join(TLS_FILE);
    check_mode(&path)?;
    let text = Zeroizing::new(files::read(&path, MAX_FILE)?);
    let text = String::from_utf8_lossy(&text);
    Identity::from_pem(&text).map_err(|source| KeyError::Identity { path, source })
}

/// A secret file's bytes, `None` when it is not there.
fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    match files::read(path, MAX_FILE) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            check_mode(path)?;
            Ok(Some(bytes))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn check_mode(path: &Path) -> Result<(), KeyError> {
    let mode = files::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed {
            path: path.to_path_buf(),
            mode,
        });
    }
    Ok(())
}

fn parse_plain(text: &[u8]) -> Option<NodeKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice()).ok()?;
    NodeKey::from_bytes(&bytes)
}

#[cfg(test)]
mod tests;
