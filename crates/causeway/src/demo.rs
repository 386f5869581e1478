//! `causeway demo`: the main job, shown from outside, over JSON-RPC like any client.
//!
//! ```text
//!  four institutions found a network ▸ a fifth is voted in, its city starts ▸ two applications are placed
//!  ▸ transactions through one city, certificates and proofs from another
//!  ▸ a city is removed by vote: its chains go on without it ▸ the fifth takes its place
//! ```
//!
//! All cities run in this process, each with its own keys, data and links. A step's line is written once what it says was
//! seen: in the hub, or in blocks and proofs that were checked.

mod chain;
mod token;
mod votes;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use alloy_primitives::{Address, U64};
use anyhow::{Context as _, ensure};
use clap::Args;
use hub::abi::{APPLICATIONS, Application, CITIES, IApplications, ICities, Specification};
use serde::Deserialize;
use serde_json::json;

use crate::application::create;
use crate::city::City;
use crate::dev::Ended;
use crate::development::{self, Development, Plan};
use crate::governance::act::{Act, Change};
use crate::hub_client::registry::ACTIVE;
use crate::hub_client::{Hub, HubOptions, JsonRpc};
use crate::terminal::{self, Steps};
use chain::{Chain, SENT};

/// Founds a network of four institutions, votes a fifth in, places two applications and uses them, removes a city by vote,
/// and has its chains go on without it; every line is checked. Then it stays up.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// End when everything was shown.
    #[arg(long)]
    exit: bool,
    /// Port for HTTP and WebSocket of the first city, the others at the ports after it; 0 takes free ones.
    #[arg(long, default_value_t = 8545)]
    port: u16,
}

/// Cities that found the network: the fewest of which one may fail.
const FOUNDERS: usize = 4;
/// Where the fifth city is said to be.
const FIFTH_PLACE: &str = "CN CAN";
/// The city that is removed, by its number.
const REMOVED: u32 = 4;
/// Steps that are shown.
const STEPS: usize = 13;
/// How long one thing is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The network, as the demonstration runs and asks it.
#[derive(Debug)]
struct Network {
    development: Development,
    hub: Hub,
}

/// The two applications.
#[derive(Debug)]
struct Chains {
    tickets: Chain,
    cargo: Chain,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut end = Ended::listen()?;
    let mut steps = Steps::timed(STEPS);
    let founding = Box::pin(found(options.port));
    let title = "four institutions found a network";
    let mut network = Box::pin(steps.step(title, founding)).await?;
    let outcome = tokio::select! {
        outcome = Box::pin(show(&mut network, &mut steps)) => outcome.map(Some),
        () = end.wait() => Ok(None),
    };
    let told = match &outcome {
        Ok(Some(chains)) => tell(&network, chains),
        Ok(None) | Err(_) => Ok(()),
    };
    if told.is_ok() && matches!(outcome, Ok(Some(_))) && !options.exit {
        terminal::say(
            "\nThe network stays up: try it with your own tools. Gas is free. Ctrl-C ends it.",
        );
        end.wait().await;
    }
    network.development.stop().await;
    outcome.and(told)
}

/// Everything after the founding.
async fn show(network: &mut Network, steps: &mut Steps) -> anyhow::Result<Chains> {
    let title = "a fifth institution is voted in";
    let newcomer = steps.step(title, network.admit()).await?;
    let starting = Box::pin(network.start_fifth(newcomer));
    steps
        .step("its city starts and follows the hub", starting)
        .await?;
    let network = &*network;
    let placing = Box::pin(network.place_both());
    let mut chains = steps.step("two applications are placed", placing).await?;
    let Chains { tickets, cargo } = &mut chains;
    steps
        .step(
            "tickets: a token through city 1, from an account that owns nothing",
            network.deploy(tickets, 1),
        )
        .await?;
    steps
        .step(
            "tickets: a transfer through city 2, checked from city 3",
            network.transfer(tickets, 2, 3),
        )
        .await?;
    steps
        .step("cargo: a token through city 5", network.deploy(cargo, 5))
        .await?;
    steps
        .step(
            "cargo: a transfer through city 5, checked from city 1",
            network.transfer(cargo, 5, 1),
        )
        .await?;
    steps
        .step("city 4 is removed by vote", network.remove())
        .await?;
    let title = "both chains go over to the cities that are left";
    steps.step(title, network.left(tickets, cargo)).await?;
    steps
        .step("nobody talks with city 4 any more", network.shut_out())
        .await?;
    let title = "both go on without it: a transfer each";
    steps.step(title, network.go_on(tickets, cargo)).await?;
    let title = "the fifth city takes its place in tickets, and proves a transfer";
    steps.step(title, network.replace(tickets)).await?;
    Ok(chains)
}

