//! The record of a chain: the rules that its cities hold in common.
//!
//! The hub's contracts write the same bytes, so every field has a fixed place. The hash of a record stands in every
//! header through [`crate::BlockRequests`].

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

use crate::ChainId;

/// Version of the encoding.
const VERSION: u8 = 1;

/// Gas a block may use unless the record says otherwise.
pub const DEFAULT_GAS_LIMIT: u64 = 60_000_000;

/// Most forks that a record may name.
const MAX_FORKS: usize = 64;

/// Wraps encoded items into an RLP list.
pub(crate) fn list(items: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len() + 5);
    alloy_rlp::Header {
        list: true,
        payload_length: items.len(),
    }
    .encode(&mut out);
    out.extend_from_slice(items);
    out
}

/// The rules of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The chain.
    pub chain_id: ChainId,
    /// Unix milliseconds of genesis.
    pub genesis_ms: u64,
    /// Gas a block may use.
    pub gas_limit: u64,
    /// What gas costs.
    pub fee_rule: FeeRule,
    /// Who may send transactions.
    pub admission: Admission,
    /// Who may read.
    pub readers: Readers,
    /// Bounds of the consensus time-outs.
    pub timeouts: TimeoutBounds,
    /// Least milliseconds between two blocks; 0: none.
    pub minimum_interval_ms: u64,
    /// Forks by name with the Unix second of activation, in order of activation.
    pub forks: Vec<Fork>,
    /// A development chain: genesis funds the ten well-known accounts, and edits are allowed.
    pub development: bool,
}

impl Record {
    /// The record of a development chain.
    #[must_use]
    pub fn development(chain_id: ChainId, genesis_ms: u64) -> Self {
        Self {
            chain_id,
            genesis_ms,
            gas_limit: DEFAULT_GAS_LIMIT,
            fee_rule: FeeRule::Free,
            admission: Admission::Open,
            readers: Readers::Anyone,
            timeouts: TimeoutBounds::default(),
            minimum_interval_ms: 0,
            forks: Vec::new(),
            development: true,
        }
    }

    /// Canonical encoding: RLP `[1, chain id, genesis ms, gas limit, fee rule, [admission, list root],
    /// [readers, list root], [least, most], minimum interval, [[name, time]…], development]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        VERSION.encode(&mut body);
        self.chain_id.get().encode(&mut body);
        self.genesis_ms.encode(&mut body);
        self.gas_limit.encode(&mut body);
        (self.fee_rule as u8).encode(&mut body);
        self.admission.listing().encode(&mut body);
        self.readers.listing().encode(&mut body);
        self.timeouts.encode(&mut body);
        self.minimum_interval_ms.encode(&mut body);
        self.forks.encode(&mut body);
        u8::from(self.development).encode(&mut body);
        list(&body)
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when `bytes` are not exactly one record that this release knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut rest = bytes;
        let record = Self::decode_fields(&mut rest)?;
        // One value has one encoding: anything else is another record.
        if !rest.is_empty() || record.encode() != bytes {
            return Err(RecordError::NotCanonical);
        }
        Ok(record)
    }

    fn decode_fields(rest: &mut &[u8]) -> Result<Self, RecordError> {
        let mut body = alloy_rlp::Header::decode_bytes(rest, true)?;
        let body = &mut body;
        let version = u8::decode(body)?;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        let id = u64::decode(body)?;
        let chain_id = ChainId::new(id).map_err(|_refused| RecordError::ChainId { id })?;
        let record = Self {
            chain_id,
            genesis_ms: u64::decode(body)?,
            gas_limit: u64::decode(body)?,
            fee_rule: FeeRule::from_byte(u8::decode(body)?)?,
            admission: Admission::from_listing(Listing::decode(body)?)?,
            readers: Readers::from_listing(Listing::decode(body)?)?,
            timeouts: TimeoutBounds::decode(body)?,
            minimum_interval_ms: u64::decode(body)?,
            forks: Vec::<Fork>::decode(body)?,
            development: match u8::decode(body)? {
                0 => false,
                1 => true,
                value => {
                    return Err(RecordError::Value {
                        field: "development",
                        value,
                    });
                }
            },
        };
        if record.forks.len() > MAX_FORKS || !body.is_empty() {
            return Err(RecordError::NotCanonical);
        }
        Ok(record)
    }

    /// keccak256 of the canonical encoding.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }
}

/// What gas costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeeRule {
    /// Nothing, whatever fee a wallet fills in.
    #[default]
    Free = 0,
    /// As on Ethereum: base fee burnt, tips to the proposer.
    Eip1559 = 1,
}

impl FeeRule {
    const fn from_byte(value: u8) -> Result<Self, RecordError> {
        match value {
            0 => Ok(Self::Free),
            1 => Ok(Self::Eip1559),
            value => Err(RecordError::Value {
                field: "fee rule",
                value,
            }),
        }
    }
}

/// Who may send transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Anybody.
    Open,
    /// Senders on the list with this root; a rule of validity.
    Listed(B256),
    /// Each placed city has an equal part of pool and block; a policy, never a rule of validity.
    Shares,
}

