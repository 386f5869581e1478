//! Development chains: one city or several in one process, with ten funded accounts whose keys anybody knows.
//!
//! ```text
//!  DIR                one city
//!  DIR/city-1 … n     several, each with its own key and data, connected over loopback as if they were apart
//! ```

mod hub;
mod newcomer;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, b256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, bail, ensure};
use chain::Genesis;
use link::{Identity, Peer, PeerId};
use node::{Cities, Clock as _, Host, Options, Seat, SystemClock};
use rpc::Cors;
use tempfile::TempDir;
use tokio::task::JoinSet;
use types::{ChainId, Founding, Record, Validator, ValidatorSet};

use crate::cities::keys::{self, TLS_FILE};
use crate::city::{City, SEND_WAIT, Serving};
pub(crate) use hub::offer;
pub(crate) use newcomer::Newcomer;

/// The mnemonic of the development accounts; anybody knows it.
pub(crate) const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Most cities of one development chain.
pub(crate) const MAX_CITIES: usize = 31;

/// The keys of the ten funded accounts, m/44'/60'/0'/0/0 to 9 of [`MNEMONIC`]. Constants, because deriving them takes half
/// of the start's time.
const ACCOUNT_KEYS: [B256; 10] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// The ten funded accounts, and as many more as make up `count`, which have nothing: members of a large network.
pub(crate) fn accounts(count: usize) -> anyhow::Result<Vec<PrivateKeySigner>> {
    let more = (ACCOUNT_KEYS.len()..count)
        .map(|number| keccak256(format!("causeway development account {number}")));
    let keys = ACCOUNT_KEYS.into_iter().chain(more);
    keys.map(|key| Ok(PrivateKeySigner::from_bytes(&key)?))
        .collect()
}

/// How many members a chain's network begins with.
fn members(plan: &Plan) -> usize {
    plan.cities.filter(|_| plan.hub).unwrap_or_default()
}

/// What a development chain is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where to serve RPC; further cities on the ports after it, or on free ones where it is 0.
    pub(crate) listen: SocketAddr,
    /// The data folder; a temporary one when there is none.
    pub(crate) data: Option<PathBuf>,
    /// How many cities keep the chain; as many as in the folder, or one, when it is not said.
    pub(crate) cities: Option<usize>,
    /// The chain id; that of the folder, or 31337, when there is none.
    pub(crate) chain_id: Option<ChainId>,
    /// Least milliseconds between blocks of a new chain.
    pub(crate) block_interval_ms: u64,
    /// Further web pages that may ask.
    pub(crate) cors: Vec<String>,
    /// Further `Host` names that are served.
    pub(crate) hosts: Vec<String>,
    /// Whether the chain is the hub of a network, with a registry, and the cities host what is placed on them.
    pub(crate) hub: bool,
    /// Whether applications take no more than was sold to them, whatever there is to spare.
    pub(crate) strict_capacity: bool,
    /// Where to serve metrics, of the first city.
    pub(crate) metrics: Option<SocketAddr>,
}

/// A running development chain.
#[derive(Debug)]
pub(crate) struct Development {
    /// At least one.
    pub(crate) cities: Vec<City>,
    pub(crate) accounts: Vec<PrivateKeySigner>,
    plan: Plan,
    data: PathBuf,
    // Last, so that it outlives what writes to it.
    temporary: Option<TempDir>,
}

