//! `causeway app show`: where an application is placed, its rules, what it takes, what may fail, and a change of its cities
//! that is not over.

use alloy_primitives::B256;
use hub::abi::{Application, Change, City};
use serde_json::{Value, json};

use super::owned::TAKING_IN;
use super::{find, rpc_of, safety, to_json};
use crate::hub_client::registry::CLOSED;
use crate::hub_client::words::{application_status, day, grouped};
use crate::hub_client::{Hub, HubOptions, Receipt};
use crate::terminal;

/// Which application.
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The application's number or name.
    #[arg(value_name = "N|NAME")]
    which: String,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let n = find(&hub, &options.which).await?;
    tell(&hub, n, None, options.json).await
}

/// Shows an application as result, and the transaction after which it is so.
pub(super) async fn tell(
    hub: &Hub,
    n: u64,
    receipt: Option<&Receipt>,
    as_json: bool,
) -> anyhow::Result<()> {
    let application = hub.application(n).await?;
    let change = hub.change_of(n).await?;
    let handover = hub.handover_of(n).await?;
    // What is closed has nothing to bear.
    let safety = match application.status {
        CLOSED => None,
        _ => Some(hub.safety_of(n).await?),
    };
    let all = hub.cities().await?;
    let placed: Vec<&City> = application
        .cities
        .iter()
        .filter_map(|id| all.iter().find(|city| city.id == *id))
        .collect();
    let urls: Vec<String> = placed
        .iter()
        .filter(|city| !city.rpc.is_empty())
        .map(|city| rpc_of(&city.rpc, application.chainId))
        .collect();
    if as_json {
        let mut line = to_json(&application);
        line["rpc"] = json!(urls);
        line["safety"] = safety.as_ref().map_or(Value::Null, |safety| {
            safety::to_json(safety, &application.name, &placed)
        });
        line["change"] = change_to_json(&change);
        line["handover"] = handover_to_json(handover);
        if let Some(receipt) = receipt {
            line["receipt"] = receipt.to_json();
        }
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = rows(&application);
    rows.extend(placed.iter().map(|city| ("City", words(city))));
    if let Some(safety) = &safety {
        rows.extend(safety::rows(safety, &application.name, &placed));
    }
    rows.extend(change_rows(&change, &all));
    if let Some((height, hash)) = handover {
        rows.push(("Handed over", format!("with block {height}, {hash}")));
    }
    rows.extend(urls.into_iter().map(|url| ("JSON-RPC", url)));
    terminal::facts(&format!("Application {n}"), &rows)
}

fn rows(application: &Application) -> Vec<(&'static str, String)> {
    let taken = &application.taken;
    vec![
        ("Name", application.name.clone()),
        ("Chain id", application.chainId.to_string()),
        ("Status", application_status(application.status)),
        ("Owner", application.owner.to_string()),
        ("Hub's block", application.createdBlock.to_string()),
        ("Gas a second", grouped(taken.gasPerSecond.into())),
        ("Bytes", grouped(taken.bytesStored.into())),
        ("Blocks a second", grouped(taken.blocksPerSecond.into())),
    ]
}

fn words(city: &City) -> String {
    format!("{}, {}, member {}", city.id, city.place, city.member)
}

/// What a change is doing.
const fn stage(change: &Change) -> &'static str {
    match change.stage {
        TAKING_IN => "joining cities take in the chain",
        _ => "the chain hands over to its new cities",
    }
}

fn change_rows(change: &Change, all: &[City]) -> Vec<(&'static str, String)> {
    if change.stage == 0 {
        return Vec::new();
    }
    let named = |id: &u32| {
        let city = all.iter().find(|city| city.id == *id);
        city.map_or_else(|| id.to_string(), words)
    };
    let mut rows = vec![
        ("Change", String::from(stage(change))),
        ("Since", day(change.since)),
    ];
    for id in &change.joining {
        let holds = if change.ready.contains(id) {
            "holds the chain"
        } else {
            "takes it in"
        };
        rows.push(("Joins", format!("{}: {holds}", named(id))));
    }
    rows.extend(change.leaving.iter().map(|id| ("Leaves", named(id))));
    rows
}

/// A change that is not over, for programs; null without one.
fn change_to_json(change: &Change) -> Value {
    if change.stage == 0 {
        return Value::Null;
    }
    json!({
        "stage": if change.stage == TAKING_IN { "taking in" } else { "handing over" },
        "since": change.since,
        "joining": change.joining,
        "ready": change.ready,
        "leaving": change.leaving,
    })
}

/// The block with which the chain went over last, for programs; null before the first.
pub(super) fn handover_to_json(handover: Option<(u64, B256)>) -> Value {
    handover.map_or(
        Value::Null,
        |(height, hash)| json!({ "height": height, "block_hash": hash }),
    )
}
