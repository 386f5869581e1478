//! A branch as it lies in a row and in memory, and while it changes.

use std::sync::Arc;

use alloy_primitives::B256;

use super::Reference;
use super::encode::encode_branch;
use super::path::nibble;
use crate::StateError;
use crate::account::byte;

/// A branch with the extension before it, and its children's references. It is kept as its row, in one piece of memory:
/// one length and nibbles of the extension, three masks, references without what is zero after an inline node.
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch(Arc<[u8]>);

/// A branch that changes, with room for all children.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// Nibbles of the extension, one a byte; mostly empty.
    pub(super) extension: Vec<u8>,
    /// A bit for each child that is there.
    pub(super) mask: u16,
    /// A bit for each child that is a leaf.
    pub(super) leaves: u16,
    /// A bit for each child whose reference is the child itself.
    pub(super) inline: u16,
    /// Of the children that are there, by nibble, as a row without inline nodes has them; what comes after says nothing.
    references: [[u8; 32]; 16],
}

impl Branch {
    /// Bytes of memory, near enough to bound a cache.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() + 32
    }

    /// The row.
    pub(crate) fn row(&self) -> &[u8] {
        &self.0
    }

    /// Reads a row.
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, StateError> {
        match Work::new(Vec::new()).read(row) {
            Some(()) => Ok(Self(row.into())),
            None => Err(StateError::Damaged {
                what: "a branch's row has a form that nothing writes",
            }),
        }
    }

    /// Takes a row that this module wrote.
    pub(crate) fn written(row: &[u8]) -> Self {
        Self(row.into())
    }

    /// Becomes the branch of another row that this module wrote, if that is as long and nobody else holds this one.
    pub(crate) fn overwrite(&mut self, row: &[u8]) -> bool {
        match Arc::get_mut(&mut self.0) {
            Some(bytes) if bytes.len() == row.len() => {
                bytes.copy_from_slice(row);
                true
            }
            _ => false,
        }
    }

    /// Whether no extension comes before it.
    pub(crate) fn begins_here(&self) -> bool {
        self.extension().is_empty()
    }

    /// Whether the child towards `key` is a branch, when this one lies at `depth` and has no extension.
    pub(crate) fn leads_on(&self, key: &B256, depth: usize) -> bool {
        let bit = 1_u16 << nibble(key, depth);
        matches!(&*self.0, [0, a, b, c, d, ..] if {
            u16::from_be_bytes([*a, *b]) & !u16::from_be_bytes([*c, *d]) & bit != 0
        })
    }

    /// Reads a byte of each line of memory that it takes, so that the processor has them near.
    pub(crate) fn touch(&self) -> u8 {
        self.0.iter().step_by(64).fold(0, |all, byte| all ^ byte)
    }

    /// Nibbles of the extension, one a byte; mostly empty.
    pub(super) fn extension(&self) -> &[u8] {
        extension(&self.0)
    }

    /// The branch of a row behind another extension.
    pub(super) fn behind(row: &[u8], extension: &[u8]) -> Self {
        let children = &row[1 + usize::from(row[0])..];
        let row = [&[byte(extension.len())], extension, children].concat();
        Self(row.into())
    }

    /// The reference to it without its extension.
    pub(super) fn body(&self, buffer: &mut Vec<u8>) -> Reference {
        let mut work = Work::new(Vec::new());
        work.load(self);
        encode_branch(&work, buffer);
        Reference::to(buffer)
    }
}

impl Work {
    /// A branch without children.
    pub(super) const fn new(extension: Vec<u8>) -> Self {
        Self {
            extension,
            mask: 0,
            leaves: 0,
            inline: 0,
            references: [[0; 32]; 16],
        }
    }

    /// Makes it what `branch` is.
    pub(super) fn load(&mut self, branch: &Branch) {
        self.read(&branch.0)
            .expect("a branch's row was read or written by this module");
    }

    /// The references of the children that are there, by nibble.
    pub(super) fn references(&self) -> impl Iterator<Item = Reference> {
        nibbles(self.mask)
            .zip(&self.references)
            .map(|(nibble, bytes)| Reference {
                bytes: *bytes,
                inline: self.inline & 1 << nibble != 0,
            })
    }

