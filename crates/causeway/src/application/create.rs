//! `causeway app create`: places an application on cities, in one transaction.
//!
//! ```text
//!  places ──▶ cities ──▶ quote: price, what may fail ──▶ (asked) ──▶ create ──▶ every city answers for the chain
//! ```
//!
//! Nothing is signed before the hub has said that it would take it, and a person has said yes.

use std::time::Duration;

use alloy_primitives::{Address, U64, U256};
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, ValueEnum};
use hub::abi::{APPLICATIONS, City, IApplications, Specification};
use serde_json::json;
use tokio::task::JoinSet;

use super::{places, rpc_of};
use crate::cities::names::RpcUrl;
use crate::consent;
use crate::exit::{Unfinished, Usage};
use crate::hub_client::words::grouped;
use crate::hub_client::{Hub, HubError, HubOptions, JsonRpc, KeyOptions, Refusal};
use crate::terminal::{self, Steps};

/// How long cities may take to serve the chain.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at one city.
const PAUSE: Duration = Duration::from_millis(50);

/// What the application is to be.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line, each of which stands alone"
)]
pub(crate) struct Options {
    /// Its name: 3 to 40 of a-z, 0-9 and hyphens, with a letter.
    #[arg(long)]
    name: String,
    /// Where: cities' numbers or places with one city, like "CN SHA,CN HGH,CN NKG,CN HFE". Four or more, of different
    /// members, tolerate a failure.
    #[arg(long, value_name = "LIST")]
    cities: String,
    /// Gas a second that it may use.
    #[arg(long, value_name = "GAS", default_value_t = 100_000)]
    gas_per_second: u64,
    /// Bytes that its blocks, state and history may fill.
    #[arg(long, default_value_t = 128 << 20)]
    bytes: u64,
    /// Blocks a second that it may make.
    #[arg(long, value_name = "BLOCKS", default_value_t = 1)]
    blocks_per_second: u32,
    /// Gas that one of its blocks may use; 0 takes the network's, 60,000,000.
    #[arg(long, value_name = "GAS", default_value_t = 0)]
    gas_limit: u64,
    /// Least milliseconds between two of its blocks.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    minimum_interval_ms: u64,
    /// Fees as on Ethereum, in place of free gas.
    #[arg(long)]
    eip1559: bool,
    /// Whose transactions it takes.
    #[arg(long, value_enum, default_value_t = Admission::Shares)]
    admission: Admission,
    /// Who may read it.
    #[arg(long, value_enum, default_value_t = Readers::Placed)]
    readers: Readers,
    /// Who owns it; without it, --key does.
    #[arg(long, value_name = "0x…")]
    owner: Option<Address>,
    /// Let one member hold so many of the cities that the chain stands or falls with it; one to three cities need it.
    #[arg(long)]
    allow_concentration: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Whose transactions a chain takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Admission {
    /// Everybody's, first come first served.
    Open,
    /// Everybody's; each city has an equal part of pool and block.
    Shares,
}

/// Who may read a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Readers {
    /// Everybody.
    Anyone,
    /// The cities that it is placed on.
    Placed,
}

/// An application that was placed.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Its number.
    pub(crate) n: u64,
    /// Its chain's id.
    pub(crate) chain_id: u64,
    hub_block: u64,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    consent::check(options.yes)?;
    check_name(&options.name)?;
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let all = hub.cities().await?;
    let cities = places::resolve("--cities", &options.cities, &all)?;
    let specification = specification(&options, signer.address(), &cities);
    let quote = quote(&hub, &signer, &specification, &cities).await?;
    tell(&hub, &quote, &cities).await?;
    consent::ask(options.yes, "Place it?")?;
    let mut steps = Steps::new(2);
    let placing = place(&hub, &signer, &specification);
    let placed = steps.step("place it", placing).await?;
    let urls: Vec<String> = cities
        .iter()
        .filter(|city| !city.rpc.is_empty())
        .map(|city| rpc_of(&city.rpc, placed.chain_id))
        .collect();
    let told: Vec<(u32, String)> = cities
        .iter()
        .map(|city| (city.id, city.rpc.clone()))
        .collect();
    let waiting = served(&told, placed.chain_id);
    let first = steps.step("wait for its cities", waiting).await?;
    if options.json {
        let line = json!({
            "n": placed.n,
            "chain_id": placed.chain_id,
            "name": specification.name,
            "owner": specification.owner,
            "hub_block": placed.hub_block,
            "first_block": first,
            "cities": specification.cities,
            "price": quote.price.to_string(),
            "may_fail": {
                "cities": quote.citiesMayFail,
                "institutions": quote.institutionsMayFail,
            },
            "rpc": urls,
        });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = vec![
        ("Name", specification.name),
        ("Chain id", placed.chain_id.to_string()),
        ("Owner", specification.owner.to_string()),
    ];
    rows.extend(urls.into_iter().map(|url| ("JSON-RPC", url)));
    terminal::facts(&format!("Application {}", placed.n), &rows)
}

