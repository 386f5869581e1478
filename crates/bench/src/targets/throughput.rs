//! P1: signed transfers to one city over JSON-RPC, and how long one of them takes.
//!
//! The load is closed-loop: each of a few connections sends its next batch when the last one was answered. A transaction
//! counts when `eth_getTransactionCount` at `latest` contains it, which here means final and durable, and on anvil that it
//! is in a block in memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failed;
use crate::client::{Client, ClientError};
use crate::load::{self, Sender};
use crate::program::{Programs, Running, own_cpu};
use crate::report::{Measured, Report};
use crate::rounds::Rounds;

const ROUNDS: usize = 5;
/// How long transactions are sent in a round; then the rest is waited for.
const SENDING: Duration = Duration::from_secs(6);
/// What is accepted has to be in a block so soon after sending ended.
const DRAIN: Duration = Duration::from_secs(30);
const BATCH: usize = 100;
const CONNECTIONS: usize = 8;
/// Transactions of an account in a round, at most.
const PER_SENDER: u64 = 15_000;
/// Between two looks at how much is confirmed.
const LOOK: Duration = Duration::from_millis(25);
/// Before a batch that was refused for want of room is tried again.
const ROOM: Duration = Duration::from_millis(2);
/// Transactions one after another in a round.
const ALONE: usize = 200;

/// What a round of load gave.
#[derive(Debug)]
struct Load {
    confirmed: u64,
    took: Duration,
    cpu: Duration,
    /// Of the process that sends.
    sending: Duration,
    pss: f64,
    /// Batches that were in part refused for want of room, and sent again.
    again: u64,
}

/// The same round again and again.
#[derive(Debug, Default)]
struct Series {
    /// Confirmed a second.
    rate: Rounds,
    /// Of the server, µs a transaction.
    cpu: Rounds,
    /// Of the process that sends, µs a transaction.
    sending: Rounds,
    /// Of the server at the end, MiB.
    memory: Rounds,
    again: u64,
}

impl Series {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    fn push(&mut self, load: &Load) {
        self.rate
            .push(load.confirmed as f64 / load.took.as_secs_f64());
        self.cpu
            .push(load.cpu.as_secs_f64() * 1e6 / load.confirmed as f64);
        self.sending
            .push(load.sending.as_secs_f64() * 1e6 / load.confirmed as f64);
        self.memory.push(load.pss / f64::from(1 << 20));
        self.again += load.again;
    }

    fn says(&self) -> String {
        format!(
            "{:.0} µs of CPU a transaction and {:.0} MiB (PSS) of the one process, {:.0} µs a transaction of the one that sends, {} batches sent again for want of room in the pool",
            self.cpu.median(),
            self.memory.median(),
            self.sending.median(),
            self.again
        )
    }
}

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let senders = load::sign(PER_SENDER);
    throughput(programs, &senders, report)?;
    alone(programs, &senders[0], report)
}

fn throughput(programs: &Programs, senders: &[Sender], report: &mut Report) -> Result<(), Failed> {
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    for round in 0..ROUNDS {
        let folder = programs.scratch()?;
        let data = folder.path().join("chain").display().to_string();
        let city = programs.causeway(&["--data", &data])?;
        let load = offer(&city, senders)?;
        eprintln!("P1 round {round}: ours {load:?}");
        ours.push(&load);
        drop(city);
        // Its default gas limit would hold 1,428 transfers in a block a second.
        let anvil = programs.anvil(&["--block-time", "1", "--gas-limit", "100000000000"])?;
        let load = offer(&anvil, senders)?;
        eprintln!("P1 round {round}: anvil {load:?}");
        theirs.push(&load);
    }
    let name = format!(
        "{} --block-time 1 --gas-limit 100000000000",
        programs.anvil_name
    );
    let measured = Measured {
        id: "P1",
        what: "one city, signed transfers over JSON-RPC in batches, durable",
        target: "≥ 6 × anvil --block-time 1",
        unit: "confirmed/s",
        ours: &ours.rate,
        peer: Some((&name, &theirs.rate)),
        commit: &programs.commit,
        not_done: format!(
            "closed loop: {CONNECTIONS} connections over HTTP/1.1, batches of {BATCH} `eth_sendRawTransaction`, 8 senders, 1,000 recipients; signed beforehand; \
             the load's own process shares the cores. One process, one validator: no quorum of others, no network. Durable here (`--data` on a disk), \
             on anvil only in memory. `geth --dev` was not run. Ours: {}. anvil: {}",
            ours.says(),
            theirs.says()
        ),
    };
    report.add(measured, |_, ratio| ratio.is_some_and(|ratio| ratio >= 6.0));
    Ok(())
}

