//! A blocking JSON-RPC client over one kept-alive HTTP/1.1 connection.
//!
//! Tests that kill what they talk to want a client that fails at once and retries nothing. It speaks
//! plain HTTP to loopback and no more.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// Longer answers are refused: a log query of the public cases has 21 MB.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Headers of an answer beyond this are refused.
const MAX_HEADERS: usize = 64;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not `http://HOST:PORT`.
    #[error("{url}: expected http://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
    },
    /// The connection broke or timed out; the call may or may not have been carried out.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    /// The other side does not speak HTTP as this client does.
    #[error("not an HTTP answer that is understood here: {what}")]
    Malformed {
        /// What was wrong.
        what: String,
    },
    /// The answer is not JSON.
    #[error("the answer is not JSON")]
    Json(#[from] serde_json::Error),
    /// The server refused the call.
    #[error("{method}: {error}")]
    Refused {
        /// The method.
        method: String,
        /// The JSON-RPC error object.
        error: Value,
    },
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
    next_id: u64,
}

impl Client {
    /// Connects to `http://HOST:PORT`; every read and write is bounded by `patience`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Url`], [`ClientError::Broken`].
    pub fn connect(url: &str, patience: Duration) -> Result<Self, ClientError> {
        let host = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|host| host.contains(':') && !host.contains('/'))
            .ok_or_else(|| ClientError::Url {
                url: url.to_owned(),
            })?;
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: host.to_owned(),
            next_id: 1,
        })
    }

    /// Calls one method and returns its result.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; only after [`ClientError::Refused`] is it known that nothing was done.
    ///
    /// # Panics
    ///
    /// Never: one call has one answer.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, ClientError> {
        let mut answers = self.batch(&[(method, params.clone())])?;
        answers.pop().expect("one answer to one call")
    }

    /// Calls several methods in one request; the results stand in the order of the calls.
    ///
    /// # Errors
    ///
    /// [`ClientError`], of the whole request.
    pub fn batch(
        &mut self,
        calls: &[(&str, Value)],
    ) -> Result<Vec<Result<Value, ClientError>>, ClientError> {
        let first = self.next_id;
        self.next_id += calls.len() as u64;
        let requests: Vec<_> = (first..)
            .zip(calls)
            .map(|(id, (method, params))| {
                json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            })
            .collect();
        let body = match requests.as_slice() {
            [one] => one.to_string(),
            all => Value::from(all).to_string(),
        };
        let answer: Value = serde_json::from_slice(&self.post(body.as_bytes())?)?;
        let mut answers = match answer {
            Value::Array(answers) => answers,
            one => vec![one],
        };
        (first..)
            .zip(calls)
            .map(|(id, (method, _))| {
                let at = answers.iter().position(|answer| answer["id"] == id);
                let mut answer = answers.swap_remove(at.ok_or_else(|| ClientError::Malformed {
                    what: format!("no answer to {method}, number {id}"),
                })?);
                Ok(match answer.get_mut("result") {
                    Some(result) => Ok(result.take()),
                    None => Err(ClientError::Refused {
                        method: (*method).to_owned(),
                        error: answer["error"].take(),
                    }),
                })
            })
            .collect()
    }

    /// Posts a body as it is and returns the body of the answer, whatever its HTTP status.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`], [`ClientError::Malformed`].
    pub fn post(&mut self, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        self.read_answer()
    }

    fn read_answer(&mut self) -> Result<Vec<u8>, ClientError> {
        let status = self.line()?;
        if !status.starts_with("HTTP/1.1 ") {
            return Err(malformed(&format!("status line {status:?}")));
        }
        let mut length = None;
        let mut chunked = false;
        for _ in 0..MAX_HEADERS {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                return match (chunked, length) {
                    (true, _) => self.chunks(),
                    (false, Some(length)) => self.exactly(length),
                    (false, None) => Err(malformed("no content-length")),
                };
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        Err(malformed("too many headers"))
    }

    fn chunks(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| malformed(&format!("chunk size {line:?}")))?;
            if size + body.len() as u64 > MAX_ANSWER_BYTES {
                return Err(malformed("answer too long"));
            }
            body.extend(self.exactly(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn exactly(&mut self, length: u64) -> Result<Vec<u8>, ClientError> {
        if length > MAX_ANSWER_BYTES {
            return Err(malformed("answer too long"));
        }
        let mut body = Vec::new();
        self.stream.by_ref().take(length).read_to_end(&mut body)?;
        if body.len() as u64 == length {
            Ok(body)
        } else {
            Err(ended().into())
        }
    }

    /// One line of a head, without its end.
    fn line(&mut self) -> Result<String, ClientError> {
        let mut line = String::new();
        self.stream.by_ref().take(1 << 14).read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(ended().into()),
        }
    }
}

fn ended() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

fn malformed(what: &str) -> ClientError {
    ClientError::Malformed {
        what: what.to_owned(),
    }
}
