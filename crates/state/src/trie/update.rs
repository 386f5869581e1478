//! Applying a sorted batch of changes in one descent that touches each branch once.
//!
//! The result is a tree of what changed; [`super::seal`] gives it its references. Nothing is written, and the branches
//! it came from stay as they are, so that several candidates may grow from one trie.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::B256;

use super::branch::{Branch, nibbles};
use super::path::nibble;
use super::seal::Sealer;
use super::{BranchChange, Change, Leaf, Node, Path, Source, Trie, Updated, Work, parallel};
use crate::StateError;
use crate::account::EMPTY_ROOT;

/// What is known of a trie before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It has no leaf.
    Empty,
    /// It may have leaves.
    Stored,
}

/// What a place in the trie holds before the changes below it are applied.
pub(super) enum Place<'a> {
    Nothing,
    Leaf(Leaf<'a>),
    Branch(Box<Work<'a>>),
}

/// Applies at least one change, ascending by key and each key once, to a trie.
///
/// # Errors
///
/// [`StateError`] when a row cannot be read or is not there.
pub(crate) fn update(
    source: &dyn Source,
    trie: &Trie,
    start: Start,
    changes: &[Change<'_>],
) -> Result<Updated, StateError> {
    debug_assert!(
        !changes.is_empty(),
        "without changes, the root is what it was"
    );
    debug_assert!(
        changes.is_sorted_by(|a, b| a.key < b.key),
        "changes ascend by key"
    );
    let mut descent = Descent {
        source,
        trie,
        gone: Vec::new(),
    };
    let root = descent.root(start, changes)?;
    if let Some(updated) = parallel::update(&descent, &root, changes)? {
        return Ok(updated);
    }
    let node = descent.apply(root, 0, changes)?;
    let mut sealer = Sealer::default();
    let root = node.map_or(EMPTY_ROOT, |node| sealer.seal(node, Path::ROOT).hash());
    Ok(Updated {
        root,
        branches: changed(sealer.sealed, descent.gone),
    })
}

/// All rows that differ, from those that a branch is in and those that a branch has left. A place that one has left
/// may have been taken by another.
pub(super) fn changed(
    mut changes: Vec<BranchChange>,
    gone: Vec<(Path, Arc<Branch>)>,
) -> Vec<BranchChange> {
    if gone.is_empty() {
        return changes;
    }
    let mut gone: BTreeMap<Path, Arc<Branch>> = gone.into_iter().collect();
    changes.retain_mut(|change| {
        if let Some(old) = gone.remove(&change.path) {
            change.old = Some(old);
        }
        change.old != change.new
    });
    let left = gone.into_iter().map(|(path, old)| BranchChange {
        path,
        old: Some(old),
        new: None,
    });
    changes.extend(left);
    changes
}

/// One walk from the root down.
pub(super) struct Descent<'s> {
    pub(super) source: &'s dyn Source,
    pub(super) trie: &'s Trie,
    /// Branches that are no longer where they were.
    pub(super) gone: Vec<(Path, Arc<Branch>)>,
}

impl Descent<'_> {
    fn root<'a>(&self, start: Start, changes: &[Change<'a>]) -> Result<Place<'a>, StateError> {
        if start == Start::Empty {
            return Ok(Place::Nothing);
        }
        if let Some(branch) = self.source.branch(self.trie, &Path::ROOT)? {
            return Ok(Place::Branch(Box::new(Work::over(branch))));
        }
        Ok(match self.lone_leaf(&Path::ROOT, changes)? {
            Some(leaf) => Place::Leaf(leaf),
            None => Place::Nothing,
        })
    }

    /// What is at this place after `changes`, all of which lie below it.
    pub(super) fn apply<'a>(
        &mut self,
        place: Place<'a>,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        match place {
            Place::Nothing => Ok(build(depth, &mut leaves(None, changes))),
            Place::Leaf(leaf) => Ok(build(depth, &mut leaves(Some(leaf), changes))),
            Place::Branch(work) => self.descend(work, depth, changes),
        }
    }

    fn descend<'a>(
        &mut self,
        work: Box<Work<'a>>,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        let mut work = self.split(work, depth, changes);
        let below = work.below(depth, changes);
        let Some(first) = below.first() else {
            return Ok(Some(Node::Branch(work)));
        };
        let at = depth + work.extension.len();
        for group in below.chunk_by(|a, b| nibble(&a.key, at) == nibble(&b.key, at)) {
            let place = self.child(&mut work, at, group)?;
            let child = self.apply(place, at + 1, group)?;
            work.set(nibble(&group[0].key, at), child);
        }
        self.settle(work, at, &first.key)
    }

    /// Puts a branch into the extension of `work` where the first new key leaves it.
    fn split<'a>(
        &mut self,
        mut work: Box<Work<'a>>,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Box<Work<'a>> {
        let [first, ..] = changes else { return work };
        if work.extension.is_empty() {
            return work;
        }
        let leaving = changes
            .iter()
            .filter(|change| change.value.is_some())
            .map(|change| shared(&work.extension, &change.key, depth))
            .min()
            .filter(|length| *length < work.extension.len());
        let Some(length) = leaving else { return work };
        self.leave(&mut work, Path::prefix(&first.key, depth));
        let rest = work.extension.split_off(length + 1);
        let mut extension = std::mem::replace(&mut work.extension, rest);
        let nibble = extension.remove(length);
        let children = vec![(nibble, Node::Branch(work))];
        Box::new(Work {
            extension,
            mask: 1 << nibble,
            leaves: 0,
            old: None,
            home: false,
            children,
        })
    }

    /// `work` is no longer at `path`.
    fn leave(&mut self, work: &mut Work<'_>, path: Path) {
        if let Some(old) = work.old.as_ref().filter(|_| work.home) {
            self.gone.push((path, Arc::clone(old)));
        }
        work.home = false;
    }

    /// What `work` holds at the nibble of `group`.
    pub(super) fn child<'a>(
        &self,
        work: &mut Work<'a>,
        at: usize,
        group: &[Change<'a>],
    ) -> Result<Place<'a>, StateError> {
        let key = &group[0].key;
        let nibble = nibble(key, at);
        if let Some(child) = work.take(nibble) {
            return Ok(match child {
                Node::Leaf(leaf) => Place::Leaf(leaf),
                Node::Branch(work) => Place::Branch(work),
            });
        }
        if work.mask & 1 << nibble == 0 {
            return Ok(Place::Nothing);
        }
        let path = Path::prefix(key, at + 1);
        if work.leaves & 1 << nibble != 0 {
            return Ok(match self.lone_leaf(&path, group)? {
                Some(leaf) => Place::Leaf(leaf),
                None => {
                    return Err(StateError::Damaged {
                        what: "a branch points to a leaf that is not there",
                    });
                }
            });
        }
        self.load(path).map(Place::Branch)
    }

    /// The only leaf below `path`, if there is one. When a change says that its key is there, that is the leaf, and
    /// its value does not matter.
    fn lone_leaf<'a>(
        &self,
        path: &Path,
        changes: &[Change<'_>],
    ) -> Result<Option<Leaf<'a>>, StateError> {
        if let Some(change) = changes.iter().find(|change| change.existed) {
            return Ok(Some(Leaf {
                key: change.key,
                value: Cow::Borrowed(&[]),
            }));
        }
        let leaf = self.source.first_leaf(self.trie, path)?;
        Ok(leaf.map(|(key, value)| Leaf {
            key,
            value: Cow::Owned(value),
        }))
    }

    fn load<'a>(&self, path: Path) -> Result<Box<Work<'a>>, StateError> {
        let branch = self
            .source
            .branch(self.trie, &path)?
            .ok_or(StateError::Damaged {
                what: "a branch points to a branch that is not there",
            })?;
        Ok(Box::new(Work::over(branch)))
    }

    /// Turns a branch with fewer than two children into what it must be.
    fn settle<'a>(
        &mut self,
        mut work: Box<Work<'a>>,
        at: usize,
        key: &B256,
    ) -> Result<Option<Node<'a>>, StateError> {
        if work.mask.count_ones() > 1 {
            return Ok(Some(Node::Branch(work)));
        }
        let place = Path::prefix(key, at - work.extension.len());
        self.leave(&mut work, place);
        let Some(nibble) = nibbles(work.mask).next() else {
            return Ok(None);
        };
        let child = match work.take(nibble) {
            Some(child) => child,
            None => {
                let path = Path::prefix(key, at).child(nibble);
                if work.leaves == 0 {
                    Node::Branch(self.load(path)?)
                } else {
                    Node::Leaf(self.lone_leaf(&path, &[])?.ok_or(StateError::Damaged {
                        what: "a branch points to a leaf that is not there",
                    })?)
                }
            }
        };
        Ok(Some(match child {
            Node::Leaf(leaf) => Node::Leaf(leaf),
            Node::Branch(mut child) => {
                self.leave(&mut child, Path::prefix(key, at).child(nibble));
                let mut extension = work.extension;
                extension.push(nibble);
                extension.append(&mut child.extension);
                child.extension = extension;
                Node::Branch(child)
            }
        }))
    }
}

