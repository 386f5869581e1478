//! Maps that stay within a bound.

use std::hash::Hash;

use alloy_primitives::U256;
use alloy_primitives::map::HashMap;

use super::table::{Key, Table};
use crate::trie::Branch;

/// What is held.
pub(super) trait Weighed {
    /// Bytes of memory besides its own size, about.
    fn bytes(&self) -> usize;
}

impl Weighed for Option<Branch> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Branch::bytes)
    }
}

impl Weighed for U256 {
    fn bytes(&self) -> usize {
        0
    }
}

/// A map that a generation may be.
pub(super) trait Map: Default {
    type Key;
    type Value: Clone + Weighed;
    /// Bytes of memory of an entry besides what [`Weighed`] tells, about.
    const ENTRY: usize;

    fn find(&self, key: &Self::Key) -> Option<Self::Value>;

    /// Finds it and may drop it.
    fn take(&mut self, key: &Self::Key) -> Option<Self::Value>;

    /// Gives what it replaces.
    fn set(&mut self, key: Self::Key, value: Self::Value) -> Option<Self::Value>;
}

impl<K: Hash + Eq, V: Clone + Weighed> Map for HashMap<K, V> {
    type Key = K;
    type Value = V;
    const ENTRY: usize = size_of::<(K, V)>() + 24;

    fn find(&self, key: &K) -> Option<V> {
        self.get(key).cloned()
    }

    fn take(&mut self, key: &K) -> Option<V> {
        self.remove(key)
    }

    fn set(&mut self, key: K, value: V) -> Option<V> {
        self.insert(key, value)
    }
}

impl<K: Key + Default, V: Clone + Default + Weighed> Map for Table<K, V> {
    type Key = K;
    type Value = V;
    const ENTRY: usize = size_of::<(K, V)>() * 2;

    fn find(&self, key: &K) -> Option<V> {
        self.get(*key).cloned()
    }

    fn take(&mut self, key: &K) -> Option<V> {
        self.find(key)
    }

    fn set(&mut self, key: K, value: V) -> Option<V> {
        self.insert(key, value)
    }
}

/// A bounded map: what was used lately is in the young generation; when that has filled half of the bound, it becomes
/// the old one, and the old one goes.
#[derive(Debug)]
pub(super) struct Generations<M> {
    young: M,
    old: M,
    /// Of the young generation, about.
    bytes: usize,
    /// Most bytes of a generation.
    most: usize,
}

impl<M: Map> Generations<M> {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            young: M::default(),
            old: M::default(),
            bytes: 0,
            most: bytes / 2,
        }
    }

    /// What was used lately.
    pub(super) const fn young(&self) -> &M {
        &self.young
    }

    /// The same; what replaces a value has to weigh as much.
    pub(super) const fn young_mut(&mut self) -> &mut M {
        &mut self.young
    }

    /// The value, made young again.
    pub(super) fn get(&mut self, key: &M::Key) -> Option<M::Value>
    where
        M::Key: Clone,
    {
        if let Some(value) = self.young.find(key) {
            return Some(value);
        }
        let value = self.old.take(key)?;
        self.put(key.clone(), value.clone());
        Some(value)
    }

    pub(super) fn put(&mut self, key: M::Key, value: M::Value) {
        let bytes = value.bytes() + M::ENTRY;
        if self.bytes + bytes > self.most {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        // What the old generation has of this key is hidden by the young one, and is dropped before it.
        if let Some(replaced) = self.young.set(key, value) {
            self.bytes -= replaced.bytes() + M::ENTRY;
        }
        self.bytes += bytes;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most * 2);
    }
}
