//! P13: four cities, a process each, of which one is killed: what the others' transactions take, and how many blocks need
//! more than one round.

use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::hex;
use alloy_rlp::{Decodable, Header};
use serde_json::json;

use crate::cities::Network;
use crate::client::Client;
use crate::finality::RATE;
use crate::program::Programs;
use crate::report::{Measured, Report};
use crate::rounds::Rounds;
use crate::steady::{WORKERS, Worker, alone, steady};
use crate::tokens::{self, Fees, Token};
use crate::{Failed, rounds};

const ROUNDS: usize = 3;
const CITIES: usize = 4;
/// How long all cities are measured in a round.
const HEALTHY: Duration = Duration::from_secs(15);
/// How long the others are measured after the loss.
const LOST: Duration = Duration::from_secs(60);
/// The first propose time-out of a chain, in milliseconds.
const PROPOSE: f64 = 500.0;
/// Transactions that are sent before anything is measured.
const WARM: usize = 20;

/// Of each round.
#[derive(Debug, Default)]
struct Figures {
    healthy: Rounds,
    healthy_p99: Rounds,
    lost: Rounds,
    lost_p99: Rounds,
    lost_greatest: Rounds,
    /// Blocks beyond round 0 after the loss, in percent.
    beyond: Rounds,
    healthy_beyond: Rounds,
    blocks: Rounds,
}

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let network = Network::found(programs, CITIES)?;
    let token = Token::new(
        &programs.repository,
        network.chain_id,
        WORKERS as u64,
        Fees::Free,
    )?;
    let mut figures = Figures::default();
    for round in 0..rounds(ROUNDS) {
        let mut cities = network.start()?;
        token.deploy(&cities.addresses)?;
        let lost = round % CITIES;
        let others: Vec<_> = (0..CITIES)
            .filter(|city| *city != lost)
            .map(|city| cities.addresses[city])
            .collect();
        let mut owners = token.owners.clone();
        let mut workers = Worker::of_owners(&others, &mut owners);
        alone(&mut workers, WARM)?;
        let begin = tokens::height(others[0])?;
        let times = steady(&mut workers, RATE, HEALTHY)?;
        figures.healthy.push(times.median());
        figures.healthy_p99.push(times.quantile(0.99));
        let loss = tokens::height(others[0])?;
        figures.healthy_beyond.push(beyond(others[0], begin, loss)?);
        eprintln!(
            "P13 round {round}, healthy: p50 {} and p99 {} ms, {} % beyond round 0",
            figures.healthy, figures.healthy_p99, figures.healthy_beyond
        );

        cities.processes[lost].kill()?;
        let times = steady(&mut workers, RATE, LOST)?;
        figures.lost.push(times.median());
        figures.lost_p99.push(times.quantile(0.99));
        figures.lost_greatest.push(times.quantile(1.0));
        let end = tokens::height(others[0])?;
        figures.beyond.push(beyond(others[0], loss, end)?);
        #[expect(clippy::cast_precision_loss, reason = "a count of a minute")]
        figures.blocks.push((end - loss) as f64);
        eprintln!("P13 round {round}: {figures:?}");
    }
    add(programs, &figures, report);
    Ok(())
}

/// Share of the blocks after `from`, up to `to`, whose certificate is of a later round than the first, in percent.
#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn beyond(city: SocketAddr, from: u64, to: u64) -> Result<f64, Failed> {
    let mut client = Client::connect(city)?;
    let mut later = 0_u64;
    for height in from + 1..=to {
        let proof = client.call("causeway_getBlockProof", &json!([format!("{height:#x}")]))?;
        let round = proof["certificate"].as_str().and_then(certificate_round);
        let Some(round) = round else {
            return Err(Failed::Missing {
                what: format!("the round in the certificate of block {height}"),
                hint: "another version of the program",
            });
        };
        later += u64::from(round > 0);
    }
    Ok(later as f64 * 100.0 / (to - from).max(1) as f64)
}

/// The third of the items of a certificate: version, height, round, block hash, signatures.
fn certificate_round(certificate: &str) -> Option<u32> {
    let bytes = hex::decode(certificate).ok()?;
    let mut items = Header::decode_bytes(&mut bytes.as_slice(), true).ok()?;
    u8::decode(&mut items).ok()?;
    u64::decode(&mut items).ok()?;
    u32::decode(&mut items).ok()
}

fn add(programs: &Programs, figures: &Figures, report: &mut Report) {
    let seconds = LOST.as_secs();
    let not_done = format!(
        "open loop at {RATE}/s for {} s with all four and {seconds} s after one was killed (each in turn), the moment of its loss included; to the three others in turn over {WORKERS} connections, `eth_sendRawTransactionSync`, timed from when a transaction was due; p50, p99 and greatest after the loss {:.2}, {:.1} and {:.0} ms, healthy p50 and p99 {:.2} and {:.1} ms (medians of the rounds); {:.0} blocks after the loss",
        HEALTHY.as_secs(),
        figures.lost.median(),
        figures.lost_p99.median(),
        figures.lost_greatest.median(),
        figures.healthy.median(),
        figures.healthy_p99.median(),
        figures.blocks.median()
    );
    let commit = &programs.commit;
    report.add(
        Measured {
            id: "P13",
            what: "four cities, one dead: submit → receipt at 100 transactions a second, p50 of a round",
            target: "≤ 1.2 × healthy",
            unit: "ms",
            ours: &figures.lost,
            peer: Some(("healthy", &figures.healthy)),
            commit,
            not_done,
        },
        |_, ratio| ratio.is_some_and(|ratio| ratio <= 1.2),
    );
    let healthy = figures.healthy_p99.median();
    report.add(
        Measured {
            id: "P13-p99",
            what: "four cities, one dead: submit → receipt at 100 transactions a second, p99 of a round",
            target: "≤ healthy + one propose time-out (500 ms)",
            unit: "ms",
            ours: &figures.lost_p99,
            peer: Some(("healthy", &figures.healthy_p99)),
            commit,
            not_done: "as P13".into(),
        },
        |ours, _| ours <= healthy + PROPOSE,
    );
    report.add(
        Measured {
            id: "P13-rounds",
            what: "four cities, one dead: blocks whose certificate is of a later round than the first",
            target: "≤ 2 %",
            unit: "%",
            ours: &figures.beyond,
            peer: Some(("healthy", &figures.healthy_beyond)),
            commit,
            not_done: "as P13; the round stands in the certificate of `causeway_getBlockProof`, which was read of every block".into(),
        },
        |ours, _| ours <= 2.0,
    );
}
