//! The state after one block.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use crate::account::slot_from_row;
use crate::reader::{Reader, Stored, hash_in};
use crate::rows::{RowId, Table};
use crate::trie::{Trie, prove, root_of};
use crate::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, StateError};

/// Accounts or slots that are read at once where all are.
const PAGE: usize = 1_000;

/// The state after one block, unchanging. Cheap to clone. It holds a snapshot of the tables: not for minutes.
#[derive(Clone, Debug)]
pub struct View {
    stored: Option<Arc<Stored>>,
}

/// An account, and the proof of it under a block's state root (EIP-1186).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account, if there is one.
    pub account: Option<Account>,
    /// Nodes from the root towards the account.
    pub account_proof: Vec<Bytes>,
    /// Root of the account's storage trie.
    pub storage_root: B256,
    /// One for each slot asked for, in that order.
    pub storage: Vec<StorageProof>,
}

/// A slot's value, and the proof of it under its account's storage root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot as it was asked for.
    pub slot: B256,
    /// Zero when it is not there.
    pub value: U256,
    /// Nodes from the root towards the slot.
    pub proof: Vec<Bytes>,
}

impl View {
    /// The state before the first block: nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self { stored: None }
    }

    pub(crate) fn of(stored: Stored) -> Self {
        Self {
            stored: Some(Arc::new(stored)),
        }
    }

    pub(crate) fn stored(&self) -> Option<&Stored> {
        self.stored.as_deref()
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(self.stored())
    }

    /// The block after which this is the state; 0 for the empty view.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.stored().map_or(0, |stored| stored.number)
    }

    /// The account at `address`.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the tables cannot be read.
    pub fn account(&self, address: Address) -> Result<Option<Account>, StateError> {
        self.reader().account(&keccak256(address))
    }

    /// The value of a slot; zero when it is not there.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the tables cannot be read.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.reader().slot(&keccak256(address), &hash_slot(slot))
    }

    /// The code of a hash.
    ///
    /// # Errors
    ///
    /// [`StateError::NoCode`] when it was never stored.
    pub fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        if hash == EMPTY_CODE_HASH {
            return Ok(Bytes::new());
        }
        let code = self.reader().fixed(&RowId::code(&hash))?;
        code.map(|code| Bytes::copy_from_slice(&code))
            .ok_or(StateError::NoCode { hash })
    }

    /// The account at `address` and the given slots of it, with proofs.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the tables cannot be read.
    pub fn proof(&self, address: Address, slots: &[B256]) -> Result<AccountProof, StateError> {
        let reader = self.reader();
        let hashed = keccak256(address);
        let account = reader.account(&hashed)?;
        let account_proof = prove(&reader, &Trie::Accounts, &hashed)?;
        let storage_root = account.map_or(EMPTY_ROOT, |account| account.storage_root);
        let storage = slots.iter().map(|slot| {
            if storage_root == EMPTY_ROOT {
                return Ok(StorageProof {
                    slot: *slot,
                    value: U256::ZERO,
                    proof: Vec::new(),
                });
            }
            let key = keccak256(slot);
            let value = reader.slot(&hashed, &key)?;
            Ok(StorageProof {
                slot: *slot,
                value,
                proof: prove(&reader, &Trie::Storage(hashed), &key)?,
            })
        });
        let storage = storage.collect::<Result<_, StateError>>()?;
        Ok(AccountProof {
            account,
            account_proof,
            storage_root,
            storage,
        })
    }

    /// The state root, from the row of the root branch.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the tables cannot be read.
    pub fn root(&self) -> Result<B256, StateError> {
        root_of(&self.reader(), &Trie::Accounts)
    }

    /// The state root computed anew from all accounts and slots, without a branch's row. Takes about a second for
    /// a million leaves.
    ///
    /// # Errors
    ///
    /// [`StateError::Damaged`] when an account's storage root is not that of its slots.
    pub fn recomputed_root(&self) -> Result<B256, StateError> {
        let mut root = Recomputed::default();
        let mut leaf = Vec::new();
        each_page(
            |from| self.accounts_from(from, PAGE),
            |hashed, account: Account| {
                let mut storage = Recomputed::default();
                each_page(
                    |from| self.storage_from(hashed, from, PAGE),
                    |slot, value: U256| {
                        leaf.clear();
                        crate::account::encode_slot_leaf(value, &mut leaf);
                        storage.add(slot, &leaf);
                        Ok(())
                    },
                )?;
                if storage.root() != account.storage_root {
                    return Err(StateError::Damaged {
                        what: "a storage root is not that of the account's slots",
                    });
                }
                leaf.clear();
                account.encode_leaf(&mut leaf);
                root.add(hashed, &leaf);
                Ok(())
            },
        )?;
        Ok(root.root())
    }

    /// Up to `limit` accounts from the hashed address `hashed` on, ascending.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the tables cannot be read.
    pub fn accounts_from(
        &self,
        hashed: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Account)>, StateError> {
        let rows = self
            .reader()
            .scan(Table::Account, hashed.as_slice(), &[0xff; 32], limit)?;
        rows.into_iter()
            .map(|(key, row)| Ok((hash_in(&key)?, Account::from_row(&row)?)))
            .collect()
    }

    /// Up to `limit` slots of the account with hashed address `account`, from the hashed slot `slot` on, ascending.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the tables cannot be read.
    pub fn storage_from(
        &self,
        account: B256,
        slot: B256,
        limit: usize,
    ) -> Result<Vec<(B256, U256)>, StateError> {
        let key = |slot: &[u8]| [account.as_slice(), slot].concat();
        let (from, to) = (key(slot.as_slice()), key(&[0xff; 32]));
        let rows = self.reader().scan(Table::Slot, &from, &to, limit)?;
        rows.into_iter()
            .map(|(key, row)| {
                Ok((
                    hash_in(key.get(32..).unwrap_or_default())?,
                    slot_from_row(&row)?,
                ))
            })
            .collect()
    }
}

pub(crate) fn hash_slot(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// Does `each` with every entry that `page` gives, from the lowest key on.
fn each_page<T>(
    page: impl Fn(B256) -> Result<Vec<(B256, T)>, StateError>,
    mut each: impl FnMut(B256, T) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut from = Some(B256::ZERO);
    while let Some(start) = from {
        let entries = page(start)?;
        let full = entries.len() == PAGE;
        from = entries
            .last()
            .filter(|_| full)
            .and_then(|(last, _)| after(*last));
        for (key, entry) in entries {
            each(key, entry)?;
        }
    }
    Ok(())
}

/// The next key, unless it is the highest.
fn after(key: B256) -> Option<B256> {
    U256::from_be_bytes(key.0)
        .checked_add(U256::ONE)
        .map(B256::from)
}

/// A root from sorted leaves alone.
#[derive(Default)]
struct Recomputed(alloy_trie::HashBuilder);

impl Recomputed {
    fn add(&mut self, key: B256, leaf: &[u8]) {
        self.0.add_leaf(alloy_trie::Nibbles::unpack(key), leaf);
    }

    fn root(mut self) -> B256 {
        self.0.root()
    }
}
