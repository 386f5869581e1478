//! The rules under which transactions and blocks run: one value, compared and printed like any other.
//!
//! Ours ([`Rules::causeway`]) and Ethereum's ([`Rules::ethereum`]) differ in fees, requests and blobs; the EVM is one.

use alloy_eips::eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, U256};
use revm::context::CfgEnv;
use revm::primitives::eip7825;
use revm::primitives::hardfork::SpecId;

pub use types::FeeRule;

/// Everything that decides what a transaction does, besides state and block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What CHAINID gives and signatures must name (EIP-155).
    pub chain_id: u64,
    /// The EVM's instructions, gas and limits. Byzantium or later: older receipts carry a state root.
    pub fork: SpecId,
    /// System calls at the start of a block.
    pub system_calls: SystemCalls,
    /// Where the block's requests (EIP-7685) come from.
    pub requests: RequestsRule,
    /// Whether withdrawals (EIP-4895) pay out at the end of a block.
    pub withdrawals: bool,
    /// Blob limits and prices (EIP-7840); without them blob transactions are refused.
    pub blobs: Option<BlobParams>,
    /// Block rewards, before the merge only.
    pub rewards: Option<Rewards>,
    /// Who pays for gas: nobody, or the sender as on Ethereum.
    pub fee: FeeRule,
    /// The most gas one transaction may ask for (EIP-7825); none before Osaka.
    pub transaction_gas_cap: Option<u64>,
}

/// Which system contracts are called before the first transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemCalls {
    /// EIP-4788: `parentBeaconBlockRoot`. For us the cited hub block: not on the hub, nor without one.
    pub beacon_root: bool,
    /// EIP-2935: the parent's hash.
    pub block_hashes: bool,
}

/// Where a block's requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestsRule {
    /// None come from execution; what `requestsHash` commits to is the chain's business.
    None,
    /// Deposits from the contract's logs (EIP-6110), then the withdrawal and consolidation queues (EIP-7002, 7251).
    Ethereum {
        /// Whose logs are deposits.
        deposit_contract: Address,
    },
}

/// Block rewards before the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewards {
    /// What a block earns its beneficiary, in wei (2 ether since Constantinople). Ommers earn by depth.
    pub block: U256,
}

impl Rules {
    /// One of our chains: Osaka without blobs, withdrawals and requests from execution. `has_hub` is false for the hub
    /// itself: such a chain cites no hub block and makes no EIP-4788 call.
    #[must_use]
    pub const fn causeway(chain_id: u64, fee: FeeRule, has_hub: bool) -> Self {
        Self {
            chain_id,
            fork: SpecId::OSAKA,
            system_calls: SystemCalls {
                beacon_root: has_hub,
                block_hashes: true,
            },
            requests: RequestsRule::None,
            withdrawals: false,
            blobs: None,
            rewards: None,
            fee,
            transaction_gas_cap: Some(eip7825::TX_GAS_LIMIT_CAP),
        }
    }

    /// Ethereum's rules at `fork` with mainnet's blob schedule and deposit contract, 2 ether a block before the merge.
    #[must_use]
    pub fn ethereum(chain_id: u64, fork: SpecId) -> Self {
        let has = |other| fork.is_enabled_in(other);
        let blobs = if has(SpecId::OSAKA) {
            Some(BlobParams::osaka())
        } else if has(SpecId::PRAGUE) {
            Some(BlobParams::prague())
        } else {
            has(SpecId::CANCUN).then(BlobParams::cancun)
        };
        Self {
            chain_id,
            fork,
            system_calls: SystemCalls {
                beacon_root: has(SpecId::CANCUN),
                block_hashes: has(SpecId::PRAGUE),
            },
            requests: if has(SpecId::PRAGUE) {
                RequestsRule::Ethereum {
                    deposit_contract: MAINNET_DEPOSIT_CONTRACT_ADDRESS,
                }
            } else {
                RequestsRule::None
            },
            withdrawals: has(SpecId::SHANGHAI),
            blobs,
            rewards: (!has(SpecId::MERGE)).then(|| Rewards {
                block: U256::from(2_000_000_000_000_000_000_u64),
            }),
            fee: FeeRule::Eip1559,
            transaction_gas_cap: has(SpecId::OSAKA).then_some(eip7825::TX_GAS_LIMIT_CAP),
        }
    }

    /// Whether gas costs nothing.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self.fee, FeeRule::Free)
    }

    /// The EVM's configuration under these rules.
    pub(crate) fn cfg(&self) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec(self.fork).with_chain_id(self.chain_id);
        cfg.tx_gas_limit_cap = Some(self.transaction_gas_cap.unwrap_or(u64::MAX));
        if let Some(blobs) = self.blobs {
            cfg.set_max_blobs_per_tx(blobs.max_blobs_per_tx);
            cfg.blob_base_fee_update_fraction = u64::try_from(blobs.update_fraction).ok();
        }
        cfg
    }
}
