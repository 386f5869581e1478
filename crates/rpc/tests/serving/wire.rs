//! HTTP/1.1 and WebSocket as bytes on a socket: what no library tidies up before it is sent.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// How long a test waits for anything.
const WAIT: Duration = Duration::from_secs(20);

/// Opens a connection for every request.
pub(crate) struct Http(SocketAddr);

pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Http {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        std::future::ready(Self(address)).await
    }

    pub(crate) async fn post(&self, value: &Value) -> Response {
        self.post_text(&value.to_string()).await
    }

    pub(crate) async fn post_text(&self, text: &str) -> Response {
        Self(self.0).send("POST", "localhost", None, text).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        host: &str,
        origin: Option<&str>,
        body: &str,
    ) -> Response {
        let mut stream = BufStream::new(TcpStream::connect(self.0).await.unwrap());
        let mut head =
            format!("{method} / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
        if let Some(origin) = origin {
            head.push_str(&format!(
                "origin: {origin}\r\naccess-control-request-method: POST\r\n"
            ));
        }
        head.push_str(&format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        ));
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses a body by its announced length need not read it.
        let _refused = stream.write_all(body.as_bytes()).await;
        let _refused = stream.flush().await;
        tokio::time::timeout(WAIT, read_response(&mut stream))
            .await
            .expect("an answer in time")
    }
}

async fn read_head(stream: &mut BufStream<TcpStream>) -> (u16, Vec<(String, String)>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    (
        status,
        headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    )
}

async fn read_response(stream: &mut BufStream<TcpStream>) -> Response {
    let (status, headers) = read_head(stream).await;
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    Response {
        status,
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}

pub(crate) struct WebSocket {
    stream: BufStream<TcpStream>,
    next_id: u64,
    /// Messages of subscriptions that came while something else was awaited.
    waiting: Vec<Value>,
}

impl WebSocket {
    /// Opens one; the status when it is refused.
    pub(crate) async fn open(address: SocketAddr, origin: Option<&str>) -> Result<Self, u16> {
        let mut stream = BufStream::new(TcpStream::connect(address).await.unwrap());
        let mut head = String::from(
            "GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
        );
        head.push_str(
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        if let Some(origin) = origin {
            head.push_str(&format!("origin: {origin}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let (status, _headers) = read_head(&mut stream).await;
        if status == 101 {
            Ok(Self {
                stream,
                next_id: 0,
                waiting: Vec::new(),
            })
        } else {
            Err(status)
        }
    }

    pub(crate) async fn raw(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let ask =
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        self.stream.write_all(&frame(&ask)).await.unwrap();
        self.stream.flush().await.unwrap();
        loop {
            let message = self.read().await.expect("an answer");
            if message["id"] == id {
                return message;
            }
            self.waiting.push(message);
        }
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.raw(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The next message of a subscription.
    pub(crate) async fn message(&mut self, subscription: &Value) -> Value {
        let is_its = |message: &Value| message["params"]["subscription"] == *subscription;
        if let Some(place) = self.waiting.iter().position(is_its) {
            return self.waiting.remove(place)["params"]["result"].clone();
        }
        loop {
            let message = self.read().await.expect("a message");
            if is_its(&message) {
                return message["params"]["result"].clone();
            }
            self.waiting.push(message);
        }
    }

    /// Whether the server closes the connection.
    pub(crate) async fn closed(&mut self) -> bool {
        loop {
            if self.read().await.is_none() {
                return true;
            }
        }
    }

    /// Sends `text` again and again, `most` times, without reading; how often it went out before the server took no more
    /// for a second.
    pub(crate) async fn send_until_stuck(&mut self, text: &str, most: usize) -> usize {
        let frame = frame(text);
        for sent in 0..most {
            let send = async {
                self.stream.write_all(&frame).await?;
                self.stream.flush().await
            };
            if !matches!(
                tokio::time::timeout(Duration::from_secs(1), send).await,
                Ok(Ok(()))
            ) {
                return sent;
            }
        }
        most
    }

    /// The next message; `None` at the end.
    async fn read(&mut self) -> Option<Value> {
        tokio::time::timeout(WAIT, self.read_message())
            .await
            .expect("a message in time")
    }

    async fn read_message(&mut self) -> Option<Value> {
        loop {
            let opcode = self.stream.read_u8().await.ok()? & 0x0f;
            let length = match self.stream.read_u8().await.ok()? {
                126 => u64::from(self.stream.read_u16().await.ok()?),
                127 => self.stream.read_u64().await.ok()?,
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).await.ok()?;
            match opcode {
                1 => return Some(serde_json::from_slice(&payload).unwrap()),
                8 => return None,
                // Pings need no answer for as long as a test takes.
                _ => {}
            }
        }
    }
}

/// A text frame masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    let length = text.len();
    if length < 126 {
        frame.push(0x80 | u8::try_from(length).unwrap());
    } else if let Ok(length) = u16::try_from(length) {
        frame.push(0x80 | 126);
        frame.extend(length.to_be_bytes());
    } else {
        frame.push(0x80 | 127);
        frame.extend((length as u64).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