/// Sends for a while and waits until what was accepted is confirmed.
fn offer(server: &Running, senders: &[Sender]) -> Result<Load, Failed> {
    let (before, own) = (server.used()?, own_cpu());
    let address = server.address;
    let (accepted, again) = (&AtomicU64::new(0), &AtomicU64::new(0));
    let start = Instant::now();
    let looked = std::thread::scope(|scope| {
        let sending: Vec<_> = senders
            .chunks(senders.len() / CONNECTIONS)
            .map(|senders| {
                scope.spawn(move || send(address, senders, start + SENDING, accepted, again))
            })
            .collect();
        let mut client = Client::connect(server.address)?;
        let mut last = (0, Duration::ZERO);
        loop {
            let ended = sending.iter().all(|thread| thread.is_finished());
            let total = accepted.load(Ordering::SeqCst);
            let confirmed = confirmed(&mut client, senders)?;
            if confirmed > last.0 {
                last = (confirmed, start.elapsed());
            }
            if ended && (confirmed >= total || start.elapsed() > SENDING + DRAIN) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        for thread in sending {
            thread.join().expect("sending does not panic")?;
        }
        Ok::<_, Failed>(last)
    });
    let ((confirmed, took), accepted) = (looked?, accepted.load(Ordering::SeqCst));
    if confirmed != accepted {
        return Err(Failed::Unconfirmed {
            confirmed,
            accepted,
        });
    }
    let cpu = server.used()?.cpu.saturating_sub(before.cpu);
    Ok(Load {
        confirmed,
        took,
        cpu,
        sending: own_cpu().saturating_sub(own),
        pss: server.pss()?,
        again: again.load(Ordering::SeqCst),
    })
}

/// One connection, its senders in turn, until `deadline` or nothing is left.
fn send(
    address: SocketAddr,
    senders: &[Sender],
    deadline: Instant,
    accepted: &AtomicU64,
    again: &AtomicU64,
) -> Result<(), Failed> {
    let mut client = Client::connect(address)?;
    let mut next = vec![0; senders.len()];
    while Instant::now() < deadline {
        let mut idle = true;
        for (sender, next) in senders.iter().zip(&mut next) {
            let batch = &sender.requests[*next..sender.requests.len().min(*next + BATCH)];
            if batch.is_empty() {
                continue;
            }
            idle = false;
            let answer = client.post(format!("[{}]", batch.join(",")).as_bytes())?;
            let taken = taken(&answer, *next, batch.len())?;
            *next += taken;
            accepted.fetch_add(taken as u64, Ordering::SeqCst);
            if taken < batch.len() {
                again.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(ROOM);
            }
        }
        if idle {
            break;
        }
    }
    Ok(())
}

/// How many of a batch were taken before the first that was refused, which has to be for want of room.
fn taken(answer: &[u8], first: usize, sent: usize) -> Result<usize, Failed> {
    if !answer.windows(7).any(|window| window == b"\"error\"") {
        return Ok(sent);
    }
    let answers: Vec<Value> = match serde_json::from_slice(answer).map_err(ClientError::from)? {
        Value::Array(answers) => answers,
        refused => vec![refused],
    };
    let mut least = sent;
    let mut odd = Vec::new();
    for answer in &answers {
        let Some(error) = answer.get("error") else {
            continue;
        };
        let text = error["message"].as_str().unwrap_or_default();
        // An earlier try got past the one that was refused.
        if text.contains("already") || text.contains("nonce too low") {
            continue;
        }
        let nonce = answer["id"]
            .as_u64()
            .and_then(|nonce| usize::try_from(nonce).ok())
            .unwrap_or(first);
        least = least.min(nonce - first);
        if !["full", "nonce too high"]
            .iter()
            .any(|word| text.contains(word))
        {
            odd.push(error.to_string());
        }
    }
    match odd.first() {
        Some(first) => Err(Failed::Refused {
            refused: odd.len(),
            first: first.clone(),
        }),
        None => Ok(least),
    }
}

/// Transactions of all senders that are in blocks.
fn confirmed(client: &mut Client, senders: &[Sender]) -> Result<u64, ClientError> {
    let calls: Vec<Value> = senders
        .iter()
        .map(|sender| {
            json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": [sender.address, "latest"] })
        })
        .collect();
    let answers: Vec<Value> =
        serde_json::from_slice(&client.post(Value::from(calls).to_string().as_bytes())?)?;
    Ok(answers
        .iter()
        .filter_map(|answer| quantity(&answer["result"]))
        .sum())
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// One transaction in flight: from sending it until its receipt was read. anvil makes a block for each.
fn alone(programs: &Programs, sender: &Sender, report: &mut Report) -> Result<(), Failed> {
    let mut polled = [Rounds::default(), Rounds::default()];
    let mut waited = [Rounds::default(), Rounds::default()];
    for round in 0..ROUNDS {
        let folder = programs.scratch()?;
        let data = folder.path().join("chain").display().to_string();
        let city = programs.causeway(&["--data", &data])?;
        let anvil = programs.anvil(&[])?;
        for (at, server) in [city, anvil].iter().enumerate() {
            let (first, second) = sender.raw[..2 * ALONE].split_at(ALONE);
            polled[at].push(median_ms(server, first, by_polling)?);
            waited[at].push(median_ms(server, second, by_waiting)?);
        }
        eprintln!(
            "P1 alone, round {round}: by polling {} and {}, by waiting {} and {} ms",
            polled[0], polled[1], waited[0], waited[1]
        );
    }
    let name = format!("{}, a block a transaction", programs.anvil_name);
    let figures = [
        (
            "P1-latency",
            "submit → receipt, one in flight: p50 of a round, `eth_sendRawTransaction`, then `eth_getTransactionReceipt` until it is there",
            &polled,
        ),
        (
            "P1-latency-sync",
            "submit → receipt, one in flight: p50 of a round, `eth_sendRawTransactionSync` (EIP-7966)",
            &waited,
        ),
    ];
    for (id, what, [ours, theirs]) in figures {
        let measured = Measured {
            id,
            what,
            target: "p50 ≤ 2 ms",
            unit: "ms",
            ours,
            peer: Some((&name, theirs)),
            commit: &programs.commit,
            not_done: format!(
                "closed loop, {ALONE} a round over one connection; durable here, in memory on anvil; the asking process shares the cores"
            ),
        };
        report.add(measured, |ours, _| ours <= 2.0);
    }
    Ok(())
}

fn median_ms(
    server: &Running,
    raw: &[String],
    receipt: fn(&mut Client, &str) -> Result<(), ClientError>,
) -> Result<f64, Failed> {
    let mut client = Client::connect(server.address)?;
    let mut times = Rounds::default();
    for raw in raw {
        let start = Instant::now();
        receipt(&mut client, raw)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times.median())
}

fn by_polling(client: &mut Client, raw: &str) -> Result<(), ClientError> {
    let hash = client.call("eth_sendRawTransaction", &json!([raw]))?;
    let asked = Instant::now();
    while client
        .call("eth_getTransactionReceipt", &json!([hash]))?
        .is_null()
    {
        if asked.elapsed() > DRAIN {
            let error = json!("no receipt");
            return Err(ClientError::Refused {
                method: "eth_getTransactionReceipt",
                error,
            });
        }
    }
    Ok(())
}

fn by_waiting(client: &mut Client, raw: &str) -> Result<(), ClientError> {
    client
        .call("eth_sendRawTransactionSync", &json!([raw]))
        .map(drop)
}
