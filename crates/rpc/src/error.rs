//! Why a call has no result, with the codes and texts that client libraries look for.
//!
//! | code | what |
//! |---|---|
//! | 3 | the EVM reverted; `data` is what it said |
//! | -32602 | a parameter is wrong |
//! | -32005 | a bound of this server |
//! | -32000 | everything else that a caller can mend |
//! | -32603 | this server failed |

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{PanicKind, Revert, SolError as _};
use chain::{PoolError, ReadError};
use execution::{CallError, EstimateError, HaltReason, RecoverError};
use jsonrpsee::types::ErrorObjectOwned;
use state::{StateError, ViewError};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("parameters are not an array: {0}")]
    NotAnArray(#[source] serde_json::Error),
    #[error("missing value for required argument {index}")]
    MissingArgument { index: usize },
    #[error("invalid argument {index}: {source}")]
    Argument {
        index: usize,
        source: serde_json::Error,
    },
    #[error("too many arguments, want at most {most}")]
    TooManyArguments { most: usize },
    /// A value of the right type that cannot be meant.
    #[error("{0}")]
    Invalid(&'static str),
    #[error("invalid hex in storage key: {key:?}")]
    StorageKey { key: String },
    #[error("storage key too long (want at most 32 bytes): {key:?}")]
    StorageKeyTooLong { key: String },
    #[error("the chain id {asked} is not this chain's, {chain}")]
    ChainId { asked: u64, chain: u64 },

    #[error("header not found")]
    NoHeader,
    #[error("unknown block {hash}")]
    UnknownBlock { hash: B256 },
    #[error("the pending block has no proofs and no history; ask for latest")]
    PendingRefused,
    #[error("filter not found")]
    NoFilter,
    #[error(
        "the filter missed {missed} transactions and is gone; install it anew and ask it more often"
    )]
    FilterBehind { missed: u64 },
    #[error("unknown account {address}: this server holds no key for it")]
    UnknownAccount { address: Address },
    #[error("accounts are unlocked for callers on this machine's loopback alone")]
    AccountsLocked,
    #[error("the transaction cannot be made from these fields: {0}")]
    Incomplete(&'static str),
    #[error("the transaction could not be signed")]
    Sign(#[from] alloy_signer::Error),
    #[error("the transaction was added to the pool but was not in a block within {waited_ms} ms")]
    NotYetMined { hash: B256, waited_ms: u64 },

    #[error("{what}: at most {most} are allowed")]
    Limit { what: &'static str, most: u64 },
    #[error("the server is busy with {most} calls; try again later")]
    Busy { most: usize },

    #[error("{}", reverted(.output))]
    Reverted { output: Bytes },
    #[error("{}", halted(.reason))]
    Halted { reason: HaltReason },
    #[error(transparent)]
    Call(CallError),
    #[error(transparent)]
    Estimate(EstimateError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error(transparent)]
    View(#[from] ViewError),

    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the answer could not be written")]
    Answer(#[source] serde_json::Error),
    #[error("the server is stopping")]
    Stopping,
    #[error("the server failed to answer; its log says why")]
    Panicked(#[source] tokio::task::JoinError),
}

/// EIP-1474: a bound of the server.
const LIMIT: i32 = -32005;
/// EIP-1474: wrong parameters.
const PARAMETERS: i32 = -32602;
/// EIP-1474: the server failed.
const INTERNAL: i32 = -32603;
/// EIP-1474: what go-ethereum says for the rest.
const SERVER: i32 = -32000;
/// What go-ethereum says for a revert.
const REVERT: i32 = 3;
/// EIP-7966: sent, but not in a block in time.
const NOT_YET_MINED: i32 = 4;

impl Failure {
    /// The JSON-RPC error code.
    pub(crate) const fn code(&self) -> i32 {
        match self {
            Self::NotAnArray(_)
            | Self::MissingArgument { .. }
            | Self::Argument { .. }
            | Self::TooManyArguments { .. }
            | Self::Invalid(_)
            | Self::StorageKey { .. }
            | Self::StorageKeyTooLong { .. } => PARAMETERS,
            Self::Limit { .. } | Self::Busy { .. } => LIMIT,
            Self::Reverted { .. } => REVERT,
            Self::NotYetMined { .. } => NOT_YET_MINED,
            Self::State(_)
            | Self::Read(_)
            | Self::Answer(_)
            | Self::Stopping
            | Self::Panicked(_) => INTERNAL,
            Self::ChainId { .. }
            | Self::NoHeader
            | Self::UnknownBlock { .. }
            | Self::PendingRefused
            | Self::NoFilter
            | Self::FilterBehind { .. }
            | Self::UnknownAccount { .. }
            | Self::AccountsLocked
            | Self::Incomplete(_)
            | Self::Sign(_)
            | Self::Halted { .. }
            | Self::Call(_)
            | Self::Estimate(_)
            | Self::Pool(_)
            | Self::Recover(_)
            | Self::View(_) => SERVER,
        }
    }

    /// What stands beside the message.
    fn data(&self) -> Option<String> {
        match self {
            Self::Reverted { output } => Some(output.to_string()),
            Self::NotYetMined { hash, .. } => Some(hash.to_string()),
            _ => None,
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<EstimateError> for Failure {
    fn from(error: EstimateError) -> Self {
        match error {
            EstimateError::Reverted { output } => Self::Reverted { output },
            EstimateError::Halted { reason } => Self::Halted { reason },
            EstimateError::Call(error) => error.into(),
            other @ EstimateError::AboveAllowance { .. } => Self::Estimate(other),
        }
    }
}

impl From<Failure> for ErrorObjectOwned {
    fn from(failure: Failure) -> Self {
        if failure.code() == INTERNAL {
            tracing::error!(error = &failure as &dyn std::error::Error, "a call failed");
        }
        Self::owned(failure.code(), failure.to_string(), failure.data())
    }
}

/// `execution reverted`, and why where the data says so: Solidity's `Error(string)` and `Panic(uint256)`.
fn reverted(output: &Bytes) -> String {
    let reason = Revert::abi_decode(output)
        .map(|revert| revert.reason)
        .ok()
        .or_else(|| {
            let panic = alloy_sol_types::Panic::abi_decode(output).ok()?;
            Some(match panic.kind() {
                Some(kind) => String::from(panic_text(kind)),
                None => format!("unknown panic code: {:#x}", panic.code),
            })
        });
    match reason {
        Some(reason) => format!("execution reverted: {reason}"),
        None => String::from("execution reverted"),
    }
}

/// go-ethereum's words for the codes of Solidity's `Panic`.
const fn panic_text(kind: PanicKind) -> &'static str {
    match kind {
        PanicKind::Generic => "generic panic",
        PanicKind::Assert => "assert(false)",
        PanicKind::UnderOverflow => "arithmetic underflow or overflow",
        PanicKind::DivisionByZero => "division or modulo by zero",
        PanicKind::EnumConversionError => "enum overflow",
        PanicKind::StorageEncodingError => "invalid encoded storage byte array accessed",
        PanicKind::EmptyArrayPop => "out-of-bounds array access; popping on an empty array",
        PanicKind::ArrayOutOfBounds => "out-of-bounds access of an array or bytesN",
        PanicKind::ResourceError => "out of memory",
        PanicKind::InvalidInternalFunction => "uninitialized function",
        _ => "unknown panic",
    }
}

/// go-ethereum's words for what libraries look for, the EVM's for the rest.
fn halted(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => String::from("out of gas"),
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => String::from("invalid opcode"),
        HaltReason::InvalidJump => String::from("invalid jump destination"),
        HaltReason::CreateCollision => String::from("contract address collision"),
        other => format!("execution halted: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, U256};
    use alloy_sol_types::{Panic, Revert, SolError as _};
    use jsonrpsee::types::ErrorObjectOwned;

    use super::Failure;

    fn answer(output: impl Into<Bytes>) -> (i32, String, String) {
        let error = ErrorObjectOwned::from(Failure::Reverted {
            output: output.into(),
        });
        (
            error.code(),
            error.message().to_owned(),
            error.data().unwrap().get().to_owned(),
        )
    }

    #[test]
    fn a_revert_says_its_reason_and_gives_its_data() {
        let output = Revert::from("user error").abi_encode();
        let data = format!("\"{}\"", Bytes::from(output.clone()));
        assert_eq!(
            answer(output),
            (3, String::from("execution reverted: user error"), data)
        );
        let (_, message, _) = answer(
            Panic {
                code: U256::from(1),
            }
            .abi_encode(),
        );
        assert_eq!(message, "execution reverted: assert(false)");
        let (_, message, data) = answer(b"wrong-calldatasize".as_slice());
        assert_eq!(message, "execution reverted");
        assert_eq!(data, "\"0x77726f6e672d63616c6c6461746173697a65\"");
        assert_eq!(answer(Bytes::new()).2, "\"0x\"");
    }
}
