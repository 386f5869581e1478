//! `causeway dev`: a development chain.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use alloy_primitives::hex;
use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use types::ChainId;

use crate::development::{Development, MAX_CITIES, MNEMONIC, Plan};
use crate::terminal;

/// A development chain: final in one block, durable when a receipt is shown, gas free, ten funded accounts.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// Address to listen on; others than loopback serve no unlocked accounts to strangers.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    host: IpAddr,
    /// Port for HTTP and WebSocket, further cities at the ports after it; 0 takes free ones.
    #[arg(long, default_value_t = 8545)]
    port: u16,
    /// How many cities keep the chain, each with its own key and data, connected over loopback; 4 or more go on when one
    /// fails [default: 1].
    #[arg(long, value_name = "N", value_parser = parse_cities)]
    cities: Option<usize>,
    /// Where to keep the chain; without it everything is gone at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Chain id of a new chain [default: 31337].
    #[arg(long, value_name = "N", value_parser = parse_chain_id)]
    chain_id: Option<ChainId>,
    /// Least milliseconds between two blocks of a new chain; 0 makes a block as soon as there is a transaction.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    block_interval: u64,
    /// Run a network: the chain is its hub, each city is of a member of its own whose authority is one of the accounts, and
    /// the cities host the applications that are placed on them, at /chain/ID.
    #[arg(long, conflicts_with_all = ["chain_id", "block_interval"])]
    hub: bool,
    /// Hold applications to the gas and blocks a second that they were given, even while there is time and room to spare.
    #[arg(long, requires = "hub")]
    strict_capacity: bool,
    /// Print one line of JSON on standard output when ready, and nothing else.
    #[arg(long)]
    json: bool,
    /// Let pages of this origin ask, besides those of loopback; may be given more than once.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Serve requests for this `Host` name, besides loopback's; may be given more than once.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Serve Prometheus metrics at this address, under /metrics.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

fn parse_cities(text: &str) -> anyhow::Result<usize> {
    let count = text.parse()?;
    anyhow::ensure!(
        (1..=MAX_CITIES).contains(&count),
        "1 to {MAX_CITIES} cities"
    );
    Ok(count)
}

fn parse_chain_id(text: &str) -> anyhow::Result<ChainId> {
    Ok(ChainId::new(text.parse()?)?)
}

/// Runs until SIGTERM or Ctrl-C.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let plan = Plan {
        listen: SocketAddr::new(options.host, options.port),
        data: options.data,
        cities: options.cities,
        chain_id: options.chain_id,
        block_interval_ms: options.block_interval,
        cors: options.cors,
        hosts: options.allow_host,
        hub: options.hub,
        strict_capacity: options.strict_capacity,
        metrics: options.metrics,
    };
    // Before anything is promised, so that an early signal ends it in order as well.
    let mut end = Ended::listen()?;
    let development = Development::start(plan).await?;
    if options.json {
        terminal::result(&ready_line(&development)?)?;
    } else {
        terminal::result(&ready_table(&development)?)?;
    }
    end.wait().await;
    development.stop().await;
    Ok(())
}

/// Signals that end the program.
#[derive(Debug)]
pub(crate) struct Ended {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Ended {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn private_key(account: &PrivateKeySigner) -> String {
    hex::encode_prefixed(account.to_bytes())
}

fn ready_line(development: &Development) -> anyhow::Result<String> {
    let accounts: Vec<_> = development
        .accounts
        .iter()
        .map(|account| json!({ "address": account.address().to_checksum(None), "private_key": private_key(account) }))
        .collect();
    let cities: Vec<_> = development
        .cities
        .iter()
        .map(|city| json!({ "address": city.host.key().address(), "rpc": city.rpc_url(), "ws": city.ws_url() }))
        .collect();
    let first = &development.cities[0];
    let mut line = json!({
        "event": "ready",
        "rpc": first.rpc_url(),
        "ws": first.ws_url(),
        "chain_id": development.genesis().record.chain_id.get(),
        "accounts": accounts,
    });
    if cities.len() > 1 {
        line["cities"] = json!(cities);
    }
    if development.genesis().registry.is_some() {
        line["network_id"] = json!(development.genesis().network_id.0);
    }
    if let Some(metrics) = first.metrics {
        line["metrics"] = json!(format!("http://{metrics}/metrics"));
    }
    Ok(serde_json::to_string(&line)?)
}

fn ready_table(development: &Development) -> anyhow::Result<String> {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["Causeway development chain", ""]);
    let first = &development.cities[0];
    let chain_id = development.genesis().record.chain_id;
    let height = first.host.chain().reader().moment()?.head().header.number;
    if let [city] = development.cities.as_slice() {
        table.add_row(["HTTP", &city.rpc_url()]);
        table.add_row(["WebSocket", &city.ws_url()]);
    } else {
        for (city, number) in development.cities.iter().zip(1..) {
            table.add_row([
                format!("City {number}"),
                format!(
                    "{}\n{}\n{}",
                    city.host.key().address(),
                    city.rpc_url(),
                    city.ws_url()
                ),
            ]);
        }
    }
    table.add_row(["Chain id", &chain_id.to_string()]);
    table.add_row(["Latest block", &height.to_string()]);
    table.add_row(["Gas", "free; whatever fee a wallet fills in is accepted"]);
    if development.cities.len() > 1 {
        let may_fail = (development.cities.len() - 1) / 3;
        let note = format!("{may_fail} of {} cities", development.cities.len());
        table.add_row(["May fail", &note]);
    }
    let kept = if development.is_temporary() {
        String::from("temporary: gone at the end; keep it with --data DIR")
    } else {
        development.data().display().to_string()
    };
    table.add_row(["Data", &kept]);
    if let Some(metrics) = first.metrics {
        table.add_row(["Metrics", &format!("http://{metrics}/metrics")]);
    }
    table.add_row(["Mnemonic", MNEMONIC]);
    for (account, index) in development.accounts.iter().zip(0..) {
        table.add_row([
            format!("Account {index}"),
            format!("{}\n{}", account.address(), private_key(account)),
        ]);
    }
    Ok(format!(
        "{table}\nTen accounts with 10,000 each; anybody knows their keys. Ctrl-C ends it."
    ))
}
