//! How many transactions a second one thread executes over a state in memory: `cargo run -p execution --example throughput`.
//!
//! Not counted: signatures, the state root, any disk. Prints, asserts nothing. The figure to compare with, revm's journal
//! alone over its own in-memory database, is printed beside it, from the same run, round by round.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction as _, TxEnvelope, TxLegacy};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use execution::{BlockEnv, Executor, FeeRule, NoBlockHashes, Rules, Transaction};
use revm::context::TxEnv;
use revm::database::{CacheDB, EmptyDB};
use revm::state::AccountInfo;
use revm::{Context, ExecuteEvm as _, MainBuilder as _, MainContext as _};
use state::{AccountChange, Changes, History, Info, State, View};
use store::tables::{Batch, Rows, Snapshot, TablesError, Value};
use types::ChainId;

/// Transactions in a block.
const TRANSACTIONS: u64 = 2_800;
/// Different senders, and as many recipients.
const ACCOUNTS: u64 = 1_000;
const ROUNDS: usize = 9;

#[derive(Debug, Default)]
struct Memory(BTreeMap<Vec<u8>, Vec<u8>>);

impl Snapshot for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError> {
        Ok(self.0.get(key).map(|value| Value::from(value.as_slice())))
    }

    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        let rows = self.0.range(from.to_vec()..to.to_vec());
        Box::new(rows.map(|(k, v)| Ok((Value::from(k.as_slice()), Value::from(v.as_slice())))))
    }

    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        let rows = self.0.range(from.to_vec()..to.to_vec()).rev();
        Box::new(rows.map(|(k, v)| Ok((Value::from(k.as_slice()), Value::from(v.as_slice())))))
    }
}

fn account(number: u64) -> Address {
    Address::left_padding_from(&(0x1000 + number).to_be_bytes())
}

fn view() -> View {
    let state = State::new(ChainId::DEVELOPMENT, History::Blocks(1), 8 << 20);
    let mut changes = Changes::default();
    for number in 0..ACCOUNTS {
        let info = Info {
            balance: U256::from(1_u64 << 60),
            ..Info::default()
        };
        let change = AccountChange {
            info: Some(info),
            ..AccountChange::default()
        };
        changes.accounts.insert(account(number), change);
    }
    let prepared = state
        .prepare(&View::empty(), 0, &changes)
        .expect("memory does not fail");
    let mut batch = Batch::default();
    state.write(&prepared, &mut batch);
    state.adopt(prepared);
    let rows = batch
        .writes
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    state
        .view(Arc::new(Memory(rows.collect())), 0, 0)
        .expect("block 0 is there")
}

fn transfers() -> Vec<Transaction> {
    let one = |number: u64| {
        let transfer = TxLegacy {
            chain_id: Some(31_337),
            nonce: number / ACCOUNTS,
            gas_price: 0,
            gas_limit: 21_000,
            to: TxKind::Call(account(ACCOUNTS + number * 7 % ACCOUNTS)),
            value: U256::from(1),
            input: Bytes::new(),
        };
        let signed = transfer.into_signed(Signature::test_signature());
        Recovered::new_unchecked(TxEnvelope::from(signed), account(number % ACCOUNTS))
    };
    (0..TRANSACTIONS).map(one).collect()
}

#[expect(clippy::disallowed_methods, reason = "an example that measures")]
fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Time of the transactions, and of the block's end: receipts, their root, the changes.
fn ours(rules: &Rules, view: &View, transactions: &[Transaction]) -> (Duration, Duration) {
    let env = BlockEnv {
        number: 1,
        gas_limit: 60_000_000,
        ..BlockEnv::default()
    };
    let mut executor = Executor::new(rules, env, view, &NoBlockHashes).expect("memory");
    let execute = timed(|| {
        for transaction in transactions {
            executor
                .execute(transaction)
                .expect("a transfer between funded accounts");
        }
    });
    let finish = timed(|| {
        let executed = executor.finish().expect("memory does not fail");
        assert_eq!(executed.receipts.len(), transactions.len());
    });
    (execute, finish)
}

fn alone(database: &CacheDB<EmptyDB>, transactions: Vec<TxEnv>) {
    let mut evm = Context::mainnet().with_db(database.clone()).build_mainnet();
    for transaction in transactions {
        evm.transact_one(transaction)
            .expect("a transfer between funded accounts");
    }
    evm.finalize();
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() {
    let rules = Rules::causeway(31_337, FeeRule::Free, false);
    let (view, transactions) = (view(), transfers());
    let mut database = CacheDB::new(EmptyDB::default());
    for number in 0..ACCOUNTS {
        let info = AccountInfo {
            balance: U256::from(1_u64 << 60),
            ..AccountInfo::default()
        };
        database.insert_account_info(account(number), info);
    }
    let (mut peer, mut execute, mut block) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let environments: Vec<_> = transactions
            .iter()
            .zip(0..)
            .map(|(transaction, number)| TxEnv {
                caller: transaction.signer(),
                gas_limit: 21_000,
                kind: TxKind::Call(account(ACCOUNTS + number * 7 % ACCOUNTS)),
                value: U256::from(1),
                nonce: number / ACCOUNTS,
                ..TxEnv::default()
            })
            .collect();
        peer.push(timed(|| alone(&database, environments)));
        let (executed, finished) = ours(&rules, &view, &transactions);
        execute.push(executed);
        block.push(executed + finished);
    }
    let figures = [
        ("revm's journal alone", &mut peer),
        ("executor, transactions", &mut execute),
        (
            "executor, whole block with receipts' root and changes",
            &mut block,
        ),
    ];
    for (name, times) in figures {
        times.sort_unstable();
        let rate = |time: &Duration| TRANSACTIONS as f64 / time.as_secs_f64() / 1_000.0;
        let (least, median) = (rate(&times[ROUNDS - 1]), rate(&times[ROUNDS / 2]));
        println!(
            "{name}: {median:.0} k transfers/s (least {least:.0}, best {:.0})",
            rate(&times[0])
        );
    }
}
