//! A network as its founders make it: a pure function of name, time, parameters and cards.
//!
//! The network's id is the hash of the founders' record (`types::Founding`), and the chain id of the hub, n = 0, follows
//! from it. A network has one city a member, each with power 1. `cities` are the cards' addresses, `members` the cards'
//! authorities, both ascending. The numbers of the hub's record and of the founders' standing offer are parameters of the
//! founding; what has no parameter is fixed, see [`hub_record`] and [`Network::hub_founding`].

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use chain::Genesis;
use hub::abi;
use types::record::DEFAULT_GAS_LIMIT;
use types::{
    Admission, ChainId, FeeRule, Founding, NetworkId, Readers, Record, TimeoutBounds, Validator,
    ValidatorSet,
};

use super::tolerance::{self, Tolerance};
use crate::cities::card::Card;
use crate::cities::names::NetworkName;

/// Most cities of a hub: its certificates stay small enough for contracts to check.
const MAX_CITIES: usize = 31;

/// Bits of a chain id that count the applications of a network (formats, "Identity").
const APPLICATION_BITS: u32 = 21;

/// Gas that a block may use.
const GAS_LIMIT: &str = "gas_limit";
/// Least milliseconds between two blocks.
const MINIMUM_INTERVAL_MS: &str = "minimum_interval_ms";
/// Least milliseconds of a consensus time-out.
const TIMEOUT_LEAST_MS: &str = "timeout_least_ms";
/// Most milliseconds of a consensus time-out.
const TIMEOUT_MOST_MS: &str = "timeout_most_ms";

/// Gas a second that each founding city offers at first.
const OFFER_GAS_PER_SECOND: &str = "offer_gas_per_second";
/// Bytes that each founding city offers at first.
const OFFER_BYTES: &str = "offer_bytes";
/// Chains that each founding city offers at first.
const OFFER_CHAINS: &str = "offer_chains";
/// Blocks a second that each founding city offers at first.
const OFFER_BLOCKS_PER_SECOND: &str = "offer_blocks_per_second";

/// The founders' standing offer, until each makes its own. An offer is what is sold, not what is used at once: nearly all
/// small applications sleep, and a parked one is rows. So a city of two cores takes 10,000 applications that each book what
/// `app create` books unless told otherwise: 100,000 gas a second (four transfers), 128 MiB, a block a second.
const OFFER: [(&str, u64); 4] = [
    (OFFER_GAS_PER_SECOND, 1_000_000_000),
    (OFFER_BYTES, 10_000 * (128 << 20)),
    (OFFER_CHAINS, 10_000),
    (OFFER_BLOCKS_PER_SECOND, 10_000),
];
/// The policy of an offer to every member.
const EVERY_MEMBER: u8 = 1;

/// Each parameter with the least and the most that makes a chain which works: a block holds the largest transaction of
/// EIP-7825, and time-outs are those of any chain. An offer may be of nothing, and its most is what
/// the hub's contracts take.
const PARAMETERS: [(&str, u64, u64); 8] = [
    (GAS_LIMIT, 1 << 24, 1_000_000_000),
    (MINIMUM_INTERVAL_MS, 0, 60_000),
    (TIMEOUT_LEAST_MS, 50, 60_000),
    (TIMEOUT_MOST_MS, 50, 60_000),
    (OFFER_GAS_PER_SECOND, 0, 1_000_000_000_000),
    (OFFER_BYTES, 0, 1 << 60),
    (OFFER_CHAINS, 0, 1_000_000),
    (OFFER_BLOCKS_PER_SECOND, 0, 1_000_000_000),
];

