//! RLP of nodes: yellow paper, appendix D and its hex-prefix function, appendix C.

use alloy_primitives::{B256, keccak256};

use super::Reference;
use super::branch::{Work, nibbles};
use super::path::nibble;
use crate::account::{byte, encode_bytes};

impl Reference {
    /// The reference to the node with this RLP.
    pub(super) fn to(rlp: &[u8]) -> Self {
        let mut bytes = [0; 32];
        if rlp.len() < 32 {
            bytes[..rlp.len()].copy_from_slice(rlp);
            Self {
                bytes,
                inline: true,
            }
        } else {
            Self {
                bytes: keccak256(rlp).0,
                inline: false,
            }
        }
    }

    /// The hash of the node, which a root always is.
    pub(super) fn hash(&self) -> B256 {
        if self.inline {
            keccak256(self.as_bytes())
        } else {
            self.bytes.into()
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if self.inline {
            out.extend_from_slice(self.as_bytes());
        } else {
            let mut string = [0xa0; 33];
            string[1..].copy_from_slice(&self.bytes);
            out.extend_from_slice(&string);
        }
    }
}

/// A branch without its extension.
pub(super) fn encode_branch(branch: &Work, out: &mut Vec<u8>) {
    out.clear();
    let count = branch.mask.count_ones() as usize;
    let payload = 17 - count
        + if branch.inline == 0 {
            33 * count
        } else {
            nibbles(branch.mask)
                .map(|nibble| branch.reference(nibble))
                .map(|child| child.as_bytes().len() + usize::from(!child.inline))
                .sum()
        };
    out.reserve(payload + 3);
    encode_list_head(payload, out);
    for nibble in 0..16_u8 {
        if branch.mask & 1 << nibble == 0 {
            out.push(0x80);
        } else {
            branch.reference(nibble).encode(out);
        }
    }
    out.push(0x80);
}

/// An extension by `nibbles` to `child`.
pub(super) fn encode_extension(nibbles: &[u8], child: &Reference, out: &mut Vec<u8>) {
    out.clear();
    let path = hex_prefix(nibbles.len(), 0, |at| nibbles[at]);
    let path = &path[..nibbles.len() / 2 + 1];
    let head = usize::from(path.len() > 1 || path[0] > 0x7f);
    encode_list_head(
        head + path.len() + child.as_bytes().len() + usize::from(!child.inline),
        out,
    );
    encode_bytes(path, out);
    child.encode(out);
}

/// A leaf of `key`, seen from `depth` nibbles below the root.
pub(super) fn encode_leaf(key: &B256, depth: usize, value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let length = 64 - depth;
    let path = hex_prefix(length, 0x20, |at| nibble(key, depth + at));
    let path = &path[..length / 2 + 1];
    let path_length = path.len() + usize::from(path.len() > 1 || path[0] > 0x7f);
    // A value of one byte is a slot's: at most 0x7f, else it has a head and two bytes.
    let value_head = match value {
        [0..=0x7f] => 0,
        _ => 1 + usize::from(value.len() > 55),
    };
    encode_list_head(path_length + value_head + value.len(), out);
    encode_bytes(path, out);
    match value_head {
        0 => {}
        1 => out.push(0x80 + byte(value.len())),
        _ => out.extend([0xb8, byte(value.len())]),
    }
    out.extend_from_slice(value);
}

/// Packs nibbles two a byte behind a flag; the first byte holds an odd one.
fn hex_prefix(length: usize, flag: u8, nibble: impl Fn(usize) -> u8) -> [u8; 33] {
    let mut path = [0; 33];
    let odd = length % 2;
    path[0] = if odd == 1 {
        flag | 0x10 | nibble(0)
    } else {
        flag
    };
    for pair in 0..length / 2 {
        path[pair + 1] = nibble(odd + 2 * pair) << 4 | nibble(odd + 2 * pair + 1);
    }
    path
}

/// The head of a list of fewer than 65,536 bytes.
fn encode_list_head(payload: usize, out: &mut Vec<u8>) {
    match payload {
        0..=55 => out.push(0xc0 + byte(payload)),
        56..=255 => out.extend([0xf8, byte(payload)]),
        _ => {
            let length = u16::try_from(payload).expect("no node has 65,536 bytes");
            out.push(0xf9);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}
