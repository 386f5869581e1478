//! `causeway app change`: has other cities keep an application.
//!
//! ```text
//!  cities ──▶ plan: before, after, what may fail ──▶ (asked) ──▶ change ──▶ those that join take the chain in, n of m
//!                                                                     ──▶ the chain hands over ──▶ shown: active again
//! ```
//!
//! Only the first step is this command's; the others are the cities' own, and go on when nobody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_primitives::B256;
use clap::Args;
use hub::abi::{APPLICATIONS, City, IApplications};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::owned::{self, Owned, TAKING_IN};
use super::plan::{Plan, tolerance};
use super::{create, places, show};
use crate::consent;
use crate::exit::{Unfinished, Usage};
use crate::hub_client::registry::{CHANGING, CLOSED};
use crate::hub_client::words::application_status;
use crate::hub_client::{Hub, HubError, Receipt};
use crate::network::tolerance::Tolerance;
use crate::terminal::{self, Progress, Steps};

/// How long the cities may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at the hub.
const PAUSE: Duration = Duration::from_millis(100);

/// Which cities come and go.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    #[command(flatten)]
    owned: owned::Options,
    /// Cities that are to keep it as well: numbers or places with one city, like "CN CAN,7".
    #[arg(long, value_name = "LIST")]
    add: Option<String>,
    /// Cities that are to keep it no longer: numbers or places. At most as many at once as may fail, or one.
    #[arg(long, value_name = "LIST")]
    remove: Option<String>,
    /// Let one member hold so many of the cities that the chain stands or falls with it; one to three cities need it.
    #[arg(long)]
    allow_concentration: bool,
    /// End when the hub has the change, and not when the chain went over.
    #[arg(long)]
    no_wait: bool,
}

/// What became of a change that did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// The application has the cities that it had, or others.
    #[error("the change was called off meanwhile: look with `causeway app show`")]
    CalledOff,
    /// Another took its place.
    #[error("another change took the place of this one: look with `causeway app show`")]
    Replaced,
    /// There is no application any more.
    #[error("the application was closed meanwhile")]
    Closed,
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    TakingIn { ready: usize },
    HandingOver,
    Over,
}

/// What is watched.
#[derive(Debug)]
struct Watch<'a> {
    hub: &'a Hub,
    n: u64,
    joining: BTreeSet<u32>,
    leaving: BTreeSet<u32>,
    after: BTreeSet<u32>,
    until: Instant,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    if options.add.is_none() && options.remove.is_none() {
        let words = "nothing would change: name cities with --add, --remove or both";
        return Err(Usage(String::from(words)).into());
    }
    let owned = Owned::open(&options.owned).await?;
    owned.check_active()?;
    let (hub, n) = (&owned.hub, owned.application.n);
    let all = hub.cities().await?;
    let members = hub.member_names().await?;
    let plan = plan(&options, &owned, &all, &members)?;
    let call = IApplications::changeCall {
        n,
        leaving: ids(&plan.leaving),
        joining: ids(&plan.joining),
        allowConcentration: options.allow_concentration,
    };
    // What only the hub knows: whether those that join offer themselves, and have room.
    if let Err(error) = hub.would(owned.signer.address(), APPLICATIONS, &call).await {
        if let HubError::Refused(refusal) = &error
            && let Some(hint) = create::hint(refusal, &plan.joining)
        {
            terminal::say(&hint);
        }
        return Err(error.into());
    }
    tell(&owned.application.name, &plan, &members);
    consent::ask(options.owned.yes, "Change it?")?;

    let begun = Instant::now();
    let joins = !plan.joining.is_empty();
    let mut steps = Steps::new(match (options.no_wait, joins) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 2,
    });
    let sending = async {
        let receipt = hub.send(&owned.signer, APPLICATIONS, &call).await?;
        let note = format!("in the hub's block {}", receipt.block_number);
        Ok((receipt, note))
    };
    let receipt = steps.step("tell the hub", sending).await?;
    if options.no_wait {
        return end(&owned, &plan, &receipt, None, options.owned.json).await;
    }
    let watch = Watch {
        hub,
        n,
        joining: ids(&plan.joining).into_iter().collect(),
        leaving: ids(&plan.leaving).into_iter().collect(),
        after: ids(&plan.after).into_iter().collect(),
        until: begun + PATIENCE,
    };
    if joins {
        let taken_in = steps.watched("cities take the chain in", |progress| {
            watch.taken_in(progress, begun)
        });
        taken_in.await?;
    }
    let handed_over = steps.step("the chain hands over", watch.handed_over(begun));
    let handover = handed_over.await?;
    end(&owned, &plan, &receipt, handover, options.owned.json).await
}

fn plan<'a>(
    options: &Options,
    owned: &Owned,
    all: &'a [City],
    members: &BTreeMap<u32, String>,
) -> anyhow::Result<Plan<'a>> {
    let placed = owned.application.cities.iter();
    let placed: Vec<&City> = placed
        .filter_map(|id| all.iter().find(|city| city.id == *id))
        .collect();
    let leaving = match &options.remove {
        Some(names) => places::resolve_placed("--remove", names, &placed)?,
        None => Vec::new(),
    };
    let joining = match &options.add {
        Some(names) => places::resolve("--add", names, all)?,
        None => Vec::new(),
    };
    let allowed = options.allow_concentration;
    Ok(Plan::new(placed, leaving, joining, members, allowed)?)
}

