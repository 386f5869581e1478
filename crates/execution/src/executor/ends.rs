//! What happens to a block after its last transaction: withdrawals, rewards, requests.

use alloy_eips::eip7685::Requests;
use alloy_primitives::{Bytes, U256};
use revm::context::JournalTr as _;
use revm::context::result::ExecutionResult;

use super::Executor;
use crate::reads::ReadError;
use crate::refused::ExecutionError;
use crate::requests::{DEPOSITS, QUEUES, deposits};
use crate::rules::RequestsRule;

impl Executor<'_> {
    /// Withdrawals (EIP-4895) and, before the merge, rewards.
    pub(super) fn pay(&mut self) -> Result<(), ExecutionError> {
        let mut payments = Vec::new();
        if self.rules.withdrawals {
            payments.extend(
                self.env
                    .withdrawals
                    .iter()
                    .map(|w| (w.address, w.amount_wei())),
            );
        }
        if let Some(rewards) = self.rules.rewards {
            for ommer in &self.env.ommers {
                let depth = self.env.number.saturating_sub(ommer.number).min(8);
                payments.push((
                    ommer.beneficiary,
                    rewards.block * U256::from(8 - depth) / U256::from(8),
                ));
            }
            let nephews = rewards.block * U256::from(self.env.ommers.len()) / U256::from(32);
            payments.push((self.env.beneficiary, rewards.block + nephews));
        }
        let journal = &mut self.evm.ctx.journaled_state;
        for (address, amount) in payments {
            journal
                .balance_incr(address, amount)
                .map_err(|ReadError(source)| ExecutionError::State(source))?;
        }
        journal.commit_tx();
        Ok(())
    }

    pub(super) fn requests(&mut self) -> Result<Requests, ExecutionError> {
        let mut requests = Requests::default();
        let RequestsRule::Ethereum { deposit_contract } = self.rules.requests else {
            return Ok(requests);
        };
        let mut data = Vec::new();
        let logs = self.receipts.iter().flat_map(|(_, receipt)| &receipt.logs);
        deposits(deposit_contract, logs, &mut data)
            .map_err(|_| ExecutionError::MalformedDeposit)?;
        if !data.is_empty() {
            requests.push_request_with_type(DEPOSITS, data);
        }
        for (kind, contract) in QUEUES {
            let account = self.evm.ctx.journaled_state.load_account(contract);
            let account = account.map_err(|ReadError(source)| ExecutionError::State(source))?;
            if account.data.info.is_empty_code_hash() {
                return Err(ExecutionError::SystemContract { contract });
            }
            match self.system_call(contract, Bytes::new())? {
                ExecutionResult::Success { output, .. } => {
                    let data = output.into_data();
                    if !data.is_empty() {
                        requests.push_request_with_type(kind, data);
                    }
                }
                ExecutionResult::Revert { .. } | ExecutionResult::Halt { .. } => {
                    return Err(ExecutionError::SystemContract { contract });
                }
            }
        }
        Ok(requests)
    }
}
