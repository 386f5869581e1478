//! What is wrong with the city and shows in each of its chains: told once, by the first chain that notices.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use types::ChainId;

/// What is wrong with the clock.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// It is behind a chain's latest block.
    pub(crate) behind: Fault,
    /// It is far from those of a chain's other cities.
    pub(crate) far: Fault,
}

/// One fault. A lock because each chain's driver notes what it sees, on threads of its own.
#[derive(Debug, Default)]
pub(crate) struct Fault(Mutex<BTreeSet<u64>>);

impl Fault {
    /// A chain sees the fault, or sees that it is over. Says whether it is the first that sees it.
    pub(crate) fn note(&self, chain_id: ChainId, is_there: bool) -> bool {
        let mut seen = self.0.lock();
        if !is_there {
            if seen.contains(&chain_id.get()) {
                // It is the city's: others that heard nothing since see what was.
                seen.clear();
            }
            return false;
        }
        let is_first = seen.is_empty();
        seen.insert(chain_id.get());
        is_first
    }
}

impl Faults {
    /// A chain ended, and sees nothing any more.
    pub(crate) fn forget(&self, chain_id: ChainId) {
        for fault in [&self.behind, &self.far] {
            fault.0.lock().remove(&chain_id.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use types::ChainId;

    use super::Faults;

    #[test]
    fn a_fault_is_told_once_until_it_is_over() {
        let [one, two] = [40_001, 40_002].map(|id| ChainId::new(id).unwrap());
        let faults = Faults::default();
        assert!(faults.far.note(one, true));
        assert!(!faults.far.note(two, true));
        assert!(faults.behind.note(two, true), "another fault");
        faults.far.note(ChainId::new(40_003).unwrap(), false);
        faults.forget(one);
        assert!(!faults.far.note(one, true), "the other one sees it still");
        faults.far.note(one, false);
        assert!(faults.far.note(two, true), "again");
        faults.forget(two);
        assert!(faults.far.note(two, true), "again");
    }
}
