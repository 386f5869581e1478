//! `causeway city check`: whether a city's folder is whole, and whether it belongs to a network.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::load_city;
use super::password::PasswordOptions;
use crate::network::{self, Network};
use crate::terminal;

/// Which folder, and which network.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The city's data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The network's genesis.json.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let city = load_city(&options.data, &options.password).await?;
    let network = match &options.genesis {
        Some(path) => {
            let network = network::read_genesis(path)?;
            network.check_member(path, &city.card)?;
            Some(network)
        }
        None => None,
    };
    if options.json {
        let mut line = json!({
            "ok": true,
            "address": city.card.address,
            "listen": city.config.listen.to_string(),
        });
        if let Some(network) = &network {
            line["network_id"] = json!(network.network_id().0);
            line["chain_id"] = json!(network.chain_id().get());
        }
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = vec![
        ("Member", city.card.member.to_string()),
        ("Authority", city.card.authority.to_string()),
        ("Address", city.card.address.to_string()),
        ("Endpoint", city.card.endpoint.to_string()),
        ("Listens at", city.config.listen.to_string()),
    ];
    rows.extend(network.as_ref().into_iter().flat_map(Network::rows));
    terminal::facts("City", &rows)?;
    terminal::say("Keys, card and configuration fit together.");
    Ok(())
}
