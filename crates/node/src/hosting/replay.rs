//! Chains from log and rows: all of them at a start, one that is opened or begins.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};

use chain::over::Over;
use chain::{Entry, Genesis, Recovery};
use store::{Position, TablesError};
use types::ChainId;

use super::{Common, NO_CHAIN};
use crate::host::StartError;
use crate::running::{Recovered, recovery};

/// What an interrupted removal left of a chain goes before the chain begins again; and that it was removed is durable before the
/// log has anything of its new beginning.
pub(super) fn remove_rests(common: &Common, chain_id: ChainId) -> Result<(), StartError> {
    if chain::over::find(&*common.tables, chain_id)? == Over::default() {
        return Ok(());
    }
    let mut from = None;
    while let Some(next) = common.over.remove_some(chain_id, from)? {
        from = Some(next);
    }
    common.log.sync(common.log.end())?;
    common.tables.flush()?;
    Ok(())
}

/// A parked chain, from its rows alone.
pub(super) fn wake(common: &Common, genesis: Genesis) -> Result<(Genesis, Recovered), StartError> {
    wake_with(common, genesis, &[])
}

/// A chain from its rows and what the log has of it.
pub(super) fn wake_with(
    common: &Common,
    genesis: Genesis,
    entries: &[Vec<u8>],
) -> Result<(Genesis, Recovered), StartError> {
    let chain_id = genesis.record.chain_id;
    let mut recovery = recovery(common, &genesis)?;
    for entry in entries {
        let at = common.log.end();
        let entry = Entry::decode(entry).map_err(|source| StartError::Entry { at, source })?;
        recovery
            .feed(entry)
            .map_err(|source| StartError::Recovery { chain_id, source })?;
    }
    let recovered = Recovered::finish(chain_id, recovery, common)?;
    Ok((genesis, recovered))
}

/// From where on the log counts of a chain.
pub(crate) fn counts_from(common: &Common, chain: u64) -> Result<Position, TablesError> {
    let Ok(chain_id) = ChainId::new(chain) else {
        return Ok(Position::default());
    };
    Ok(chain::over::find(&*common.tables, chain_id)?.log_from)
}

/// The chains of a log that is being read.
struct Readers<'a> {
    common: &'a Common,
    first: u64,
    chains: HashMap<u64, (Genesis, Recovery)>,
    /// From where on the log counts, of each chain that it has something of.
    counts_from: HashMap<u64, Position>,
    /// Those that cannot be continued.
    failed: HashSet<u64>,
    lost_ms: Option<u64>,
}

/// What a log had.
pub(super) struct Replayed {
    pub(super) recovered: Vec<(Genesis, Recovered)>,
    pub(super) failed: HashSet<u64>,
    /// When the city lost an earlier log, Unix milliseconds.
    pub(super) lost_ms: Option<u64>,
}

impl Readers<'_> {
    fn begin(&mut self, genesis: Genesis) -> Result<(), StartError> {
        let recovery = recovery(self.common, &genesis)?;
        self.chains
            .insert(genesis.record.chain_id.get(), (genesis, recovery));
        Ok(())
    }

    fn feed(&mut self, entry: &store::log::Entry) -> Result<(), StartError> {
        let chain = entry.chain;
        if self.failed.contains(&chain) || !self.counts(entry)? {
            return Ok(());
        }
        match self.try_feed(entry) {
            Err(error) if chain != self.first && !error.is_of_the_city() => {
                self.give_up(chain, &error);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether an entry is of account: what is before the end of a chain that was over here is not.
    fn counts(&mut self, entry: &store::log::Entry) -> Result<bool, StartError> {
        let from = match self.counts_from.entry(entry.chain) {
            Slot::Occupied(known) => *known.get(),
            Slot::Vacant(free) => *free.insert(counts_from(self.common, entry.chain)?),
        };
        Ok(entry.position >= from)
    }

    fn try_feed(&mut self, entry: &store::log::Entry) -> Result<(), StartError> {
        let at = entry.position;
        let decoded =
            Entry::decode(&entry.payload).map_err(|source| StartError::Entry { at, source })?;
        if entry.chain == NO_CHAIN {
            if let Entry::Silence { until } = decoded {
                self.lost_ms = Some(until);
            }
            return Ok(());
        }
        if !self.chains.contains_key(&entry.chain) {
            let Ok(chain_id) = ChainId::new(entry.chain) else {
                return Ok(());
            };
            match (
                chain::genesis::find(&*self.common.tables, chain_id)?,
                &decoded,
            ) {
                (Some(genesis), _) => self.begin(genesis)?,
                // It began just before a crash.
                (None, Entry::Genesis(genesis)) => self.begin((**genesis).clone())?,
                (None, _) => return Ok(()),
            }
        }
        let Some((genesis, recovery)) = self.chains.get_mut(&entry.chain) else {
            return Ok(());
        };
        let chain_id = genesis.record.chain_id;
        recovery
            .feed(decoded)
            .map_err(|source| StartError::Recovery { chain_id, source })
    }

    fn give_up(&mut self, chain: u64, error: &StartError) {
        tracing::error!(
            chain,
            error = error as &dyn std::error::Error,
            "this chain stands still; the others go on, and it is tried again when the program is started again"
        );
        self.chains.remove(&chain);
        self.failed.insert(chain);
    }
}

/// Reads the log once, for all chains. A chain that the log has nothing of is not looked at. One that cannot be continued
/// is left alone, but for `first`.
pub(super) fn recover_all(common: &Common, first: &Genesis) -> Result<Replayed, StartError> {
    let mut readers = Readers {
        common,
        first: first.record.chain_id.get(),
        chains: HashMap::new(),
        counts_from: HashMap::new(),
        failed: HashSet::new(),
        lost_ms: None,
    };
    readers.begin(first.clone())?;
    let mut outcome = Ok(());
    let mut start = None;
    common.log.replay(Position::default(), &mut |entry| {
        start.get_or_insert(entry.position);
        outcome = readers.feed(&entry);
        outcome.is_ok()
    })?;
    outcome?;
    common.trim.begin(start.unwrap_or_else(|| common.log.end()));
    let mut recovered = Vec::with_capacity(readers.chains.len());
    for (chain, (genesis, recovery)) in std::mem::take(&mut readers.chains) {
        match Recovered::finish(genesis.record.chain_id, recovery, common) {
            Ok(finished) => recovered.push((genesis, finished)),
            Err(error) if chain != readers.first && !error.is_of_the_city() => {
                readers.give_up(chain, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Replayed {
        recovered,
        failed: readers.failed,
        lost_ms: readers.lost_ms,
    })
}
