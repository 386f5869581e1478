//! The program as a child process, started as a user starts it and ended as nobody should.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use serde_json::Value;

/// A start that takes longer has failed.
const MAX_START: Duration = Duration::from_secs(30);

/// How a start went wrong.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be run at all.
    #[error("cannot run {}; build it with: cargo build --release -p causeway", .program.display())]
    Run {
        /// The program's file.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended or fell silent before it served.
    #[error("it did not come up ({how}); it said:\n{said}")]
    NotReady {
        /// Ended or silent.
        how: &'static str,
        /// Its standard error.
        said: String,
    },
    /// It says that it serves, in words that this test does not know.
    #[error("not the line that says it serves: {line}")]
    Line {
        /// What it printed.
        line: String,
    },
}

/// A running `causeway dev`. Dropped, it is killed.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Its first line on standard output, when it comes.
    lines: mpsc::Receiver<String>,
    errors: PathBuf,
    started: Instant,
}

/// What it says when it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where: `http://127.0.0.1:PORT`.
    pub url: String,
    /// The accounts for which it signs.
    pub accounts: Vec<Address>,
    /// How long it took to come up.
    pub after: Duration,
}

impl Program {
    /// Starts it on a data folder. Its standard error goes to the file `errors`.
    ///
    /// # Errors
    ///
    /// [`StartError::Run`].
    ///
    /// # Panics
    ///
    /// When `errors` cannot be created.
    pub fn start(program: &Path, data: &Path, errors: &Path) -> Result<Self, StartError> {
        let stderr = std::fs::File::create(errors).expect("the test's own folder is writable");
        let started = Instant::now();
        let mut child = Command::new(program)
            .arg("dev")
            .arg("--data")
            .arg(data)
            .args(["--port", "0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|source| StartError::Run {
                program: program.to_path_buf(),
                source,
            })?;
        let stdout = child.stdout.take().expect("was piped");
        let (sender, lines) = mpsc::sync_channel(1);
        // Ends with the pipe: when the program does, or nobody listens any more.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            lines,
            errors: errors.to_path_buf(),
            started,
        })
    }

    /// Waits until it serves.
    ///
    /// # Errors
    ///
    /// [`StartError::NotReady`], [`StartError::Line`].
    pub fn ready(&self) -> Result<Ready, StartError> {
        let line = self
            .lines
            .recv_timeout(MAX_START)
            .map_err(|error| StartError::NotReady {
                how: match error {
                    RecvTimeoutError::Timeout => "silent",
                    RecvTimeoutError::Disconnected => "ended",
                },
                said: self.said(),
            })?;
        self.understand(line)
    }

    /// Whether it serves before `span` is over; ending by itself counts as not.
    #[must_use]
    pub fn serves_within(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        match self.lines.recv_timeout(span) {
            Ok(_) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                // The moment of the crash is the caller's all the same.
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    std::thread::park_timeout(left);
                }
                false
            }
        }
    }

    fn understand(&self, line: String) -> Result<Ready, StartError> {
        let after = self.started.elapsed();
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let accounts = told["accounts"].as_array().into_iter().flatten();
        let accounts = accounts
            .map(|account| {
                account["address"]
                    .as_str()
                    .and_then(|text| text.parse().ok())
            })
            .collect::<Option<Vec<Address>>>();
        match (told["event"].as_str(), told["rpc"].as_str(), accounts) {
            (Some("ready"), Some(url), Some(accounts)) if !accounts.is_empty() => Ok(Ready {
                url: url.to_owned(),
                accounts,
                after,
            }),
            _ => Err(StartError::Line { line }),
        }
    }

    /// What it wrote to standard error.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// `kill -9`, and waits until the system has closed all its files.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Fails only where it has ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}
