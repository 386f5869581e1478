//! What the EVM reads, and the memory of what it read.
//!
//! The EVM keeps one journal over a whole block and asks here once for each account and slot. The answers are kept
//! beside it: at the end of the block they are what the journal is compared with (see `changes`).

use alloy_primitives::map::{AddressMap, AddressSet, Entry, HashMap};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::Database;
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::state::AccountInfo;
use state::{Info, StateError, View};

use crate::block::BlockHashes;
use crate::simulation::Overrides;

/// The state could not be read: nothing that was executed on it counts.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReadError(#[from] pub(crate) StateError);

impl DBErrorMarker for ReadError {}

/// The EVM's database over a view of the parent's state.
#[derive(Debug)]
pub struct Reads<'a> {
    view: &'a View,
    hashes: &'a dyn BlockHashes,
    overrides: Option<&'a Overrides>,
    /// Accounts as the block found them.
    accounts: AddressMap<Option<Info>>,
    /// Slots as the block found them.
    slots: HashMap<(Address, U256), U256>,
    /// Accounts destroyed in this block: they have no storage in the view any more.
    destroyed: AddressSet,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(view: &'a View, hashes: &'a dyn BlockHashes) -> Self {
        Self {
            view,
            hashes,
            overrides: None,
            accounts: AddressMap::default(),
            slots: HashMap::default(),
            destroyed: AddressSet::default(),
        }
    }

    pub(crate) fn with_overrides(mut self, overrides: &'a Overrides) -> Self {
        self.overrides = Some(overrides);
        self
    }

    /// `address` as the block found it, if it was read.
    pub(crate) fn account_before(&self, address: &Address) -> Option<Info> {
        self.accounts.get(address).copied().flatten()
    }

    /// A slot as the block found it; zero if it was never read, which is so for accounts that the block made.
    pub(crate) fn slot_before(&self, address: Address, slot: U256) -> U256 {
        self.slots
            .get(&(address, slot))
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn destroy(&mut self, address: Address) {
        self.destroyed.insert(address);
    }

    pub(crate) fn is_destroyed(&self, address: &Address) -> bool {
        self.destroyed.contains(address)
    }

    fn code(&self, hash: B256) -> Result<Bytecode, ReadError> {
        let overridden = self.overrides.and_then(|overrides| overrides.code(hash));
        let code = match overridden {
            Some(code) => code,
            None => self.view.code(hash)?,
        };
        Ok(Bytecode::new_raw(code))
    }
}

impl Database for Reads<'_> {
    type Error = ReadError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        let found = match self.accounts.entry(address) {
            Entry::Occupied(read) => *read.get(),
            Entry::Vacant(unread) => {
                let found = self.view.account(address)?.map(|account| Info {
                    nonce: account.nonce,
                    balance: account.balance,
                    code_hash: account.code_hash,
                });
                let found = match self.overrides {
                    Some(overrides) => overrides.account(address, found),
                    None => found,
                };
                *unread.insert(found)
            }
        };
        Ok(found.map(|info| AccountInfo {
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
            account_id: None,
            code: (info.code_hash == KECCAK256_EMPTY).then(Bytecode::default),
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ReadError> {
        self.code(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadError> {
        if self.destroyed.contains(&address) {
            return Ok(U256::ZERO);
        }
        let unread = match self.slots.entry((address, slot)) {
            Entry::Occupied(read) => return Ok(*read.get()),
            Entry::Vacant(unread) => unread,
        };
        let overridden = self
            .overrides
            .and_then(|overrides| overrides.slot(address, slot));
        let value = match overridden {
            Some(value) => value,
            None => self.view.storage(address, slot)?,
        };
        Ok(*unread.insert(value))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadError> {
        let overridden = self
            .overrides
            .and_then(|overrides| overrides.block_hash(number));
        Ok(overridden
            .or_else(|| self.hashes.block_hash(number))
            .unwrap_or_default())
    }
}
