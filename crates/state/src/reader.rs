//! Reading the state after one block: from the cache when it is the latest, else from rows and what was overwritten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{B256, U256};
use store::tables::{Snapshot, Value};

use crate::account::{encode_slot_leaf, slot_from_row};
use crate::cache::{Cache, shard_of, shard_of_branch};
use crate::history::{Past, after};
use crate::rows::{Keys, RowId, Table};
use crate::trie::{Ahead, Branch, Change, Path, Source, Trie};
use crate::{Account, StateError};

/// Which rows are the state after one block.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) snapshot: Arc<dyn Snapshot>,
    pub(crate) keys: Keys,
    pub(crate) number: u64,
    pub(crate) head: u64,
    pub(crate) cache: Arc<Cache>,
}

/// Reads, and counts what is read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// `None`: before the first block, nothing.
    stored: Option<&'a Stored>,
    reads: AtomicU64,
}

/// A row of a scan: its key, without what all keys of the scan begin with, and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

impl<'a> Reader<'a> {
    pub(crate) const fn new(stored: Option<&'a Stored>) -> Self {
        Self {
            stored,
            reads: AtomicU64::new(0),
        }
    }

    /// Whether there is no block yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.stored.is_none()
    }

    /// Rows read until now.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn account(&self, hashed: &B256) -> Result<Option<Account>, StateError> {
        let Some(stored) = self.stored else {
            return Ok(None);
        };
        let shard = shard_of(hashed);
        if let Some(account) = stored.cached(shard, |held| held.account(hashed)) {
            return Ok(account);
        }
        let row = self.row(stored, &RowId::account(hashed), |row| {
            Account::from_row(row)
        })?;
        stored.keep(shard, |held| held.put_account(*hashed, row));
        Ok(row)
    }

    /// Accounts whose hashed addresses have one first nibble: the cache is asked for all at once, so that the processor
    /// waits for many of them together.
    pub(crate) fn accounts<'h>(
        &self,
        hashed: impl Iterator<Item = &'h B256> + Clone,
    ) -> Result<Vec<Option<Account>>, StateError> {
        let (Some(stored), Some(first)) = (self.stored, hashed.clone().next()) else {
            return Ok(vec![None; hashed.count()]);
        };
        let held = stored.cached(shard_of(first), |held| Some(held.accounts(hashed.clone())));
        let held = held.unwrap_or_default().into_iter();
        hashed
            .zip(held.chain(std::iter::repeat(None)))
            .map(|(hashed, held)| held.map_or_else(|| self.account(hashed), Ok))
            .collect()
    }

    pub(crate) fn slot(&self, account: &B256, slot: &B256) -> Result<U256, StateError> {
        let Some(stored) = self.stored else {
            return Ok(U256::ZERO);
        };
        let (shard, key) = (shard_of(account), (*account, *slot));
        if let Some(value) = stored.cached(shard, |held| held.slot(&key)) {
            return Ok(value);
        }
        let row = self.row(stored, &RowId::slot(account, slot), slot_from_row)?;
        let value = row.unwrap_or_default();
        stored.keep(shard, |held| held.put_slot(key, value));
        Ok(value)
    }

    /// A row that no block overwrites.
    pub(crate) fn fixed(&self, id: &RowId) -> Result<Option<Value>, StateError> {
        let Some(stored) = self.stored else {
            return Ok(None);
        };
        self.count();
        Ok(stored.snapshot.get(&stored.keys.current(id.as_bytes()))?)
    }

    /// Up to `limit` rows of `table` with `from <= key <= to`, ascending; both have the length of the table's keys.
    pub(crate) fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, StateError> {
        let Some(stored) = self.stored else {
            return Ok(Vec::new());
        };
        self.count();
        let (from, to) = (RowId::of(table, &[from]), RowId::of(table, &[to]));
        let mut rows = Vec::new();
        if stored.number == stored.head {
            let (from, to) = (
                stored.keys.current(from.as_bytes()),
                after(stored.keys.current(to.as_bytes())),
            );
            for row in stored.snapshot.range(&from, &to).take(limit) {
                let (key, value) = row?;
                rows.push((key.get(9..).unwrap_or_default().to_vec(), value.to_vec()));
            }
        } else {
            let mut past = Past::new(stored, from.as_bytes(), to.as_bytes());
            while rows.len() < limit
                && let Some((id, value)) = past.next()?
            {
                rows.push((id.get(1..).unwrap_or_default().to_vec(), value));
            }
        }
        Ok(rows)
    }

    /// All branches of a storage trie.
    pub(crate) fn storage_branches(
        &self,
        account: &B256,
    ) -> Result<Vec<(Path, Branch)>, StateError> {
        // No path is longer than 64 nibbles, and none begins with 65.
        let from = [account.as_slice(), &[0]].concat();
        let to = [account.as_slice(), &[65]].concat();
        let rows = self.scan(Table::StorageBranch, &from, &to, usize::MAX)?;
        rows.into_iter()
            .map(|(key, row)| {
                let path = key.get(32..).and_then(Path::from_row);
                let path = path.ok_or(StateError::Damaged {
                    what: "a branch's key is not a path",
                })?;
                Ok((path, Branch::from_row(&row)?))
            })
            .collect()
    }

    fn row<T>(
        &self,
        stored: &Stored,
        id: &RowId,
        read: impl FnOnce(&[u8]) -> Result<T, StateError>,
    ) -> Result<Option<T>, StateError> {
        self.count();
        if stored.number != stored.head
            && let Some(before) = stored.overwritten(id.as_bytes())?
        {
            return before.value()?.map(read).transpose();
        }
        let row = stored.snapshot.get(&stored.keys.current(id.as_bytes()))?;
        row.map(|row| read(&row)).transpose()
    }
}

