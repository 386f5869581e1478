//! Large batches on two threads, divided at the root's children.

use super::path::nibble;
use super::seal::Sealer;
use super::update::{Descent, Growing, Place, changed};
use super::{Branch, Change, Node, Path, Reference, Source, Trie, Updated};
use crate::StateError;

/// Fewest changes that pay for starting a thread: it takes as long as about twenty of them.
pub(crate) const PAYS: usize = 200;

/// What one thread makes of some of the root's children.
#[derive(Debug)]
struct Part {
    gone: Vec<(Path, Branch)>,
    sealer: Sealer,
    children: Vec<(u8, Option<Child>)>,
}

#[derive(Debug)]
struct Child {
    reference: Reference,
    leaf: bool,
}

/// Does the whole update when it is large enough and the root stays a branch; otherwise nothing.
pub(super) fn update(
    source: &dyn Source,
    trie: &Trie,
    root: &Place<'_>,
    changes: &[Change<'_>],
) -> Result<Option<Updated>, StateError> {
    let Place::Branch(old, true) = root else {
        return Ok(None);
    };
    if changes.len() < PAYS || !old.extension().is_empty() {
        return Ok(None);
    }
    let middle = nibble(&changes[changes.len() / 2].key, 0);
    let (low, high) =
        changes.split_at(changes.partition_point(|change| nibble(&change.key, 0) < middle));
    let (low, high) = both(
        || part(source, trie, old, low),
        || part(source, trie, old, high),
    );
    let (low, high) = (low?, high?);
    let mut work = Growing::root(old).work;
    for (nibble, child) in low.children.into_iter().chain(high.children) {
        match child {
            Some(Child { reference, leaf }) => work.set(nibble, reference, leaf),
            None => work.clear(nibble),
        }
    }
    if work.mask.count_ones() < 2 {
        return Ok(None);
    }
    let mut sealer = low.sealer;
    sealer.found.extend(high.sealer.found);
    let root = sealer.seal(&work, Some(old.clone()));
    let root = sealer.place(Node::Branch(root), Path::ROOT).hash();
    let gone = low.gone.into_iter().chain(high.gone).collect();
    Ok(Some(Updated {
        root,
        branches: changed(sealer.found, gone),
    }))
}

/// Updates one of the root's children after the other, so that each fits a core's memory.
fn part(
    source: &dyn Source,
    trie: &Trie,
    root: &Branch,
    changes: &[Change<'_>],
) -> Result<Part, StateError> {
    let mut descent = Descent::new(source, trie);
    let mut growing = Growing::root(root);
    let mut children = Vec::with_capacity(16);
    for group in changes.chunk_by(|a, b| nibble(&a.key, 0) == nibble(&b.key, 0)) {
        let nibble = nibble(&group[0].key, 0);
        let child = descent.child(&mut growing, 0, group)?.map(|node| {
            let leaf = matches!(node, Node::Leaf(_));
            let reference = descent.sealer.place(node, Path::ROOT.child(nibble));
            Child { reference, leaf }
        });
        children.push((nibble, child));
    }
    Ok(Part {
        gone: descent.gone,
        sealer: descent.sealer,
        children,
    })
}

/// Does two things at once, the second on a thread of its own.
pub(crate) fn both<A, B: Send>(
    first: impl FnOnce() -> A,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    std::thread::scope(|scope| {
        let second = scope.spawn(second);
        let first = first();
        let second = second
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (first, second)
    })
}
