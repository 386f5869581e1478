//! A city that joins a running development network: it has a folder and keys first, a card that members vote on, and runs
//! once they have agreed.

use std::slice;
use std::sync::Arc;

use alloy_primitives::Address;
use anyhow::Context as _;
use link::{Peer, PeerId};
use node::{Cities, Host, Options, Seat, SystemClock};

use super::{Development, connections};
use crate::cities::card::{Card, Words};
use crate::city::City;

/// A city that does not run yet.
#[derive(Debug)]
pub(crate) struct Newcomer {
    seat: Seat,
    cities: Cities,
    /// What it says of itself.
    pub(crate) card: Card,
}

impl Development {
    /// Makes folder, keys and card of a city of a new member for whom `authority` speaks.
    pub(crate) fn newcomer(&self, authority: Address, place: &str) -> anyhow::Result<Newcomer> {
        let number = self.cities.len() + 1;
        let seat = Seat::take(&self.data.join(format!("city-{number}")))?;
        let mut cities = connections(slice::from_ref(&seat), true)?;
        let cities = cities.pop().context("a registered city has links")?;
        let listen = self.listen_of(self.cities.len())?;
        let rpc = (listen.port() != 0).then(|| format!("http://{listen}").parse());
        let words = Words {
            network: self.genesis().network_id.0,
            member: format!("Member {number}").parse()?,
            authority,
            place: place.parse()?,
            endpoint: cities.listen.to_string().parse()?,
            rpc: rpc.transpose()?,
        };
        let fingerprint = cities.identity.fingerprint().into();
        let card = Card::sign(words, fingerprint, &seat.key);
        Ok(Newcomer { seat, cities, card })
    }

    /// Starts it beside the others, which know it from the registry; it knows `registered`, and the hub's genesis.
    pub(crate) async fn join(
        &mut self,
        newcomer: Newcomer,
        registered: &[hub::abi::City],
    ) -> anyhow::Result<()> {
        let Newcomer {
            seat, mut cities, ..
        } = newcomer;
        let own = seat.key.address();
        let others = registered.iter().filter(|city| city.node != own);
        cities.peers.extend(others.map(|city| Peer {
            id: PeerId(city.node.into_array()),
            fingerprint: city.tlsFingerprint.0,
            endpoint: city.endpoint.clone(),
        }));
        let serving = self.serving(self.cities.len())?;
        let genesis = self.genesis().clone();
        let options = Options::development(Arc::new(SystemClock));
        // Blocks while the log is read.
        let host = tokio::task::block_in_place(|| {
            Host::launch(seat, &options, None, Some(cities), |_key| Some(genesis))
        })?;
        self.cities.push(City::serve(host, serving).await?);
        Ok(())
    }
}
