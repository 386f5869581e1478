//! From a block's changes to its root and rows.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};

use crate::account::encode_slot_leaf;
use crate::cache::{SHARDS, shard_of};
use crate::reader::{Reader, hash_in};
use crate::rows::Table;
use crate::state::Overwrites;
use crate::trie::{
    Branch, Change, PAYS, Path, Source, Start, Trie, join, part, root_of, share, update,
};
use crate::view::hash_slot;
use crate::{Account, AccountChange, Changes, EMPTY_ROOT, StateError};

/// Fewest addresses of which it pays to hash some on another thread.
const HASHING_PAYS: usize = 400;

/// Addresses that a thread takes at once to hash them: few enough that both threads end together.
const HASHED_AT_ONCE: usize = 64;

/// An account's change, by hashed address.
type Hashed<'a> = (B256, &'a AccountChange);

/// The root, and what is overwritten, in as many parts as were made apart.
type Applied = (B256, Vec<Overwrites>);

/// The root after `changes`, and what they overwrite.
pub(crate) fn apply(reader: &Reader<'_>, changes: &Changes) -> Result<Applied, StateError> {
    let mut hashed = hashed(changes);
    if let Some(applied) = in_parts(reader, &hashed)? {
        return Ok(applied);
    }
    hashed.sort_unstable_by_key(|(hashed, _)| *hashed);
    let mut overwrites = each(reader, &hashed)?;
    if overwrites.accounts.is_empty() {
        return Ok((root_of(reader, &Trie::Accounts)?, vec![overwrites]));
    }
    let start = if reader.is_empty() {
        Start::Empty
    } else {
        Start::Stored
    };
    let leaves = Leaves::of(&overwrites);
    let updated = update(reader, &Trie::Accounts, start, &leaves.changes())?;
    overwrites.account_branches = updated.changed;
    Ok((updated.root, vec![overwrites]))
}

/// A large batch on two threads, if the trie's root is such that each can have some of its children.
fn in_parts(reader: &Reader<'_>, hashed: &[Hashed<'_>]) -> Result<Option<Applied>, StateError> {
    if hashed.len() < PAYS {
        return Ok(None);
    }
    let root = reader.branch(&Trie::Accounts, &Path::ROOT)?;
    let Some(root) = root.filter(Branch::begins_here) else {
        return Ok(None);
    };
    let done = share(by_shard(hashed), |mut accounts| {
        accounts.sort_unstable_by_key(|(hashed, _)| *hashed);
        let overwrites = each(reader, &accounts)?;
        let leaves = Leaves::of(&overwrites);
        let part = if leaves.is_empty() {
            None
        } else {
            Some(part(reader, &Trie::Accounts, &root, &leaves.changes())?)
        };
        Ok::<_, StateError>((overwrites, part))
    });
    let done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (mut overwrites, parts): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    let updated = join(&root, parts.into_iter().flatten().collect());
    Ok(updated.map(|updated| {
        overwrites.push(Overwrites {
            account_branches: updated.changed,
            ..Overwrites::default()
        });
        (updated.root, overwrites)
    }))
}

/// With their hashes, and not sorted by them.
fn hashed(changes: &Changes) -> Vec<Hashed<'_>> {
    let hash = |(address, change): (&Address, _)| (keccak256(address), change);
    if changes.accounts.len() < HASHING_PAYS {
        return changes.accounts.iter().map(hash).collect();
    }
    let accounts: Vec<(&Address, &AccountChange)> = changes.accounts.iter().collect();
    let hashed = share(accounts.chunks(HASHED_AT_ONCE).collect(), |accounts| {
        accounts.iter().copied().map(hash).collect::<Vec<_>>()
    });
    hashed.concat()
}

/// Those of each shard of the cache, and so below each of the root's children, that has any.
fn by_shard<'a>(hashed: &[Hashed<'a>]) -> Vec<Vec<Hashed<'a>>> {
    let mut shards = vec![Vec::new(); SHARDS];
    for entry in hashed {
        shards[shard_of(&entry.0)].push(*entry);
    }
    shards.retain(|shard| !shard.is_empty());
    shards
}

/// Accounts after their changes, and their storage.
fn each(reader: &Reader<'_>, sorted: &[Hashed<'_>]) -> Result<Overwrites, StateError> {
    let mut overwrites = Overwrites::default();
    overwrites.accounts.reserve(sorted.len());
    for group in sorted.chunk_by(|(a, _), (b, _)| shard_of(a) == shard_of(b)) {
        let olds = reader.accounts(group.iter().map(|(hashed, _)| hashed))?;
        for ((hashed, change), old) in group.iter().zip(olds) {
            let new = account_after(reader, *hashed, old, change, &mut overwrites)?;
            if old != new {
                overwrites.accounts.push((*hashed, old, new));
            }
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
    let mut changed = Vec::new();
    let root = if !leaves.is_empty() {
        let updated = update(reader, &Trie::Storage(hashed), start, &leaves.changes())?;
        changed = updated.changed;
        updated.root
    } else if start == Start::Empty {
        EMPTY_ROOT
    } else {
        old_root
    };
    if !gone.is_empty() {
        // A trie that is built anew is built in one piece.
        let mut all = changed.pop().unwrap_or_default();
        all.leave(gone);
        changed.push(all);
    }
    let changed = changed.into_iter().map(|changed| (hashed, changed));
    overwrites.storage_branches.extend(changed);
    Ok(change.info.map(|info| Account::new(info, root)))
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
