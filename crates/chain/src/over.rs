//! What a city keeps in mind of chains that are over here: closed ones, and those that it left.
//!
//! ```text
//!  over ── a stated time ──▶ being removed ──▶ only this row ──▶ here again, from its genesis
//!    └────────────────────── here again ◀──┘
//! ```
//!
//! A city may sign nothing twice, whatever it has forgotten: before the rows of a chain go, the row of this module says up to
//! which height it may have signed, and from where on the log counts. It stays for ever.

use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
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

/// Keeps in mind since when a chain is over here; with `None`, that it is not.
///
/// # Errors
///
/// [`TablesError`].
pub fn set_since(
    tables: &dyn Tables,
    chain_id: ChainId,
    since_ms: Option<u64>,
) -> Result<(), TablesError> {
    let before = find(tables, chain_id)?;
    let over = Over { since_ms, ..before };
    if over == before {
        return Ok(());
    }
    let mut batch = Batch::default();
    put(&mut batch, chain_id, over);
    tables.commit(batch)
}

/// The engine of a chain that is over ended with a height open perhaps: from now on this city keeps silent up to `silent_to`
/// (0: it does not know up to where), and what the log has before `log_from` is of no account.
///
/// # Errors
///
/// [`TablesError`].
pub fn ended(
    tables: &dyn Tables,
    chain_id: ChainId,
    silent_to: u64,
    log_from: Position,
) -> Result<(), TablesError> {
    let over = Over {
        silent_to: Some(silent_to),
        log_from,
        ..find(tables, chain_id)?
    };
    let mut batch = Batch::default();
    put(&mut batch, chain_id, over);
    tables.commit(batch)
}

/// Removes the rows of a chain that is over: first that it is here, with what is kept in mind for ever; then the others, a
/// bounded number in a batch. `silent_to` as in [`ended`], if that was not said; the log ends at `log_end`. Whoever calls sees
/// to it that nothing reads or writes the chain. May be called again after a crash, and when nothing is left.
///
/// # Errors
///
/// [`TablesError`].
pub fn remove(
    tables: &dyn Tables,
    chain_id: ChainId,
    silent_to: Option<u64>,
    log_end: Position,
) -> Result<(), TablesError> {
    let mut over = find(tables, chain_id)?;
    let snapshot = tables.snapshot();
    if snapshot.get(&rows::hosted_key(chain_id))?.is_some() {
        let tip = snapshot.get(&Keys(chain_id).tip())?;
        let tip = tip.and_then(|row| Tip::from_row(&row));
        // A height is begun above the tip alone.
        let signed = tip.map_or(0, |tip| tip.number.saturating_add(1));
        over.silent_to = silent_to.or(over.silent_to).or(Some(signed));
        over.log_from = log_end;
        let mut batch = Batch::default();
        batch.delete(rows::hosted_key(chain_id));
        put(&mut batch, chain_id, over);
        tables.commit(batch)?;
    }
    drop(snapshot);
    let (from, to) = Keys(chain_id).all();
    loop {
        let snapshot = tables.snapshot();
        let mut batch = Batch::default();
        let mut count = 0;
        for row in snapshot.range(&from, &to).take(AT_ONCE) {
            batch.delete(row?.0.to_vec());
            count += 1;
        }
        if count == 0 {
            break;
        }
        tables.commit(batch)?;
    }
    over.since_ms = None;
    let mut batch = Batch::default();
    put(&mut batch, chain_id, over);
    tables.commit(batch)
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
    #![expect(clippy::unwrap_used, reason = "a test says why by failing")]

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
    fn tables() -> SimulatedTables {
        let tables = Disk::new(1).open_tables();
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
            genesis.write(&profile, &state, &tables).unwrap();
        }
        tables
    }

    fn rows_of(tables: &dyn Tables, n: u64) -> usize {
        let (from, to) = Keys(id(n)).all();
        tables.snapshot().range(&from, &to).count()
    }

    #[test]
    fn what_is_removed_leaves_what_was_signed_and_no_other_chain_loses_a_row() {
        let tables = tables();
        let before = [0, 2].map(|n| rows_of(&tables, n));
        set_since(&tables, id(1), Some(0)).unwrap();
        assert_eq!(all(&tables).unwrap(), [(id(1), 0)]);
        assert!(rows_of(&tables, 1) > 3, "nothing was removed yet");

        remove(&tables, id(1), None, Position(77)).unwrap();
        assert_eq!(rows_of(&tables, 1), 0);
        assert_eq!([0, 2].map(|n| rows_of(&tables, n)), before);
        assert!(all(&tables).unwrap().is_empty());
        let hosted = crate::genesis::hosted(&tables).unwrap();
        let hosted: Vec<ChainId> = hosted.iter().map(|it| it.record.chain_id).collect();
        assert_eq!(hosted, [id(0), id(2)]);
        let kept = Over {
            since_ms: None,
            silent_to: Some(1),
            log_from: Position(77),
        };
        assert_eq!(find(&tables, id(1)).unwrap(), kept);

        // What is not here is not removed again, and what is kept in mind stays.
        remove(&tables, id(1), None, Position(99)).unwrap();
        assert_eq!(find(&tables, id(1)).unwrap(), kept);
    }

    #[test]
    fn a_height_that_was_open_is_kept_in_mind_when_the_chain_comes_back() {
        let tables = tables();
        set_since(&tables, id(1), Some(5)).unwrap();
        ended(&tables, id(1), 0, Position(12)).unwrap();
        set_since(&tables, id(1), None).unwrap();
        let back = find(&tables, id(1)).unwrap();
        assert_eq!(back.silent_to, Some(0), "it does not know up to where");
        assert_eq!(back.log_from, Position(12));
        set_since(&tables, id(1), Some(6)).unwrap();
        remove(&tables, id(1), None, Position(30)).unwrap();
        assert_eq!(find(&tables, id(1)).unwrap().silent_to, Some(0));
    }

    #[test]
    fn a_chain_that_comes_back_leaves_no_row_when_nothing_was_signed() {
        let tables = tables();
        set_since(&tables, id(1), Some(5)).unwrap();
        set_since(&tables, id(1), None).unwrap();
        let row = tables.snapshot().get(&rows::over_key(id(1))).unwrap();
        assert_eq!(row, None);
    }

    #[test]
    fn a_row_that_is_not_understood_keeps_the_city_silent() {
        let tables = tables();
        let mut batch = Batch::default();
        batch.put(rows::over_key(id(1)), vec![9, 9]);
        tables.commit(batch).unwrap();
        assert_eq!(find(&tables, id(1)).unwrap().silent_to, Some(0));
    }
}
