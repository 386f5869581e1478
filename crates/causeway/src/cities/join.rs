//! `causeway city join`: makes a city's data folder for a network that is there.
//!
//! ```text
//!  genesis.json ──▶ city join ──▶ card.json ──▶ any member: governance propose admit ──▶ votes ──▶ city run
//!                                         ├──▶ its own member, if that is one: city register ──▶ city run
//!                                         └──▶ in place of a city of that member's: city run, city rotate
//! ```
//!
//! The card names the network, so that it brings the city into no other; keys are made here and stay here.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::CARD_FILE;
use super::init::{self, CityOptions};
use crate::network;
use crate::terminal;

/// Which network, and what the new city is to be.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The network's genesis.json, from any of its members.
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    #[command(flatten)]
    city: CityOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let network = network::read_genesis(&options.network)?;
    let made = init::make(options.city, network.network_id().0).await?;
    if options.json {
        let mut line = made.to_json();
        line["network_id"] = json!(network.network_id().0);
        line["chain_id"] = json!(network.chain_id().get());
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = made.rows();
    rows.extend(network.rows());
    terminal::facts("City", &rows)?;
    made.tell();
    let (data, genesis) = (made.data.display(), options.network.display());
    let card = made.data.join(CARD_FILE);
    let card = card.display();
    for line in [
        format!("Compare the network's id with a member's, over another way than {genesis} came."),
        String::from("Then, for a new member: any member proposes the city, and the members vote:"),
        format!("  causeway governance propose admit --card {card} --reason TEXT --key FILE"),
        String::from("Or, for a further city of a member, with that member's key and no vote:"),
        format!("  causeway city register --card {card} --key FILE"),
        String::from("Or, for a new key of a city of that member's, by its number:"),
        format!("  causeway city rotate ID --card {card} --key FILE"),
        String::from("And run it:"),
        format!("  causeway city run --data {data} --genesis {genesis}"),
    ] {
        terminal::say(&line);
    }
    Ok(())
}
