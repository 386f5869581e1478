//! From the EVM's journal of a block to the changes of the state.

use std::collections::BTreeMap;

use alloy_primitives::{Address, KECCAK256_EMPTY, U256};
use revm::state::{Account, AccountInfo, EvmState};
use state::{AccountChange, Changes, Info};

use crate::reads::Reads;

/// What the block changed: what is in `journal` and differs from what `reads` found.
///
/// - An account that is empty and was touched is deleted (EIP-161), one that nobody touched stays as it is.
/// - A self-destruct of the last transaction that touched an account is still only a mark on it.
pub(crate) fn changes(journal: EvmState, reads: &Reads<'_>) -> Changes {
    let mut changes = Changes::default();
    for (address, account) in journal {
        if !account.is_touched() {
            continue;
        }
        let before = reads.account_before(&address);
        let Some(info) = info_after(&account) else {
            if before.is_some() {
                let deleted = AccountChange {
                    info: None,
                    wiped: true,
                    storage: BTreeMap::new(),
                };
                changes.accounts.insert(address, deleted);
            }
            continue;
        };
        let wiped = reads.is_destroyed(&address) && before.is_some();
        let storage = storage_after(address, &account, wiped, reads);
        if !wiped && storage.is_empty() && before == Some(info) {
            continue;
        }
        let code_is_new = before.is_none_or(|before| before.code_hash != info.code_hash);
        if code_is_new
            && info.code_hash != KECCAK256_EMPTY
            && let Some(code) = account.info.code
        {
            changes.codes.insert(info.code_hash, code.original_bytes());
        }
        changes.accounts.insert(
            address,
            AccountChange {
                info: Some(info),
                wiped,
                storage,
            },
        );
    }
    changes
}

fn info_after(account: &Account) -> Option<Info> {
    if account.is_selfdestructed_locally() || account.is_empty() {
        return None;
    }
    let AccountInfo {
        balance,
        nonce,
        code_hash,
        ..
    } = account.info;
    Some(Info {
        nonce,
        balance,
        code_hash,
    })
}

fn storage_after(
    address: Address,
    account: &Account,
    wiped: bool,
    reads: &Reads<'_>,
) -> BTreeMap<U256, U256> {
    let before = |slot| {
        if wiped {
            U256::ZERO
        } else {
            reads.slot_before(address, slot)
        }
    };
    account
        .storage
        .iter()
        .map(|(slot, value)| (*slot, value.present_value()))
        .filter(|(slot, value)| *value != before(*slot))
        .collect()
}
