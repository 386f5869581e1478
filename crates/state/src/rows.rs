//! Keys of the rows that hold a chain's state.
//!
//! Key = chain id (8 bytes) ‖ table byte ‖ key in the table. Within one table no key is a prefix of another, so that
//! an overwritten row's key followed by a block number stays between its neighbours.

use alloy_primitives::B256;
use types::ChainId;

use crate::trie::{Path, Trie};

/// The state's tables; bytes 0x10 to 0x2f are the state's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// keccak(address) → account.
    Account = 0x10,
    /// keccak(address) ‖ keccak(slot) → value.
    Slot = 0x11,
    /// Path → branch of the account trie.
    AccountBranch = 0x12,
    /// keccak(address) ‖ path → branch of a storage trie.
    StorageBranch = 0x13,
    /// Code hash → code. Never overwritten.
    Code = 0x14,
    /// Table byte ‖ key ‖ block number → what the row was before that block.
    Overwritten = 0x15,
    /// Block number → keys that the block overwrote.
    Touched = 0x16,
    /// Nothing → the oldest block whose state can be told; absent: block 0.
    Oldest = 0x17,
}

/// Largest id of a row: table, hashed address, path.
const LONGEST_ID: usize = 1 + 32 + 1 + 32;

/// A row's table byte and key in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowId(Vec<u8>);

impl RowId {
    pub(crate) fn account(hashed: &B256) -> Self {
        Self::of(Table::Account, &[hashed.as_slice()])
    }

    pub(crate) fn slot(account: &B256, slot: &B256) -> Self {
        Self::of(Table::Slot, &[account.as_slice(), slot.as_slice()])
    }

    pub(crate) fn branch(trie: &Trie, path: &Path) -> Self {
        let (length, packed) = path.as_row();
        match trie {
            Trie::Accounts => Self::of(Table::AccountBranch, &[&[length], packed]),
            Trie::Storage(account) => Self::of(
                Table::StorageBranch,
                &[account.as_slice(), &[length], packed],
            ),
        }
    }

    pub(crate) fn code(hash: &B256) -> Self {
        Self::of(Table::Code, &[hash.as_slice()])
    }

    pub(crate) fn touched(number: u64) -> Self {
        Self::of(Table::Touched, &[&number.to_be_bytes()])
    }

    pub(crate) fn oldest() -> Self {
        Self::of(Table::Oldest, &[])
    }

    pub(crate) fn of(table: Table, parts: &[&[u8]]) -> Self {
        let mut id = Vec::with_capacity(LONGEST_ID);
        id.push(table as u8);
        for part in parts {
            id.extend_from_slice(part);
        }
        Self(id)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where one chain's rows begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys([u8; 8]);

impl Keys {
    pub(crate) const fn of(chain: ChainId) -> Self {
        Self(chain.get().to_be_bytes())
    }

    /// The key of a current row.
    pub(crate) fn current(self, id: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(8 + LONGEST_ID + 1);
        key.extend_from_slice(&self.0);
        key.extend_from_slice(id);
        key
    }

    /// The key of what row `id` was before block `number`.
    pub(crate) fn overwritten(self, id: &[u8], number: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(8 + 1 + LONGEST_ID + 8 + 1);
        key.extend_from_slice(&self.0);
        key.push(Table::Overwritten as u8);
        key.extend_from_slice(id);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// The id and the block number in a key made by [`Keys::overwritten`].
    pub(crate) fn split_overwritten(key: &[u8]) -> Option<(&[u8], u64)> {
        let (id, number) = key.get(9..)?.split_last_chunk()?;
        Some((id, u64::from_be_bytes(*number)))
    }

    /// The row id in a current key.
    pub(crate) fn split_current(key: &[u8]) -> Option<&[u8]> {
        key.get(8..)
    }
}
