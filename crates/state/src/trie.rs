//! Merkle-Patricia tries over flat rows: yellow paper, appendix D.
//!
//! ```text
//!  rows, cache ──▶ update, seal ──▶ root, changed branches
//!        └───────▶ proof
//! ```
//!
//! A branch keeps its children's references, so that encoding it reads nothing of its children. The extension before a
//! branch is a part of it: one row, lying at the path where the extension begins. Leaves are the flat rows.
//! All keys have 32 bytes, so no branch has a value.

mod ahead;
mod branch;
mod changed;
mod encode;
mod grow;
mod parallel;
mod path;
mod proof;
mod seal;
mod update;

use std::borrow::Cow;
use std::ops::Range;

use alloy_primitives::B256;

pub(crate) use ahead::Ahead;
pub(crate) use branch::Branch;
pub(crate) use changed::{BranchChange, Changed};
pub(crate) use parallel::{PAYS, join, part, share};
pub(crate) use path::Path;
pub(crate) use proof::{prove, root_of};
pub(crate) use update::{Start, update};

use crate::StateError;

/// Which of a chain's tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trie {
    /// The one of all accounts.
    Accounts,
    /// The one of the slots of the account with this hashed address.
    Storage(B256),
}

/// Where a trie's nodes are read from. Each answer is of one block.
pub(crate) trait Source: Sync {
    /// The branch at `path`, if there is one.
    fn branch(&self, trie: &Trie, path: &Path) -> Result<Option<Branch>, StateError>;

    /// Branches that changes of one first nibble will go through, as far as finding all at once is quicker than one
    /// after the other. Each is what [`Source::branch`] would give.
    fn ahead(&self, _trie: &Trie, _changes: &[Change<'_>]) -> Ahead {
        Ahead::default()
    }

    /// The first leaf at or below `path`: its key and value.
    fn first_leaf(&self, trie: &Trie, path: &Path) -> Result<Option<(B256, Vec<u8>)>, StateError>;
}

/// A leaf to set or remove.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// Where.
    pub(crate) key: B256,
    /// The new value; `None` removes the leaf.
    pub(crate) value: Option<&'a [u8]>,
    /// Whether the leaf is there now.
    pub(crate) existed: bool,
}

/// What an update makes of a trie.
#[derive(Debug)]
pub(crate) struct Updated {
    pub(crate) root: B256,
    /// In any order, each path once.
    pub(crate) changed: Vec<Changed>,
}

/// A leaf.
#[derive(Clone, Debug)]
struct Leaf<'a> {
    key: B256,
    value: Cow<'a, [u8]>,
}

/// What is at a place after an update. Where it lies may still change.
#[derive(Debug)]
enum Node<'a> {
    Leaf(Leaf<'a>),
    Branch(Sealed),
}

/// A branch whose children have their references.
#[derive(Debug)]
struct Sealed {
    row: Row,
    /// The reference to it without its extension.
    body: Reference,
}

/// The row of a branch after an update.
#[derive(Debug)]
enum Row {
    /// What lay at its place before.
    Kept(Branch),
    /// That of a branch from elsewhere.
    Moved(Branch),
    /// A new one, and what lay at its place before.
    Written(Range<usize>, Option<Branch>),
}

/// How a parent refers to a child: the hash of its RLP, or the RLP itself when shorter than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference {
    /// Zero after the end of an inline node.
    bytes: [u8; 32],
    inline: bool,
}

impl Row {
    /// `changed`: where new rows were written.
    fn bytes<'r>(&'r self, changed: &'r Changed) -> &'r [u8] {
        match self {
            Self::Kept(branch) | Self::Moved(branch) => branch.row(),
            Self::Written(new, _) => changed.bytes(new),
        }
    }
}

#[cfg(test)]
mod tests;
