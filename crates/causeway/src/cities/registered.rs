//! `causeway city list|show|register|offer|endpoint|retire`: cities as the hub has them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hub::abi::{CITIES, Capacity, City, ICities, Offer};
use serde_json::{Value, json};

use super::card::Card;
use super::names::{Endpoint, Place, RpcUrl};
use super::serving;
use crate::exit::Usage;
use crate::hub_client::abi::IRegistrations;
use crate::hub_client::words::{city_status, day, grouped};
use crate::hub_client::{Hub, HubOptions, KeyOptions, Receipt};
use crate::terminal;

/// Which cities.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct ListOptions {
    /// Only those in this place, by UN/LOCODE, like "CN SHA".
    #[arg(long)]
    place: Option<Place>,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which city.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct ShowOptions {
    /// The city's number.
    id: u32,
    #[command(flatten)]
    hub: HubOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Whose card.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct RegisterOptions {
    /// The card of the new city, from `city join` with this member's --member and --authority.
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Who may place applications on a city.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    /// Nobody.
    Nobody,
    /// Every member.
    Members,
    /// The members of --list.
    Listed,
}

/// What the city is to offer; what is not named stays as it is.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct OfferOptions {
    /// The city's number.
    id: u32,
    /// Gas a second, of all its applications together.
    #[arg(long, value_name = "GAS")]
    gas_per_second: Option<u64>,
    /// Bytes that its applications may fill.
    #[arg(long)]
    bytes: Option<u64>,
    /// Applications.
    #[arg(long)]
    chains: Option<u32>,
    /// Blocks a second, of all its applications together.
    #[arg(long, value_name = "BLOCKS")]
    blocks_per_second: Option<u32>,
    /// Units of account for a million gas a second and month; nothing is charged by the hub.
    #[arg(long, value_name = "UNITS")]
    price: Option<u128>,
    /// Who may place applications on it.
    #[arg(long, value_enum)]
    to: Option<For>,
    /// Numbers of the members, with --to listed.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', requires = "to")]
    list: Vec<u32>,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Where the city is reached now; what is not named stays as it is.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct EndpointOptions {
    /// The city's number.
    id: u32,
    /// Where other cities connect.
    #[arg(long, value_name = "HOST:PORT", required_unless_present_any = ["rpc", "no_rpc"])]
    endpoint: Option<Endpoint>,
    /// Where it answers JSON-RPC.
    #[arg(long, value_name = "URL", conflicts_with = "no_rpc")]
    rpc: Option<RpcUrl>,
    /// It tells nobody where it answers JSON-RPC.
    #[arg(long)]
    no_rpc: bool,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which city ends.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct RetireOptions {
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

pub(crate) async fn list(options: ListOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let mut cities = hub.cities().await?;
    if let Some(place) = &options.place {
        cities.retain(|city| city.place == place.as_str());
    }
    if options.json {
        let cities: Vec<Value> = cities.iter().map(to_json).collect();
        return terminal::result(&serde_json::to_string(&json!({ "cities": cities }))?);
    }
    let members = hub.member_names().await?;
    let rows: Vec<Vec<String>> = cities
        .iter()
        .map(|city| {
            vec![
                city.id.to_string(),
                city.place.clone(),
                members.get(&city.member).cloned().unwrap_or_default(),
                city_status(city.status),
                offered_to(&city.offer),
                format!("{} of {}", city.taken.chains, city.offer.chains),
                city.endpoint.clone(),
                city.rpc.clone(),
            ]
        })
        .collect();
    let names = [
        "City", "Place", "Member", "Status", "Open to", "Chains", "Endpoint", "JSON-RPC",
    ];
    terminal::list(&names, &rows)
}

pub(crate) async fn show(options: ShowOptions) -> anyhow::Result<()> {
    let hub = Hub::open(&options.hub).await?;
    let city = hub.city(options.id).await?;
    let candidate = serving::candidate(&hub, options.id).await?;
    if options.json {
        let mut line = to_json(&city);
        line["hub"] = serving::to_json(&candidate);
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let members = hub.member_names().await?;
    let member = members.get(&city.member).cloned().unwrap_or_default();
    let mut facts = rows(&city, &member);
    facts.push(("Hub", serving::words(&candidate)));
    terminal::facts(&format!("City {}", city.id), &facts)
}

pub(crate) async fn register(options: RegisterOptions) -> anyhow::Result<()> {
    let card = Card::read(&options.card)?;
    let signer = options.key.read().await?;
    if card.authority != signer.address() {
        anyhow::bail!(
            "{}: the card's authority is {}, --key has {}: a member registers its own cities; a new member's is proposed",
            options.card.display(),
            card.authority,
            signer.address()
        );
    }
    let hub = Hub::open(&options.hub).await?;
    let (card, proof) = card.to_abi();
    let call = ICities::registerCall { card, proof };
    let receipt = hub.send(&signer, CITIES, &call).await?;
    let registered: Option<IRegistrations::Registered> = receipt.event(CITIES);
    let id = registered.map(|event| event.city).unwrap_or_default();
    tell(&hub, id, &receipt, options.json).await?;
    terminal::say(&format!(
        "City {id} offers nothing yet: causeway city offer {id} --to members --gas-per-second GAS …"
    ));
    Ok(())
}

pub(crate) async fn offer(options: OfferOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let city = hub.city(options.id).await?;
    let offer = changed(city.offer, &options)?;
    let call = ICities::setOfferCall {
        id: options.id,
        offer,
    };
    let receipt = hub.send(&signer, CITIES, &call).await?;
    tell(&hub, options.id, &receipt, options.json).await
}

pub(crate) async fn endpoint(options: EndpointOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let city = hub.city(options.id).await?;
    let rpc = match (options.rpc, options.no_rpc) {
        (Some(rpc), _) => rpc.to_string(),
        (None, true) => String::new(),
        (None, false) => city.rpc,
    };
    let endpoint = options.endpoint.map(|endpoint| endpoint.to_string());
    let call = ICities::setEndpointCall {
        id: options.id,
        endpoint: endpoint.unwrap_or(city.endpoint),
        rpc,
    };
    let receipt = hub.send(&signer, CITIES, &call).await?;
    tell(&hub, options.id, &receipt, options.json).await
}

pub(crate) async fn retire(options: RetireOptions) -> anyhow::Result<()> {
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let call = ICities::retireCall { id: options.id };
    let receipt = hub.send(&signer, CITIES, &call).await?;
    tell(&hub, options.id, &receipt, options.json).await
}

/// The offer with what the options name.
fn changed(mut offer: Offer, options: &OfferOptions) -> Result<Offer, Usage> {
    offer.gasPerSecond = options.gas_per_second.unwrap_or(offer.gasPerSecond);
    offer.bytesStored = options.bytes.unwrap_or(offer.bytesStored);
    offer.chains = options.chains.unwrap_or(offer.chains);
    offer.blocksPerSecond = options.blocks_per_second.unwrap_or(offer.blocksPerSecond);
    offer.pricePerGasSecond = options.price.unwrap_or(offer.pricePerGasSecond);
    let mut list = options.list.clone();
    list.sort_unstable();
    list.dedup();
    (offer.policy, offer.listed) = match options.to {
        None => (offer.policy, offer.listed),
        Some(For::Listed) => (2, list),
        Some(_everybody) if !list.is_empty() => {
            return Err(Usage(String::from("--list goes with --to listed")));
        }
        Some(For::Members) => (1, list),
        Some(For::Nobody) => (0, list),
    };
    Ok(offer)
}

async fn tell(hub: &Hub, id: u32, receipt: &Receipt, as_json: bool) -> anyhow::Result<()> {
    let city = hub.city(id).await?;
    if as_json {
        let mut line = to_json(&city);
        line["receipt"] = receipt.to_json();
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let members = hub.member_names().await?;
    let member = members.get(&city.member).cloned().unwrap_or_default();
    terminal::facts(&format!("City {id}"), &rows(&city, &member))
}

fn offered_to(offer: &Offer) -> String {
    match offer.policy {
        0 => String::from("nobody"),
        1 => String::from("members"),
        2 => format!("{} listed", offer.listed.len()),
        other => format!("unknown ({other})"),
    }
}

pub(super) fn rows(city: &City, member: &str) -> Vec<(&'static str, String)> {
    let (offer, taken) = (&city.offer, &city.taken);
    let of = |taken: u128, all: u128| format!("{} of {}", grouped(taken), grouped(all));
    vec![
        ("Place", city.place.clone()),
        ("Member", format!("{member} ({})", city.member)),
        ("Status", city_status(city.status)),
        ("Since", day(city.since)),
        ("Node", city.node.to_string()),
        ("TLS fingerprint", city.tlsFingerprint.to_string()),
        ("Endpoint", city.endpoint.clone()),
        ("JSON-RPC", city.rpc.clone()),
        ("Open to", offered_to(offer)),
        (
            "Gas a second",
            of(taken.gasPerSecond.into(), offer.gasPerSecond.into()),
        ),
        (
            "Bytes",
            of(taken.bytesStored.into(), offer.bytesStored.into()),
        ),
        ("Chains", of(taken.chains.into(), offer.chains.into())),
        (
            "Blocks a second",
            of(taken.blocksPerSecond.into(), offer.blocksPerSecond.into()),
        ),
        ("Price", grouped(offer.pricePerGasSecond)),
    ]
}

fn to_json(city: &City) -> Value {
    let Offer {
        gasPerSecond,
        bytesStored,
        chains,
        blocksPerSecond,
        pricePerGasSecond,
        policy,
        listed,
    } = &city.offer;
    let Capacity {
        gasPerSecond: gas_taken,
        bytesStored: bytes_taken,
        chains: chains_taken,
        blocksPerSecond: blocks_taken,
    } = &city.taken;
    json!({
        "id": city.id,
        "member": city.member,
        "node": city.node,
        "tls_fingerprint": city.tlsFingerprint,
        "place": city.place,
        "endpoint": city.endpoint,
        "rpc": city.rpc,
        "status": city_status(city.status),
        "since": city.since,
        "offer": {
            "gas_per_second": gasPerSecond,
            "bytes": bytesStored,
            "chains": chains,
            "blocks_per_second": blocksPerSecond,
            // May be above what a JSON number holds everywhere.
            "price": pricePerGasSecond.to_string(),
            "to": match policy { 0 => "nobody", 1 => "members", _ => "listed" },
            "list": listed,
        },
        "taken": {
            "gas_per_second": gas_taken,
            "bytes": bytes_taken,
            "chains": chains_taken,
            "blocks_per_second": blocks_taken,
        },
    })
}
