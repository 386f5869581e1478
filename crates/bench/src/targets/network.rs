//! P4 and P5: applications placed on a network's hub: how long until one runs, how many in a minute, and what an idle one
//! costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256, hex, keccak256};
use alloy_sol_types::SolCall as _;
use hub::abi::{APPLICATIONS, IApplications, Specification};
use serde_json::{Value, json};

use crate::client::{Client, ClientError};
use crate::program::Programs;
use crate::report::{Measured, Report};
use crate::rounds::Rounds;
use crate::{Failed, rounds};

/// Applications that are placed one after the other in a round.
const ALONE: u64 = 20;
/// Applications that are placed at once.
const TOGETHER: u64 = 1_000;
/// Idle chains.
const IDLE: u64 = 2_000;
/// Chains whose first transaction is timed.
const WOKEN: u64 = 200;
/// Processes of the peer.
const ANVILS: usize = 100;
/// How long idle chains are watched.
const WATCHED: Duration = Duration::from_secs(20);
/// What has been begun is over by then.
const SETTLED: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a placement uses.
const GAS: u64 = 4_000_000;
const ROUNDS: usize = 5;

/// A development network under measurement.
pub(super) struct Network {
    address: SocketAddr,
    pub(super) client: Client,
    pub(super) accounts: Vec<Address>,
    /// Names given out.
    named: u64,
}

impl Network {
    pub(super) fn of(ready: &Value, address: SocketAddr) -> Result<Self, Failed> {
        let accounts = ready["accounts"].as_array().into_iter().flatten();
        Ok(Self {
            address,
            client: Client::connect(address)?,
            accounts: accounts
                .filter_map(|account| account["address"].as_str()?.parse().ok())
                .collect(),
            named: 0,
        })
    }

    /// Sends one placement by a member; gives its hash.
    pub(super) fn place(&mut self, member: usize, cities: &[u32]) -> Result<Value, Failed> {
        self.named += 1;
        let specification = Specification {
            name: format!("application-{}", self.named),
            cities: cities.to_vec(),
            owner: self.accounts[member],
            gasLimit: 0,
            gasPerSecond: 1_000_000,
            bytesStored: 1 << 20,
            blocksPerSecond: 1,
            feeRule: 0,
            admission: 0,
            readers: 0,
            minimumIntervalMs: 0,
            allowConcentration: true,
        };
        let data = IApplications::createCall { specification }.abi_encode();
        let request = json!([{
            "from": self.accounts[member],
            "to": APPLICATIONS,
            "gas": format!("{GAS:#x}"),
            "data": hex::encode_prefixed(data),
        }]);
        Ok(self.client.call("eth_sendTransaction", &request)?)
    }

    /// The chain that a placement made, once it is final.
    pub(super) fn placed(&mut self, hash: &Value) -> Result<u64, Failed> {
        let created = keccak256("Created(uint64,uint64,address,string)");
        let receipt = receipt(&mut self.client, hash)?;
        let refused = || Failed::Refused {
            refused: 1,
            first: receipt.to_string(),
        };
        let logs = receipt["logs"].as_array().into_iter().flatten();
        let mut logs = logs.filter(|log| log["topics"][0] == json!(created));
        let data = logs.next().and_then(|log| log["data"].as_str());
        let data = data
            .and_then(|data| hex::decode(data).ok())
            .ok_or_else(refused)?;
        let word = data.get(..32).ok_or_else(refused)?;
        u64::try_from(U256::from_be_slice(word)).map_err(|_too_large| refused())
    }

    /// Sends nothing to nobody on a chain, as soon as it is there; gives when its receipt was.
    fn first_transaction(&self, chain: u64) -> Result<Instant, Failed> {
        let mut client = Client::at(self.address, &format!("/chain/{chain}"))?;
        let (from, started) = (self.accounts[9], Instant::now());
        let request = json!([{ "from": from, "to": from, "gas": "0x5208" }]);
        let hash = loop {
            match client.call("eth_sendTransaction", &request) {
                // The city has not seen the hub's block yet.
                Err(ClientError::Malformed { .. }) if started.elapsed() < PATIENCE => {
                    client = Client::at(self.address, &format!("/chain/{chain}"))?;
                    std::thread::sleep(LOOK);
                }
                other => break other?,
            }
        };
        receipt(&mut client, &hash)?;
        Ok(Instant::now())
    }
}

