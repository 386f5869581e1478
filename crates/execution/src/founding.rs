//! One call on accounts that no block has: how a hub's registry is founded before block 0 has a state root.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes};
use revm::context::ContextTr as _;
use revm::{ExecuteEvm as _, SystemCallEvm as _};
use state::{Changes, View};

use crate::block::{BlockEnv, NoBlockHashes};
use crate::changes::changes;
use crate::executor::evm;
use crate::reads::Reads;
use crate::refused::ExecutionError;
use crate::rules::Rules;
use crate::simulation::{AccountOverride, BlockOverrides, Overrides};

/// Why a registry could not be founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// The EVM could not run.
    #[error("the contracts could not be run")]
    Execution(#[from] ExecutionError),
    /// The contract reverted or halted.
    #[error("the contract {contract} refuses to be founded: {output}")]
    Refused {
        /// Which.
        contract: Address,
        /// The revert's data; empty after a halt.
        output: Bytes,
    },
}

/// The accounts of `begun`, which is a change of the empty state, after EIP-4788's system address has called `contract`
/// with `input`. The call has the 30,000,000 gas of every system call.
///
/// # Errors
///
/// [`FoundingError`].
pub fn call_on(
    rules: &Rules,
    env: &BlockEnv,
    mut begun: Changes,
    contract: Address,
    input: Bytes,
) -> Result<Changes, FoundingError> {
    let overrides = Overrides::new(begun_accounts(&begun), BlockOverrides::default());
    let view = View::empty();
    let reads = Reads::new(&view, &NoBlockHashes).with_overrides(&overrides);
    let mut evm = evm(rules, env, reads);
    let result = evm
        .system_call_one(contract, input)
        .map_err(ExecutionError::from_evm)?;
    if !result.is_success() {
        let output = result.output().cloned().unwrap_or_default();
        return Err(FoundingError::Refused { contract, output });
    }
    let journal = evm.finalize();
    let made = changes(journal, evm.ctx.db());
    begun.codes.extend(made.codes);
    for (address, change) in made.accounts {
        let account = begun.accounts.entry(address).or_default();
        account.info = change.info;
        account.storage.extend(change.storage);
    }
    Ok(begun)
}

fn begun_accounts(begun: &Changes) -> BTreeMap<Address, AccountOverride> {
    let account = |(address, change): (&Address, &state::AccountChange)| {
        let info = change.info?;
        let given = AccountOverride {
            balance: Some(info.balance),
            nonce: Some(info.nonce),
            code: begun.codes.get(&info.code_hash).cloned(),
            ..AccountOverride::default()
        };
        Some((*address, given))
    };
    begun.accounts.iter().filter_map(account).collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256, bytes, keccak256};
    use state::{AccountChange, Changes, Info};

    use super::{FoundingError, call_on};
    use crate::{BlockEnv, FeeRule, Rules};

    /// Stores the first word of its input in slot 7; reverts when that is zero.
    const CODE: Bytes = bytes!("5f358015600b576007556000005b5f5ffd");

    fn begun(contract: Address) -> Changes {
        let code_hash = keccak256(&CODE);
        let info = Info {
            nonce: 1,
            balance: U256::ZERO,
            code_hash,
        };
        let account = AccountChange {
            info: Some(info),
            ..AccountChange::default()
        };
        Changes {
            accounts: [(contract, account)].into(),
            codes: [(code_hash, CODE)].into(),
        }
    }

    #[test]
    fn a_call_writes_the_storage_that_a_state_begins_with() {
        let rules = Rules::causeway(1, FeeRule::Free, false);
        let contract = Address::repeat_byte(0xca);
        let input = Bytes::from(U256::from(5).to_be_bytes::<32>());
        let env = BlockEnv {
            gas_limit: 60_000_000,
            ..BlockEnv::default()
        };
        let founded = call_on(&rules, &env, begun(contract), contract, input).unwrap();
        let mut wanted = begun(contract);
        wanted
            .accounts
            .entry(contract)
            .or_default()
            .storage
            .insert(U256::from(7), U256::from(5));
        assert_eq!(founded, wanted);
    }

    #[test]
    fn a_contract_that_reverts_founds_nothing() {
        let rules = Rules::causeway(1, FeeRule::Free, false);
        let contract = Address::repeat_byte(0xca);
        let input = Bytes::from(U256::ZERO.to_be_bytes::<32>());
        let env = BlockEnv::default();
        let refused = call_on(&rules, &env, begun(contract), contract, input);
        assert!(
            matches!(refused, Err(FoundingError::Refused { .. })),
            "{refused:?}"
        );
    }
}
