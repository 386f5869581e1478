//! An open loop: transactions are due at a fixed rate whatever becomes of the ones before, and each is timed from when it
//! was due until its result was answered. Also one at a time, for what a transaction takes alone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failed;
use crate::client::{Client, ClientError};
use crate::rounds::Rounds;
use crate::tokens::Owner;

/// Connections to all servers together: so many transactions can be in flight.
pub(crate) const WORKERS: usize = 96;

/// How long a receipt may take that the server did not wait for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(20);

/// One connection that sends a transaction and waits for its result, over and over.
pub(crate) struct Worker<'a> {
    server: SocketAddr,
    /// The next request: a transaction that was never sent before.
    request: Box<dyn FnMut() -> String + Send + 'a>,
    /// Whether the answer says that the transaction is in a block and did what it should.
    done: fn(&Value) -> bool,
}

impl std::fmt::Debug for Worker<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl<'a> Worker<'a> {
    pub(crate) fn new(
        server: SocketAddr,
        request: impl FnMut() -> String + Send + 'a,
        done: fn(&Value) -> bool,
    ) -> Self {
        Self {
            server,
            request: Box::new(request),
            done,
        }
    }

    /// Connections to `servers` in turn, an owner each, that send by `eth_sendRawTransactionSync` (EIP-7966): its answer
    /// is the receipt.
    pub(crate) fn of_owners(servers: &[SocketAddr], owners: &'a mut [Owner]) -> Vec<Self> {
        owners
            .iter_mut()
            .zip(servers.iter().cycle())
            .map(|(owner, server)| {
                let request = move || {
                    json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransactionSync", "params": [owner.next()] })
                        .to_string()
                };
                Self::new(*server, request, |answer| answer["result"]["status"] == "0x1")
            })
            .collect()
    }

    pub(crate) const fn server(&self) -> SocketAddr {
        self.server
    }

    fn submit(&self, client: &mut Client, request: &str) -> Result<(), Failed> {
        let answer = client.post(request.as_bytes())?;
        let answer: Value = serde_json::from_slice(&answer).map_err(ClientError::from)?;
        if (self.done)(&answer) {
            return Ok(());
        }
        // The server stopped waiting, as EIP-7966 has it: the receipt is looked for.
        let hash = &answer["error"]["data"];
        if answer["error"]["code"] == 4 && self.look(client, hash)? {
            return Ok(());
        }
        Err(Failed::Refused {
            refused: 1,
            first: answer.to_string(),
        })
    }

    fn look(&self, client: &mut Client, hash: &Value) -> Result<bool, Failed> {
        let start = Instant::now();
        eprintln!("{}: waits longer for {hash}", self.server);
        while start.elapsed() < PATIENCE {
            let receipt = client.call("eth_getTransactionReceipt", &json!([hash]))?;
            if !receipt.is_null() {
                eprintln!(
                    "{}: {hash} {:?} later in {}",
                    self.server,
                    start.elapsed(),
                    receipt["blockNumber"]
                );
                return Ok(receipt["status"] == "0x1");
            }
            std::thread::sleep(LOOK);
        }
        Ok(false)
    }
}

/// One transaction at a time, over each of the first `count` workers in turn: milliseconds of each.
pub(crate) fn alone(workers: &mut [Worker<'_>], count: usize) -> Result<Rounds, Failed> {
    let mut times = Rounds::default();
    let mut clients = connect(workers)?;
    let all = workers.len();
    for at in 0..count {
        let (worker, client) = (&mut workers[at % all], &mut clients[at % all]);
        let request = (worker.request)();
        let start = Instant::now();
        worker.submit(client, &request)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn connect(workers: &[Worker<'_>]) -> Result<Vec<Client>, ClientError> {
    workers
        .iter()
        .map(|worker| Client::connect(worker.server))
        .collect()
}

/// Transactions at `rate` a second for `lasting`, to the workers' servers in turn: milliseconds of each from when it was due.
pub(crate) fn steady(
    workers: &mut [Worker<'_>],
    rate: u32,
    lasting: Duration,
) -> Result<Rounds, Failed> {
    let mut servers: Vec<_> = workers.iter().map(|worker| worker.server).collect();
    servers.sort_unstable();
    servers.dedup();
    let next: Vec<_> = servers.iter().map(|_| AtomicU64::new(0)).collect();
    let (servers, next) = (&servers, &next);
    let clients = connect(workers)?;
    let start = Instant::now() + Duration::from_millis(20);
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .zip(clients)
            .map(|(worker, client)| {
                let at = servers.binary_search(&worker.server).expect("is in it");
                let due = move || {
                    let turn = next[at].fetch_add(1, Ordering::Relaxed);
                    let number = turn * servers.len() as u64 + at as u64;
                    Duration::from_nanos(number * 1_000_000_000 / u64::from(rate))
                };
                scope.spawn(move || run(worker, client, start, lasting, due))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("sending does not panic"))
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Rounds::from(times.concat()))
}

/// One worker: takes what is due next, until nothing is any more.
fn run(
    worker: &mut Worker<'_>,
    mut client: Client,
    start: Instant,
    lasting: Duration,
    due: impl Fn() -> Duration,
) -> Result<Vec<f64>, Failed> {
    let mut times = Vec::new();
    loop {
        let due = due();
        if due >= lasting {
            return Ok(times);
        }
        // Made only when it is sent: a sender whose nonces have a gap gets no further.
        let request = (worker.request)();
        let due = start + due;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        worker.submit(&mut client, &request)?;
        times.push(due.elapsed().as_secs_f64() * 1e3);
    }
}
