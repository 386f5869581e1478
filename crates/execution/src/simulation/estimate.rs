//! How much gas a transaction needs: the least limit with which it succeeds, found by halving.
//!
//! What it *uses* is not enough: a call inside keeps back a 64th (EIP-150), refunds come at the end, and a contract may
//! look at the gas it has left.

use alloy_primitives::{Bytes, U256};
use revm::context::ContextTr as _;
use revm::context::result::{EVMError, ExecutionResult, HaltReason};
use revm::handler::MainnetEvm;
use revm::{Database as _, ExecuteEvm as _};

use super::{Call, CallError, CallFees, Simulation};
use crate::executor::EvmContext;
use crate::reads::ReadError;
use crate::refused::ExecutionError;

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// What a callee gets for free with a value (EIP-150's `Gcallstipend`).
const CALL_STIPEND: u64 = 2_300;
/// The search ends when it is this near, in thousandths, as go-ethereum's does.
const TOLERANCE_PER_MILLE: u64 = 15;

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// It was not run.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It reverts, whatever gas it gets.
    #[error("execution reverted")]
    Reverted {
        /// The revert's data.
        output: Bytes,
    },
    /// It halts, whatever gas it gets.
    #[error("execution halted: {reason}")]
    Halted {
        /// Why.
        reason: HaltReason,
    },
    /// It needs more gas than it may have.
    #[error(
        "gas required exceeds the allowance of {allowance} (the cap for one transaction is {cap})"
    )]
    AboveAllowance {
        /// The least of the cap, the gas it asked for, and what its sender can pay.
        allowance: u64,
        /// The most that any transaction may have here.
        cap: u64,
    },
}

impl EstimateError {
    /// Whether the same estimate may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.is_retryable(),
            Self::Reverted { .. } | Self::Halted { .. } | Self::AboveAllowance { .. } => true,
        }
    }

    /// Stable name for interfaces.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Call(error) => error.code(),
            Self::Reverted { .. } => "reverted",
            Self::Halted { .. } => "halted",
            Self::AboveAllowance { .. } => "gas-above-allowance",
        }
    }
}

impl Simulation<'_> {
    /// The least gas limit, give or take 1.5 %, with which `call` succeeds as a transaction; never too little.
    /// Under free gas the sender needs `value` and nothing else.
    ///
    /// # Errors
    ///
    /// [`EstimateError`] when no allowed limit makes it succeed.
    pub fn estimate_gas(&self, call: &Call) -> Result<u64, EstimateError> {
        let mut evm = self.evm(call);
        let balance = self.check_value(call, evm.ctx.db_mut())?;
        let cap = self.transaction_cap();
        let allowance = call
            .gas
            .unwrap_or(cap)
            .min(cap)
            .min(self.affordable(call, balance));
        if self.is_plain_transfer(call, &mut evm)? && allowance >= TRANSFER_GAS {
            let result = self.attempt(call, TRANSFER_GAS, &mut evm)?;
            if result.is_some_and(|result| result.is_success()) {
                return Ok(TRANSFER_GAS);
            }
        }
        let gas = match self.attempt(call, allowance, &mut evm)? {
            Some(ExecutionResult::Success { gas, .. }) => gas,
            Some(ExecutionResult::Revert { output, .. }) => {
                return Err(EstimateError::Reverted { output });
            }
            Some(ExecutionResult::Halt {
                reason: HaltReason::OutOfGas(_),
                ..
            })
            | None => {
                return Err(EstimateError::AboveAllowance { allowance, cap });
            }
            Some(ExecutionResult::Halt { reason, .. }) => {
                return Err(EstimateError::Halted { reason });
            }
        };
        let least = gas.tx_gas_used().saturating_sub(1);
        let likely = (gas.total_gas_spent() + CALL_STIPEND).saturating_mul(64) / 63;
        self.search(
            call,
            &mut evm,
            Bounds {
                fails: least,
                succeeds: allowance,
                likely,
            },
        )
    }

    /// Halves between a limit that fails and one that succeeds.
    fn search(
        &self,
        call: &Call,
        evm: &mut MainnetEvm<EvmContext<'_>>,
        Bounds {
            mut fails,
            mut succeeds,
            likely,
        }: Bounds,
    ) -> Result<u64, EstimateError> {
        let mut next = likely;
        while fails + 1 < succeeds {
            if next > fails && next < succeeds {
                let result = self.attempt(call, next, evm)?;
                if result.is_some_and(|result| result.is_success()) {
                    succeeds = next;
                } else {
                    fails = next;
                }
            }
            if (succeeds - fails) * 1_000 < succeeds * TOLERANCE_PER_MILLE {
                break;
            }
            // The answer is near the lower end most of the time.
            next = (fails + (succeeds - fails) / 2).min(fails.saturating_mul(2));
        }
        Ok(succeeds)
    }

    /// Runs `call` with `gas_limit` on untouched state; `None` when the limit does not pay for its bytes.
    fn attempt(
        &self,
        call: &Call,
        gas_limit: u64,
        evm: &mut MainnetEvm<EvmContext<'_>>,
    ) -> Result<Option<ExecutionResult>, CallError> {
        use revm::context::result::InvalidTransaction as Invalid;
        let result = evm.transact_one(self.transaction(call, gas_limit, call.access_list.clone()));
        evm.finalize();
        match result {
            Ok(result) => Ok(Some(result)),
            Err(EVMError::Transaction(
                Invalid::CallGasCostMoreThanGasLimit { .. }
                | Invalid::GasFloorMoreThanGasLimit { .. },
            )) => Ok(None),
            Err(other) => Err(self.refused(call, other)),
        }
    }

    /// The most gas that a transaction may have here.
    pub(super) fn transaction_cap(&self) -> u64 {
        self.rules
            .transaction_gas_cap
            .unwrap_or(u64::MAX)
            .min(self.env.gas_limit)
    }

    /// What the sender can pay for, where gas costs and a price is given.
    fn affordable(&self, call: &Call, balance: U256) -> u64 {
        let price = match call.fees {
            CallFees::None => 0,
            CallFees::Legacy(price) => price,
            CallFees::Dynamic { max_fee, .. } => max_fee,
        };
        if self.rules.is_free() || price == 0 {
            return u64::MAX;
        }
        (balance.saturating_sub(call.value) / U256::from(price)).saturating_to()
    }

    fn is_plain_transfer(
        &self,
        call: &Call,
        evm: &mut MainnetEvm<EvmContext<'_>>,
    ) -> Result<bool, CallError> {
        let Some(to) = call.to else { return Ok(false) };
        if !call.data.is_empty() || !call.authorizations.is_empty() {
            return Ok(false);
        }
        let found = evm.ctx.db_mut().basic(to);
        let found = found.map_err(|ReadError(source)| ExecutionError::State(source))?;
        Ok(found.is_none_or(|account| account.is_empty_code_hash()))
    }
}

/// Where the answer lies.
struct Bounds {
    fails: u64,
    succeeds: u64,
    likely: u64,
}
