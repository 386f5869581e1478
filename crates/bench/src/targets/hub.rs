//! H1 and H2: what a network's hub does with 4, 13 and 31 validators: placements in a second, and how long a vote takes to have
//! its effect.

use std::time::Instant;

use alloy_primitives::{Address, B256, U256, hex};
use alloy_sol_types::{SolCall, SolValue as _};
use hub::abi::{GOVERNANCE, IGovernance};
use serde_json::{Value, json};

use super::network::{Network, receipt};
use crate::client::ClientError;
use crate::program::Programs;
use crate::report::{Measured, Report};
use crate::rounds::Rounds;
use crate::{Failed, rounds};

/// Validators of the hub: the least that tolerates one, some, and the most that there are.
const SIZES: [usize; 3] = [4, 13, 31];
/// Placements in a round.
const PLACED: u64 = 400;
/// Votes that are timed in a round.
const VOTES: u64 = 5;
const ROUNDS: usize = 3;
/// The number of the proposal's kind, see `Governance.propose`.
const SET_PARAMETER: u8 = 9;
/// A parameter that nothing else of this looks at.
const PARAMETER: &str = "closedDataKept";

/// What one size gave.
struct Size {
    cities: usize,
    /// A second.
    placed: Rounds,
    /// Milliseconds.
    effect: Rounds,
}

/// Both.
pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let mut sizes = SIZES.map(|cities| Size {
        cities,
        placed: Rounds::default(),
        effect: Rounds::default(),
    });
    for round in 0..rounds(ROUNDS) {
        for size in &mut sizes {
            let count = size.cities.to_string();
            let arguments = ["dev", "--hub", "--cities", &count, "--port", "0", "--json"];
            let (running, ready) = programs.start(&arguments)?;
            let mut network = Network::of(&ready, running.address)?;
            size.effect.push(effect(&mut network, size.cities)?);
            size.placed.push(placements(&mut network)?);
            drop(running);
            eprintln!(
                "hub of {count}, round {round}: {} placements/s, effect after {} ms",
                size.placed, size.effect
            );
        }
    }
    for size in &sizes {
        size.add(programs, report);
    }
    Ok(())
}

/// Placements a second: all sent one after the other, then waited for.
fn placements(network: &mut Network) -> Result<f64, Failed> {
    let started = Instant::now();
    let mut hashes = Vec::new();
    for index in 0..PLACED {
        let member = usize::try_from(index % 4).unwrap_or(0);
        hashes.push(network.place(member, &[1, 2, 3, 4])?);
    }
    for hash in &hashes {
        network.placed(hash)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    Ok(PLACED as f64 / started.elapsed().as_secs_f64())
}

/// Median milliseconds from sending the vote that decides to when the parameter has its new value.
fn effect(network: &mut Network, members: usize) -> Result<f64, Failed> {
    let mut took = Vec::new();
    for value in 1..=VOTES {
        let payload = (B256::right_padding_from(PARAMETER.as_bytes()), value).abi_encode_params();
        let propose = IGovernance::proposeCall {
            kind: SET_PARAMETER,
            payload: payload.into(),
            reason: String::from("measured"),
        };
        done(network, 0, &propose)?;
        let id = u32::try_from(value).unwrap_or(u32::MAX);
        let execute = IGovernance::executeCall { id };
        for member in 0..members {
            let started = Instant::now();
            done(
                network,
                member,
                &IGovernance::voteCall { id, support: true },
            )?;
            if !would(network, &execute)? {
                continue;
            }
            done(network, 0, &execute)?;
            let name = B256::right_padding_from(PARAMETER.as_bytes());
            let now = ask(network, &IGovernance::parameterCall { name })?;
            let now = now.as_str().and_then(|now| now.parse::<U256>().ok());
            if now != Some(U256::from(value)) {
                return Err(Failed::Refused {
                    refused: 1,
                    first: format!("{PARAMETER} is {now:?}, not {value}"),
                });
            }
            took.push(started.elapsed().as_secs_f64() * 1e3);
            break;
        }
    }
    Ok(Rounds::from(took).median())
}

/// A member's call of `Governance`, until it is final.
fn done(network: &mut Network, member: usize, call: &impl SolCall) -> Result<(), Failed> {
    let request = json!([request(network.accounts[member], call)]);
    let hash = network.client.call("eth_sendTransaction", &request)?;
    let receipt = receipt(&mut network.client, &hash)?;
    match receipt["status"].as_str() {
        Some("0x1") => Ok(()),
        _ => Err(Failed::Refused {
            refused: 1,
            first: receipt.to_string(),
        }),
    }
}

/// Whether a call would do something now.
fn would(network: &mut Network, call: &impl SolCall) -> Result<bool, Failed> {
    match ask(network, call) {
        Ok(_) => Ok(true),
        Err(ClientError::Refused { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

fn ask(network: &mut Network, call: &impl SolCall) -> Result<Value, ClientError> {
    let request = json!([request(network.accounts[0], call), "latest"]);
    network.client.call("eth_call", &request)
}

fn request(from: Address, call: &impl SolCall) -> Value {
    json!({ "from": from, "to": GOVERNANCE, "data": hex::encode_prefixed(call.abi_encode()) })
}

impl Size {
    fn add(&self, programs: &Programs, report: &mut Report) {
        let Self {
            cities,
            placed,
            effect,
        } = self;
        let in_one = format!("{cities} cities in one process, QUIC over loopback, data on a disk");
        let measured = Measured {
            id: &format!("H1-n{cities:02}"),
            what: &format!("placements a second on a hub of {cities} validators"),
            target: "printed",
            unit: "placements/s",
            ours: placed,
            peer: None,
            commit: &programs.commit,
            not_done: format!(
                "{PLACED} on four cities each, sent one after the other by four members over one connection; those cities begin the chains meanwhile; {in_one}"
            ),
        };
        report.add(measured, |_, _| true);
        let measured = Measured {
            id: &format!("H2-n{cities:02}"),
            what: &format!(
                "sending the vote that decides → the parameter has its new value, on a hub of {cities} validators: p50 of a round"
            ),
            target: "printed",
            unit: "ms",
            ours: effect,
            peer: None,
            commit: &programs.commit,
            not_done: format!(
                "without a time lock: the vote, a look whether that decided, and `execute`, each final before the next; {VOTES} a round; {in_one}"
            ),
        };
        report.add(measured, |_, _| true);
    }
}
