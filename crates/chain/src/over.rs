//! What a city keeps in mind of chains that are over here: closed ones, and those that it left.
//!
//! ```text
//!  over ── a stated time ──▶ being removed ──▶ only this row ──▶ here again, from its genesis
//!    └────────────────────── here again ◀──┘
//! ```
//!
//! A city may sign nothing twice, whatever it has forgotten: before the rows of a chain go, the row of this module says up to
//! which height it may have signed, and from where on the log counts. It stays for ever.

use std::sync::Arc;

use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use parking_lot::Mutex;
use store::Position;
use store::tables::{Batch, Tables, TablesError};
use types::ChainId;

use crate::rows::{self, Keys, Tip};

/// Rows that one batch removes.
const AT_ONCE: usize = 4_096;

/// What is kept in mind of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// Since when it is over here, Unix milliseconds; `None` when it is not, or when all of it is removed.
    pub since_ms: Option<u64>,
    /// If this city takes part again, it signs nothing up to there; 0 when it does not know up to where.
    pub silent_to: Option<u64>,
    /// What the log has of the chain before there is of no account.
    pub log_from: Position,
}

/// The row of an [`Over`]: a version, then RLP in which `0` is none and other heights and times are one more.
#[derive(RlpEncodable, RlpDecodable)]
struct Row {
    since: u64,
    silent: u64,
    log_from: u64,
}

impl Over {
    fn to_row(self) -> Vec<u8> {
        let one_more = |value: Option<u64>| value.map_or(0, |value| value.saturating_add(1));
        let mut row = vec![rows::VERSION];
        Row {
            since: one_more(self.since_ms),
            silent: one_more(self.silent_to),
            log_from: self.log_from.0,
        }
        .encode(&mut row);
        row
    }

    fn from_row(row: &[u8]) -> Option<Self> {
        let (version, mut body) = row.split_first()?;
        if *version != rows::VERSION {
            return None;
        }
        let row = Row::decode(&mut body).ok()?;
        Some(Self {
            since_ms: row.since.checked_sub(1),
            silent_to: row.silent.checked_sub(1),
            log_from: Position(row.log_from),
        })
    }
}

/// What is kept in mind of a chain; the default for most. Of a row in a form that this release does not know, that something
/// was signed.
///
/// # Errors
///
/// [`TablesError`].
pub fn find(tables: &dyn Tables, chain_id: ChainId) -> Result<Over, TablesError> {
    let row = tables.snapshot().get(&rows::over_key(chain_id))?;
    let unknown = Over {
        silent_to: Some(0),
        ..Over::default()
    };
    Ok(row.map_or_else(Over::default, |row| Over::from_row(&row).unwrap_or(unknown)))
}

/// The chains that are over here and of which there may be rows, ascending by id, with since when, Unix milliseconds.
///
/// # Errors
///
/// [`TablesError`].
pub fn all(tables: &dyn Tables) -> Result<Vec<(ChainId, u64)>, TablesError> {
    let snapshot = tables.snapshot();
    let mut found = Vec::new();
    for row in snapshot.range(&rows::OVER, &rows::OVER_END) {
        let (key, value) = row?;
        let id = key.get(rows::OVER.len()..);
        let id = id.and_then(|id| <[u8; 8]>::try_from(id).ok());
        let chain_id = id.and_then(|id| ChainId::new(u64::from_be_bytes(id)).ok());
        let since_ms = Over::from_row(&value).and_then(|over| over.since_ms);
        found.extend(chain_id.zip(since_ms));
    }
    Ok(found)
}

/// The rows of this module, read and written by one at a time.
#[derive(Debug)]
pub struct Register {
    tables: Arc<dyn Tables>,
    /// Held from reading a row to writing it.
    writing: Mutex<()>,
}

impl Register {
    /// Of these tables; make one of each.
    #[must_use]
    pub const fn new(tables: Arc<dyn Tables>) -> Self {
        Self {
            tables,
            writing: Mutex::new(()),
        }
    }

