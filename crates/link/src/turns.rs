//! Queues that take turns: however much one key has waiting, every other key is served after at most one of its items.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items by key, first in first out within a key, in turns between keys. Bounds are the caller's matter.
#[derive(Debug)]
pub(crate) struct Turns<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    /// Each key that has something waiting, once.
    ring: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, T> Turns<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            ring: VecDeque::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub(crate) fn push(&mut self, key: K, item: T) {
        let items = self.waiting.entry(key).or_default();
        if items.is_empty() {
            self.ring.push_back(key);
        }
        items.push_back(item);
    }

    /// The oldest item of the key whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<(K, T)> {
        let key = self.ring.pop_front()?;
        let items = self.waiting.get_mut(&key)?;
        let item = items.pop_front()?;
        if items.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.ring.push_back(key);
        }
        Some((key, item))
    }

    /// The newest item of `key`.
    pub(crate) fn pop_newest(&mut self, key: K) -> Option<T> {
        let items = self.waiting.get_mut(&key)?;
        let item = items.pop_back();
        if items.is_empty() {
            self.remove(key);
        }
        item
    }

    /// Forgets all items of `key`.
    pub(crate) fn remove(&mut self, key: K) {
        if self.waiting.remove(&key).is_some() {
            self.ring.retain(|other| *other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;

    #[test]
    fn a_full_queue_delays_another_by_one_item() {
        let mut turns = Turns::new();
        for item in 0..3 {
            turns.push('a', item);
        }
        turns.push('b', 10);
        assert_eq!(turns.pop(), Some(('a', 0)));
        assert_eq!(turns.pop(), Some(('b', 10)));
        assert_eq!(turns.pop(), Some(('a', 1)));
        turns.push('b', 11);
        assert_eq!(turns.pop(), Some(('a', 2)));
        assert_eq!(turns.pop(), Some(('b', 11)));
        assert_eq!(turns.pop(), None);
        assert!(turns.is_empty());
    }

    #[test]
    fn what_is_taken_back_leaves_no_turn_behind() {
        let mut turns = Turns::new();
        turns.push('a', 1);
        turns.push('b', 2);
        turns.push('b', 3);
        assert_eq!(turns.pop_newest('b'), Some(3));
        assert_eq!(turns.pop_newest('a'), Some(1));
        assert_eq!(turns.pop_newest('a'), None);
        assert_eq!(turns.pop(), Some(('b', 2)));
        turns.push('c', 4);
        turns.remove('c');
        assert!(turns.is_empty());
        assert_eq!(turns.pop(), None);
    }
}
