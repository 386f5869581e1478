//! Why a transaction does not run now, and why execution as a whole fails.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U256};
use revm::context::result::{AnyError, EVMError, InvalidHeader, InvalidTransaction};
use state::StateError;

use crate::block::BlockEnv;
use crate::form::FormError;
use crate::reads::ReadError;
use crate::recover::Transaction;
use crate::rules::Rules;

/// Why a transaction did not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// It cannot be the next one; the block goes on without it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing can run any more.
    #[error(transparent)]
    Failed(#[from] ExecutionError),
}

/// Why a transaction cannot be the next one in this block. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It can never run here.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Its nonce was used.
    #[error("nonce too low: next nonce {state}, transaction nonce {transaction}")]
    NonceTooLow {
        /// As signed.
        transaction: u64,
        /// The sender's next.
        state: u64,
    },
    /// Transactions before it are missing.
    #[error("nonce too high: next nonce {state}, transaction nonce {transaction}")]
    NonceTooHigh {
        /// As signed.
        transaction: u64,
        /// The sender's next.
        state: u64,
    },
    /// The sender has not enough: under free gas only `value` counts.
    #[error("insufficient funds: balance {balance}, needed {needed}")]
    InsufficientFunds {
        /// In wei.
        balance: U256,
        /// Value and, where gas costs, gas limit × max fee (and blobs), in wei.
        needed: U256,
    },
    /// The block has not this much gas left.
    #[error("gas limit {gas_limit} is above what the block has left, {left}")]
    BlockGas {
        /// As signed.
        gas_limit: u64,
        /// Left in the block.
        left: u64,
    },
    /// The block has not this much blob gas left (EIP-4844).
    #[error("{blob_gas} of blob gas is above what the block has left, {left}")]
    BlockBlobGas {
        /// Of the transaction.
        blob_gas: u64,
        /// Left in the block.
        left: u64,
    },
    /// Its fee is below the block's base fee.
    #[error("max fee {max_fee} is below the base fee {base_fee}")]
    FeeBelowBaseFee {
        /// `maxFeePerGas` or `gasPrice`.
        max_fee: u128,
        /// Of the block.
        base_fee: u64,
    },
    /// Its blob fee is below the block's (EIP-4844).
    #[error("max blob fee {max_fee} is below the blob base fee {base_fee}")]
    FeeBelowBlobFee {
        /// `maxFeePerBlobGas`.
        max_fee: u128,
        /// Of the block.
        base_fee: u128,
    },
    /// The sender is a contract (EIP-3607).
    #[error("the sender is a contract")]
    SenderIsContract,
    /// A rule that these rules should not have.
    #[error("the EVM refused it")]
    Other(#[source] InvalidTransaction),
}

impl Refused {
    /// Whether the same transaction may run in a later block.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::Form(_) | Self::NonceTooLow { .. } | Self::Other(_)
        )
    }

    /// Stable name for interfaces.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form(form) => form.code(),
            Self::NonceTooLow { .. } => "nonce-too-low",
            Self::NonceTooHigh { .. } => "nonce-too-high",
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::BlockGas { .. } | Self::BlockBlobGas { .. } => "block-full",
            Self::FeeBelowBaseFee { .. } | Self::FeeBelowBlobFee { .. } => "fee-too-low",
            Self::SenderIsContract => "sender-is-contract",
            Self::Other(_) => "refused",
        }
    }

    pub(crate) fn from_evm(
        invalid: InvalidTransaction,
        rules: &Rules,
        transaction: &Transaction,
        env: &BlockEnv,
    ) -> Self {
        use InvalidTransaction as Invalid;
        match invalid {
            Invalid::NonceTooLow { tx, state } => Self::NonceTooLow {
                transaction: tx,
                state,
            },
            Invalid::NonceTooHigh { tx, state } => Self::NonceTooHigh {
                transaction: tx,
                state,
            },
            Invalid::NonceOverflowInTransaction => FormError::NonceAtMaximum.into(),
            Invalid::LackOfFundForMaxFee { fee, balance } => Self::InsufficientFunds {
                balance: *balance,
                needed: *fee,
            },
            Invalid::RejectCallerWithCode => Self::SenderIsContract,
            Invalid::GasPriceLessThanBasefee => Self::FeeBelowBaseFee {
                max_fee: transaction.max_fee_per_gas(),
                base_fee: env.base_fee,
            },
            Invalid::BlobGasPriceGreaterThanMax {
                block_blob_gas_price,
                tx_max_fee_per_blob_gas,
            } => Self::FeeBelowBlobFee {
                max_fee: tx_max_fee_per_blob_gas,
                base_fee: block_blob_gas_price,
            },
            Invalid::CallGasCostMoreThanGasLimit {
                initial_gas,
                gas_limit,
            } => FormError::IntrinsicGas {
                gas_limit,
                needed: initial_gas,
            }
            .into(),
            Invalid::GasFloorMoreThanGasLimit {
                gas_floor,
                gas_limit,
            } => FormError::FloorGas {
                gas_limit,
                needed: gas_floor,
            }
            .into(),
            // The rest is a matter of form: let the one place that names it do so.
            other => crate::form::validate_form(rules, transaction, u64::MAX)
                .map_or_else(Self::Form, |()| Self::Other(other)),
        }
    }
}

/// Why a block, or a call, could not be executed at all.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The state could not be read.
    #[error("the state could not be read")]
    State(#[source] StateError),
    /// A system contract is missing, or its call failed: the block is invalid (EIP-7002, EIP-7251).
    #[error("the system contract {contract} is missing or failed")]
    SystemContract {
        /// Which one.
        contract: Address,
    },
    /// The deposit contract's log has not the form of EIP-6110: the block is invalid.
    #[error("a deposit's log is malformed")]
    MalformedDeposit,
    /// The block lacks a field that the fork needs.
    #[error("the block lacks a field")]
    Header(#[source] InvalidHeader),
    /// The EVM stopped for a reason that is none of Ethereum's.
    #[error("the EVM failed: {reason}")]
    Evm {
        /// In its words.
        reason: String,
    },
    /// A precompile stopped for a reason that is none of Ethereum's.
    #[error("the EVM failed")]
    Fatal(#[source] AnyError),
}

impl ExecutionError {
    /// Whether the same may succeed later: only reading can.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::State(source) => source.is_retryable(),
            _ => false,
        }
    }

    /// Stable name for interfaces.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::State(source) => source.code(),
            Self::SystemContract { .. } | Self::MalformedDeposit => "block-invalid",
            Self::Header(_) | Self::Evm { .. } | Self::Fatal(_) => "evm-failed",
        }
    }

    pub(crate) fn from_evm(error: EVMError<ReadError>) -> Self {
        match error {
            EVMError::Database(ReadError(source)) => Self::State(source),
            EVMError::Header(source) => Self::Header(source),
            EVMError::Custom(reason) => Self::Evm { reason },
            EVMError::CustomAny(source) => Self::Fatal(source),
            // Only calls come here with one; they have their own answer before.
            EVMError::Transaction(invalid) => Self::Fatal(AnyError::new(invalid)),
        }
    }
}
