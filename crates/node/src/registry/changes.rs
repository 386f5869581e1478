//! Chains whose cities change, until the registry and the chain say the same.
//!
//! ```text
//!  joining    this city takes the chain in ─▶ `ready`
//!  named      the chain's cities make the handover block ─▶ `show`
//!  removed    a city that is none any more is still among a chain's ─▶ `expel`
//! ```
//!
//! Any of a chain's cities may say the last two; they take turns, a second each, in an order that differs from chain to
//! chain. A bounded number of chains is looked at at a time, the lowest numbers first, so that all cities look at the same
//! ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use hub::abi::APPLICATIONS;
use hub::acts::{Budget, Kind};
use hub::registry::Changing;
use hub::{Placement, acts};
use tokio::time::Instant;

use super::{ChainHandle, ChainId, FollowError, Follower, Known, Status};
use crate::hosting::Hosting;

/// Chains that are being handed over, or taken in, at a time.
const AT_A_TIME: usize = 64;
/// How long the next of a chain's cities waits for the one before it to say what any may say.
const TURN: Duration = Duration::from_secs(1);
/// After how long something that was said and changed nothing is said again; twice as long each time.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// How long a chain is in hand without success before it makes room: for as long, and twice as long each time.
const IN_HAND: Duration = Duration::from_secs(15);
/// The longest rest is 2^6 times that, 16 minutes.
const MOST_TRIES: u32 = 6;
/// How often a chain that is not settled is told to look at the hub.
const TELL_AGAIN: Duration = Duration::from_secs(2);

/// What is not settled.
#[derive(Debug, Default)]
pub(super) struct Changes {
    chains: BTreeMap<u64, Unsettled>,
    /// Removed cities, each with applications of this city that still name it, since when.
    removed: BTreeMap<u32, BTreeMap<u64, Leaving>>,
}

/// A chain that a removed city is to leave.
#[derive(Debug)]
struct Leaving {
    act: Waiting,
    /// How many cities the chain has.
    cities: usize,
}

/// What is to be said in one go.
#[derive(Debug)]
struct Said {
    ready: Vec<u64>,
    room_for_ready: Budget,
    shown: Vec<hub::abi::Handover>,
    room_to_show: Budget,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            ready: Vec::new(),
            room_for_ready: Budget::new(Kind::Ready),
            shown: Vec::new(),
            room_to_show: Budget::new(Kind::Show),
        }
    }
}

/// A chain whose set changes.
#[derive(Debug)]
struct Unsettled {
    placement: Placement,
    act: Waiting,
    /// When it was told to look at the hub.
    told: Option<Instant>,
    /// Held while it is in hand, so that it stays awake.
    handle: Option<ChainHandle>,
    /// Since when it is in hand.
    taken: Option<Instant>,
    rests_until: Option<Instant>,
    /// How often it was in hand in vain.
    tries: u32,
    /// Whether what this city took in is another chain than the hub's, and an operator was told.
    is_refused: bool,
}

/// Something to be said to the registry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    /// Since when it could be said.
    since: Option<Instant>,
    said: Option<Instant>,
    /// How often it was said: each time it is waited for longer.
    times: u32,
}

impl Waiting {
    /// Whether it is time, for the city whose turn is `rank`.
    pub(super) fn is_due(&mut self, rank: u32) -> bool {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let is_turn = now >= since + TURN * rank;
        let patience = SAY_AGAIN * (1 << self.times.min(MOST_TRIES));
        let is_said = self.said.is_some_and(|said| now < said + patience);
        is_turn && !is_said
    }

    /// It is said now.
    pub(super) fn say(&mut self) {
        self.times += u32::from(self.said.is_some());
        self.said = Some(Instant::now());
    }
}

impl Changes {
    /// Whether there is something to be looked at again soon.
    pub(super) fn is_busy(&self) -> bool {
        !self.chains.is_empty() || self.removed.values().any(|of_city| !of_city.is_empty())
    }