/// The addresses, as result.
fn tell(network: &Network, chains: &Chains) -> anyhow::Result<()> {
    let hub_id = network.development.genesis().record.chain_id;
    let urls = |numbers: &[usize], path: &str| {
        let urls = numbers
            .iter()
            .filter_map(|number| network.development.cities.get(number - 1))
            .map(|city| format!("{}{path}", city.rpc_url()));
        urls.collect::<Vec<String>>().join("\n           ")
    };
    terminal::result(&format!("Hub        chain {hub_id}"))?;
    terminal::result(&format!("           {}", urls(&[1, 2, 3, 5], "")))?;
    for (chain, cities) in [
        (&chains.tickets, [1, 2, 3, 5].as_slice()),
        (&chains.cargo, &[1, 2, 5]),
    ] {
        let (name, id) = (&chain.name, chain.chain_id);
        terminal::result(&format!("{name:<10} chain {id}, token {}", chain.token))?;
        let path = format!("/chain/{id}");
        terminal::result(&format!("           {}", urls(cities, &path)))?;
    }
    Ok(())
}

/// Founds the network, and reads from its hub who founded it.
async fn found(port: u16) -> anyhow::Result<(Network, String)> {
    let development = Development::start(Plan {
        listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        data: None,
        cities: Some(FOUNDERS),
        chain_id: None,
        block_interval_ms: 0,
        cors: Vec::new(),
        hosts: Vec::new(),
        hub: true,
        strict_capacity: false,
        metrics: None,
    })
    .await?;
    let url = development.cities[0].rpc_url();
    let hub = Hub::open(&HubOptions { hub: url.parse()? }).await?;
    let network = Network { development, hub };
    let (members, cities) = match (network.hub.members().await, network.hub.cities().await) {
        (Ok(members), Ok(cities)) => (members.len(), cities),
        (Err(error), _) | (_, Err(error)) => {
            network.development.stop().await;
            return Err(error.into());
        }
    };
    let places: Vec<&str> = cities.iter().map(|city| city.place.as_str()).collect();
    let note = format!("{members} members, cities in {}", places.join(", "));
    Ok((network, note))
}

impl Network {
    /// JSON-RPC of city `number`.
    fn rpc(&self, number: usize) -> anyhow::Result<JsonRpc> {
        let city: &City = &self.development.cities[number - 1];
        Ok(JsonRpc::new(&city.rpc_url().parse()?)?)
    }

    /// Members vote a fifth in, of which there is a card so far.
    async fn admit(&self) -> anyhow::Result<(development::Newcomer, String)> {
        let accounts = &self.development.accounts;
        let authority = accounts[FOUNDERS].address();
        let newcomer = self.development.newcomer(authority, FIFTH_PLACE)?;
        let (card, proof) = newcomer.card.to_abi();
        let card = Box::new(card);
        let act = Act::Admit { card, proof };
        let voters: Vec<_> = accounts.iter().take(FOUNDERS).collect();
        let reason = "It runs a city in Canton.";
        let decided = votes::decide(&self.hub, &act, reason, &voters).await?;
        let member = self.hub.member_of(authority).await?;
        let member = member.context("the hub does not know the new member")?;
        let note = format!(
            "member {member}, by {} of {} votes, in the hub's block {}",
            decided.votes, decided.members, decided.block
        );
        Ok((newcomer, note))
    }

