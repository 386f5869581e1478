//! Applying a sorted batch of changes in one descent that touches each branch once.
//!
//! ```text
//!   place (before) ──▶ apply ──▶ node (after) ──▶ its reference in the branch above
//! ```
//!
//! Going up, each branch gets its hash at once. What may still change is where it lies: a branch above that is left with
//! one child gives its own nibbles to that child. So the first child of a branch stays open until there is a second.
//! Nothing is written, and the branches read stay as they are, so that several candidates may grow from one trie.

use std::borrow::Cow;

use alloy_primitives::B256;

use super::branch::{Branch, Work, extension, nibbles};
use super::changed::Changed;
use super::path::nibble;
use super::seal::Sealer;
use super::{Ahead, Change, Leaf, Node, Path, Row, Sealed, Source, Trie, Updated, parallel};
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
    /// Whether the branch's row lies at this place.
    Branch(Branch, bool),
}

/// A branch whose children change.
pub(super) struct Growing {
    pub(super) work: Work,
    /// What lies at its place.
    pub(super) old: Option<Branch>,
    /// A branch that it was put above, and the nibble.
    moved: Option<(u8, Branch)>,
}

/// Children of a branch of which it is not known whether it stays.
struct Open<'a> {
    /// How many children there are at least.
    present: u32,
    /// The only one until now, if it is a new one.
    first: Option<(u8, Node<'a>)>,
}

/// Most branches for which room is made beforehand: where a whole trie is built, there is about one for three leaves.
const MOST_ROOM: usize = 4_096;

/// Fewest: as many as lie above a leaf among a million, and some.
const LEAST_ROOM: usize = 8;

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
    let mut descent = Descent::new(source, trie, changes.len());
    let root = descent.root(start, changes)?;
    if let Some(updated) = parallel::update(source, trie, &root, changes)? {
        return Ok(updated);
    }
    let root = match descent.apply(root, 0, changes)? {
        Some(node) => descent.sealer.place(node, Path::ROOT).hash(),
        None => EMPTY_ROOT,
    };
    Ok(Updated {
        root,
        changed: vec![descent.changed()],
    })
}

/// One walk from the root down.
pub(super) struct Descent<'s> {
    source: &'s dyn Source,
    trie: &'s Trie,
    /// What was found of the changes below the root's child that is being changed.
    ahead: Ahead,
    /// Branches that are no longer where they were.
    pub(super) gone: Vec<(Path, Branch)>,
    pub(super) sealer: Sealer,
}

impl<'s> Descent<'s> {
    /// Room for what about `changes` changes find.
    pub(super) fn new(source: &'s dyn Source, trie: &'s Trie, changes: usize) -> Self {
        Self {
            source,
            trie,
            ahead: Ahead::default(),
            gone: Vec::new(),
            sealer: Sealer::with_room((changes * 3).clamp(LEAST_ROOM, MOST_ROOM)),
        }
    }

    /// All rows that differ.
    pub(super) fn changed(self) -> Changed {
        let mut changed = self.sealer.changed;
        changed.leave(self.gone);
        changed
    }