impl<'a> Work<'a> {
    pub(super) fn over(branch: Arc<Branch>) -> Self {
        Self {
            extension: branch.extension.to_vec(),
            mask: branch.mask,
            leaves: branch.leaves,
            old: Some(branch),
            home: true,
            children: Vec::new(),
        }
    }

    /// Those of `changes` that go through the extension; the others find nothing to remove.
    pub(super) fn below<'c>(&self, depth: usize, changes: &'c [Change<'a>]) -> &'c [Change<'a>] {
        if self.extension.is_empty() {
            return changes;
        }
        let through = |change: &Change<'_>| {
            shared(&self.extension, &change.key, depth) == self.extension.len()
        };
        let Some(first) = changes.iter().position(through) else {
            return &[];
        };
        let count = changes[first..]
            .iter()
            .take_while(|change| through(change))
            .count();
        &changes[first..first + count]
    }

    /// Takes a new child out, to be set again.
    fn take(&mut self, nibble: u8) -> Option<Node<'a>> {
        let at = self
            .children
            .binary_search_by_key(&nibble, |(nibble, _)| *nibble)
            .ok()?;
        Some(self.children.remove(at).1)
    }

    /// Puts a child at a nibble that has none among the new ones.
    pub(super) fn set(&mut self, nibble: u8, child: Option<Node<'a>>) {
        let bit = 1 << nibble;
        self.mask &= !bit;
        self.leaves &= !bit;
        let Some(child) = child else { return };
        self.mask |= bit;
        if matches!(child, Node::Leaf(_)) {
            self.leaves |= bit;
        }
        let at = self.children.partition_point(|(other, _)| *other < nibble);
        self.children.insert(at, (nibble, child));
    }
}

