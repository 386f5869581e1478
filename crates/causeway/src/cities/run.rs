//! `causeway city run`: runs a city of a network until it is told to end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use link::{Peer, PeerId};
use node::{ChainHandle, Cities, Folder, Host, Options as HostOptions, Seat, SystemClock};
use rpc::Cors;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::config::{self, CityConfig};
use super::password::PasswordOptions;
use super::{CONFIG_FILE, LoadedCity, load_city};
use crate::city::{City, Serving};
use crate::dev::Ended;
use crate::network::{self, Network};
use crate::terminal;

/// Which city, and of which network.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The city's data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The network's genesis.json.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    #[command(flatten)]
    password: PasswordOptions,
    /// Print one line of JSON on standard output when ready, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Runs until SIGTERM or Ctrl-C.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    // Before anything is promised, so that an early signal ends it in order as well.
    let mut end = Ended::listen()?;
    anyhow::ensure!(
        options.data.join(CONFIG_FILE).exists(),
        "{} is no city's folder: make one with `causeway city init`",
        options.data.display()
    );
    // The lock first: nothing of a folder in use is looked at.
    let folder = Folder::open(&options.data)?;
    let LoadedCity {
        key,
        identity,
        card,
        config,
    } = load_city(&options.data, &options.password).await?;
    if config.log.is_some() {
        crate::telemetry::change(config.log.as_ref());
    }
    let network = network::read_genesis(&options.genesis)?;
    network.check_member(&options.genesis, &card)?;

    let cities = Cities {
        identity,
        listen: config.listen,
        peers: peers(&network, &config),
        endpoints: endpoints(&config),
        network: Some(network.network_id()),
    };
    let seat = Seat {
        folder,
        key: Arc::new(key),
    };
    let host_options = host_options(&config);
    let genesis = network.genesis();
    // Blocks while the log is read: nothing else runs yet.
    let host = tokio::task::block_in_place(|| {
        Host::launch(seat, &host_options, None, Some(cities), |_key| {
            Some(genesis.clone())
        })
    })?;
    let serving = Serving {
        listen: config.rpc.as_ref().map(|rpc| rpc.listen),
        cors: Cors {
            loopback: false,
            origins: config
                .rpc
                .as_ref()
                .map(|rpc| rpc.cors.clone())
                .unwrap_or_default(),
        },
        hosts: config
            .rpc
            .as_ref()
            .map(|rpc| rpc.hosts.clone())
            .unwrap_or_default(),
        accounts: Vec::new(),
        send_wait: Duration::ZERO,
        name: network.founding().name.clone(),
        metrics: config.metrics,
    };
    let city = City::serve(host, serving).await?;
    tell(&city, &network, options.json)?;
    let mut tasks = JoinSet::new();
    reload_on_hangup(&mut tasks, options.data.join(CONFIG_FILE), config)?;
    if terminal::is_watched() {
        tasks.spawn(show_catching_up(city.host.chain().clone()));
    }
    end.wait().await;
    tasks.abort_all();
    city.stop().await;
    Ok(())
}

/// Where cities are whose cards say otherwise.
fn endpoints(config: &CityConfig) -> BTreeMap<Address, String> {
    let known = config.endpoints.iter();
    known
        .map(|(address, endpoint)| (*address, endpoint.to_string()))
        .collect()
}

/// All cities of the network, where they are now.
fn peers(network: &Network, config: &CityConfig) -> Vec<Peer> {
    let of_card = |card: &super::card::Card| Peer {
        id: PeerId(card.address.into_array()),
        fingerprint: card.tls_fingerprint.0,
        endpoint: config
            .endpoints
            .get(&card.address)
            .unwrap_or(&card.endpoint)
            .to_string(),
    };
    network.cards().iter().map(of_card).collect()
}

fn tell(city: &City, network: &Network, as_json: bool) -> anyhow::Result<()> {
    let height = city.host.chain().reader().moment()?.head().header.number;
    if as_json {
        let mut line = json!({
            "event": "ready",
            "address": city.host.key().address(),
            "chain_id": network.chain_id().get(),
            "network_id": network.network_id().0,
            "height": height,
        });
        if city.server.is_some() {
            line["rpc"] = json!(city.rpc_url());
            line["ws"] = json!(city.ws_url());
        }
        if let Some(metrics) = city.metrics {
            line["metrics"] = json!(format!("http://{metrics}/metrics"));
        }
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = vec![("Address", city.host.key().address().to_string())];
    if city.server.is_some() {
        rows.push(("HTTP", city.rpc_url()));
        rows.push(("WebSocket", city.ws_url()));
    }
    if let Some(metrics) = city.metrics {
        rows.push(("Metrics", format!("http://{metrics}/metrics")));
    }
    rows.push(("Latest block", height.to_string()));
    rows.extend(network.rows());
    terminal::facts("City", &rows)
}

fn host_options(config: &CityConfig) -> HostOptions {
    HostOptions {
        strict_capacity: config.strict_capacity,
        ..HostOptions::city(Arc::new(SystemClock))
    }
}

/// Reads the configuration again on every SIGHUP, and says what holds now and what needs a restart.
fn reload_on_hangup(
    tasks: &mut JoinSet<()>,
    path: PathBuf,
    mut running: CityConfig,
) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    tasks.spawn(async move {
        while hangup.recv().await.is_some() {
            match config::reload(&path, &mut running) {
                Ok(changes) => terminal::say(&format!("configuration read again: {changes}")),
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "configuration refused; the city goes on with the one before"
                ),
            }
        }
    });
    Ok(())
}

/// A bar while the city takes in blocks that the others have. It moves with each block, and is asked for nothing else.
async fn show_catching_up(chain: ChainHandle) {
    let mut heads = chain.heads();
    let mut bar: Option<ProgressBar> = None;
    loop {
        let number = match heads.recv().await {
            Ok(new) => new.block.header.number,
            // Some were missed: the next one says where the chain is.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        match (chain.status().behind, &bar) {
            (Some(of), Some(bar)) => {
                bar.set_length(of);
                bar.set_position(number);
            }
            (Some(of), None) if of > number + 1 => {
                let fresh = ProgressBar::new(of);
                if let Ok(style) = ProgressStyle::with_template(
                    "catching up {bar:40.cyan} block {pos} of {len}, {per_sec}, {eta} left",
                ) {
                    fresh.set_style(style);
                }
                bar = Some(fresh);
            }
            (Some(_), None) | (None, None) => {}
            (None, Some(shown)) => {
                shown.finish_and_clear();
                bar = None;
            }
        }
    }
}
