//! The block tests of execution-spec-tests, as far as execution goes: what a block does, compared with its header.
//!
//! A block that is wrong in its header alone is `chain`'s to refuse; one whose *transactions* cannot be is refused here.

use std::collections::BTreeMap;

use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_consensus::{Block, BlockHeader as _, Header, TxEnvelope};
use alloy_primitives::B256;
use alloy_rlp::Decodable as _;
use execution::{BlockEnv, BlockHashes, Executor, RequestsRule, Rules};
use serde_json::Value;

use crate::vectors::{bytes, cases, files, pre, rules};
use crate::world::World;

/// Forks that change at [`CHANGE_AT`]: before and after.
const FORKS: [(&str, &str, &str); 3] = [
    ("ShanghaiToCancunAtTime15k", "Shanghai", "Cancun"),
    ("CancunToPragueAtTime15k", "Cancun", "Prague"),
    ("PragueToOsakaAtTime15k", "Prague", "Osaka"),
];
/// What is wrong in a header alone: nothing that execution looks at.
const HEADER_ALONE: [&str; 3] = [
    "BlockException.INVALID_BASEFEE_PER_GAS",
    "BlockException.INCORRECT_EXCESS_BLOB_GAS",
    "BlockException.INVALID_GASLIMIT",
];
/// Unix seconds.
const CHANGE_AT: u64 = 15_000;

#[derive(Debug, Default)]
struct Known(BTreeMap<u64, B256>);

impl BlockHashes for Known {
    fn block_hash(&self, number: u64) -> Option<B256> {
        self.0.get(&number).copied()
    }
}

#[test]
fn every_valid_block_does_what_its_header_says() {
    let Some(files) = files("blockchain_tests") else {
        return;
    };
    let (mut valid, mut refused, mut headers) = (0, 0, 0);
    let mut wrong = Vec::new();
    for path in files {
        for (name, case) in cases(&path) {
            match check(&case) {
                Ok(counts) => {
                    valid += counts[0];
                    refused += counts[1];
                    headers += counts[2];
                }
                Err(why) => wrong.push(format!("{name}: {why}")),
            }
        }
    }
    println!(
        "{valid} valid blocks agree, {refused} invalid ones are refused, {headers} are wrong in their header alone"
    );
    assert!(
        wrong.is_empty(),
        "{} fail:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(valid > 300 && refused > 20, "too few cases");
}

/// Counts: valid and agreed, invalid and refused, invalid but only by header.
fn check(case: &Value) -> Result<[usize; 3], String> {
    let mut world = World::new(&pre(&case["pre"]));
    let genesis = Block::<TxEnvelope>::decode(&mut bytes(&case["genesisRLP"]).as_ref())
        .map_err(|error| error.to_string())?;
    let mut known = Known::default();
    known.0.insert(0, genesis.header.hash_slow());
    let mut head = known.0[&0];
    let mut counts = [0; 3];
    for block in case["blocks"].as_array().unwrap() {
        let expected = block.get("expectException").and_then(Value::as_str);
        let result = Block::<TxEnvelope>::decode(&mut bytes(&block["rlp"]).as_ref())
            .map_err(|error| error.to_string())
            .and_then(|block| run(case, &world, &known, head, block));
        match (result, expected) {
            (Ok((header, changes)), None) => {
                let root = world.apply(&changes);
                if root != header.state_root {
                    return Err(format!("block {}: root {root}", header.number));
                }
                head = header.hash_slow();
                known.0.insert(header.number, head);
                counts[0] += 1;
            }
            (Err(_), Some(_)) => counts[1] += 1,
            (Ok(_), Some(expected)) if HEADER_ALONE.contains(&expected) => counts[2] += 1,
            (Ok(_), Some(expected)) => return Err(format!("not refused, expected {expected}")),
            (Err(why), None) => return Err(why),
        }
    }
    let last: B256 = case["lastblockhash"].as_str().unwrap().parse().unwrap();
    if head == last {
        Ok(counts)
    } else {
        Err(format!("the head is {head}"))
    }
}

fn run(
    case: &Value,
    world: &World,
    known: &Known,
    parent: B256,
    block: Block<TxEnvelope>,
) -> Result<(Header, state::Changes), String> {
    let header = block.header;
    let rules = rules_at(case, header.timestamp);
    let env = BlockEnv {
        number: header.number,
        beneficiary: header.beneficiary,
        timestamp: header.timestamp,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee_per_gas().unwrap_or_default(),
        prev_randao: header.mix_hash,
        difficulty: header.difficulty,
        parent_beacon_block_root: header.parent_beacon_block_root,
        parent_hash: parent,
        excess_blob_gas: header.excess_blob_gas,
        withdrawals: block.body.withdrawals.unwrap_or_default().into_inner(),
        ommers: Vec::new(),
    };
    let view = world.view();
    let fail = |error: &dyn std::error::Error| format!("block {}: {error}", header.number);
    let mut executor = Executor::new(&rules, env, &view, known).map_err(|error| fail(&error))?;
    for transaction in block.body.transactions {
        let transaction = transaction
            .try_into_recovered()
            .map_err(|error| fail(&error))?;
        executor
            .execute(&transaction)
            .map_err(|error| fail(&error))?;
    }
    let executed = executor.finish().map_err(|error| fail(&error))?;
    let requests = rules.requests != RequestsRule::None;
    let differs = [
        ("gas used", executed.gas_used != header.gas_used),
        (
            "receipts root",
            executed.receipts_root != header.receipts_root,
        ),
        ("bloom", executed.logs_bloom != header.logs_bloom),
        (
            "blob gas",
            executed.blob_gas_used != header.blob_gas_used.unwrap_or_default(),
        ),
        (
            "requests",
            requests && Some(executed.requests.requests_hash()) != header.requests_hash,
        ),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((what, _)) => Err(format!("block {}: other {what}", header.number)),
        None => Ok((header, executed.changes)),
    }
}

fn rules_at(case: &Value, timestamp: u64) -> Rules {
    let network = case["network"].as_str().unwrap();
    let change = FORKS.iter().find(|(name, ..)| *name == network);
    let fork = match change {
        Some((_, before, _)) if timestamp < CHANGE_AT => before,
        Some((_, _, after)) => after,
        None => network,
    };
    rules(fork, &case["config"])
}
