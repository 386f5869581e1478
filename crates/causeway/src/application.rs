//! `causeway app`: applications, chains that are placed on cities.

mod create;
mod places;

use clap::{Args, Subcommand};
use hub::abi::Application;
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::hub_client::words::{application_status, grouped};
use crate::hub_client::{Hub, HubOptions};
use crate::terminal;

/// Most applications that a list shows.
const MOST_LISTED: u64 = 1_000;

/// Applications: chains that are placed on cities.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Places an application on cities, in one transaction, and waits until each of them serves it.
    Create(create::Options),
    /// Lists applications, the newest first.
    List(ListOptions),
    /// Shows an application: where it is placed, its rules, what it takes.
    Show(ShowOptions),
}

/// How many applications.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ListOptions {
    /// Only so many, at most 1,000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    most: u64,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which application.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ShowOptions {
    /// The application's number or name.
    #[arg(value_name = "N|NAME")]
    which: String,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::Create(options) => create::run(options).await,
        Command::List(options) => list(options).await,
        Command::Show(options) => show(options).await,
    }
}

async fn list(options: ListOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let count = hub.application_count().await?;
    let mut applications = Vec::new();
    let least = count.saturating_sub(options.most.min(MOST_LISTED));
    for n in (least + 1..=count).rev() {
        applications.push(hub.application(n).await?);
    }
    if options.json {
        let applications: Vec<Value> = applications.iter().map(to_json).collect();
        let line = json!({ "count": count, "applications": applications });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let rows: Vec<Vec<String>> = applications
        .iter()
        .map(|application| {
            vec![
                application.n.to_string(),
                application.name.clone(),
                application.chainId.to_string(),
                application_status(application.status),
                application.cities.len().to_string(),
                application.owner.to_string(),
            ]
        })
        .collect();
    let names = ["App", "Name", "Chain id", "Status", "Cities", "Owner"];
    terminal::list(&names, &rows)
}

async fn show(options: ShowOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let n = match options.which.parse::<u64>() {
        Ok(n) => n,
        // A name has a letter.
        Err(_name) => hub
            .application_named(&options.which)
            .await?
            .ok_or_else(|| Usage(format!("there is no application {:?}", options.which)))?,
    };
    let application = hub.application(n).await?;
    let all = hub.cities().await?;
    let placed: Vec<&hub::abi::City> = application
        .cities
        .iter()
        .filter_map(|id| all.iter().find(|city| city.id == *id))
        .collect();
    let urls: Vec<String> = placed
        .iter()
        .filter(|city| !city.rpc.is_empty())
        .map(|city| rpc_of(&city.rpc, application.chainId))
        .collect();
    if options.json {
        let mut line = to_json(&application);
        line["rpc"] = json!(urls);
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let taken = &application.taken;
    let mut rows = vec![
        ("Name", application.name.clone()),
        ("Chain id", application.chainId.to_string()),
        ("Status", application_status(application.status)),
        ("Owner", application.owner.to_string()),
        ("Hub's block", application.createdBlock.to_string()),
        ("Gas a second", grouped(taken.gasPerSecond.into())),
        ("Bytes", grouped(taken.bytesStored.into())),
        ("Blocks a second", grouped(taken.blocksPerSecond.into())),
    ];
    rows.extend(placed.iter().map(|city| {
        let words = format!("{}, {}, member {}", city.id, city.place, city.member);
        ("City", words)
    }));
    rows.extend(urls.into_iter().map(|url| ("JSON-RPC", url)));
    terminal::facts(&format!("Application {n}"), &rows)
}

/// Where a city whose RPC is at `rpc` answers for a chain.
fn rpc_of(rpc: &str, chain_id: u64) -> String {
    format!("{}/chain/{chain_id}", rpc.trim_end_matches('/'))
}

fn to_json(application: &Application) -> Value {
    let taken = &application.taken;
    let member = (application.member > 0).then_some(application.member);
    json!({
        "n": application.n,
        "chain_id": application.chainId,
        "name": application.name,
        "owner": application.owner,
        "member": member,
        "status": application_status(application.status),
        "created_block": application.createdBlock,
        "cities": application.cities,
        "validators": application.validators,
        "powers": application.powers,
        "record": application.record,
        "set_hash": application.setHash,
        "record_hash": application.recordHash,
        "taken": {
            "gas_per_second": taken.gasPerSecond,
            "bytes": taken.bytesStored,
            "blocks_per_second": taken.blocksPerSecond,
        },
    })
}
