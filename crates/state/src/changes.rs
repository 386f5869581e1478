//! What a block does to the state.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::EMPTY_CODE_HASH;

/// All that one block changes. A change that changes nothing is allowed and costs a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Accounts made, altered or deleted.
    pub accounts: BTreeMap<Address, AccountChange>,
    /// New contract code by its hash.
    pub codes: BTreeMap<B256, Bytes>,
}

/// One account after the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The account; `None` deletes it with all its storage.
    pub info: Option<Info>,
    /// All storage from before the block is gone (self-destruct, re-creation).
    pub wiped: bool,
    /// New value by slot; zero clears the slot. Ignored when the account is deleted.
    pub storage: BTreeMap<U256, U256>,
}

/// An account without its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Transactions sent, or contracts made.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
}

impl Default for Info {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: EMPTY_CODE_HASH,
        }
    }
}
