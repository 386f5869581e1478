//! `causeway verify`: checks a stopped city's data.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use node::{Host, Options as HostOptions, SystemClock};
use serde_json::json;

use crate::terminal;

/// Starts the chain of a data folder without serving it, and checks every block and the state.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    if !options.data.join("format").exists() {
        bail!("{} is not a data folder", options.data.display());
    }
    let host_options = HostOptions::development(Arc::new(SystemClock));
    let host = tokio::task::block_in_place(|| Host::open(&options.data, &host_options))?;
    let reader = host.chain().reader().clone();
    let validators = host.genesis().validators.clone();
    let verified = tokio::task::spawn_blocking(move || node::verify::verify(&reader, &validators))
        .await
        .context("the check did not end")?;
    host.stop().await;
    let verified = verified?;
    if options.json {
        let line = json!({
            "ok": true,
            "height": verified.height,
            "hash": verified.hash,
            "state_root": verified.state_root,
        });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    terminal::result(&format!(
        "blocks 0 to {} hold together: links, certificates, transactions, receipts\nlatest block {}\nstate root {} \
         computed anew from every account and slot",
        verified.height, verified.hash, verified.state_root
    ))
}
