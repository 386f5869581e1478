//! Rules between headers: time, randomness, gas limit, base fee.

use alloy_consensus::Header;
use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{B64, B256, Bytes, U256, keccak256};

use crate::{FeeRule, Record};

/// First base fee of an `eip1559` chain, in wei a gas.
pub const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Milliseconds as they stand in `extraData`.
#[must_use]
pub fn extra_data(unix_ms: u64) -> Bytes {
    Bytes::copy_from_slice(&unix_ms.to_be_bytes())
}

/// Unix milliseconds of a block. `None` when `extraData` is not 8 bytes.
#[must_use]
pub fn time_ms(header: &Header) -> Option<u64> {
    Some(u64::from_be_bytes(
        <[u8; 8]>::try_from(header.extra_data.as_ref()).ok()?,
    ))
}

/// `prevRandao` of a block: keccak256(parent hash ‖ number as 32 bytes). **Not random**: whoever knows the parent
/// knows it, so a contract must not draw lots with it.
#[must_use]
pub fn prev_randao(parent_hash: B256, number: u64) -> B256 {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(parent_hash.as_slice());
    bytes[32..].copy_from_slice(&U256::from(number).to_be_bytes::<32>());
    keccak256(bytes)
}

/// Base fee of the block after `parent`, in wei a gas.
#[must_use]
pub fn next_base_fee(fee_rule: FeeRule, parent: &Header) -> u64 {
    match fee_rule {
        FeeRule::Free => 0,
        FeeRule::Eip1559 => parent
            .next_block_base_fee(BaseFeeParams::ethereum())
            .unwrap_or(INITIAL_BASE_FEE),
    }
}

/// Checks all of a header that follows from its parent and the record alone. Where `may_cite`, it may cite another hub block
/// than its parent; whether that one is proven is another matter.
///
/// # Errors
///
/// [`HeaderError`], the first field that breaks a rule.
pub fn check_against_parent(
    record: &Record,
    parent: &Header,
    parent_hash: B256,
    header: &Header,
    may_cite: bool,
) -> Result<(), HeaderError> {
    let ensure = |holds: bool, field: &'static str| {
        if holds {
            Ok(())
        } else {
            Err(HeaderError {
                number: header.number,
                field,
            })
        }
    };
    ensure(header.parent_hash == parent_hash, "parentHash")?;
    ensure(
        Some(header.number) == parent.number.checked_add(1),
        "number",
    )?;
    let parent_ms = time_ms(parent).ok_or(HeaderError {
        number: parent.number,
        field: "extraData",
    })?;
    let ms = time_ms(header).ok_or(HeaderError {
        number: header.number,
        field: "extraData",
    })?;
    ensure(ms > parent_ms, "extraData")?;
    ensure(header.timestamp == ms / 1000, "timestamp")?;
    ensure(header.gas_limit == record.gas_limit, "gasLimit")?;
    ensure(header.gas_used <= header.gas_limit, "gasUsed")?;
    ensure(
        header.base_fee_per_gas == Some(next_base_fee(record.fee_rule, parent)),
        "baseFeePerGas",
    )?;
    ensure(
        header.mix_hash == prev_randao(parent_hash, header.number),
        "prevRandao",
    )?;
    ensure(header.difficulty.is_zero(), "difficulty")?;
    ensure(header.nonce == B64::ZERO, "nonce")?;
    ensure(
        header.ommers_hash == alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH,
        "sha3Uncles",
    )?;
    ensure(
        header.withdrawals_root == Some(alloy_trie::EMPTY_ROOT_HASH),
        "withdrawalsRoot",
    )?;
    ensure(header.blob_gas_used == Some(0), "blobGasUsed")?;
    ensure(header.excess_blob_gas == Some(0), "excessBlobGas")?;
    ensure(
        header.parent_beacon_block_root.is_some()
            && (may_cite || header.parent_beacon_block_root == parent.parent_beacon_block_root),
        "parentBeaconBlockRoot",
    )?;
    ensure(header.requests_hash.is_some(), "requestsHash")
}

/// A header field that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {number} has a wrong {field}")]
pub struct HeaderError {
    /// The block.
    pub number: u64,
    /// The field's name in JSON-RPC.
    pub field: &'static str,
}
