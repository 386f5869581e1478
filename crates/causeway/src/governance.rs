//! `causeway governance`: what members decide together.
//!
//! ```text
//!  propose ──▶ in the vote ──▶ passed ──▶ (time lock) ──▶ execute ──▶ executed
//!                        └──▶ rejected              └──▶ expired
//! ```
//!
//! One vote an institution. What a proposal does is readable before anybody votes: `show` tells it in words, from its bytes.

pub(crate) mod act;
mod propose;

use clap::{ArgGroup, Args, Subcommand};
use hub::abi::{GOVERNANCE, IGovernance};
use serde_json::{Value, json};

use crate::hub_client::abi::{IProposals, Proposal};
use crate::hub_client::words::{day, parameter_name, proposal_status};
use crate::hub_client::{Hub, HubOptions, KeyOptions, Receipt};
use crate::terminal;

use act::Act;

/// Status of a proposal that passed.
const PASSED: u8 = 2;
/// Most proposals that a list shows.
const MOST_LISTED: u32 = 1_000;

/// What members decide together.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings in a proposal.
    Propose(propose::Options),
    /// Lists proposals, the newest first.
    List(ListOptions),
    /// Shows a proposal: what it does, and how the votes stand.
    Show(ShowOptions),
    /// Votes; a vote is not taken back.
    Vote(VoteOptions),
    /// Does what a proposal says that passed; anybody may.
    Execute(ExecuteOptions),
    /// Lists the numbers that members agreed on.
    Parameters(ParametersOptions),
}

/// How many proposals.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ListOptions {
    /// Only so many, at most 1,000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    most: u32,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which proposal.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ShowOptions {
    /// The proposal's number.
    id: u32,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which proposal, and for or against it.
#[derive(Debug, Args)]
#[command(args_override_self = true, group(ArgGroup::new("support").required(true).args(["yes", "no"])))]
struct VoteOptions {
    /// The proposal's number.
    id: u32,
    /// For it.
    #[arg(long)]
    yes: bool,
    /// Against it.
    #[arg(long)]
    no: bool,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which proposal.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ExecuteOptions {
    /// The proposal's number.
    id: u32,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Of which hub.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ParametersOptions {
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::Propose(options) => propose::run(options).await,
        Command::List(options) => list(options).await,
        Command::Show(options) => show(options).await,
        Command::Vote(options) => vote(options).await,
        Command::Execute(options) => execute(options).await,
        Command::Parameters(options) => parameters(options).await,
    }
}

async fn list(options: ListOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let count = hub.proposal_count().await?;
    let mut proposals = Vec::new();
    for id in (1..=count)
        .rev()
        .take(options.most.min(MOST_LISTED) as usize)
    {
        proposals.push(hub.proposal(id).await?);
    }
    if options.json {
        let proposals: Vec<Value> = proposals.iter().map(to_json).collect();
        let line = json!({ "count": count, "proposals": proposals });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let rows: Vec<Vec<String>> = proposals
        .iter()
        .map(|proposal| {
            vec![
                proposal.id.to_string(),
                Act::of(proposal).to_string(),
                proposal_status(proposal.status),
                format!("{} of {}", proposal.votesFor, proposal.needed),
                proposal.votesAgainst.to_string(),
                day(proposal.deadline),
            ]
        })
        .collect();
    let names = ["Proposal", "To", "Status", "For", "Against", "Vote until"];
    terminal::list(&names, &rows)
}

async fn show(options: ShowOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let proposal = hub.proposal(options.id).await?;
    tell(&proposal, None, options.json)
}

async fn vote(options: VoteOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let call = IGovernance::voteCall {
        id: options.id,
        support: options.yes,
    };
    let receipt = hub.send(&signer, GOVERNANCE, &call).await?;
    let proposal = hub.proposal(options.id).await?;
    tell(&proposal, Some(&receipt), options.json)
}

async fn execute(options: ExecuteOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let call = IGovernance::executeCall { id: options.id };
    let receipt = hub.send(&signer, GOVERNANCE, &call).await?;
    let proposal = hub.proposal(options.id).await?;
    tell(&proposal, Some(&receipt), options.json)
}

async fn parameters(options: ParametersOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let all = hub.view(GOVERNANCE, &IProposals::parametersCall {}).await?;
    if options.json {
        let all: serde_json::Map<String, Value> = all
            .iter()
            .map(|one| {
                let bounds = json!({ "value": one.value, "least": one.least, "most": one.most });
                (parameter_name(one.name), bounds)
            })
            .collect();
        return terminal::result(&serde_json::to_string(&json!({ "parameters": all }))?);
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let numbers = [one.value, one.least, one.most].map(|number| number.to_string());
            std::iter::once(parameter_name(one.name))
                .chain(numbers)
                .collect()
        })
        .collect();
    terminal::list(&["Parameter", "Value", "Least", "Most"], &rows)
}

/// Shows a proposal as result, and what comes next to a person.
fn tell(proposal: &Proposal, receipt: Option<&Receipt>, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let mut line = to_json(proposal);
        if let Some(receipt) = receipt {
            line["receipt"] = receipt.to_json();
        }
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = vec![
        ("To", Act::of(proposal).to_string()),
        ("Reason", proposal.reason.escape_debug().to_string()),
        ("Proposed by member", proposal.proposer.to_string()),
        ("Proposed", day(proposal.created)),
        ("Vote until", day(proposal.deadline)),
        ("Status", proposal_status(proposal.status)),
        (
            "For",
            format!(
                "{}; {} of {} are needed",
                proposal.votesFor, proposal.needed, proposal.electorate
            ),
        ),
        ("Against", proposal.votesAgainst.to_string()),
    ];
    if proposal.earliest > 0 {
        rows.push(("Execute from", day(proposal.earliest)));
        rows.push(("Execute until", day(proposal.latest)));
    }
    terminal::facts(&format!("Proposal {}", proposal.id), &rows)?;
    let id = proposal.id;
    match proposal.status {
        1 => terminal::say(&format!(
            "Members vote: causeway governance vote {id} --yes --key FILE (or --no)"
        )),
        PASSED => terminal::say(&format!(
            "It passed, and does nothing before: causeway governance execute {id} --key FILE"
        )),
        _ => {}
    }
    Ok(())
}

fn to_json(proposal: &Proposal) -> Value {
    let act = Act::of(proposal);
    let passed = proposal.earliest > 0;
    json!({
        "id": proposal.id,
        "kind": act.kind(),
        "does": act.to_string(),
        "act": act.to_json(),
        "payload": proposal.payload,
        "proposer": proposal.proposer,
        "reason": proposal.reason,
        "status": proposal_status(proposal.status),
        "created": proposal.created,
        "deadline": proposal.deadline,
        "earliest": passed.then_some(proposal.earliest),
        "latest": passed.then_some(proposal.latest),
        "for": proposal.votesFor,
        "against": proposal.votesAgainst,
        "needed": proposal.needed,
        "electorate": proposal.electorate,
    })
}
