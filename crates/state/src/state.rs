//! The state of one chain: views of it, and roots of candidate blocks.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::{B256, Bytes, U256};
use parking_lot::Mutex;
use store::tables::{Batch, Snapshot};
use types::ChainId;

use crate::account::slot_row;
use crate::cache::{Advancing, Cache, shard_of, shard_of_branch};
use crate::history::{self, Before, Forgotten};
use crate::prepare;
use crate::reader::{Reader, Stored};
use crate::rows::{Keys, RowId};
use crate::trie::{BranchChange, Changed, Trie};
use crate::{Account, Changes, History, StateError, View, ViewError};

/// Measures the work of state roots: this crate reads no clock.
pub trait Meter: fmt::Debug + Send + Sync {
    /// Does `work` once, which computes one root.
    fn root(&self, work: &mut dyn FnMut());
}

/// The state of one chain. It holds no rows but those in its cache, which belongs to one line of blocks: where a
/// chain's past is rewritten (development only), make a new one.
#[derive(Debug)]
pub struct State {
    keys: Keys,
    keep: History,
    cache: Arc<Cache>,
    /// A block, and the oldest that could be told after it, so that each new block need not read that.
    oldest: Mutex<Option<(u64, u64)>>,
    meter: Option<Arc<dyn Meter>>,
}

/// A block's state, not yet written: its root and rows. Dropping it forgets it.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) number: u64,
    /// `None`: made on nothing.
    pub(crate) parent: Option<u64>,
    pub(crate) root: B256,
    pub(crate) rows_read: u64,
    pub(crate) overwrites: Vec<Overwrites>,
    pub(crate) codes: Vec<(B256, Bytes)>,
    pub(crate) forgotten: Forgotten,
}

/// What a block overwrites: before and after.
#[derive(Debug, Default)]
pub(crate) struct Overwrites {
    pub(crate) accounts: Vec<(B256, Option<Account>, Option<Account>)>,
    /// Account, slot; zero is nothing.
    pub(crate) slots: Vec<(B256, B256, U256, U256)>,
    pub(crate) account_branches: Vec<Changed>,
    /// With the hashed address.
    pub(crate) storage_branches: Vec<(B256, Changed)>,
}

impl State {
    /// The state of `chain`; `cache_bytes` bounds what is held in memory of its latest block.
    #[must_use]
    pub fn new(chain: ChainId, keep: History, cache_bytes: usize) -> Self {
        Self {
            keys: Keys::of(chain),
            keep,
            cache: Arc::new(Cache::new(cache_bytes)),
            oldest: Mutex::new(None),
            meter: None,
        }
    }

    /// The same, and this measures its roots.
    #[must_use]
    pub fn metered(mut self, meter: Option<Arc<dyn Meter>>) -> Self {
        self.meter = meter;
        self
    }

    /// The state after block `number`. `head` is the latest block committed in `snapshot`.
    ///
    /// # Errors
    ///
    /// [`ViewError`] when the block is not there, or not any more.
    pub fn view(
        &self,
        snapshot: Arc<dyn Snapshot>,
        head: u64,
        number: u64,
    ) -> Result<View, ViewError> {
        if number > head {
            return Err(ViewError::NotYet { number, head });
        }
        let stored = Stored {
            snapshot,
            keys: self.keys,
            number,
            head,
            cache: Arc::clone(&self.cache),
        };
        if number == head {
            self.cache.begin(head);
        } else {
            let oldest = history::oldest(&Reader::new(Some(&stored)))?;
            if number < oldest {
                return Err(ViewError::NotKept { number, oldest });
            }
        }
        Ok(View::of(stored))
    }

    /// The state after block `number`, made by applying `changes` to `parent`: the latest block's view, or the empty
    /// one. Writes nothing, so that several candidates may be prepared, and dropped.
    ///
    /// # Errors
    ///
    /// [`StateError::NotNext`] when `parent` is not the latest block before `number`; else when the tables cannot be
    /// read.
    pub fn prepare(
        &self,
        parent: &View,
        number: u64,
        changes: &Changes,
    ) -> Result<Prepared, StateError> {
        let mut forgotten = Forgotten::default();
        if let Some(stored) = parent.stored() {
            if stored.number != stored.head || stored.number.checked_add(1) != Some(number) {
                let (parent, head) = (stored.number, stored.head);
                return Err(StateError::NotNext {
                    number,
                    parent,
                    head,
                });
            }
            self.cache.catch_up(stored.head);
            let known = *self.oldest.lock();
            let known = known.filter(|(block, _)| *block == stored.head);
            forgotten =
                self.keep
                    .forget(&parent.reader(), number, known.map(|(_, oldest)| oldest))?;
        } else if number > 0 {
            forgotten.oldest = Some(number);
        }
        let reader = parent.reader();
        let (root, overwrites) = match &self.meter {
            None => prepare::apply(&reader, changes)?,
            Some(meter) => {
                let mut applied = None;
                meter.root(&mut || applied = Some(prepare::apply(&reader, changes)));
                // One that does not do the work measures nothing.
                applied.unwrap_or_else(|| prepare::apply(&reader, changes))?
            }
        };
        Ok(Prepared {
            number,
            parent: parent.stored().map(|stored| stored.number),
            root,
            rows_read: reader.reads(),
            overwrites,
            codes: changes
                .codes
                .iter()
                .map(|(hash, code)| (*hash, code.clone()))
                .collect(),
            forgotten,
        })
    }

