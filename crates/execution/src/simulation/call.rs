//! What a question asks to be run, and what comes back.

use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, Bytes, Log, U256};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};

use crate::form::FormError;
use crate::refused::ExecutionError;

/// Something to run without signing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The sender; the zero address where nobody says.
    pub from: Address,
    /// `None` runs `data` as init code.
    pub to: Option<Address>,
    /// In wei; the sender must have it.
    pub value: U256,
    /// Gas limit, cut down to the bound of what is asked.
    pub gas: Option<u64>,
    /// Calldata or init code.
    pub data: Bytes,
    /// EIP-2930.
    pub access_list: AccessList,
    /// EIP-7702.
    pub authorizations: Vec<SignedAuthorization>,
    /// What GASPRICE gives; of no effect where gas is free.
    pub fees: CallFees,
    /// Checked for nothing but its range.
    pub nonce: Option<u64>,
}

/// The fee fields of a [`Call`], in wei a gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallFees {
    /// None given: GASPRICE and BASEFEE are 0.
    #[default]
    None,
    /// `gasPrice`.
    Legacy(u128),
    /// EIP-1559.
    Dynamic {
        /// `maxFeePerGas`.
        max_fee: u128,
        /// `maxPriorityFeePerGas`.
        priority: u128,
    },
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub status: CallStatus,
    /// What it returned, or the revert's data; for init code the deployed code. Empty after a halt.
    pub output: Bytes,
    /// As a receipt would say.
    pub gas_used: u64,
    /// Events; empty unless it succeeded.
    pub logs: Vec<Log>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// It returned.
    Success,
    /// It undid itself and said why in its output.
    Revert,
    /// It ran out of gas or did what the EVM forbids.
    Halt(HaltReason),
}

/// Why a call was not run.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The sender does not have `value`.
    #[error("insufficient funds for transfer: balance {balance}, value {value}")]
    InsufficientFunds {
        /// In wei.
        balance: U256,
        /// In wei.
        value: U256,
    },
    /// A transaction of this form could never run.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The EVM refuses it for another reason.
    #[error("the EVM refused it")]
    Refused(#[source] InvalidTransaction),
    /// It could not be executed at all.
    #[error(transparent)]
    Failed(#[from] ExecutionError),
}

impl CallError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::InsufficientFunds { .. } => true,
            Self::Form(_) | Self::Refused(_) => false,
            Self::Failed(error) => error.is_retryable(),
        }
    }

    /// Stable name for interfaces.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InsufficientFunds { .. } => "insufficient-funds",
            Self::Form(form) => form.code(),
            Self::Refused(_) => "refused",
            Self::Failed(error) => error.code(),
        }
    }
}

/// A result in our words.
pub(super) fn outcome(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, logs, .. } => CallOutcome {
            status: CallStatus::Success,
            output: output.into_data(),
            gas_used,
            logs,
        },
        ExecutionResult::Revert { output, .. } => CallOutcome {
            status: CallStatus::Revert,
            output,
            gas_used,
            logs: Vec::new(),
        },
        ExecutionResult::Halt { reason, .. } => CallOutcome {
            status: CallStatus::Halt(reason),
            output: Bytes::new(),
            gas_used,
            logs: Vec::new(),
        },
    }
}
