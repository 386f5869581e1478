//! One block, transaction by transaction: for building and for importing alike.
//!
//! ```text
//!  new ── system calls ──▶ execute · execute · … ──▶ finish ── withdrawals, rewards, requests ──▶ Executed
//! ```
//!
//! One EVM and one journal serve the whole block: what a transaction wrote is found there by the next one, and the
//! state is asked once for each account and slot.

mod ends;

use alloy_consensus::proofs::calculate_receipt_root;
use alloy_consensus::{
    Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _, TxType,
};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bloom, Bytes};
use revm::context::ContextTr as _;
use revm::context::result::{EVMError, ExecutionResult};
use revm::handler::{MainnetContext, MainnetEvm};
use revm::primitives::hardfork::SpecId;
use revm::{ExecuteEvm as _, InspectEvm as _, Inspector, MainBuilder as _, SystemCallEvm as _};
use state::{Changes, View};

use crate::block::{BlockEnv, BlockHashes};
use crate::changes::changes;
use crate::form::{FormError, validate_fees};
use crate::reads::{ReadError, Reads};
use crate::recover::Transaction;
use crate::refused::{ExecuteError, ExecutionError, Refused};
use crate::rules::Rules;
use crate::transaction::evm_transaction;

/// The EVM's context over a view of the state. For inspectors, which name it.
pub type EvmContext<'a> = MainnetContext<Reads<'a>>;

/// Runs one block's transactions, one by one, on the state of its parent.
pub struct Executor<'a> {
    rules: &'a Rules,
    env: BlockEnv,
    evm: MainnetEvm<EvmContext<'a>>,
    receipts: Vec<(TxType, Receipt)>,
    gas_used: u64,
    blob_gas_used: u64,
}

/// What one transaction did. Its logs are in its receipt ([`Executor::receipts`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it succeeded; if not, only gas and nonce are gone.
    pub success: bool,
    /// Gas of this transaction alone.
    pub gas_used: u64,
    /// What it returned: data, the code that it deployed, or the revert's data. Empty after a halt.
    pub output: Bytes,
}

/// A whole block, executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// One for each transaction, in order, with cumulative gas and bloom.
    pub receipts: Vec<ReceiptEnvelope>,
    /// Of all transactions.
    pub gas_used: u64,
    /// EIP-4844; 0 on our chains.
    pub blob_gas_used: u64,
    /// Of all logs.
    pub logs_bloom: Bloom,
    /// Root of the receipts' trie.
    pub receipts_root: B256,
    /// What execution itself requests (EIP-7685), without empty ones; empty on our chains.
    pub requests: Requests,
    /// What the block changed.
    pub changes: Changes,
}

impl std::fmt::Debug for Executor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("number", &self.env.number)
            .field("transactions", &self.receipts.len())
            .field("gas_used", &self.gas_used)
            .finish_non_exhaustive()
    }
}

impl<'a> Executor<'a> {
    /// Starts a block: makes the system calls that `rules` name.
    ///
    /// # Errors
    ///
    /// [`ExecutionError`] when the state cannot be read.
    pub fn new(
        rules: &'a Rules,
        env: BlockEnv,
        parent: &'a View,
        hashes: &'a dyn BlockHashes,
    ) -> Result<Self, ExecutionError> {
        let evm = evm(rules, &env, Reads::new(parent, hashes));
        let mut executor = Self {
            rules,
            env,
            evm,
            receipts: Vec::new(),
            gas_used: 0,
            blob_gas_used: 0,
        };
        if rules.system_calls.beacon_root {
            let root = executor.env.parent_beacon_block_root.unwrap_or_default();
            executor.system_call(BEACON_ROOTS_ADDRESS, root.into())?;
        }
        if rules.system_calls.block_hashes {
            let hash = executor.env.parent_hash;
            executor.system_call(HISTORY_STORAGE_ADDRESS, hash.into())?;
        }
        Ok(executor)
    }

    /// Runs the next transaction.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Refused`]: it cannot be the next one in this block; nothing changed, go on with another.
    /// [`ExecuteError::Failed`]: the state cannot be read; drop the executor.
    pub fn execute(&mut self, transaction: &Transaction) -> Result<Outcome, ExecuteError> {
        self.admit(transaction)?;
        let result = self
            .evm
            .transact_one(evm_transaction(self.rules, transaction));
        self.take(transaction, result)
    }

    /// Runs the next transaction under an inspector's eyes, and gives all three back.
    ///
    /// # Errors
    ///
    /// In the second place, those of [`Executor::execute`].
    pub fn inspect<I>(
        self,
        transaction: &Transaction,
        inspector: I,
    ) -> (Self, Result<Outcome, ExecuteError>, I)
    where
        I: Inspector<EvmContext<'a>>,
    {
        if let Err(refused) = self.admit(transaction) {
            return (self, Err(refused.into()), inspector);
        }
        let Self {
            rules,
            env,
            evm,
            receipts,
            gas_used,
            blob_gas_used,
        } = self;
        let mut evm = evm.with_inspector(inspector);
        let result = evm.inspect_one_tx(evm_transaction(rules, transaction));
        let MainnetEvm {
            ctx,
            inspector,
            instruction,
            precompiles,
            frame_stack,
        } = evm;
        let evm = MainnetEvm {
            ctx,
            inspector: (),
            instruction,
            precompiles,
            frame_stack,
        };
        let mut executor = Self {
            rules,
            env,
            evm,
            receipts,
            gas_used,
            blob_gas_used,
        };
        let outcome = executor.take(transaction, result);
        (executor, outcome, inspector)
    }