/// As the contracts have it (`contracts/hub/Words.sol`), so that nobody has to be asked.
fn check_name(name: &str) -> Result<(), Usage> {
    let bytes = name.as_bytes();
    let sound = (3..=40).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && bytes.iter().any(u8::is_ascii_lowercase)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if !sound {
        return Err(Usage(format!(
            "--name {name:?}: an application's name has 3 to 40 of a-z, 0-9 and hyphens, a letter among them, and no hyphen at \
             its ends or twice in a row"
        )));
    }
    if name.starts_with("0x") || matches!(name, "hub" | "causeway") {
        return Err(Usage(format!(
            "--name {name:?} would mislead: not 0x…, hub or causeway"
        )));
    }
    Ok(())
}

fn specification(options: &Options, caller: Address, cities: &[&City]) -> Specification {
    Specification {
        name: options.name.clone(),
        cities: cities.iter().map(|city| city.id).collect(),
        owner: options.owner.unwrap_or(caller),
        gasLimit: options.gas_limit,
        gasPerSecond: options.gas_per_second,
        bytesStored: options.bytes,
        blocksPerSecond: options.blocks_per_second,
        feeRule: options.eip1559.into(),
        admission: match options.admission {
            Admission::Open => 0,
            Admission::Shares => 2,
        },
        readers: match options.readers {
            Readers::Anyone => 0,
            Readers::Placed => 1,
        },
        minimumIntervalMs: options.minimum_interval_ms,
        allowConcentration: options.allow_concentration,
    }
}

/// What the hub would say; its refusal, with the names of places, if it would refuse.
async fn quote(
    hub: &Hub,
    signer: &PrivateKeySigner,
    specification: &Specification,
    cities: &[&City],
) -> anyhow::Result<IApplications::quoteReturn> {
    let question = IApplications::quoteCall {
        specification: specification.clone(),
    };
    let answer = hub.view_as(signer.address(), APPLICATIONS, &question).await;
    match answer {
        Err(HubError::Refused(refusal)) => {
            if let Some(hint) = hint(&refusal, cities) {
                terminal::say(&hint);
            }
            Err(HubError::Refused(refusal).into())
        }
        other => Ok(other?),
    }
}

/// Which place a refusal speaks of, where it names a city by its number.
pub(super) fn hint(refusal: &Refusal, cities: &[&City]) -> Option<String> {
    use crate::hub_client::abi::IRefusals::IRefusalsErrors as Error;
    let id = match refusal.error()? {
        Error::NoCapacity(error) => error.city,
        Error::NotOffered(error) => error.city,
        Error::CityNotActive(error) => error.city,
        _other => return None,
    };
    let city = cities.iter().find(|city| city.id == id)?;
    Some(format!("city {id} is the one in {}", city.place))
}

