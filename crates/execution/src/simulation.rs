//! Questions that change nothing: calls, estimates, access lists.
//!
//! A call is not a transaction: nobody pays for its gas, its nonce and its sender's code do not matter, and it may use
//! up to [`CALL_GAS_LIMIT`]. An estimate answers for a transaction, and so is bound by the transaction's cap.

mod access_list;
mod call;
mod estimate;
mod overrides;

use alloy_eips::eip2930::AccessList;
use alloy_primitives::{TxKind, U256};
use revm::context::result::{EVMError, InvalidTransaction};
use revm::context::{BlockEnv as EvmBlock, CfgEnv, ContextTr as _, TxEnv};
use revm::context_interface::Cfg as _;
use revm::context_interface::either::Either;
use revm::handler::MainnetEvm;
use revm::{Database as _, ExecuteEvm as _, InspectEvm as _, Inspector, MainBuilder as _};
use state::View;

pub use access_list::AccessListOutcome;
pub use call::{Call, CallError, CallFees, CallOutcome, CallStatus};
pub use estimate::EstimateError;
pub use overrides::{AccountOverride, BlockOverrides, Overrides, StorageOverride};

use crate::block::{BlockEnv, BlockHashes};
use crate::executor::EvmContext;
use crate::form::FormError;
use crate::reads::{ReadError, Reads};
use crate::refused::ExecutionError;
use crate::rules::Rules;

/// The most gas that one call may use, whatever it asks for, and what it gets when it does not ask: six caps of a
/// transaction, about a second of one core. (go-ethereum's default is 50 M.)
pub const CALL_GAS_LIMIT: u64 = 100_000_000;

/// A state and a block in which questions are asked; each question starts from it afresh.
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    rules: &'a Rules,
    env: BlockEnv,
    view: &'a View,
    hashes: &'a dyn BlockHashes,
    overrides: Overrides,
}

impl<'a> Simulation<'a> {
    /// Questions about `view`, as if in a block `env` on top of it.
    #[must_use]
    pub fn new(
        rules: &'a Rules,
        env: BlockEnv,
        view: &'a View,
        hashes: &'a dyn BlockHashes,
    ) -> Self {
        Self {
            rules,
            env,
            view,
            hashes,
            overrides: Overrides::default(),
        }
    }

    /// The same with parts of state and block replaced.
    #[must_use]
    pub fn with_overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Runs `call`: no nonce, no fee, no base fee, no EIP-3607, up to [`CALL_GAS_LIMIT`].
    ///
    /// # Errors
    ///
    /// [`CallError`] when it was not run. A revert or halt is an outcome, not an error.
    pub fn call(&self, call: &Call) -> Result<CallOutcome, CallError> {
        let mut evm = self.evm(call);
        self.check_value(call, evm.ctx.db_mut())?;
        let result =
            evm.transact_one(self.transaction(call, call_gas(call), call.access_list.clone()));
        Ok(call::outcome(
            result.map_err(|error| self.refused(call, error))?,
        ))
    }