pub(super) fn receipt(client: &mut Client, hash: &Value) -> Result<Value, Failed> {
    let started = Instant::now();
    loop {
        let receipt = client.call("eth_getTransactionReceipt", &json!([hash]))?;
        if !receipt.is_null() {
            return Ok(receipt);
        }
        if started.elapsed() > PATIENCE {
            return Err(Failed::Unconfirmed {
                confirmed: 0,
                accepted: 1,
            });
        }
        std::thread::sleep(LOOK);
    }
}

/// P5.
pub(crate) fn creation(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let [mut alone, mut anvil, mut together] = [(); 3].map(|()| Rounds::default());
    let cities = [1, 2, 3, 4];
    for round in 0..rounds(ROUNDS) {
        let arguments = ["dev", "--hub", "--cities", "4", "--port", "0", "--json"];
        let (running, ready) = programs.start(&arguments)?;
        let mut network = Network::of(&ready, running.address)?;
        let mut took = Vec::new();
        for _ in 0..ALONE {
            let started = Instant::now();
            let hash = network.place(0, &cities)?;
            let chain = network.placed(&hash)?;
            let done = network.first_transaction(chain)?;
            took.push((done - started).as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        alone.push(took[took.len() / 2]);
        let started = Instant::now();
        let mut hashes = Vec::new();
        for index in 0..TOGETHER {
            let member = usize::try_from(index % 4).unwrap_or(0);
            hashes.push(network.place(member, &cities)?);
        }
        let mut last = started;
        for hash in &hashes {
            let chain = network.placed(hash)?;
            last = network.first_transaction(chain)?;
        }
        together.push((last - started).as_secs_f64());
        drop(running);
        anvil.push(programs.anvil(&[])?.after.as_secs_f64() * 1e3);
        eprintln!("P5 round {round}: {alone} ms, anvil {anvil} ms; {TOGETHER} in {together} s");
    }
    let measured = Measured {
        id: "P5",
        what: "a chain of four cities: sending the hub's transaction → the first final transaction on the new chain, p50 of a round",
        target: "≤ 250 ms",
        unit: "ms",
        ours: &alone,
        peer: Some((
            &format!("{}, a process started", programs.anvil_name),
            &anvil,
        )),
        commit: &programs.commit,
        not_done: format!(
            "four cities in one process, QUIC over loopback, data on a disk; {ALONE} one after the other, receipts asked for every {} ms at one city; the peer's has one node, in memory, and makes no transaction",
            LOOK.as_millis()
        ),
    };
    report.add(measured, |ours, _| ours <= 250.0);
    let measured = Measured {
        id: "P5-together",
        what: "1,000 chains of four cities: sending the first placement → the first final transaction on the last of them",
        target: "≤ 60 s",
        unit: "s",
        ours: &together,
        peer: None,
        commit: &programs.commit,
        not_done: "placements are sent one after the other by four members over one connection, then each chain's first transaction likewise; all four cities' work on these cores".into(),
    };
    report.add(measured, |ours, _| ours <= 60.0);
    Ok(())
}

/// P4.
pub(crate) fn idle(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let [mut memory, mut cpu, mut woken, mut hot] = [(); 4].map(|()| Rounds::default());
    // The hub's limit is 1,000 placements a member and day: two members, and all chains on the first one's city.
    let arguments = ["dev", "--hub", "--cities", "2", "--port", "0", "--json"];
    let (running, ready) = programs.start(&arguments)?;
    let mut network = Network::of(&ready, running.address)?;
    let before = running.pss()?;
    let mut hashes = Vec::new();
    for index in 0..IDLE {
        hashes.push(network.place(usize::from(index >= IDLE / 2), &[1])?);
    }
    let mut chains = Vec::new();
    for hash in &hashes {
        let chain = network.placed(hash)?;
        network.first_transaction(chain)?;
        chains.push(chain);
    }
    std::thread::sleep(SETTLED);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand chains")]
    memory.push((running.pss()? - before) / 1024.0 / IDLE as f64);
    let used = running.used()?.cpu;
    std::thread::sleep(WATCHED);
    cpu.push((running.used()?.cpu.saturating_sub(used)).as_secs_f64() * 1e3);
    let [mut cold_ms, mut hot_ms] = [(); 2].map(|()| Vec::new());
    for chain in chains.iter().take(usize::try_from(WOKEN).unwrap_or(0)) {
        for took in [&mut cold_ms, &mut hot_ms] {
            let started = Instant::now();
            let done = network.first_transaction(*chain)?;
            took.push((done - started).as_secs_f64() * 1e3);
        }
    }
    let p99 = |mut took: Vec<f64>| {
        took.sort_by(f64::total_cmp);
        took[took.len() * 99 / 100]
    };
    woken.push(p99(cold_ms));
    hot.push(p99(hot_ms));
    drop(running);
    let figures = Idle {
        memory,
        peer: anvils(programs)?,
        cpu,
        woken,
        hot,
    };
    figures.add(programs, report);
    Ok(())
}

/// Memory of one of many processes of the peer, KiB.
fn anvils(programs: &Programs) -> Result<Rounds, Failed> {
    let mut anvils = Vec::new();
    for _ in 0..ANVILS {
        anvils.push(programs.anvil(&[])?);
    }
    std::thread::sleep(SETTLED);
    let total: f64 = anvils
        .iter()
        .map(|anvil| anvil.pss())
        .sum::<Result<f64, _>>()?;
    #[expect(clippy::cast_precision_loss, reason = "a hundred processes")]
    let each = total / 1024.0 / ANVILS as f64;
    Ok(Rounds::from(vec![each]))
}

/// What idle chains cost.
struct Idle {
    /// KiB a chain.
    memory: Rounds,
    /// KiB a process of the peer.
    peer: Rounds,
    /// Milliseconds.
    cpu: Rounds,
    /// Milliseconds.
    woken: Rounds,
    /// Milliseconds.
    hot: Rounds,
}

impl Idle {
    fn add(&self, programs: &Programs, report: &mut Report) {
        let peer_name = format!("{}, {ANVILS} processes", programs.anvil_name);
        let measured = Measured {
        id: "P4",
        what: "2,000 idle chains on one city: memory a chain",
        target: "≤ 16 KiB",
        unit: "KiB",
        ours: &self.memory,
        peer: Some((&peer_name, &self.peer)),
        commit: &programs.commit,
        not_done: "growth of the process's PSS from before the placements; each chain has two blocks, and the idlest of more than 256 are parked; what the store keeps in memory until its next flush is in it; a second city, which only follows the hub, is in the same process".into(),
    };
        report.add(measured, |ours, _| ours <= 16.0);
        let measured = Measured {
        id: "P4-idle",
        what: "2,000 idle chains on one city: processor time in 20 s",
        target: "no wake-up caused by a chain",
        unit: "ms",
        ours: &self.cpu,
        peer: None,
        commit: &programs.commit,
        not_done:
            "the whole process: the links' keep-alives, and what the store does in the background"
                .into(),
    };
        report.add(measured, |ours, _| ours <= 50.0);
        let measured = Measured {
            id: "P4-wake",
            what: "a transaction on a parked chain: sent → final, p99 of 200",
            target: "≤ 25 ms above a hot chain",
            unit: "ms",
            ours: &self.woken,
            peer: Some(("the same on a hot chain", &self.hot)),
            commit: &programs.commit,
            not_done: "one validator; over a connection of its own, opened beforehand".into(),
        };
        report.add(measured, |ours, hot| {
            hot.is_none_or(|hot| ours <= hot + 25.0)
        });
    }
}
