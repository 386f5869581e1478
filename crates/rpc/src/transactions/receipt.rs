//! The JSON of a receipt, field by field as go-ethereum writes it.

use alloy_consensus::{ReceiptEnvelope, Transaction as _, TxEnvelope};
use alloy_primitives::{Address, B256, Bloom, U64, U128};
use chain::Block;
use execution::Rules;
use serde::Serialize;

use super::answer::{Mined, price_paid};
use crate::logs::LogAnswer;

/// A receipt.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptAnswer {
    block_hash: B256,
    block_number: U64,
    contract_address: Option<Address>,
    cumulative_gas_used: U64,
    effective_gas_price: U128,
    from: Address,
    gas_used: U64,
    logs: Vec<LogAnswer>,
    logs_bloom: Bloom,
    status: U64,
    to: Option<Address>,
    transaction_hash: B256,
    transaction_index: U64,
    r#type: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_price: Option<U128>,
}

/// What the receipts before one add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    gas: u64,
    logs: usize,
}

/// The receipts of a whole block.
pub(crate) fn of_block(
    rules: &Rules,
    block: &Block,
    receipts: &[ReceiptEnvelope],
) -> Vec<ReceiptAnswer> {
    let mut before = Before::default();
    let all = block
        .body
        .transactions
        .iter()
        .zip(&block.senders)
        .zip(receipts)
        .enumerate();
    all.map(|(index, ((transaction, sender), receipt))| {
        let answer = answer(rules, block, index, (transaction, *sender), receipt, before);
        before.gas = receipt.cumulative_gas_used();
        before.logs += receipt.logs().len();
        answer
    })
    .collect()
}

/// The receipt of the transaction at `index`; `None` where there is none.
pub(crate) fn of_transaction(
    rules: &Rules,
    block: &Block,
    receipts: &[ReceiptEnvelope],
    index: usize,
) -> Option<ReceiptAnswer> {
    let transaction = (
        block.body.transactions.get(index)?,
        *block.senders.get(index)?,
    );
    let receipt = receipts.get(index)?;
    let before = Before {
        gas: receipts
            .get(..index)?
            .last()
            .map_or(0, ReceiptEnvelope::cumulative_gas_used),
        logs: receipts
            .get(..index)?
            .iter()
            .map(|receipt| receipt.logs().len())
            .sum(),
    };
    Some(answer(rules, block, index, transaction, receipt, before))
}

fn answer(
    rules: &Rules,
    block: &Block,
    index: usize,
    (transaction, from): (&TxEnvelope, Address),
    receipt: &ReceiptEnvelope,
    before: Before,
) -> ReceiptAnswer {
    let mined = Mined::of(&block.header, block.hash, index);
    let hash = *transaction.tx_hash();
    let logs = receipt.logs().iter().zip(before.logs..);
    let blob_gas = transaction.blob_gas_used();
    ReceiptAnswer {
        block_hash: mined.block_hash,
        block_number: U64::from(mined.number),
        contract_address: transaction
            .is_create()
            .then(|| from.create(transaction.nonce())),
        cumulative_gas_used: U64::from(receipt.cumulative_gas_used()),
        effective_gas_price: U128::from(price_paid(rules, transaction, mined.base_fee)),
        from,
        gas_used: U64::from(receipt.cumulative_gas_used().saturating_sub(before.gas)),
        logs: logs
            .map(|(log, place)| LogAnswer::new(log, hash, &mined, place))
            .collect(),
        logs_bloom: *receipt.logs_bloom(),
        status: U64::from(u8::from(receipt.is_success())),
        to: transaction.to(),
        transaction_hash: hash,
        transaction_index: U64::from(index),
        r#type: U64::from(receipt.tx_type() as u8),
        blob_gas_used: blob_gas.map(U64::from),
        blob_gas_price: blob_gas.map(|_| U128::from(blob_base_fee(rules, block))),
    }
}

fn blob_base_fee(rules: &Rules, block: &Block) -> u128 {
    let env = execution::BlockEnv {
        excess_blob_gas: block.header.excess_blob_gas,
        ..Default::default()
    };
    env.blob_base_fee(rules)
}
