//! A chain of random blocks, beside a plain model of what its state must be.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::HashBuilder;
use alloy_trie::Nibbles;
use alloy_trie::proof::verify_proof;
use store::simulated::Disk;
use store::tables::{Batch, Tables};
use types::ChainId;

use crate::account::encode_slot_leaf;
use crate::{
    Account, AccountChange, AccountProof, Changes, EMPTY_ROOT, History, Info, State, View,
};

/// Numbers from a seed (splitmix64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What the state must be.
pub(super) type Model = BTreeMap<Address, (Info, BTreeMap<U256, U256>)>;

/// A committed chain: its tables, its state, and how far it is.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) tables: Arc<dyn Tables>,
    pub(super) state: State,
    pub(super) head: Option<u64>,
    pub(super) model: Model,
    keep: History,
    /// Bytes that were said to be added, while nothing was forgotten.
    size: Option<i64>,
}

/// Table bytes of what a state holds, without the row that says how much of the past it keeps.
const STATE: RangeInclusive<u8> = 0x10..=0x16;
/// Table byte of codes, which are counted each time that they are written.
const CODE: u8 = 0x14;

const CACHE_BYTES: usize = 1 << 20;

fn state(keep: History) -> State {
    State::new(ChainId::DEVELOPMENT, keep, CACHE_BYTES)
}

pub(super) fn address(n: u64) -> Address {
    Address::left_padding_from(&(n + 1).to_be_bytes())
}

impl Chain {
    pub(super) fn new(keep: History) -> Self {
        Self::on(Arc::new(Disk::new(1).open_tables()), keep)
    }

    pub(super) fn on(tables: Arc<dyn Tables>, keep: History) -> Self {
        Self {
            tables,
            state: state(keep),
            head: None,
            model: Model::new(),
            keep,
            size: (keep == History::All).then_some(0),
        }
    }

    /// Goes on with less or more of the past.
    pub(super) fn keep(&mut self, keep: History) {
        self.keep = keep;
        self.size = None;
        self.reopen();
    }

    /// Forgets all that is not in rows.
    pub(super) fn reopen(&mut self) {
        self.state = state(self.keep);
    }

    pub(super) fn with_cache(&mut self, bytes: usize) {
        self.state = State::new(ChainId::DEVELOPMENT, self.keep, bytes);
    }

    pub(super) fn latest(&self) -> View {
        self.head.map_or_else(View::empty, |head| self.view(head))
    }

    pub(super) fn view(&self, number: u64) -> View {
        self.state
            .view(self.tables.snapshot(), self.head.unwrap(), number)
            .unwrap()
    }

    /// All rows whose table byte is in the range.
    pub(super) fn rows(&self, tables: RangeInclusive<u8>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let snapshot = self.tables.snapshot();
        let rows = snapshot.range(&[0], &[0xff; 9]).map(|row| row.unwrap());
        rows.filter(|(key, _)| tables.contains(&key[8]))
            .map(|(k, v)| (k.to_vec(), v.to_vec()))
            .collect()
    }

    /// Applies a block to chain and model; gives the rows that were read.
    pub(super) fn block(&mut self, changes: &Changes) -> u64 {
        let number = self.head.map_or(0, |head| head + 1);
        let prepared = self.state.prepare(&self.latest(), number, changes).unwrap();
        for (address, change) in &changes.accounts {
            apply(&mut self.model, *address, change);
        }
        assert_eq!(prepared.root(), root(&self.model), "block {number}");
        let reads = prepared.rows_read();
        let mut batch = Batch::default();
        let before = self.tables.snapshot();
        let grown = self.state.write(&prepared, &mut batch);
        let codes = batch.writes.iter().filter(|(key, _)| key[8] == CODE);
        let again = codes.filter(|(key, _)| before.get(key).unwrap().is_some());
        let again: usize = again
            .map(|(key, code)| key.len() + code.as_ref().map_or(0, Vec::len))
            .sum();
        self.tables.commit(batch).unwrap();
        if let Some(size) = &mut self.size {
            *size += grown - i64::try_from(again).unwrap();
            let rows = self.rows(STATE).into_iter();
            let held: usize = rows.map(|(key, row)| key.len() + row.len()).sum();
            let held = i64::try_from(held).unwrap();
            assert_eq!(self.size, Some(held), "block {number}");
        }
        self.state.adopt(prepared);
        self.head = Some(number);
        reads
    }

    /// A block that makes all of a model, from nothing.
    pub(super) fn of_model(model: &Model) -> Self {
        let mut chain = Self::new(History::All);
        let accounts = model.iter().map(|(address, (info, storage))| {
            let change = AccountChange {
                info: Some(*info),
                wiped: false,
                storage: storage.clone(),
            };
            (*address, change)
        });
        chain.block(&Changes {
            accounts: accounts.collect(),
            ..Changes::default()
        });
        chain
    }
}

