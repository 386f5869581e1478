//! A branch as it lies in a row and in memory.

use super::Reference;
use crate::StateError;
use crate::account::byte;

/// A branch with the extension before it, and its children's references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// Nibbles of the extension, one a byte; mostly empty.
    pub(super) extension: Box<[u8]>,
    /// A bit for each child that is there.
    pub(super) mask: u16,
    /// A bit for each child that is a leaf.
    pub(super) leaves: u16,
    /// A bit for each child whose reference is the child itself.
    pub(super) inline: u16,
    /// One for each child that is there.
    pub(super) references: Box<[[u8; 32]]>,
}

impl Branch {
    /// Bytes of memory, near enough to bound a cache.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + 48 + self.extension.len() + self.references.len() * 32
    }

    /// The reference of a child that is there.
    pub(super) fn reference(&self, nibble: u8) -> Reference {
        let bytes = self.references[position(self.mask, nibble)];
        Reference {
            bytes,
            inline: self.inline & 1 << nibble != 0,
        }
    }

    /// Children that are there, with their references.
    pub(super) fn children(&self) -> impl Iterator<Item = (u8, Reference)> + '_ {
        nibbles(self.mask)
            .zip(&self.references)
            .map(|(nibble, bytes)| {
                (
                    nibble,
                    Reference {
                        bytes: *bytes,
                        inline: self.inline & 1 << nibble != 0,
                    },
                )
            })
    }

    /// The row: extension (length, nibbles), three masks, references without what is zero after an inline node.
    pub(crate) fn to_row(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(7 + self.extension.len() + 32 * self.references.len());
        row.push(byte(self.extension.len()));
        row.extend_from_slice(&self.extension);
        for mask in [self.mask, self.leaves, self.inline] {
            row.extend_from_slice(&mask.to_be_bytes());
        }
        for (_, reference) in self.children() {
            row.extend_from_slice(reference.as_bytes());
        }
        row
    }

    /// Reads what [`Branch::to_row`] wrote.
    pub(crate) fn from_row(row: &[u8]) -> Result<Self, StateError> {
        Self::read(row).ok_or(StateError::Damaged {
            what: "a branch's row has a form that nothing writes",
        })
    }

    fn read(row: &[u8]) -> Option<Self> {
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
        let mut references = Vec::with_capacity(mask.count_ones() as usize);
        for nibble in nibbles(mask) {
            let length = if inline & 1 << nibble == 0 {
                32
            } else {
                inline_length(*rest.first()?)?
            };
            let (bytes, after) = rest.split_at_checked(length)?;
            let mut reference = [0; 32];
            reference[..length].copy_from_slice(bytes);
            references.push(reference);
            rest = after;
        }
        rest.is_empty().then(|| Self {
            extension: extension.into(),
            mask,
            leaves,
            inline,
            references: references.into(),
        })
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

/// Length of an RLP list shorter than 32 bytes, from its first byte.
fn inline_length(first: u8) -> Option<usize> {
    matches!(first, 0xc1..=0xde).then(|| usize::from(first - 0xc0) + 1)
}

/// The set bits of a mask, ascending.
pub(super) fn nibbles(mask: u16) -> impl Iterator<Item = u8> {
    (0..16).filter(move |nibble| mask & 1 << nibble != 0)
}

/// Where a child's reference is among those that are there.
pub(super) const fn position(mask: u16, nibble: u8) -> usize {
    (mask & ((1 << nibble) - 1)).count_ones() as usize
}
