//! `CometBFT` with its built-in key-value store: four validators, a process each. It agrees on bytes and executes nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, ClientError};
use crate::offer::{self, BATCH, CONNECTIONS, Load, Pace};
use crate::program::{MAX_START, Programs, Running, free_port, loopback};
use crate::steady::Worker;
use crate::{Failed, machine};

/// Validators.
const COUNT: usize = 4;
/// Bytes of a transaction: those of a signed ERC-20 transfer.
const SIZE: usize = 178;
/// Most that `blockchain` tells at once.
const METAS: u64 = 20;

/// How it is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settings {
    /// As `testnet` writes it, with room for the load in its pool.
    Default,
    /// What is fastest: no wait for late votes, none before gossip or flushing.
    Fastest,
}

impl Settings {
    /// Lines of its configuration that are replaced.
    const fn lines(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default => &[
                ("size", "100000"),
                ("cache_size", "200000"),
                ("max_request_batch_size", "1000"),
            ],
            Self::Fastest => &[
                ("size", "100000"),
                ("cache_size", "200000"),
                ("max_request_batch_size", "1000"),
                ("timeout_commit", "\"0s\""),
                ("skip_timeout_commit", "true"),
                ("create_empty_blocks", "false"),
                ("peer_gossip_sleep_duration", "\"2ms\""),
                ("flush_throttle_timeout", "\"2ms\""),
            ],
        }
    }

    pub(crate) fn says(self) -> String {
        self.lines()
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The program.
#[derive(Debug)]
pub(crate) struct CometBft {
    path: PathBuf,
    /// With its version.
    pub(crate) name: String,
}

/// Its validators.
#[derive(Debug)]
pub(crate) struct Validators {
    pub(crate) processes: Vec<Running>,
    _data: TempDir,
}

impl CometBft {
    /// Named by `COMETBFT_BIN`, or where `go install` puts it.
    pub(crate) fn find() -> Result<Self, Failed> {
        let named = std::env::var_os("COMETBFT_BIN").map(PathBuf::from);
        let installed = || {
            let go = machine::said(Command::new("go").args(["env", "GOPATH"]))?;
            Some(Path::new(&go).join("bin/cometbft"))
        };
        let path = named.or_else(installed).filter(|path| path.exists());
        let Some(path) = path else {
            return Err(Failed::Missing {
                what: "cometbft".into(),
                hint: "go install github.com/cometbft/cometbft/cmd/cometbft@v0.38.25",
            });
        };
        let version = machine::said(Command::new(&path).arg("version"))
            .unwrap_or_else(|| "of unknown version".into());
        // `0.38.25+…`.
        let number = version.split('+').next().unwrap_or_default();
        Ok(Self {
            name: format!("CometBFT {number} kvstore ×{COUNT}"),
            path,
        })
    }

    /// Four validators without any block but what they make at their start.
    pub(crate) fn start(
        &self,
        programs: &Programs,
        settings: Settings,
    ) -> Result<Validators, Failed> {
        let data = programs.scratch()?;
        let mut testnet = Command::new(&self.path);
        testnet
            .args([
                "testnet",
                "--v",
                &COUNT.to_string(),
                "--populate-persistent-peers=false",
                "--o",
            ])
            .arg(data.path());
        if machine::said(&mut testnet).is_none() {
            return Err(Failed::Missing {
                what: "a network of cometbft testnet".into(),
                hint: "run it by hand",
            });
        }
        let homes: Vec<_> = (0..COUNT)
            .map(|number| data.path().join(format!("node{number}")))
            .collect();
        let mut peers = Vec::new();
        for home in &homes {
            configure(&home.join("config/config.toml"), settings)?;
            let id = Command::new(&self.path)
                .args(["show-node-id", "--home"])
                .arg(home)
                .output();
            let id = id.map_err(ClientError::from)?.stdout;
            let id = String::from_utf8_lossy(&id).trim().to_owned();
            peers.push((id, loopback(free_port()?)));
        }
        let mut processes = Vec::new();
        for (number, home) in homes.iter().enumerate() {
            processes.push(self.validator(home, number, &peers)?);
        }
        let validators = Validators {
            processes,
            _data: data,
        };
        validators.wait()?;
        Ok(validators)
    }

    fn validator(
        &self,
        home: &Path,
        number: usize,
        peers: &[(String, SocketAddr)],
    ) -> Result<Running, Failed> {
        let rpc = loopback(free_port()?);
        let others: Vec<_> = peers
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number)
            .map(|(_, (id, address))| format!("{id}@{address}"))
            .collect();
        let child = Command::new(&self.path)
            .args([
                "start",
                "--proxy_app",
                "kvstore",
                "--log_level",
                "none",
                "--home",
            ])
            .arg(home)
            .args(["--p2p.laddr", &format!("tcp://{}", peers[number].1)])
            .args(["--rpc.laddr", &format!("tcp://{rpc}")])
            .args(["--p2p.persistent_peers", &others.join(",")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Failed::Run {
                program: self.path.display().to_string(),
                source,
            })?;
        Ok(Running::new(child, rpc))
    }
}

/// Replaces lines of a configuration, and adds those that are not in it to the section of consensus.
fn configure(path: &Path, settings: Settings) -> Result<(), Failed> {
    let failed = |source| Failed::File {
        path: path.into(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let mut missing: Vec<_> = settings.lines().to_vec();
    let mut lines = Vec::new();
    for line in text.lines() {
        let name = line.split(" = ").next().unwrap_or_default();
        match settings
            .lines()
            .iter()
            .find(|(setting, _)| *setting == name)
        {
            Some((name, value)) => {
                missing.retain(|(other, _)| other != name);
                lines.push(format!("{name} = {value}"));
            }
            None => lines.push(line.to_owned()),
        }
    }
    if let Some(at) = lines.iter().position(|line| line == "[consensus]") {
        for (name, value) in missing {
            lines.insert(at + 1, format!("{name} = {value}"));
        }
    }
    std::fs::write(path, lines.join("\n") + "\n").map_err(failed)
}

impl Validators {
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.processes
            .iter()
            .map(|process| process.address)
            .collect()
    }

    /// Until all made a first block together.
    fn wait(&self) -> Result<(), Failed> {
        let start = Instant::now();
        for process in &self.processes {
            loop {
                let height =
                    Client::connect(process.address).and_then(|mut client| height(&mut client));
                if height.is_ok_and(|height| height > 0) {
                    break;
                }
                if start.elapsed() > MAX_START {
                    return Err(Failed::Silent {
                        program: "cometbft".into(),
                        seconds: MAX_START.as_secs(),
                    });
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Connections that send by `broadcast_tx_commit`, which answers when the transaction is in a block.
    pub(crate) fn workers(&self, count: usize) -> Vec<Worker<'static>> {
        (0..count)
            .zip(self.addresses().into_iter().cycle())
            .map(|(worker, server)| {
                let mut number = 0_u64;
                let request = move || {
                    number += 1;
                    request("broadcast_tx_commit", 1, &format!("w{worker}n{number}x"))
                };
                Worker::new(server, request, |answer| {
                    let result = &answer["result"];
                    result["tx_result"]["code"] == 0
                        && result["check_tx"]["code"] == 0
                        && result["height"]
                            .as_str()
                            .is_some_and(|height| height != "0")
                })
            })
            .collect()
    }

    /// A closed loop of batches by `broadcast_tx_sync`; what is in a block at every validator counts.
    pub(crate) fn offer(&self) -> Result<Load, Failed> {
        let connections = (0..CONNECTIONS)
            .zip(self.processes.iter().cycle())
            .map(|(connection, process)| {
                let address = process.address;
                move |pace: &Pace| send(address, connection, pace)
            })
            .collect();
        let mut counts = self
            .processes
            .iter()
            .map(|process| Count::new(process.address))
            .collect::<Result<Vec<_>, _>>()?;
        offer::drive(&self.processes, connections, || {
            let counts = counts.iter_mut().map(Count::look);
            let counts: Vec<_> = counts.collect::<Result<_, _>>()?;
            Ok(counts.into_iter().min().unwrap_or(0))
        })
    }
}

/// A request with a transaction of its own key.
fn request(method: &str, id: usize, key: &str) -> String {
    let transaction = format!("{key:0<width$}=1", width = SIZE - 2);
    let encoded = base64(transaction.as_bytes());
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"tx":"{encoded}"}}}}"#)
}

/// One connection: batches until the time is over; what there was no room for is sent again.
fn send(address: SocketAddr, connection: usize, pace: &Pace) -> Result<(), Failed> {
    let mut client = Client::connect(address)?;
    let mut number = 0_usize;
    let mut batch: Vec<usize> = Vec::new();
    while pace.goes_on() {
        while batch.len() < BATCH {
            batch.push(number);
            number += 1;
        }
        let requests: Vec<_> = batch
            .iter()
            .map(|number| {
                request(
                    "broadcast_tx_sync",
                    *number,
                    &format!("c{connection}n{number}x"),
                )
            })
            .collect();
        let answer = client.post(format!("[{}]", requests.join(",")).as_bytes())?;
        let answers: Vec<Value> = serde_json::from_slice(&answer).map_err(ClientError::from)?;
        let mut refused = Vec::new();
        for answer in &answers {
            if answer["result"]["code"] == 0 {
                continue;
            }
            let text = answer["error"].to_string();
            let number = answer["id"]
                .as_u64()
                .and_then(|id| usize::try_from(id).ok());
            match number {
                Some(number) if text.contains("full") => refused.push(number),
                _ => {
                    return Err(Failed::Refused {
                        refused: 1,
                        first: answer.to_string(),
                    });
                }
            }
        }
        pace.answered(batch.len(), batch.len() - refused.len());
        batch = refused;
    }
    Ok(())
}

/// Transactions in the blocks of one validator.
#[derive(Debug)]
struct Count {
    client: Client,
    /// Up to which height they were counted.
    height: u64,
    transactions: u64,
}

impl Count {
    /// Counts from now on.
    fn new(address: SocketAddr) -> Result<Self, ClientError> {
        let mut client = Client::connect(address)?;
        let height = height(&mut client)?;
        Ok(Self {
            client,
            height,
            transactions: 0,
        })
    }

    fn look(&mut self) -> Result<u64, ClientError> {
        let latest = height(&mut self.client)?;
        while self.height < latest {
            let last = latest.min(self.height + METAS);
            let range = json!({ "minHeight": (self.height + 1).to_string(), "maxHeight": last.to_string() });
            let answer = self.client.call("blockchain", &range)?;
            let metas = answer["block_metas"].as_array().into_iter().flatten();
            self.transactions += metas
                .filter_map(|meta| meta["num_txs"].as_str()?.parse::<u64>().ok())
                .sum::<u64>();
            self.height = last;
        }
        Ok(self.transactions)
    }
}

/// The newest height of which the validator knows the results.
pub(crate) fn height(client: &mut Client) -> Result<u64, ClientError> {
    let status = client.call("status", &json!({}))?;
    let height = status["sync_info"]["latest_block_height"].as_str();
    Ok(height.and_then(|height| height.parse().ok()).unwrap_or(0))
}

/// RFC 4648, of a length that is a multiple of three or not.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (u32::from(chunk[0]) << 16)
            | (u32::from(*chunk.get(1).unwrap_or(&0)) << 8)
            | u32::from(*chunk.get(2).unwrap_or(&0));
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("go", "Z28="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