    /// Adds the block's rows to `batch`, which the caller commits together with the block's height. By how many bytes, keys
    /// and values, the chain's state and history have more with them; history that is forgotten is not taken off.
    pub fn write(&self, prepared: &Prepared, batch: &mut Batch) -> i64 {
        let keys = self.keys;
        let mut touched = Vec::new();
        let mut grown = 0;
        let mut overwrite = |id: &RowId, old: Option<&[u8]>, new: Option<Vec<u8>>| {
            let key = keys.current(id.as_bytes());
            let bytes = |row: Option<&[u8]>| row.map_or(0, |row| length(key.len() + row.len()));
            grown += bytes(new.as_deref()) - bytes(old);
            batch.writes.push((key, new));
            if prepared.parent.is_some() {
                let key = keys.overwritten(id.as_bytes(), prepared.number);
                let before = Before::encode(old);
                grown += length(key.len() + before.len());
                batch.put(key, before);
                history::add_touched(id, &mut touched);
            }
        };
        let parts = prepared.overwrites.iter();
        for (hashed, old, new) in parts.clone().flat_map(|part| &part.accounts) {
            let [old, new] = [old, new].map(|account| account.map(Account::to_row));
            overwrite(&RowId::account(hashed), old.as_deref(), new);
        }
        for (account, slot, old, new) in parts.clone().flat_map(|part| &part.slots) {
            let row = |value: &U256| (!value.is_zero()).then(|| slot_row(*value));
            let id = RowId::slot(account, slot);
            overwrite(&id, row(old).as_deref(), row(new));
        }
        let mut branches = |trie: &Trie, changed: &Changed| {
            for BranchChange { path, old, new } in changed.iter() {
                overwrite(&RowId::branch(trie, path), old, new.map(<[u8]>::to_vec));
            }
        };
        for changed in parts.clone().flat_map(|part| &part.account_branches) {
            branches(&Trie::Accounts, changed);
        }
        for (account, changed) in parts.flat_map(|part| &part.storage_branches) {
            branches(&Trie::Storage(*account), changed);
        }
        if !touched.is_empty() {
            let key = keys.current(RowId::touched(prepared.number).as_bytes());
            grown += length(key.len() + touched.len());
            batch.put(key, touched);
        }
        for (hash, code) in &prepared.codes {
            let key = keys.current(RowId::code(hash).as_bytes());
            grown += length(key.len() + code.len());
            batch.put(key, code.to_vec());
        }
        prepared.forgotten.write(keys, batch);
        if let Some(oldest) = prepared.forgotten.oldest {
            batch.put(
                keys.current(RowId::oldest().as_bytes()),
                oldest.to_be_bytes().to_vec(),
            );
        }
        grown
    }

    /// Call after the commit: what is held in memory becomes that of this block.
    pub fn adopt(&self, prepared: Prepared) {
        let number = prepared.number;
        {
            let mut known = self.oldest.lock();
            let before = known.filter(|(block, _)| Some(*block) == prepared.parent);
            let oldest = prepared
                .forgotten
                .oldest
                .or(before.map(|(_, oldest)| oldest));
            *known = oldest.map(|oldest| (number, oldest));
        }
        let mut cache = self.cache.advance(prepared.parent, number);
        for part in prepared.overwrites {
            part.adopt(&mut cache);
        }
    }
}

/// Bytes of a row, to be added and taken off.
fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Overwrites {
    /// What is held becomes what is written.
    fn adopt(self, cache: &mut Advancing<'_>) {
        for (hashed, _, account) in self.accounts {
            cache.shard(shard_of(&hashed)).put_account(hashed, account);
        }
        for (account, slot, _, value) in self.slots {
            cache
                .shard(shard_of(&account))
                .put_slot((account, slot), value);
        }
        let mut put = |trie: Trie, changed: Changed| {
            changed.adopt(|path, row| {
                let shard = cache.shard(shard_of_branch(&trie, &path));
                shard.write_branch(trie, path, row);
            });
        };
        for changed in self.account_branches {
            put(Trie::Accounts, changed);
        }
        for (account, changed) in self.storage_branches {
            put(Trie::Storage(account), changed);
        }
    }
}

impl Prepared {
    /// The state root.
    #[must_use]
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// Rows of state that were read from the tables to prepare it.
    #[must_use]
    pub const fn rows_read(&self) -> u64 {
        self.rows_read
    }
}
