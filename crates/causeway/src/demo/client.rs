//! A JSON-RPC client over one HTTP connection.

use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Largest answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// How long a receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for a receipt.
const PAUSE: Duration = Duration::from_millis(2);

/// One connection to a node.
#[derive(Debug)]
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    // The connection's own task; it ends with the client.
    _connection: JoinSet<()>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot reach {address}"))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection closed");
            }
        });
        Ok(Self {
            sender,
            address,
            _connection: tasks,
        })
    }

    /// Calls a method and reads its result.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<T> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = Request::post("/")
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let bytes = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        let mut answer: Value = serde_json::from_slice(&bytes).context("the answer is not JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        serde_json::from_value(answer["result"].take())
            .with_context(|| format!("{method} gave another answer"))
    }

    /// Waits until a transaction is final.
    pub(super) async fn receipt(&mut self, hash: B256) -> anyhow::Result<Value> {
        let wait = async {
            loop {
                let receipt: Value = self.ask("eth_getTransactionReceipt", json!([hash])).await?;
                if !receipt.is_null() {
                    return Ok(receipt);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("no receipt of {hash}"))?
    }
}
