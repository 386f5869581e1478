//! A signed transaction as the EVM takes it, with its fees as the rules take them.

use alloy_consensus::{Transaction as _, Typed2718 as _};
use revm::context::TxEnv;
use revm::context_interface::either::Either;

use crate::recover::Transaction;
use crate::rules::Rules;

/// The EVM's form of `transaction`. Under free gas all fee fields are 0, whatever was signed.
pub(crate) fn evm_transaction(rules: &Rules, transaction: &Transaction) -> TxEnv {
    let (max_fee, priority, blob_fee) = if rules.is_free() {
        (0, transaction.max_priority_fee_per_gas().map(|_| 0), 0)
    } else {
        (
            transaction.max_fee_per_gas(),
            transaction.max_priority_fee_per_gas(),
            transaction.max_fee_per_blob_gas().unwrap_or_default(),
        )
    };
    TxEnv {
        tx_type: transaction.ty(),
        caller: transaction.signer(),
        gas_limit: transaction.gas_limit(),
        gas_price: max_fee,
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: priority,
        blob_hashes: transaction
            .blob_versioned_hashes()
            .unwrap_or_default()
            .to_vec(),
        max_fee_per_blob_gas: blob_fee,
        authorization_list: transaction
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
    }
}
