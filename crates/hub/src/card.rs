//! What a city's key signs to enter a registry: that it holds the key, for which member, network and endpoint.

use alloy_primitives::B256;
use alloy_sol_types::{Eip712Domain, SolStruct as _, sol};

use crate::abi::Card;

/// The version of cards that the registry takes.
pub const VERSION: u64 = 2;

sol! {
    /// What is signed; the domain is `EIP712Domain(string name,string version)` = {`Causeway`, `1`}. It has no chain: no
    /// network is there yet when founders sign. Votes are signed in a domain with a chain, so that a card is never a vote.
    #[derive(Debug)]
    struct CityCard {
        uint64 version;
        bytes32 network;
        string member;
        address authority;
        string place;
        address node;
        bytes32 tlsFingerprint;
        string endpoint;
        string rpc;
    }
}

/// What the node key of `card` signs (EIP-712).
#[must_use]
pub fn digest(card: &Card) -> B256 {
    let domain = Eip712Domain::new(Some("Causeway".into()), Some("1".into()), None, None, None);
    let Card {
        version,
        network,
        member,
        authority,
        place,
        node,
        tlsFingerprint,
        endpoint,
        rpc,
    } = card.clone();
    CityCard {
        version,
        network,
        member,
        authority,
        place,
        node,
        tlsFingerprint,
        endpoint,
        rpc,
    }
    .eip712_signing_hash(&domain)
}
