//! JSON-RPC over plain HTTP: one question on a connection of its own, with a bounded answer in a bounded time.

use std::error::Error;
use std::time::Duration;

use alloy_primitives::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cities::names::RpcUrl;

/// Largest answer, in bytes: a page of 100 cities has less than 1 MiB.
const MAX_ANSWER: usize = 16 << 20;
/// How long an answer may take; `eth_sendRawTransactionSync` waits for a block in it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// JSON-RPC's port where a URL names none.
const HTTP_PORT: &str = ":80";

/// Where JSON-RPC is asked.
#[derive(Clone, Debug)]
pub(crate) struct JsonRpc {
    url: String,
    /// `HOST` or `HOST:PORT`, as the URL has it.
    authority: String,
    path: String,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// This program speaks plain HTTP only.
    #[error(
        "{url}: this program asks over http:// only; ask a city on this machine, or through a tunnel"
    )]
    Https {
        /// Where.
        url: String,
    },
    /// Nobody is there, or the connection broke.
    #[error("cannot reach {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer came.
    #[error("{url} does not answer in time")]
    TooSlow {
        /// Where.
        url: String,
    },
    /// Something else is there.
    #[error("{url} answers with HTTP status {status}")]
    Status {
        /// Where.
        url: String,
        /// What it said.
        status: StatusCode,
    },
    /// Something else is there.
    #[error("{url} does not answer as JSON-RPC does")]
    Form {
        /// Where.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// It answered with an error.
    #[error("{method}: {message} (error {code})")]
    Answer {
        /// What was asked.
        method: &'static str,
        /// JSON-RPC's code.
        code: i64,
        /// In the node's words.
        message: String,
        /// What a contract gave back, for one.
        data: Option<Bytes>,
    },
}

impl AskError {
    /// Whether it was the way there that failed, and not what was asked.
    pub(crate) const fn is_unreachable(&self) -> bool {
        !matches!(self, Self::Answer { .. })
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    code: i64,
    message: String,
    data: Option<Value>,
}

impl JsonRpc {
    /// Asks at this URL.
    ///
    /// # Errors
    ///
    /// [`AskError::Https`].
    pub(crate) fn new(url: &RpcUrl) -> Result<Self, AskError> {
        let text = url.as_str();
        let url = text.trim_end_matches('/').to_owned();
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(AskError::Https { url });
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            authority: authority.to_owned(),
            path: format!("/{path}"),
            url,
        })
    }

    /// The same node's `/chain/<chain id>`.
    pub(crate) fn chain(&self, chain_id: u64) -> Self {
        Self {
            url: format!("{}/chain/{chain_id}", self.url),
            authority: self.authority.clone(),
            path: format!("{}/chain/{chain_id}", self.path.trim_end_matches('/')),
        }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks, and reads the result.
    ///
    /// # Errors
    ///
    /// [`AskError`].
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, AskError> {
        let url = || self.url.clone();
        let asked = tokio::time::timeout(PATIENCE, self.exchange(method, &params)).await;
        let bytes = asked.map_err(|_elapsed| AskError::TooSlow { url: url() })??;
        let form = |source| AskError::Form { url: url(), source };
        let answer: Answer = serde_json::from_slice(&bytes).map_err(form)?;
        if let Some(failure) = answer.error {
            let data = failure.data.as_ref().and_then(Value::as_str);
            return Err(AskError::Answer {
                method,
                code: failure.code,
                message: failure.message,
                data: data.and_then(|data| data.parse().ok()),
            });
        }
        serde_json::from_value(answer.result).map_err(form)
    }

    async fn exchange(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<hyper::body::Bytes, AskError> {
        let unreachable = |source| AskError::Unreachable {
            url: self.url.clone(),
            source,
        };
        let has_port = self
            .authority
            .rsplit_once(':')
            .is_some_and(|(_host, port)| !port.ends_with(']'));
        let port = if has_port { "" } else { HTTP_PORT };
        let connect = TcpStream::connect(format!("{}{port}", self.authority));
        let stream = tokio::time::timeout(CONNECT, connect)
            .await
            .map_err(|_elapsed| AskError::TooSlow {
                url: self.url.clone(),
            })?
            .map_err(|error| unreachable(error.into()))?;
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.into()))?;
        // The connection's own task; it ends with this question.
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection closed");
            }
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = Request::post(self.path.as_str())
            .header(header::HOST, self.authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(hyper::body::Bytes::from(body.to_string())))
            .map_err(|error| unreachable(error.into()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(error.into()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(AskError::Status {
                url: self.url.clone(),
                status,
            });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
        Ok(body.await.map_err(unreachable)?.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{AskError, JsonRpc};

    #[test]
    fn a_chain_has_its_path_below_the_nodes() {
        for (url, wanted) in [
            ("http://a.example:1", "http://a.example:1/chain/7"),
            ("http://a.example/", "http://a.example/chain/7"),
            ("http://[::1]:1/x/", "http://[::1]:1/x/chain/7"),
        ] {
            let rpc = JsonRpc::new(&url.parse().expect("a URL")).expect("plain");
            let chain = rpc.chain(7);
            assert_eq!(chain.url(), wanted);
            assert_eq!(format!("http://{}{}", chain.authority, chain.path), wanted);
        }
        let https = JsonRpc::new(&"https://a.example".parse().expect("a URL"));
        assert!(matches!(https, Err(AskError::Https { .. })));
    }
}
