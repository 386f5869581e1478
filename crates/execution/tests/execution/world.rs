//! A chain in memory: accounts to start with, transactions to sign, blocks to run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use execution::{BlockEnv, Executed, Executor, NoBlockHashes, Rules, Transaction};
use state::{AccountChange, Changes, History, Info, State, View};
use store::tables::{Batch, Rows, Snapshot, Tables, TablesError, TablesFigures, Value};
use types::{ChainId, FeeRule};

/// The chain of these tests.
pub(crate) const CHAIN: u64 = 31_337;

/// Tables in a map: a snapshot is a copy.
#[derive(Debug, Default)]
pub(crate) struct MemoryTables(Mutex<Rowset>);

#[derive(Clone, Debug, Default)]
struct Rowset(Arc<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Tables for MemoryTables {
    fn commit(&self, batch: Batch) -> Result<(), TablesError> {
        let mut rows = self.0.lock().unwrap();
        let rows = Arc::make_mut(&mut rows.0);
        for (key, value) in batch.writes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(self.0.lock().unwrap().clone())
    }

    fn flush(&self) -> Result<(), TablesError> {
        Ok(())
    }

    fn figures(&self) -> TablesFigures {
        TablesFigures::default()
    }
}

impl Snapshot for Rowset {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TablesError> {
        Ok(self.0.get(key).map(|value| Value::from(value.as_slice())))
    }

    fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        Box::new(self.0.range(from.to_vec()..to.to_vec()).map(row))
    }

    fn range_back<'a>(&'a self, from: &[u8], to: &[u8]) -> Rows<'a> {
        Box::new(self.0.range(from.to_vec()..to.to_vec()).rev().map(row))
    }
}

fn row((key, value): (&Vec<u8>, &Vec<u8>)) -> Result<(Value, Value), TablesError> {
    Ok((Value::from(key.as_slice()), Value::from(value.as_slice())))
}

/// A chain's state and its head.
#[derive(Debug)]
pub(crate) struct World {
    tables: MemoryTables,
    state: State,
    head: u64,
}

impl World {
    /// A chain whose block 0 makes `changes`.
    pub(crate) fn new(changes: &Changes) -> Self {
        let state = State::new(ChainId::DEVELOPMENT, History::Blocks(1), 1 << 20);
        let mut world = Self {
            tables: MemoryTables::default(),
            state,
            head: 0,
        };
        world.commit(&View::empty(), 0, changes);
        world
    }

    pub(crate) fn view(&self) -> View {
        self.state
            .view(self.tables.snapshot(), self.head, self.head)
            .unwrap()
    }

    /// Applies the next block's changes and gives the root.
    pub(crate) fn apply(&mut self, changes: &Changes) -> B256 {
        let view = self.view();
        self.commit(&view, self.head + 1, changes)
    }

    fn commit(&mut self, parent: &View, number: u64, changes: &Changes) -> B256 {
        let prepared = self.state.prepare(parent, number, changes).unwrap();
        let root = prepared.root();
        let mut batch = Batch::default();
        self.state.write(&prepared, &mut batch);
        self.tables.commit(batch).unwrap();
        self.state.adopt(prepared);
        self.head = number;
        root
    }

    /// The environment of the next block.
    pub(crate) fn env(&self) -> BlockEnv {
        BlockEnv {
            number: self.head + 1,
            beneficiary: Address::repeat_byte(0xbe),
            timestamp: 1_700_000_000 + self.head,
            gas_limit: 60_000_000,
            ..BlockEnv::default()
        }
    }

    /// Runs `transactions` as the next block, all of which must be taken, and applies it.
    pub(crate) fn block(&mut self, rules: &Rules, transactions: &[Transaction]) -> Executed {
        let view = self.view();
        let mut executor = Executor::new(rules, self.env(), &view, &NoBlockHashes).unwrap();
        for transaction in transactions {
            executor.execute(transaction).unwrap();
        }
        let executed = executor.finish().unwrap();
        self.apply(&executed.changes);
        executed
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        self.view()
            .account(address)
            .unwrap()
            .map_or(U256::ZERO, |account| account.balance)
    }
}

/// An account to start with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code: Bytes,
    pub(crate) storage: BTreeMap<U256, U256>,
}

/// The changes that make `accounts` out of nothing.
pub(crate) fn genesis(accounts: impl IntoIterator<Item = (Address, Start)>) -> Changes {
    let mut changes = Changes::default();
    for (
        address,
        Start {
            nonce,
            balance,
            code,
            storage,
        },
    ) in accounts
    {
        let code_hash = keccak256(&code);
        if !code.is_empty() {
            changes.codes.insert(code_hash, code);
        }
        let info = Some(Info {
            nonce,
            balance,
            code_hash,
        });
        changes.accounts.insert(
            address,
            AccountChange {
                info,
                wiped: false,
                storage,
            },
        );
    }
    changes
}

/// A contract with nothing but code.
pub(crate) fn contract(code: &[u8]) -> Start {
    Start {
        nonce: 1,
        code: code.to_vec().into(),
        ..Start::default()
    }
}

/// Our rules without a hub.
pub(crate) fn causeway(fee: FeeRule) -> Rules {
    Rules::causeway(CHAIN, fee, false)
}

/// The sender number `number`, always the same.
pub(crate) fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).unwrap()
}

/// A type 2 transaction with the fees that wallets fill in.
pub(crate) fn transaction(nonce: u64, to: TxKind, input: &[u8]) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 1_000_000,
        max_fee_per_gas: 30_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        input: input.to_vec().into(),
    }
}

/// A plain legacy transfer.
pub(crate) fn transfer(nonce: u64, to: Address, value: u64) -> TxLegacy {
    TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price: 0,
        gas_limit: 21_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        input: Bytes::new(),
    }
}

/// Signs.
pub(crate) fn sign<T>(transaction: T, key: &PrivateKeySigner) -> Transaction
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = key.sign_hash_sync(&transaction.signature_hash()).unwrap();
    let signed = TxEnvelope::from(transaction.into_signed(signature));
    Recovered::new_unchecked(signed, key.address())
}

/// Init code that deploys `runtime` (at most 255 bytes).
pub(crate) fn init_code(runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).unwrap();
    // PUSH1 length, PUSH1 10, PUSH0, CODECOPY, PUSH1 length, PUSH0, RETURN: ten bytes.
    let mut code = vec![0x60, length, 0x60, 10, 0x5f, 0x39, 0x60, length, 0x5f, 0xf3];
    code.extend_from_slice(runtime);
    code
}
