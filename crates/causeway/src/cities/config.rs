//! A city's configuration: `city.toml` in its data folder, read at the start and again on SIGHUP.
//!
//! Every error is reported at once, each with its key's path. [`changes`] says what of a new configuration holds at once
//! and what needs a restart.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use alloy_primitives::Address;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::files::{self, FileError};
use super::names::Endpoint;
use super::password::PasswordSource;
use crate::telemetry::Directives;

/// Most bytes of the file.
const MAX_FILE: u64 = 64 << 10;

/// The configuration of a city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CityConfig {
    /// `listen`: the address where other cities connect, over QUIC (UDP).
    pub(crate) listen: SocketAddr,
    /// `log`: what to log, as `tracing` directives; what the command line says when it is left out.
    pub(crate) log: Option<Directives>,
    /// `key.password_file` or `key.command`: where the password of an encrypted node key comes from; what the command
    /// line says goes before.
    pub(crate) password: Option<PasswordSource>,
    /// `[rpc]`: JSON-RPC; none is served without it.
    pub(crate) rpc: Option<RpcConfig>,
    /// `metrics.listen`: the address where metrics for Prometheus are served, under `/metrics`.
    pub(crate) metrics: Option<SocketAddr>,
    /// `strict_capacity`: whether applications take no more than was sold to them even while the city has time and room to spare.
    pub(crate) strict_capacity: bool,
    /// `[endpoints]`: where to reach cities that moved since their card was signed, by the address on the card.
    pub(crate) endpoints: BTreeMap<Address, Endpoint>,
}

/// How JSON-RPC is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcConfig {
    /// `rpc.listen`: the address of HTTP and WebSocket.
    pub(crate) listen: SocketAddr,
    /// `rpc.cors`: origins whose pages may ask.
    pub(crate) cors: Vec<String>,
    /// `rpc.hosts`: further `Host` names that are served, besides loopback's.
    pub(crate) hosts: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not UTF-8.
    #[error("{} is not a text", .path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// Not TOML.
    #[error("{}, line {line}: {}", .path.display(), .source.message())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// Values that make no sense, all of them, a line each.
    #[error("{}", lines(.path, .faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// At least one.
        faults: Vec<Fault>,
    },
}

/// One thing that is wrong with a configuration.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The key's path, such as `rpc.listen`.
    key: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Missing,
    Unknown,
    /// Two keys say the same.
    Twice {
        other: &'static str,
    },
    /// A value of another type.
    Type(toml::de::Error),
    /// A value that cannot be.
    Value(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        match &self.what {
            What::Missing => f.write_str("it is missing"),
            What::Unknown => f.write_str("no such key"),
            What::Twice { other } => write!(f, "{other} is given as well: one of them is enough"),
            What::Type(error) => f.write_str(error.message().trim_end()),
            What::Value(error) => error.fmt(f),
        }
    }
}

