//! Transactions, mined and waiting, and how they are sent.

mod answer;
pub(crate) mod receipt;
pub(crate) mod submit;

use alloy_consensus::TxEnvelope;
use alloy_eips::BlockNumberOrTag;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes, U64};
use chain::{Block, Moment};

pub(crate) use answer::{Mined, TransactionAnswer};
use receipt::ReceiptAnswer;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::tags::{find_hash, find_number};

/// `eth_getTransactionByHash`: mined, or waiting in the pool.
pub(crate) fn by_hash(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<TransactionAnswer>, Failure> {
    let hash: B256 = arguments.required()?;
    arguments.end()?;
    // The pool first: a transaction that leaves it meanwhile is in the moment taken after.
    let waiting = api
        .chain
        .pool(|pool| pool.get(&hash).map(|pooled| pooled.transaction.clone()));
    let moment = api.moment()?;
    if let Some((block, index)) = mined(&moment, hash)? {
        return Ok(at(&moment, &block, index));
    }
    Ok(waiting
        .map(|transaction| TransactionAnswer::waiting(transaction.inner(), transaction.signer())))
}

/// `eth_getTransactionByBlockHashAndIndex`
pub(crate) fn by_block_hash(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<TransactionAnswer>, Failure> {
    let hash: B256 = arguments.required()?;
    let index: U64 = arguments.required()?;
    arguments.end()?;
    let moment = api.moment()?;
    let Some(head) = find_hash(&moment, hash)? else {
        return Ok(None);
    };
    at_index(&moment, head.header.number, index)
}

/// `eth_getTransactionByBlockNumberAndIndex`
pub(crate) fn by_block_number(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<TransactionAnswer>, Failure> {
    let tag: BlockNumberOrTag = arguments.required()?;
    let index: U64 = arguments.required()?;
    arguments.end()?;
    let moment = api.moment()?;
    if tag.is_pending() {
        return Ok(None);
    }
    let Some(head) = find_number(&moment, tag)? else {
        return Ok(None);
    };
    at_index(&moment, head.header.number, index)
}

/// `eth_getRawTransactionByHash`: as signed.
pub(crate) fn raw(api: &Api, arguments: &mut Arguments<'_>) -> Result<Option<Bytes>, Failure> {
    let hash: B256 = arguments.required()?;
    arguments.end()?;
    let encode = |transaction: &TxEnvelope| Bytes::from(transaction.encoded_2718());
    let waiting = api
        .chain
        .pool(|pool| pool.get(&hash).map(|pooled| pooled.transaction.clone()));
    let mined = mined(&api.moment()?, hash)?;
    let transaction = mined
        .as_ref()
        .and_then(|(block, index)| block.body.transactions.get(*index));
    Ok(transaction
        .map(encode)
        .or_else(|| waiting.map(|transaction| encode(transaction.inner()))))
}

/// `eth_getTransactionReceipt`: of mined ones alone.
pub(crate) fn receipt(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<ReceiptAnswer>, Failure> {
    let hash: B256 = arguments.required()?;
    arguments.end()?;
    let moment = api.moment()?;
    let Some((block, index)) = mined(&moment, hash)? else {
        return Ok(None);
    };
    let Some(receipts) = moment.receipts(block.header.number)? else {
        return Ok(None);
    };
    Ok(receipt::of_transaction(
        &moment.profile().rules,
        &block,
        &receipts,
        index,
    ))
}

/// The block of a mined transaction, and its place there.
fn mined(moment: &Moment, hash: B256) -> Result<Option<(Block, usize)>, Failure> {
    let Some((number, index)) = moment.transaction(hash)? else {
        return Ok(None);
    };
    let block = moment.block(number)?;
    Ok(block.map(|block| (block, usize::try_from(index).unwrap_or(usize::MAX))))
}

fn at_index(
    moment: &Moment,
    number: u64,
    index: U64,
) -> Result<Option<TransactionAnswer>, Failure> {
    let Some(block) = moment.block(number)? else {
        return Ok(None);
    };
    Ok(at(
        moment,
        &block,
        usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX),
    ))
}

fn at(moment: &Moment, block: &Block, index: usize) -> Option<TransactionAnswer> {
    let (transaction, sender) = (
        block.body.transactions.get(index)?,
        block.senders.get(index)?,
    );
    let mined = Mined::of(&block.header, block.hash, index);
    Some(TransactionAnswer::mined(
        &moment.profile().rules,
        transaction,
        *sender,
        &mined,
    ))
}
