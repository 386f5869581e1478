//! Proofs: the nodes on the way to a key.

use alloy_primitives::{B256, Bytes};

use super::branch::Work;
use super::encode::{encode_branch, encode_extension, encode_leaf};
use super::path::nibble;
use super::seal::through;
use super::{Path, Reference, Source, Trie};
use crate::StateError;
use crate::account::EMPTY_ROOT;

/// The nodes from the root towards `key`, as EIP-1186 has them: those that are referred to by their hash. An empty
/// trie has none.
///
/// # Errors
///
/// [`StateError`] when a row cannot be read or is not there.
pub(crate) fn prove(
    source: &dyn Source,
    trie: &Trie,
    key: &B256,
) -> Result<Vec<Bytes>, StateError> {
    let mut proof = Vec::new();
    let mut buffer = Vec::new();
    let mut add = |rlp: &[u8]| {
        if proof.is_empty() || rlp.len() >= 32 {
            proof.push(Bytes::copy_from_slice(rlp));
        }
    };
    let mut work = Work::new(Vec::new());
    let mut path = Path::ROOT;
    loop {
        let Some(branch) = source.branch(trie, &path)? else {
            if path == Path::ROOT {
                break;
            }
            return Err(StateError::Damaged {
                what: "a branch points to a branch that is not there",
            });
        };
        work.load(&branch);
        let branch = &work;
        encode_branch(branch, &mut buffer);
        let depth = path.length();
        if !branch.extension.is_empty() {
            let mut extension = Vec::new();
            encode_extension(&branch.extension, &Reference::to(&buffer), &mut extension);
            add(&extension);
        }
        if branch
            .extension
            .iter()
            .enumerate()
            .any(|(at, step)| nibble(key, depth + at) != *step)
        {
            return Ok(proof);
        }
        add(&buffer);
        let at = depth + branch.extension.len();
        let next = nibble(key, at);
        path = Path::prefix(key, at + 1);
        if branch.mask & 1 << next == 0 {
            return Ok(proof);
        }
        if branch.leaves & 1 << next != 0 {
            break;
        }
    }
    match source.first_leaf(trie, &path)? {
        Some((leaf, value)) => {
            encode_leaf(&leaf, path.length(), &value, &mut buffer);
            add(&buffer);
        }
        None if path == Path::ROOT => {}
        None => {
            return Err(StateError::Damaged {
                what: "a branch points to a leaf that is not there",
            });
        }
    }
    Ok(proof)
}

/// A trie's root, from its root node.
///
/// # Errors
///
/// [`StateError`] when a row cannot be read.
pub(crate) fn root_of(source: &dyn Source, trie: &Trie) -> Result<B256, StateError> {
    let mut buffer = Vec::new();
    if let Some(branch) = source.branch(trie, &Path::ROOT)? {
        let body = branch.body(&mut buffer);
        return Ok(through(branch.extension(), body, &mut buffer).hash());
    }
    Ok(match source.first_leaf(trie, &Path::ROOT)? {
        Some((key, value)) => {
            encode_leaf(&key, 0, &value, &mut buffer);
            Reference::to(&buffer).hash()
        }
        None => EMPTY_ROOT,
    })
}
