//! Blocks, as `eth_getBlockBy…` and the subscription to heads give them.

mod answer;

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use chain::{Block, Moment};

pub(crate) use answer::BlockAnswer;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::tags::{Place, find, find_hash, find_number};
use crate::transactions::receipt::{self, ReceiptAnswer};

/// `eth_blockNumber`
pub(crate) fn number(api: &Api, arguments: &mut Arguments<'_>) -> Result<U64, Failure> {
    arguments.end()?;
    Ok(U64::from(api.moment()?.head().header.number))
}

/// `eth_getBlockByNumber`
pub(crate) fn by_number(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<BlockAnswer>, Failure> {
    let tag: BlockNumberOrTag = arguments.required()?;
    let full: Option<bool> = arguments.optional()?;
    arguments.end()?;
    let moment = api.moment()?;
    if tag.is_pending() {
        return Ok(Some(pending(&moment, api.chain.now_ms())));
    }
    let Some(head) = find_number(&moment, tag)? else {
        return Ok(None);
    };
    block(&moment, head.header.number, full.unwrap_or_default())
}

/// `eth_getBlockByHash`
pub(crate) fn by_hash(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<BlockAnswer>, Failure> {
    let hash: B256 = arguments.required()?;
    let full: Option<bool> = arguments.optional()?;
    arguments.end()?;
    let moment = api.moment()?;
    let Some(head) = find_hash(&moment, hash)? else {
        return Ok(None);
    };
    block(&moment, head.header.number, full.unwrap_or_default())
}

/// `eth_getBlockTransactionCountByNumber`
pub(crate) fn count_by_number(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<U64>, Failure> {
    let tag: BlockNumberOrTag = arguments.required()?;
    arguments.end()?;
    if tag.is_pending() {
        return Ok(Some(U64::ZERO));
    }
    count(api, tag.into(), |block| block.body.transactions.len())
}

/// `eth_getBlockTransactionCountByHash`
pub(crate) fn count_by_hash(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<U64>, Failure> {
    let hash: B256 = arguments.required()?;
    arguments.end()?;
    count(api, hash.into(), |block| block.body.transactions.len())
}

/// `eth_getUncleCountByBlockNumber`
pub(crate) fn uncles_by_number(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<U64>, Failure> {
    let tag: BlockNumberOrTag = arguments.required()?;
    arguments.end()?;
    if tag.is_pending() {
        return Ok(Some(U64::ZERO));
    }
    count(api, tag.into(), |block| block.body.ommers.len())
}

/// `eth_getUncleCountByBlockHash`
pub(crate) fn uncles_by_hash(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<U64>, Failure> {
    let hash: B256 = arguments.required()?;
    arguments.end()?;
    count(api, hash.into(), |block| block.body.ommers.len())
}

/// `eth_getBlockReceipts`
pub(crate) fn receipts(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<Vec<ReceiptAnswer>>, Failure> {
    let id: BlockId = arguments.required()?;
    arguments.end()?;
    let moment = api.moment()?;
    let Some(Place::Block(head)) = find(&moment, id)? else {
        return Ok(None);
    };
    let number = head.header.number;
    let (Some(block), Some(receipts)) = (moment.block(number)?, moment.receipts(number)?) else {
        return Ok(None);
    };
    Ok(Some(receipt::of_block(
        &moment.profile().rules,
        &block,
        &receipts,
    )))
}

fn count(api: &Api, id: BlockId, of: impl FnOnce(&Block) -> usize) -> Result<Option<U64>, Failure> {
    let moment = api.moment()?;
    let Some(Place::Block(head)) = find(&moment, id)? else {
        return Ok(None);
    };
    Ok(moment
        .block(head.header.number)?
        .map(|block| U64::from(of(&block))))
}

fn block(moment: &Moment, number: u64, full: bool) -> Result<Option<BlockAnswer>, Failure> {
    let block = moment.block(number)?;
    Ok(block.map(|block| BlockAnswer::of_block(&moment.profile().rules, &block, full)))
}

/// A block made now on the latest: nobody proposed it, and it has no transactions.
fn pending(moment: &Moment, now_ms: u64) -> BlockAnswer {
    let env = moment.pending_env(now_ms);
    let parent = &moment.head().header;
    let header = Header {
        parent_hash: env.parent_hash,
        number: env.number,
        gas_limit: env.gas_limit,
        timestamp: env.timestamp,
        extra_data: types::header::extra_data(now_ms),
        mix_hash: env.prev_randao,
        base_fee_per_gas: parent.base_fee_per_gas.map(|_| env.base_fee),
        withdrawals_root: parent.withdrawals_root,
        blob_gas_used: parent.blob_gas_used.map(|_| 0),
        excess_blob_gas: parent.excess_blob_gas.and(env.excess_blob_gas),
        parent_beacon_block_root: parent
            .parent_beacon_block_root
            .and(env.parent_beacon_block_root),
        ..Header::default()
    };
    BlockAnswer::pending(&header)
}
