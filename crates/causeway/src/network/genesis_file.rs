//! `genesis.json`: the founders' record, the cards of the cities, and the record of the hub that follows from both.
//!
//! ```json
//! {
//!   "version": 2,
//!   "founding": { "name": …, "founded_ms": …, "members": […], "cities": […], "validators": […], "parameters": {…} },
//!   "cards": […],
//!   "record": { "chain_id": …, … }
//! }
//! ```
//!
//! A file is read by founding the network again from its name, time, parameters and cards, and comparing every byte: a
//! file that anything was changed in is refused, or founds another network.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use types::{Admission, ChainId, FeeRule, Readers, Record};

use super::founding::{FoundingError, Network, check_count};
use crate::cities::card::{Card, CardError, CardFile};
use crate::cities::names::{NameError, NetworkName};

/// The version of the file that this program writes and knows.
pub(super) const VERSION: u64 = 2;
/// What is wrong with a genesis file; begins with the key where there is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GenesisFileError {
    /// Not made by this release.
    #[error("version: {found} is not known, this program knows {VERSION}: use a newer release")]
    Version {
        /// What was found.
        found: u64,
    },
    /// Of a time when a city's card named no authority.
    #[error(
        "version: {found} is not read any more: make the cards anew and run `causeway network create` again"
    )]
    Old {
        /// What was found.
        found: u64,
    },
    /// The network's name.
    #[error("founding.name")]
    Name(#[source] NameError),
    /// A card.
    #[error("cards[{index}]")]
    Card {
        /// Counted from zero.
        index: usize,
        /// Why.
        source: CardError,
    },
    /// Cards and parameters found no network.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// What should follow from the cards.
    #[error("{key}: it does not follow from the cards")]
    NotOfCards {
        /// Where.
        key: &'static str,
    },
    /// The founders' record was changed, or the chain id.
    #[error(
        "record.chain_id: it is {found}, the founders' record gives {expected}: one of the two was changed"
    )]
    ChainId {
        /// What was found.
        found: u64,
        /// What it would have to be.
        expected: ChainId,
    },
    /// What should follow from the founders' record.
    #[error("record.{key}: it does not follow from the founders' record")]
    NotOfFounding {
        /// Where.
        key: &'static str,
    },
    /// The same network in other bytes: somebody's editor, or a key twice.
    #[error("it is not as `causeway network create` wrote it, from byte {at} on")]
    NotCanonical {
        /// Counted from zero.
        at: usize,
    },
}

/// The file; nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenesisFile {
    version: u64,
    founding: FoundingFile,
    cards: Vec<CardFile>,
    record: RecordFile,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundingFile {
    name: String,
    founded_ms: u64,
    members: Vec<Address>,
    cities: Vec<Address>,
    validators: Vec<ValidatorFile>,
    parameters: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidatorFile {
    address: Address,
    power: u64,
}

/// A record, for people; what cities hash is `types::Record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    chain_id: u64,
    genesis_ms: u64,
    gas_limit: u64,
    fee_rule: String,
    admission: String,
    readers: String,
    timeout_least_ms: u64,
    timeout_most_ms: u64,
    minimum_interval_ms: u64,
    forks: Vec<String>,
    development: bool,
}

impl Network {
    /// Checks a file against the network that its founders' record makes; `bytes` are those that it was read from.
    ///
    /// # Errors
    ///
    /// [`GenesisFileError`].
    pub(crate) fn check(file: GenesisFile, bytes: &[u8]) -> Result<Self, GenesisFileError> {
        if file.version != VERSION {
            return Err(GenesisFileError::Version {
                found: file.version,
            });
        }
        // Before a signature of each is checked.
        check_count(file.cards.len())?;
        let cards: Vec<Card> = file
            .cards
            .into_iter()
            .enumerate()
            .map(|(index, card)| {
                Card::check(card).map_err(|source| GenesisFileError::Card { index, source })
            })
            .collect::<Result<_, _>>()?;
        let found = file.founding;
        let name: NetworkName = found.name.parse().map_err(GenesisFileError::Name)?;
        let network = Self::found_with(&name, cards, found.founded_ms, found.parameters.clone())?;
        let expected = network.to_file();
        if let Some(key) = found.differing(&expected.founding) {
            return Err(GenesisFileError::NotOfCards { key });
        }
        if file.record.chain_id != network.chain_id().get() {
            return Err(GenesisFileError::ChainId {
                found: file.record.chain_id,
                expected: network.chain_id(),
            });
        }
        if let Some(key) = file.record.differing(&expected.record) {
            return Err(GenesisFileError::NotOfFounding { key });
        }
        let text = network.to_text();
        if text.as_bytes() != bytes {
            let pairs = text.as_bytes().iter().zip(bytes);
            let at = pairs.take_while(|(one, other)| one == other).count();
            return Err(GenesisFileError::NotCanonical { at });
        }
        Ok(network)
    }