impl Development {
    /// Starts a chain as planned.
    pub(crate) async fn start(plan: Plan) -> anyhow::Result<Self> {
        let temporary = match &plan.data {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("causeway-")
                    .tempdir()
                    .context("no room for temporary data")?,
            ),
        };
        let data = plan
            .data
            .clone()
            .or_else(|| Some(temporary.as_ref()?.path().to_path_buf()))
            .unwrap_or_default();
        let accounts = accounts(members(&plan))?;
        // Blocks while the logs are read: nothing else runs yet.
        let hosts = tokio::task::block_in_place(|| hosts(&plan, &data))?;
        let mut development = Self {
            cities: Vec::with_capacity(hosts.len()),
            accounts,
            plan,
            data,
            temporary,
        };
        for (host, index) in hosts.into_iter().zip(0..) {
            let serving = development.serving(index)?;
            development.cities.push(City::serve(host, serving).await?);
        }
        meet(&development.cities).await;
        Ok(development)
    }

    /// Where the city at this place serves RPC.
    fn listen_of(&self, index: usize) -> anyhow::Result<SocketAddr> {
        let mut listen = self.plan.listen;
        if listen.port() != 0 {
            let port = listen.port().checked_add(u16::try_from(index)?);
            listen.set_port(port.context("--port: not enough ports after it for all cities")?);
        }
        Ok(listen)
    }

    /// How the city at this place is served.
    fn serving(&self, index: usize) -> anyhow::Result<Serving> {
        let plan = &self.plan;
        Ok(Serving {
            listen: Some(self.listen_of(index)?),
            cors: Cors {
                loopback: true,
                origins: plan.cors.clone(),
            },
            hosts: plan.hosts.clone(),
            accounts: self.accounts.clone(),
            send_wait: SEND_WAIT,
            name: String::from("development"),
            metrics: plan.metrics.filter(|_| index == 0),
        })
    }

    /// Whether the data goes with the process.
    pub(crate) const fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// What the chain began with.
    pub(crate) fn genesis(&self) -> &Genesis {
        self.cities[0].host.genesis()
    }

    /// Ends everything in order.
    pub(crate) async fn stop(self) {
        let Self {
            cities, temporary, ..
        } = self;
        // Together: each waits a moment for its farewells.
        let mut stopping = JoinSet::new();
        for city in cities {
            stopping.spawn(city.stop());
        }
        while stopping.join_next().await.is_some() {}
        drop(temporary);
    }
}

/// Waits until the cities are connected, so that the first transaction finds them all; not for long, because a chain goes
/// on without some.
async fn meet(cities: &[City]) {
    let mut look = tokio::time::interval(Duration::from_millis(2));
    for _ in 0..MEETING_LOOKS {
        if cities
            .iter()
            .all(|city| city.host.chain().connected() + 1 == cities.len())
        {
            return;
        }
        look.tick().await;
    }
}

/// Two seconds, at 2 ms a look.
const MEETING_LOOKS: u32 = 1_000;

/// The folders of a chain in `data`, for as many cities as it has or is to have.
fn folders(data: &Path, wanted: Option<usize>) -> anyhow::Result<Vec<PathBuf>> {
    let of_city = |number: usize| data.join(format!("city-{number}"));
    let there = (1..=MAX_CITIES)
        .take_while(|number| of_city(*number).exists())
        .count();
    let single = data.join("format").exists();
    let count = match (wanted, there, single) {
        (None, 0, _) => 1,
        (None, there, _) => there,
        (Some(wanted), 0, false) => wanted,
        (Some(1), 0, true) => 1,
        (Some(wanted), there, _) => {
            let there = if single { 1 } else { there };
            ensure!(
                wanted == there,
                "the data folder {} holds a chain of {there} cities, not {wanted}; leave --cities out, or choose another folder",
                data.display()
            );
            wanted
        }
    };
    if count == 1 && there == 0 {
        return Ok(vec![data.to_path_buf()]);
    }
    Ok((1..=count).map(of_city).collect())
}

