//! What is held in memory of a chain's latest block.
//!
//! Sixteen shards, by the first nibble of the hashed address or path, so that two threads seldom meet. Each shard says
//! of which block it is; a reader of another block is told nothing. What was not used since about half the bound was
//! filled is dropped: a generation at a time, so that a hit writes nothing and there is no list to keep.

use std::hash::Hash;

use alloy_primitives::map::HashMap;
use alloy_primitives::{B256, U256};
use parking_lot::{Mutex, MutexGuard};

use crate::Account;
use crate::trie::{Branch, Path, Trie};

const SHARDS: usize = 16;

/// Memory of a map's entry besides what is in it, about.
const ENTRY_BYTES: usize = 24;

/// Branches, accounts and slots of one block.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug)]
struct Shard {
    /// The block all entries are of.
    number: Option<u64>,
    held: Held,
}

/// The entries of one shard. `None` and zero say that there is nothing.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) branches: Generations<(Trie, Path), Option<Branch>>,
    pub(crate) accounts: Generations<B256, Option<Account>>,
    pub(crate) slots: Generations<(B256, B256), U256>,
}

impl Cache {
    /// A cache of at most about `bytes`: half for branches, a quarter each for accounts and slots.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes / SHARDS;
        let shards = std::array::from_fn(|_| {
            let held = Held {
                branches: Generations::new(bytes / 2),
                accounts: Generations::new(bytes / 4),
                slots: Generations::new(bytes / 4),
            };
            Mutex::new(Shard { number: None, held })
        });
        Self { shards }
    }

    /// If nothing is held yet, it will be of block `number`.
    pub(crate) fn begin(&self, number: u64) {
        for shard in &self.shards {
            shard.lock().number.get_or_insert(number);
        }
    }

    /// Forgets what is of an older block than `number`.
    pub(crate) fn catch_up(&self, number: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            if shard.number.is_none_or(|held| held < number) {
                shard.held.clear();
                shard.number = Some(number);
            }
        }
    }

    /// Locks everything for entries of block `number`. What is held of another block than `parent` is forgotten.
    pub(crate) fn advance(&self, parent: Option<u64>, number: u64) -> Advancing<'_> {
        let shards = self.shards.each_ref().map(|shard| {
            let mut shard = shard.lock();
            if shard.number != parent {
                shard.held.clear();
            }
            shard.number = Some(number);
            shard
        });
        Advancing { shards }
    }

    /// Does `ask` with the shard, if it is of block `number`.
    pub(crate) fn with<T>(
        &self,
        shard: usize,
        number: u64,
        ask: impl FnOnce(&mut Held) -> Option<T>,
    ) -> Option<T> {
        let mut shard = self.shards[shard % SHARDS].lock();
        if shard.number == Some(number) {
            ask(&mut shard.held)
        } else {
            None
        }
    }
}

/// All shards, locked in order, so that no reader sees half a block.
#[derive(Debug)]
pub(crate) struct Advancing<'a> {
    shards: [MutexGuard<'a, Shard>; SHARDS],
}

impl Advancing<'_> {
    pub(crate) fn shard(&mut self, shard: usize) -> &mut Held {
        &mut self.shards[shard % SHARDS].held
    }
}

impl Held {
    fn clear(&mut self) {
        self.branches.clear();
        self.accounts.clear();
        self.slots.clear();
    }

    pub(crate) fn put_branch(&mut self, trie: Trie, path: Path, branch: Option<Branch>) {
        let bytes = branch.as_ref().map_or(0, |branch| branch.bytes());
        self.branches.put((trie, path), branch, bytes);
    }

    pub(crate) fn put_account(&mut self, hashed: B256, account: Option<Account>) {
        self.accounts.put(hashed, account, 0);
    }

    pub(crate) fn put_slot(&mut self, key: (B256, B256), value: U256) {
        self.slots.put(key, value, 0);
    }
}

/// The shard of a hashed address.
pub(crate) fn shard_of(hashed: &B256) -> usize {
    usize::from(hashed[0] >> 4)
}

/// The shard of a branch.
pub(crate) fn shard_of_branch(trie: &Trie, path: &Path) -> usize {
    match trie {
        Trie::Accounts => path.first(),
        Trie::Storage(account) => shard_of(account),
    }
}

/// A bounded map: what was used lately is in the young generation; when that has filled half of the bound, it becomes
/// the old one, and the old one goes.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    /// Value and its weight in bytes.
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// Of the young generation, about.
    bytes: usize,
    /// Most bytes of a generation.
    most: usize,
}

impl<K: Hash + Eq, V: Clone> Generations<K, V> {
    fn new(bytes: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            bytes: 0,
            most: bytes / 2,
        }
    }

    /// The value, made young again.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = self.old.remove_entry(key)?;
        self.put_weighed(key, value.clone(), weight);
        Some(value)
    }

    /// `bytes` is what the value takes besides its own size.
    fn put(&mut self, key: K, value: V, bytes: usize) {
        self.put_weighed(key, value, bytes + size_of::<(K, V, usize)>() + ENTRY_BYTES);
    }

    fn put_weighed(&mut self, key: K, value: V, weight: usize) {
        if self.bytes + weight > self.most {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        // What the old generation has of this key is hidden by the young one, and is dropped before it.
        if let Some((_, replaced)) = self.young.insert(key, (value, weight)) {
            self.bytes -= replaced;
        }
        self.bytes += weight;
    }

    fn clear(&mut self) {
        self.young = HashMap::default();
        self.old = HashMap::default();
        self.bytes = 0;
    }
}
