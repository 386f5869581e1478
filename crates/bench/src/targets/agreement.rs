//! P2: four cities, a process each, beside anvil's one process and `CometBFT`'s four: ERC-20 transfers in batches, and how
//! long a transaction takes.

use std::net::SocketAddr;

use serde_json::json;

use crate::cities::{Cities, Network};
use crate::client::{Client, ClientError};
use crate::cometbft::{self, CometBft, Settings};
use crate::finality::{ALONE, Finality, LASTING, RATE};
use crate::load::Sender;
use crate::offer::{BATCH, CONNECTIONS, Series, offer};
use crate::program::{Programs, Running};
use crate::report::{Measured, Report};
use crate::rounds::Rounds;
use crate::steady::{WORKERS, Worker};
use crate::tokens::{self, Fees, Token};
use crate::{Failed, rounds};

const ROUNDS: usize = 5;
/// The peer waits a second after each block by default: these are for orientation.
const DEFAULT_ROUNDS: usize = 1;
/// One after another they take a second each.
const ALONE_SLOW: usize = 10;
const CITIES: usize = 4;
/// Accounts that send in batches.
const SENDERS: usize = 32;
/// Transactions of one of them in a round, at most.
const PER_SENDER: u64 = 2_500;

/// What all rounds gave.
#[derive(Debug, Default)]
struct Figures {
    ours: Series,
    anvil: Series,
    fastest: Series,
    default: Series,
    /// Transactions in a block of ours under the load of batches.
    filled: Rounds,
    ours_finality: Finality,
    anvil_finality: Finality,
    fastest_finality: Finality,
    default_finality: Finality,
}

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let comet = CometBft::find()?;
    let network = Network::found(programs, CITIES)?;
    let owners = (SENDERS + WORKERS) as u64;
    let token = Token::new(&programs.repository, network.chain_id, owners, Fees::Free)?;
    let senders = tokens::sign(&token.owners[..SENDERS], PER_SENDER);
    let mut figures = Figures::default();
    for round in 0..rounds(ROUNDS) {
        ours(&network, &token, &senders, &mut figures)?;
        anvil(programs, network.chain_id, &token, &senders, &mut figures)?;
        validators(programs, &comet, Settings::Fastest, &mut figures)?;
        if round < DEFAULT_ROUNDS {
            validators(programs, &comet, Settings::Default, &mut figures)?;
        }
        eprintln!(
            "P2 round {round}: ours {}; {}",
            figures.ours.rate,
            figures.ours_finality.says()
        );
        eprintln!(
            "P2 round {round}: anvil {}; {}",
            figures.anvil.rate,
            figures.anvil_finality.says()
        );
        eprintln!(
            "P2 round {round}: CometBFT {}; {}",
            figures.fastest.rate,
            figures.fastest_finality.says()
        );
        eprintln!(
            "P2 round {round}: its default {}; {}",
            figures.default.rate,
            figures.default_finality.says()
        );
    }
    add(programs, &comet, &figures, report);
    Ok(())
}

fn ours(
    network: &Network<'_>,
    token: &Token,
    senders: &[Sender],
    figures: &mut Figures,
) -> Result<(), Failed> {
    let cities = network.start()?;
    token.deploy(&cities.addresses)?;
    let mut owners = token.owners[SENDERS..].to_vec();
    let mut workers = Worker::of_owners(&cities.addresses, &mut owners);
    figures
        .ours_finality
        .round(&cities.processes, &mut workers, ALONE, number)?;
    let before = number(cities.addresses[0])?;
    let load = offer(&cities.processes, senders)?;
    let blocks = number(cities.addresses[0])? - before;
    check(&cities, senders)?;
    eprintln!("P2: ours {load:?}, {blocks} blocks");
    figures.ours.push(&load);
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    figures.filled.push(load.confirmed as f64 / blocks as f64);
    Ok(())
}

