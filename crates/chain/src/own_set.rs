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