    /// Keeps in mind since when a chain is over here; with `None`, that it is not. Says whether that is new.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn set_since(&self, chain_id: ChainId, since_ms: Option<u64>) -> Result<bool, TablesError> {
        self.change(chain_id, |over| {
            let is_new = over.since_ms.is_some() != since_ms.is_some();
            if is_new {
                over.since_ms = since_ms;
            }
            is_new
        })
    }

    /// The engine of a chain that is over ended with a height open perhaps: from now on this city keeps silent up to
    /// `silent_to` (0: it does not know up to where), and what the log has before `log_from` is of no account. The log must
    /// be synced up to there.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn ended(
        &self,
        chain_id: ChainId,
        silent_to: u64,
        log_from: Position,
    ) -> Result<(), TablesError> {
        self.change(chain_id, |over| {
            over.silent_to = longer(over.silent_to, Some(silent_to));
            over.log_from = log_from;
        })
    }

    /// A chain that goes on has reached the height up to which this city was silent.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn spoke(&self, chain_id: ChainId) -> Result<(), TablesError> {
        self.change(chain_id, |over| {
            if over.since_ms.is_none() {
                over.silent_to = None;
            }
        })
    }

    /// The log was lost, and another one begins: none of these rows knows any more what was signed. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn log_lost(&self) -> Result<(), TablesError> {
        let _writing = self.writing.lock();
        let mut batch = Batch::default();
        for row in self.tables.snapshot().range(&rows::OVER, &rows::OVER_END) {
            let (key, value) = row?;
            let over = Over {
                since_ms: Over::from_row(&value).and_then(|over| over.since_ms),
                silent_to: Some(0),
                log_from: Position::default(),
            };
            batch.put(key.to_vec(), over.to_row());
        }
        self.tables.commit(batch)?;
        self.tables.flush()
    }

    /// Begins to remove a chain that is over: it is not here any more, and what this city may have signed is kept in mind for
    /// ever; `silent_to` as in [`Register::ended`], if that was not said. The log is synced, and ends at `log_end`.
    /// Whoever calls sees to it that nothing reads or writes the chain. Does nothing when that was done before.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn forget(
        &self,
        chain_id: ChainId,
        silent_to: Option<u64>,
        log_end: Position,
    ) -> Result<(), TablesError> {
        let _writing = self.writing.lock();
        let tables = &*self.tables;
        let snapshot = tables.snapshot();
        if snapshot.get(&rows::hosted_key(chain_id))?.is_none() {
            return Ok(());
        }
        let mut over = find(tables, chain_id)?;
        let tip = snapshot.get(&Keys(chain_id).tip())?;
        let tip = tip.and_then(|row| Tip::from_row(&row));
        // A height is begun above the tip alone.
        let signed = tip.map_or(0, |tip| tip.number.saturating_add(1));
        over.silent_to = longer(longer(over.silent_to, silent_to), Some(signed));
        over.log_from = log_end;
        let mut batch = Batch::default();
        batch.delete(rows::hosted_key(chain_id));
        put(&mut batch, chain_id, over);
        tables.commit(batch)
    }

    /// Removes some rows of a chain that was forgotten, from `from` on, or its first; gives from where to go on. With the last
    /// ones nothing is over any more. May be begun again after a crash.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn remove_some(
        &self,
        chain_id: ChainId,
        from: Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, TablesError> {
        let (first, end) = Keys(chain_id).all();
        let mut batch = Batch::default();
        let snapshot = self.tables.snapshot();
        for row in snapshot.range(&from.unwrap_or(first), &end).take(AT_ONCE) {
            batch.delete(row?.0.to_vec());
        }
        let last = batch.writes.last().map(|(key, _)| key.clone());
        let Some(mut next) = last.filter(|_| batch.writes.len() == AT_ONCE) else {
            self.tables.commit(batch)?;
            return self.set_since(chain_id, None).map(|_| None);
        };
        self.tables.commit(batch)?;
        next.push(0);
        Ok(Some(next))
    }

    fn change<T>(
        &self,
        chain_id: ChainId,
        change: impl FnOnce(&mut Over) -> T,
    ) -> Result<T, TablesError> {
        let _writing = self.writing.lock();
        let before = find(&*self.tables, chain_id)?;
        let mut over = before;
        let answer = change(&mut over);
        if over != before {
            let mut batch = Batch::default();
            put(&mut batch, chain_id, over);
            self.tables.commit(batch)?;
        }
        Ok(answer)
    }
}

