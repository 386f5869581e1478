//! Giving nodes their references, children first, and noting which branches differ from their rows.

use super::branch::{Work, extension};
use super::changed::Changed;
use super::encode::{encode_branch, encode_extension, encode_leaf};
use super::{Branch, Leaf, Node, Path, Reference, Row, Sealed};

/// Bytes of a branch with sixteen children.
const LONGEST: usize = 3 + 16 * 33 + 1;

/// Collects the branches that it seals.
#[derive(Debug)]
pub(super) struct Sealer {
    /// Branches that are new or differ from what was there.
    pub(super) changed: Changed,
    pub(super) buffer: Vec<u8>,
}

impl Sealer {
    /// Room for `branches`.
    pub(super) fn with_room(branches: usize) -> Self {
        Self {
            changed: Changed::with_room(branches),
            buffer: Vec::with_capacity(LONGEST),
        }
    }

    /// The branch as it is now, where `old` was. It may still move: the extension before it is not a part of what is
    /// hashed here.
    pub(super) fn seal(&mut self, work: &Work, old: Option<Branch>) -> Sealed {
        let new = self.changed.row(|rows| work.write(rows));
        encode_branch(work, &mut self.buffer);
        let body = Reference::to(&self.buffer);
        let row = match old {
            Some(old) if old.row() == self.changed.bytes(&new) => {
                self.changed.take_back(&new);
                Row::Kept(old)
            }
            old => Row::Written(new, old),
        };
        Sealed { row, body }
    }

    /// The reference to a node that stays at `path`.
    pub(super) fn place(&mut self, node: Node<'_>, path: Path) -> Reference {
        let Sealed { row, body } = match node {
            Node::Leaf(Leaf { key, value }) => {
                encode_leaf(&key, path.length(), &value, &mut self.buffer);
                return Reference::to(&self.buffer);
            }
            Node::Branch(sealed) => sealed,
        };
        let reference = through(extension(row.bytes(&self.changed)), body, &mut self.buffer);
        match row {
            Row::Kept(_) => {}
            Row::Moved(branch) => {
                let new = self
                    .changed
                    .row(|rows| rows.extend_from_slice(branch.row()));
                self.changed.push(path, None, new);
            }
            Row::Written(new, old) => self.changed.push(path, old, new),
        }
        reference
    }
}

/// The reference to what `body` refers to, with the extension before it.
pub(super) fn through(extension: &[u8], body: Reference, buffer: &mut Vec<u8>) -> Reference {
    if extension.is_empty() {
        return body;
    }
    encode_extension(extension, &body, buffer);
    Reference::to(buffer)
}