fn ids(cities: &[&City]) -> Vec<u32> {
    cities.iter().map(|city| city.id).collect()
}

/// What a person decides by.
fn tell(name: &str, plan: &Plan<'_>, members: &BTreeMap<u32, String>) {
    let words = |city: &City| {
        let member = members.get(&city.member).map_or("?", String::as_str);
        format!("city {}: {}, {member}", city.id, city.place)
    };
    terminal::say(&format!("{name}:"));
    for city in plan.staying() {
        terminal::say(&format!("  stays   {}", words(city)));
    }
    for city in &plan.leaving {
        terminal::say(&format!("  leaves  {}", words(city)));
    }
    for city in &plan.joining {
        terminal::say(&format!("  joins   {}", words(city)));
    }
    let (before, after) = (tolerance(&plan.before), tolerance(&plan.after));
    for (when, found) in [("before", before), ("after", after)] {
        terminal::say(&format!(
            "may fail {when}: {} of {} cities, {} of {} institutions",
            found.cities.may_fail, found.cities.all, found.members.may_fail, found.members.all
        ));
    }
    if after.cities.may_fail == 0 {
        terminal::say("After it this chain tolerates nothing: when a city stops, it stops.");
    }
    if plan.needs_the_leaving() {
        terminal::say("The city that leaves has to sign the handover: it must be running.");
    }
}

impl Watch<'_> {
    /// Waits until all that join hold the chain.
    async fn taken_in(&self, progress: Progress, begun: Instant) -> anyhow::Result<((), String)> {
        let all = self.joining.len();
        self.wait(|stage| match stage {
            Stage::TakingIn { ready } => {
                progress.at(ready, all);
                false
            }
            Stage::HandingOver | Stage::Over => true,
        })
        .await?;
        let note = format!("{all} of {all} after {}", elapsed(begun));
        Ok(((), note))
    }

    /// Waits until the hub was shown that the chain went over.
    async fn handed_over(&self, begun: Instant) -> anyhow::Result<(Option<(u64, B256)>, String)> {
        self.wait(|stage| stage == Stage::Over).await?;
        let handover = self.hub.handover_of(self.n).await?;
        let block = handover.map_or_else(
            || String::from("with a block"),
            |(height, hash)| format!("with block {height}, {hash},"),
        );
        let note = format!("{block} shown to the hub after {}", elapsed(begun));
        Ok((handover, note))
    }

    /// Looks until `is_there`, or time is up.
    async fn wait(&self, mut is_there: impl FnMut(Stage) -> bool) -> anyhow::Result<()> {
        while Instant::now() < self.until {
            match self.look().await {
                Ok(Some(stage)) if is_there(stage) => return Ok(()),
                Ok(_) => {}
                // A city that does not answer now may do so later.
                Err(error) if matches!(error.downcast_ref(), Some(HubError::Ask(_))) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(Unfinished(format!(
            "the hub has the change, and it is not over after {} s: it goes on without this command; look with `causeway \
             app show {}`, and call it off with `causeway app cancel {}` if a joining city never comes",
            PATIENCE.as_secs(),
            self.n,
            self.n
        ))
        .into())
    }

    /// Where the change is now; `None` if it moved between two questions.
    async fn look(&self) -> anyhow::Result<Option<Stage>> {
        let application = self.hub.application(self.n).await?;
        match application.status {
            CHANGING => {}
            CLOSED => return Err(Stopped::Closed.into()),
            // Active, or suspended by its owner since.
            _ => {
                let now: BTreeSet<u32> = application.cities.into_iter().collect();
                if now == self.after {
                    return Ok(Some(Stage::Over));
                }
                return Err(Stopped::CalledOff.into());
            }
        }
        let change = self.hub.change_of(self.n).await?;
        if change.stage == 0 {
            return Ok(None);
        }
        let ready = change.ready.len();
        let same = |list: Vec<u32>, wanted: &BTreeSet<u32>| {
            list.into_iter().collect::<BTreeSet<u32>>() == *wanted
        };
        if !same(change.joining, &self.joining) || !same(change.leaving, &self.leaving) {
            return Err(Stopped::Replaced.into());
        }
        Ok(Some(match change.stage {
            TAKING_IN => Stage::TakingIn { ready },
            _ => Stage::HandingOver,
        }))
    }
}

fn elapsed(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

async fn end(
    owned: &Owned,
    plan: &Plan<'_>,
    receipt: &Receipt,
    handover: Option<(u64, B256)>,
    as_json: bool,
) -> anyhow::Result<()> {
    let n = owned.application.n;
    if !as_json {
        return show::tell(&owned.hub, n, Some(receipt), false).await;
    }
    let application = owned.hub.application(n).await?;
    let line = json!({
        "n": n,
        "chain_id": application.chainId,
        "name": application.name,
        "status": application_status(application.status),
        "joining": ids(&plan.joining),
        "leaving": ids(&plan.leaving),
        "before": side(&plan.before),
        "after": side(&plan.after),
        "handover": show::handover_to_json(handover),
        "receipt": receipt.to_json(),
    });
    terminal::result(&serde_json::to_string(&line)?)
}

/// Cities before or after, and what they tolerate, for programs.
fn side(cities: &[&City]) -> Value {
    let Tolerance {
        cities: machines,
        members,
    } = tolerance(cities);
    json!({
        "cities": ids(cities),
        "may_fail": { "cities": machines.may_fail, "institutions": members.may_fail },
    })
}
