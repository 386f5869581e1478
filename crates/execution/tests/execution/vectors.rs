//! Where the public conformance vectors are, and what their JSON has in common.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, Bytes, U256, hex};
use execution::{RequestsRule, Rules, SpecId, SystemCalls};
use serde_json::Value;
use state::Changes;

use crate::world::{Start, genesis};

/// The files of one suite, or `None` where the vectors are not at hand and need not be.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment says where the vectors are"
)]
pub(crate) fn files(suite: &str) -> Option<Vec<PathBuf>> {
    let root = std::env::var("CAUSEWAY_VECTORS").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join("execution-spec-tests").join(suite);
    if !folder.is_dir() {
        assert!(
            std::env::var("CI").is_err(),
            "no vectors at {}",
            folder.display()
        );
        println!(
            "skipped: no vectors at {} (set CAUSEWAY_VECTORS)",
            folder.display()
        );
        return None;
    }
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Some(files)
}

/// The cases of a file by name.
pub(crate) fn cases(path: &Path) -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn number(value: &Value) -> u64 {
    quantity(value).to()
}

pub(crate) fn quantity(value: &Value) -> U256 {
    value.as_str().unwrap().parse().unwrap()
}

pub(crate) fn bytes(value: &Value) -> Bytes {
    hex::decode(value.as_str().unwrap()).unwrap().into()
}

pub(crate) fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

/// The state that a case starts from.
pub(crate) fn pre(value: &Value) -> Changes {
    genesis(value.as_object().unwrap().iter().map(|(address, account)| {
        let storage = account["storage"].as_object().unwrap();
        let storage = storage
            .iter()
            .map(|(slot, value)| (slot.parse().unwrap(), quantity(value)));
        let start = Start {
            nonce: number(&account["nonce"]),
            balance: quantity(&account["balance"]),
            code: bytes(&account["code"]),
            storage: storage.filter(|(_, value)| !value.is_zero()).collect(),
        };
        (address.parse().unwrap(), start)
    }))
}

/// Ethereum's rules at a fork, with the blob schedule of `config`.
pub(crate) fn rules(fork: &str, config: &Value) -> Rules {
    let spec = match fork {
        "Shanghai" => SpecId::SHANGHAI,
        "Cancun" => SpecId::CANCUN,
        "Prague" => SpecId::PRAGUE,
        "Osaka" => SpecId::OSAKA,
        other => panic!("no rules for {other}"),
    };
    let mut rules = Rules::ethereum(number(&config["chainid"]), spec);
    if let (Some(blobs), Some(schedule)) = (rules.blobs, config["blobSchedule"].get(fork)) {
        let max = number(&schedule["max"]);
        rules.blobs = Some(BlobParams {
            target_blob_count: number(&schedule["target"]),
            max_blob_count: max,
            update_fraction: number(&schedule["baseFeeUpdateFraction"]).into(),
            max_blobs_per_tx: if spec == SpecId::OSAKA {
                blobs.max_blobs_per_tx
            } else {
                max
            },
            ..blobs
        });
    }
    rules
}

/// The same without all that happens at a block's ends.
pub(crate) fn only_transactions(rules: &Rules) -> Rules {
    Rules {
        system_calls: SystemCalls::default(),
        requests: RequestsRule::None,
        withdrawals: false,
        ..rules.clone()
    }
}
