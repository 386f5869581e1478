//! `causeway city rotate`: has a city of a member's go on under a new key.
//!
//! ```text
//!  new machine: city join (same member, authority and place) ──▶ card.json, city run
//!  authority:   city rotate OLD --card card.json ──▶ plan: what goes over, what the old key still does ──▶ (asked) ──▶ rotate
//!                  ──▶ for each application the new city takes in the chain, and the cities before hand it over
//! ```
//!
//! Only the transaction is this command's; the rest is the cities' own, and goes on when nobody looks.

mod plan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use clap::Args;
use hub::abi::{Application, CITIES, City, ICities};
use serde_json::json;
use tokio::time::Instant;

use self::plan::Plan;
use super::card::Card;
use super::registered;
use crate::consent;
use crate::exit::Unfinished;
use crate::hub_client::abi::IRegistrations;
use crate::hub_client::registry::{ACTIVE, CHANGING};
use crate::hub_client::words::city_status;
use crate::hub_client::{Hub, HubError, HubOptions, KeyOptions, Receipt};
use crate::terminal::{self, Progress, Steps};

/// Most applications of the city that are looked at; what is beyond goes over as well.
const MOST_SHOWN: u64 = 1_000;
/// How long the cities may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at the hub.
const PAUSE: Duration = Duration::from_millis(100);

/// Which city, and its new key.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The number of the city whose key is to be another.
    #[arg(value_name = "OLD")]
    id: u32,
    /// The card of the new key, from `city join` with this member's --member and --authority and the city's --place.
    #[arg(long, value_name = "FILE")]
    card: PathBuf,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// End when the hub has the new key, and not when the applications went over.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    hub: HubOptions,
    #[command(flatten)]
    key: KeyOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Why nothing was asked of the hub.
#[derive(Debug, thiserror::Error)]
enum RotateError {
    /// The key speaks for nobody who has the city.
    #[error(
        "city {id} is run by member {member}, and --key does not speak for it: give its authority's key"
    )]
    NotTheMembers {
        /// The city.
        id: u32,
        /// Whose it is.
        member: u32,
    },
    /// The card names another authority.
    #[error(
        "{}: the card's authority is {card}, --key has {key}: make the card with `causeway city join --authority {key}`",
        .path.display()
    )]
    OtherAuthority {
        /// The card.
        path: PathBuf,
        /// On the card.
        card: Address,
        /// Of the key.
        key: Address,
    },
    /// The card names another member or place.
    #[error("{}: the card's {what} is {card:?}, and city {id} has {wanted:?}: they have to be the same", .path.display())]
    Other {
        /// The card.
        path: PathBuf,
        /// Which word.
        what: &'static str,
        /// On the card.
        card: String,
        /// The city.
        id: u32,
        /// What the hub has.
        wanted: String,
    },
    /// The city is out of force.
    #[error("city {id} is {status}: only an active city goes on under a new key")]
    NotActive {
        /// The city.
        id: u32,
        /// In words.
        status: String,
    },
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    consent::check(options.yes)?;
    let card = Card::read(&options.card)?;
    let signer = options.key.read().await?;
    let hub = Hub::open(&options.hub).await?;
    let city = hub.city(options.id).await?;
    check(&hub, &city, &card, &signer, &options.card).await?;
    let (node, endpoint) = (card.address, card.endpoint.to_string());
    let (card, proof) = card.to_abi();
    let id = city.id;
    let call = ICities::rotateCall { id, card, proof };
    // What only the hub knows: whether card and keys are new, and for this network.
    hub.would(signer.address(), CITIES, &call).await?;
    let plan = read_plan(&hub, city).await?;
    for line in plan.words(node, &endpoint) {
        terminal::say(&line);
    }
    consent::ask(options.yes, "Give it the new key?")?;

    let begun = Instant::now();
    let waits = !options.no_wait && !plan.now.is_empty();
    let mut steps = Steps::new(if waits { 2 } else { 1 });
    let sending = async {
        let receipt = hub.send(&signer, CITIES, &call).await?;
        let rotated: Option<IRegistrations::Rotated> = receipt.event(CITIES);
        let successor = rotated.map(|event| event.successor).unwrap_or_default();
        let note = format!(
            "city {successor}, in the hub's block {}",
            receipt.block_number
        );
        Ok(((receipt, successor), note))
    };
    let (receipt, successor) = steps.step("tell the hub", sending).await?;
    let watch = Watch {
        hub: &hub,
        old: id,
        successor,
        wanted: plan.now.iter().map(|application| application.n).collect(),
        until: begun + PATIENCE,
    };
    let gone_over = match waits {
        true => {
            let watched = steps.watched("its applications go over", async |progress| {
                watch.gone_over(progress, begun).await
            });
            watched.await?
        }
        false => BTreeSet::new(),
    };
    end(&hub, &plan, successor, (&receipt, &gone_over), options.json).await
}