    /// Starts the fifth city in a folder of its own, waits until it has the hub as the others have it, and offers it.
    async fn start_fifth(
        &mut self,
        newcomer: development::Newcomer,
    ) -> anyhow::Result<((), String)> {
        let registered = self.hub.cities().await?;
        let node = newcomer.card.address;
        let city = registered.iter().find(|city| city.node == node);
        let id = city.context("the hub does not know the new city")?.id;
        self.development.join(newcomer, &registered).await?;
        let authority = &self.development.accounts[FOUNDERS];
        let offer = development::offer();
        let call = ICities::setOfferCall { id, offer };
        let receipt = self.hub.send(authority, CITIES, &call).await?;
        let number = receipt.block_number;
        let wanted = block_hash(&self.rpc(1)?, number).await?;
        let fifth = self.rpc(FOUNDERS + 1)?;
        within("the fifth city has the hub's latest block", async || {
            Ok(block_hash(&fifth, number).await? == wanted)
        })
        .await?;
        ensure!(wanted.is_some(), "the hub's block {number} is gone");
        let note = format!("city {id} has the hub's block {number} as city 1 has it");
        Ok(((), note))
    }

    async fn place_both(&self) -> anyhow::Result<(Chains, String)> {
        let tickets = self.place("tickets", &[1, 2, 3, 4]).await?;
        let cargo = self.place("cargo", &[1, 2, 4, 5]).await?;
        let note = String::from("tickets on cities 1, 2, 3, 4; cargo on 1, 2, 4, 5; all serve it");
        Ok((Chains { tickets, cargo }, note))
    }

    /// Places an application on cities, and waits until each serves the same first block.
    async fn place(&self, name: &str, cities: &[u32]) -> anyhow::Result<Chain> {
        let owner = &self.development.accounts[0];
        let specification = Specification {
            name: name.to_owned(),
            cities: cities.to_vec(),
            owner: owner.address(),
            gasLimit: 0,
            gasPerSecond: 1_000_000,
            bytesStored: 1 << 30,
            blocksPerSecond: 10,
            feeRule: 0,
            admission: 0,
            readers: 0,
            minimumIntervalMs: 0,
            allowConcentration: false,
        };
        let (placed, _note) = create::place(&self.hub, owner, &specification).await?;
        let mut served = Vec::new();
        for id in cities {
            served.push((*id, self.rpc(*id as usize)?.url().to_owned()));
        }
        let (first, _note) = create::served(&served, placed.chain_id).await?;
        ensure!(first.is_some(), "no city serves {name}");
        let application = self.hub.application(placed.n).await?;
        ensure!(
            application.cities.len() == cities.len(),
            "{name} is on other cities"
        );
        let network = self.development.genesis().network_id;
        Chain::from_genesis(&application, network, &self.rpc(1)?).await
    }

    async fn deploy(&self, chain: &mut Chain, city: usize) -> anyhow::Result<((), String)> {
        let block = chain.deploy(&self.rpc(city)?).await?;
        Ok(((), format!("{}, final in block {block}", chain.token)))
    }

    async fn transfer(
        &self,
        chain: &mut Chain,
        writer: usize,
        reader: usize,
    ) -> anyhow::Result<((), String)> {
        let checked = chain
            .transfer(&self.rpc(writer)?, &self.rpc(reader)?)
            .await?;
        let note = format!(
            "{SENT} sent; block {} signed by {} of {} cities, balance by its proof",
            checked.number, checked.signers, checked.cities
        );
        Ok(((), note))
    }

    /// Members vote a city out.
    async fn remove(&self) -> anyhow::Result<((), String)> {
        let accounts = &self.development.accounts;
        let voters: Vec<_> = accounts
            .iter()
            .take(FOUNDERS + 1)
            .zip(1..)
            .filter(|(_account, number)| *number != REMOVED)
            .map(|(account, _number)| account)
            .collect();
        let act = Act::City {
            change: Change::Remove,
            id: REMOVED,
        };
        let decided = votes::decide(&self.hub, &act, "It was sold.", &voters).await?;
        let note = format!(
            "{} of {} members are for it, in the hub's block {}",
            decided.votes, decided.members, decided.block
        );
        Ok(((), note))
    }

