//! Paths: up to 64 nibbles from a trie's root.

use alloy_primitives::B256;

use crate::account::byte;

/// Nibbles from the root of a trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Path {
    length: u8,
    /// Two nibbles a byte, the first in the high half; zero after the end.
    packed: [u8; 32],
}

impl Path {
    /// The root's.
    pub(crate) const ROOT: Self = Self {
        length: 0,
        packed: [0; 32],
    };

    /// The first `length` nibbles of `key`, at most 64.
    pub(crate) fn prefix(key: &B256, length: usize) -> Self {
        debug_assert!(length <= 64, "a key has 64 nibbles");
        let mut packed = [0; 32];
        let whole = length / 2;
        packed[..whole].copy_from_slice(&key[..whole]);
        if length % 2 == 1 {
            packed[whole] = key[whole] & 0xf0;
        }
        Self {
            length: byte(length),
            packed,
        }
    }

    /// The path one nibble further.
    pub(crate) fn child(mut self, nibble: u8) -> Self {
        let at = usize::from(self.length / 2);
        self.packed[at] |= if self.length.is_multiple_of(2) {
            nibble << 4
        } else {
            nibble
        };
        self.length += 1;
        self
    }

    /// Most nibbles of a short path.
    pub(crate) const SHORT: usize = 14;

    /// Path and length in one number, if it is short, as all in a trie of hashes are that nobody made to collide.
    pub(crate) fn short(&self) -> Option<u64> {
        let first = self.packed.first_chunk()?;
        (self.length() <= Self::SHORT).then(|| u64::from_be_bytes(*first) | u64::from(self.length))
    }

    /// The same of the first `length` nibbles of `key`, at most [`Path::SHORT`].
    pub(crate) fn short_prefix(key: &B256, length: usize) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = key.0;
        let first = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let after = u64::MAX >> (4 * length);
        first & !after | length as u64
    }

    pub(crate) fn length(&self) -> usize {
        self.length.into()
    }

    /// Length and packed nibbles. The length comes first, so that no path's row is a prefix of another's.
    pub(crate) fn as_row(&self) -> (u8, &[u8]) {
        (
            self.length,
            &self.packed[..usize::from(self.length).div_ceil(2)],
        )
    }

    /// Reads what [`Path::as_row`] gave, one after the other.
    pub(crate) fn from_row(row: &[u8]) -> Option<Self> {
        let (&length, nibbles) = row.split_first()?;
        if length > 64 || nibbles.len() != usize::from(length).div_ceil(2) {
            return None;
        }
        let mut packed = [0; 32];
        packed[..nibbles.len()].copy_from_slice(nibbles);
        let clear = length % 2 == 0 || nibbles.last().is_some_and(|byte| byte & 0x0f == 0);
        clear.then_some(Self { length, packed })
    }

    /// The lowest and the highest key below.
    pub(crate) fn keys(&self) -> (B256, B256) {
        let mut last = self.packed;
        let whole = usize::from(self.length / 2);
        if whole < 32 {
            let half = if self.length % 2 == 1 { 0x0f } else { 0xff };
            last[whole] |= half;
            last[whole + 1..].fill(0xff);
        }
        (B256::new(self.packed), B256::new(last))
    }

    /// The first nibble; 0 at the root.
    pub(crate) fn first(&self) -> usize {
        usize::from(self.packed[0] >> 4)
    }
}

/// Nibble `at` of a key.
pub(super) fn nibble(key: &B256, at: usize) -> u8 {
    let byte = key[at / 2];
    if at.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0x0f
    }
}
