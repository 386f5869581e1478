//! Large batches on two threads, divided at the root's children.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::branch::Work;
use super::path::nibble;
use super::seal::Sealer;
use super::update::{Descent, Growing, Place};
use super::{Branch, Change, Changed, Node, Path, Reference, Source, Trie, Updated};
use crate::StateError;

/// Fewest changes that pay for starting a thread: it takes as long as about ten of them, and on a busy machine the
/// other core has something else to do.
pub(crate) const PAYS: usize = 200;

/// What changes make of one of the root's children.
#[derive(Debug)]
pub(crate) struct Part {
    changed: Changed,
    nibble: u8,
    /// `None`: gone.
    child: Option<Child>,
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
    if changes.len() < PAYS || !root.begins_here() {
        return Ok(None);
    }
    let groups = changes.chunk_by(|a, b| nibble(&a.key, 0) == nibble(&b.key, 0));
    let parts = share(groups.collect(), |group| part(source, trie, root, group));
    Ok(join(root, parts.into_iter().collect::<Result<_, _>>()?))
}

/// Updates the one child of the root below which all changes lie, at least one. The root is a branch without an
/// extension.
pub(crate) fn part(
    source: &dyn Source,
    trie: &Trie,
    root: &Branch,
    changes: &[Change<'_>],
) -> Result<Part, StateError> {
    let mut descent = Descent::new(source, trie, changes.len());
    let mut growing = Growing::new();
    growing.work.load(root);
    let nibble = nibble(&changes[0].key, 0);
    let child = descent.child(&mut growing, 0, changes)?.map(|node| {
        let leaf = matches!(node, Node::Leaf(_));
        let reference = descent.sealer.place(node, Path::ROOT.child(nibble));
        Child { reference, leaf }
    });
    Ok(Part {
        changed: descent.changed(),
        nibble,
        child,
    })
}

/// The whole of parts of different children; `None` when the root does not stay a branch.
pub(crate) fn join(root: &Branch, parts: Vec<Part>) -> Option<Updated> {
    let mut work = Work::new(Vec::new());
    work.load(root);
    for Part { nibble, child, .. } in &parts {
        match child {
            Some(Child { reference, leaf }) => work.set(*nibble, *reference, *leaf),
            None => work.clear(*nibble),
        }
    }
    if work.mask.count_ones() < 2 {
        return None;
    }
    let mut sealer = Sealer::with_room(1);
    let sealed = sealer.seal(&work, Some(root.clone()));
    let root = sealer.place(Node::Branch(sealed), Path::ROOT).hash();
    let changed = parts.into_iter().map(|part| part.changed);
    Some(Updated {
        root,
        changed: changed.chain([sealer.changed]).collect(),
    })
}

/// Does `work` with each task: with one after the other from the first on, and meanwhile, on another thread, from the
/// last on. So the work ends on both at about the same time, however late the other began.
pub(crate) fn share<T: Send, R: Send>(tasks: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let tasks = Mutex::new(VecDeque::from(tasks));
    let until_empty = |next: fn(&mut VecDeque<T>) -> Option<T>| -> Vec<R> {
        std::iter::from_fn(|| next(&mut tasks.lock()))
            .map(&work)
            .collect()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| until_empty(VecDeque::pop_back));
        let mut done = until_empty(VecDeque::pop_front);
        let others = other
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.extend(others.into_iter().rev());
        done
    })
}
