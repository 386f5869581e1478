//! `txpool_*`: what waits for a block. `pending` can run, `queued` is behind a gap of nonces.

use std::collections::BTreeMap;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use chain::Pooled;
use serde::Serialize;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::transactions::TransactionAnswer;

/// How many wait.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StatusAnswer {
    pending: U64,
    queued: U64,
}

/// Both parts of the pool.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Parts<T> {
    pending: T,
    queued: T,
}

/// By nonce, which JSON writes as text.
type ByNonce<T> = BTreeMap<u64, T>;
/// By sender, with its checksum, as go-ethereum writes it here.
type BySender<T> = BTreeMap<String, ByNonce<T>>;

/// `txpool_status`
pub(crate) fn status(api: &Api, arguments: &mut Arguments<'_>) -> Result<StatusAnswer, Failure> {
    arguments.end()?;
    let status = api.chain.pool(chain::Pool::status);
    Ok(StatusAnswer {
        pending: U64::from(status.pending),
        queued: U64::from(status.queued),
    })
}

/// `txpool_content`
pub(crate) fn content(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Parts<BySender<TransactionAnswer>>, Failure> {
    arguments.end()?;
    Ok(by_sender(api, whole))
}

/// `txpool_inspect`: one line for each.
pub(crate) fn inspect(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Parts<BySender<String>>, Failure> {
    arguments.end()?;
    Ok(by_sender(api, |pooled| {
        let transaction = &pooled.transaction;
        let to = transaction
            .to()
            .map_or_else(|| String::from("contract creation"), |to| to.to_string());
        let (value, gas, price) = (
            transaction.value(),
            transaction.gas_limit(),
            transaction.max_fee_per_gas(),
        );
        format!("{to}: {value} wei + {gas} gas × {price} wei")
    }))
}

/// `txpool_contentFrom`
pub(crate) fn content_from(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Parts<ByNonce<TransactionAnswer>>, Failure> {
    let sender: Address = arguments.required()?;
    arguments.end()?;
    let mut parts = Parts::<ByNonce<TransactionAnswer>>::default();
    for (address, executable, pooled) in api.chain.pool(chain::Pool::content) {
        if address == sender {
            parts
                .of(executable)
                .insert(pooled.transaction.nonce(), whole(&pooled));
        }
    }
    Ok(parts)
}

fn by_sender<T>(api: &Api, answer: impl Fn(&Pooled) -> T) -> Parts<BySender<T>> {
    let mut parts = Parts {
        pending: BySender::new(),
        queued: BySender::new(),
    };
    for (address, executable, pooled) in api.chain.pool(chain::Pool::content) {
        let of_sender = parts
            .of(executable)
            .entry(address.to_checksum(None))
            .or_default();
        of_sender.insert(pooled.transaction.nonce(), answer(&pooled));
    }
    parts
}

fn whole(pooled: &Pooled) -> TransactionAnswer {
    TransactionAnswer::waiting(pooled.transaction.inner(), pooled.transaction.signer())
}

impl<T> Parts<T> {
    const fn of(&mut self, executable: bool) -> &mut T {
        if executable {
            &mut self.pending
        } else {
            &mut self.queued
        }
    }
}
