//! The JSON of a block, field by field as go-ethereum writes it.

use alloy_consensus::{Block as AlloyBlock, BlockBody, Header, TxEnvelope};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U64, U256};
use chain::Block;
use execution::Rules;
use serde::Serialize;

use crate::transactions::{Mined, TransactionAnswer};

/// A block, or a header alone (without `size`, `uncles`, `transactions` and `withdrawals`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockAnswer {
    hash: Option<B256>,
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Option<Address>,
    state_root: Option<B256>,
    transactions_root: Option<B256>,
    receipts_root: Option<B256>,
    logs_bloom: Bloom,
    difficulty: U256,
    number: U64,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: Option<B64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excess_blob_gas: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_beacon_block_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_hash: Option<B256>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    body: Option<BodyAnswer>,
}

#[derive(Clone, Debug, Serialize)]
struct BodyAnswer {
    size: U64,
    uncles: Vec<B256>,
    transactions: Transactions,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals: Option<Vec<Withdrawal>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Transactions {
    Hashes(Vec<B256>),
    Full(Vec<TransactionAnswer>),
}

impl BlockAnswer {
    /// A block, its transactions whole or by hash.
    pub(crate) fn of_block(rules: &Rules, block: &Block, full: bool) -> Self {
        let transactions = if full {
            let all = block
                .body
                .transactions
                .iter()
                .zip(&block.senders)
                .enumerate();
            let answers = all.map(|(index, (transaction, sender))| {
                TransactionAnswer::mined(
                    rules,
                    transaction,
                    *sender,
                    &Mined::of(&block.header, block.hash, index),
                )
            });
            Transactions::Full(answers.collect())
        } else {
            Transactions::Hashes(
                block
                    .body
                    .transactions
                    .iter()
                    .map(|transaction| *transaction.tx_hash())
                    .collect(),
            )
        };
        let mut answer = Self::of_header(&block.header, block.hash);
        answer.body = Some(BodyAnswer {
            size: size(&block.header, &block.body),
            uncles: block.body.ommers_hashes().collect(),
            transactions,
            withdrawals: block
                .body
                .withdrawals
                .as_ref()
                .map(|withdrawals| withdrawals.to_vec()),
        });
        answer
    }

    /// A header alone.
    pub(crate) fn of_header(header: &Header, hash: B256) -> Self {
        Self {
            hash: Some(hash),
            parent_hash: header.parent_hash,
            sha3_uncles: header.ommers_hash,
            miner: Some(header.beneficiary),
            state_root: Some(header.state_root),
            transactions_root: Some(header.transactions_root),
            receipts_root: Some(header.receipts_root),
            logs_bloom: header.logs_bloom,
            difficulty: header.difficulty,
            number: U64::from(header.number),
            gas_limit: U64::from(header.gas_limit),
            gas_used: U64::from(header.gas_used),
            timestamp: U64::from(header.timestamp),
            extra_data: header.extra_data.clone(),
            mix_hash: header.mix_hash,
            nonce: Some(header.nonce),
            base_fee_per_gas: header.base_fee_per_gas.map(U64::from),
            withdrawals_root: header.withdrawals_root,
            blob_gas_used: header.blob_gas_used.map(U64::from),
            excess_blob_gas: header.excess_blob_gas.map(U64::from),
            parent_beacon_block_root: header.parent_beacon_block_root,
            requests_hash: header.requests_hash,
            body: None,
        }
    }

    /// An empty block that nobody proposed.
    pub(crate) fn pending(header: &Header) -> Self {
        let withdrawals = header.withdrawals_root.map(|_| Vec::new());
        let body = BlockBody {
            withdrawals: withdrawals.clone().map(Into::into),
            ..BlockBody::default()
        };
        Self {
            hash: None,
            miner: None,
            state_root: None,
            transactions_root: None,
            receipts_root: None,
            withdrawals_root: None,
            requests_hash: None,
            nonce: None,
            body: Some(BodyAnswer {
                size: size(header, &body),
                uncles: Vec::new(),
                transactions: Transactions::Hashes(Vec::new()),
                withdrawals,
            }),
            ..Self::of_header(header, B256::ZERO)
        }
    }
}

fn size(header: &Header, body: &BlockBody<TxEnvelope>) -> U64 {
    U64::from(AlloyBlock::rlp_length_for(header, body))
}
