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
    if branch.inline == 0 {
        encode_hashes(branch, out);
        return;
    }
    let references = branch.references();
    let lengths = references.map(|child| child.as_bytes().len() + usize::from(!child.inline));
    encode_list_head(17 - branch.count() + lengths.sum::<usize>(), out);
    let mut references = branch.references();
    for nibble in 0..16_u8 {
        if branch.mask & 1 << nibble == 0 {
            out.push(0x80);
        } else if let Some(child) = references.next() {
            child.encode(out);
        }
    }
    out.push(0x80);
}

/// A branch whose children are all referred to by their hash, which is nearly every one.
fn encode_hashes(branch: &Work, out: &mut Vec<u8>) {
    let payload = 17 + 32 * branch.count();
    encode_list_head(payload, out);
    let head = out.len();
    // What no child is written over says that there is none, and no value.
    out.resize(head + payload, 0x80);
    let mut rest = &mut out[head..];
    let mut last = 0;
    for (nibble, hash) in nibbles(branch.mask).zip(branch.hashes()) {
        let skipped = usize::from(nibble - last);
        let (string, after) = rest[skipped..].split_at_mut(33);
        string[0] = 0xa0;
        string[1..].copy_from_slice(hash);
        (rest, last) = (after, nibble + 1);
    }
}

/// An extension by `nibbles` to `child`.
pub(super) fn encode_extension(nibbles: &[u8], child: &Reference, out: &mut Vec<u8>) {
    out.clear();
    let path = hex_prefix(nibbles);
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
    let path = leaf_path(key, depth);
    let path = &path[depth.div_ceil(2)..];
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

/// Packs an extension's nibbles two a byte behind a flag; the first byte holds an odd one.
fn hex_prefix(nibbles: &[u8]) -> [u8; 33] {
    let mut path = [0; 33];
    let (odd, pairs) = nibbles.split_at(nibbles.len() % 2);
    path[0] = odd.first().map_or(0, |nibble| 0x10 | nibble);
    for (byte, pair) in path[1..].iter_mut().zip(pairs.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    path
}

/// The nibbles of `key` from `depth` on behind a leaf's flag. They begin in byte `depth / 2`, rounded up, of what is
/// returned: a key ends with a whole byte, so its bytes stay as they are.
fn leaf_path(key: &B256, depth: usize) -> [u8; 33] {
    let mut path = [0; 33];
    path[1..].copy_from_slice(key.as_slice());
    path[depth.div_ceil(2)] = if depth % 2 == 1 {
        0x30 | nibble(key, depth)
    } else {
        0x20
    };
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
