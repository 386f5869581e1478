//! What blocks overwrote, so that older blocks can still be told.
//!
//! ```text
//!  Overwritten: row id ‖ block ──▶ what the row was before that block
//!  Touched:     block          ──▶ the ids it overwrote
//!  Oldest:                     ──▶ the oldest block that can be told
//! ```
//!
//! A row after block N is what it was before the first later block that overwrote it, or else what it is now.

use std::iter::Peekable;

use store::tables::{Batch, Rows, Value};

use crate::StateError;
use crate::account::byte;
use crate::reader::{Reader, Row, Stored};
use crate::rows::{Keys, RowId};

/// How much of the past a chain keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Every block.
    All,
    /// The latest block and this many before it.
    Blocks(u64),
}

/// Most blocks that one block forgets: more than one where less is kept than before.
const FORGET_AT_ONCE: u64 = 16;

const DAMAGED: StateError = StateError::Damaged {
    what: "a row of the history has a form that nothing writes",
};

/// What a row was before a block.
pub(crate) struct Before(Value);

impl Before {
    /// `None`: the row was not there.
    pub(crate) fn value(&self) -> Result<Option<&[u8]>, StateError> {
        match self.0.split_first() {
            Some((0, [])) => Ok(None),
            Some((1, row)) => Ok(Some(row)),
            _ => Err(DAMAGED),
        }
    }

    /// The row's form.
    pub(crate) fn encode(row: Option<&[u8]>) -> Vec<u8> {
        let mut value = Vec::with_capacity(1 + row.map_or(0, <[u8]>::len));
        value.push(u8::from(row.is_some()));
        value.extend_from_slice(row.unwrap_or_default());
        value
    }
}

impl Stored {
    /// What row `id` was before the first block after this one that overwrote it, if one did.
    pub(crate) fn overwritten(&self, id: &[u8]) -> Result<Option<Before>, StateError> {
        let from = self.keys.overwritten(id, self.number.saturating_add(1));
        let to = after(self.keys.overwritten(id, u64::MAX));
        let first = self.snapshot.range(&from, &to).next().transpose()?;
        Ok(first.map(|(_, value)| Before(value)))
    }
}

/// The rows from one id to another as they were after an older block.
pub(crate) struct Past<'a> {
    stored: &'a Stored,
    now: Peekable<Rows<'a>>,
    /// The next overwritten row, and where those after it begin.
    before: Option<(Vec<u8>, Before)>,
    from: Vec<u8>,
    to: Vec<u8>,
    begun: bool,
}

impl<'a> Past<'a> {
    /// Row ids with `from <= id <= to`.
    pub(crate) fn new(stored: &'a Stored, from: &[u8], to: &[u8]) -> Self {
        let keys = stored.keys;
        let now = stored
            .snapshot
            .range(&keys.current(from), &after(keys.current(to)))
            .peekable();
        let (from, to) = (
            keys.overwritten(from, 0),
            after(keys.overwritten(to, u64::MAX)),
        );
        Self {
            stored,
            now,
            before: None,
            from,
            to,
            begun: false,
        }
    }