    /// A chain is not as the registry has it.
    pub(super) fn begin(&mut self, placement: Placement) {
        let earlier = self.chains.remove(&placement.n);
        let is_same_stage = earlier.as_ref().is_some_and(|earlier| {
            let is_named =
                |placement: &Placement| placement.change.as_ref().map(|change| change.is_named);
            is_named(&earlier.placement) == is_named(&placement)
        });
        let act = match &earlier {
            Some(earlier) if is_same_stage => earlier.act,
            _ => Waiting::default(),
        };
        let (handle, taken) = match earlier {
            Some(Unsettled { handle, taken, .. }) => (handle, taken),
            None => (None, None),
        };
        let unsettled = Unsettled {
            placement,
            act,
            told: None,
            handle,
            taken,
            rests_until: None,
            tries: 0,
            is_refused: false,
        };
        self.chains.insert(unsettled.placement.n, unsettled);
    }

    /// A chain is as the registry has it, or none of this city's. Whether that is new.
    pub(super) fn forget(&mut self, n: u64) -> bool {
        self.chains.remove(&n).is_some()
    }

    /// These cities are none any more.
    pub(super) fn removed(&mut self, cities: &BTreeSet<u32>) {
        self.removed.retain(|city, _| cities.contains(city));
        for city in cities {
            self.removed.entry(*city).or_default();
        }
    }

    /// Removed cities that a handover of a chain of this city's may need, with the numbers of these applications.
    pub(super) fn needs(&self) -> BTreeMap<u32, BTreeSet<u64>> {
        let leaves = |city: u32| {
            let chains = self.chains.iter();
            let named = chains.filter(move |(_, unsettled)| {
                let change = unsettled.placement.change.as_ref();
                change.is_some_and(|change| change.leaving.contains(&city))
            });
            named.map(|(n, _)| *n)
        };
        let all = self.removed.iter();
        all.map(|(city, of_city)| {
            (
                *city,
                of_city.keys().copied().chain(leaves(*city)).collect(),
            )
        })
        .filter(|(_, ns): &(u32, BTreeSet<u64>)| !ns.is_empty())
        .collect()
    }

    /// So an application of this city is now: does it name a city that is none any more?
    pub(super) fn saw(&mut self, placement: &Placement) {
        for (city, of_city) in &mut self.removed {
            if placement.status == Status::Runs && placement.cities.contains(city) {
                of_city.entry(placement.n).or_insert_with(|| Leaving {
                    act: Waiting::default(),
                    cities: placement.cities.len(),
                });
            } else {
                of_city.remove(&placement.n);
            }
        }
    }
}

impl Unsettled {
    /// Takes it in hand, if there is room for it; what is in hand for long without success makes room.
    fn take(&mut self, in_hand: &mut usize) -> bool {
        let now = Instant::now();
        if let Some(taken) = self.taken {
            if now < taken + IN_HAND {
                return true;
            }
            *in_hand -= 1;
            (self.taken, self.handle) = (None, None);
            self.rests_until = Some(now + IN_HAND * (1 << self.tries));
            self.tries = (self.tries + 1).min(MOST_TRIES);
            return false;
        }
        if *in_hand >= AT_A_TIME || self.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        *in_hand += 1;
        self.taken = Some(now);
        true
    }
}

/// Whose turn it is on application `n`: how many of its cities come before this one. `None` for a city that leaves: who stays
/// shows the handover block, so that it is not lost with whoever leaves.
fn rank(placement: &Placement, own: Address) -> Option<u32> {
    let count = placement.validators.len().max(1) as u64;
    let place = placement.validators.iter().position(|node| *node == own)?;
    u32::try_from((place as u64 + placement.n) % count).ok()
}

