//! What gas costs, and what it cost.
//!
//! Where gas is free every answer is 0. Where it costs, prices are suggested as go-ethereum does, from the tips of the
//! last blocks.

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U128};
use chain::{Block, Moment};
use execution::Rules;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::tags::find_number;

/// How many blocks back tips are looked at (go-ethereum's 20).
const TIP_BLOCKS: u64 = 20;
/// How many of a block's lowest tips count (go-ethereum's 3).
const TIPS_PER_BLOCK: usize = 3;
/// Which of the tips is suggested, in percent (go-ethereum's 60).
const TIP_PERCENTILE: usize = 60;
/// What is suggested where nobody tipped, wei a gas: 1 gwei, which wallets take for a modest tip.
const DEFAULT_TIP: u128 = 1_000_000_000;

/// `eth_gasPrice`, wei a gas.
pub(crate) fn gas_price(api: &Api, arguments: &mut Arguments<'_>) -> Result<U128, Failure> {
    arguments.end()?;
    let moment = api.moment()?;
    let base_fee = base_fee(&moment.profile().rules, &moment.head().header);
    Ok(U128::from(suggested_tip(&moment)? + u128::from(base_fee)))
}

/// `eth_maxPriorityFeePerGas`, wei a gas.
pub(crate) fn priority_fee(api: &Api, arguments: &mut Arguments<'_>) -> Result<U128, Failure> {
    arguments.end()?;
    Ok(U128::from(suggested_tip(&api.moment()?)?))
}

/// `eth_blobBaseFee`, wei a gas of blob data, as BLOBBASEFEE gives it in the next block.
pub(crate) fn blob_base_fee(api: &Api, arguments: &mut Arguments<'_>) -> Result<U128, Failure> {
    arguments.end()?;
    let moment = api.moment()?;
    Ok(U128::from(
        moment
            .env(&moment.head().header)
            .blob_base_fee(&moment.profile().rules),
    ))
}

/// What a transaction should offer so that a block takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// `maxFeePerGas`, wei a gas.
    pub(crate) max_fee: u128,
    /// `maxPriorityFeePerGas`, wei a gas.
    pub(crate) priority: u128,
}

/// The offer that is suggested: twice the base fee and the tip, so that it holds while the fee doubles.
pub(crate) fn suggested_offer(moment: &Moment) -> Result<Offer, Failure> {
    let priority = suggested_tip(moment)?;
    let base_fee = u128::from(base_fee(&moment.profile().rules, &moment.head().header));
    Ok(Offer {
        max_fee: 2 * base_fee + priority,
        priority,
    })
}

fn suggested_tip(moment: &Moment) -> Result<u128, Failure> {
    if moment.profile().rules.is_free() {
        return Ok(0);
    }
    let newest = moment.head().header.number;
    let mut tips = Vec::new();
    for number in newest.saturating_sub(TIP_BLOCKS - 1)..=newest {
        let Some(block) = moment.block(number)? else {
            continue;
        };
        let fee = block.header.base_fee_per_gas.unwrap_or_default();
        let mut of_block: Vec<u128> = block
            .body
            .transactions
            .iter()
            .filter_map(|transaction| transaction.effective_tip_per_gas(fee))
            .collect();
        of_block.sort_unstable();
        tips.extend(of_block.into_iter().take(TIPS_PER_BLOCK));
    }
    tips.sort_unstable();
    let index = tips.len().saturating_sub(1) * TIP_PERCENTILE / 100;
    Ok(tips.get(index).copied().unwrap_or(DEFAULT_TIP))
}

fn base_fee(rules: &Rules, header: &Header) -> u64 {
    if rules.is_free() {
        0
    } else {
        header.base_fee_per_gas.unwrap_or_default()
    }
}

/// What gas cost in a range of blocks.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeeHistoryAnswer {
    oldest_block: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<U128>>>,
    /// One more than blocks: the last is that of the block after.
    base_fee_per_gas: Vec<U64>,
    gas_used_ratio: Vec<f64>,
    /// One more than blocks.
    base_fee_per_blob_gas: Vec<U128>,
    blob_gas_used_ratio: Vec<f64>,
}

