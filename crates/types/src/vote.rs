//! What a validator signs: EIP-712 hashes of commits, prevotes and proposals.
//!
//! Any EVM can check them by `ecrecover`; a wallet can show them.

use alloy_primitives::{B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};

use crate::{ChainId, NetworkId};

/// Largest round that is a round; a message with a larger one is none.
pub const MAX_ROUND: u32 = 1 << 20;

sol! {
    #[derive(Debug)]
    struct Commit { uint64 height; uint32 round; bytes32 blockHash; }
    #[derive(Debug)]
    struct Prevote { uint64 height; uint32 round; bytes32 blockHash; }
    #[derive(Debug)]
    struct Proposal { uint64 height; uint32 round; int64 polRound; bytes32 blockHash; }
}

/// Where signatures of a chain count: `EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)` =
/// {`Causeway`, `1`, chain id, network id}.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The chain.
    pub chain_id: ChainId,
    /// Its network.
    pub network_id: NetworkId,
    separator: B256,
}

impl Domain {
    /// The domain of one chain of one network.
    #[must_use]
    pub fn new(chain_id: ChainId, network_id: NetworkId) -> Self {
        let domain = Eip712Domain::new(
            Some("Causeway".into()),
            Some("1".into()),
            Some(U256::from(chain_id.get())),
            None,
            Some(network_id.0),
        );
        Self {
            chain_id,
            network_id,
            separator: domain.separator(),
        }
    }

    /// The domain separator.
    #[must_use]
    pub const fn separator(&self) -> B256 {
        self.separator
    }

    /// Digest of a precommit for `block_hash`; the zero hash means nil.
    #[must_use]
    pub fn commit_hash(&self, height: u64, round: u32, block_hash: B256) -> B256 {
        self.digest(&Commit {
            height,
            round,
            blockHash: block_hash,
        })
    }

    /// Digest of a prevote for `block_hash`; the zero hash means nil.
    #[must_use]
    pub fn prevote_hash(&self, height: u64, round: u32, block_hash: B256) -> B256 {
        self.digest(&Prevote {
            height,
            round,
            blockHash: block_hash,
        })
    }

    /// Digest of a proposal; `pol_round` is −1 or a round before this one.
    #[must_use]
    pub fn proposal_hash(&self, height: u64, round: u32, pol_round: i64, block_hash: B256) -> B256 {
        self.digest(&Proposal {
            height,
            round,
            polRound: pol_round,
            blockHash: block_hash,
        })
    }

    /// EIP-712: keccak256(0x19 0x01 ‖ separator ‖ struct hash).
    fn digest(&self, message: &impl SolStruct) -> B256 {
        let mut bytes = [0; 66];
        bytes[..2].copy_from_slice(&[0x19, 0x01]);
        bytes[2..34].copy_from_slice(self.separator.as_slice());
        bytes[34..].copy_from_slice(message.eip712_hash_struct().as_slice());
        alloy_primitives::keccak256(bytes)
    }
}
