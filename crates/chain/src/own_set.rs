//! The validators of a hub, whom its own state names.
//!
//! Every other chain's set is what the hub holds for it after the block that it cites. A hub cites nothing: its set is what
//! its registry holds after the very block (formats, "Handover, and the hub"). So it is known when the block was executed,
//! and not before; the registry tells the addresses in a log, beside the hash that it stores.

use alloy_primitives::{B256, U256};
use alloy_sol_types::{SolEvent as _, sol};
use execution::Executed;
use types::citation::{REGISTRY, slots};
use types::{Validator, ValidatorSet};

sol! {
    /// The hub's validators from the next block on: node keys, ascending, of equal power.
    event HubValidators(address[] validators);
}

/// The registry stores another set's hash, and no log says whose it is. Its contracts never do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry names the set {hash} for the hub, and no log of the block says who that is")]
pub struct Unnamed {
    /// What it stores.
    pub hash: B256,
}

/// The set that the registry names after this block of a hub; `None` when the block did not change it.
pub(crate) fn after(executed: &Executed) -> Result<Option<ValidatorSet>, Unnamed> {
    let [set_slot, _] = slots(0);
    let slot = U256::from_be_bytes(set_slot.0);
    let registry = executed.changes.accounts.get(&REGISTRY);
    let Some(hash) = registry.and_then(|change| change.storage.get(&slot)) else {
        return Ok(None);
    };
    let hash = B256::from(*hash);
    let logs = executed.receipts.iter().flat_map(|receipt| receipt.logs());
    let sets = logs
        .filter(|log| log.address == REGISTRY)
        .filter_map(|log| {
            let event = HubValidators::decode_log(log).ok()?;
            let validators = event.data.validators.into_iter();
            let validators = validators.map(|address| Validator { address, power: 1 });
            ValidatorSet::new(validators.collect()).ok()
        });
    match sets.last() {
        Some(set) if set.hash() == hash => Ok(Some(set)),
        _ => Err(Unnamed { hash }),
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope};
    use alloy_primitives::{Address, Bloom, Log};
    use state::{AccountChange, Changes};

    use super::*;

    fn set(bytes: &[u8]) -> ValidatorSet {
        let validators = bytes.iter().map(|byte| Validator {
            address: Address::repeat_byte(*byte),
            power: 1,
        });
        ValidatorSet::new(validators.collect()).unwrap()
    }

    /// What `from` says of a set.
    fn log(from: Address, set: &ValidatorSet) -> Log {
        let validators = set.validators().iter().map(|one| one.address).collect();
        Log {
            address: from,
            data: HubValidators { validators }.encode_log_data(),
        }
    }

    /// A block that stores `hash` for the hub, if any, and has these logs.
    fn block(hash: Option<B256>, logs: Vec<Log>) -> Executed {
        let [slot, _] = slots(0);
        let mut change = AccountChange {
            info: None,
            wiped: false,
            storage: std::collections::BTreeMap::new(),
        };
        if let Some(hash) = hash {
            change
                .storage
                .insert(U256::from_be_bytes(slot.0), hash.into());
        }
        let receipt = Receipt {
            status: Eip658Value::Eip658(true),
            cumulative_gas_used: 0,
            logs,
        };
        Executed {
            receipts: vec![ReceiptEnvelope::Eip1559(receipt.with_bloom())],
            gas_used: 0,
            blob_gas_used: 0,
            logs_bloom: Bloom::ZERO,
            receipts_root: B256::ZERO,
            requests: alloy_eips::eip7685::Requests::default(),
            changes: Changes {
                accounts: [(REGISTRY, change)].into(),
                ..Changes::default()
            },
        }
    }

    #[test]
    fn a_block_names_the_set_that_the_registry_stores_and_tells() {
        let (one, other) = (set(&[1, 2, 3, 4]), set(&[1, 2, 3, 5]));
        let (registry, stranger) = (REGISTRY, Address::repeat_byte(9));
        let named = |hash, logs| after(&block(hash, logs));
        assert_eq!(named(None, vec![]), Ok(None));
        // What is told without being stored is nothing.
        assert_eq!(named(None, vec![log(registry, &one)]), Ok(None));
        assert_eq!(
            named(Some(one.hash()), vec![log(registry, &one)]),
            Ok(Some(one.clone()))
        );
        // The last of several counts, as in storage.
        let both = vec![log(registry, &other), log(registry, &one)];
        assert_eq!(named(Some(one.hash()), both), Ok(Some(one.clone())));
        let unnamed = Err(Unnamed { hash: one.hash() });
        assert_eq!(named(Some(one.hash()), vec![]), unnamed);
        assert_eq!(named(Some(one.hash()), vec![log(stranger, &one)]), unnamed);
        assert_eq!(
            named(Some(one.hash()), vec![log(registry, &other)]),
            unnamed
        );
        let then_other = vec![log(registry, &one), log(registry, &other)];
        assert_eq!(named(Some(one.hash()), then_other), unnamed);
        let strangers_word = vec![log(registry, &one), log(stranger, &other)];
        assert_eq!(named(Some(one.hash()), strangers_word), Ok(Some(one)));
    }
}
