//! `eth_subscribe`: heads, logs and pending transactions as they come.
//!
//! ```text
//!  chain ──broadcast (bounded)──▶ subscription ──queue (bounded)──▶ WebSocket
//! ```
//!
//! Who reads too slowly is told so and loses the subscription; nothing is skipped silently and nothing piles up.

use std::sync::Arc;

use alloy_primitives::B256;
use jsonrpsee::core::SubscriptionError;
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::server::{PendingSubscriptionSink, SendTimeoutError, SubscriptionSink};
use jsonrpsee::types::{Params, SubscriptionId};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::blocks::BlockAnswer;
use crate::error::Failure;
use crate::logs::{LogFilter, matching};
use crate::transactions::TransactionAnswer;

/// Names of subscriptions: 128 random bits in hexadecimal, as clients of go-ethereum know them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names;

impl IdProvider for Names {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(format!("{:#034x}", rand::random::<u128>()).into())
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    NewHeads,
    Logs,
    NewPendingTransactions,
    Syncing,
}

/// What is subscribed to. Receivers exist from here on, before the client learns of the subscription.
enum Subscription {
    Heads(Receiver<node::NewBlock>),
    Logs(Receiver<node::NewBlock>, Box<LogFilter>),
    Pending(Receiver<Arc<execution::Transaction>>, bool),
    /// Nothing is ever said: a served chain is in step.
    Syncing,
}

/// Why a subscription ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(
        "the client read too slowly: {missed} messages were missed, the subscription is closed"
    )]
    Behind { missed: u64 },
    #[error("the client did not read for {seconds} s, the subscription is closed")]
    Stuck { seconds: u64 },
    /// By the client, or with the server.
    #[error("closed")]
    Closed,
    #[error("an answer could not be written")]
    Answer(#[from] serde_json::Error),
}

impl From<RecvError> for Ended {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => Self::Behind { missed },
            RecvError::Closed => Self::Closed,
        }
    }
}

/// Serves one subscription until it ends.
pub(crate) async fn serve(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    api: Arc<Api>,
) -> Result<(), SubscriptionError> {
    let subscription = match Subscription::read(&api, &params) {
        Ok(subscription) => subscription,
        Err(failure) => {
            pending.reject(failure).await;
            return Ok(());
        }
    };
    let Ok(sink) = pending.accept().await else {
        return Ok(());
    };
    let sink = Sink { sink, api };
    let ended = match subscription {
        Subscription::Heads(heads) => sink.heads(heads).await,
        Subscription::Logs(heads, filter) => sink.logs(heads, &filter).await,
        Subscription::Pending(transactions, full) => sink.pending(transactions, full).await,
        Subscription::Syncing => {
            sink.sink.closed().await;
            Ok(())
        }
    };
    match ended {
        Ok(()) | Err(Ended::Closed) => Ok(()),
        Err(ended) => Err(SubscriptionError::from(ended.to_string())),
    }
}

impl Subscription {
    fn read(api: &Api, params: &Params<'_>) -> Result<Self, Failure> {
        let mut arguments = Arguments::new(params)?;
        let kind = arguments.required()?;
        let subscription = match kind {
            Kind::NewHeads => Self::Heads(api.chain.heads()),
            Kind::Logs => {
                let filter: LogFilter = arguments.optional()?.unwrap_or_else(LogFilter::all);
                filter.check(&api.limits)?;
                Self::Logs(api.chain.heads(), Box::new(filter))
            }
            Kind::NewPendingTransactions => {
                let full: Option<bool> = arguments.optional()?;
                Self::Pending(api.chain.pending(), full.unwrap_or_default())
            }
            Kind::Syncing => Self::Syncing,
        };
        arguments.end()?;
        Ok(subscription)
    }
}

struct Sink {
    sink: SubscriptionSink,
    api: Arc<Api>,
}

impl Sink {
    async fn heads(&self, mut heads: Receiver<node::NewBlock>) -> Result<(), Ended> {
        loop {
            let new = self.next(&mut heads).await?;
            self.send(&BlockAnswer::of_header(&new.block.header, new.block.hash))
                .await?;
        }
    }

    async fn logs(
        &self,
        mut heads: Receiver<node::NewBlock>,
        filter: &LogFilter,
    ) -> Result<(), Ended> {
        loop {
            let new = self.next(&mut heads).await?;
            if filter.may_match(&new.block.header.logs_bloom) {
                for log in matching(&new.block, &new.receipts, filter) {
                    self.send(&log).await?;
                }
            }
        }
    }

    async fn pending(
        &self,
        mut transactions: Receiver<Arc<execution::Transaction>>,
        full: bool,
    ) -> Result<(), Ended> {
        loop {
            let new = self.next(&mut transactions).await?;
            if full {
                self.send(&TransactionAnswer::waiting(new.inner(), new.signer()))
                    .await?;
            } else {
                let hash: &B256 = new.tx_hash();
                self.send(hash).await?;
            }
        }
    }

    async fn next<T: Clone>(&self, receiver: &mut Receiver<T>) -> Result<T, Ended> {
        tokio::select! {
            () = self.sink.closed() => Err(Ended::Closed),
            new = receiver.recv() => Ok(new?),
        }
    }

    async fn send(&self, message: &(impl Serialize + Sync)) -> Result<(), Ended> {
        let wait = self.api.limits.subscriber_time;
        self.sink
            .send_timeout(to_raw_value(message)?, wait)
            .await
            .map_err(|error| match error {
                SendTimeoutError::Timeout(_) => Ended::Stuck {
                    seconds: wait.as_secs(),
                },
                SendTimeoutError::Closed(_) => Ended::Closed,
            })
    }
}
