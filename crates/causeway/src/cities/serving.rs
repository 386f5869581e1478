//! `causeway city withdraw|readmit`: whether a city may be one of the hub's validators.

use clap::Args;
use hub::abi::{Candidate, IValidators, VALIDATORS};
use serde_json::{Value, json};

use crate::hub_client::{Hub, HubError, HubOptions, KeyOptions};
use crate::terminal;

/// Which city of the caller's member.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The city's number.
    id: u32,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn withdraw(options: Options) -> anyhow::Result<()> {
    let call = IValidators::withdrawCall { city: options.id };
    tell(&options, &call).await
}

pub(crate) async fn readmit(options: Options) -> anyhow::Result<()> {
    let call = IValidators::readmitCall { city: options.id };
    tell(&options, &call).await
}

async fn tell<C: alloy_sol_types::SolCall>(options: &Options, call: &C) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let receipt = hub.send(&signer, VALIDATORS, call).await?;
    let candidate = candidate(&hub, options.id).await?;
    if options.json {
        let line =
            json!({"id": options.id, "hub": to_json(&candidate), "receipt": receipt.to_json()});
        return terminal::result(&serde_json::to_string(&line)?);
    }
    terminal::facts(
        &format!("City {}", options.id),
        &[("Hub", words(&candidate))],
    )
}

/// How a city stands towards being one of the hub's validators.
pub(super) async fn candidate(hub: &Hub, city: u32) -> Result<Candidate, HubError> {
    hub.view(VALIDATORS, &IValidators::candidateCall { city })
        .await
}

pub(super) fn to_json(candidate: &Candidate) -> Value {
    json!({
        "standing": standing(candidate),
        "since_block": candidate.since,
        "withdrawn": candidate.withdrew > 0,
    })
}

/// For people.
pub(super) fn words(candidate: &Candidate) -> String {
    let since = match candidate.standing {
        0 => String::new(),
        _ => format!(" since block {}", candidate.since),
    };
    let withdrawn = match (candidate.withdrew, candidate.standing) {
        (0, _) => "",
        (_, 0) => ", withdrawn",
        (_, _) => ", withdrawn: it leaves with the next renewal",
    };
    format!("{}{since}{withdrawn}", standing(candidate))
}

const fn standing(candidate: &Candidate) -> &'static str {
    match candidate.standing {
        0 => "no validator",
        1 => "waits to be a validator",
        2 => "validator",
        _ => "is to take over from another city of its member",
    }
}