/// How many nibbles of `extension` the key follows from `depth` on.
fn shared(extension: &[u8], key: &B256, depth: usize) -> usize {
    extension
        .iter()
        .enumerate()
        .take_while(|(at, step)| nibble(key, depth + at) == **step)
        .count()
}

/// The leaves that `changes` leave, among them `old` unless a change replaces it.
fn leaves<'a>(old: Option<Leaf<'a>>, changes: &[Change<'a>]) -> Vec<Leaf<'a>> {
    let mut leaves: Vec<Leaf<'a>> = changes
        .iter()
        .filter_map(|change| {
            let value = Cow::Borrowed(change.value?);
            Some(Leaf {
                key: change.key,
                value,
            })
        })
        .collect();
    if let Some(old) = old
        && changes
            .binary_search_by_key(&old.key, |change| change.key)
            .is_err()
    {
        let at = leaves.partition_point(|leaf| leaf.key < old.key);
        leaves.insert(at, old);
    }
    leaves
}

/// The subtree of sorted leaves that share `depth` nibbles. Empties `leaves`' values.
fn build<'a>(depth: usize, leaves: &mut [Leaf<'a>]) -> Option<Node<'a>> {
    let (first, last) = (leaves.first()?.key, leaves.last()?.key);
    if let [leaf] = leaves {
        return Some(Node::Leaf(Leaf {
            key: leaf.key,
            value: std::mem::take(&mut leaf.value),
        }));
    }
    let mut at = depth;
    while nibble(&first, at) == nibble(&last, at) {
        at += 1;
    }
    let extension = (depth..at).map(|at| nibble(&first, at)).collect();
    let mut work = Work {
        extension,
        mask: 0,
        leaves: 0,
        old: None,
        home: false,
        children: Vec::new(),
    };
    for group in leaves.chunk_by_mut(|a, b| nibble(&a.key, at) == nibble(&b.key, at)) {
        let nibble = nibble(&group[0].key, at);
        work.set(nibble, build(at + 1, group));
    }
    Some(Node::Branch(Box::new(work)))
}