/// What the hub's members may agree on later, and founders may begin with: with the bounds of `contracts/hub/Parameters.sol`.
/// One that is not said has the contract's default.
const AGREED: [(&str, u64, u64); 13] = [
    ("threshold", 500, 999),
    ("removalThreshold", 500, 999),
    ("quorum", 0, 1_000),
    ("timeLock", 0, 90 * DAY),
    ("votingPeriod", 60, 90 * DAY),
    ("executionPeriod", 3_600, 365 * DAY),
    (MINIMUM_MEMBERS, 1, 1_000),
    ("creationsPerDay", 1, 100_000),
    ("successorDelay", 0, 90 * DAY),
    ("closedDataKept", 0, 3_650 * DAY),
    ("nameRest", 0, 3_650 * DAY),
    ("citiesPerMember", 1, 4_096),
    ("proposalsPerDay", 1, 10_000),
];
/// Active members that the network keeps.
const MINIMUM_MEMBERS: &str = "minimumMembers";
/// Seconds.
const DAY: u64 = 86_400;

/// A network as it was founded, and its cities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    founding: Founding,
    network_id: NetworkId,
    chain_id: ChainId,
    record: Record,
    /// Ascending by address, as the validators are.
    cards: Vec<Card>,
}

/// Why cards and parameters found no network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoundingError {
    /// A parameter that is missing, unknown, or out of bounds.
    #[error("founding.parameters.{name}: {what}")]
    Parameter {
        /// Which.
        name: String,
        /// Why.
        what: ParameterFault,
    },
    /// Too few or too many.
    #[error("cards: a network begins with 1 to {MAX_CITIES} cities, not {count}")]
    Count {
        /// How many there are.
        count: usize,
    },
    /// A card of a city that joins a network is no founder's.
    #[error(
        "cards[{index}]: network: the card is for the network {network}, a founder's is for none: make it with `causeway city init`"
    )]
    Network {
        /// Counted from zero.
        index: usize,
        /// On the card.
        network: B256,
    },
    /// Two cards for one thing.
    #[error("cards[{first}] and cards[{second}]: both have the same {what}")]
    Twice {
        /// Counted from zero.
        first: usize,
        /// Counted from zero.
        second: usize,
        /// The key.
        what: &'static str,
    },
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterFault {
    /// It has to be there.
    #[error("it is missing")]
    Missing,
    /// A later release may know it.
    #[error("no such parameter is known")]
    Unknown,
    /// No chain works with it.
    #[error("it is not between {least} and {most}")]
    Bounds {
        /// Least that is allowed.
        least: u64,
        /// Most that is allowed.
        most: u64,
    },
}

impl Network {
    /// Founds a network with the parameters of this release, but for those that are given.
    ///
    /// # Errors
    ///
    /// [`FoundingError`].
    pub(crate) fn found(
        name: &NetworkName,
        cards: Vec<Card>,
        founded_ms: u64,
        given: Vec<(String, u64)>,
    ) -> Result<Self, FoundingError> {
        let TimeoutBounds { least_ms, most_ms } = TimeoutBounds::default();
        let parameters = [
            (GAS_LIMIT, DEFAULT_GAS_LIMIT),
            (MINIMUM_INTERVAL_MS, 0),
            (TIMEOUT_LEAST_MS, least_ms),
            (TIMEOUT_MOST_MS, most_ms),
        ];
        let parameters = parameters.into_iter().chain(OFFER);
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let parameters = parameters.chain(given);
        Self::found_with(name, cards, founded_ms, parameters.collect())
    }

    /// Founds a network with the parameters given.
    ///
    /// # Errors
    ///
    /// [`FoundingError`].
    pub(super) fn found_with(
        name: &NetworkName,
        mut cards: Vec<Card>,
        founded_ms: u64,
        parameters: BTreeMap<String, u64>,
    ) -> Result<Self, FoundingError> {
        check_count(cards.len())?;
        check_network(&cards)?;
        check_apart(&cards)?;
        check_parameters(&parameters)?;
        check_members(cards.len(), &parameters)?;
        cards.sort_by_key(|card| card.address);
        let addresses: Vec<Address> = cards.iter().map(|card| card.address).collect();
        let validators = equal_set(&addresses);
        let mut members: Vec<Address> = cards.iter().map(|card| card.authority).collect();
        members.sort_unstable();
        let founding = Founding {
            name: name.as_str().to_owned(),
            founded_ms,
            members,
            cities: addresses,
            validators,
            parameters: parameters.into_iter().collect(),
        };
        let network_id = founding.network_id();
        let chain_id = hub_id(network_id);
        Ok(Self {
            record: hub_record(&founding, chain_id),
            founding,
            network_id,
            chain_id,
            cards,
        })
    }