fn apply(model: &mut Model, address: Address, change: &AccountChange) {
    let Some(info) = change.info else {
        model.remove(&address);
        return;
    };
    let (kept, storage) = model.entry(address).or_default();
    *kept = info;
    if change.wiped {
        storage.clear();
    }
    for (slot, value) in &change.storage {
        if value.is_zero() {
            storage.remove(slot)
        } else {
            storage.insert(*slot, *value)
        };
    }
}

fn trie_root(mut leaves: Vec<(B256, Vec<u8>)>) -> B256 {
    leaves.sort();
    let mut builder = HashBuilder::default();
    for (key, leaf) in leaves {
        builder.add_leaf(Nibbles::unpack(key), &leaf);
    }
    builder.root()
}

pub(super) fn storage_root(storage: &BTreeMap<U256, U256>) -> B256 {
    let leaf = |(slot, value): (&U256, &U256)| {
        (
            keccak256(slot.to_be_bytes::<32>()),
            alloy_trie_number(*value),
        )
    };
    trie_root(storage.iter().map(leaf).collect())
}

fn alloy_trie_number(value: U256) -> Vec<u8> {
    let mut leaf = Vec::new();
    alloy_rlp::Encodable::encode(&value, &mut leaf);
    let mut ours = Vec::new();
    encode_slot_leaf(value, &mut ours);
    assert_eq!(leaf, ours);
    leaf
}

pub(super) fn account(model: &Model, address: Address) -> Option<Account> {
    let (
        Info {
            nonce,
            balance,
            code_hash,
        },
        storage,
    ) = model.get(&address)?;
    let (nonce, balance, code_hash) = (*nonce, *balance, *code_hash);
    Some(Account {
        nonce,
        balance,
        code_hash,
        storage_root: storage_root(storage),
    })
}

fn account_leaf(account: Account) -> Vec<u8> {
    let Account {
        nonce,
        balance,
        storage_root,
        code_hash,
    } = account;
    alloy_rlp::encode(alloy_trie::TrieAccount::new(
        nonce,
        balance,
        storage_root,
        code_hash,
    ))
}

pub(super) fn root(model: &Model) -> B256 {
    let leaf = |address: &Address| {
        (
            keccak256(address),
            account_leaf(account(model, *address).unwrap()),
        )
    };
    trie_root(model.keys().map(leaf).collect())
}

/// Checks a proof as a light client would.
pub(super) fn verify(root: B256, address: Address, proof: &AccountProof) {
    let leaf = proof.account.map(account_leaf);
    verify_proof(
        root,
        Nibbles::unpack(keccak256(address)),
        leaf,
        &proof.account_proof,
    )
    .unwrap();
    assert_eq!(
        proof.storage_root,
        proof
            .account
            .map_or(EMPTY_ROOT, |account| account.storage_root)
    );
    for slot in &proof.storage {
        let leaf = (!slot.value.is_zero()).then(|| alloy_trie_number(slot.value));
        let key = Nibbles::unpack(keccak256(slot.slot));
        verify_proof(proof.storage_root, key, leaf, &slot.proof).unwrap();
    }
}

pub(super) const ACCOUNTS: u64 = 48;
pub(super) const SLOTS: u64 = 24;

/// A block of a few changes: transfers, slots set and cleared, deletions, re-creations.
pub(super) fn random_changes(random: &mut Random) -> Changes {
    let mut changes = Changes::default();
    for _ in 0..random.below(6) {
        let change = changes
            .accounts
            .entry(address(random.below(ACCOUNTS)))
            .or_default();
        *change = random_change(random);
    }
    changes
}

fn random_change(random: &mut Random) -> AccountChange {
    let kind = random.below(12);
    if kind == 0 {
        return AccountChange {
            wiped: random.below(2) == 0,
            ..AccountChange::default()
        };
    }
    let info = Info {
        nonce: random.next() >> random.below(64),
        balance: U256::from(random.next()) << usize::try_from(random.below(150)).unwrap(),
        code_hash: if random.below(3) == 0 {
            B256::repeat_byte(7)
        } else {
            Info::default().code_hash
        },
    };
    let mut storage = BTreeMap::new();
    let slots = if kind < 5 {
        0
    } else {
        random.below(if kind == 5 { SLOTS } else { 5 })
    };
    for _ in 0..slots {
        let value = if random.below(3) == 0 {
            0
        } else {
            random.next() >> random.below(64)
        };
        storage.insert(U256::from(random.below(SLOTS)), U256::from(value));
    }
    AccountChange {
        info: Some(info),
        wiped: random.below(8) == 0,
        storage,
    }
}
