//! Networks of cities, a process each, as `causeway city` and `causeway network` make them; and several cities in one
//! process.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::ClientError;
use crate::program::{Programs, Running, address, free_port, loopback};
use crate::{Failed, machine};

/// Keys, ports and genesis of a network, of which each start makes a fresh one: same genesis, no blocks.
#[derive(Debug)]
pub(crate) struct Network<'a> {
    programs: &'a Programs,
    folder: TempDir,
    count: usize,
    pub(crate) chain_id: u64,
}

/// Cities that run.
#[derive(Debug)]
pub(crate) struct Cities {
    /// One for each city, or one for all of them.
    pub(crate) processes: Vec<Running>,
    /// Where each city answers.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Outlives the processes, which are dropped before it.
    _data: TempDir,
}

impl<'a> Network<'a> {
    /// Makes the keys of `count` cities and founds their network; starts nothing.
    pub(crate) fn found(programs: &'a Programs, count: usize) -> Result<Self, Failed> {
        let folder = programs.scratch()?;
        let mut cards = Vec::new();
        for city in 0..count {
            let data = folder.path().join(format!("city-{city}"));
            let listen = UdpSocket::bind(loopback(0))
                .and_then(|socket| socket.local_addr())
                .map_err(ClientError::from)?;
            let rpc = loopback(free_port()?);
            let mut init = Command::new(&programs.causeway);
            init.args(["city", "init", "--place", "CN SHA", "--json", "--data"])
                .arg(&data)
                .args(["--member", &format!("Member {city}")])
                .args(["--listen", &listen.to_string(), "--rpc", &rpc.to_string()]);
            succeed(&mut init)?;
            cards.push(data.join("card.json"));
        }
        let mut create = Command::new(&programs.causeway);
        create
            .args(["network", "create", "--json", "--name", "bench", "--out"])
            .arg(folder.path().join("genesis.json"))
            .arg("--cards")
            .args(cards);
        let made: Value =
            serde_json::from_str(&succeed(&mut create)?).map_err(ClientError::from)?;
        let chain_id = made["chain_id"].as_u64().ok_or_else(|| Failed::Missing {
            what: "the chain id of a new network".into(),
            hint: "another version of the program",
        })?;
        Ok(Self {
            programs,
            folder,
            count,
            chain_id,
        })
    }

    /// Starts all cities, each without any block.
    pub(crate) fn start(&self) -> Result<Cities, Failed> {
        let data = self.programs.scratch()?;
        let folders: Vec<PathBuf> = (0..self.count)
            .map(|city| data.path().join(format!("city-{city}")))
            .collect();
        succeed(
            Command::new("cp")
                .arg("--archive")
                .arg(format!("{}/.", self.folder.path().display()))
                .arg(data.path()),
        )?;
        let genesis = data.path().join("genesis.json").display().to_string();
        let genesis = &genesis;
        let processes = std::thread::scope(|scope| {
            let starting: Vec<_> = folders
                .iter()
                .map(|folder| {
                    scope.spawn(move || {
                        let folder = folder.display().to_string();
                        let run = [
                            "city",
                            "run",
                            "--json",
                            "--data",
                            &folder,
                            "--genesis",
                            genesis,
                        ];
                        self.programs.start(&run).map(|(running, _)| running)
                    })
                })
                .collect();
            starting
                .into_iter()
                .map(|thread| thread.join().expect("starting does not panic"))
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Cities {
            addresses: processes.iter().map(|process| process.address).collect(),
            processes,
            _data: data,
        })
    }
}

impl Cities {
    /// `causeway dev` with `count` cities in one process, on a disk.
    pub(crate) fn in_one_process(programs: &Programs, count: usize) -> Result<Self, Failed> {
        let data = programs.scratch()?;
        let folder = data.path().join("chain").display().to_string();
        let count = count.to_string();
        let dev = [
            "dev", "--port", "0", "--json", "--data", &folder, "--cities", &count,
        ];
        let (process, ready) = programs.start(&dev)?;
        let mut addresses: Vec<SocketAddr> = ready["cities"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|city| address(&city["rpc"]))
            .collect();
        if addresses.is_empty() {
            addresses.push(process.address);
        }
        Ok(Self {
            processes: vec![process],
            addresses,
            _data: data,
        })
    }
}

/// What a command says; it has to succeed.
fn succeed(command: &mut Command) -> Result<String, Failed> {
    machine::said(command).ok_or_else(|| Failed::Missing {
        what: format!("{command:?}, as a success,"),
        hint: "run it by hand",
    })
}