    /// Gas of the transactions so far.
    #[must_use]
    pub const fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Gas that the next transaction may still ask for.
    #[must_use]
    pub const fn gas_left(&self) -> u64 {
        self.env.gas_limit.saturating_sub(self.gas_used)
    }

    /// Type and receipt of each transaction so far.
    #[must_use]
    pub fn receipts(&self) -> &[(TxType, Receipt)] {
        &self.receipts
    }

    /// Ends the block: withdrawals, rewards, requests.
    ///
    /// # Errors
    ///
    /// [`ExecutionError`] when the state cannot be read, or (Ethereum's rules) the block is invalid because a system
    /// contract is missing or failed, or a deposit has the wrong form.
    pub fn finish(mut self) -> Result<Executed, ExecutionError> {
        self.pay()?;
        let requests = self.requests()?;
        let journal = self.evm.finalize();
        let changes = changes(journal, self.evm.ctx.db());
        let receipts: Vec<_> = self
            .receipts
            .into_iter()
            .map(|(kind, receipt)| {
                let bloom = alloy_primitives::logs_bloom(&receipt.logs);
                ReceiptEnvelope::from_typed(kind, ReceiptWithBloom::new(receipt, bloom))
            })
            .collect();
        let mut logs_bloom = Bloom::ZERO;
        for receipt in &receipts {
            logs_bloom.accrue_bloom(receipt.logs_bloom());
        }
        Ok(Executed {
            receipts_root: calculate_receipt_root(&receipts),
            receipts,
            gas_used: self.gas_used,
            blob_gas_used: self.blob_gas_used,
            logs_bloom,
            requests,
            changes,
        })
    }

    /// What this block allows, and what the EVM does not look at.
    fn admit(&self, transaction: &Transaction) -> Result<(), Refused> {
        let (gas_limit, left) = (transaction.gas_limit(), self.gas_left());
        if let Some(cap) = self.rules.transaction_gas_cap
            && gas_limit > cap
        {
            return Err(FormError::GasAboveCap { gas_limit, cap }.into());
        }
        if gas_limit > left {
            return Err(Refused::BlockGas { gas_limit, left });
        }
        if let Some(blob_gas) = transaction.blob_gas_used() {
            let params = self.rules.blobs.ok_or(FormError::BlobsRefused)?;
            let left = params
                .max_blob_gas_per_block()
                .saturating_sub(self.blob_gas_used);
            if blob_gas > left {
                return Err(Refused::BlockBlobGas { blob_gas, left });
            }
        }
        Ok(validate_fees(transaction)?)
    }

    fn take(
        &mut self,
        transaction: &Transaction,
        result: Result<ExecutionResult, EVMError<ReadError>>,
    ) -> Result<Outcome, ExecuteError> {
        let result = result.map_err(|error| match error {
            EVMError::Transaction(invalid) => ExecuteError::Refused(Refused::from_evm(
                invalid,
                self.rules,
                transaction,
                &self.env,
            )),
            other => ExecuteError::Failed(ExecutionError::from_evm(other)),
        })?;
        if !self.rules.fork.is_enabled_in(SpecId::CANCUN) {
            self.note_destroyed();
        }
        let gas_used = result.tx_gas_used();
        self.gas_used += gas_used;
        self.blob_gas_used += transaction.blob_gas_used().unwrap_or_default();
        let success = result.is_success();
        let output = result.output().cloned().unwrap_or_default();
        let receipt = Receipt {
            status: Eip658Value::Eip658(success),
            cumulative_gas_used: self.gas_used,
            logs: if success {
                result.into_logs()
            } else {
                Vec::new()
            },
        };
        self.receipts.push((transaction.tx_type(), receipt));
        Ok(Outcome {
            success,
            gas_used,
            output,
        })
    }

    /// Before EIP-6780 an account of an earlier block can be destroyed: its storage in the view is void from here on.
    fn note_destroyed(&mut self) {
        let journal = &mut self.evm.ctx.journaled_state;
        for (address, account) in &journal.inner.state {
            if account.is_selfdestructed_locally() {
                journal.database.destroy(*address);
            }
        }
    }

    fn system_call(
        &mut self,
        contract: Address,
        data: Bytes,
    ) -> Result<ExecutionResult, ExecutionError> {
        self.evm
            .system_call_one(contract, data)
            .map_err(ExecutionError::from_evm)
    }
}

/// An EVM for a block under `rules`.
pub(crate) fn evm<'a>(
    rules: &Rules,
    env: &BlockEnv,
    reads: Reads<'a>,
) -> MainnetEvm<EvmContext<'a>> {
    EvmContext::new(reads, rules.fork)
        .with_cfg(rules.cfg())
        .with_block(env.evm(rules))
        .build_mainnet()
}