fn hosts(plan: &Plan, data: &Path) -> anyhow::Result<Vec<Host>> {
    let folders = folders(data, plan.cities)?;
    let seats = folders
        .iter()
        .map(|folder| Seat::take(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<Address> = seats.iter().map(|seat| seat.key.address()).collect();
    let connections = connections(&seats, plan.hub)?;
    let found = if plan.hub {
        hub_genesis(plan, &seats, &connections)?
    } else {
        genesis(plan, &addresses)?
    };
    let options = Options {
        strict_capacity: plan.strict_capacity,
        ..Options::development(Arc::new(SystemClock))
    };
    let mut connections = connections.into_iter();
    let mut hosts = Vec::with_capacity(seats.len());
    for seat in seats {
        let cities = connections.next();
        hosts.push(Host::launch(
            seat,
            &options,
            plan.chain_id,
            cities,
            |_key| Some(found.clone()),
        )?);
    }
    if let [first, others @ ..] = hosts.as_slice()
        && others
            .iter()
            .any(|other| other.genesis() != first.genesis())
    {
        bail!(
            "the cities in {} do not keep the same chain",
            data.display()
        );
    }
    Ok(hosts)
}

/// How the cities meet: over loopback, at free ports, by keys in their folders. None for a single city.
fn connections(seats: &[Seat], are_registered: bool) -> anyhow::Result<Vec<Cities>> {
    if seats.len() < 2 && !are_registered {
        return Ok(Vec::new());
    }
    let mut identities: Vec<Identity> = Vec::with_capacity(seats.len());
    let mut sockets = Vec::with_capacity(seats.len());
    for seat in seats {
        let path = seat.folder.path();
        let identity = if path.join(TLS_FILE).exists() {
            keys::read_identity(path)?
        } else {
            keys::make_identity(path)?
        };
        identities.push(identity);
        // All are held until each is known, so that they differ.
        sockets.push(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no free UDP port")?);
    }
    let mut peers = Vec::with_capacity(seats.len());
    for ((seat, identity), socket) in seats.iter().zip(&identities).zip(&sockets) {
        peers.push(Peer {
            id: PeerId(seat.key.address().into_array()),
            fingerprint: identity.fingerprint(),
            endpoint: socket.local_addr()?.to_string(),
        });
    }
    let listens: Vec<SocketAddr> = sockets
        .iter()
        .map(UdpSocket::local_addr)
        .collect::<Result<_, _>>()?;
    drop(sockets);
    // They are elsewhere at every start, whatever a registry says.
    let endpoints: BTreeMap<Address, String> = peers
        .iter()
        .map(|peer| (Address::from(peer.id.0), peer.endpoint.clone()))
        .collect();
    Ok(identities
        .into_iter()
        .zip(listens)
        .map(|(identity, listen)| Cities {
            identity,
            listen,
            peers: peers.clone(),
            endpoints: endpoints.clone(),
            network: None,
        })
        .collect())
}

/// How the hub of a development network begins.
fn hub_genesis(plan: &Plan, seats: &[Seat], connections: &[Cities]) -> anyhow::Result<Genesis> {
    let authorities = hub::authorities(&accounts(seats.len())?, seats.len());
    ensure!(
        authorities.len() == seats.len(),
        "--hub: there are accounts for {} members, not for {}",
        authorities.len(),
        seats.len()
    );
    let endpoints: Vec<String> = connections
        .iter()
        .map(|cities| cities.listen.to_string())
        .collect();
    let rpc_of = |index: u16| match plan.listen.port() {
        0 => String::new(),
        port => format!("http://{}:{}", plan.listen.ip(), port.saturating_add(index)),
    };
    let rpcs: Vec<String> = (0..).take(seats.len()).map(rpc_of).collect();
    let founders: Vec<hub::Founder<'_>> = (0..seats.len())
        .map(|index| hub::Founder {
            key: &seats[index].key,
            authority: authorities[index],
            tls_fingerprint: connections[index].identity.fingerprint().into(),
            endpoint: &endpoints[index],
            rpc: &rpcs[index],
        })
        .collect();
    hub::genesis(&founders)
}

fn genesis(plan: &Plan, cities: &[Address]) -> anyhow::Result<Genesis> {
    let now_ms = SystemClock.now_ms();
    let validators = cities
        .iter()
        .map(|address| Validator {
            address: *address,
            power: 1,
        })
        .collect();
    let validators = ValidatorSet::new(validators)?;
    let founding = Founding {
        name: String::from("development"),
        founded_ms: now_ms,
        members: Vec::new(),
        cities: cities.to_vec(),
        validators: validators.clone(),
        parameters: Vec::new(),
    };
    let mut record = Record::development(plan.chain_id.unwrap_or(ChainId::DEVELOPMENT), now_ms);
    record.minimum_interval_ms = plan.block_interval_ms;
    Ok(Genesis {
        record,
        validators,
        network_id: founding.network_id(),
        creator: None,
        registry: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{MNEMONIC, accounts};
    use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
    use types::genesis::DEVELOPMENT_ACCOUNTS;

    #[test]
    fn the_keys_are_those_of_the_mnemonic_and_of_the_funded_accounts() {
        let accounts = accounts(0).expect("they are keys");
        assert_eq!(accounts.len(), DEVELOPMENT_ACCOUNTS.len());
        for ((account, funded), index) in accounts.iter().zip(DEVELOPMENT_ACCOUNTS).zip(0..) {
            let builder = MnemonicBuilder::<English>::default()
                .phrase(MNEMONIC)
                .index(index);
            let derived = builder.expect("an index").build().expect("a key");
            assert_eq!(
                (account.address(), account.address()),
                (funded, derived.address())
            );
        }
    }
}
