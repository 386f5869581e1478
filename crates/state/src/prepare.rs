//! From a block's changes to its root and rows.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};

use crate::account::encode_slot_leaf;
use crate::reader::{Reader, hash_in};
use crate::rows::Table;
use crate::state::Overwrites;
use crate::trie::{BranchChange, Change, PAYS, Path, Start, Trie, both, root_of, update};
use crate::view::hash_slot;
use crate::{Account, AccountChange, Changes, EMPTY_ROOT, StateError};

/// The root after `changes`, and what they overwrite.
pub(crate) fn apply(
    reader: &Reader<'_>,
    changes: &Changes,
) -> Result<(B256, Overwrites), StateError> {
    let accounts: Vec<(&Address, &AccountChange)> = changes.accounts.iter().collect();
    let mut overwrites = if accounts.len() < PAYS {
        each(reader, &accounts)?
    } else {
        let (low, high) = accounts.split_at(accounts.len() / 2);
        let (low, high) = both(|| each(reader, low), || each(reader, high));
        let (mut all, high) = (low?, high?);
        all.accounts.extend(high.accounts);
        all.slots.extend(high.slots);
        all.branches.extend(high.branches);
        all
    };
    overwrites
        .accounts
        .sort_unstable_by_key(|(hashed, ..)| *hashed);
    if overwrites.accounts.is_empty() {
        return Ok((root_of(reader, &Trie::Accounts)?, overwrites));
    }
    let mut leaves = Leaves::default();
    for (hashed, old, new) in &overwrites.accounts {
        leaves.add(*hashed, old.is_some(), |out| {
            new.inspect(|account| account.encode_leaf(out)).is_some()
        });
    }
    let start = if reader.is_empty() {
        Start::Empty
    } else {
        Start::Stored
    };
    let updated = update(reader, &Trie::Accounts, start, &leaves.changes())?;
    overwrites.branches.extend(
        updated
            .branches
            .into_iter()
            .map(|change| (Trie::Accounts, change)),
    );
    Ok((updated.root, overwrites))
}

/// Accounts after their changes, and their storage.
fn each(
    reader: &Reader<'_>,
    accounts: &[(&Address, &AccountChange)],
) -> Result<Overwrites, StateError> {
    let mut overwrites = Overwrites::default();
    for (address, change) in accounts {
        let hashed = keccak256(address);
        let old = reader.account(&hashed)?;
        let new = account_after(reader, hashed, old, change, &mut overwrites)?;
        if old != new {
            overwrites.accounts.push((hashed, old, new));
        }
    }
    Ok(overwrites)
}

/// The account after its change, whose storage is added to `overwrites`.
fn account_after(
    reader: &Reader<'_>,
    hashed: B256,
    old: Option<Account>,
    change: &AccountChange,
    overwrites: &mut Overwrites,
) -> Result<Option<Account>, StateError> {
    let old_root = old.map_or(EMPTY_ROOT, |account| account.storage_root);
    let wiped = change.wiped || change.info.is_none();
    let mut slots: BTreeMap<B256, (U256, U256)> = BTreeMap::new();
    let mut gone = Vec::new();
    if wiped && old_root != EMPTY_ROOT {
        slots = all_slots(reader, hashed)?;
        gone = reader.storage_branches(&hashed)?;
    }
    if change.info.is_some() {
        for (slot, value) in &change.storage {
            let slot = hash_slot(*slot);
            if let Some((_, new)) = slots.get_mut(&slot) {
                *new = *value;
            } else {
                let old = if old_root == EMPTY_ROOT || wiped {
                    U256::ZERO
                } else {
                    reader.slot(&hashed, &slot)?
                };
                slots.insert(slot, (old, *value));
            }
        }
    }
    let start = if wiped || old_root == EMPTY_ROOT {
        Start::Empty
    } else {
        Start::Stored
    };
    let mut leaves = Leaves::default();
    for (slot, (old, new)) in &slots {
        if old != new {
            overwrites.slots.push((hashed, *slot, *old, *new));
        }
        // From nothing, every leaf that is there afterwards is new; else only those that changed matter.
        if start == Start::Empty && !new.is_zero() || start == Start::Stored && old != new {
            leaves.add(*slot, start == Start::Stored && !old.is_zero(), |out| {
                if !new.is_zero() {
                    encode_slot_leaf(*new, out);
                }
                !new.is_zero()
            });
        }
    }
    let Some(info) = change.info else {
        overwrites.branches.extend(removed(gone, hashed));
        return Ok(None);
    };
    let trie = Trie::Storage(hashed);
    let root = if leaves.is_empty() {
        overwrites.branches.extend(removed(gone, hashed));
        if start == Start::Empty {
            EMPTY_ROOT
        } else {
            old_root
        }
    } else {
        let updated = update(reader, &trie, start, &leaves.changes())?;
        let mut gone: BTreeMap<Path, _> = gone.into_iter().collect();
        for mut change in updated.branches {
            if let Some(old) = gone.remove(&change.path) {
                change.old = Some(old);
            }
            if change.old != change.new {
                overwrites.branches.push((trie, change));
            }
        }
        overwrites.branches.extend(removed(gone, hashed));
        updated.root
    };
    Ok(Some(Account::new(info, root)))
}

/// Every slot of an account: what it is, and zero.
fn all_slots(
    reader: &Reader<'_>,
    hashed: B256,
) -> Result<BTreeMap<B256, (U256, U256)>, StateError> {
    let key = |slot: &[u8; 32]| [hashed.as_slice(), slot].concat();
    let rows = reader.scan(Table::Slot, &key(&[0; 32]), &key(&[0xff; 32]), usize::MAX)?;
    rows.into_iter()
        .map(|(key, row)| {
            let slot = hash_in(key.get(32..).unwrap_or_default())?;
            Ok((slot, (crate::account::slot_from_row(&row)?, U256::ZERO)))
        })
        .collect()
}

/// Rows that go with a whole storage trie.
fn removed(
    branches: impl IntoIterator<Item = (Path, crate::trie::Branch)>,
    hashed: B256,
) -> impl Iterator<Item = (Trie, BranchChange)> {
    branches.into_iter().map(move |(path, old)| {
        (
            Trie::Storage(hashed),
            BranchChange {
                path,
                old: Some(old),
                new: None,
            },
        )
    })
}

/// Leaves' values in one piece of memory.
#[derive(Debug, Default)]
struct Leaves {
    bytes: Vec<u8>,
    /// Key, whether it is there before, and the end of its value, if it has one.
    ends: Vec<(B256, bool, Option<usize>)>,
}

impl Leaves {
    /// `encode` writes the value and says whether there is one.
    fn add(&mut self, key: B256, existed: bool, encode: impl FnOnce(&mut Vec<u8>) -> bool) {
        let there = encode(&mut self.bytes);
        self.ends
            .push((key, existed, there.then_some(self.bytes.len())));
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn changes(&self) -> Vec<Change<'_>> {
        let mut start = 0;
        let change = |(key, existed, end): &(B256, bool, Option<usize>)| {
            let value = end.map(|end| &self.bytes[std::mem::replace(&mut start, end)..end]);
            Change {
                key: *key,
                value,
                existed: *existed,
            }
        };
        self.ends.iter().map(change).collect()
    }
}
