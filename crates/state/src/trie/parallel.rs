//! Large batches on two threads, divided at the root's children.

use std::sync::Arc;

use super::path::nibble;
use super::seal::{Sealer, assemble, branch_reference};
use super::update::{Descent, Place, changed};
use super::{Branch, Change, Node, Path, Reference, Source, Trie, Updated, Work};
use crate::StateError;

/// Fewest changes that pay for starting a thread: it takes as long as about twenty of them.
pub(crate) const PAYS: usize = 200;

/// What one thread makes of some of the root's children.
#[derive(Debug)]
struct Part {
    gone: Vec<(Path, Arc<Branch>)>,
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
    descent: &Descent<'_>,
    root: &Place<'_>,
    changes: &[Change<'_>],
) -> Result<Option<Updated>, StateError> {
    let Place::Branch(root) = root else {
        return Ok(None);
    };
    let Some(old) = root.old.as_ref().filter(|old| old.extension.is_empty()) else {
        return Ok(None);
    };
    if changes.len() < PAYS {
        return Ok(None);
    }
    let middle = nibble(&changes[changes.len() / 2].key, 0);
    let (low, high) =
        changes.split_at(changes.partition_point(|change| nibble(&change.key, 0) < middle));
    let (low, high) = both(
        || part(descent.source, descent.trie, old, low),
        || part(descent.source, descent.trie, old, high),
    );
    let (mut low, high) = (low?, high?);
    low.children.extend(high.children);
    let (mut mask, mut leaves) = (old.mask, old.leaves);
    let mut references = Vec::with_capacity(16);
    for (nibble, child) in low.children {
        let bit = 1_u16 << nibble;
        (mask, leaves) = (mask & !bit, leaves & !bit);
        if let Some(Child { reference, leaf }) = child {
            mask |= bit;
            leaves |= u16::from(leaf) << nibble;
            references.push((nibble, reference));
        }
    }
    if mask.count_ones() < 2 {
        return Ok(None);
    }
    let branch = assemble(Vec::new(), mask, leaves, &references, Some(old));
    let root = branch_reference(&branch, &mut Vec::new()).hash();
    let mut sealer = low.sealer;
    sealer.sealed.extend(high.sealer.sealed);
    sealer.found(Path::ROOT, Some(Arc::clone(old)), branch);
    let gone = low.gone.into_iter().chain(high.gone).collect();
    Ok(Some(Updated {
        root,
        branches: changed(sealer.sealed, gone),
    }))
}

/// Updates and seals one of the root's children after the other, so that each fits a core's memory.
fn part(
    source: &dyn Source,
    trie: &Trie,
    old: &Arc<Branch>,
    changes: &[Change<'_>],
) -> Result<Part, StateError> {
    let mut descent = Descent {
        source,
        trie,
        gone: Vec::new(),
    };
    let mut work = Work::over(Arc::clone(old));
    let mut sealer = Sealer::default();
    let mut children = Vec::with_capacity(16);
    for group in changes.chunk_by(|a, b| nibble(&a.key, 0) == nibble(&b.key, 0)) {
        let first = nibble(&group[0].key, 0);
        let place = descent.child(&mut work, 0, group)?;
        let child = descent.apply(place, 1, group)?.map(|node| {
            let leaf = matches!(node, Node::Leaf(_));
            Child {
                reference: sealer.seal(node, Path::ROOT.child(first)),
                leaf,
            }
        });
        children.push((first, child));
    }
    Ok(Part {
        gone: descent.gone,
        sealer,
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