/// The last transaction of each sender that every city counts did what it should, by the receipt of a city that it was not
/// given to.
fn check(cities: &Cities, senders: &[Sender]) -> Result<(), Failed> {
    let chunk = senders.len().div_ceil(CONNECTIONS);
    for (at, sender) in senders.iter().enumerate() {
        // One city on from the one that the sender's connection went to.
        let other = cities.addresses[(at / chunk + 1) % cities.addresses.len()];
        let mut client = Client::connect(other)?;
        let count = client.call(
            "eth_getTransactionCount",
            &json!([sender.address, "latest"]),
        )?;
        let count = tokens::quantity(&count).and_then(|count| usize::try_from(count).ok());
        let Some(last) = count.and_then(|count| count.checked_sub(1)) else {
            continue;
        };
        let hash = tokens::hash(&sender.raw[last]);
        let receipt = client.call("eth_getTransactionReceipt", &json!([hash]))?;
        if receipt["status"] != "0x1" {
            return Err(Failed::Refused {
                refused: 1,
                first: receipt.to_string(),
            });
        }
    }
    Ok(())
}

fn anvil(
    programs: &Programs,
    chain_id: u64,
    token: &Token,
    senders: &[Sender],
    figures: &mut Figures,
) -> Result<(), Failed> {
    let chain_id = chain_id.to_string();
    let free = [
        "--chain-id",
        &chain_id,
        "--base-fee",
        "0",
        "--gas-price",
        "0",
        "--gas-limit",
        "100000000000",
    ];
    let anvil = start(programs, token, &free)?;
    let mut owners = token.owners[SENDERS..].to_vec();
    let mut workers = Worker::of_owners(&[anvil.address], &mut owners);
    figures
        .anvil_finality
        .round(std::slice::from_ref(&anvil), &mut workers, ALONE, number)?;
    drop(anvil);
    let anvil = start(
        programs,
        token,
        &[&free[..], &["--block-time", "1"]].concat(),
    )?;
    let load = offer(std::slice::from_ref(&anvil), senders)?;
    eprintln!("P2: anvil {load:?}");
    figures.anvil.push(&load);
    Ok(())
}

fn start(programs: &Programs, token: &Token, arguments: &[&str]) -> Result<Running, Failed> {
    let anvil = programs.anvil(arguments)?;
    token.deploy(&[anvil.address])?;
    Ok(anvil)
}

fn validators(
    programs: &Programs,
    comet: &CometBft,
    settings: Settings,
    figures: &mut Figures,
) -> Result<(), Failed> {
    let (finality, series) = match settings {
        Settings::Fastest => (&mut figures.fastest_finality, &mut figures.fastest),
        Settings::Default => (&mut figures.default_finality, &mut figures.default),
    };
    let validators = comet.start(programs, settings)?;
    let mut workers = validators.workers(WORKERS);
    let count = match settings {
        Settings::Fastest => ALONE,
        Settings::Default => ALONE_SLOW,
    };
    finality.round(&validators.processes, &mut workers, count, |address| {
        Ok(cometbft::height(&mut Client::connect(address)?)?)
    })?;
    let load = validators.offer()?;
    eprintln!("P2: CometBFT, {settings:?} {load:?}");
    series.push(&load);
    Ok(())
}

fn number(address: SocketAddr) -> Result<u64, Failed> {
    tokens::height(address).map_err(|error: ClientError| error.into())
}

