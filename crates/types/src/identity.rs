//! Names of networks and chains.

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader};

/// Largest chain id that common wallets accept.
pub const MAX_CHAIN_ID: u64 = 4_503_599_627_370_476;

/// The id of one chain: what EIP-155 signatures and the EIP-712 domain bind to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(u64);

impl ChainId {
    /// What `causeway dev` uses unless told otherwise, and what development tools expect.
    pub const DEVELOPMENT: Self = Self(31_337);

    /// Takes an id that a wallet accepts.
    ///
    /// # Errors
    ///
    /// [`ChainIdError`] for zero and for ids above [`MAX_CHAIN_ID`].
    pub const fn new(id: u64) -> Result<Self, ChainIdError> {
        if id == 0 || id > MAX_CHAIN_ID {
            return Err(ChainIdError { id });
        }
        Ok(Self(id))
    }

    /// The `n`-th chain of a network: `prefix × 2²¹ + n`; `n = 0` is the hub. `None` when `n` is 2²¹ or more.
    #[must_use]
    pub fn of_network(network: NetworkId, n: u32) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, ..] = network.0.0;
        let leading = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let prefix = (1 << 11) + leading % ((1 << 31) - (1 << 11) - 1);
        (n < 1 << 21).then(|| Self((prefix << 21) + u64::from(n)))
    }

    /// The id as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for ChainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A chain id that wallets refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chain id {id} is not between 1 and {MAX_CHAIN_ID}, which is what wallets accept")]
pub struct ChainIdError {
    /// The id that was given.
    pub id: u64,
}

/// The id of a network: the hash of how it was founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub B256);

/// How a network was founded; its hash names the network. Neither chain id nor network id is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// Name for people, at most 64 bytes of UTF-8.
    pub name: String,
    /// Unix milliseconds.
    pub founded_ms: u64,
    /// Authorities of the founding members.
    pub members: Vec<Address>,
    /// Node keys' addresses of the founding cities.
    pub cities: Vec<Address>,
    /// Validators of the first chain and their power.
    pub validators: crate::ValidatorSet,
    /// Named parameters, ascending by name.
    pub parameters: Vec<(String, u64)>,
}

impl Founding {
    /// Canonical encoding: RLP `[version = 1, name, time, [member…], [city…], [[address, power]…], [[name, value]…]]`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let parameters: Vec<Parameter<'_>> = self.parameters.iter().map(Parameter).collect();
        let mut body = Vec::new();
        1u8.encode(&mut body);
        self.name.as_str().encode(&mut body);
        self.founded_ms.encode(&mut body);
        self.members.encode(&mut body);
        self.cities.encode(&mut body);
        self.validators.encode(&mut body);
        alloy_rlp::encode_list::<_, Parameter<'_>>(&parameters, &mut body);
        crate::record::list(&body)
    }

    /// The network that this founding makes.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId(keccak256(self.encode()))
    }
}

/// One named parameter as RLP `[name, value]`.
#[derive(Debug)]
struct Parameter<'a>(&'a (String, u64));

impl Encodable for Parameter<'_> {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        let (name, value) = self.0;
        let payload_length = name.as_str().length() + value.length();
        RlpHeader {
            list: true,
            payload_length,
        }
        .encode(out);
        name.as_str().encode(out);
        value.encode(out);
    }

    fn length(&self) -> usize {
        let payload = self.0.0.as_str().length() + self.0.1.length();
        payload + alloy_rlp::length_of_length(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::{ChainId, MAX_CHAIN_ID, NetworkId};
    use alloy_primitives::B256;

    #[test]
    fn the_largest_id_of_any_network_is_the_wallets_limit_or_less() {
        let mut worst = B256::ZERO;
        let leading = (1u64 << 31) - (1 << 11) - 2;
        worst[..8].copy_from_slice(&leading.to_be_bytes());
        let id = ChainId::of_network(NetworkId(worst), (1 << 21) - 1).expect("n is in range");
        assert!(id.get() <= MAX_CHAIN_ID, "{id}");
        assert!(ChainId::of_network(NetworkId(worst), 1 << 21).is_none());
    }

    #[test]
    fn ids_that_wallets_refuse_are_refused() {
        assert!(ChainId::new(0).is_err());
        assert!(ChainId::new(MAX_CHAIN_ID).is_ok());
        assert!(ChainId::new(MAX_CHAIN_ID + 1).is_err());
    }
}
