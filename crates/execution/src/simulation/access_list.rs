//! Which accounts and slots a call touches (EIP-2930), for `eth_createAccessList`.

use alloy_eips::eip2930::AccessList;
use revm::context::ContextTr as _;
use revm::{ExecuteEvm as _, InspectEvm as _};
use revm_inspectors::access_list::AccessListInspector;

use super::call::outcome;
use super::{Call, CallError, CallOutcome, Simulation};

/// A list may change what is touched, which changes the list: this many rounds, then the last one counts.
const MAX_ROUNDS: usize = 8;

/// What a call touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListOutcome {
    /// Without sender, recipient and precompiles, unless slots of theirs are touched.
    pub access_list: AccessList,
    /// What the call did with this list: its gas, and how it ended.
    pub outcome: CallOutcome,
}

impl Simulation<'_> {
    /// The access list of `call`, until a further round would not change it.
    ///
    /// # Errors
    ///
    /// [`CallError`] when it was not run. A revert or halt is in the outcome.
    pub fn create_access_list(&self, call: &Call) -> Result<AccessListOutcome, CallError> {
        let cap = self.transaction_cap();
        let gas = call.gas.unwrap_or(cap).min(cap);
        let mut evm = self.evm(call);
        self.check_value(call, evm.ctx.db_mut())?;
        let mut evm = evm.with_inspector(AccessListInspector::default());
        let mut access_list = call.access_list.clone();
        let mut rounds = 0;
        loop {
            evm.set_inspector(AccessListInspector::new(access_list.clone()));
            let result = evm.inspect_one_tx(self.transaction(call, gas, access_list.clone()));
            evm.finalize();
            let outcome = outcome(result.map_err(|error| self.refused(call, error))?);
            let touched = evm.inspector.access_list();
            rounds += 1;
            if touched == access_list || rounds == MAX_ROUNDS {
                return Ok(AccessListOutcome {
                    access_list: touched,
                    outcome,
                });
            }
            access_list = touched;
        }
    }
}