    fn root<'a>(&self, start: Start, changes: &[Change<'a>]) -> Result<Place<'a>, StateError> {
        if start == Start::Empty {
            return Ok(Place::Nothing);
        }
        if let Some(branch) = self.source.branch(self.trie, &Path::ROOT)? {
            return Ok(Place::Branch(branch, true));
        }
        Ok(match self.lone_leaf(&Path::ROOT, changes)? {
            Some(leaf) => Place::Leaf(leaf),
            None => Place::Nothing,
        })
    }

    /// What is at this place after `changes`, all of which lie below it.
    fn apply<'a>(
        &mut self,
        place: Place<'a>,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        match place {
            Place::Nothing => Ok(self.grow(None, depth, changes)),
            Place::Leaf(leaf) => Ok(self.grow(Some(leaf), depth, changes)),
            Place::Branch(branch, home) => self.descend(branch, home, depth, changes),
        }
    }

    fn descend<'a>(
        &mut self,
        branch: Branch,
        home: bool,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        let extension = branch.extension();
        if !extension.is_empty() {
            let leaving = changes
                .iter()
                .filter(|change| change.value.is_some())
                .map(|change| shared(extension, &change.key, depth))
                .min()
                .filter(|length| *length < extension.len());
            if let Some(length) = leaving {
                return self.split(&branch, home, length, depth, changes);
            }
        }
        let below = below(extension, depth, changes);
        if below.is_empty() {
            return Ok(Some(Node::Branch(self.as_it_is(branch, home))));
        }
        let mut growing = Growing::new();
        growing.work.load(&branch);
        growing.old = home.then_some(branch);
        self.children(&mut growing, depth, below)
    }

    /// Puts a branch into the extension of another, where the first new key leaves it.
    fn split<'a>(
        &mut self,
        branch: &Branch,
        home: bool,
        length: usize,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        if home {
            let path = Path::prefix(&changes[0].key, depth);
            self.gone.push((path, branch.clone()));
        }
        let extension = branch.extension();
        let moved = Branch::behind(branch.row(), &extension[length + 1..]);
        let mut growing = Growing::new();
        growing
            .work
            .extension
            .extend_from_slice(&extension[..length]);
        growing.moved = Some((extension[length], moved));
        let below = below(&extension[..length], depth, changes);
        self.children(&mut growing, depth, below)
    }

    /// A branch at `depth` after `changes`, all of which go through its extension.
    fn children<'a>(
        &mut self,
        growing: &mut Growing,
        depth: usize,
        changes: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        let key = &changes[0].key;
        let at = depth + growing.work.extension.len();
        let touched = changes.iter().fold(0_u16, |touched, change| {
            touched | 1 << nibble(&change.key, at)
        });
        let mut open = Open {
            present: (growing.work.mask & !touched).count_ones(),
            first: None,
        };
        if let Some((nibble, moved)) = growing
            .moved
            .take_if(|(nibble, _)| touched & 1 << *nibble == 0)
        {
            let node = Node::Branch(self.as_it_is(moved, false));
            self.admit(
                &mut open,
                &mut growing.work,
                Path::prefix(key, at),
                nibble,
                node,
            );
        }
        for group in changes.chunk_by(|a, b| nibble(&a.key, at) == nibble(&b.key, at)) {
            let nibble = nibble(&group[0].key, at);
            let Some(node) = self.child(growing, at, group)? else {
                growing.work.clear(nibble);
                continue;
            };
            self.admit(
                &mut open,
                &mut growing.work,
                Path::prefix(key, at),
                nibble,
                node,
            );
        }
        if open.present > 1 {
            let sealed = self.sealer.seal(&growing.work, growing.old.take());
            return Ok(Some(Node::Branch(sealed)));
        }
        if let Some(old) = growing.old.take() {
            self.gone.push((Path::prefix(key, depth), old));
        }
        if open.present == 0 {
            return Ok(None);
        }
        self.collapse(&growing.work, open.first, Path::prefix(key, at))
            .map(Some)
    }

    /// Takes a new child in. The first one stays open until there is a second.
    fn admit<'a>(
        &mut self,
        open: &mut Open<'a>,
        work: &mut Work,
        path: Path,
        nibble: u8,
        node: Node<'a>,
    ) {
        open.present += 1;
        if open.present == 1 {
            open.first = Some((nibble, node));
            return;
        }
        for (nibble, node) in open.first.take().into_iter().chain([(nibble, node)]) {
            let leaf = matches!(node, Node::Leaf(_));
            let reference = self.sealer.place(node, path.child(nibble));
            work.set(nibble, reference, leaf);
        }
    }

    /// What the child at the nibble of `group` becomes.
    pub(super) fn child<'a>(
        &mut self,
        growing: &mut Growing,
        at: usize,
        group: &[Change<'a>],
    ) -> Result<Option<Node<'a>>, StateError> {
        let key = &group[0].key;
        let nibble = nibble(key, at);
        let place = if let Some((_, moved)) = growing.moved.take_if(|(moved, _)| *moved == nibble) {
            Place::Branch(moved, false)
        } else if growing.work.mask & 1 << nibble == 0 {
            Place::Nothing
        } else {
            let path = Path::prefix(key, at + 1);
            if growing.work.leaves & 1 << nibble != 0 {
                Place::Leaf(self.leaf(&path, group)?)
            } else {
                if at == 0 {
                    self.ahead = self.source.ahead(self.trie, group);
                }
                Place::Branch(self.load(&path)?, true)
            }
        };
        self.apply(place, at + 1, group)
    }

    /// The only child of a branch takes the branch's place.
    fn collapse<'a>(
        &mut self,
        work: &Work,
        first: Option<(u8, Node<'a>)>,
        path: Path,
    ) -> Result<Node<'a>, StateError> {
        let (nibble, node) = if let Some(first) = first {
            first
        } else {
            let nibble = nibbles(work.mask)
                .next()
                .expect("the only child was there before when it is not new");
            let path = path.child(nibble);
            let node = if work.leaves == 0 {
                let branch = self.load(&path)?;
                Node::Branch(self.as_it_is(branch, true))
            } else {
                Node::Leaf(self.leaf(&path, &[])?)
            };
            (nibble, node)
        };
        let Node::Branch(Sealed { row, body }) = node else {
            return Ok(node);
        };
        let bytes = row.bytes(&self.sealer.changed);
        let extension = [&work.extension, [nibble].as_slice(), extension(bytes)].concat();
        let moved = Branch::behind(bytes, &extension);
        if let Row::Kept(old) | Row::Written(_, Some(old)) = row {
            self.gone.push((path.child(nibble), old));
        }
        Ok(Node::Branch(Sealed {
            row: Row::Moved(moved),
            body,
        }))
    }

    /// A branch below which nothing changes.
    fn as_it_is(&mut self, branch: Branch, home: bool) -> Sealed {
        Sealed {
            body: branch.body(&mut self.sealer.buffer),
            row: if home {
                Row::Kept(branch)
            } else {
                Row::Moved(branch)
            },
        }
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

    /// The leaf that a branch points to.
    fn leaf<'a>(&self, path: &Path, changes: &[Change<'_>]) -> Result<Leaf<'a>, StateError> {
        self.lone_leaf(path, changes)?.ok_or(StateError::Damaged {
            what: "a branch points to a leaf that is not there",
        })
    }

    /// The branch that a branch points to.
    fn load(&mut self, path: &Path) -> Result<Branch, StateError> {
        if let Some(branch) = self.ahead.take(path) {
            return Ok(branch);
        }
        self.source
            .branch(self.trie, path)?
            .ok_or(StateError::Damaged {
                what: "a branch points to a branch that is not there",
            })
    }
}

impl Growing {
    /// A branch without anything.
    pub(super) const fn new() -> Self {
        Self {
            work: Work::new(Vec::new()),
            old: None,
            moved: None,
        }
    }
}

/// Those of `changes` that go through the extension; the others find nothing to remove.
fn below<'c, 'a>(extension: &[u8], depth: usize, changes: &'c [Change<'a>]) -> &'c [Change<'a>] {
    if extension.is_empty() {
        return changes;
    }
    let through = |change: &Change<'_>| shared(extension, &change.key, depth) == extension.len();
    let Some(first) = changes.iter().position(through) else {
        return &[];
    };
    let count = changes[first..]
        .iter()
        .take_while(|change| through(change))
        .count();
    &changes[first..first + count]
}

/// How many nibbles of `extension` the key follows from `depth` on.
fn shared(extension: &[u8], key: &B256, depth: usize) -> usize {
    extension
        .iter()
        .enumerate()
        .take_while(|(at, step)| nibble(key, depth + at) == **step)
        .count()
}
