//! A city's card: what others may know of it, with a proof that its maker holds the node key.
//!
//! ```json
//! {
//!   "version": 2,
//!   "network": "0x… 32 bytes, the network that it is for; zero before one is founded",
//!   "member": "Bank of X",
//!   "authority": "0x… 20 bytes, what speaks for the member",
//!   "place": "CN SHA",
//!   "address": "0x… 20 bytes, the node key's",
//!   "tls_fingerprint": "0x… 32 bytes",
//!   "endpoint": "city.example:7000",
//!   "rpc": "https://rpc.example",
//!   "proof": "0x… 65 bytes"
//! }
//! ```
//!
//! `rpc` may be left out; nothing else may, and nothing may be added. `authority` may be a contract; it is apart from the
//! node key, which speaks for nothing but blocks. `proof` is an EIP-712 signature (r ‖ s ‖ v, low s, v 27 or 28) of the
//! node key in the domain `EIP712Domain(string name,string version)` = {`Causeway`, `1`} over
//! `CityCard(uint64 version,bytes32 network,string member,address authority,string place,address node,bytes32
//! tlsFingerprint,string endpoint,string rpc)` (without a line end), where `node` is the card's `address` and a missing
//! `rpc` is the empty text. The domain has no chain, which every vote's has: a card is never a vote.

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, Bytes, FixedBytes};
use hub::abi;
use serde::{Deserialize, Serialize};
use types::{NodeKey, Signature, SignatureError, recover};

use super::files::{self, FileError, JsonError};
use super::names::{Endpoint, MemberName, NameError, Place, RpcUrl};

/// The version of a card that this program writes and knows.
pub(crate) const VERSION: u64 = hub::card::VERSION;
/// Most bytes of a card's file; a card has less than 2 KiB.
const MAX_FILE: u64 = 16 << 10;

/// A card whose words are sound and whose proof holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    /// The id of the network that it is for; zero on a founder's card.
    pub(crate) network: B256,
    /// The institution that runs the city.
    pub(crate) member: MemberName,
    /// What speaks for the institution: a key's address, or a contract's.
    pub(crate) authority: Address,
    /// Where the city is.
    pub(crate) place: Place,
    /// The address of its node key.
    pub(crate) address: Address,
    /// The fingerprint of the key of its links.
    pub(crate) tls_fingerprint: B256,
    /// Where its links are reached.
    pub(crate) endpoint: Endpoint,
    /// Where it answers JSON-RPC, if it tells.
    pub(crate) rpc: Option<RpcUrl>,
    proof: Signature,
}

/// A card as it is written; nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardFile {
    version: u64,
    network: B256,
    member: String,
    authority: Address,
    place: String,
    address: Address,
    tls_fingerprint: B256,
    endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rpc: Option<String>,
    proof: FixedBytes<65>,
}

/// What a new card is to say, apart from keys.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) network: B256,
    pub(crate) member: MemberName,
    pub(crate) authority: Address,
    pub(crate) place: Place,
    pub(crate) endpoint: Endpoint,
    pub(crate) rpc: Option<RpcUrl>,
}

/// What is wrong with a card; begins with the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CardError {
    /// Not made by this release.
    #[error("version: {found} is not known, this program knows {VERSION}: use a newer release")]
    Version {
        /// What was found.
        found: u64,
    },
    /// Of a time when nothing spoke for a member but its city's key.
    #[error(
        "version: {found} is not read any more, for it names no authority: run `causeway city init` again, in another folder"
    )]
    Old {
        /// What was found.
        found: u64,
    },
    /// Nobody can speak for the member.
    #[error("authority: it is {found}, {why}")]
    Authority {
        /// What was found.
        found: Address,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value that its key cannot have.
    #[error("{key}")]
    Word {
        /// Where.
        key: &'static str,
        /// Why.
        source: NameError,
    },
    /// Not a signature.
    #[error("proof")]
    Signature(#[source] SignatureError),
    /// A signature of another key or over other words.
    #[error(
        "proof: it is not of the card's address {address}: the card was changed after it was signed"
    )]
    NotProven {
        /// The card's address.
        address: Address,
    },
}

/// Why a card's file is no card.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadCardError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not JSON of the right form.
    #[error("{}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: JsonError,
    },
    /// Not a sound card.
    #[error("{}", .path.display())]
    Card {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: CardError,
    },
}

