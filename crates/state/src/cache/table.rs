//! A table by path or hash: what a map would be, in one array, so that asking touches one line of memory before what
//! is held.
//!
//! Open addressing with linear probing. Nothing is ever removed: a table is dropped as a whole.

use std::fmt;
use std::hash::{BuildHasher as _, Hash};

use alloy_primitives::B256;
use alloy_primitives::map::DefaultHashBuilder;

/// Slots of a table that is not empty, at first.
const FEWEST: usize = 16;

/// What a table may be asked by.
pub(crate) trait Key: Copy + Eq + Hash {
    /// What no key is.
    const VACANT: Self;
}

impl Key for u64 {
    /// [`Path::short`](crate::trie::Path::short) never has these low four bits.
    const VACANT: Self = Self::MAX;
}

impl Key for B256 {
    /// Nobody finds what has this hash.
    const VACANT: Self = Self::repeat_byte(0xff);
}

/// Values by key.
#[derive(Default)]
pub(crate) struct Table<K, V> {
    /// A power of two, at most three quarters taken; or none.
    slots: Vec<(K, V)>,
    taken: usize,
    /// Other for each table, so that nobody can choose addresses that meet.
    hasher: DefaultHashBuilder,
}

impl<K: Key, V: Default> Table<K, V> {
    /// What is held of a key.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        if self.slots.is_empty() {
            return None;
        }
        let (found, value) = &self.slots[self.slot(key)];
        (*found == key).then_some(value)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slot(key);
        let (found, value) = &mut self.slots[slot];
        (*found == key).then_some(value)
    }

    /// The slot where a key is unless others were there before. Who reads of many keys' slots before asking for the
    /// first waits for all of them at once: nothing depends on what lies there.
    pub(crate) fn near(&self, key: K) -> Option<&(K, V)> {
        self.slots.get(self.first(key))
    }

    /// Sets what is held of a key; gives what was.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.slot(key);
        let (found, held) = &mut self.slots[slot];
        if *found == key {
            return Some(std::mem::replace(held, value));
        }
        (*found, *held) = (key, value);
        self.taken += 1;
        None
    }

    /// Where a key is, or would be put.
    fn slot(&self, key: K) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = self.first(key);
        while self.slots[slot].0 != key && self.slots[slot].0 != K::VACANT {
            slot = (slot + 1) & last;
        }
        slot
    }

    /// Where a key is looked for first.
    fn first(&self, key: K) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a table has fewer slots than a number of this size can count"
        )]
        let hash = self.hasher.hash_one(key) as usize;
        hash & self.slots.len().saturating_sub(1)
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FEWEST);
        let vacant = std::iter::repeat_with(|| (K::VACANT, V::default())).take(size);
        let smaller = std::mem::replace(&mut self.slots, vacant.collect());
        for (key, value) in smaller {
            if key != K::VACANT {
                let slot = self.slot(key);
                self.slots[slot] = (key, value);
            }
        }
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Table")
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::trie::{Branch, Path};

    proptest! {
        #[test]
        fn a_table_answers_like_a_map(
            writes in proptest::collection::vec((0..200_u64, any::<bool>()), 0..400)
        ) {
            let (mut table, mut map) = (Table::default(), HashMap::new());
            for (at, (path, there)) in writes.into_iter().enumerate() {
                // Two inline children: a row that differs from write to write.
                let row = [0, 0, 3, 0, 0, 0, 3, 0xc1, u8::try_from(at % 128).unwrap(), 0xc1, 1];
                let branch = there.then(|| Branch::from_row(&row).unwrap());
                prop_assert_eq!(table.insert(path, branch.clone()), map.insert(path, branch));
                for path in 0..200 {
                    prop_assert_eq!(table.get(path), map.get(&path));
                }
            }
        }

        #[test]
        fn a_short_path_is_that_of_its_key_and_never_vacant(key: [u8; 32], length in 0..=64_usize) {
            let key = B256::from(key);
            let short = Path::prefix(&key, length).short();
            prop_assert_eq!(short.is_some(), length <= Path::SHORT);
            if let Some(short) = short {
                prop_assert_eq!(short, Path::short_prefix(&key, length));
                prop_assert_ne!(short, u64::VACANT);
                let longer = length < Path::SHORT && Path::short_prefix(&key, length + 1) == short;
                prop_assert!(!longer, "paths of two lengths are two");
            }
        }
    }
}
