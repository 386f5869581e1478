//! What is held in memory of a chain's latest block.
//!
//! Sixteen shards, by the first nibble of the hashed address or path, so that two threads seldom meet. Each shard says
//! of which block it is; a reader of another block is told nothing. What was not used since about half the bound was
//! filled is dropped: a generation at a time, so that a hit writes nothing and there is no list to keep.

mod generations;
mod table;

use alloy_primitives::map::HashMap;
use alloy_primitives::{B256, U256};
use parking_lot::{Mutex, MutexGuard};

use self::generations::{Generations, Weighed};
use self::table::Table;
use crate::trie::{Ahead, Branch, Change, Path, Trie};
use crate::{Account, EMPTY_CODE_HASH, EMPTY_ROOT};

pub(crate) const SHARDS: usize = 16;

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
    /// Of the account trie, by [`Path::short`].
    branches: Generations<Table<u64, Option<Branch>>>,
    /// All others.
    long_branches: Generations<HashMap<(Trie, Path), Option<Branch>>>,
    accounts: Generations<Table<B256, Option<Lean>>>,
    slots: Generations<HashMap<(B256, B256), U256>>,
}

/// An account as it is held: most have neither code nor storage.
#[derive(Clone, Debug)]
struct Lean {
    nonce: u64,
    balance: U256,
    /// Hash of the code, root of the storage.
    contract: Option<Box<[B256; 2]>>,
}

impl Cache {
    /// A cache of at most about `bytes`: a quarter each for branches of the account trie, those of storage tries, accounts
    /// and slots.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes / SHARDS;
        let shards = std::array::from_fn(|_| {
            let held = Held {
                branches: Generations::new(bytes / 4),
                long_branches: Generations::new(bytes / 4),
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
        self.long_branches.clear();
        self.accounts.clear();
        self.slots.clear();
    }

    pub(crate) fn branch(&mut self, trie: &Trie, path: &Path) -> Option<Option<Branch>> {
        match (trie, path.short()) {
            (Trie::Accounts, Some(path)) => self.branches.get(&path),
            _ => self.long_branches.get(&(*trie, *path)),
        }
    }

    pub(crate) fn put_branch(&mut self, trie: Trie, path: Path, branch: Option<Branch>) {
        match (trie, path.short()) {
            (Trie::Accounts, Some(path)) => self.branches.put(path, branch),
            _ => self.long_branches.put((trie, path), branch),
        }
    }

    /// The same of a row that was written, over the one before where that is as long.
    pub(crate) fn write_branch(&mut self, trie: Trie, path: Path, row: Option<&[u8]>) {
        let held = match (trie, path.short()) {
            (Trie::Accounts, Some(path)) => self.branches.young_mut().get_mut(path),
            _ => None,
        };
        if let (Some(Some(branch)), Some(row)) = (held, row)
            && branch.overwrite(row)
        {
            return;
        }
        self.put_branch(trie, path, row.map(Branch::written));
    }

    /// The branches of the account trie that changes will go through, level by level: the processor waits for many of
    /// them at once, and not for one after the other between two hashes. Changes ascend and have one first nibble.
    pub(crate) fn ahead(&self, changes: &[Change<'_>]) -> Ahead {
        if let [change] = changes {
            return self.ahead_of(&change.key);
        }
        let branches = self.branches.young();
        let mut keys: Vec<&B256> = changes.iter().map(|change| &change.key).collect();
        let mut ahead = Ahead::default();
        for depth in 1..=Path::SHORT {
            let mut paths: Vec<u64> = keys
                .iter()
                .map(|key| Path::short_prefix(key, depth))
                .collect();
            paths.dedup();
            let near = paths.iter().filter_map(|path| branches.near(*path));
            wait_for(near.map(|(path, _)| path.to_le_bytes()[0]));
            let level: Vec<(u64, &Branch)> = paths
                .iter()
                .filter_map(|path| Some((*path, branches.get(*path)?.as_ref()?)))
                .collect();
            wait_for(level.iter().map(|(_, branch)| branch.touch()));
            if level.is_empty() {
                break;
            }
            let mut next = level.iter().peekable();
            keys.retain(|key| {
                let path = Path::short_prefix(key, depth);
                while next.next_if(|(before, _)| *before < path).is_some() {}
                next.peek()
                    .is_some_and(|(found, branch)| *found == path && branch.leads_on(key, depth))
            });
            let level = level.into_iter();
            ahead.push(level.map(|(path, branch)| (path, branch.clone())).collect());
        }
        ahead
    }

    /// The same of one change, of which all levels are read at once.
    fn ahead_of(&self, key: &B256) -> Ahead {
        let branches = self.branches.young();
        let paths = (1..=Path::SHORT).map(|depth| Path::short_prefix(key, depth));
        let near = paths.clone().filter_map(|path| branches.near(path));
        wait_for(near.map(|(path, _)| path.to_le_bytes()[0]));
        let found: Vec<(u64, &Branch)> = paths
            .map_while(|path| Some((path, branches.get(path)?.as_ref()?)))
            .collect();
        wait_for(found.iter().map(|(_, branch)| branch.touch()));
        let mut ahead = Ahead::default();
        for (path, branch) in found {
            ahead.push(vec![(path, branch.clone())]);
        }
        ahead
    }

    /// Accounts by hashed address, as [`Held::account`] has them.
    pub(crate) fn accounts<'h>(
        &mut self,
        hashed: impl Iterator<Item = &'h B256> + Clone,
    ) -> Vec<Option<Option<Account>>> {
        let accounts = self.accounts.young();
        let near = hashed.clone().filter_map(|hashed| accounts.near(*hashed));
        wait_for(near.map(|(found, account)| found[0] ^ u8::from(account.is_some())));
        hashed.map(|hashed| self.account(hashed)).collect()
    }

    pub(crate) fn account(&mut self, hashed: &B256) -> Option<Option<Account>> {
        let lean = self.accounts.get(hashed)?;
        Some(lean.map(|lean| {
            let [code_hash, storage_root] = lean
                .contract
                .map_or([EMPTY_CODE_HASH, EMPTY_ROOT], |contract| *contract);
            Account {
                nonce: lean.nonce,
                balance: lean.balance,
                code_hash,
                storage_root,
            }
        }))
    }

    pub(crate) fn put_account(&mut self, hashed: B256, account: Option<Account>) {
        let lean = account.map(|account| {
            let contract = [account.code_hash, account.storage_root];
            Lean {
                nonce: account.nonce,
                balance: account.balance,
                contract: (contract != [EMPTY_CODE_HASH, EMPTY_ROOT]).then(|| Box::new(contract)),
            }
        });
        self.accounts.put(hashed, lean);
    }

    pub(crate) fn slot(&mut self, key: &(B256, B256)) -> Option<U256> {
        self.slots.get(key)
    }

    pub(crate) fn put_slot(&mut self, key: (B256, B256), value: U256) {
        self.slots.put(key, value);
    }
}

/// Reads memory that is needed next, all of it before anything is done with it.
fn wait_for(bytes: impl Iterator<Item = u8>) {
    std::hint::black_box(bytes.fold(0, |all, byte| all ^ byte));
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

impl Weighed for Option<Lean> {
    fn bytes(&self) -> usize {
        match self {
            Some(Lean {
                contract: Some(_), ..
            }) => size_of::<[B256; 2]>() + 16,
            _ => 0,
        }
    }
}
