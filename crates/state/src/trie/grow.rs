//! Subtrees that are new: of leaves alone.

use std::borrow::Cow;

use super::branch::Work;
use super::path::nibble;
use super::update::Descent;
use super::{Change, Leaf, Node, Path};

impl Descent<'_> {
    /// What `changes` make of at most one leaf.
    pub(super) fn grow<'a>(
        &mut self,
        old: Option<Leaf<'a>>,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Option<Node<'a>> {
        if let [change] = changes
            && old.as_ref().is_none_or(|old| old.key == change.key)
        {
            return change.leaf().map(Node::Leaf);
        }
        self.build(depth, &mut leaves(old, changes))
    }

    /// The subtree of sorted leaves that share `depth` nibbles. Empties `leaves`' values.
    fn build<'a>(&mut self, depth: usize, leaves: &mut [Leaf<'a>]) -> Option<Node<'a>> {
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
        let mut work = Work::new((depth..at).map(|at| nibble(&first, at)).collect());
        let path = Path::prefix(&first, at);
        for group in leaves.chunk_by_mut(|a, b| nibble(&a.key, at) == nibble(&b.key, at)) {
            let nibble = nibble(&group[0].key, at);
            if let Some(node) = self.build(at + 1, group) {
                let leaf = matches!(node, Node::Leaf(_));
                let reference = self.sealer.place(node, path.child(nibble));
                work.set(nibble, reference, leaf);
            }
        }
        Some(Node::Branch(self.sealer.seal(&work, None)))
    }
}

impl<'a> Change<'a> {
    /// The leaf that is there afterwards.
    fn leaf(&self) -> Option<Leaf<'a>> {
        Some(Leaf {
            key: self.key,
            value: Cow::Borrowed(self.value?),
        })
    }
}

/// The leaves that `changes` leave, among them `old` unless a change replaces it.
fn leaves<'a>(old: Option<Leaf<'a>>, changes: &[Change<'a>]) -> Vec<Leaf<'a>> {
    let mut leaves: Vec<Leaf<'a>> = changes.iter().filter_map(Change::leaf).collect();
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
