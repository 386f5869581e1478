//! A closed loop: each of a few connections sends its next batch when the last one was answered. A transaction counts when
//! `eth_getTransactionCount` at `latest` contains it at every server, which with us means final and durable there, and on
//! anvil that it is in a block in memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failed;
use crate::client::{Client, ClientError};
use crate::load::Sender;
use crate::program::{Running, Used, own_cpu};
use crate::rounds::Rounds;
use crate::tokens::quantity;

/// How long transactions are sent in a round; then the rest is waited for.
const SENDING: Duration = Duration::from_secs(6);
/// What is accepted has to be in a block so soon after sending ended.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);
pub(crate) const BATCH: usize = 100;
pub(crate) const CONNECTIONS: usize = 8;
/// Between two looks at how much is confirmed.
const LOOK: Duration = Duration::from_millis(25);
/// Before a batch that was refused for want of room is tried again.
const ROOM: Duration = Duration::from_millis(2);

/// What a round of load gave.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) confirmed: u64,
    pub(crate) took: Duration,
    /// Of all servers.
    pub(crate) cpu: Duration,
    /// In which threads of the servers were ready to run and had no core.
    starved: Duration,
    /// Of the process that sends.
    sending: Duration,
    /// Of all servers.
    pss: f64,
    /// Batches that were in part refused for want of room, and sent again.
    again: u64,
}

/// The same round again and again.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// Confirmed a second.
    pub(crate) rate: Rounds,
    /// Of the servers, µs a transaction.
    cpu: Rounds,
    /// Of the process that sends, µs a transaction.
    sending: Rounds,
    /// Of the servers at the end, MiB.
    memory: Rounds,
    /// Cores that were busy for the servers.
    cores: Rounds,
    /// Threads of the servers that were ready to run and had no core.
    starved: Rounds,
    again: u64,
}

impl Series {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) fn push(&mut self, load: &Load) {
        let (confirmed, took) = (load.confirmed as f64, load.took.as_secs_f64());
        self.rate.push(confirmed / took);
        self.cpu.push(load.cpu.as_secs_f64() * 1e6 / confirmed);
        self.sending
            .push(load.sending.as_secs_f64() * 1e6 / confirmed);
        self.memory.push(load.pss / f64::from(1 << 20));
        self.cores.push(load.cpu.as_secs_f64() / took);
        self.starved.push(load.starved.as_secs_f64() / took);
        self.again += load.again;
    }

    pub(crate) fn says(&self) -> String {
        format!(
            "{:.0} µs of CPU a transaction ({:.2} cores busy, {:.1} threads waiting for one) and {:.0} MiB (PSS), all its processes together; {:.0} µs a transaction of the process that sends; {} batches sent again for want of room",
            self.cpu.median(),
            self.cores.median(),
            self.starved.median(),
            self.memory.median(),
            self.sending.median(),
            self.again
        )
    }
}

/// What the connections of a load share.
#[derive(Debug)]
pub(crate) struct Pace {
    deadline: Instant,
    accepted: AtomicU64,
    again: AtomicU64,
}

impl Pace {
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// A batch was answered.
    pub(crate) fn answered(&self, sent: usize, taken: usize) {
        self.accepted.fetch_add(taken as u64, Ordering::SeqCst);
        if taken < sent {
            self.again.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(ROOM);
        }
    }
}

/// Sends for a while, over each of `connections` in a thread of its own, and waits until what was accepted is confirmed.
pub(crate) fn drive<S>(
    servers: &[Running],
    connections: Vec<S>,
    mut confirmed: impl FnMut() -> Result<u64, Failed>,
) -> Result<Load, Failed>
where
    S: FnOnce(&Pace) -> Result<(), Failed> + Send,
{
    let (before, own, start) = (used(servers)?, own_cpu(), Instant::now());
    let pace = &Pace {
        deadline: start + SENDING,
        accepted: AtomicU64::new(0),
        again: AtomicU64::new(0),
    };
    let looked = std::thread::scope(|scope| {
        let sending: Vec<_> = connections
            .into_iter()
            .map(|send| scope.spawn(move || send(pace)))
            .collect();
        let mut last = (0, Duration::ZERO);
        loop {
            let ended = sending.iter().all(|thread| thread.is_finished());
            let total = pace.accepted.load(Ordering::SeqCst);
            let confirmed = confirmed()?;
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
    let (confirmed, took) = looked?;
    let accepted = pace.accepted.load(Ordering::SeqCst);
    if confirmed != accepted {
        return Err(Failed::Unconfirmed {
            confirmed,
            accepted,
        });
    }
    let after = used(servers)?;
    let pss: Vec<_> = servers.iter().map(Running::pss).collect::<Result<_, _>>()?;
    Ok(Load {
        confirmed,
        took,
        cpu: after.cpu.saturating_sub(before.cpu),
        starved: after.starved.saturating_sub(before.starved),
        sending: own_cpu().saturating_sub(own),
        pss: pss.iter().sum(),
        again: pace.again.load(Ordering::SeqCst),
    })
}

/// What all servers used since their start.
fn used(servers: &[Running]) -> Result<Used, Failed> {
    let mut all = Used::default();
    for server in servers {
        let used = server.used()?;
        all.cpu += used.cpu;
        all.starved += used.starved;
        all.switches += used.switches;
    }
    Ok(all)
}

/// Processor time of all servers since their start.
pub(crate) fn cpu(servers: &[Running]) -> Result<Duration, Failed> {
    Ok(used(servers)?.cpu)
}

/// Offers what the senders have; all of one sender's goes to one server.
pub(crate) fn offer(servers: &[Running], senders: &[Sender]) -> Result<Load, Failed> {
    let connections = senders
        .chunks(senders.len().div_ceil(CONNECTIONS))
        .zip(servers.iter().cycle())
        .map(|(senders, server)| {
            let address = server.address;
            move |pace: &Pace| send(address, senders, pace)
        })
        .collect();
    let mut clients = servers
        .iter()
        .map(|server| Client::connect(server.address))
        .collect::<Result<Vec<_>, _>>()?;
    drive(servers, connections, || {
        let counts = clients.iter_mut().map(|client| confirmed(client, senders));
        let counts: Vec<_> = counts.collect::<Result<_, _>>()?;
        Ok(counts.into_iter().min().unwrap_or(0))
    })
}

/// One connection, its senders in turn, until the time is over or nothing is left.
fn send(address: SocketAddr, senders: &[Sender], pace: &Pace) -> Result<(), Failed> {
    let mut client = Client::connect(address)?;
    let mut next = vec![0; senders.len()];
    while pace.goes_on() {
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
            pace.answered(batch.len(), taken);
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