fn lines(path: &Path, faults: &[Fault]) -> String {
    let lines = faults
        .iter()
        .map(|fault| format!("{}: {fault}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

impl CityConfig {
    /// Reads the configuration at `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = files::read(path, MAX_FILE)?;
        let text = String::from_utf8(bytes).map_err(|_bytes| ConfigError::NoText {
            path: path.to_path_buf(),
        })?;
        let table: Table = text.parse().map_err(|source: toml::de::Error| {
            let before = source.span().and_then(|span| text.get(..span.start));
            ConfigError::Syntax {
                path: path.to_path_buf(),
                line: before.map_or(1, |before| before.matches('\n').count() + 1),
                source: Box::new(source),
            }
        })?;
        Self::from_table(table).map_err(|faults| ConfigError::Faults {
            path: path.to_path_buf(),
            faults,
        })
    }

    fn from_table(table: Table) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut top = Section::new(String::new(), table, &mut faults);
        let listen = top.required("listen");
        let log = top.parsed("log");
        let strict_capacity = top.value("strict_capacity").unwrap_or_default();
        let key = top.table("key");
        let rpc = top.table("rpc");
        let metrics = top.table("metrics");
        let endpoints = top.table("endpoints").unwrap_or_default();
        top.end();
        let password = key.and_then(|key| password(key, &mut faults));
        let rpc = rpc.map(|table| {
            let mut rpc = Section::new("rpc.".to_owned(), table, &mut faults);
            let listen = rpc.required("listen");
            let cors = rpc.value("cors").unwrap_or_default();
            let hosts = rpc.value("hosts").unwrap_or_default();
            rpc.end();
            listen.map(|listen| RpcConfig {
                listen,
                cors,
                hosts,
            })
        });
        let metrics = metrics.map(|table| {
            let mut metrics = Section::new("metrics.".to_owned(), table, &mut faults);
            let listen = metrics.required("listen");
            metrics.end();
            listen
        });
        let endpoints = moved(endpoints, &mut faults);
        match (listen, faults.is_empty()) {
            (Some(listen), true) => Ok(Self {
                listen,
                log,
                password,
                rpc: rpc.flatten(),
                metrics: metrics.flatten(),
                strict_capacity,
                endpoints,
            }),
            _ => Err(faults),
        }
    }

    /// The text of a new configuration, with what may be added in comments.
    pub(crate) fn to_text(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut text = format!(
            "# Configuration of a city, read at the start and on SIGHUP; on SIGHUP the city says what needs a restart.\n\n\
             # Where other cities connect, over QUIC (UDP).\nlisten = {}\n\n\
             # What to log, as `tracing` directives; holds at once on SIGHUP.\n# log = \"info\"\n\n\
             # Whether applications take no more than was sold to them even while the city has time and room to spare.\n\
             {}strict_capacity = true\n",
            quoted(&self.listen.to_string()),
            if self.strict_capacity { "" } else { "# " }
        );
        text.push_str("\n# Where the password of node.key.json comes from: the first line of a file, or of what a shell command prints.\n");
        match &self.password {
            Some(PasswordSource::File(path)) => {
                text.push_str(&format!(
                    "[key]\npassword_file = {}\n",
                    quoted(&path.to_string_lossy())
                ));
            }
            Some(PasswordSource::Command(command)) => {
                text.push_str(&format!("[key]\ncommand = {}\n", quoted(command)));
            }
            None => text
                .push_str("# [key]\n# password_file = \"/run/secrets/node\"\n# command = \"…\"\n"),
        }
        text.push_str("\n# JSON-RPC over HTTP and WebSocket: origins whose pages may ask, and Host names to serve besides loopback's.\n");
        match &self.rpc {
            Some(rpc) => text.push_str(&format!(
                "[rpc]\nlisten = {}\ncors = []\nhosts = []\n",
                quoted(&rpc.listen.to_string())
            )),
            None => {
                text.push_str(
                    "# [rpc]\n# listen = \"127.0.0.1:8545\"\n# cors = []\n# hosts = []\n",
                );
            }
        }
        text.push_str(
            "\n# Metrics for Prometheus, under /metrics.\n# [metrics]\n# listen = \"127.0.0.1:9464\"\n\n\
             # Where to reach cities that moved since their card was signed, by the address on the card.\n\
             # [endpoints]\n# \"0x…\" = \"city.example:7000\"\n",
        );
        text
    }
}

fn password(table: Table, faults: &mut Vec<Fault>) -> Option<PasswordSource> {
    let mut key = Section::new("key.".to_owned(), table, faults);
    let file: Option<PathBuf> = key.value("password_file");
    let command: Option<String> = key.value("command");
    if file.is_some() && command.is_some() {
        key.fault(
            "command",
            What::Twice {
                other: "key.password_file",
            },
        );
    }
    key.end();
    file.map(PasswordSource::File)
        .or_else(|| command.map(PasswordSource::Command))
}

fn moved(table: Table, faults: &mut Vec<Fault>) -> BTreeMap<Address, Endpoint> {
    let keys: Vec<String> = table.keys().cloned().collect();
    let mut section = Section::new("endpoints.".to_owned(), table, faults);
    let mut moved = BTreeMap::new();
    for key in keys {
        let endpoint = section.parsed(&key);
        match key.parse::<Address>() {
            Ok(address) => moved.extend(endpoint.map(|endpoint| (address, endpoint))),
            Err(error) => section.fault(&key, What::Value(Box::new(error))),
        }
    }
    moved
}

/// One table that is being read; whatever nobody asks for is a fault.
struct Section<'a> {
    prefix: String,
    table: Table,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Section<'a> {
    fn new(prefix: String, table: Table, faults: &'a mut Vec<Fault>) -> Self {
        Self {
            prefix,
            table,
            faults,
        }
    }

    fn fault(&mut self, key: &str, what: What) {
        self.faults.push(Fault {
            key: format!("{}{key}", self.prefix),
            what,
        });
    }

    fn value<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        match self.table.remove(key)?.try_into() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, What::Type(error));
                None
            }
        }
    }

    fn parsed<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        match self.value::<String>(key)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, What::Value(Box::new(error)));
                None
            }
        }
    }

    fn required<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        if !self.table.contains_key(key) {
            self.fault(key, What::Missing);
        }
        self.parsed(key)
    }

    fn table(&mut self, key: &str) -> Option<Table> {
        self.value(key)
    }

    fn end(mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.fault(key, What::Unknown);
        }
    }
}

/// What a new configuration changes, by keys' paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Holds from now on.
    pub(crate) applied: Vec<&'static str>,
    /// Holds after a restart only.
    pub(crate) needs_restart: Vec<&'static str>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.applied.as_slice(), self.needs_restart.as_slice()) {
            ([], []) => f.write_str("nothing changed"),
            (applied, []) => write!(f, "changed: {}", applied.join(", ")),
            ([], restart) => write!(f, "needs a restart: {}", restart.join(", ")),
            (applied, restart) => write!(
                f,
                "changed: {}; needs a restart: {}",
                applied.join(", "),
                restart.join(", ")
            ),
        }
    }
}

/// What differs between the configuration that a city runs with and a new one: what can hold at once, and what cannot.
pub(crate) fn changes(old: &CityConfig, new: &CityConfig) -> Changes {
    // Every field by name: a new one does not compile until it is judged here.
    let CityConfig {
        listen,
        log,
        password,
        rpc,
        metrics,
        strict_capacity,
        endpoints,
    } = old;
    let needs_restart = [
        ("listen", *listen != new.listen),
        ("key", *password != new.password),
        ("rpc", *rpc != new.rpc),
        ("metrics", *metrics != new.metrics),
        ("strict_capacity", *strict_capacity != new.strict_capacity),
        ("endpoints", *endpoints != new.endpoints),
    ];
    let named = |(name, differs): (&'static str, bool)| differs.then_some(name);
    Changes {
        applied: named(("log", *log != new.log)).into_iter().collect(),
        needs_restart: needs_restart.into_iter().filter_map(named).collect(),
    }
}

/// Reads the configuration again for a running city, puts into force what can be, and says what changed. The city goes on
/// with `running` where that is refused.
///
/// # Errors
///
/// [`ConfigError`]; nothing changed.
pub(crate) fn reload(path: &Path, running: &mut CityConfig) -> Result<Changes, ConfigError> {
    let new = CityConfig::read(path)?;
    let changes = changes(running, &new);
    if running.log != new.log {
        crate::telemetry::change(new.log.as_ref());
        // Only what holds: the rest is compared again next time.
        running.log = new.log;
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
