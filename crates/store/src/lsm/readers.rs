//! Who may see what: the number up to which commits are published, and the snapshots that hold older ones.
//!
//! The library has a visible number too. It is not used: a flush or a compaction draws its own number from the
//! counter of the commits, and moves the visible number past it even when a commit is half done.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// A reader with number n sees what was written under numbers below n.
pub(super) type Number = lsm_tree::SeqNo;

/// The published number, and all numbers in use by snapshots.
#[derive(Debug)]
pub(super) struct Readers {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    published: Number,
    /// How many snapshots hold a number.
    open: BTreeMap<Number, u64>,
}

impl Readers {
    pub(super) fn new(published: Number) -> Self {
        Self {
            inner: Mutex::new(Inner {
                published,
                open: BTreeMap::new(),
            }),
        }
    }

    /// Lets new snapshots see everything below `number`. Only whoever holds the commit lock may call this.
    pub(super) fn publish(&self, number: Number) {
        let mut inner = self.inner.lock();
        inner.published = inner.published.max(number);
    }

    /// Takes the published number into use.
    pub(super) fn enter(&self) -> Number {
        let mut inner = self.inner.lock();
        let number = inner.published;
        *inner.open.entry(number).or_default() += 1;
        number
    }

    /// Gives back what [`Readers::enter`] gave.
    pub(super) fn leave(&self, number: Number) {
        let mut inner = self.inner.lock();
        if let Some(count) = inner.open.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                inner.open.remove(&number);
            }
        }
    }

    /// The lowest number that somebody reads at now or may begin to read at.
    pub(super) fn oldest(&self) -> Number {
        let inner = self.inner.lock();
        let oldest = inner.open.keys().next().copied();
        oldest.unwrap_or(inner.published).min(inner.published)
    }

    /// Snapshots held now.
    pub(super) fn count(&self) -> u64 {
        self.inner.lock().open.values().sum()
    }
}