    /// The file's text: the one that this network has.
    pub(crate) fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.to_file())
            .expect("the file has only texts, numbers and lists");
        text.push('\n');
        text
    }

    fn to_file(&self) -> GenesisFile {
        let founding = self.founding();
        let validators = founding.validators.validators().iter();
        GenesisFile {
            version: VERSION,
            founding: FoundingFile {
                name: founding.name.clone(),
                founded_ms: founding.founded_ms,
                members: founding.members.clone(),
                cities: founding.cities.clone(),
                validators: validators
                    .map(|validator| ValidatorFile {
                        address: validator.address,
                        power: validator.power,
                    })
                    .collect(),
                parameters: founding.parameters.iter().cloned().collect(),
            },
            cards: self.cards().iter().map(Card::to_file).collect(),
            record: RecordFile::of(self.record()),
        }
    }
}

impl FoundingFile {
    /// The first key in which two differ.
    fn differing(&self, other: &Self) -> Option<&'static str> {
        let same = [
            ("founding.members", self.members == other.members),
            ("founding.cities", self.cities == other.cities),
            ("founding.validators", self.validators == other.validators),
        ];
        same.into_iter()
            .find(|(_key, same)| !same)
            .map(|(key, _)| key)
    }
}

impl RecordFile {
    fn of(record: &Record) -> Self {
        Self {
            chain_id: record.chain_id.get(),
            genesis_ms: record.genesis_ms,
            gas_limit: record.gas_limit,
            fee_rule: String::from(match record.fee_rule {
                FeeRule::Free => "free",
                FeeRule::Eip1559 => "eip1559",
            }),
            admission: match record.admission {
                Admission::Open => String::from("open"),
                Admission::Listed(root) => format!("listed {root}"),
                Admission::Shares => String::from("shares"),
            },
            readers: match record.readers {
                Readers::Anyone => String::from("anyone"),
                Readers::Placed => String::from("placed"),
                Readers::Listed(root) => format!("listed {root}"),
            },
            timeout_least_ms: record.timeouts.least_ms,
            timeout_most_ms: record.timeouts.most_ms,
            minimum_interval_ms: record.minimum_interval_ms,
            forks: record.forks.iter().map(|fork| fork.name.clone()).collect(),
            development: record.development,
        }
    }

    /// The first key in which two differ.
    fn differing(&self, other: &Self) -> Option<&'static str> {
        let same = [
            ("genesis_ms", self.genesis_ms == other.genesis_ms),
            ("gas_limit", self.gas_limit == other.gas_limit),
            ("fee_rule", self.fee_rule == other.fee_rule),
            ("admission", self.admission == other.admission),
            ("readers", self.readers == other.readers),
            (
                "timeout_least_ms",
                self.timeout_least_ms == other.timeout_least_ms,
            ),
            (
                "timeout_most_ms",
                self.timeout_most_ms == other.timeout_most_ms,
            ),
            (
                "minimum_interval_ms",
                self.minimum_interval_ms == other.minimum_interval_ms,
            ),
            ("forks", self.forks == other.forks),
            ("development", self.development == other.development),
        ];
        same.into_iter()
            .find(|(_key, same)| !same)
            .map(|(key, _)| key)
    }
}
