//! Around every call: bounds, counts, and batches of transactions taken as one.
//!
//! ```text
//!  call ──▶ place among all calls ──▶ method ──▶ counted ──▶ queue of its connection
//!  batch ─▶ every eth_sendRawTransaction in it: one recovery on all cores, one submission
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, Request, RpcServiceT};
use jsonrpsee::server::{BatchResponseBuilder, MethodResponse, ResponsePayload};
use jsonrpsee::types::{ErrorObjectOwned, Id, Params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower::Layer;

use crate::api::Api;
use crate::connection::Traffic;
use crate::error::Failure;
use crate::methods::{self, SEND_RAW};
use crate::metrics::Metrics;
use crate::transactions::submit::send_all;

/// What all calls of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) api: Arc<Api>,
    pub(crate) metrics: Metrics,
    /// Names of methods, so that a metric's label is never a client's text.
    pub(crate) names: Arc<HashSet<&'static str>>,
    /// One permit for each call that is answered or waits.
    pub(crate) calls: Arc<Semaphore>,
}

/// Wraps a connection's calls.
#[derive(Clone, Debug)]
pub(crate) struct CallLayer(pub(crate) Shared);

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls {
            inner,
            shared: self.0.clone(),
        }
    }
}

/// A connection's calls.
#[derive(Clone, Debug)]
pub(crate) struct Calls<S> {
    inner: S,
    shared: Shared,
}

impl Shared {
    fn name(&self, asked: &str) -> &'static str {
        self.names.get(asked).copied().unwrap_or("unknown")
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let most = self.api.limits.calls;
        Arc::clone(&self.calls)
            .try_acquire_owned()
            .map_err(|_full| Failure::Busy { most })
    }

    fn max_answer(&self) -> usize {
        self.api.limits.response_bytes as usize
    }

    fn record(&self, method: &'static str, answer: &MethodResponse, started: Instant) {
        self.metrics.record(
            method,
            answer.as_error_code().unwrap_or(0),
            started.elapsed().as_secs_f64(),
        );
    }

    /// Sends all transactions of a batch; answers by place in the batch.
    async fn send_together(
        &self,
        batch: &[(usize, Result<Bytes, Failure>)],
    ) -> HashMap<usize, Result<B256, Failure>> {
        let mut places = Vec::with_capacity(batch.len());
        let mut raw = Vec::with_capacity(batch.len());
        for (place, bytes) in batch {
            if let Ok(bytes) = bytes {
                places.push(*place);
                raw.push(bytes.clone());
            }
        }
        let answers = match self.place() {
            Ok(_place) => send_all(&self.api, raw).await,
            Err(_busy) => raw
                .iter()
                .map(|_| {
                    Err(Failure::Busy {
                        most: self.api.limits.calls,
                    })
                })
                .collect(),
        };
        places.into_iter().zip(answers).collect()
    }
}

impl<S: RpcServiceT<MethodResponse = MethodResponse>> Calls<S> {
    /// One call in its place among all, counted.
    async fn answer(&self, request: Request<'_>) -> MethodResponse {
        let started = Instant::now();
        let method = self.shared.name(request.method_name());
        let answer = match self.shared.place() {
            Ok(_place) => self.inner.call(request).await,
            Err(busy) => MethodResponse::error(request.id, ErrorObjectOwned::from(busy)),
        };
        self.shared.record(method, &answer, started);
        answer
    }
}

impl<S> RpcServiceT for Calls<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let traffic = request.extensions().get::<Arc<Traffic>>().cloned();
            let _turn = traffic
                .as_ref()
                .map(|traffic| traffic.enter(params_bytes(&request)));
            let answer = this.answer(request).await;
            drained(traffic.as_deref(), &answer).await;
            answer
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let started = Instant::now();
            let entries: Vec<_> = batch.into_iter().collect();
            let calls = || entries.iter().flatten();
            let traffic =
                calls().find_map(|entry| entry.extensions().get::<Arc<Traffic>>().cloned());
            let bytes = calls()
                .filter_map(|entry| entry.params())
                .map(|params| params.get().len())
                .sum();
            let _turn = traffic.as_ref().map(|traffic| traffic.enter(bytes));
            let transactions: Vec<_> = entries
                .iter()
                .enumerate()
                .filter_map(|(place, entry)| match entry {
                    Ok(BatchEntry::Call(request)) if request.method_name() == SEND_RAW => {
                        let params =
                            Params::new(request.params.as_ref().map(|params| params.get()));
                        Some((place, methods::raw(&params)))
                    }
                    _ => None,
                })
                .collect();
            let mut sent = this.shared.send_together(&transactions).await;
            let mut transactions: HashMap<_, _> = transactions.into_iter().collect();
            let mut answers = BatchResponseBuilder::new_with_limit(this.shared.max_answer());
            let mut notified = false;
            for (place, entry) in entries.into_iter().enumerate() {
                let answer = match entry {
                    Ok(BatchEntry::Call(request)) => match transactions.remove(&place) {
                        None => this.answer(request).await,
                        Some(read) => {
                            let result = read.and_then(|_raw| {
                                sent.remove(&place).unwrap_or(Err(Failure::Stopping))
                            });
                            let answer = hash(request.id, result, this.shared.max_answer());
                            this.shared.record(SEND_RAW, &answer, started);
                            answer
                        }
                    },
                    Ok(BatchEntry::Notification(notification)) => {
                        notified = true;
                        this.notification(notification).await;
                        continue;
                    }
                    Err(error) => {
                        let (error, id) = error.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(too_big) = answers.append(answer) {
                    return too_big;
                }
            }
            if answers.is_empty() && notified {
                return MethodResponse::notification();
            }
            let answer = MethodResponse::from_batch(answers.finish());
            drained(traffic.as_deref(), &answer).await;
            answer
        }
    }

    fn notification<'a>(
        &self,
        n: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(n)
    }
}

fn params_bytes(request: &Request<'_>) -> usize {
    request
        .params
        .as_ref()
        .map_or(0, |params| params.get().len())
}

/// Waits until the connection has room for `answer`.
async fn drained(traffic: Option<&Traffic>, answer: &MethodResponse) {
    if let Some(traffic) = traffic {
        traffic.answer(answer.as_json().get().len()).await;
    }
}

fn hash(id: Id<'_>, result: Result<B256, Failure>, most: usize) -> MethodResponse {
    match result {
        Ok(hash) => MethodResponse::response(id, ResponsePayload::success(hash), most),
        Err(failure) => MethodResponse::error(id, ErrorObjectOwned::from(failure)),
    }
}