    /// Waits until the removed city has left both, and checks that the chains themselves name the others.
    async fn left(&self, tickets: &mut Chain, cargo: &mut Chain) -> anyhow::Result<((), String)> {
        let mut notes = Vec::new();
        for chain in [tickets, cargo] {
            notes.push(
                self.handed_over(chain, |cities| !cities.contains(&REMOVED))
                    .await?,
            );
        }
        Ok(((), notes.join("; ")))
    }

    /// Waits until an application is active on cities that are `wanted`, and its chain has named the same.
    async fn handed_over(
        &self,
        chain: &mut Chain,
        wanted: impl Fn(&[u32]) -> bool,
    ) -> anyhow::Result<String> {
        let what = format!("{} has its new cities", chain.name);
        within(&what, async || {
            let application: Application = self.hub.application(chain.n).await?;
            Ok(application.status == ACTIVE && wanted(&application.cities))
        })
        .await?;
        let application = self.hub.application(chain.n).await?;
        let handover = self.hub.handover_of(chain.n).await?;
        let (height, _hash) = handover.context("the hub was shown no handover")?;
        let city = self.rpc(1)?;
        within(
            "city 1 has the block with which the chain goes over",
            async || Ok(chain.latest(&city).await? >= height),
        )
        .await?;
        chain.catch_up(&city, height).await?;
        let mut named: Vec<Address> = chain.cities();
        let mut registered = application.validators;
        named.sort_unstable();
        registered.sort_unstable();
        ensure!(
            named == registered,
            "{} names other cities than the hub",
            chain.name
        );
        let cities: Vec<String> = application.cities.iter().map(u32::to_string).collect();
        Ok(format!(
            "{} to {} with block {height}",
            chain.name,
            in_order(cities)
        ))
    }

    /// Waits until the removed city is connected with nobody.
    async fn shut_out(&self) -> anyhow::Result<((), String)> {
        let removed = self.rpc(REMOVED as usize)?;
        within("the removed city is connected with nobody", async || {
            let peers: U64 = removed.ask("net_peerCount", json!([])).await?;
            Ok(peers.is_zero())
        })
        .await?;
        Ok(((), String::from("it runs, and is connected with no city")))
    }

    async fn go_on(&self, tickets: &mut Chain, cargo: &mut Chain) -> anyhow::Result<((), String)> {
        let tickets = tickets.transfer(&self.rpc(1)?, &self.rpc(2)?).await?;
        let cargo = cargo.transfer(&self.rpc(2)?, &self.rpc(5)?).await?;
        let note = format!(
            "signed by {} of {} and {} of {} cities, balances by their proofs",
            tickets.signers, tickets.cities, cargo.signers, cargo.cities
        );
        Ok(((), note))
    }

    /// The owner of an application adds the fifth city, which takes the chain in and answers for it.
    async fn replace(&self, chain: &mut Chain) -> anyhow::Result<((), String)> {
        let fifth = u32::try_from(FOUNDERS + 1)?;
        let call = IApplications::changeCall {
            n: chain.n,
            leaving: Vec::new(),
            joining: vec![fifth],
            allowConcentration: false,
        };
        let owner = &self.development.accounts[0];
        self.hub.send(owner, APPLICATIONS, &call).await?;
        let note = self
            .handed_over(chain, |cities| cities.contains(&fifth))
            .await?;
        let checked = chain.transfer(&self.rpc(1)?, &self.rpc(5)?).await?;
        let note = format!(
            "{note}; block {} signed by {} of {} cities",
            checked.number, checked.signers, checked.cities
        );
        Ok(((), note))
    }
}

fn in_order(mut cities: Vec<String>) -> String {
    cities.sort_unstable();
    cities.join(", ")
}

#[derive(Debug, Deserialize)]
struct Block {
    hash: alloy_primitives::B256,
}

/// The hash of a city's block, if it has it.
async fn block_hash(city: &JsonRpc, number: U64) -> anyhow::Result<Option<alloy_primitives::B256>> {
    let asked = json!([number, false]);
    let block: Option<Block> = city.ask("eth_getBlockByNumber", asked).await?;
    Ok(block.map(|block| block.hash))
}

/// Looks until it is so, for a bounded time.
async fn within(what: &str, is_so: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let wait = async {
        while !is_so().await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("not within {} s: {what}", PATIENCE.as_secs()))?
}
