//! A table of branches by path: what a map would be, in one array, so that asking touches one line of memory before the
//! branch itself.
//!
//! Open addressing with linear probing. Nothing is ever removed: a table is dropped as a whole.

use std::fmt;
use std::hash::BuildHasher as _;

use alloy_primitives::map::DefaultHashBuilder;

use crate::trie::Branch;

/// No path: [`Path::short`](crate::trie::Path::short) never has these low four bits.
const VACANT: u64 = u64::MAX;

/// Slots of a table that is not empty, at first.
const FEWEST: usize = 16;

/// Branches, and places known to have none, by short path.
#[derive(Default)]
pub(crate) struct Table {
    /// A power of two, at most three quarters taken; or none.
    slots: Vec<(u64, Option<Branch>)>,
    taken: usize,
    /// Other for each table, so that nobody can choose addresses that meet.
    hasher: DefaultHashBuilder,
}

impl Table {
    /// What is held of a path.
    pub(crate) fn get(&self, path: u64) -> Option<&Option<Branch>> {
        if self.slots.is_empty() {
            return None;
        }
        let (found, branch) = &self.slots[self.slot(path)];
        (*found == path).then_some(branch)
    }

    /// Sets what is held of a path; gives what was.
    pub(crate) fn insert(&mut self, path: u64, branch: Option<Branch>) -> Option<Option<Branch>> {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.slot(path);
        let (key, held) = &mut self.slots[slot];
        if *key == path {
            return Some(std::mem::replace(held, branch));
        }
        (*key, *held) = (path, branch);
        self.taken += 1;
        None
    }

    /// Where a path is, or would be put.
    fn slot(&self, path: u64) -> usize {
        let last = self.slots.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a table has fewer slots than a number of this size can count"
        )]
        let mut slot = self.hasher.hash_one(path) as usize & last;
        while self.slots[slot].0 != path && self.slots[slot].0 != VACANT {
            slot = (slot + 1) & last;
        }
        slot
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FEWEST);
        let vacant = std::iter::repeat_with(|| (VACANT, None)).take(size);
        let smaller = std::mem::replace(&mut self.slots, vacant.collect());
        for (path, branch) in smaller {
            if path != VACANT {
                let slot = self.slot(path);
                self.slots[slot] = (path, branch);
            }
        }
    }
}

impl fmt::Debug for Table {
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

    use alloy_primitives::B256;
    use proptest::prelude::*;

    use super::*;
    use crate::trie::Path;

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
                prop_assert_ne!(short, VACANT);
                let longer = length < Path::SHORT && Path::short_prefix(&key, length + 1) == short;
                prop_assert!(!longer, "paths of two lengths are two");
            }
        }
    }
}