impl Source for Reader<'_> {
    fn branch(&self, trie: &Trie, path: &Path) -> Result<Option<Branch>, StateError> {
        let Some(stored) = self.stored else {
            return Ok(None);
        };
        let shard = shard_of_branch(trie, path);
        if let Some(branch) = stored.cached(shard, |held| held.branch(trie, path)) {
            return Ok(branch);
        }
        let branch = self.row(stored, &RowId::branch(trie, path), Branch::from_row)?;
        stored.keep(shard, |held| held.put_branch(*trie, *path, branch.clone()));
        Ok(branch)
    }

    fn ahead(&self, trie: &Trie, changes: &[Change<'_>]) -> Ahead {
        let (Some(stored), Trie::Accounts, [first, ..]) = (self.stored, trie, changes) else {
            return Ahead::default();
        };
        stored
            .cached(shard_of(&first.key), |held| Some(held.ahead(changes)))
            .unwrap_or_default()
    }

    fn first_leaf(&self, trie: &Trie, path: &Path) -> Result<Option<(B256, Vec<u8>)>, StateError> {
        let (from, to) = path.keys();
        let mut leaf = Vec::new();
        let key = match trie {
            Trie::Accounts => {
                let rows = self.scan(Table::Account, from.as_slice(), to.as_slice(), 1)?;
                let Some((key, row)) = rows.first() else {
                    return Ok(None);
                };
                Account::from_row(row)?.encode_leaf(&mut leaf);
                hash_in(key)?
            }
            Trie::Storage(account) => {
                let of = |slot: B256| [account.as_slice(), slot.as_slice()].concat();
                let rows = self.scan(Table::Slot, &of(from), &of(to), 1)?;
                let Some((key, row)) = rows.first() else {
                    return Ok(None);
                };
                encode_slot_leaf(slot_from_row(row)?, &mut leaf);
                hash_in(key.get(32..).unwrap_or_default())?
            }
        };
        Ok(Some((key, leaf)))
    }
}

/// The hash that is the rest of a key.
pub(crate) fn hash_in(bytes: &[u8]) -> Result<B256, StateError> {
    B256::try_from(bytes).map_err(|_| StateError::Damaged {
        what: "a row's key has a wrong length",
    })
}

impl Stored {
    fn cached<T>(
        &self,
        shard: usize,
        ask: impl FnOnce(&mut crate::cache::Held) -> Option<T>,
    ) -> Option<T> {
        if self.number == self.head {
            self.cache.with(shard, self.head, ask)
        } else {
            None
        }
    }

    fn keep(&self, shard: usize, put: impl FnOnce(&mut crate::cache::Held)) {
        self.cached(shard, |held| {
            put(held);
            Some(())
        });
    }
}
