//! What can be said of a transaction without looking at state: its form, as signed.

use alloy_consensus::{Transaction as _, TxType, Typed2718 as _};
use alloy_eips::eip4844::VERSIONED_HASH_VERSION_KZG;
use alloy_primitives::U256;
use revm::context_interface::Cfg as _;
use revm::context_interface::cfg::GasParams;
use revm::primitives::hardfork::SpecId;

use crate::recover::Transaction;
use crate::rules::Rules;

/// Why a transaction can never run under these rules, whatever the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {signed}, want {chain}")]
    ChainId {
        /// The chain in the signature.
        signed: u64,
        /// This chain.
        chain: u64,
    },
    /// A type that these rules do not have.
    #[error("transaction type not supported: {transaction_type}")]
    TypeNotSupported {
        /// EIP-2718 type.
        transaction_type: u8,
    },
    /// A blob transaction, where there are no blobs.
    #[error("transaction type not supported: blob transactions are not accepted here")]
    BlobsRefused,
    /// A blob transaction without blobs, with an unknown kind of commitment, or with too many.
    #[error("{blobs} blobs, or commitments of an unknown version; from 1 to {max} are allowed")]
    Blobs {
        /// How many it has.
        blobs: usize,
        /// How many it may have.
        max: u64,
    },
    /// A type 4 transaction without authorizations (EIP-7702).
    #[error("the authorization list is empty")]
    NoAuthorizations,
    /// Code to deploy from is too long (EIP-3860).
    #[error("max initcode size exceeded: code size {size}, limit {max}")]
    InitCodeTooLarge {
        /// Its length.
        size: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The gas limit does not pay for the transaction's own bytes.
    #[error("intrinsic gas too low: gas limit {gas_limit}, needed {needed}")]
    IntrinsicGas {
        /// As signed.
        gas_limit: u64,
        /// The least that is needed.
        needed: u64,
    },
    /// The gas limit is below the floor for calldata (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas limit {gas_limit}, needed {needed}")]
    FloorGas {
        /// As signed.
        gas_limit: u64,
        /// The floor.
        needed: u64,
    },
    /// More gas than one transaction may ask for (EIP-7825).
    #[error("transaction gas limit too high: gas limit {gas_limit}, cap {cap}")]
    GasAboveCap {
        /// As signed.
        gas_limit: u64,
        /// The cap.
        cap: u64,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit: gas limit {gas_limit}, block {block_gas_limit}")]
    GasAboveBlock {
        /// As signed.
        gas_limit: u64,
        /// A whole block's gas.
        block_gas_limit: u64,
    },
    /// The tip is higher than the fee that holds it (EIP-1559).
    #[error(
        "max priority fee per gas higher than max fee per gas: priority {priority}, max {max_fee}"
    )]
    PriorityAboveMax {
        /// `maxPriorityFeePerGas`.
        priority: u128,
        /// `maxFeePerGas`.
        max_fee: u128,
    },
    /// Gas limit × fee + value (+ blobs) does not fit in 256 bits.
    #[error("the cost of the transaction does not fit in 256 bits")]
    CostOverflow,
    /// The nonce cannot be counted further (EIP-2681).
    #[error("nonce has max value")]
    NonceAtMaximum,
}

impl FormError {
    /// Always false: the same bytes stay wrong.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }

    /// Stable name for interfaces.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ChainId { .. } => "wrong-chain",
            Self::TypeNotSupported { .. } => "type-not-supported",
            Self::BlobsRefused | Self::Blobs { .. } => "blobs-refused",
            Self::NoAuthorizations => "no-authorizations",
            Self::InitCodeTooLarge { .. } => "init-code-too-large",
            Self::IntrinsicGas { .. } => "intrinsic-gas-too-low",
            Self::FloorGas { .. } => "floor-gas-too-low",
            Self::GasAboveCap { .. } => "gas-above-cap",
            Self::GasAboveBlock { .. } => "gas-above-block",
            Self::PriorityAboveMax { .. } => "priority-above-max",
            Self::CostOverflow => "cost-overflow",
            Self::NonceAtMaximum => "nonce-at-maximum",
        }
    }
}

/// What a transaction costs before its first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntrinsicGas {
    /// Base, calldata, access list, authorizations, init code.
    pub intrinsic: u64,
    /// The least that is charged in the end, for calldata (EIP-7623); 0 before Prague.
    pub floor: u64,
}

/// What `transaction` costs before its first instruction.
#[must_use]
pub fn intrinsic_gas(rules: &Rules, transaction: &Transaction) -> IntrinsicGas {
    let access_list = transaction.access_list();
    let accounts = access_list.map_or(0, |list| list.len());
    let slots = access_list.map_or(0, |list| list.storage_keys_count());
    let gas = GasParams::new_spec(rules.fork).initial_tx_gas(
        transaction.input(),
        transaction.is_create(),
        accounts as u64,
        slots as u64,
        transaction.authorization_list().map_or(0, <[_]>::len) as u64,
        None,
    );
    IntrinsicGas {
        intrinsic: gas.initial_total_gas(),
        floor: gas.floor_gas(),
    }
}

