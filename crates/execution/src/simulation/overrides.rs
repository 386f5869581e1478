//! Parts of state and block that a question replaces.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::context::BlockEnv as EvmBlock;
use state::Info;

/// What a question replaces, of state and of block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Of the block.
    pub(super) block: BlockOverrides,
    accounts: BTreeMap<Address, (AccountOverride, Option<B256>)>,
    codes: BTreeMap<B256, Bytes>,
}

/// What is replaced of one account; the rest is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// In wei.
    pub balance: Option<U256>,
    /// Next nonce.
    pub nonce: Option<u64>,
    /// Runtime code.
    pub code: Option<Bytes>,
    /// Storage.
    pub storage: StorageOverride,
}

/// What is replaced of one account's storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StorageOverride {
    /// Nothing.
    #[default]
    Keep,
    /// These slots; all others are zero (`state`).
    Replace(BTreeMap<U256, U256>),
    /// These slots; all others are as they are (`stateDiff`).
    Patch(BTreeMap<U256, U256>),
}

/// What is replaced of the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// NUMBER.
    pub number: Option<u64>,
    /// TIMESTAMP, Unix seconds.
    pub timestamp: Option<u64>,
    /// GASLIMIT; bounds nothing.
    pub gas_limit: Option<u64>,
    /// COINBASE.
    pub beneficiary: Option<Address>,
    /// PREVRANDAO.
    pub prev_randao: Option<B256>,
    /// BASEFEE, wei; of no effect where gas is free.
    pub base_fee: Option<u64>,
    /// BLOBBASEFEE, wei.
    pub blob_base_fee: Option<u128>,
    /// BLOCKHASH by number.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl Overrides {
    /// Replaces `accounts` and `block`.
    #[must_use]
    pub fn new(accounts: BTreeMap<Address, AccountOverride>, block: BlockOverrides) -> Self {
        let mut codes = BTreeMap::new();
        let accounts = accounts
            .into_iter()
            .map(|(address, account)| {
                let hash = account.code.as_ref().map(|code| {
                    let hash = keccak256(code);
                    codes.insert(hash, code.clone());
                    hash
                });
                (address, (account, hash))
            })
            .collect();
        Self {
            block,
            accounts,
            codes,
        }
    }

    pub(crate) fn account(&self, address: Address, found: Option<Info>) -> Option<Info> {
        let Some((replaced, code_hash)) = self.accounts.get(&address) else {
            return found;
        };
        let mut info = found.unwrap_or_default();
        info.balance = replaced.balance.unwrap_or(info.balance);
        info.nonce = replaced.nonce.unwrap_or(info.nonce);
        info.code_hash = code_hash.unwrap_or(info.code_hash);
        Some(info)
    }

    pub(crate) fn code(&self, hash: B256) -> Option<Bytes> {
        self.codes.get(&hash).cloned()
    }

    pub(crate) fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        match &self.accounts.get(&address)?.0.storage {
            StorageOverride::Keep => None,
            StorageOverride::Replace(slots) => Some(slots.get(&slot).copied().unwrap_or_default()),
            StorageOverride::Patch(slots) => slots.get(&slot).copied(),
        }
    }

    pub(crate) fn block_hash(&self, number: u64) -> Option<B256> {
        self.block.block_hashes.get(&number).copied()
    }
}

impl BlockOverrides {
    pub(super) fn apply(&self, block: &mut EvmBlock) {
        block.number = self.number.map_or(block.number, U256::from);
        block.timestamp = self.timestamp.map_or(block.timestamp, U256::from);
        block.gas_limit = self.gas_limit.unwrap_or(block.gas_limit);
        block.beneficiary = self.beneficiary.unwrap_or(block.beneficiary);
        block.prevrandao = self.prev_randao.or(block.prevrandao);
        block.basefee = self.base_fee.unwrap_or(block.basefee);
        if let (Some(fee), Some(blobs)) = (self.blob_base_fee, &mut block.blob_excess_gas_and_price)
        {
            blobs.blob_gasprice = fee;
        }
    }
}
