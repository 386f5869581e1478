//! Giving a tree of what changed its references, children first.

use std::sync::Arc;

use super::branch::{Branch, nibbles};
use super::encode::{encode_branch, encode_extension, encode_leaf};
use super::{BranchChange, Node, Path, Reference, Work};

/// Collects the branches that it seals.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    /// Branches that are new or differ from what was there.
    pub(super) sealed: Vec<BranchChange>,
    buffer: Vec<u8>,
}

impl Sealer {
    /// The reference to `node` at `path`.
    pub(super) fn seal(&mut self, node: Node<'_>, path: Path) -> Reference {
        match node {
            Node::Leaf(leaf) => {
                encode_leaf(&leaf.key, path.length(), &leaf.value, &mut self.buffer);
                Reference::to(&self.buffer)
            }
            Node::Branch(work) => self.seal_branch(*work, path),
        }
    }

    fn seal_branch(&mut self, work: Work<'_>, path: Path) -> Reference {
        let at = path.extended(&work.extension);
        let children: Vec<(u8, Reference)> = work
            .children
            .into_iter()
            .map(|(nibble, child)| (nibble, self.seal(child, at.child(nibble))))
            .collect();
        let old = work.old.as_deref();
        let branch = assemble(work.extension, work.mask, work.leaves, &children, old);
        let reference = branch_reference(&branch, &mut self.buffer);
        self.found(path, work.old.filter(|_| work.home), branch);
        reference
    }

    /// Notes the branch that is now at `path`, if it differs from what was there.
    pub(super) fn found(&mut self, path: Path, old: Option<Arc<Branch>>, new: Branch) {
        if old.as_deref() != Some(&new) {
            self.sealed.push(BranchChange {
                path,
                old,
                new: Some(Arc::new(new)),
            });
        }
    }
}

/// A branch of new children, and of old ones where there is no new one.
pub(super) fn assemble(
    extension: Vec<u8>,
    mask: u16,
    leaves: u16,
    children: &[(u8, Reference)],
    old: Option<&Branch>,
) -> Branch {
    let mut references = Vec::with_capacity(mask.count_ones() as usize);
    let mut inline = 0;
    let mut children = children.iter().peekable();
    for nibble in nibbles(mask) {
        let new = children
            .next_if(|(new, _)| *new == nibble)
            .map(|(_, reference)| *reference);
        let reference = new
            .or_else(|| old.map(|old| old.reference(nibble)))
            .expect("a child is new or was there before");
        inline |= u16::from(reference.inline) << nibble;
        references.push(reference.bytes);
    }
    Branch {
        extension: extension.into(),
        mask,
        leaves,
        inline,
        references: references.into(),
    }
}

/// The reference to a branch, through its extension.
pub(super) fn branch_reference(branch: &Branch, buffer: &mut Vec<u8>) -> Reference {
    encode_branch(branch, buffer);
    let reference = Reference::to(buffer);
    if branch.extension.is_empty() {
        return reference;
    }
    encode_extension(&branch.extension, &reference, buffer);
    Reference::to(buffer)
}
