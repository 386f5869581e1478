//! Signed transactions on their way into the pool, many at once where they come in a batch.

use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use chain::PoolError;
use chain::pool::MAX_TRANSACTION_BYTES;
use node::NewBlock;
use tokio::sync::broadcast::{self, error::RecvError};

use super::receipt::{self, ReceiptAnswer};
use crate::api::{Api, Work};
use crate::error::Failure;

/// How long `eth_sendRawTransactionSync` waits unless told otherwise, and at most (EIP-7966 leaves both to the node).
const SYNC_WAIT: Duration = Duration::from_secs(2);
/// See [`SYNC_WAIT`].
const SYNC_WAIT_MOST: Duration = Duration::from_secs(30);

/// Recovers the senders of `raw` in parallel and gives all that have one to the pool, in order and in one piece.
pub(crate) async fn send_all(api: &Api, raw: Vec<Bytes>) -> Vec<Result<B256, Failure>> {
    let count = raw.len();
    let recovered = api
        .run(Work::Read, move || {
            // What is too large is not even hashed.
            let (fitting, large): (Vec<_>, Vec<_>) = raw
                .into_iter()
                .enumerate()
                .partition(|(_, raw)| raw.len() <= MAX_TRANSACTION_BYTES);
            let (places, fitting): (Vec<_>, Vec<_>) = fitting.into_iter().unzip();
            let large = large
                .into_iter()
                .map(|(place, raw)| (place, Err(too_large(&raw))));
            let recovered = execution::recover_all(&fitting)
                .into_iter()
                .map(|result| result.map_err(Failure::from));
            Ok(places
                .into_iter()
                .zip(recovered)
                .chain(large)
                .collect::<Vec<_>>())
        })
        .await;
    let mut answers: Vec<Option<Result<B256, Failure>>> = (0..count).map(|_| None).collect();
    let mut places = Vec::with_capacity(count);
    let mut transactions = Vec::with_capacity(count);
    for (place, result) in recovered.unwrap_or_default() {
        match result {
            Ok(transaction) => {
                places.push(place);
                transactions.push(transaction);
            }
            Err(failure) => answers[place] = Some(Err(failure)),
        }
    }
    if !transactions.is_empty() {
        let verdicts = api.chain.submit(transactions).await;
        for (place, verdict) in places.into_iter().zip(verdicts) {
            answers[place] = Some(verdict.map_err(Failure::from));
        }
    }
    answers
        .into_iter()
        .map(|answer| answer.unwrap_or(Err(Failure::Stopping)))
        .collect()
}

/// `eth_sendRawTransaction`, alone
pub(crate) async fn send_one(api: &Api, raw: Bytes) -> Result<B256, Failure> {
    let heads = api.chain.heads();
    let hash = send(api, raw).await?;
    shown(api, heads, hash).await;
    Ok(hash)
}

/// Waits a little until the transaction's block is shown, where the server is told to: a client that looks for the
/// receipt at once then finds it, instead of looking again seconds later.
pub(crate) async fn shown(api: &Api, mut heads: broadcast::Receiver<NewBlock>, hash: B256) {
    // One that waits behind a gap is in no block soon; one that does not wait is in a block already.
    let is_soon = || api.chain.pool(|pool| pool.is_executable(&hash)) == Some(true);
    if api.limits.send_wait.is_zero() || !is_soon() {
        return;
    }
    let mined = async {
        while let Ok(new) = heads.recv().await {
            if new
                .block
                .body
                .transactions
                .iter()
                .any(|transaction| *transaction.tx_hash() == hash)
            {
                return;
            }
        }
    };
    // The hash is told whether it was mined or not.
    drop(tokio::time::timeout(api.limits.send_wait, mined).await);
}

async fn send(api: &Api, raw: Bytes) -> Result<B256, Failure> {
    send_all(api, vec![raw])
        .await
        .pop()
        .unwrap_or(Err(Failure::Stopping))
}

/// `eth_sendRawTransactionSync` (EIP-7966): waits for the receipt.
pub(crate) async fn send_sync(
    api: &Api,
    raw: Bytes,
    wait_ms: Option<u64>,
) -> Result<ReceiptAnswer, Failure> {
    let wait = wait_ms
        .map_or(SYNC_WAIT, Duration::from_millis)
        .min(SYNC_WAIT_MOST);
    // Before it is sent, so that its block cannot be missed.
    let mut heads = api.chain.heads();
    let hash = send(api, raw).await?;
    let mined = async {
        loop {
            match heads.recv().await {
                Ok(new) => {
                    if let Some(receipt) = receipt_in(api, &new, hash) {
                        return Ok(receipt);
                    }
                }
                // Its block may be among those that were missed: the caller looks for the receipt itself.
                Err(RecvError::Lagged(_)) => std::future::pending().await,
                Err(RecvError::Closed) => return Err(Failure::Stopping),
            }
        }
    };
    let waited_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    tokio::time::timeout(wait, mined)
        .await
        .unwrap_or(Err(Failure::NotYetMined { hash, waited_ms }))
}

fn receipt_in(api: &Api, new: &NewBlock, hash: B256) -> Option<ReceiptAnswer> {
    let index = new
        .block
        .body
        .transactions
        .iter()
        .position(|transaction| *transaction.tx_hash() == hash)?;
    receipt::of_transaction(
        &api.chain.reader().profile().rules,
        &new.block,
        &new.receipts,
        index,
    )
}

fn too_large(raw: &Bytes) -> Failure {
    PoolError::TooLarge { bytes: raw.len() }.into()
}
