//! From a block's changes to its root and rows.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};

use crate::account::encode_slot_leaf;
use crate::reader::{Reader, hash_in};
use crate::rows::Table;
use crate::state::Overwrites;
use crate::trie::{
    Branch, BranchChange, Change, Path, Source, Start, Trie, Updated, both, join, middle, part,
    root_of, update,
};
use crate::view::hash_slot;
use crate::{Account, AccountChange, Changes, EMPTY_ROOT, StateError};

/// Fewest addresses of which it pays to hash a half on another thread.
const HASHING_PAYS: usize = 400;

/// An account's change, by hashed address.
type Hashed<'a> = (B256, &'a AccountChange);

/// The root after `changes`, and what they overwrite.
pub(crate) fn apply(
    reader: &Reader<'_>,
    changes: &Changes,
) -> Result<(B256, Overwrites), StateError> {
    let sorted = sorted(&changes.accounts.iter().collect::<Vec<_>>());
    if let Some(applied) = in_halves(reader, &sorted)? {
        return Ok(applied);
    }
    let overwrites = each(reader, &sorted)?;
    if overwrites.accounts.is_empty() {
        return Ok((root_of(reader, &Trie::Accounts)?, overwrites));
    }
    let start = if reader.is_empty() {
        Start::Empty
    } else {
        Start::Stored
    };
    let leaves = Leaves::of(&overwrites);
    let updated = update(reader, &Trie::Accounts, start, &leaves.changes())?;
    Ok(overwrites.with(updated))
}

/// A large batch on two threads, if the trie's root is such that each can have some of its children.
fn in_halves(
    reader: &Reader<'_>,
    sorted: &[Hashed<'_>],
) -> Result<Option<(B256, Overwrites)>, StateError> {
    let Some(middle) = middle(sorted, |(hashed, _)| hashed) else {
        return Ok(None);
    };
    let root = reader.branch(&Trie::Accounts, &Path::ROOT)?;
    let Some(root) = root.filter(Branch::begins_here) else {
        return Ok(None);
    };
    let half = |sorted: &[Hashed<'_>]| {
        let overwrites = each(reader, sorted)?;
        let leaves = Leaves::of(&overwrites);
        let part = part(reader, &Trie::Accounts, &root, &leaves.changes())?;
        Ok::<_, StateError>((overwrites, part))
    };
    let (low, high) = sorted.split_at(middle);
    let (low, high) = both(|| half(low), || half(high));
    let ((mut overwrites, low), (others, high)) = (low?, high?);
    overwrites.accounts.extend(others.accounts);
    overwrites.slots.extend(others.slots);
    overwrites.storage_branches.extend(others.storage_branches);
    Ok(join(&root, low, high).map(|updated| overwrites.with(updated)))
}

/// In the order of their hashed addresses.
fn sorted<'a>(accounts: &[(&Address, &'a AccountChange)]) -> Vec<Hashed<'a>> {
    let hash = |accounts: &[(&Address, &'a AccountChange)]| {
        let mut hashed: Vec<_> = accounts
            .iter()
            .map(|(address, change)| (keccak256(address), *change))
            .collect();
        hashed.sort_unstable_by_key(|(hashed, _)| *hashed);
        hashed
    };
    if accounts.len() < HASHING_PAYS {
        return hash(accounts);
    }
    let (low, high) = accounts.split_at(accounts.len() / 2);
    let (mut all, high) = both(|| hash(low), || hash(high));
    all.extend(high);
    // Finds the two runs and merges them.
    all.sort_by_key(|(hashed, _)| *hashed);
    all
}

/// Accounts after their changes, and their storage.
fn each(reader: &Reader<'_>, sorted: &[Hashed<'_>]) -> Result<Overwrites, StateError> {
    let mut overwrites = Overwrites::default();
    overwrites.accounts.reserve(sorted.len());
    for (hashed, change) in sorted {
        let old = reader.account(hashed)?;
        let new = account_after(reader, *hashed, old, change, &mut overwrites)?;
        if old != new {
            overwrites.accounts.push((*hashed, old, new));
        }
    }
    Ok(overwrites)
}

impl Overwrites {
    /// With the branches of the account trie, and its root.
    fn with(mut self, updated: Updated) -> (B256, Self) {
        self.account_branches = updated.branches;
        (updated.root, self)
    }
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
        overwrites.storage_branches.extend(removed(gone, hashed));
        return Ok(None);
    };
    let trie = Trie::Storage(hashed);
    let root = if leaves.is_empty() {
        overwrites.storage_branches.extend(removed(gone, hashed));
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
                overwrites.storage_branches.push((hashed, change));
            }
        }
        overwrites.storage_branches.extend(removed(gone, hashed));
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
    branches: impl IntoIterator<Item = (Path, Branch)>,
    hashed: B256,
) -> impl Iterator<Item = (B256, BranchChange)> {
    branches.into_iter().map(move |(path, old)| {
        let change = BranchChange {
            path,
            old: Some(old),
            new: None,
        };
        (hashed, change)
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
    /// Those of the account trie.
    fn of(overwrites: &Overwrites) -> Self {
        let mut leaves = Self::default();
        // An account without code and storage takes about 80 bytes.
        leaves.bytes.reserve(96 * overwrites.accounts.len());
        leaves.ends.reserve(overwrites.accounts.len());
        for (hashed, old, new) in &overwrites.accounts {
            leaves.add(*hashed, old.is_some(), |out| {
                new.inspect(|account| account.encode_leaf(out)).is_some()
            });
        }
        leaves
    }

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
