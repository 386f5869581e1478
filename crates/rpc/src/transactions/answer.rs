//! The JSON of a transaction, field by field as go-ethereum writes it.

use alloy_consensus::{Header, Transaction as _, TxEnvelope, Typed2718 as _};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256};
use execution::Rules;
use serde::Serialize;

/// A transaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionAnswer {
    block_hash: Option<B256>,
    block_number: Option<U64>,
    block_timestamp: Option<U64>,
    from: Address,
    gas: U64,
    gas_price: U128,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_blob_gas: Option<U128>,
    hash: B256,
    input: Bytes,
    nonce: U64,
    to: Option<Address>,
    transaction_index: Option<U64>,
    value: U256,
    r#type: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<AccessList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_versioned_hashes: Option<Vec<B256>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<SignedAuthorization>>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
}

/// Where a transaction was mined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mined {
    pub(crate) block_hash: B256,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) base_fee: Option<u64>,
    pub(crate) index: usize,
}

impl Mined {
    pub(crate) const fn of(header: &Header, block_hash: B256, index: usize) -> Self {
        Self {
            block_hash,
            number: header.number,
            timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas,
            index,
        }
    }
}

impl TransactionAnswer {
    /// One in a block.
    pub(crate) fn mined(
        rules: &Rules,
        transaction: &TxEnvelope,
        from: Address,
        mined: &Mined,
    ) -> Self {
        // Where the price is not signed but follows from the block, it is what was paid.
        let gas_price = transaction
            .gas_price()
            .unwrap_or_else(|| price_paid(rules, transaction, mined.base_fee));
        Self {
            block_hash: Some(mined.block_hash),
            block_number: Some(U64::from(mined.number)),
            block_timestamp: Some(U64::from(mined.timestamp)),
            transaction_index: Some(U64::from(mined.index)),
            ..Self::unmined(transaction, from, gas_price)
        }
    }

    /// One that waits in the pool.
    pub(crate) fn waiting(transaction: &TxEnvelope, from: Address) -> Self {
        Self::unmined(transaction, from, transaction.max_fee_per_gas())
    }

    fn unmined(transaction: &TxEnvelope, from: Address, gas_price: u128) -> Self {
        let signature = transaction.signature();
        let parity = U64::from(u8::from(signature.v()));
        let legacy = transaction.is_legacy();
        let dynamic = transaction.is_dynamic_fee();
        Self {
            block_hash: None,
            block_number: None,
            block_timestamp: None,
            from,
            gas: U64::from(transaction.gas_limit()),
            gas_price: U128::from(gas_price),
            max_fee_per_gas: dynamic.then(|| U128::from(transaction.max_fee_per_gas())),
            max_priority_fee_per_gas: transaction.max_priority_fee_per_gas().map(U128::from),
            max_fee_per_blob_gas: transaction.max_fee_per_blob_gas().map(U128::from),
            hash: *transaction.tx_hash(),
            input: transaction.input().clone(),
            nonce: U64::from(transaction.nonce()),
            to: transaction.to(),
            transaction_index: None,
            value: transaction.value(),
            r#type: U64::from(transaction.ty()),
            access_list: transaction.access_list().cloned(),
            chain_id: transaction.chain_id().map(U64::from),
            blob_versioned_hashes: transaction.blob_versioned_hashes().map(<[_]>::to_vec),
            authorization_list: transaction.authorization_list().map(<[_]>::to_vec),
            v: if legacy {
                legacy_v(transaction.chain_id(), signature.v())
            } else {
                parity.to()
            },
            r: signature.r(),
            s: signature.s(),
            y_parity: (!legacy).then_some(parity),
        }
    }
}

/// Wei a gas that a mined transaction paid.
pub(crate) fn price_paid(rules: &Rules, transaction: &TxEnvelope, base_fee: Option<u64>) -> u128 {
    if rules.is_free() {
        0
    } else {
        transaction.effective_gas_price(base_fee)
    }
}

/// EIP-155; 27 or 28 where no chain is signed.
fn legacy_v(chain_id: Option<u64>, parity: bool) -> U256 {
    let base = chain_id.map_or(U256::from(27), |id| {
        U256::from(id) * U256::from(2) + U256::from(35)
    });
    base + U256::from(u8::from(parity))
}
