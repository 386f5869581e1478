//! Where the password of an encrypted key comes from: a file, or a command that prints it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::files::{self, FileError};

/// Most bytes of a password with its line end.
const MAX_BYTES: usize = 4 << 10;
/// How long a command may take: it may ask a person, or a device.
const PATIENCE: Duration = Duration::from_secs(120);

/// Options that name the password of a key.
#[derive(Debug, Default, Args)]
pub(crate) struct PasswordOptions {
    /// Password of the key, in this file (its first line); a new key is kept encrypted under it.
    #[arg(long, value_name = "FILE", conflicts_with = "key_command")]
    key_password_file: Option<PathBuf>,
    /// Password of the key, printed by this shell command (its first line); a new key is kept encrypted under it.
    #[arg(long, value_name = "CMD")]
    key_command: Option<String>,
}

impl PasswordOptions {
    /// Where the password comes from; `None` for a key that is not encrypted.
    pub(crate) fn source(&self) -> Option<PasswordSource> {
        match (&self.key_password_file, &self.key_command) {
            (Some(path), _) => Some(PasswordSource::File(path.clone())),
            (None, Some(command)) => Some(PasswordSource::Command(command.clone())),
            (None, None) => None,
        }
    }
}

/// Where a password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PasswordSource {
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a shell command prints.
    Command(String),
}

/// A password; forgotten when dropped, and never shown.
pub(crate) struct Password(Zeroizing<Vec<u8>>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file's first line is empty.
    #[error("{}: its first line, the password of the key, is empty", .path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The shell did not start, or its output could not be read.
    #[error("the key command cannot be run")]
    Run(#[source] std::io::Error),
    /// The command says that it failed.
    #[error("the key command failed ({status})")]
    Failed {
        /// How it ended.
        status: ExitStatus,
    },
    /// It went on and on.
    #[error("the key command did not end within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// It printed no password.
    #[error("the key command printed no password on its first line")]
    NoOutput,
    /// It printed a file.
    #[error("the key command printed more than {MAX_BYTES} bytes")]
    TooMuchOutput,
}

impl Password {
    /// A password that is known already.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, for the derivation of a key.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gets the password.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]; neither password nor command is in it.
    pub(crate) async fn from_source(source: &PasswordSource) -> Result<Self, PasswordError> {
        match source {
            PasswordSource::File(path) => Self::from_file(path),
            PasswordSource::Command(command) => Self::from_command(command).await,
        }
    }

    fn from_file(path: &Path) -> Result<Self, PasswordError> {
        let text = Zeroizing::new(files::read(path, MAX_BYTES as u64)?);
        Self::first_line(&text).ok_or_else(|| PasswordError::EmptyFile {
            path: path.to_path_buf(),
        })
    }

    async fn from_command(command: &str) -> Result<Self, PasswordError> {
        // Standard input and error stay: the command may ask whoever sits there.
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(PasswordError::Run)?;
        let mut output = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
        let stdout = child.stdout.take();
        let run = async {
            if let Some(stdout) = stdout {
                let read = stdout
                    .take(MAX_BYTES as u64 + 1)
                    .read_to_end(&mut output)
                    .await;
                read.map_err(PasswordError::Run)?;
            }
            if output.len() > MAX_BYTES {
                return Err(PasswordError::TooMuchOutput);
            }
            child.wait().await.map_err(PasswordError::Run)
        };
        let status = tokio::time::timeout(PATIENCE, run)
            .await
            .map_err(|_elapsed| PasswordError::TooSlow)??;
        if !status.success() {
            return Err(PasswordError::Failed { status });
        }
        Self::first_line(&output).ok_or(PasswordError::NoOutput)
    }

    fn first_line(text: &[u8]) -> Option<Self> {
        let line = text.split(|&byte| byte == b'\n').next()?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then(|| Self::new(line.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Password, PasswordError, PasswordSource};

    async fn of_command(command: &str) -> Result<Password, PasswordError> {
        Password::from_source(&PasswordSource::Command(command.to_owned())).await
    }

    #[tokio::test]
    async fn a_password_is_the_first_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("password");
        for (text, wanted) in [
            ("secret", Some("secret")),
            ("secret\n", Some("secret")),
            ("se cret \r\nmore\n", Some("se cret ")),
            ("", None),
            ("\nsecret\n", None),
        ] {
            std::fs::write(&path, text).expect("written");
            let password = Password::from_source(&PasswordSource::File(path.clone())).await;
            assert_eq!(
                password.ok().as_ref().map(Password::bytes),
                wanted.map(str::as_bytes),
                "{text:?}"
            );
        }
        let password = of_command("printf 'secret\\nmore'").await.expect("printed");
        assert_eq!(password.bytes(), b"secret");
        assert_eq!(format!("{password:?}"), "Password(…)");
    }

    #[tokio::test]
    async fn a_command_that_gives_none_is_told_and_not_repeated() {
        for (command, wanted) in [
            ("echo hunter2; exit 3", "failed (exit status: 3)"),
            ("true # hunter2", "no password"),
            ("yes hunter2", "more than"),
            ("kill -9 $$ # hunter2", "failed (signal: 9"),
        ] {
            let error = of_command(command).await.expect_err(command);
            let line = format!("{:#}", anyhow::Error::from(error));
            assert!(line.contains(wanted), "{command}: {line}");
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
}
