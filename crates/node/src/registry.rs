//! Follows the network's registry in this city's own copy of the hub: hosts the chains that are placed here, hands them over
//! when their cities change, and meets the cities that there are.
//!
//! ```text
//!  hub's block ─▶ what changed ─▶ compared with what is here ─▶ begin ▸ stand still ▸ go on ▸ `over`: removed after a time
//!                                            ├─▶ a set that changes ─▶ `changes`, until it is settled ─▶ acts on the hub
//!                                            └─▶ a city has a new key ─▶ `rotated`: a change begins
//! ```
//!
//! Level-triggered: at the start, after a block was missed, and after anything failed, everything is compared; in between a
//! block's events say what to look at. An event that is lost or comes twice changes nothing.

mod changes;
mod over;
mod rotated;
mod validators;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_primitives::Address;
use chain::{Genesis, ReadError};
use hub::abi::City;
use hub::registry::{ACTIVE, REMOVED, Standing, Status};
use hub::{Changed, Placement, Registry, RegistryError};
use link::{Links, Peer, PeerId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;
use types::{ChainId, NetworkId};

use self::changes::Changes;
use self::rotated::Rotated;
use self::validators::Serving;
use crate::handle::{ChainHandle, NewBlock};
use crate::hosting::{Hosting, OpenError};
use crate::peers::Leaving;

/// After how long something that failed is tried again, if no block comes before.
const AGAIN: Duration = Duration::from_secs(10);
/// How long after its removal a city is still met for chains whose handover needs it.
const KEEPS_LINK: Duration = Duration::from_mins(10);
/// How often chains whose set changes are looked at, if no block comes before.
const LOOK_AT_CHANGES: Duration = Duration::from_millis(250);

/// Follows the registry.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) hub: ChainHandle,
    pub(crate) hosting: Hosting,
    pub(crate) links: Option<Links>,
    pub(crate) network_id: NetworkId,
    /// This city's node key.
    pub(crate) own: Address,
    /// Where cities are, whatever the registry says.
    pub(crate) endpoints: BTreeMap<Address, String>,
    pub(crate) leaving: Leaving,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Why this city does not host what it should.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the tables could not be read")]
    Tables(#[from] store::TablesError),
    #[error("reading the registry panicked")]
    Panicked,
}

/// What this city knows of the registry.
#[derive(Debug, Default)]
struct Known {
    /// This city's number.
    own_id: Option<u32>,
    changes: Changes,
    serving: Serving,
    rotated: Rotated,
    /// Whether everything was compared once, so that what is over is known to be.
    has_compared: bool,
    /// All cities, as they were read last.
    cities: Vec<City>,
    /// When to look next whether data of what is over is to be removed; `None` before the first look.
    removes_at: Option<Instant>,
}

/// What was read.
struct Found {
    own_id: Option<u32>,
    cities: Option<Cities>,
    /// Applications with how their chains begin, where that is not here.
    placements: Vec<(Placement, Option<Genesis>)>,
    /// Applications of other cities, where this one goes on for one of them.
    others: Vec<Placement>,
    /// How this city stands towards the hub's validators, and at which block.
    standing: Option<(Standing, u64)>,
}

/// The cities that there are.
struct Cities {
    all: Vec<City>,
    /// Numbers of removed ones.
    removed: BTreeSet<u32>,
    /// Numbers of those that go on under a new key, with those of the cities as which they do.
    rotated: BTreeMap<u32, u32>,
    /// What stands on either and concerns this city.
    concerned: BTreeSet<u64>,
}

/// One application.
struct One {
    placement: Placement,
    /// Whether its chain is here, or is to be.
    is_here: bool,
    /// How it begins, where it is to be and is not.
    genesis: Option<Genesis>,
}

/// What is to be compared.
#[derive(Clone, Debug)]
enum Look {
    Everything,
    At(Changed),
}

impl Follower {
    /// Follows until told to stop.
    pub(crate) async fn run(mut self) {
        let mut heads = self.hub.heads();
        let mut known = Known::default();
        let mut look = Look::Everything;
        // The first block that is told of is looked at with everything else.
        let mut last = 0;
        loop {
            let mut failed = false;
            let now = std::mem::replace(&mut look, Look::At(Changed::default()));
            if let Err(error) = self.follow(&mut known, now).await {
                failed = true;
                look = Look::Everything;
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the registry is not followed; it is tried again"
                );
            }
            self.see_to_changes(&mut known).await;
            self.see_to_validators(&mut known.serving).await;
            self.see_to_rotated(&mut known).await;
            if self.keep_leaving(&known) {
                self.meet(&known.cities);
            }
            if known.has_compared {
                self.see_to_what_is_over(&mut known).await;
            }
            let is_changing =
                known.changes.is_busy() || known.rotated.is_busy() || known.serving.is_busy();
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return,
                head = heads.recv() => match head {
                    // What failed is done with everything else.
                    Ok(_) if failed => {}
                    Ok(NewBlock { block, receipts }) => {
                        let number = block.header.number;
                        // Blocks that an engine restored from its log are told to nobody.
                        look = if number == last + 1 {
                            let mut changed = Changed::by(&receipts);
                            changed.validators |= known.serving.is_turn(number);
                            Look::At(changed)
                        } else {
                            Look::Everything
                        };
                        last = number;
                    }
                    Err(RecvError::Lagged(_)) => look = Look::Everything,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(AGAIN), if failed => {}
                () = until(known.removes_at), if known.has_compared => {}
                () = tokio::time::sleep(LOOK_AT_CHANGES), if is_changing && !failed => {}
            }
        }
    }

    /// Compares what was asked for with what is here.
    async fn follow(&self, known: &mut Known, look: Look) -> Result<(), FollowError> {
        if matches!(&look, Look::At(changed) if changed.is_nothing()) {
            return Ok(());
        }
        let everything = matches!(look, Look::Everything);
        let found = self.read(known, look).await?;
        known.own_id = found.own_id;
        let has_cities = found.cities.is_some();
        if let Some(cities) = found.cities {
            known.changes.removed(&cities.removed);
            known.rotated.set(cities.rotated);
            known.cities = cities.all;
        }
        if let Some((standing, number)) = found.standing {
            known.serving.saw(standing, number);
        }
        for placement in found.others {
            known.rotated.saw(known.own_id, &placement);
        }
        let mut failed = None;
        for (placement, genesis) in found.placements {
            // One that cannot be begun keeps no other away.
            if let Err(error) = self.reconcile(known, placement, genesis).await {
                failed = Some(error);
            }
        }
        if has_cities {
            // Who is removed is let go of when it is known for which chains it is needed.
            self.keep_leaving(known);
            self.meet(&known.cities);
        }
        known.has_compared |= everything;
        failed.map_or(Ok(()), Err)
    }

    async fn read(&self, known: &Known, look: Look) -> Result<Found, FollowError> {
        let (hub, own, network_id) = (self.hub.clone(), self.own, self.network_id);
        let (own_id, mut rotated) = (known.own_id, known.rotated.cities());
        let hosting = self.hosting.clone();
        let read = move || -> Result<Found, FollowError> {
            let moment = hub.reader().moment()?;
            let registry = Registry::new(&moment);
            // The hub is number 0 of its network, and chain ids count up from there.
            let first = moment.profile().chain_id.get();
            let is_new_here = own_id.is_none();
            let own_id = match own_id {
                Some(id) => Some(id),
                None => registry.city_id(own)?,
            };
            let everything = matches!(look, Look::Everything) || (is_new_here && own_id.is_some());
            let looks_at_cities =
                everything || matches!(&look, Look::At(changed) if changed.cities);
            let looks_at_validators =
                looks_at_cities || matches!(&look, Look::At(changed) if changed.validators);
            let standing = match own_id.filter(|_| looks_at_validators) {
                Some(id) => Some((registry.standing(id, own)?, moment.head().header.number)),
                None => None,
            };
            let hosted: BTreeSet<u64> = hosting
                .chains()?
                .into_iter()
                .filter_map(|chain| chain.get().checked_sub(first).filter(|n| *n > 0))
                .collect();
            let mut asked = match look {
                Look::At(changed) if !everything => changed.applications,
                _ => hosted.clone(),
            };
            if let Some(id) = own_id.filter(|_| everything) {
                asked.extend(registry.placed_on(id)?);
            }
            let mut cities = None;
            if looks_at_cities {
                let mut found = read_cities(&registry, own_id, &hosted)?;
                asked.append(&mut found.concerned);
                rotated.clone_from(&found.rotated);
                cities = Some(found);
            }
            let goes_on_for_one =
                own_id.is_some_and(|own| rotated.values().any(|successor| *successor == own));
            let (mut placements, mut others) = (Vec::new(), Vec::new());
            for n in asked {
                match read_one(&registry, n, own_id, &hosted, network_id) {
                    Ok(one) if one.is_here => placements.push((one.placement, one.genesis)),
                    Ok(one) if goes_on_for_one => others.push(one.placement),
                    Ok(_none_of_ours) => {}
                    // A later release may know it; the others are hosted.
                    Err(error @ RegistryError::Application { .. }) => tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "an application that is placed here is not hosted"
                    ),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(Found {
                own_id,
                cities,
                placements,
                others,
                standing,
            })
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or(Err(FollowError::Panicked))
    }

    /// Brings one chain to where the registry has it.
    async fn reconcile(
        &self,
        known: &mut Known,
        placement: Placement,
        genesis: Option<Genesis>,
    ) -> Result<(), FollowError> {
        let (chain_id, n) = (placement.chain_id, placement.n);
        if let Some(genesis) = genesis {
            self.hosting.create(genesis).await?;
            tracing::info!(%chain_id, n, "hosting an application");
        }
        known.changes.saw(&placement);
        known.rotated.saw(known.own_id, &placement);
        self.hosting.set_quota(chain_id, placement.quota()).await;
        let is_here = known.own_id.is_some_and(|own| placement.concerns(own));
        let stands = placement.status != Status::Runs || !is_here;
        if self.hosting.stand(chain_id, stands).await {
            tracing::info!(%chain_id, n, stands, "an application stands still, or goes on");
        }
        self.keep_in_mind(known, &placement, is_here)?;
        if stands {
            return self.settle(known, &placement).await;
        }
        if placement.change.is_none() && self.says_the_same(&placement)? {
            return self.settle(known, &placement).await;
        }
        let mut cities = placement.named();
        cities.remove(&self.own);
        self.hosting.name(chain_id, cities);
        if self.hosting.is_awake(chain_id) {
            self.hosting.hub_moved(chain_id).await?;
        }
        known.changes.begin(placement);
        Ok(())
    }

    /// Whether the chain's latest block here names the set that the registry names.
    fn says_the_same(&self, placement: &Placement) -> Result<bool, FollowError> {
        let tables = &self.hosting.common().tables;
        let named = chain::genesis::named_set(&**tables, placement.chain_id)?;
        Ok(named == Some(placement.set_hash))
    }

    /// A chain is as the registry has it: whoever was named for a change has nothing to ask any more.
    async fn settle(&self, known: &mut Known, placement: &Placement) -> Result<(), FollowError> {
        self.hosting.name(placement.chain_id, BTreeSet::new());
        if known.changes.forget(placement.n) && self.hosting.is_awake(placement.chain_id) {
            self.hosting.hub_moved(placement.chain_id).await?;
        }
        Ok(())
    }

    /// Keeps the links of removed cities that a handover needs, for these chains alone and a bounded time. Says whether they
    /// are others than before.
    fn keep_leaving(&self, known: &Known) -> bool {
        let first = self.hub.reader().profile().chain_id.get();
        let now = self.hosting.common().options.clock.now_ms() / 1_000;
        let mut leaving = BTreeMap::new();
        for (id, ns) in known.changes.needs() {
            let city = known.cities.iter().find(|city| city.id == id);
            let is_in_time = |city: &&City| now < city.since.saturating_add(KEEPS_LINK.as_secs());
            if let Some(city) = city.filter(is_in_time) {
                let chains = ns.iter().map(|n| first + n).collect();
                leaving.insert(city.node, chains);
            }
        }
        self.leaving.set(leaving)
    }

    /// Tells the links whom to meet.
    fn meet(&self, cities: &[City]) {
        let Some(links) = &self.links else { return };
        let peer = |city: &City| Peer {
            id: PeerId(city.node.into_array()),
            fingerprint: city.tlsFingerprint.0,
            endpoint: self
                .endpoints
                .get(&city.node)
                .unwrap_or(&city.endpoint)
                .clone(),
        };
        let met = |city: &&City| city.status == ACTIVE || self.leaving.has(city.node);
        let peers: Vec<Peer> = cities.iter().filter(met).map(peer).collect();
        // A city meets nobody when it reads of nobody: that registry is not a network's.
        if !peers.is_empty() {
            links.set_peers(peers);
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// All cities, and what is to go on without some of them or go over to others.
fn read_cities(
    registry: &Registry<'_>,
    own_id: Option<u32>,
    hosted: &BTreeSet<u64>,
) -> Result<Cities, RegistryError> {
    let all = registry.cities()?;
    let gone = all.iter().filter(|city| city.status == REMOVED);
    let removed: BTreeSet<u32> = gone.map(|city| city.id).collect();
    let rotated = rotated::successors(registry, &all)?;
    let mut concerned = BTreeSet::new();
    for city in removed.iter().chain(rotated.keys()) {
        // Whoever comes after a city has a part in all that is on it.
        let is_ours = own_id.is_some_and(|own| rotated.get(city) == Some(&own));
        let placed = registry.placed_on(*city)?.into_iter();
        concerned.extend(placed.filter(|n| is_ours || hosted.contains(n)));
    }
    Ok(Cities {
        all,
        removed,
        rotated,
        concerned,
    })
}

/// Application `n`, and whether its chain is to be here.
fn read_one(
    registry: &Registry<'_>,
    n: u64,
    own_id: Option<u32>,
    hosted: &BTreeSet<u64>,
    network_id: NetworkId,
) -> Result<One, RegistryError> {
    let placement = registry.placement(n)?;
    let is_hosted = hosted.contains(&n);
    let is_to_be = own_id.is_some_and(|own| placement.concerns(own));
    let begins = !is_hosted && is_to_be && placement.status != Status::Closed;
    let genesis = match begins {
        true => Some(registry.genesis(n, network_id)?),
        false => None,
    };
    Ok(One {
        placement,
        is_here: is_hosted || begins,
        genesis,
    })
}