/// Checks `transaction`'s form, as signed, for a block of `block_gas_limit`: everything that does not depend on state
/// or base fee. What passes may still be refused by [`Executor::execute`](crate::Executor::execute).
/// A legacy transaction without a chain id (before EIP-155) passes, as on Ethereum.
///
/// # Errors
///
/// [`FormError`]: the transaction can never run on this chain.
pub fn validate_form(
    rules: &Rules,
    transaction: &Transaction,
    block_gas_limit: u64,
) -> Result<(), FormError> {
    if let Some(signed) = transaction.chain_id()
        && signed != rules.chain_id
    {
        return Err(FormError::ChainId {
            signed,
            chain: rules.chain_id,
        });
    }
    validate_type(rules, transaction)?;
    validate_fees(transaction)?;
    if transaction.nonce() == u64::MAX {
        return Err(FormError::NonceAtMaximum);
    }
    let (size, max) = (transaction.input().len(), rules.cfg().max_initcode_size());
    if transaction.is_create() && rules.fork.is_enabled_in(SpecId::SHANGHAI) && size > max {
        return Err(FormError::InitCodeTooLarge { size, max });
    }
    validate_gas(rules, transaction, block_gas_limit)
}

fn validate_type(rules: &Rules, transaction: &Transaction) -> Result<(), FormError> {
    let (tx_type, since) = match transaction.tx_type() {
        TxType::Legacy => return Ok(()),
        TxType::Eip2930 => (TxType::Eip2930, SpecId::BERLIN),
        TxType::Eip1559 => (TxType::Eip1559, SpecId::LONDON),
        TxType::Eip4844 => (TxType::Eip4844, SpecId::CANCUN),
        TxType::Eip7702 => (TxType::Eip7702, SpecId::PRAGUE),
    };
    if !rules.fork.is_enabled_in(since) {
        return Err(FormError::TypeNotSupported {
            transaction_type: transaction.ty(),
        });
    }
    if tx_type == TxType::Eip7702 && transaction.authorization_list().is_none_or(<[_]>::is_empty) {
        return Err(FormError::NoAuthorizations);
    }
    if tx_type == TxType::Eip4844 {
        let max = rules.blobs.ok_or(FormError::BlobsRefused)?.max_blobs_per_tx;
        let hashes = transaction.blob_versioned_hashes().unwrap_or_default();
        let known = hashes
            .iter()
            .all(|hash| hash[0] == VERSIONED_HASH_VERSION_KZG);
        if hashes.is_empty() || hashes.len() as u64 > max || !known {
            return Err(FormError::Blobs {
                blobs: hashes.len(),
                max,
            });
        }
    }
    Ok(())
}

/// The fee fields as signed: also where gas is free, what wallets show must make sense.
pub(crate) fn validate_fees(transaction: &Transaction) -> Result<(), FormError> {
    let max_fee = transaction.max_fee_per_gas();
    if let Some(priority) = transaction.max_priority_fee_per_gas()
        && priority > max_fee
    {
        return Err(FormError::PriorityAboveMax { priority, max_fee });
    }
    let blobs = U256::from(transaction.max_fee_per_blob_gas().unwrap_or_default())
        .checked_mul(U256::from(transaction.blob_gas_used().unwrap_or_default()));
    U256::from(transaction.gas_limit())
        .checked_mul(U256::from(max_fee))
        .and_then(|gas| gas.checked_add(transaction.value()))
        .and_then(|cost| cost.checked_add(blobs?))
        .map(|_| ())
        .ok_or(FormError::CostOverflow)
}

fn validate_gas(
    rules: &Rules,
    transaction: &Transaction,
    block_gas_limit: u64,
) -> Result<(), FormError> {
    let gas_limit = transaction.gas_limit();
    if let Some(cap) = rules.transaction_gas_cap
        && gas_limit > cap
    {
        return Err(FormError::GasAboveCap { gas_limit, cap });
    }
    if gas_limit > block_gas_limit {
        return Err(FormError::GasAboveBlock {
            gas_limit,
            block_gas_limit,
        });
    }
    let IntrinsicGas { intrinsic, floor } = intrinsic_gas(rules, transaction);
    if gas_limit < intrinsic {
        return Err(FormError::IntrinsicGas {
            gas_limit,
            needed: intrinsic,
        });
    }
    if gas_limit < floor {
        return Err(FormError::FloorGas {
            gas_limit,
            needed: floor,
        });
    }
    Ok(())
}
