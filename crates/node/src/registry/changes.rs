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

use alloy_primitives::Bytes;
use hub::{Placement, acts};
use tokio::time::Instant;

use super::{ChainHandle, ChainId, FollowError, Follower, Known, Status};
use crate::hosting::Hosting;

/// Chains that are being handed over, or taken in, at a time.
const AT_A_TIME: usize = 64;
/// How long the next of a chain's cities waits for the one before it to say what any may say.
const TURN: Duration = Duration::from_secs(1);
/// After how long something that was said and changed nothing is said again.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// How long a chain is in hand without success before it makes room for as long.
const IN_HAND: Duration = Duration::from_secs(30);
/// How often a chain that is not settled is told to look at the hub.
const TELL_AGAIN: Duration = Duration::from_secs(2);

/// What is not settled.
#[derive(Debug, Default)]
pub(super) struct Changes {
    chains: BTreeMap<u64, Unsettled>,
    /// Removed cities, each with applications of this city that still name it, since when.
    removed: BTreeMap<u32, BTreeMap<u64, Waiting>>,
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
}

/// Something to be said to the registry.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Since when it could be said.
    since: Option<Instant>,
    said: Option<Instant>,
}

impl Waiting {
    /// Whether it is time, for the city whose turn is `rank`.
    fn is_due(&mut self, rank: u32) -> bool {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let is_turn = now >= since + TURN * rank;
        let is_said = self.said.is_some_and(|said| now < said + SAY_AGAIN);
        is_turn && !is_said
    }

    fn say(&mut self) {
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
        };
        self.chains.insert(unsettled.placement.n, unsettled);
    }

    /// A chain is as the registry has it, or none of this city's.
    pub(super) fn forget(&mut self, n: u64) {
        self.chains.remove(&n);
    }

    /// These cities are none any more.
    pub(super) fn removed(&mut self, cities: &BTreeSet<u32>) {
        self.removed.retain(|city, _| cities.contains(city));
        for city in cities {
            self.removed.entry(*city).or_default();
        }
    }

    /// So an application of this city is now: does it name a city that is none any more?
    pub(super) fn saw(&mut self, placement: &Placement) {
        for (city, of_city) in &mut self.removed {
            if placement.status == Status::Runs && placement.cities.contains(city) {
                of_city.entry(placement.n).or_default();
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
            self.rests_until = Some(now + IN_HAND);
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

/// Whose turn it is on application `n`: how many of its cities come before this one.
fn rank(placement: &Placement, own: alloy_primitives::Address) -> u32 {
    let count = placement.validators.len().max(1) as u64;
    let place = placement.validators.iter().position(|node| *node == own);
    let place = place.map_or(count, |place| place as u64);
    u32::try_from((place + placement.n) % count).unwrap_or_default()
}

impl Follower {
    /// Does what is due for chains whose cities change.
    pub(super) async fn see_to_changes(&self, known: &mut Known) -> Result<(), FollowError> {
        if !known.changes.is_busy() {
            return Ok(());
        }
        let (mut ready, mut shown) = (Vec::new(), Vec::new());
        let is_in_hand = |unsettled: &&Unsettled| unsettled.taken.is_some();
        let mut in_hand = known.changes.chains.values().filter(is_in_hand).count();
        for (n, unsettled) in &mut known.changes.chains {
            let chain_id = unsettled.placement.chain_id;
            let change = unsettled.placement.change.clone();
            let joins = change
                .as_ref()
                .and_then(|change| known.own_id.filter(|own| change.joining.contains(own)));
            let is_named = change.as_ref().is_none_or(|change| change.is_named);
            // While others take the chain in there is nothing to do here.
            if (!is_named && joins.is_none()) || !unsettled.take(&mut in_hand) {
                continue;
            }
            let Some(change) = change else {
                self.tell(chain_id, unsettled).await?;
                continue;
            };
            if change.is_named {
                let tables = &self.hosting.common().tables;
                let named = chain::genesis::named_set(&**tables, chain_id)?;
                if named != Some(unsettled.placement.set_hash) {
                    self.tell(chain_id, unsettled).await?;
                } else if shown.len() < acts::MOST_SHOWN
                    && unsettled.act.is_due(rank(&unsettled.placement, self.own))
                    && let Some(handover) = handover(&self.hosting, chain_id, *n).await?
                {
                    shown.push(handover);
                    unsettled.act.say();
                }
            } else if let Some(own) = joins.filter(|own| !change.ready.contains(own)) {
                let holds = unsettled
                    .handle
                    .as_ref()
                    .is_some_and(|handle| handle.status().holds);
                if !holds {
                    self.tell(chain_id, unsettled).await?;
                } else if ready.len() < acts::MOST_READY && unsettled.act.is_due(0) {
                    tracing::info!(%chain_id, n, own, "this city holds a chain that it joins");
                    ready.push(*n);
                    unsettled.act.say();
                }
            }
        }
        if !ready.is_empty() {
            self.say(acts::ready(ready)).await;
        }
        if !shown.is_empty() {
            self.say(acts::show(shown)).await;
        }
        if in_hand < AT_A_TIME / 2 {
            self.expel(known).await;
        }
        Ok(())
    }

    /// Asks for removed cities to be taken out of chains of this city's.
    async fn expel(&self, known: &mut Known) {
        for (city, of_city) in &mut known.changes.removed {
            let (mut ns, count) = (Vec::new(), of_city.len());
            for (n, waiting) in of_city.iter_mut() {
                // Any of the chain's cities may; they take turns by their numbers.
                let turn = known.own_id.map_or(0, |own| (u64::from(own) + n) % 4);
                if ns.len() < acts::MOST_EXPELLED
                    && waiting.is_due(u32::try_from(turn).unwrap_or(0))
                {
                    ns.push(*n);
                    waiting.say();
                }
            }
            if !ns.is_empty() {
                tracing::info!(
                    city,
                    chains = ns.len(),
                    left = count,
                    "a removed city leaves"
                );
                self.say(acts::expel(*city, ns)).await;
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

    /// Sends a transaction of this city's to the hub. Whether it had an effect is seen in the registry.
    async fn say(&self, input: Bytes) {
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
        let transaction = nonce.and_then(|nonce| acts::signed(key, chain_id, nonce, input));
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