    /// The next row's id and value.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, StateError> {
        if !self.begun {
            self.begun = true;
            self.before = self.next_before()?;
        }
        loop {
            let (take_now, take_before) = match (self.now.peek(), &self.before) {
                (None | Some(Err(_)), None) | (Some(Err(_)), Some(_)) => (true, false),
                (None, Some(_)) => (false, true),
                (Some(Ok(_)), None) => (true, false),
                (Some(Ok((key, _))), Some((before, _))) => {
                    let now = Keys::split_current(key).ok_or(DAMAGED)?;
                    (now <= before.as_slice(), now >= before.as_slice())
                }
            };
            let row = if take_now {
                self.now.next().transpose()?
            } else {
                None
            };
            if !take_before {
                let Some((key, value)) = row else {
                    return Ok(None);
                };
                return Ok(Some((
                    Keys::split_current(&key).ok_or(DAMAGED)?.to_vec(),
                    value.to_vec(),
                )));
            }
            let next = self.next_before()?;
            let Some((id, before)) = std::mem::replace(&mut self.before, next) else {
                continue;
            };
            if let Some(row) = before.value()? {
                return Ok(Some((id, row.to_vec())));
            }
        }
    }

    /// The next id that a later block overwrote, with what it was before the first one.
    fn next_before(&mut self) -> Result<Option<(Vec<u8>, Before)>, StateError> {
        while self.from < self.to {
            let Some(row) = self.stored.snapshot.range(&self.from, &self.to).next() else {
                return Ok(None);
            };
            let (key, value) = row?;
            let (id, number) = Keys::split_overwritten(&key).ok_or(DAMAGED)?;
            if number > self.stored.number {
                self.from = after(self.stored.keys.overwritten(id, u64::MAX));
                return Ok(Some((id.to_vec(), Before(value))));
            }
            self.from = self
                .stored
                .keys
                .overwritten(id, self.stored.number.saturating_add(1));
        }
        Ok(None)
    }
}

/// The first key after this one.
pub(crate) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// Adds to a block's index of what it overwrote.
pub(crate) fn add_touched(id: &RowId, row: &mut Vec<u8>) {
    row.push(byte(id.as_bytes().len()));
    row.extend_from_slice(id.as_bytes());
}

/// The ids in such a row.
fn touched(mut row: &[u8]) -> impl Iterator<Item = Result<&[u8], StateError>> {
    std::iter::from_fn(move || {
        let (&length, rest) = row.split_first()?;
        let Some((id, rest)) = rest.split_at_checked(length.into()) else {
            row = &[];
            return Some(Err(DAMAGED));
        };
        row = rest;
        Some(Ok(id))
    })
}

/// The oldest block that can be told, as written.
pub(crate) fn oldest(reader: &Reader<'_>) -> Result<u64, StateError> {
    match reader.fixed(&RowId::oldest())? {
        None => Ok(0),
        Some(row) => Ok(u64::from_be_bytes((&*row).try_into().map_err(|_| DAMAGED)?)),
    }
}

/// What a block lets go: the index rows of older blocks, and the oldest block from then on.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    touched: Vec<(u64, Value)>,
    pub(crate) oldest: Option<u64>,
}

impl Forgotten {
    /// Removes what the blocks overwrote, and their index.
    pub(crate) fn write(&self, keys: Keys, batch: &mut Batch) {
        for (block, row) in &self.touched {
            for id in touched(row) {
                // It ended well when it was read.
                let Ok(id) = id else { break };
                batch.delete(keys.overwritten(id, *block));
            }
            batch.delete(keys.current(RowId::touched(*block).as_bytes()));
        }
    }
}

impl History {
    /// What is let go when block `number` is written on the state that `reader` reads, of which the oldest block may be
    /// known.
    pub(crate) fn forget(
        self,
        reader: &Reader<'_>,
        number: u64,
        known: Option<u64>,
    ) -> Result<Forgotten, StateError> {
        let Self::Blocks(blocks) = self else {
            return Ok(Forgotten::default());
        };
        let wanted = number.saturating_sub(blocks);
        if wanted == 0 {
            return Ok(Forgotten::default());
        }
        let oldest = match known {
            Some(oldest) => oldest,
            None => oldest(reader)?,
        };
        let until = wanted.min(oldest.saturating_add(FORGET_AT_ONCE));
        let mut forgotten = Forgotten::default();
        // To tell block N takes what the blocks after N overwrote, and nothing of block N itself.
        for block in oldest + 1..=until {
            if let Some(row) = reader.fixed(&RowId::touched(block))? {
                touched(&row).try_for_each(|id| id.map(drop))?;
                forgotten.touched.push((block, row));
            }
            forgotten.oldest = Some(block);
        }
        Ok(forgotten)
    }
}