fn add(programs: &Programs, comet: &CometBft, figures: &Figures, report: &mut Report) {
    let anvil = format!(
        "{} --block-time 1 --gas-limit 100000000000",
        programs.anvil_name
    );
    let load = format!(
        "closed loop: {CONNECTIONS} connections over HTTP/1.1 spread over the cities, batches of {BATCH} `eth_sendRawTransaction`, {SENDERS} senders, 1,000 recipients; signed beforehand; \
         the load's own process shares the cores. Four processes, QUIC over loopback, no delay between them. A transaction counts when every city has its block, which is durable there; the last one of each sender was read from a city that it was not given to. {:.0} transactions a block. Ours: {}",
        figures.filled.median(),
        figures.ours.says()
    );
    let ours = &figures.ours.rate;
    report.add(
        Measured {
            id: "P2",
            what: "four cities, a process each, ERC-20 transfers over JSON-RPC in batches, durable on each",
            target: "≥ 5,000 confirmed/s, and more than anvil's one node",
            unit: "confirmed/s",
            ours,
            peer: Some((&anvil, &figures.anvil.rate)),
            commit: &programs.commit,
            not_done: format!("{load}. anvil: one process in memory, the same transfers: {}", figures.anvil.says()),
        },
        |ours, ratio| ours >= 5_000.0 && ratio.is_some_and(|ratio| ratio > 1.0),
    );
    report.add(
        Measured {
            id: "P2-cometbft",
            what: "the same beside CometBFT's key-value store",
            target: "printed",
            unit: "confirmed/s",
            ours,
            peer: Some((&comet.name, &figures.fastest.rate)),
            commit: &programs.commit,
            not_done: format!(
                "The peer executes nothing, signs no transaction and keeps its store in memory, its blocks and votes on the disk; transactions of the same size, batches of {BATCH} `broadcast_tx_sync`, counted when every validator has the block. Its settings: {}: {}. With {} ({DEFAULT_ROUNDS} of the rounds): {:.0} confirmed/s, {}",
                Settings::Fastest.says(),
                figures.fastest.says(),
                Settings::Default.says(),
                figures.default.rate.median(),
                figures.default.says()
            ),
        },
        |_, _| true,
    );
    finality(programs, comet, figures, report);
}

fn finality(programs: &Programs, comet: &CometBft, figures: &Figures, report: &mut Report) {
    let said = format!(
        "Over {WORKERS} connections to all servers in turn, each with a sender of its own; `eth_sendRawTransactionSync` at the city that it was given to, whose answer is the receipt (no polling), `broadcast_tx_commit` at the peer; timed from when the transaction was due; exact quantiles of all samples of a round. Ours: {}. CometBFT with {}: {}. With {}: {}. anvil, in memory, a block a transaction: {}",
        figures.ours_finality.says(),
        Settings::Fastest.says(),
        figures.fastest_finality.says(),
        Settings::Default.says(),
        figures.default_finality.says(),
        figures.anvil_finality.says()
    );
    report.add(
        Measured {
            id: "P2-finality",
            what: "four cities, a process each: submit → receipt at 100 transactions a second, p50 of a round",
            target: "p50 ≤ 10 ms",
            unit: "ms",
            ours: &figures.ours_finality.steady,
            peer: Some((&comet.name, &figures.fastest_finality.steady)),
            commit: &programs.commit,
            not_done: format!("open loop, {} s a round. {said}", LASTING.as_secs()),
        },
        |ours, _| ours <= 10.0,
    );
    report.add(
        Measured {
            id: "P2-finality-p99",
            what: "four cities, a process each: submit → receipt at 100 transactions a second, p99 of a round",
            target: "printed",
            unit: "ms",
            ours: &figures.ours_finality.steady_p99,
            peer: Some((&comet.name, &figures.fastest_finality.steady_p99)),
            commit: &programs.commit,
            not_done: format!("as P2-finality, offered at {RATE}/s"),
        },
        |_, _| true,
    );
    report.add(
        Measured {
            id: "P2-finality-alone",
            what: "four cities, a process each: submit → receipt, one in flight, p50 of a round",
            target: "printed",
            unit: "ms",
            ours: &figures.ours_finality.alone,
            peer: Some((&comet.name, &figures.fastest_finality.alone)),
            commit: &programs.commit,
            not_done: format!(
                "closed loop, {ALONE} a round, to the cities in turn; as P2-finality"
            ),
        },
        |_, _| true,
    );
}