/// A number of blocks, which callers write as a quantity, a JSON number, or decimal text.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
struct Count(#[serde(deserialize_with = "alloy_serde::quantity::deserialize")] u64);

/// `eth_feeHistory`
pub(crate) fn history(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<FeeHistoryAnswer, Failure> {
    let Count(count) = arguments.required()?;
    let newest: BlockNumberOrTag = arguments.required()?;
    let percentiles: Option<Vec<f64>> = arguments.optional()?;
    arguments.end()?;
    let percentiles = percentiles.unwrap_or_default();
    check(&percentiles, api.limits.fee_percentiles)?;
    let moment = api.moment()?;
    let newest = find_number(&moment, newest)?
        .ok_or(Failure::NoHeader)?
        .header
        .number;
    let count = count.min(api.limits.fee_blocks).min(newest + 1);
    let oldest = newest + 1 - count;
    let mut answer = FeeHistoryAnswer {
        oldest_block: U64::from(oldest),
        reward: (!percentiles.is_empty()).then(Vec::new),
        base_fee_per_gas: Vec::new(),
        gas_used_ratio: Vec::new(),
        base_fee_per_blob_gas: Vec::new(),
        blob_gas_used_ratio: Vec::new(),
    };
    if count == 0 {
        answer.oldest_block = U64::ZERO;
        return Ok(answer);
    }
    for number in oldest..=newest {
        let head = moment.header(number)?.ok_or(Failure::NoHeader)?;
        answer.push(&moment, &head.header);
        if let Some(rewards) = &mut answer.reward {
            rewards.push(reward(&moment, number, &percentiles)?);
        }
    }
    answer.push_next(&moment, newest, api.chain.now_ms())?;
    Ok(answer)
}

impl FeeHistoryAnswer {
    fn push(&mut self, moment: &Moment, header: &Header) {
        let rules = &moment.profile().rules;
        let ratio = |used: u64, most: u64| {
            if most == 0 {
                0.0
            } else {
                used as f64 / most as f64
            }
        };
        self.base_fee_per_gas
            .push(U64::from(base_fee(rules, header)));
        self.gas_used_ratio
            .push(ratio(header.gas_used, header.gas_limit));
        self.base_fee_per_blob_gas
            .push(blob_fee(rules, &moment.env(header)));
        let most = rules
            .blobs
            .map_or(0, |blobs| blobs.max_blob_gas_per_block());
        self.blob_gas_used_ratio
            .push(ratio(header.blob_gas_used.unwrap_or_default(), most));
    }

    /// The fees of the block after `newest`, there or not.
    fn push_next(&mut self, moment: &Moment, newest: u64, now_ms: u64) -> Result<(), Failure> {
        let rules = &moment.profile().rules;
        let env = match moment.header(newest + 1)? {
            Some(head) => moment.env(&head.header),
            None => {
                let mut env = moment.pending_env(now_ms);
                let parent = &moment.head().header;
                env.excess_blob_gas = rules
                    .blobs
                    .and_then(|blobs| parent.next_block_excess_blob_gas(blobs));
                env
            }
        };
        self.base_fee_per_gas
            .push(U64::from(if rules.is_free() { 0 } else { env.base_fee }));
        self.base_fee_per_blob_gas.push(blob_fee(rules, &env));
        Ok(())
    }
}

fn blob_fee(rules: &Rules, env: &execution::BlockEnv) -> U128 {
    U128::from(if rules.is_free() {
        0
    } else {
        env.blob_base_fee(rules)
    })
}

fn check(percentiles: &[f64], most: usize) -> Result<(), Failure> {
    if percentiles.len() > most {
        return Err(Failure::Limit {
            what: "too many reward percentiles",
            most: most as u64,
        });
    }
    let in_range = percentiles
        .iter()
        .all(|percentile| (0.0..=100.0).contains(percentile));
    if !in_range || !percentiles.is_sorted() {
        return Err(Failure::Invalid(
            "reward percentiles must ascend and lie between 0 and 100",
        ));
    }
    Ok(())
}

/// The tips at `percentiles` of a block's gas; zeros for a block without transactions.
fn reward(moment: &Moment, number: u64, percentiles: &[f64]) -> Result<Vec<U128>, Failure> {
    let zeros = || vec![U128::ZERO; percentiles.len()];
    if moment.profile().rules.is_free() {
        return Ok(zeros());
    }
    let (Some(block), Some(receipts)) = (moment.block(number)?, moment.receipts(number)?) else {
        return Ok(zeros());
    };
    let cumulative = receipts.iter().map(|receipt| receipt.cumulative_gas_used());
    let tips = tips_by_gas(&block, cumulative);
    Ok(tips.map_or_else(zeros, |tips| {
        percentiles
            .iter()
            .map(|at| U128::from(tips.at(*at)))
            .collect()
    }))
}

/// The tips of a block, ascending, each with the gas of all up to it.
struct TipsByGas(Vec<(u128, u64)>);

/// `None` for a block without transactions.
fn tips_by_gas(block: &Block, cumulative: impl Iterator<Item = u64>) -> Option<TipsByGas> {
    let fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let mut tips: Vec<(u128, u64)> = block
        .body
        .transactions
        .iter()
        .zip(cumulative)
        .map(|(transaction, cumulative)| {
            let gas = cumulative.saturating_sub(before);
            before = cumulative;
            (
                transaction.effective_tip_per_gas(fee).unwrap_or_default(),
                gas,
            )
        })
        .collect();
    // Stable, as go-ethereum sorts.
    tips.sort_by_key(|(tip, _)| *tip);
    let mut sum = 0;
    for (_, gas) in &mut tips {
        sum += *gas;
        *gas = sum;
    }
    (!tips.is_empty()).then_some(TipsByGas(tips))
}

impl TipsByGas {
    /// The tip of the transaction that holds the given percentile of the gas.
    fn at(&self, percentile: f64) -> u128 {
        let total = self.0.last().map_or(0, |(_, gas)| *gas);
        let threshold = total as f64 * percentile / 100.0;
        let found = self.0.iter().find(|(_, gas)| *gas as f64 >= threshold);
        found.or(self.0.last()).map_or(0, |(tip, _)| *tip)
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, TipsByGas, check};

    #[test]
    fn a_percentile_is_by_gas_and_not_by_number() {
        let tips = TipsByGas(vec![(1, 90), (5, 95), (9, 100)]);
        let at = [0.0, 50.0, 90.0, 91.0, 95.0, 99.0, 100.0].map(|percentile| tips.at(percentile));
        assert_eq!(at, [1, 1, 1, 5, 5, 9, 9]);
    }

    #[test]
    fn percentiles_ascend_between_0_and_100() {
        assert!(check(&[], 2).is_ok());
        assert!(check(&[0.0, 100.0], 2).is_ok());
        for wrong in [
            vec![-1.0],
            vec![100.5],
            vec![2.0, 1.0],
            vec![f64::NAN],
            vec![1.0, 2.0, 3.0],
        ] {
            assert!(check(&wrong, 2).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_count_is_a_quantity_or_a_number() {
        for text in ["\"0xa\"", "10"] {
            assert_eq!(serde_json::from_str::<Count>(text).unwrap().0, 10);
        }
        assert!(serde_json::from_str::<Count>("\"x\"").is_err());
    }
}
