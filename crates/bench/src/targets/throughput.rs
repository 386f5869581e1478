//! P1: signed transfers to one city over JSON-RPC, and how long one of them takes.
//!
//! The load is a closed loop.

use std::time::Instant;

use serde_json::json;

use crate::Failed;
use crate::client::{Client, ClientError};
use crate::load::{self, Sender};
use crate::offer::{BATCH, CONNECTIONS, DRAIN, Series, offer};
use crate::program::{Programs, Running};
use crate::report::{Measured, Report};
use crate::rounds::Rounds;

const ROUNDS: usize = 5;
/// Transactions of an account in a round, at most.
const PER_SENDER: u64 = 15_000;
/// Transactions one after another in a round.
const ALONE: usize = 200;

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
        let load = offer(std::slice::from_ref(&city), senders)?;
        eprintln!("P1 round {round}: ours {load:?}");
        ours.push(&load);
        drop(city);
        // Its default gas limit would hold 1,428 transfers in a block a second.
        let anvil = programs.anvil(&["--block-time", "1", "--gas-limit", "100000000000"])?;
        let load = offer(std::slice::from_ref(&anvil), senders)?;
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
