//! What a chain is: its rules, its names, and how its headers relate.

use execution::Rules;
use types::{ChainId, Domain, Readers, Record};

/// What does not change between two handovers of a chain.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The chain.
    pub chain_id: ChainId,
    /// What execution follows.
    pub rules: Rules,
    /// Whose headers these are.
    pub lineage: Lineage,
}

/// Whose rules between headers hold.
#[derive(Clone, Debug)]
pub enum Lineage {
    /// One of our chains: certified, headers as the formats say.
    Causeway {
        /// The record in force.
        record: Box<Record>,
        /// What signatures bind to.
        domain: Domain,
    },
    /// A chain of Ethereum's that conformance suites import: no certificates, headers as given. Execution and all roots
    /// are checked alike.
    Foreign,
}

impl Profile {
    /// A chain of ours. `has_hub` says whether a hub's block created it, and its blocks cite the hub's; EIP-4788's call is
    /// made on no other.
    #[must_use]
    pub fn causeway(record: Record, domain: Domain, has_hub: bool) -> Self {
        let rules = Rules::causeway(record.chain_id.get(), record.fee_rule, has_hub);
        Self {
            chain_id: record.chain_id,
            rules,
            lineage: Lineage::Causeway {
                record: Box::new(record),
                domain,
            },
        }
    }

    /// The record, on our own chains.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match &self.lineage {
            Lineage::Causeway { record, .. } => Some(record),
            Lineage::Foreign => None,
        }
    }

    /// Whether cities that do not keep the chain follow it: every city follows the hub. No hub's block created such a chain,
    /// and anybody may read it.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        let is_open = |record: &Record| record.readers == Readers::Anyone;
        !self.has_hub() && self.record().is_some_and(is_open)
    }

    /// Whether blocks may cite the hub's: a hub's block created the chain.
    #[must_use]
    pub const fn has_hub(&self) -> bool {
        self.rules.system_calls.beacon_root && matches!(self.lineage, Lineage::Causeway { .. })
    }

    /// The signatures' domain, on our own chains.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match &self.lineage {
            Lineage::Causeway { domain, .. } => Some(domain),
            Lineage::Foreign => None,
        }
    }
}
