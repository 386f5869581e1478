//! A JSON-RPC client over one kept-alive HTTP/1.1 connection to loopback, cheap enough to share two cores with what it
//! measures. It retries nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// An answer that takes longer is a failure of what is measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    #[error("not an HTTP answer that is understood here: {line}")]
    Malformed { line: String },
    #[error("the answer is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("{method} was refused: {error}")]
    Refused { method: &'static str, error: Value },
}

#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    path: String,
    request: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, ClientError> {
        Self::at(address, "/")
    }

    /// A client of what answers at `path`.
    pub(crate) fn at(address: SocketAddr, path: &str) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(1 << 16, stream),
            address,
            path: path.to_owned(),
            request: Vec::new(),
        })
    }

    /// One call.
    pub(crate) fn call(
        &mut self,
        method: &'static str,
        params: &Value,
    ) -> Result<Value, ClientError> {
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut answer: Value = serde_json::from_slice(&self.post(body.as_bytes())?)?;
        match answer.get_mut("error") {
            Some(error) => Err(ClientError::Refused {
                method,
                error: error.take(),
            }),
            None => Ok(answer["result"].take()),
        }
    }

    /// Posts a body and gives the answer's.
    pub(crate) fn post(&mut self, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        self.request.clear();
        write!(
            self.request,
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.path,
            self.address,
            body.len()
        )?;
        self.request.extend_from_slice(body);
        self.stream.get_mut().write_all(&self.request)?;
        let status = self.line()?;
        if !status.starts_with("HTTP/1.1 200") {
            return Err(ClientError::Malformed { line: status });
        }
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value
                    .trim()
                    .parse()
                    .map_err(|_| ClientError::Malformed { line: line.clone() })?;
            }
            chunked |= line.starts_with("transfer-encoding:") && line.ends_with("chunked");
        }
        if chunked {
            self.chunks()
        } else {
            self.exactly(length)
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let Ok(length) = usize::from_str_radix(&line, 16) else {
                return Err(ClientError::Malformed { line });
            };
            body.extend(self.exactly(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn line(&mut self) -> Result<String, ClientError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}
