//! All state tests of execution-spec-tests: one transaction on a state, then the root and the logs.

use alloy_primitives::{Address, B256, keccak256};
use execution::{BlockEnv, BlockHashes, ExecuteError, Executor, recover};
use serde_json::Value;

use crate::vectors::{
    address, bytes, cases, files, number, only_transactions, pre, quantity, rules,
};
use crate::world::World;

/// What BLOCKHASH gives in state tests: keccak-256 of the number in decimal.
#[derive(Debug)]
struct NumberHashes;

impl BlockHashes for NumberHashes {
    fn block_hash(&self, number: u64) -> Option<B256> {
        Some(keccak256(number.to_string()))
    }
}

#[test]
fn every_state_test_ends_in_its_root() {
    let Some(files) = files("state_tests") else {
        return;
    };
    let half = files.len().div_ceil(2);
    let run = |files: &[std::path::PathBuf]| {
        let mut count = 0;
        let mut wrong = Vec::new();
        for path in files {
            for (name, case) in cases(path) {
                for (fork, posts) in case["post"].as_object().unwrap() {
                    for post in posts.as_array().unwrap() {
                        count += 1;
                        if let Err(why) = check(fork, &case, post) {
                            wrong.push(format!("{name} ({fork}): {why}"));
                        }
                    }
                }
            }
        }
        (count, wrong)
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(&files[half..]));
        (run(&files[..half]), other.join().unwrap())
    });
    let (count, wrong) = (first.0 + second.0, [first.1, second.1].concat());
    println!("{} of {count} state tests pass", count - wrong.len());
    assert!(count >= 5_000, "only {count} cases");
    assert!(
        wrong.is_empty(),
        "{} fail:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn check(fork: &str, case: &Value, post: &Value) -> Result<(), String> {
    let rules = only_transactions(&rules(fork, &case["config"]));
    let mut world = World::new(&pre(&case["pre"]));
    let view = world.view();
    let env = env(&case["env"]);
    let mut executor = Executor::new(&rules, env, &view, &NumberHashes).unwrap();
    let result = match recover(&bytes(&post["txbytes"])) {
        Ok(transaction) => {
            if transaction.signer() != address(&case["transaction"]["sender"]) {
                return Err(format!("the sender is {}", transaction.signer()));
            }
            match executor.execute(&transaction) {
                Ok(_) => Ok(()),
                Err(ExecuteError::Refused(refused)) => Err(refused.to_string()),
                Err(ExecuteError::Failed(failed)) => return Err(failed.to_string()),
            }
        }
        Err(error) => Err(error.to_string()),
    };
    match (result, post.get("expectException")) {
        (Ok(()), Some(expected)) => return Err(format!("not refused, expected {expected}")),
        (Err(refused), None) => return Err(format!("refused: {refused}")),
        _ => {}
    }
    let logs: Vec<_> = executor
        .receipts()
        .iter()
        .flat_map(|(_, receipt)| receipt.logs.clone())
        .collect();
    if keccak256(alloy_rlp::encode(&logs)) != hash(&post["logs"]) {
        return Err("the logs differ".to_owned());
    }
    let changes = executor.finish().unwrap().changes;
    let root = world.apply(&changes);
    if root == hash(&post["hash"]) {
        return Ok(());
    }
    let differs = post["state"]
        .as_object()
        .unwrap()
        .iter()
        .find(|(key, account)| {
            let key: Address = key.parse().unwrap();
            world.balance(key) != quantity(&account["balance"])
        });
    Err(format!(
        "the root is {root}, first other balance: {differs:?}"
    ))
}

fn env(env: &Value) -> BlockEnv {
    BlockEnv {
        number: number(&env["currentNumber"]),
        beneficiary: address(&env["currentCoinbase"]),
        timestamp: number(&env["currentTimestamp"]),
        gas_limit: number(&env["currentGasLimit"]),
        base_fee: number(&env["currentBaseFee"]),
        prev_randao: hash(&env["currentRandom"]),
        excess_blob_gas: Some(number(&env["currentExcessBlobGas"])),
        ..BlockEnv::default()
    }
}

fn hash(value: &Value) -> B256 {
    quantity(value).into()
}