impl Card {
    /// Makes and signs a card.
    pub(crate) fn sign(words: Words, tls_fingerprint: B256, key: &NodeKey) -> Self {
        let mut card = Self {
            network: words.network,
            member: words.member,
            authority: words.authority,
            place: words.place,
            address: key.address(),
            tls_fingerprint,
            endpoint: words.endpoint,
            rpc: words.rpc,
            proof: Signature([0; 65]),
        };
        card.proof = key.sign(card.digest());
        card
    }

    /// Reads and checks the card at `path`.
    ///
    /// # Errors
    ///
    /// [`ReadCardError`].
    pub(crate) fn read(path: &Path) -> Result<Self, ReadCardError> {
        let bytes = files::read(path, MAX_FILE)?;
        // Before a missing key is told of: earlier versions have others.
        if let Some(found @ 0..VERSION) = files::version_of(&bytes) {
            return Err(ReadCardError::Card {
                path: path.to_path_buf(),
                source: CardError::Old { found },
            });
        }
        let file: CardFile = files::parse_json(&bytes).map_err(|source| ReadCardError::Form {
            path: path.to_path_buf(),
            source,
        })?;
        Self::check(file).map_err(|source| ReadCardError::Card {
            path: path.to_path_buf(),
            source,
        })
    }

    /// Checks every word and the proof.
    ///
    /// # Errors
    ///
    /// [`CardError`].
    pub(crate) fn check(file: CardFile) -> Result<Self, CardError> {
        match file.version {
            VERSION => {}
            found @ 0..VERSION => return Err(CardError::Old { found }),
            found => return Err(CardError::Version { found }),
        }
        check_authority(file.authority, file.address)?;
        let word = |key| move |source| CardError::Word { key, source };
        let card = Self {
            network: file.network,
            authority: file.authority,
            member: file.member.parse().map_err(word("member"))?,
            place: file.place.parse().map_err(word("place"))?,
            address: file.address,
            tls_fingerprint: file.tls_fingerprint,
            endpoint: file.endpoint.parse().map_err(word("endpoint"))?,
            rpc: file
                .rpc
                .map(|rpc| rpc.parse().map_err(word("rpc")))
                .transpose()?,
            proof: Signature(file.proof.0),
        };
        let signer = recover(card.digest(), &card.proof).map_err(CardError::Signature)?;
        if signer != card.address {
            return Err(CardError::NotProven {
                address: card.address,
            });
        }
        Ok(card)
    }

    /// As it is written into a file.
    pub(crate) fn to_file(&self) -> CardFile {
        CardFile {
            version: VERSION,
            network: self.network,
            member: self.member.as_str().to_owned(),
            authority: self.authority,
            place: self.place.as_str().to_owned(),
            address: self.address,
            tls_fingerprint: self.tls_fingerprint,
            endpoint: self.endpoint.as_str().to_owned(),
            rpc: self.rpc.as_ref().map(|rpc| rpc.as_str().to_owned()),
            proof: FixedBytes(self.proof.0),
        }
    }

    /// As the hub's contracts take it, with its proof.
    pub(crate) fn to_abi(&self) -> (abi::Card, Bytes) {
        let card = abi::Card {
            version: VERSION,
            network: self.network,
            member: self.member.as_str().to_owned(),
            authority: self.authority,
            place: self.place.as_str().to_owned(),
            node: self.address,
            tlsFingerprint: self.tls_fingerprint,
            endpoint: self.endpoint.as_str().to_owned(),
            rpc: self.rpc_text(),
        };
        (card, Bytes::copy_from_slice(&self.proof.0))
    }

    /// The URL on the card; empty where there is none.
    fn rpc_text(&self) -> String {
        let rpc = self.rpc.as_ref();
        rpc.map(|rpc| rpc.as_str().to_owned()).unwrap_or_default()
    }

    /// What the proof signs.
    fn digest(&self) -> B256 {
        hub::card::digest(&self.to_abi().0)
    }
}

/// Whether this can speak for the member of the city with this node key.
///
/// # Errors
///
/// [`CardError::Authority`].
pub(crate) fn check_authority(authority: Address, node: Address) -> Result<(), CardError> {
    let fault = |why| {
        Err(CardError::Authority {
            found: authority,
            why,
        })
    };
    if authority.is_zero() {
        return fault("which nobody has the key of");
    }
    // 0x…ca00 to 0x…caff (formats, "Genesis").
    if authority.as_slice().starts_with(&[0; 18]) && authority[18] == 0xca {
        return fault("one of the addresses of the hub's own contracts");
    }
    if authority == node {
        return fault("the node key's own address: what speaks for the member is apart from it");
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
