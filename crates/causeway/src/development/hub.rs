//! The hub of a development network: each city is of a member of its own, whose authority is one of the accounts that
//! anybody knows.

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;
use chain::Genesis;
use hub::abi::{self, Card, FoundingCity, Offer};
use node::{Clock as _, SystemClock};
use types::{ChainId, Founding, NodeKey, Record, Validator, ValidatorSet};

/// Where the cities are said to be, by UN/LOCODE.
pub(super) const PLACES: [&str; 10] = [
    "CN SHA", "CN HGH", "CN NKG", "CN HFE", "CN CAN", "CN BJS", "HK HKG", "SG SIN", "AE DXB",
    "CH ZRH",
];

/// What every city offers, to every member: more than this machine has, so that tests are not about capacity.
const OFFER: (u64, u64, u32, u32) = (1_000_000_000_000, 1 << 50, 100_000, 1_000_000);

/// One city that founds the network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Founder<'a> {
    pub(super) key: &'a NodeKey,
    pub(super) authority: Address,
    pub(super) tls_fingerprint: B256,
    pub(super) endpoint: &'a str,
    pub(super) rpc: &'a str,
}

/// How the hub of these founders begins; their order gives places and members' names.
pub(super) fn genesis(founders: &[Founder<'_>]) -> anyhow::Result<Genesis> {
    let founded_ms = SystemClock.now_ms();
    let cities: Vec<Address> = founders.iter().map(|city| city.key.address()).collect();
    let validators = cities
        .iter()
        .map(|&address| Validator { address, power: 1 })
        .collect();
    let validators = ValidatorSet::new(validators)?;
    let founding = Founding {
        name: String::from("development"),
        founded_ms,
        members: founders.iter().map(|city| city.authority).collect(),
        cities,
        validators: validators.clone(),
        parameters: Vec::new(),
    };
    let network_id = founding.network_id();
    let hub_id = ChainId::of_network(network_id, 0).context("n = 0 is in range")?;
    let record = Record::development(hub_id, founded_ms);
    let of_hub = abi::Founding {
        networkId: network_id.0,
        chainIdPrefix: record.chain_id.get() >> 21,
        hubRecord: record.encode().into(),
        cities: founders.iter().zip(0..).map(city).collect(),
        offer: offer(),
    };
    let registry = hub::contracts::registry(&of_hub, &[]);
    Ok(Genesis {
        record,
        validators,
        network_id,
        creator: None,
        registry: Some(registry),
    })
}

fn city((founder, index): (&Founder<'_>, usize)) -> FoundingCity {
    let card = Card {
        version: hub::card::VERSION,
        network: B256::ZERO,
        member: format!("Member {}", index + 1),
        authority: founder.authority,
        place: PLACES[index % PLACES.len()].to_owned(),
        node: founder.key.address(),
        tlsFingerprint: founder.tls_fingerprint,
        endpoint: founder.endpoint.to_owned(),
        rpc: founder.rpc.to_owned(),
    };
    let proof = founder.key.sign(hub::card::digest(&card));
    FoundingCity {
        card,
        proof: proof.0.to_vec().into(),
    }
}

/// What every city offers.
pub(crate) fn offer() -> Offer {
    let (gas_per_second, bytes_stored, chains, blocks_per_second) = OFFER;
    Offer {
        gasPerSecond: gas_per_second,
        bytesStored: bytes_stored,
        chains,
        blocksPerSecond: blocks_per_second,
        pricePerGasSecond: 0,
        policy: 1,
        listed: Vec::new(),
    }
}

/// The authorities of `count` members.
pub(super) fn authorities(accounts: &[PrivateKeySigner], count: usize) -> Vec<Address> {
    accounts
        .iter()
        .take(count)
        .map(PrivateKeySigner::address)
        .collect()
}
