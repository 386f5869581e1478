//! Logs: searching blocks for them, and their JSON.
//!
//! A block is opened only when the bloom in its header allows a match; bounds are on blocks, on logs, and on the bytes
//! of the answer.

mod filter;

use alloy_consensus::ReceiptEnvelope;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, Log, U64};
use chain::{Block, Head, Moment};
use serde::Serialize;
use tokio::time::Instant;

pub(crate) use filter::{LogFilter, Span};

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::limits::Limits;
use crate::tags::{find_hash, find_number};
use crate::transactions::Mined;

/// JSON of a log without its data, bytes at most.
const LOG_JSON_BYTES: usize = 900;

/// A log and where it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogAnswer {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    transaction_hash: B256,
    transaction_index: U64,
    block_hash: B256,
    block_timestamp: U64,
    log_index: U64,
    /// Blocks are final: always false.
    removed: bool,
}

impl LogAnswer {
    /// The `place`-th log of its block, made by the transaction with `hash`.
    pub(crate) fn new(log: &Log, hash: B256, mined: &Mined, place: usize) -> Self {
        Self {
            address: log.address,
            topics: log.topics().to_vec(),
            data: log.data.data.clone(),
            block_number: U64::from(mined.number),
            transaction_hash: hash,
            transaction_index: U64::from(mined.index),
            block_hash: mined.block_hash,
            block_timestamp: U64::from(mined.timestamp),
            log_index: U64::from(place),
            removed: false,
        }
    }

    fn json_bytes(&self) -> usize {
        LOG_JSON_BYTES + 2 * self.data.len()
    }
}

/// `eth_getLogs`
pub(crate) fn search(api: &Api, arguments: &mut Arguments<'_>) -> Result<Vec<LogAnswer>, Failure> {
    let filter: LogFilter = arguments.required()?;
    arguments.end()?;
    find(&api.moment()?, &filter, &api.limits)
}

/// All logs that `filter` names.
pub(crate) fn find(
    moment: &Moment,
    filter: &LogFilter,
    limits: &Limits,
) -> Result<Vec<LogAnswer>, Failure> {
    filter.check(limits)?;
    let (from, to) = match filter.span {
        Span::Block(hash) => {
            let head = find_hash(moment, hash)?.ok_or(Failure::UnknownBlock { hash })?;
            (head.header.number, head.header.number)
        }
        Span::Range { from, to } => range(moment, from, to)?,
    };
    if to - from >= limits.log_blocks {
        return Err(Failure::Limit {
            what: "too many blocks in one search for logs",
            most: limits.log_blocks,
        });
    }
    let mut found = Found::new(limits);
    let end = Instant::now() + limits.log_time;
    for number in from..=to {
        if Instant::now() > end {
            return Err(Failure::Limit {
                what: "too many seconds in one search for logs",
                most: limits.log_time.as_secs(),
            });
        }
        found.take(moment, number, filter)?;
    }
    Ok(found.logs)
}

/// The numbers of a range; go-ethereum's answers to what is none.
fn range(
    moment: &Moment,
    from: Option<BlockNumberOrTag>,
    to: Option<BlockNumberOrTag>,
) -> Result<(u64, u64), Failure> {
    let number = |tag: Option<BlockNumberOrTag>| -> Result<Option<u64>, Failure> {
        let tag = tag.unwrap_or(BlockNumberOrTag::Latest);
        Ok(find_number(moment, tag)?.map(|head| head.header.number))
    };
    if let (Some(BlockNumberOrTag::Number(from)), Some(BlockNumberOrTag::Number(to))) = (from, to)
        && from > to
    {
        return Err(Failure::Invalid("invalid block range params"));
    }
    let (Some(from), Some(to)) = (number(from)?, number(to)?) else {
        return Err(Failure::Invalid(
            "block range extends beyond current head block",
        ));
    };
    if from > to {
        return Err(Failure::Invalid("invalid block range params"));
    }
    Ok((from, to))
}

/// What a search has found so far.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) logs: Vec<LogAnswer>,
    bytes: usize,
    limits: &'a Limits,
}

impl<'a> Found<'a> {
    pub(crate) const fn new(limits: &'a Limits) -> Self {
        Self {
            logs: Vec::new(),
            bytes: 0,
            limits,
        }
    }

    /// Adds the matching logs of block `number`.
    pub(crate) fn take(
        &mut self,
        moment: &Moment,
        number: u64,
        filter: &LogFilter,
    ) -> Result<(), Failure> {
        let Some(Head { header, .. }) = moment.header(number)? else {
            return Ok(());
        };
        if !filter.may_match(&header.logs_bloom) {
            return Ok(());
        }
        let (Some(block), Some(receipts)) = (moment.block(number)?, moment.receipts(number)?)
        else {
            return Ok(());
        };
        for log in matching(&block, &receipts, filter) {
            self.bytes += log.json_bytes();
            self.logs.push(log);
            if self.logs.len() > self.limits.logs {
                return Err(Failure::Limit {
                    what: "too many logs match",
                    most: self.limits.logs as u64,
                });
            }
            if self.bytes > self.limits.response_bytes as usize {
                let most = u64::from(self.limits.response_bytes);
                return Err(Failure::Limit {
                    what: "too many bytes of logs match",
                    most,
                });
            }
        }
        Ok(())
    }
}

/// The logs of a block that `filter` matches, made one by one as they are asked for.
pub(crate) fn matching<'a>(
    block: &'a Block,
    receipts: &'a [ReceiptEnvelope],
    filter: &'a LogFilter,
) -> impl Iterator<Item = LogAnswer> + 'a {
    let mut before = 0;
    let all = block.body.transactions.iter().zip(receipts).enumerate();
    all.flat_map(move |(index, (transaction, receipt))| {
        let (mined, hash, first) = (
            Mined::of(&block.header, block.hash, index),
            *transaction.tx_hash(),
            before,
        );
        before += receipt.logs().len();
        let logs = receipt
            .logs()
            .iter()
            .zip(first..)
            .filter(|(log, _)| filter.matches(log));
        logs.map(move |(log, place)| LogAnswer::new(log, hash, &mined, place))
    })
}
