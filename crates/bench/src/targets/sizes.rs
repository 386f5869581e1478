//! P2-n: finality and processor time a block of 1, 4, 7 and 13 cities in one process.

use crate::cities::Cities;
use crate::finality::{ALONE, Finality, LASTING, RATE};
use crate::load::CHAIN_ID;
use crate::program::Programs;
use crate::report::{Measured, Report};
use crate::rounds::Rounds;
use crate::steady::{WORKERS, Worker};
use crate::tokens::{self, Fees, Token};
use crate::{Failed, rounds};

const ROUNDS: usize = 5;
const SIZES: [usize; 4] = [1, 4, 7, 13];

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let token = Token::new(&programs.repository, CHAIN_ID, WORKERS as u64, Fees::Burnt)?;
    let mut figures: Vec<_> = SIZES.map(|size| (size, Finality::default())).into();
    for round in 0..rounds(ROUNDS) {
        for (size, finality) in &mut figures {
            let cities = Cities::in_one_process(programs, *size)?;
            token.deploy(&cities.addresses)?;
            let mut owners = token.owners.clone();
            let mut workers = Worker::of_owners(&cities.addresses, &mut owners);
            finality.round(&cities.processes, &mut workers, ALONE, |address| {
                Ok(tokens::height(address)?)
            })?;
            eprintln!("P2-n round {round}, {size} cities: {}", finality.says());
        }
    }
    for (size, finality) in &figures {
        add(programs, *size, finality, report);
    }
    Ok(())
}

fn add(programs: &Programs, size: usize, finality: &Finality, report: &mut Report) {
    let mut row = |figure: &str, what: &str, unit: &str, ours: &Rounds, not_done: String| {
        let measured = Measured {
            id: &format!("P2-n{size:02}-{figure}"),
            what: &format!("{size} of {size} cities in one process: {what}"),
            target: "printed",
            unit,
            ours,
            peer: None,
            commit: &programs.commit,
            not_done,
        };
        report.add(measured, |_, _| true);
    };
    row(
        "finality",
        "submit → receipt at 100 transactions a second, p50 of a round",
        "ms",
        &finality.steady,
        format!(
            "open loop, {} s a round, to all cities in turn by `eth_sendRawTransactionSync`; links over loopback, data on a disk; {}",
            LASTING.as_secs(),
            finality.says()
        ),
    );
    row(
        "alone",
        "submit → receipt, one in flight, p50 of a round",
        "ms",
        &finality.alone,
        format!("closed loop, {ALONE} a round"),
    );
    #[expect(clippy::cast_precision_loss, reason = "a few cities")]
    let per_city = |rounds: &Rounds| rounds.median() / size as f64;
    row(
        "cpu",
        "processor time a block with one transaction, all cities together",
        "µs",
        &finality.alone_cpu,
        format!(
            "one in flight: the process's whole processor time, RPC and links included, by the blocks made meanwhile; a city {:.0} µs. At {RATE}/s {:.0} µs a block, a city {:.0} µs",
            per_city(&finality.alone_cpu),
            finality.steady_cpu.median(),
            per_city(&finality.steady_cpu)
        ),
    );
}