    /// [`Simulation::call`] under an inspector's eyes, which comes back with the outcome.
    ///
    /// # Errors
    ///
    /// Those of [`Simulation::call`]; the inspector is gone then.
    pub fn inspect<'b, I>(
        &'b self,
        call: &Call,
        inspector: I,
    ) -> Result<(CallOutcome, I), CallError>
    where
        I: Inspector<EvmContext<'b>>,
    {
        let mut evm = self.evm(call).with_inspector(inspector);
        self.check_value(call, evm.ctx.db_mut())?;
        let transaction = self.transaction(call, call_gas(call), call.access_list.clone());
        let result = evm
            .inspect_one_tx(transaction)
            .map_err(|error| self.refused(call, error))?;
        Ok((call::outcome(result), evm.inspector))
    }

    /// An EVM that checks what a call is checked for, and nothing else.
    fn evm(&self, call: &Call) -> MainnetEvm<EvmContext<'_>> {
        let reads = Reads::new(self.view, self.hashes).with_overrides(&self.overrides);
        EvmContext::new(reads, self.rules.fork)
            .with_cfg(self.cfg())
            .with_block(self.block(call))
            .build_mainnet()
    }

    fn cfg(&self) -> CfgEnv {
        let mut cfg = self.rules.cfg();
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        cfg.tx_chain_id_check = false;
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg.disable_base_fee = true;
        cfg.disable_block_gas_limit = true;
        cfg.disable_fee_charge = true;
        cfg
    }

    /// Where no fee is given, the base fee is 0 too, so that GASPRICE is never below it.
    fn block(&self, call: &Call) -> EvmBlock {
        let mut block = self.env.evm(self.rules);
        self.overrides.block.apply(&mut block);
        if self.rules.is_free() || call.fees == CallFees::None {
            block.basefee = 0;
        }
        block
    }

    fn transaction(&self, call: &Call, gas_limit: u64, access_list: AccessList) -> TxEnv {
        let (gas_price, gas_priority_fee, fee_type) = match call.fees {
            CallFees::Dynamic { .. } if self.rules.is_free() => (0, Some(0), 2),
            CallFees::Dynamic { max_fee, priority } => (max_fee, Some(priority), 2),
            CallFees::Legacy(_) | CallFees::None if self.rules.is_free() => (0, None, 0),
            CallFees::Legacy(price) => (price, None, 0),
            CallFees::None => (0, None, 0),
        };
        let tx_type = if !call.authorizations.is_empty() {
            4
        } else if fee_type == 0 && !access_list.is_empty() {
            1
        } else {
            fee_type
        };
        TxEnv {
            tx_type,
            caller: call.from,
            gas_limit,
            gas_price,
            kind: call.to.map_or(TxKind::Create, TxKind::Call),
            value: call.value,
            data: call.data.clone(),
            nonce: call.nonce.unwrap_or_default(),
            chain_id: None,
            access_list,
            gas_priority_fee,
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: call
                .authorizations
                .iter()
                .cloned()
                .map(Either::Left)
                .collect(),
        }
    }

    /// The one balance that a call needs, whose lack the EVM would call a halt. Gives it back.
    fn check_value(&self, call: &Call, reads: &mut Reads<'_>) -> Result<U256, CallError> {
        let sender = reads
            .basic(call.from)
            .map_err(|ReadError(source)| ExecutionError::State(source))?;
        let balance = sender.map_or(U256::ZERO, |sender| sender.balance);
        if balance < call.value {
            return Err(CallError::InsufficientFunds {
                balance,
                value: call.value,
            });
        }
        Ok(balance)
    }

    fn refused(&self, call: &Call, error: EVMError<ReadError>) -> CallError {
        use InvalidTransaction as Invalid;
        let invalid = match error {
            EVMError::Transaction(invalid) => invalid,
            other => return ExecutionError::from_evm(other).into(),
        };
        match (invalid, call.fees) {
            (
                Invalid::CallGasCostMoreThanGasLimit {
                    initial_gas,
                    gas_limit,
                },
                _,
            ) => FormError::IntrinsicGas {
                gas_limit,
                needed: initial_gas,
            }
            .into(),
            (
                Invalid::GasFloorMoreThanGasLimit {
                    gas_floor,
                    gas_limit,
                },
                _,
            ) => FormError::FloorGas {
                gas_limit,
                needed: gas_floor,
            }
            .into(),
            (Invalid::CreateInitCodeSizeLimit, _) => FormError::InitCodeTooLarge {
                size: call.data.len(),
                max: self.rules.cfg().max_initcode_size(),
            }
            .into(),
            (Invalid::NonceOverflowInTransaction, _) => FormError::NonceAtMaximum.into(),
            (Invalid::PriorityFeeGreaterThanMaxFee, CallFees::Dynamic { max_fee, priority }) => {
                FormError::PriorityAboveMax { priority, max_fee }.into()
            }
            (other, _) => CallError::Refused(other),
        }
    }
}

fn call_gas(call: &Call) -> u64 {
    call.gas.unwrap_or(CALL_GAS_LIMIT).min(CALL_GAS_LIMIT)
}
