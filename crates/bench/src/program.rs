//! What is measured: the program and its peers as processes, started as a user starts them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::client::{Client, ClientError};
use crate::{Failed, machine};

/// A start that takes longer has failed.
pub(crate) const MAX_START: Duration = Duration::from_secs(30);

/// An end that takes longer is made shorter.
const MAX_END: Duration = Duration::from_secs(10);

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) repository: PathBuf,
    /// The program in its release profile.
    pub(crate) causeway: PathBuf,
    /// The commit that it says to be of.
    pub(crate) commit: String,
    pub(crate) anvil: PathBuf,
    /// With its version.
    pub(crate) anvil_name: String,
}

impl Programs {
    /// The program is named by `CAUSEWAY_BIN`; anvil is where npm puts it for the black-box tests.
    pub(crate) fn find() -> Result<Self, Failed> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let repository = fs::canonicalize(&repository).map_err(|source| Failed::File {
            path: repository,
            source,
        })?;
        let causeway = std::env::var_os("CAUSEWAY_BIN").map(PathBuf::from);
        let Some(causeway) = causeway.filter(|path| path.exists()) else {
            let what = "the program that CAUSEWAY_BIN names".into();
            return Err(Failed::Missing {
                what,
                hint: "cargo xtask bench builds it",
            });
        };
        let anvil =
            repository.join("tests/js/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
        if !anvil.exists() {
            let what = anvil.display().to_string();
            return Err(Failed::Missing {
                what,
                hint: "npm ci in tests/js installs it",
            });
        }
        // `causeway 0.1.0 (865d771e669d)`, `anvil Version: 1.7.1-…`.
        let version = |program: &Path| {
            machine::said(Command::new(program).arg("--version")).unwrap_or_default()
        };
        let ours = version(&causeway);
        let commit = ours
            .split_once('(')
            .map_or(ours.as_str(), |(_, commit)| commit.trim_end_matches(')'));
        let theirs = version(&anvil);
        let number = theirs
            .split_whitespace()
            .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        let number = number
            .and_then(|word| word.split('-').next())
            .unwrap_or("of unknown version");
        Ok(Self {
            commit: commit.to_owned(),
            anvil_name: format!("anvil {number}"),
            repository,
            causeway,
            anvil,
        })
    }

    /// Where chains are kept while they are measured: beside the program, on a disk.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir, Failed> {
        let beside = self.causeway.parent().unwrap_or(Path::new("."));
        tempfile::tempdir_in(beside).map_err(|source| Failed::File {
            path: beside.into(),
            source,
        })
    }

    /// `causeway dev` on a free port, with these arguments besides; it has answered `eth_chainId`.
    pub(crate) fn causeway(&self, arguments: &[&str]) -> Result<Running, Failed> {
        let dev = ["dev", "--port", "0", "--json"];
        let (running, _) = self.start(&[&dev[..], arguments].concat())?;
        Ok(running)
    }

    /// The program with these arguments, which says in one line of JSON that it serves, and that line; it has answered
    /// `eth_chainId`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<(Running, Value), Failed> {
        let started = Instant::now();
        let mut child = Command::new(&self.causeway)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Failed::Run {
                program: self.causeway.display().to_string(),
                source,
            })?;
        let stdout = child.stdout.take().expect("was piped");
        let mut running = Running::new(child, loopback(0));
        let (sender, line) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            // Nobody listens any more when the wait below has ended.
            drop(read.map(|_| sender.send(line)));
        });
        let silent = || Failed::Silent {
            program: "causeway".into(),
            seconds: MAX_START.as_secs(),
        };
        let line = line.recv_timeout(MAX_START).map_err(|_| silent())?;
        let ready: Value = serde_json::from_str(&line).map_err(ClientError::from)?;
        running.address = address(&ready["rpc"]).ok_or_else(silent)?;
        Client::connect(running.address)?.call("eth_chainId", &json!([]))?;
        running.after = started.elapsed();
        Ok((running, ready))
    }

    /// anvil on a free port, with these arguments besides; it has answered `eth_chainId`.
    pub(crate) fn anvil(&self, arguments: &[&str]) -> Result<Running, Failed> {
        let port = free_port()?;
        let started = Instant::now();
        let child = Command::new(&self.anvil)
            .args([
                "--host",
                "127.0.0.1",
                "--silent",
                "--port",
                &port.to_string(),
            ])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Failed::Run {
                program: self.anvil.display().to_string(),
                source,
            })?;
        let mut running = Running::new(child, loopback(port));
        // It says nothing by which to see that it listens: ask until it answers.
        while started.elapsed() < MAX_START {
            let answer = Client::connect(running.address)
                .and_then(|mut client| client.call("eth_chainId", &json!([])));
            if answer.is_ok() {
                running.after = started.elapsed();
                return Ok(running);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Failed::Silent {
            program: "anvil".into(),
            seconds: MAX_START.as_secs(),
        })
    }
}

