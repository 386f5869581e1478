//! `causeway governance propose`: brings in a proposal, and with `--vote` votes for it at once.

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use hub::abi::{GOVERNANCE, IGovernance};

use super::act::{Act, Change};
use super::tell;
use crate::cities::card::Card;
use crate::exit::{Unfinished, Usage};
use crate::hub_client::abi::IProposals;
use crate::hub_client::words::parameter_bytes;
use crate::hub_client::{Hub, HubOptions, KeyOptions};

/// Most bytes of a reason.
const MAX_REASON: usize = 1_024;

/// What is proposed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// A new member, with its first city, by the card from its `city join`.
    Admit(AdmitOptions),
    /// A member or a city out of force, until it is restored.
    Suspend(StatusOptions),
    /// A suspended member or city back in force.
    Restore(StatusOptions),
    /// A member or a city out of force for ever.
    Remove(StatusOptions),
    /// Another key or contract to speak for a member that lost its own.
    Authority(AuthorityOptions),
    /// Another value of a number that members agree on; see `governance parameters`.
    Parameter(ParameterOptions),
    /// Rules that hold from a time on.
    Fork(ForkOptions),
}

/// Who proposes, and why.
#[derive(Debug, Args)]
struct Proposing {
    /// Why, for those who vote: at most 1,024 bytes.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Vote for it at once.
    #[arg(long)]
    vote: bool,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct AdmitOptions {
    /// The card of the new member's city.
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
    #[command(flatten)]
    proposing: Proposing,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct StatusOptions {
    /// The member's number.
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "city",
        conflicts_with = "city"
    )]
    member: Option<u32>,
    /// The city's number.
    #[arg(long, value_name = "ID")]
    city: Option<u32>,
    #[command(flatten)]
    proposing: Proposing,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct AuthorityOptions {
    /// The member's number.
    #[arg(long, value_name = "ID")]
    member: u32,
    /// What is to speak for it.
    #[arg(long, value_name = "0x…")]
    address: Address,
    #[command(flatten)]
    proposing: Proposing,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ParameterOptions {
    /// The parameter, like timeLock.
    #[arg(long)]
    name: String,
    /// Its new value.
    #[arg(long)]
    value: u64,
    #[command(flatten)]
    proposing: Proposing,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ForkOptions {
    /// The rules' name.
    #[arg(long)]
    name: String,
    /// Unix seconds from which they hold.
    #[arg(long, value_name = "SECONDS")]
    at: u64,
    #[command(flatten)]
    proposing: Proposing,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let (act, proposing) = act(options.kind)?;
    if proposing.reason.len() > MAX_REASON {
        let most = format!("--reason has at most {MAX_REASON} bytes");
        return Err(Usage(most).into());
    }
    let signer = proposing.key.read().await?;
    let hub = Hub::open(&proposing.hub).await?;
    let (kind, payload) = act.encode();
    let call = IGovernance::proposeCall {
        kind,
        payload,
        reason: proposing.reason,
    };
    let receipt = hub.send(&signer, GOVERNANCE, &call).await?;
    let Some(proposed) = receipt.event::<IProposals::Proposed>(GOVERNANCE) else {
        let hash = receipt.transaction_hash;
        let words = format!("the transaction {hash} is in a block, and tells of no proposal");
        return Err(Unfinished(words).into());
    };
    if proposing.vote {
        let id = proposed.id;
        let call = IGovernance::voteCall { id, support: true };
        hub.send(&signer, GOVERNANCE, &call).await?;
    }
    let proposal = hub.proposal(proposed.id).await?;
    tell(&proposal, Some(&receipt), proposing.json)
}

fn act(kind: Kind) -> anyhow::Result<(Act, Proposing)> {
    Ok(match kind {
        Kind::Admit(options) => {
            let (card, proof) = Card::read(&options.card)?.to_abi();
            let card = Box::new(card);
            (Act::Admit { card, proof }, options.proposing)
        }
        Kind::Suspend(options) => status(Change::Suspend, options),
        Kind::Restore(options) => status(Change::Restore, options),
        Kind::Remove(options) => status(Change::Remove, options),
        Kind::Authority(options) => (
            Act::Authority {
                member: options.member,
                authority: options.address,
            },
            options.proposing,
        ),
        Kind::Parameter(options) => {
            let name = parameter_bytes(&options.name)
                .ok_or_else(|| Usage(String::from("--name has 1 to 32 characters of ASCII")))?;
            let value = options.value;
            (Act::Parameter { name, value }, options.proposing)
        }
        Kind::Fork(options) => (
            Act::Fork {
                name: options.name,
                activation: options.at,
            },
            options.proposing,
        ),
    })
}

fn status(change: Change, options: StatusOptions) -> (Act, Proposing) {
    let act = match (options.member, options.city) {
        (Some(id), _) => Act::Member { change, id },
        // One of the two is there.
        (None, city) => Act::City {
            change,
            id: city.unwrap_or_default(),
        },
    };
    (act, options.proposing)
}
