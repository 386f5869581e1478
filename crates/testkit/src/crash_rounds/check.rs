//! The program, started again, against the ledger.

use std::thread;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::FailureKind;
use super::ledger::Account;
use crate::client::{Client, ClientError};

/// Accounts that put on load; the others of the program stay idle.
const ACCOUNTS: usize = 4;
/// How long a pool that was kept may take to empty itself.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at the pool.
const PAUSE: Duration = Duration::from_millis(2);
/// Of older promises, as many of one account are looked at again in each round.
const SAMPLE: usize = 20;
/// Of the newest promises, as many are: more than one load gives.
const NEWEST: usize = 400;
/// What the contract's creation leaves behind.
const CODE: [u8; 8] = hex!("6020356000355500");

/// The accounts as they are in the beginning.
pub(super) fn endowments(
    client: &mut Client,
    addresses: &[Address],
) -> Result<Vec<Account>, FailureKind> {
    let addresses = &addresses[..addresses.len().min(ACCOUNTS)];
    addresses
        .iter()
        .map(|address| {
            let state = json!([address, "0x0"]);
            Ok(Account::new(
                *address,
                word(&client.call("eth_getBalance", &state)?),
            ))
        })
        .collect()
}

/// Checks everything; returns how many promised receipts were looked at.
pub(super) fn check(
    client: &mut Client,
    accounts: &mut [Account],
    shown: u64,
    keeps_pool: bool,
    mut sample: Option<&mut StdRng>,
) -> Result<u64, FailureKind> {
    drain(client, accounts)?;
    let height = client.call("eth_blockNumber", &json!([]))?;
    if number(&height).is_none_or(|height| height < shown) {
        return broken(format!("height {height}, but block {shown} was shown"));
    }
    let mut checked = 0;
    for account in accounts {
        let count = json!([account.address, "latest"]);
        let count = number(&client.call("eth_getTransactionCount", &count)?);
        let count = count
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(usize::MAX);
        let accepted = account.accepted();
        if keeps_pool && count < accepted {
            return broken(format!(
                "{}: {accepted} hashes were answered, {count} are on the chain",
                account.address
            ));
        }
        account.settle(count).map_err(FailureKind::Broken)?;
        checked += receipts(client, account, sample.as_deref_mut())?;
        state(client, account)?;
    }
    Ok(checked)
}

/// Waits until the pool that the program kept is executed, so that counts stand still.
fn drain(client: &mut Client, accounts: &[Account]) -> Result<(), FailureKind> {
    let until = Instant::now() + DRAIN;
    for account in accounts {
        loop {
            let count = |tag: &str| ("eth_getTransactionCount", json!([account.address, tag]));
            let counts = client.batch(&[count("latest"), count("pending")])?;
            let counts: Vec<_> = counts.into_iter().collect::<Result<_, _>>()?;
            if counts[0] == counts[1] {
                break;
            }
            if Instant::now() > until {
                return broken(format!(
                    "{}: transactions that it kept are not executed: {counts:?}",
                    account.address
                ));
            }
            thread::park_timeout(PAUSE);
        }
    }
    Ok(())
}

/// Looks at receipts again: all, or the newest and a sample.
fn receipts(
    client: &mut Client,
    account: &Account,
    mut sample: Option<&mut StdRng>,
) -> Result<u64, FailureKind> {
    let sent = &account.sent;
    let newest = if sample.is_some() {
        sent.len().saturating_sub(NEWEST)
    } else {
        0
    };
    let older = (0..SAMPLE.min(newest))
        .filter_map(|_| sample.as_mut().map(|rng| rng.random_range(0..newest)));
    let chosen: Vec<_> = older
        .chain(newest..sent.len())
        .map(|at| &sent[at])
        .collect();
    let mut checked = 0;
    // Well under what a batch may have.
    for some in chosen.chunks(50) {
        let calls: Vec<_> = some
            .iter()
            .filter_map(|sent| sent.receipt.as_ref())
            .flat_map(|receipt| {
                [
                    (
                        "eth_getTransactionReceipt",
                        json!([receipt["transactionHash"]]),
                    ),
                    (
                        "eth_getBlockByNumber",
                        json!([receipt["blockNumber"], false]),
                    ),
                ]
            })
            .collect();
        if calls.is_empty() {
            continue;
        }
        let mut answers = client.batch(&calls)?.into_iter();
        for promised in some.iter().filter_map(|sent| sent.receipt.as_ref()) {
            let mut next = || answers.next().expect("two answers a receipt");
            let (receipt, block) = (next()?, next()?);
            if receipt != *promised {
                return broken(format!("receipt was {promised}, is {receipt}"));
            }
            if block["hash"] != promised["blockHash"] {
                return broken(format!("the chain has another block than in {promised}"));
            }
            if promised["status"] != "0x1" {
                return broken(format!("a transaction failed: {promised}"));
            }
            checked += 1;
        }
    }
    Ok(checked)
}

/// Balances, code and storage follow from what is on the chain.
fn state(client: &mut Client, account: &Account) -> Result<(), FailureKind> {
    let expected = account.expected();
    let mut compare = |method: &str, params: Value, wanted: U256| {
        let found = word(&client.call(method, &params)?);
        if found == wanted {
            Ok(())
        } else {
            broken(format!("{method} {params} gives {found}, not {wanted}"))
        }
    };
    compare(
        "eth_getBalance",
        json!([account.address, "latest"]),
        expected.balance,
    )?;
    compare(
        "eth_getBalance",
        json!([account.recipient, "latest"]),
        expected.paid,
    )?;
    let Some((contract, slots)) = expected.contract else {
        return Ok(());
    };
    for (slot, value) in slots {
        let slot = B256::from(U256::from(slot));
        let params = json!([contract, slot, "latest"]);
        compare("eth_getStorageAt", params, U256::from(value))?;
    }
    let code = client.call("eth_getCode", &json!([contract, "latest"]))?;
    if code != json!(Bytes::from_static(&CODE)) {
        return broken(format!("the code of {contract} is {code}"));
    }
    Ok(())
}

fn broken<T>(what: String) -> Result<T, FailureKind> {
    Err(FailureKind::Broken(what))
}

/// A number of 256 bits as JSON-RPC writes it; what is none is the largest, which matches nothing.
fn word(value: &Value) -> U256 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits
        .and_then(|digits| U256::from_str_radix(digits, 16).ok())
        .unwrap_or(U256::MAX)
}

/// A height or a count.
pub(super) fn number(value: &Value) -> Option<u64> {
    u64::try_from(word(value)).ok()
}

impl From<serde_json::Error> for FailureKind {
    fn from(error: serde_json::Error) -> Self {
        Self::Client(ClientError::Json(error))
    }
}