/// The longer of two silences; one of which it is not known up to where is the longest.
fn longer(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(0), _) | (_, Some(0)) => Some(0),
        (one, other) => one.max(other),
    }
}

fn put(batch: &mut Batch, chain_id: ChainId, over: Over) {
    if over == Over::default() {
        batch.delete(rows::over_key(chain_id));
    } else {
        batch.put(rows::over_key(chain_id), over.to_row());
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};
    use state::{History, State};
    use store::simulated::{Disk, SimulatedTables};
    use types::{Domain, NetworkId, Record, ValidatorSet};

    use super::*;
    use crate::{Genesis, Profile};

    const CHAINS: u64 = 3;

    fn id(n: u64) -> ChainId {
        ChainId::new(40_000 + n).unwrap()
    }

    /// Block 0 of three chains with ids next to each other.
    fn tables() -> Arc<SimulatedTables> {
        let tables = Arc::new(Disk::new(1).open_tables());
        for n in 0..CHAINS {
            let genesis = Genesis {
                record: Record::development(id(n), 1_700_000_000_000),
                validators: ValidatorSet::single(Address::repeat_byte(1)),
                network_id: NetworkId(B256::repeat_byte(3)),
                creator: None,
                registry: None,
            };
            let domain = Domain::new(id(n), genesis.network_id);
            let profile = Profile::causeway(genesis.record.clone(), domain, false);
            let state = State::new(id(n), History::All, 1 << 20);
            genesis.write(&profile, &state, &*tables).unwrap();
        }
        tables
    }

    fn rows_of(tables: &dyn Tables, n: u64) -> usize {
        let (from, to) = Keys(id(n)).all();
        tables.snapshot().range(&from, &to).count()
    }

    fn register(tables: &Arc<SimulatedTables>) -> Register {
        Register::new(Arc::clone(tables) as _)
    }

    fn remove(register: &Register, n: u64, log_end: u64) {
        register.forget(id(n), None, Position(log_end)).unwrap();
        let mut from = None;
        while let Some(next) = register.remove_some(id(n), from).unwrap() {
            from = Some(next);
        }
    }

    #[test]
    fn what_is_removed_leaves_what_was_signed_and_no_other_chain_loses_a_row() {
        let tables = tables();
        let register = register(&tables);
        let before = [0, 2].map(|n| rows_of(&*tables, n));
        assert!(register.set_since(id(1), Some(0)).unwrap());
        assert!(!register.set_since(id(1), Some(9)).unwrap());
        assert_eq!(all(&*tables).unwrap(), [(id(1), 0)]);
        assert!(rows_of(&*tables, 1) > 3, "nothing was removed yet");

        remove(&register, 1, 77);
        assert_eq!(rows_of(&*tables, 1), 0);
        assert_eq!([0, 2].map(|n| rows_of(&*tables, n)), before);
        assert!(all(&*tables).unwrap().is_empty());
        let hosted = crate::genesis::hosted(&*tables).unwrap();
        let hosted: Vec<ChainId> = hosted.iter().map(|it| it.record.chain_id).collect();
        assert_eq!(hosted, [id(0), id(2)]);
        let kept = Over {
            since_ms: None,
            silent_to: Some(1),
            log_from: Position(77),
        };
        assert_eq!(find(&*tables, id(1)).unwrap(), kept);

        // What is not here is not removed again, and what is kept in mind stays.
        remove(&register, 1, 99);
        assert_eq!(find(&*tables, id(1)).unwrap(), kept);
    }

    #[test]
    fn many_rows_go_in_parts() {
        let tables = tables();
        let register = register(&tables);
        let mut batch = Batch::default();
        for number in 0..2 * u64::try_from(AT_ONCE).unwrap() {
            batch.put(Keys(id(1)).at(crate::rows::Table::Body, number), vec![1]);
        }
        tables.commit(batch).unwrap();
        register.set_since(id(1), Some(5)).unwrap();
        register.forget(id(1), None, Position(1)).unwrap();
        let second = register.remove_some(id(1), None).unwrap();
        assert!(second.is_some() && rows_of(&*tables, 1) > AT_ONCE);
        assert_eq!(all(&*tables).unwrap(), [(id(1), 5)], "some are left");
        remove(&register, 1, 1);
        assert_eq!(rows_of(&*tables, 1), 0);
        assert!(rows_of(&*tables, 2) > 3);
    }

    #[test]
    fn of_two_silences_the_longer_one_is_kept() {
        for (one, other, longest) in [
            (None, None, None),
            (None, Some(4), Some(4)),
            (Some(3), Some(16), Some(16)),
            (Some(16), Some(3), Some(16)),
            (Some(0), Some(16), Some(0)),
            (Some(16), Some(0), Some(0)),
            (None, Some(0), Some(0)),
        ] {
            assert_eq!(longer(one, other), longest, "{one:?} {other:?}");
        }
        // Removed a second time, after another life.
        let tables = tables();
        let register = register(&tables);
        register.set_since(id(1), Some(5)).unwrap();
        register.ended(id(1), 9, Position(3)).unwrap();
        register.set_since(id(1), None).unwrap();
        register.ended(id(1), 4, Position(8)).unwrap();
        register.set_since(id(1), Some(6)).unwrap();
        remove(&register, 1, 30);
        let kept = find(&*tables, id(1)).unwrap();
        assert_eq!((kept.silent_to, kept.log_from), (Some(9), Position(30)));
    }

    #[test]
    fn a_height_that_was_open_is_kept_in_mind_until_the_chain_has_passed_it() {
        let tables = tables();
        let register = register(&tables);
        register.set_since(id(1), Some(5)).unwrap();
        register.ended(id(1), 0, Position(12)).unwrap();
        register.spoke(id(1)).unwrap();
        assert_eq!(
            find(&*tables, id(1)).unwrap().silent_to,
            Some(0),
            "it is over"
        );
        register.set_since(id(1), None).unwrap();
        let back = find(&*tables, id(1)).unwrap();
        assert_eq!(back.silent_to, Some(0), "it does not know up to where");
        assert_eq!(back.log_from, Position(12));
        register.spoke(id(1)).unwrap();
        let passed = find(&*tables, id(1)).unwrap();
        assert_eq!((passed.silent_to, passed.log_from), (None, Position(12)));
    }

    #[test]
    fn a_new_log_knows_nothing_of_what_was_signed() {
        let tables = tables();
        let register = register(&tables);
        register.set_since(id(1), Some(5)).unwrap();
        register.ended(id(2), 7, Position(12)).unwrap();
        register.log_lost().unwrap();
        for (n, since_ms) in [(1, Some(5)), (2, None)] {
            let over = find(&*tables, id(n)).unwrap();
            assert_eq!((over.since_ms, over.silent_to), (since_ms, Some(0)));
            assert_eq!(over.log_from, Position::default());
        }
        assert_eq!(find(&*tables, id(0)).unwrap(), Over::default());
    }

    #[test]
    fn a_chain_that_comes_back_leaves_no_row_when_nothing_was_signed() {
        let tables = tables();
        let register = register(&tables);
        register.set_since(id(1), Some(5)).unwrap();
        register.set_since(id(1), None).unwrap();
        let row = tables.snapshot().get(&rows::over_key(id(1))).unwrap();
        assert_eq!(row, None);
    }

    #[test]
    fn a_row_that_is_not_understood_keeps_the_city_silent() {
        let tables = tables();
        let mut batch = Batch::default();
        batch.put(rows::over_key(id(1)), vec![9, 9]);
        tables.commit(batch).unwrap();
        assert_eq!(find(&*tables, id(1)).unwrap().silent_to, Some(0));
    }
}