    /// How it was founded.
    pub(crate) const fn founding(&self) -> &Founding {
        &self.founding
    }

    /// The hash of how it was founded.
    pub(crate) const fn network_id(&self) -> NetworkId {
        self.network_id
    }

    /// The chain id of its hub.
    pub(crate) const fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// Its cities, ascending by address.
    pub(crate) fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// The city with this address.
    pub(crate) fn card(&self, address: Address) -> Option<&Card> {
        self.cards.iter().find(|card| card.address == address)
    }

    /// How the hub begins: with its contracts, which know the founders.
    pub(crate) fn genesis(&self) -> Genesis {
        Genesis {
            record: self.record.clone(),
            validators: self.founding.validators.clone(),
            network_id: self.network_id,
            creator: None,
            registry: Some(hub::contracts::registry(
                &self.hub_founding(),
                &self.agreed(),
            )),
        }
    }

    /// What the hub's contracts are told once, in the hub's genesis.
    pub(crate) fn hub_founding(&self) -> abi::Founding {
        // The bounds of the parameters are those of the numbers.
        let small = |name| u32::try_from(parameter(&self.founding, name)).unwrap_or(u32::MAX);
        let cities = self.cards.iter().map(Card::to_abi);
        abi::Founding {
            networkId: self.network_id.0,
            chainIdPrefix: self.chain_id.get() >> APPLICATION_BITS,
            hubRecord: self.record.encode().into(),
            cities: cities
                .map(|(card, proof)| abi::FoundingCity { card, proof })
                .collect(),
            offer: abi::Offer {
                gasPerSecond: parameter(&self.founding, OFFER_GAS_PER_SECOND),
                bytesStored: parameter(&self.founding, OFFER_BYTES),
                chains: small(OFFER_CHAINS),
                blocksPerSecond: small(OFFER_BLOCKS_PER_SECOND),
                pricePerGasSecond: 0,
                policy: EVERY_MEMBER,
                listed: Vec::new(),
            },
        }
    }

    /// What the founders agreed on for the hub's members, by name.
    pub(crate) fn agreed(&self) -> Vec<(&str, u64)> {
        let all = self.founding.parameters.iter();
        let agreed = all.filter(|(name, _)| AGREED.iter().any(|(known, ..)| known == name));
        agreed
            .map(|(name, value)| (name.as_str(), *value))
            .collect()
    }

    /// The rules of the hub.
    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// How many of its cities, and of the institutions that run them, may fail.
    pub(crate) fn tolerance(&self) -> Tolerance {
        let members: Vec<String> = self.cards.iter().map(|card| card.member.key()).collect();
        tolerance::of(
            &self.founding.validators,
            members.iter().map(String::as_str),
        )
    }
}

/// Each with power 1; they are 1 to [`MAX_CITIES`], and different.
fn equal_set(addresses: &[Address]) -> ValidatorSet {
    let validators = addresses
        .iter()
        .map(|&address| Validator { address, power: 1 })
        .collect();
    ValidatorSet::new(validators).expect("a few different addresses of power 1 are a set")
}

/// The hub is chain n = 0 of its network.
fn hub_id(network_id: NetworkId) -> ChainId {
    ChainId::of_network(network_id, 0).expect("n = 0 is in range")
}

/// A parameter of a founding; all of [`PARAMETERS`] are there, see [`check_parameters`].
fn parameter(founding: &Founding, name: &str) -> u64 {
    let found = founding.parameters.iter().find(|(known, _)| known == name);
    found.map_or(0, |(_name, value)| *value)
}