/// What a person decides by.
async fn tell(
    hub: &Hub,
    quote: &IApplications::quoteReturn,
    cities: &[&City],
) -> anyhow::Result<()> {
    let members = hub.member_names().await?;
    for city in cities {
        let member = members.get(&city.member).map_or("?", String::as_str);
        terminal::say(&format!("city {}: {}, {member}", city.id, city.place));
    }
    terminal::say(&format!(
        "price: {} a month, in the cities' unit of account",
        price(quote.price)
    ));
    terminal::say(&format!(
        "may fail: {} of {} cities, {} of {} institutions",
        quote.citiesMayFail, quote.cities, quote.institutionsMayFail, quote.institutions
    ));
    if quote.citiesMayFail == 0 {
        terminal::say("This chain tolerates nothing: when a city stops, it stops.");
    }
    Ok(())
}

fn price(price: U256) -> String {
    u128::try_from(price).map_or_else(|_large| price.to_string(), grouped)
}

/// Places it, in one transaction; what became of it, and words for it.
///
/// # Errors
///
/// When the hub refuses, or tells of no application.
pub(crate) async fn place(
    hub: &Hub,
    signer: &PrivateKeySigner,
    specification: &Specification,
) -> anyhow::Result<(Placed, String)> {
    let call = IApplications::createCall {
        specification: specification.clone(),
    };
    let receipt = hub.send(signer, APPLICATIONS, &call).await?;
    let created: Option<IApplications::Created> = receipt.event(APPLICATIONS);
    let Some(created) = created else {
        let hash = receipt.transaction_hash;
        let words = format!("the transaction {hash} is in a block, and tells of no application");
        return Err(Unfinished(words).into());
    };
    let placed = Placed {
        n: created.n,
        chain_id: created.chainId,
        hub_block: receipt.block_number.to(),
    };
    let note = format!(
        "application {}, chain {}, in the hub's block {}",
        placed.n, placed.chain_id, placed.hub_block
    );
    Ok((placed, note))
}

/// Waits until each of `cities`, by number and JSON-RPC, that tells where it answers has the chain's first block, and gives
/// that block's hash.
///
/// # Errors
///
/// When one does not have it in time, or another.
pub(crate) async fn served(
    cities: &[(u32, String)],
    chain_id: u64,
) -> anyhow::Result<(Option<String>, String)> {
    let mut asked = JoinSet::new();
    let mut silent = 0;
    for (id, rpc) in cities {
        let url: Option<RpcUrl> = rpc.parse().ok();
        let rpc = url.and_then(|url| JsonRpc::new(&url).ok());
        let Some(rpc) = rpc.map(|rpc| rpc.chain(chain_id)) else {
            silent += 1;
            continue;
        };
        let id = *id;
        asked.spawn(async move {
            let found = tokio::time::timeout(PATIENCE, first_block(&rpc)).await;
            (id, rpc, found.ok())
        });
    }
    let mut first: Option<String> = None;
    let mut count = 0;
    while let Some(done) = asked.join_next().await {
        let (id, rpc, found) = done?;
        let Some(hash) = found else {
            return Err(Unfinished(format!(
                "it is placed, and city {id} does not serve it yet at {}: look again with `causeway app show`",
                rpc.url()
            ))
            .into());
        };
        if first.as_ref().is_some_and(|first| *first != hash) {
            anyhow::bail!("city {id} begins the chain with another block: {hash}");
        }
        first = Some(hash);
        count += 1;
    }
    let mut note = format!("{count} of {} serve it", cities.len());
    if silent > 0 {
        note.push_str(&format!(
            "; {silent} do not tell where they answer over http://"
        ));
    }
    Ok((first, note))
}

/// The hash of the first block, as soon as the city has it.
async fn first_block(rpc: &JsonRpc) -> String {
    loop {
        let asked = rpc
            .ask::<Option<Block>>("eth_getBlockByNumber", json!([U64::ZERO, false]))
            .await;
        if let Ok(Some(block)) = asked {
            return block.hash;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Debug, serde::Deserialize)]
struct Block {
    hash: String,
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_that_the_hub_would_refuse_are_refused_before() {
        for name in ["abc", "a-1", "my-app-2", &"x".repeat(40)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "ab",
            "ABC",
            "a b",
            "123",
            "-ab",
            "ab-",
            "a--b",
            "0xab",
            "hub",
            "causeway",
            "a_b",
            "äbc",
            &"x".repeat(41),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