/// The same of what cities may say that are not among the chain's: they take turns by their numbers.
pub(super) fn turn(own_id: Option<u32>, n: u64) -> u32 {
    let turn = own_id.map_or(0, |own| (u64::from(own) + n) % 4);
    u32::try_from(turn).unwrap_or(0)
}

impl Follower {
    /// Does what is due for chains whose cities change.
    pub(super) async fn see_to_changes(&self, known: &mut Known) {
        if !known.changes.is_busy() {
            return;
        }
        let mut said = Said::default();
        let is_in_hand = |unsettled: &&Unsettled| unsettled.taken.is_some();
        let mut in_hand = known.changes.chains.values().filter(is_in_hand).count();
        let mut over = Vec::new();
        for unsettled in known.changes.chains.values_mut() {
            let seen = match self.is_over(unsettled) {
                Ok(true) => {
                    over.push(unsettled.placement.clone());
                    continue;
                }
                Ok(false) => {
                    self.see_to(known.own_id, unsettled, &mut in_hand, &mut said)
                        .await
                }
                Err(error) => Err(error),
            };
            // One that cannot be looked at keeps no other waiting.
            seen.unwrap_or_else(|error| warn(&unsettled.placement, &error));
        }
        for placement in over {
            let settled = self.settle(known, &placement).await;
            settled.unwrap_or_else(|error| warn(&placement, &error));
        }
        if !said.ready.is_empty() {
            self.say((APPLICATIONS, acts::ready(said.ready))).await;
        }
        if !said.shown.is_empty() {
            self.say((APPLICATIONS, acts::show(said.shown))).await;
        }
        self.expel(known).await;
    }

    /// Whether no change is on its way any more, and the chain caught up with the last one.
    fn is_over(&self, unsettled: &Unsettled) -> Result<bool, FollowError> {
        let placement = &unsettled.placement;
        Ok(placement.change.is_none() && self.says_the_same(placement)?)
    }

    async fn see_to(
        &self,
        own_id: Option<u32>,
        unsettled: &mut Unsettled,
        in_hand: &mut usize,
        said: &mut Said,
    ) -> Result<(), FollowError> {
        let (n, chain_id) = (unsettled.placement.n, unsettled.placement.chain_id);
        let count = |of: fn(&Changing) -> usize| {
            let change = unsettled.placement.change.as_ref();
            unsettled.placement.validators.len() + change.map_or(0, of)
        };
        // The last `ready` pays for the next set, and `show` for the signatures of the one before.
        let with_joining = count(|change| change.joining.len());
        let with_leaving = count(|change| change.leaving.len());
        let change = unsettled.placement.change.clone();
        let joins = change
            .as_ref()
            .and_then(|change| own_id.filter(|own| change.joining.contains(own)));
        let is_named = change.as_ref().is_none_or(|change| change.is_named);
        // While others take the chain in there is nothing to do here.
        if (!is_named && joins.is_none()) || !unsettled.take(in_hand) {
            return Ok(());
        }
        let Some(change) = change else {
            return self.tell(chain_id, unsettled).await;
        };
        if change.is_named {
            if !self.says_the_same(&unsettled.placement)? {
                self.tell(chain_id, unsettled).await?;
            } else if let Some(rank) = rank(&unsettled.placement, self.own)
                && unsettled.act.is_due(rank)
                && said.room_to_show.fits(with_leaving)
                && let Some(handover) = handover(&self.hosting, chain_id, n).await?
            {
                said.shown.push(handover);
                unsettled.act.say();
            }
        } else if let Some(own) = joins.filter(|own| !change.ready.contains(own)) {
            let holds = unsettled
                .handle
                .as_ref()
                .is_some_and(|handle| handle.status().holds);
            if !holds {
                self.tell(chain_id, unsettled).await?;
            } else if !self.is_the_hubs(unsettled)? {
                let is_told = std::mem::replace(&mut unsettled.is_refused, true);
                if is_told {
                    return Ok(());
                }
                tracing::error!(
                    %chain_id, n,
                    "the chain that this city was given is not the one that the hub knows; it does not join"
                );
            } else if unsettled.act.is_due(0) && said.room_for_ready.fits(with_joining) {
                tracing::info!(%chain_id, n, own, "this city holds a chain that it joins");
                said.ready.push(n);
                unsettled.act.say();
            }
        }
        Ok(())
    }

