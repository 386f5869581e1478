//! What a transaction sees of its block, and where BLOCKHASH looks.

use std::fmt;

use alloy_eips::eip4844::BLOB_TX_MIN_BLOB_GASPRICE;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, U256};
use revm::context::BlockEnv as EvmBlock;
use revm::context_interface::block::BlobExcessGasAndPrice;

use crate::rules::Rules;

/// The fields of a block's header (and body) that execution reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEnv {
    /// Height.
    pub number: u64,
    /// The proposer; gets tips under [`FeeRule::Eip1559`](crate::FeeRule::Eip1559).
    pub beneficiary: Address,
    /// Unix seconds.
    pub timestamp: u64,
    /// Gas of all transactions together.
    pub gas_limit: u64,
    /// Wei a gas; taken as 0 under [`FeeRule::Free`](crate::FeeRule::Free).
    pub base_fee: u64,
    /// What PREVRANDAO gives (DIFFICULTY before the merge gives [`BlockEnv::difficulty`]).
    pub prev_randao: B256,
    /// Before the merge only; 0 after.
    pub difficulty: U256,
    /// EIP-4788's argument; `None` counts as zero where the call is made.
    pub parent_beacon_block_root: Option<B256>,
    /// EIP-2935's argument.
    pub parent_hash: B256,
    /// EIP-4844; `None` counts as 0 where the fork needs it.
    pub excess_blob_gas: Option<u64>,
    /// EIP-4895; paid out at the end.
    pub withdrawals: Vec<Withdrawal>,
    /// Rewarded at the end, before the merge only.
    pub ommers: Vec<Ommer>,
}

/// An ommer, as far as rewards go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ommer {
    /// Its height, 1 to 8 below its including block.
    pub number: u64,
    /// Who is paid.
    pub beneficiary: Address,
}

/// Where BLOCKHASH looks. Asked for the 256 blocks before the executed one only; the same answer for the same number.
pub trait BlockHashes: fmt::Debug {
    /// The hash of block `number` of this chain, or `None` where there is none; then BLOCKHASH gives zero.
    fn block_hash(&self, number: u64) -> Option<B256>;
}

/// No block before this one has a hash: for tests, and for chains that are at their first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoBlockHashes;

impl BlockHashes for NoBlockHashes {
    fn block_hash(&self, _number: u64) -> Option<B256> {
        None
    }
}

impl BlockEnv {
    /// The price of a gas of blob data in this block, wei; the least price where there are no blobs.
    #[must_use]
    pub fn blob_base_fee(&self, rules: &Rules) -> u128 {
        match (rules.blobs, self.excess_blob_gas) {
            (Some(params), Some(excess)) => params.calc_blob_fee(excess),
            _ => BLOB_TX_MIN_BLOB_GASPRICE,
        }
    }

    /// The EVM's own form of it.
    pub(crate) fn evm(&self, rules: &Rules) -> EvmBlock {
        EvmBlock {
            number: U256::from(self.number),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: if rules.is_free() { 0 } else { self.base_fee },
            difficulty: self.difficulty,
            prevrandao: Some(self.prev_randao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: self.excess_blob_gas.unwrap_or_default(),
                blob_gasprice: self.blob_base_fee(rules),
            }),
            slot_num: 0,
        }
    }
}
