//! `causeway admin`: asks a running city through its socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::terminal;

/// How long an answer may take: a check of all blocks takes a while.
const PATIENCE: Duration = Duration::from_secs(600);
/// Largest answer, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// One question to a running city.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The data folder of the running city.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// `admin_nodeInfo` or `admin_verify`.
    method: String,
    /// Parameters as a JSON array.
    #[arg(default_value = "[]")]
    params: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let params: Value =
        serde_json::from_str(&options.params).context("the parameters are not JSON")?;
    let path = options.data.join("admin.sock");
    let mut stream = UnixStream::connect(&path)
        .with_context(|| format!("no city answers at {}; is it running?", path.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": options.method, "params": params });
    writeln!(stream, "{request}")?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut answer)?;
    let answer: Value = serde_json::from_str(&answer).context("the answer is not JSON")?;
    if let Some(error) = answer.get("error") {
        bail!(
            "{}",
            error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("the city refused")
        );
    }
    terminal::result(&serde_json::to_string_pretty(&answer["result"])?)
}
