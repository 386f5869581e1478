//! Follows the network's registry in this city's own copy of the hub: hosts the chains that are placed here, and meets the
//! cities that there are.
//!
//! Level-triggered: at the start, after a block was missed, and after anything failed, everything is compared; in between a
//! block's events say what to look at. An event that is lost or comes twice changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_primitives::Address;
use chain::ReadError;
use hub::abi::City;
use hub::{Changed, Placement, Registry, RegistryError};
use link::{Links, Peer, PeerId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use types::{ChainId, NetworkId};

use crate::handle::{ChainHandle, NewBlock};
use crate::hosting::{Hosting, OpenError};

/// After how long something that failed is tried again, if no block comes before.
const AGAIN: Duration = Duration::from_secs(10);

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

/// What was read.
struct Found {
    own_id: Option<u32>,
    cities: Option<Vec<City>>,
    placements: Vec<Placement>,
}

impl Follower {
    /// Follows until told to stop.
    pub(crate) async fn run(mut self) {
        let mut heads = self.hub.heads();
        let mut own_id = None;
        // What is to be compared: everything, or what a block changed.
        let mut changed = None;
        loop {
            let mut failed = false;
            match self.follow(own_id, changed.take()).await {
                Ok(id) => own_id = id,
                Err(error) => {
                    failed = true;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the registry is not followed; it is tried again"
                    );
                }
            }
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return,
                head = heads.recv() => match head {
                    // What failed is done with everything else.
                    Ok(_) if failed => {}
                    Ok(NewBlock { receipts, .. }) => changed = Some(Changed::by(&receipts, own_id)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(AGAIN), if failed => {}
            }
        }
    }

    /// Compares what `changed` names, or everything, with what is here. Returns this city's number.
    async fn follow(
        &self,
        own_id: Option<u32>,
        changed: Option<Changed>,
    ) -> Result<Option<u32>, FollowError> {
        if changed.as_ref() == Some(&Changed::default()) {
            return Ok(own_id);
        }
        let (hub, own, network_id) = (self.hub.clone(), self.own, self.network_id);
        let hosted = match changed {
            Some(_) => BTreeSet::new(),
            None => self
                .hosting
                .chains()?
                .into_iter()
                .map(ChainId::get)
                .collect(),
        };
        let read = move || -> Result<Found, FollowError> {
            let moment = hub.reader().moment()?;
            let registry = Registry::new(&moment);
            let looks_at_cities = changed.as_ref().is_none_or(|changed| changed.cities);
            let was_registered = own_id.is_some();
            let own_id = match own_id {
                Some(id) => Some(id),
                None => registry.city_id(own)?,
            };
            let placed = match (changed, own_id) {
                (Some(changed), _) if was_registered => changed.placed,
                (_, Some(id)) => registry.placed_on(id)?,
                (_, None) => Vec::new(),
            };
            // The hub is number 0 of its network, and chain ids count up from there.
            let first = moment.profile().chain_id.get();
            let is_new = |n: &u64| !hosted.contains(&first.saturating_add(*n));
            let mut placements = Vec::new();
            for n in placed.into_iter().filter(is_new) {
                match registry.placement(n, network_id) {
                    Ok(placement) => placements.push(placement),
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
                cities: looks_at_cities.then(|| registry.cities()).transpose()?,
                placements,
            })
        };
        let found = tokio::task::spawn_blocking(read)
            .await
            .unwrap_or(Err(FollowError::Panicked))?;
        if let Some(cities) = &found.cities {
            self.meet(cities);
        }
        let mut failed = None;
        for placement in found.placements {
            let (chain_id, n) = (placement.chain_id, placement.n);
            let Some(genesis) = placement.genesis else {
                continue;
            };
            // One that cannot be begun keeps no other away.
            match self.hosting.create(genesis).await {
                Ok(_parked_when_idle) => tracing::info!(%chain_id, n, "hosting an application"),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(found.own_id),
        }
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
        // A city meets nobody when it reads of nobody: that registry is not a network's.
        if !cities.is_empty() {
            links.set_peers(cities.iter().map(peer).collect());
        }
    }
}