/// Where a URL of the ready line points.
pub(crate) fn address(url: &Value) -> Option<SocketAddr> {
    let url = url.as_str()?.strip_prefix("http://")?;
    url.trim_end_matches('/').parse().ok()
}

pub(crate) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Failed> {
    let listener = TcpListener::bind(loopback(0)).map_err(ClientError::from)?;
    Ok(listener.local_addr().map_err(ClientError::from)?.port())
}

/// A process that answers. Dropped, it is asked to end, so that it tidies up, and made to when it does not.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) after: Duration,
}

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// Ready to run, and without a core.
    pub(crate) starved: Duration,
    /// Voluntary and forced.
    pub(crate) switches: u64,
}

impl Running {
    pub(crate) const fn new(child: Child, address: SocketAddr) -> Self {
        let after = Duration::ZERO;
        Self {
            child,
            address,
            after,
        }
    }

    /// Ends it as a loss of its process does.
    pub(crate) fn kill(&mut self) -> Result<(), Failed> {
        self.child.kill().map_err(ClientError::from)?;
        self.child.wait().map_err(ClientError::from)?;
        Ok(())
    }

    /// Proportional set size in bytes: private memory, and its share of what it shares.
    pub(crate) fn pss(&self) -> Result<f64, Failed> {
        let text = self.proc("smaps_rollup")?;
        let kib = number_after(&text, "Pss:");
        Ok(kib * 1024.0)
    }

    /// Processor time of all threads, those that have ended included; what else is counted, of those that are alive.
    pub(crate) fn used(&self) -> Result<Used, Failed> {
        let path = self.path("task");
        let tasks = fs::read_dir(&path).map_err(|source| Failed::File {
            path: path.clone(),
            source,
        })?;
        let mut used = Used {
            cpu: self.cpu()?,
            ..Used::default()
        };
        for task in tasks.filter_map(Result::ok) {
            // A thread may end between the list and the look.
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let times = read("schedstat");
            let mut times = times.split_whitespace().map(|ns| ns.parse().unwrap_or(0));
            used.starved += Duration::from_nanos(times.nth(1).unwrap_or(0));
            let status = read("status");
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count"
                )]
                let count = number_after(&status, name) as u64;
                used.switches += count;
            }
        }
        Ok(used)
    }

    /// The process's own clock, to the nanosecond.
    fn cpu(&self) -> Result<Duration, Failed> {
        let pid = i32::try_from(self.child.id()).expect("a process's number fits");
        let pid = nix::unistd::Pid::from_raw(pid);
        let clock = nix::time::clock_getcpuclockid(pid);
        let time = clock.and_then(nix::time::clock_gettime);
        time.map(Duration::from)
            .map_err(|error| ClientError::from(std::io::Error::from(error)).into())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(name)
    }

    fn proc(&self, name: &str) -> Result<String, Failed> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|source| Failed::File { path, source })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Failing means that it has ended already.
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < MAX_END {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time of this process, all threads, those that have ended included.
pub(crate) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a clock that only goes on from zero")
}

/// The number after the name at a line's beginning; zero when there is none.
fn number_after(text: &str, name: &str) -> f64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0.0)
}
