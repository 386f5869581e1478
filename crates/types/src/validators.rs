//! The validators of a height.

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

/// Most validators that one chain may have; bounds certificates and messages.
pub const MAX_VALIDATORS: usize = 100;

/// Most power that one validator may have; bounds the proposers' order.
pub const MAX_POWER: u64 = 64;

/// One validator: the address of a city's node key, and its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Validator {
    /// The address that its signatures recover to.
    pub address: Address,
    /// Its weight, 1 to [`MAX_POWER`].
    pub power: u64,
}

/// A set of validators, addresses strictly ascending; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet(Vec<Validator>);

impl ValidatorSet {
    /// Sorts and checks `validators`.
    ///
    /// # Errors
    ///
    /// [`SetError`] for an empty or too large set, a repeated address, or a power out of bounds.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, SetError> {
        validators.sort_by_key(|validator| validator.address);
        Self::sorted(validators)
    }

    /// One validator of power 1: a development chain.
    #[must_use]
    pub fn single(address: Address) -> Self {
        Self(vec![Validator { address, power: 1 }])
    }

    fn sorted(validators: Vec<Validator>) -> Result<Self, SetError> {
        if validators.is_empty() {
            return Err(SetError::Empty);
        }
        if validators.len() > MAX_VALIDATORS {
            return Err(SetError::TooMany {
                count: validators.len(),
            });
        }
        for pair in validators.windows(2) {
            if pair[0].address >= pair[1].address {
                return Err(SetError::NotAscending {
                    address: pair[1].address,
                });
            }
        }
        for validator in &validators {
            if validator.power == 0 || validator.power > MAX_POWER {
                return Err(SetError::Power {
                    address: validator.address,
                    power: validator.power,
                });
            }
        }
        Ok(Self(validators))
    }

    /// The validators, ascending by address.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        &self.0
    }

    /// The validator with this address.
    #[must_use]
    pub fn get(&self, address: Address) -> Option<&Validator> {
        let index = self
            .0
            .binary_search_by_key(&address, |validator| validator.address)
            .ok()?;
        self.0.get(index)
    }

    /// The sum of all powers.
    #[must_use]
    pub fn total_power(&self) -> u64 {
        self.0.iter().map(|validator| validator.power).sum()
    }

    /// Whether `power` is more than two thirds of the total.
    #[must_use]
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power) * 3 > u128::from(self.total_power()) * 2
    }

    /// keccak256 of RLP `[[address, power], …]`.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(alloy_rlp::encode(self))
    }
}

impl Encodable for ValidatorSet {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        self.0.encode(out);
    }

    fn length(&self) -> usize {
        self.0.length()
    }
}

impl Decodable for ValidatorSet {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let validators = Vec::<Validator>::decode(buf)?;
        Self::sorted(validators).map_err(|_refused| alloy_rlp::Error::Custom("not a validator set"))
    }
}

/// Why a list of validators is not a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Nobody would decide.
    #[error("a chain needs at least one validator")]
    Empty,
    /// More than [`MAX_VALIDATORS`].
    #[error("{count} validators are more than {MAX_VALIDATORS}")]
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// Out of order, or twice.
    #[error("validator {address} is out of order or there twice")]
    NotAscending {
        /// The second of the pair.
        address: Address,
    },
    /// Zero or above [`MAX_POWER`].
    #[error("validator {address} has power {power}, allowed are 1 to {MAX_POWER}")]
    Power {
        /// Whose.
        address: Address,
        /// What was given.
        power: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::{Validator, ValidatorSet};
    use alloy_primitives::Address;

    fn set(powers: &[u64]) -> ValidatorSet {
        let validators = powers
            .iter()
            .zip(1u8..)
            .map(|(&power, byte)| Validator {
                address: Address::repeat_byte(byte),
                power,
            })
            .collect();
        ValidatorSet::new(validators).expect("a sound set")
    }

    #[test]
    fn a_quorum_is_more_than_two_thirds() {
        for (powers, least) in [
            (&[1][..], 1),
            (&[1; 2], 2),
            (&[1; 3], 3),
            (&[1; 4], 3),
            (&[1; 7], 5),
        ] {
            let set = set(powers);
            assert!(!set.is_quorum(least - 1), "{powers:?}");
            assert!(set.is_quorum(least), "{powers:?}");
        }
    }

    #[test]
    fn sets_that_are_not_sets_are_refused() {
        let validator = |byte, power| Validator {
            address: Address::repeat_byte(byte),
            power,
        };
        assert!(ValidatorSet::new(vec![]).is_err());
        assert!(ValidatorSet::new(vec![validator(1, 0)]).is_err());
        assert!(ValidatorSet::new(vec![validator(1, 65)]).is_err());
        assert!(ValidatorSet::new(vec![validator(1, 1), validator(1, 2)]).is_err());
        let descending = alloy_rlp::encode(vec![validator(2, 1), validator(1, 1)]);
        assert!(alloy_rlp::decode_exact::<ValidatorSet>(&descending).is_err());
    }
}
