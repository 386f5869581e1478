//! Accounts, storage, trie, proofs and history of one chain, over [`store::Tables`].
//!
//! ```text
//!            View of block N ── account, storage, code, proof
//!                 │
//!  Changes ──▶ prepare ──▶ Prepared { root, rows } ──▶ write ──▶ Batch ──commit──▶ adopt
//! ```
//!
//! State is flat, keyed by hashed address and slot; of the Merkle-Patricia tries only the branches
//! have rows, by path. The leaves are the flat rows, which lie in the tries' own order. What a block
//! overwrites is kept beside it, so that a [`View`] of an older block answers as it did then.
//!
//! Not here: which changes a block makes (`execution`) and when they are committed (`chain`).

mod account;
mod cache;
mod changes;
mod error;
mod history;
mod prepare;
mod reader;
mod rows;
mod state;
mod trie;
mod view;

pub use account::{Account, EMPTY_CODE_HASH, EMPTY_ROOT};
pub use changes::{AccountChange, Changes, Info};
pub use error::{StateError, ViewError};
pub use history::History;
pub use state::{Meter, Prepared, State};
pub use view::{AccountProof, StorageProof, View};

#[cfg(test)]
mod tests;
