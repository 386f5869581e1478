//! Transactions and blocks run by the EVM under one value of rules.
//!
//! ```text
//!  raw bytes ──recover──▶ Transaction ──validate_form──▶ pool
//!                              │
//!  Rules + BlockEnv + View ──▶ Executor ──execute*──finish──▶ Executed {receipts, requests, changes}
//!  Rules + BlockEnv + View ──▶ Simulation ──call / estimate_gas / create_access_list
//! ```
//!
//! Pure: state is read through [`state::View`] and [`BlockHashes`], nothing is written, no clock, no I/O of its own.
//! The same [`Rules`] drive our chains (Osaka, free gas) and Ethereum's own (conformance vectors).
//! What a block must *be* (header fields, limits between blocks) is the business of `chain`.

mod block;
mod changes;
mod executor;
mod form;
mod founding;
mod reads;
mod recover;
mod refused;
mod requests;
mod rules;
mod simulation;
mod transaction;

pub use alloy_consensus::transaction::Recovered;
pub use alloy_eips::eip7685::Requests;
pub use alloy_eips::eip7840::BlobParams;
pub use block::{BlockEnv, BlockHashes, NoBlockHashes, Ommer};
pub use executor::{EvmContext, Executed, Executor, Outcome};
pub use form::{FormError, IntrinsicGas, intrinsic_gas, validate_form};
pub use founding::{FoundingError, call_on};
pub use reads::{ReadError, Reads};
pub use recover::{RecoverError, Transaction, recover, recover_all, signed};
pub use refused::{ExecuteError, ExecutionError, Refused};
pub use revm::context::result::HaltReason;
pub use revm::primitives::hardfork::SpecId;
pub use rules::{FeeRule, RequestsRule, Rewards, Rules, SystemCalls};
pub use simulation::{
    AccessListOutcome, AccountOverride, BlockOverrides, CALL_GAS_LIMIT, Call, CallError, CallFees,
    CallOutcome, CallStatus, EstimateError, Overrides, Simulation, StorageOverride,
};