impl Admission {
    const fn listing(self) -> Listing {
        match self {
            Self::Open => Listing {
                kind: 0,
                root: B256::ZERO,
            },
            Self::Listed(root) => Listing { kind: 1, root },
            Self::Shares => Listing {
                kind: 2,
                root: B256::ZERO,
            },
        }
    }

    const fn from_listing(listing: Listing) -> Result<Self, RecordError> {
        match listing.kind {
            0 => Ok(Self::Open),
            1 => Ok(Self::Listed(listing.root)),
            2 => Ok(Self::Shares),
            value => Err(RecordError::Value {
                field: "admission",
                value,
            }),
        }
    }
}

/// Who may read the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Anybody.
    Anyone,
    /// The placed cities.
    Placed,
    /// The members on the list with this root.
    Listed(B256),
}

impl Readers {
    const fn listing(self) -> Listing {
        match self {
            Self::Anyone => Listing {
                kind: 0,
                root: B256::ZERO,
            },
            Self::Placed => Listing {
                kind: 1,
                root: B256::ZERO,
            },
            Self::Listed(root) => Listing { kind: 2, root },
        }
    }

    const fn from_listing(listing: Listing) -> Result<Self, RecordError> {
        match listing.kind {
            0 => Ok(Self::Anyone),
            1 => Ok(Self::Placed),
            2 => Ok(Self::Listed(listing.root)),
            value => Err(RecordError::Value {
                field: "readers",
                value,
            }),
        }
    }
}

/// A kind with the root of its list, zero where it has none.
#[derive(Clone, Copy, Debug, RlpEncodable, RlpDecodable)]
struct Listing {
    kind: u8,
    root: B256,
}

/// Between which milliseconds the consensus time-outs of a chain stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct TimeoutBounds {
    /// Least, in milliseconds.
    pub least_ms: u64,
    /// Most, in milliseconds.
    pub most_ms: u64,
}

impl Default for TimeoutBounds {
    fn default() -> Self {
        Self {
            least_ms: 50,
            most_ms: 60_000,
        }
    }
}

/// A set of rules by name, and when it begins.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Fork {
    /// Its name.
    pub name: String,
    /// Unix seconds from which it holds.
    pub activation: u64,
}

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not RLP of the right form.
    #[error("the record is not well-formed")]
    Rlp(#[from] alloy_rlp::Error),
    /// Another encoding of the same value, bytes left over, or too many forks.
    #[error("the record is not in canonical form")]
    NotCanonical,
    /// A version that this release does not know.
    #[error("the record has version {found}, this program knows {VERSION}")]
    Version {
        /// What was found.
        found: u8,
    },
    /// Not a chain id.
    #[error("the record's chain id {id} is out of range")]
    ChainId {
        /// What was found.
        id: u64,
    },
    /// A value that a field cannot have.
    #[error("the record's {field} has the unknown value {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What was found.
        value: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::{Admission, FeeRule, Fork, Readers, Record, TimeoutBounds};
    use crate::ChainId;
    use alloy_primitives::B256;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    fn records() -> impl Strategy<Value = Record> {
        let root = any::<[u8; 32]>().prop_map(B256::from);
        let admission = prop_oneof![
            Just(Admission::Open),
            root.clone().prop_map(Admission::Listed),
            Just(Admission::Shares)
        ];
        let readers = prop_oneof![
            Just(Readers::Anyone),
            Just(Readers::Placed),
            root.prop_map(Readers::Listed)
        ];
        let fork =
            ("[a-z]{1,12}", any::<u64>()).prop_map(|(name, activation)| Fork { name, activation });
        let forks = proptest::collection::vec(fork, 0..4);
        (
            1..=crate::identity::MAX_CHAIN_ID,
            any::<[u64; 5]>(),
            admission,
            readers,
            forks,
            any::<[bool; 2]>(),
        )
            .prop_map(|(id, n, admission, readers, forks, flags)| Record {
                chain_id: ChainId::new(id).expect("in range"),
                genesis_ms: n[0],
                gas_limit: n[1],
                fee_rule: if flags[0] {
                    FeeRule::Free
                } else {
                    FeeRule::Eip1559
                },
                admission,
                readers,
                timeouts: TimeoutBounds {
                    least_ms: n[2],
                    most_ms: n[3],
                },
                minimum_interval_ms: n[4],
                forks,
                development: flags[1],
            })
    }

    proptest! {
        #[test]
        fn a_record_reads_back_and_no_other_bytes_are_one(record in records(), at in any::<usize>()) {
            let mut bytes = record.encode();
            assert_eq!(Record::decode(&bytes).as_ref(), Ok(&record));
            let at = at % bytes.len();
            bytes[at] ^= 1;
            if let Ok(other) = Record::decode(&bytes) {
                assert_ne!(other, record);
            }
            bytes.push(0);
            assert!(Record::decode(&bytes).is_err());
        }
    }
}
