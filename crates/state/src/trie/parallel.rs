//! Large batches on two threads, divided at the root's children.

use alloy_primitives::B256;

use super::branch::Work;
use super::path::nibble;
use super::seal::Sealer;
use super::update::{Descent, Growing, Place, changed};
use super::{Branch, Change, Node, Path, Reference, Source, Trie, Updated};
use crate::StateError;

/// Fewest changes that pay for starting a thread: it takes as long as about ten of them, and on a busy machine the
/// other core has something else to do.
const PAYS: usize = 200;

/// What one thread makes of some of the root's children.
#[derive(Debug)]
pub(crate) struct Part {
    gone: Vec<(Path, Branch)>,
    sealer: Sealer,
    /// By nibble; `None`: gone.
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
    let Place::Branch(root, true) = root else {
        return Ok(None);
    };
    if !root.begins_here() {
        return Ok(None);
    }
    let Some(middle) = middle(changes, |change| &change.key) else {
        return Ok(None);
    };
    let (low, high) = changes.split_at(middle);
    let (low, high) = both(
        || part(source, trie, root, low),
        || part(source, trie, root, high),
    );
    Ok(join(root, low?, high?))
}

/// Where to divide what is sorted by key, so that no child of the root is on both sides; `None` when it does not pay.
pub(crate) fn middle<T>(sorted: &[T], key: impl Fn(&T) -> &B256) -> Option<usize> {
    if sorted.len() < PAYS {
        return None;
    }
    let half = sorted.len() / 2;
    let middle = nibble(key(&sorted[half]), 0);
    let below = sorted.partition_point(|entry| nibble(key(entry), 0) < middle);
    let through = sorted.partition_point(|entry| nibble(key(entry), 0) <= middle);
    Some(if half - below < through - half {
        below
    } else {
        through
    })
}

/// Updates one of the root's children after the other, so that each fits a core's memory. The root is a branch without
/// an extension.
pub(crate) fn part(
    source: &dyn Source,
    trie: &Trie,
    root: &Branch,
    changes: &[Change<'_>],
) -> Result<Part, StateError> {
    let mut descent = Descent::new(source, trie, changes.len());
    let mut growing = Growing::new();
    growing.work.load(root);
    let mut children = Vec::with_capacity(16);
    for group in changes.chunk_by(|a, b| nibble(&a.key, 0) == nibble(&b.key, 0)) {
        source.expect(trie, group);
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

/// The whole of two parts of different children; `None` when the root does not stay a branch.
pub(crate) fn join(root: &Branch, low: Part, high: Part) -> Option<Updated> {
    let mut work = Work::new(Vec::new());
    work.load(root);
    for (nibble, child) in low.children.into_iter().chain(high.children) {
        match child {
            Some(Child { reference, leaf }) => work.set(nibble, reference, leaf),
            None => work.clear(nibble),
        }
    }
    if work.mask.count_ones() < 2 {
        return None;
    }
    let mut sealer = low.sealer;
    sealer.found.extend(high.sealer.found);
    let sealed = sealer.seal(&work, Some(root.clone()));
    let root = sealer.place(Node::Branch(sealed), Path::ROOT).hash();
    let gone = low.gone.into_iter().chain(high.gone).collect();
    Some(Updated {
        root,
        branches: changed(sealer.found, gone),
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