    /// Whether a chain that this city took in has the handover block that the hub was shown last, where there was one.
    fn is_the_hubs(&self, unsettled: &Unsettled) -> Result<bool, FollowError> {
        let Some(handle) = &unsettled.handle else {
            return Ok(false);
        };
        let hub = self.hub.reader().moment()?;
        let shown = hub::Registry::new(&hub).handover(unsettled.placement.n)?;
        let Some((height, hash)) = shown else {
            return Ok(true);
        };
        let here = handle.reader().moment()?.header(height)?;
        Ok(here.is_some_and(|here| here.hash == hash))
    }

    /// Asks for removed cities to be taken out of chains of this city's.
    async fn expel(&self, known: &mut Known) {
        for (city, of_city) in &mut known.changes.removed {
            let (mut ns, count) = (Vec::new(), of_city.len());
            let mut room = Budget::new(Kind::Expel);
            for (n, waiting) in of_city.iter_mut() {
                if waiting.act.is_due(turn(known.own_id, *n)) && room.fits(waiting.cities) {
                    ns.push(*n);
                    waiting.act.say();
                }
            }
            if !ns.is_empty() {
                tracing::info!(
                    city,
                    chains = ns.len(),
                    left = count,
                    "a removed city leaves"
                );
                self.say((APPLICATIONS, acts::expel(*city, ns))).await;
            }
        }
    }

    /// Has a chain look at the hub, now and then.
    async fn tell(&self, chain_id: ChainId, unsettled: &mut Unsettled) -> Result<(), FollowError> {
        let now = Instant::now();
        if unsettled.told.is_some_and(|told| now < told + TELL_AGAIN) {
            return Ok(());
        }
        unsettled.told = Some(now);
        unsettled.handle = self.hosting.hub_moved(chain_id).await?;
        Ok(())
    }

    /// Sends a transaction of this city's to one of the hub's contracts. Whether it had an effect is seen in the registry.
    pub(super) async fn say(&self, act: (Address, Bytes)) {
        let hub = &self.hub;
        let pooled = hub.pool(|pool| pool.next_nonce(self.own));
        let nonce = match pooled {
            Some(nonce) => Some(nonce),
            None => hub.reader().moment().ok().and_then(|moment| {
                let view = moment.view(moment.head().header.number).ok()?;
                let account = view.account(self.own).ok()?;
                Some(account.map_or(0, |account| account.nonce))
            }),
        };
        let chain_id = hub.reader().profile().chain_id;
        let key = &self.hosting.common().key;
        let transaction = nonce.and_then(|nonce| acts::signed(key, chain_id, nonce, act));
        let Some(transaction) = transaction else {
            tracing::warn!("the registry could not be told; it is tried again");
            return;
        };
        for verdict in hub.submit(vec![transaction]).await {
            if let Err(error) = verdict {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the registry could not be told; it is tried again"
                );
            }
        }
    }
}

fn warn(placement: &Placement, error: &FollowError) {
    tracing::warn!(
        chain_id = %placement.chain_id,
        error = error as &dyn std::error::Error,
        "a change of a chain's cities waits; it is tried again"
    );
}

/// The handover block of a chain of this city's.
async fn handover(
    hosting: &Hosting,
    chain_id: ChainId,
    n: u64,
) -> Result<Option<hub::abi::Handover>, FollowError> {
    let Some(handle) = hosting.open(chain_id).await? else {
        return Ok(None);
    };
    Ok(acts::handover(&handle.reader().moment()?, n)?)
}
