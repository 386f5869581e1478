//! Giving nodes their references, children first, and noting which branches differ from their rows.

use super::branch::Work;
use super::encode::{encode_branch, encode_extension, encode_leaf};
use super::{Branch, BranchChange, Leaf, Node, Path, Reference, Sealed};

/// Bytes of a branch with sixteen children.
const LONGEST: usize = 3 + 16 * 33 + 1;

/// Collects the branches that it seals.
#[derive(Debug)]
pub(super) struct Sealer {
    /// Branches that are new or differ from what was there.
    pub(super) found: Vec<BranchChange>,
    pub(super) buffer: Vec<u8>,
}

impl Sealer {
    /// Room for `branches`.
    pub(super) fn with_room(branches: usize) -> Self {
        Self {
            found: Vec::with_capacity(branches),
            buffer: Vec::with_capacity(LONGEST),
        }
    }

    /// The branch as it is now. It may still move: the extension before it is not a part of what is hashed here.
    pub(super) fn seal(&mut self, work: &Work, old: Option<Branch>) -> Sealed {
        let branch = work.branch(old.as_ref(), &mut self.buffer);
        encode_branch(work, &mut self.buffer);
        Sealed {
            branch,
            body: Reference::to(&self.buffer),
            old,
        }
    }

    /// The reference to a node that stays at `path`.
    pub(super) fn place(&mut self, node: Node<'_>, path: Path) -> Reference {
        match node {
            Node::Leaf(Leaf { key, value }) => {
                encode_leaf(&key, path.length(), &value, &mut self.buffer);
                Reference::to(&self.buffer)
            }
            Node::Branch(Sealed { branch, body, old }) => {
                let reference = through(branch.extension(), body, &mut self.buffer);
                self.found(path, old, branch);
                reference
            }
        }
    }

    /// Notes the branch that is now at `path`, if it differs from what was there.
    pub(super) fn found(&mut self, path: Path, old: Option<Branch>, new: Branch) {
        if old.as_ref() != Some(&new) {
            self.found.push(BranchChange {
                path,
                old,
                new: Some(new),
            });
        }
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