    /// The same when none is inline.
    pub(super) fn hashes(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.references.iter().take(self.count())
    }

    pub(super) fn set(&mut self, nibble: u8, reference: Reference, leaf: bool) {
        let (at, bit, count) = (self.before(nibble), 1 << nibble, self.count());
        if self.mask & bit == 0 {
            self.references.copy_within(at..count, at + 1);
        }
        self.references[at] = reference.bytes;
        self.mask |= bit;
        self.leaves = self.leaves & !bit | u16::from(leaf) << nibble;
        self.inline = self.inline & !bit | u16::from(reference.inline) << nibble;
    }

    /// Removes a child, if it is there.
    pub(super) fn clear(&mut self, nibble: u8) {
        let (at, bit, count) = (self.before(nibble), 1 << nibble, self.count());
        if self.mask & bit != 0 {
            self.references.copy_within(at + 1..count, at);
        }
        self.mask &= !bit;
        self.leaves &= !bit;
        self.inline &= !bit;
    }

    /// How many children there are.
    pub(super) const fn count(&self) -> usize {
        self.mask.count_ones() as usize
    }

    /// How many of them come before that at `nibble`.
    const fn before(&self, nibble: u8) -> usize {
        (self.mask & ((1 << nibble) - 1)).count_ones() as usize
    }

    /// Adds its row to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(byte(self.extension.len()));
        out.extend_from_slice(&self.extension);
        let masks = [self.mask, self.leaves, self.inline].map(u16::to_be_bytes);
        out.extend_from_slice(masks.as_flattened());
        if self.inline == 0 {
            out.extend_from_slice(self.references[..self.count()].as_flattened());
        } else {
            for reference in self.references() {
                out.extend_from_slice(reference.as_bytes());
            }
        }
    }

    /// Reads a row, if it has the form that [`Work::write`] gives.
    fn read(&mut self, row: &[u8]) -> Option<()> {
        let (&length, rest) = row.split_first()?;
        let (extension, rest) = rest.split_at_checked(length.into())?;
        let (&[a, b, c, d, e, f], mut rest) = rest.split_first_chunk()?;
        let [mask, leaves, inline] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
        let sound = length < 64
            && extension.iter().all(|nibble| *nibble < 16)
            && mask.count_ones() >= 2
            && (leaves | inline) & !mask == 0;
        if !sound {
            return None;
        }
        self.extension.clear();
        if !extension.is_empty() {
            self.extension.extend_from_slice(extension);
        }
        (self.mask, self.leaves, self.inline) = (mask, leaves, inline);
        if inline == 0 {
            let count = self.count();
            let hashes = self.references[..count].as_flattened_mut();
            let sound = hashes.len() == rest.len();
            return sound.then(|| hashes.copy_from_slice(rest));
        }
        for (nibble, reference) in nibbles(mask).zip(&mut self.references) {
            if inline & 1 << nibble == 0 {
                let (bytes, after) = rest.split_first_chunk::<32>()?;
                *reference = *bytes;
                rest = after;
            } else {
                let length = inline_length(*rest.first()?)?;
                let (bytes, after) = rest.split_at_checked(length)?;
                *reference = [0; 32];
                reference[..length].copy_from_slice(bytes);
                rest = after;
            }
        }
        rest.is_empty().then_some(())
    }
}

impl Reference {
    /// The hash, or the inline node without what is zero after it.
    pub(super) fn as_bytes(&self) -> &[u8] {
        let length = if self.inline {
            inline_length(self.bytes[0]).unwrap_or(32)
        } else {
            32
        };
        &self.bytes[..length]
    }
}

/// Nibbles of the extension in a row, one a byte; mostly empty.
pub(super) fn extension(row: &[u8]) -> &[u8] {
    &row[1..=usize::from(row[0])]
}

/// Length of an RLP list shorter than 32 bytes, from its first byte.
fn inline_length(first: u8) -> Option<usize> {
    matches!(first, 0xc1..=0xde).then(|| usize::from(first - 0xc0) + 1)
}

/// The set bits of a mask, ascending.
pub(super) fn nibbles(mut mask: u16) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let nibble = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        u8::try_from(nibble).ok()
    })
}