/// The record of a network's hub. Gas is free, and everybody may read, as befits a registry. Admission is open: the
/// contracts refuse what strangers ask of them.
fn hub_record(founding: &Founding, chain_id: ChainId) -> Record {
    let parameter = |name| parameter(founding, name);
    Record {
        chain_id,
        genesis_ms: founding.founded_ms,
        gas_limit: parameter(GAS_LIMIT),
        fee_rule: FeeRule::Free,
        admission: Admission::Open,
        readers: Readers::Anyone,
        timeouts: TimeoutBounds {
            least_ms: parameter(TIMEOUT_LEAST_MS),
            most_ms: parameter(TIMEOUT_MOST_MS),
        },
        minimum_interval_ms: parameter(MINIMUM_INTERVAL_MS),
        forks: Vec::new(),
        development: false,
    }
}

/// The key in which two cities' cards are the same and may not be; `None` when they are cities of their own.
pub(crate) fn same(one: &Card, other: &Card) -> Option<&'static str> {
    if one.address == other.address {
        return Some("address");
    }
    if one.tls_fingerprint == other.tls_fingerprint {
        return Some("tls_fingerprint");
    }
    if one.endpoint.key() == other.endpoint.key() {
        return Some("endpoint");
    }
    if one.authority == other.authority {
        return Some("authority, and a network begins with one city a member");
    }
    (one.member.key() == other.member.key())
        .then_some("member, and a network begins with one city a member")
}

/// Whether a network may begin with so many cities.
///
/// # Errors
///
/// [`FoundingError::Count`].
pub(super) fn check_count(count: usize) -> Result<(), FoundingError> {
    if (1..=MAX_CITIES).contains(&count) {
        Ok(())
    } else {
        Err(FoundingError::Count { count })
    }
}

fn check_network(cards: &[Card]) -> Result<(), FoundingError> {
    let joining = cards.iter().position(|card| !card.network.is_zero());
    match joining.and_then(|index| Some((index, cards.get(index)?))) {
        None => Ok(()),
        Some((index, card)) => Err(FoundingError::Network {
            index,
            network: card.network,
        }),
    }
}

fn check_apart(cards: &[Card]) -> Result<(), FoundingError> {
    for (second, card) in cards.iter().enumerate() {
        let earlier = cards.iter().take(second).enumerate();
        for (first, other) in earlier {
            if let Some(what) = same(other, card) {
                return Err(FoundingError::Twice {
                    first,
                    second,
                    what,
                });
            }
        }
    }
    Ok(())
}

/// A network does not begin with fewer members than it is to keep.
fn check_members(founders: usize, parameters: &BTreeMap<String, u64>) -> Result<(), FoundingError> {
    let most = founders as u64;
    match parameters.get(MINIMUM_MEMBERS) {
        Some(&wanted) if wanted > most => Err(FoundingError::Parameter {
            name: MINIMUM_MEMBERS.to_owned(),
            what: ParameterFault::Bounds { least: 1, most },
        }),
        _ => Ok(()),
    }
}

fn check_parameters(parameters: &BTreeMap<String, u64>) -> Result<(), FoundingError> {
    let fault = |name: &str, what| {
        Err(FoundingError::Parameter {
            name: name.to_owned(),
            what,
        })
    };
    for (name, value) in parameters {
        if PARAMETERS.iter().any(|(known, ..)| known == name) {
            continue;
        }
        match AGREED.iter().find(|(known, ..)| known == name) {
            None => return fault(name, ParameterFault::Unknown),
            Some(&(_, least, most)) if !(least..=most).contains(value) => {
                return fault(name, ParameterFault::Bounds { least, most });
            }
            Some(_sound) => {}
        }
    }
    for (name, least, most) in PARAMETERS {
        match parameters.get(name) {
            None => return fault(name, ParameterFault::Missing),
            Some(value) if !(least..=most).contains(value) => {
                return fault(name, ParameterFault::Bounds { least, most });
            }
            Some(_sound) => {}
        }
    }
    let least = parameters
        .get(TIMEOUT_LEAST_MS)
        .copied()
        .unwrap_or_default();
    let most = 60_000;
    if parameters
        .get(TIMEOUT_MOST_MS)
        .is_some_and(|&value| value < least)
    {
        return fault(TIMEOUT_MOST_MS, ParameterFault::Bounds { least, most });
    }
    Ok(())
}
