//! `causeway app`: applications, chains that are placed on cities.

mod change;
pub(crate) mod create;
mod owned;
mod places;
mod plan;
mod safety;
mod show;

use clap::{Args, Subcommand};
use hub::abi::Application;
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::hub_client::words::application_status;
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
    /// Shows an application: where it is placed, its rules, what it takes, what may fail.
    Show(show::Options),
    /// Has other cities keep an application, and waits until its chain went over to them.
    Change(change::Options),
    /// Calls off a change of its cities, as long as joining ones take in the chain.
    Cancel(owned::Options),
    /// Stops an application until it is resumed.
    Suspend(owned::Options),
    /// Goes on with a suspended application.
    Resume(owned::Options),
    /// Ends an application for ever.
    Close(owned::Options),
    /// Gives an application to another owner.
    Owner(owned::OwnerOptions),
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

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::Create(options) => create::run(options).await,
        Command::List(options) => list(options).await,
        Command::Show(options) => show::run(options).await,
        Command::Change(options) => change::run(options).await,
        Command::Cancel(options) => owned::cancel(options).await,
        Command::Suspend(options) => owned::suspend(options).await,
        Command::Resume(options) => owned::resume(options).await,
        Command::Close(options) => owned::close(options).await,
        Command::Owner(options) => owned::give(options).await,
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

/// The number of the application that is called so.
///
/// # Errors
///
/// [`Usage`] when there is none, and when the hub does not answer.
async fn find(hub: &Hub, which: &str) -> anyhow::Result<u64> {
    match which.parse::<u64>() {
        Ok(n) => Ok(n),
        // A name has a letter.
        Err(_name) => {
            let found = hub.application_named(which).await?;
            Ok(found.ok_or_else(|| Usage(format!("there is no application {which:?}")))?)
        }
    }
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

#[cfg(test)]
pub(crate) mod tests {
    use alloy_primitives::{Address, B256, Bytes};
    use hub::abi::{Application, Capacity};

    pub(crate) use super::places::tests::city;

    /// Application `n` in this status, on these cities.
    pub(crate) fn application(n: u64, status: u8, cities: &[u32]) -> Application {
        Application {
            n,
            chainId: n,
            name: format!("app-{n}"),
            owner: Address::ZERO,
            member: 1,
            status,
            createdBlock: 1,
            cities: cities.to_vec(),
            validators: Vec::new(),
            powers: Vec::new(),
            record: Bytes::new(),
            setHash: B256::ZERO,
            recordHash: B256::ZERO,
            taken: Capacity {
                gasPerSecond: 0,
                bytesStored: 0,
                chains: 1,
                blocksPerSecond: 0,
            },
        }
    }
}
