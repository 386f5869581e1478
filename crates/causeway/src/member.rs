//! `causeway member`: the institutions of a network, and what an institution does for itself.

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use hub::abi::{IMembers, MEMBERS, Member};
use serde_json::{Value, json};

use crate::hub_client::abi::IAuthorities;
use crate::hub_client::words::{day, member_status};
use crate::hub_client::{Hub, HubOptions, KeyOptions};
use crate::terminal;

/// The institutions of a network.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists all members.
    List(ListOptions),
    /// Shows one member and its cities.
    Show(ShowOptions),
    /// Names who may speak for the member later: for a lost key, a key's change, or a contract.
    Successor(SuccessorOptions),
    /// As the successor: speaks for the member from now on, once the delay is over.
    Succeed(SucceedOptions),
}

/// Which hub.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ListOptions {
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which member.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ShowOptions {
    /// The member's number.
    id: u32,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Who comes after.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct SuccessorOptions {
    /// The successor's address, of a key or a contract; 0x0000000000000000000000000000000000000000 takes it back.
    #[arg(long, value_name = "0x…")]
    address: Address,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// For which member.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct SucceedOptions {
    /// The member's number.
    id: u32,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::List(options) => list(options).await,
        Command::Show(options) => show(options).await,
        Command::Successor(options) => successor(options).await,
        Command::Succeed(options) => succeed(options).await,
    }
}

async fn list(options: ListOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let members = hub.members().await?;
    if options.json {
        let members: Vec<Value> = members.iter().map(to_json).collect();
        return terminal::result(&serde_json::to_string(&json!({ "members": members }))?);
    }
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            vec![
                member.id.to_string(),
                member.name.clone(),
                member_status(member.status),
                day(member.since),
                member.authority.to_string(),
            ]
        })
        .collect();
    terminal::list(&["Member", "Name", "Status", "Since", "Authority"], &rows)
}

async fn show(options: ShowOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let question = IMembers::memberCall { id: options.id };
    let member = hub.view(MEMBERS, &question).await?;
    let cities = hub.cities().await?;
    let cities: Vec<_> = cities
        .iter()
        .filter(|city| city.member == member.id)
        .collect();
    if options.json {
        let mut line = to_json(&member);
        line["cities"] = json!(cities.iter().map(|city| city.id).collect::<Vec<u32>>());
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = vec![
        ("Name", member.name.clone()),
        ("Status", member_status(member.status)),
        ("Since", day(member.since)),
        ("Authority", member.authority.to_string()),
    ];
    if !member.successor.is_zero() {
        rows.push(("Successor", member.successor.to_string()));
        rows.push(("Successor from", day(member.successorFrom)));
    }
    rows.extend(
        cities
            .iter()
            .map(|city| ("City", format!("{}, {}", city.id, city.place))),
    );
    terminal::facts(&format!("Member {}", member.id), &rows)
}

async fn successor(options: SuccessorOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let call = IAuthorities::nameSuccessorCall {
        successor: options.address,
    };
    let receipt = hub.send(&signer, MEMBERS, &call).await?;
    let id = hub.member_of(signer.address()).await?.unwrap_or_default();
    let member = hub.view(MEMBERS, &IMembers::memberCall { id }).await?;
    if options.json {
        let mut line = to_json(&member);
        line["receipt"] = receipt.to_json();
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let words = if member.successor.is_zero() {
        format!("Member {id} has no successor.")
    } else {
        format!(
            "{} may speak for member {id} from {} on: causeway member succeed {id} --key FILE",
            member.successor,
            day(member.successorFrom)
        )
    };
    terminal::result(&words)
}

async fn succeed(options: SucceedOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let call = IAuthorities::succeedCall { id: options.id };
    let receipt = hub.send(&signer, MEMBERS, &call).await?;
    if options.json {
        let line = json!({
            "id": options.id,
            "authority": signer.address(),
            "receipt": receipt.to_json(),
        });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    terminal::result(&format!(
        "{} speaks for member {} now.",
        signer.address(),
        options.id
    ))
}

fn to_json(member: &Member) -> Value {
    let successor = (!member.successor.is_zero()).then_some(member.successor);
    json!({
        "id": member.id,
        "name": member.name,
        "authority": member.authority,
        "status": member_status(member.status),
        "since": member.since,
        "successor": successor,
        "successor_from": successor.map(|_| member.successorFrom),
    })
}