/// Refuses what the hub would, in words that say what to do.
async fn check(
    hub: &Hub,
    city: &City,
    card: &Card,
    signer: &PrivateKeySigner,
    path: &Path,
) -> anyhow::Result<()> {
    let (id, member, key) = (city.id, city.member, signer.address());
    if hub.member_of(key).await? != Some(member) {
        return Err(RotateError::NotTheMembers { id, member }.into());
    }
    let path = path.to_path_buf();
    if card.authority != key {
        let card = card.authority;
        return Err(RotateError::OtherAuthority { path, card, key }.into());
    }
    let names = hub.member_names().await?;
    let name = names.get(&member).cloned().unwrap_or_default();
    for (what, on_card, wanted) in [
        ("member", card.member.as_str(), name.as_str()),
        ("place", card.place.as_str(), city.place.as_str()),
    ] {
        if on_card != wanted {
            return Err(RotateError::Other {
                path,
                what,
                card: on_card.to_owned(),
                id,
                wanted: wanted.to_owned(),
            }
            .into());
        }
    }
    if city.status != ACTIVE {
        let status = city_status(city.status);
        return Err(RotateError::NotActive { id, status }.into());
    }
    Ok(())
}

async fn read_plan(hub: &Hub, city: City) -> Result<Plan, HubError> {
    let (ns, count) = hub.placed_on(city.id, MOST_SHOWN).await?;
    let member = hub.member_names().await?.remove(&city.member);
    let mut plan = Plan {
        member: member.unwrap_or_default(),
        keeps_the_hub: hub.application(0).await?.cities.contains(&city.id),
        goes_on_as: hub.successor_of(city.id).await?,
        beyond: count - ns.len() as u64,
        now: Vec::new(),
        later: Vec::new(),
        city,
    };
    for n in ns {
        let application = hub.application(n).await?;
        let change = match application.status {
            CHANGING => Some(hub.change_of(n).await?),
            _ => None,
        };
        plan.add(application, change.as_ref());
    }
    Ok(plan)
}

/// What is watched.
#[derive(Debug)]
struct Watch<'a> {
    hub: &'a Hub,
    old: u32,
    successor: u32,
    wanted: BTreeSet<u64>,
    until: Instant,
}

impl Watch<'_> {
    /// Waits until all that run went over, or stay after all because their owners say so. Gives those that went over.
    async fn gone_over(
        &self,
        progress: Progress,
        begun: Instant,
    ) -> anyhow::Result<(BTreeSet<u64>, String)> {
        let (mut waiting, mut over) = (self.wanted.clone(), BTreeSet::new());
        let all = waiting.len();
        while Instant::now() < self.until {
            for n in waiting.clone() {
                match self.hub.application(n).await {
                    Ok(application) if plan::is_settled(&application, self.old) => {
                        waiting.remove(&n);
                        if has_gone_over(&application, self.old, self.successor) {
                            over.insert(n);
                        }
                    }
                    Ok(_waits) => {}
                    // A city that does not answer now may do so later.
                    Err(HubError::Ask(_)) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            progress.at(all - waiting.len(), all);
            if waiting.is_empty() {
                let seconds = begun.elapsed().as_secs_f64();
                let note = format!("{} of {all} after {seconds:.1} s", over.len());
                return Ok((over, note));
            }
            tokio::time::sleep(PAUSE).await;
        }
        let (seconds, successor) = (PATIENCE.as_secs(), self.successor);
        Err(Unfinished(format!(
            "the hub has the new key, and {} of {all} applications went over within {seconds} s: the others do without this \
             command, when the new city runs (`causeway city run`) and has the room (`causeway city show {successor}`)",
            over.len(),
        ))
        .into())
    }
}

fn has_gone_over(application: &Application, old: u32, successor: u32) -> bool {
    let has = |city| application.cities.contains(&city);
    has(successor) && !has(old)
}

async fn end(
    hub: &Hub,
    plan: &Plan,
    successor: u32,
    (receipt, gone_over): (&Receipt, &BTreeSet<u64>),
    as_json: bool,
) -> anyhow::Result<()> {
    let city = hub.city(successor).await?;
    if as_json {
        let line = json!({
            "city": plan.city.id,
            "successor": successor,
            "node": city.node,
            "place": city.place,
            "gone_over": gone_over,
            "not_yet": plan.not_yet(gone_over),
            "keeps_the_hub": plan.keeps_the_hub,
            "receipt": receipt.to_json(),
        });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    terminal::facts(
        &format!("City {successor}"),
        &registered::rows(&city, &plan.member),
    )?;
    terminal::say(&plan.end());
    Ok(())
}
