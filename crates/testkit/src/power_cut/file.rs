//! The bytes of one file that no sync has covered yet, and what a loss of power leaves of them.
//!
//! A file on the disk is a plain file; what was done to it since its last sync is a list of changes
//! in memory. Reading lays the list over the plain file, a sync applies it, a loss of power applies
//! a part of it.
//!
//! What survives (the model of a page cache over a journalling file system):
//! - each write survives whole, not at all, or in part: up to or from a 512-byte boundary, or some
//!   of its 4,096-byte pages. Writes are independent of each other, which is reordering;
//! - a sector that survives holds *all* that was written to it before: the cache holds one copy of
//!   it, so an earlier write to the same 512 bytes cannot be lost behind a later one;
//! - the size is one that the file had at some moment since the sync; growth without its data reads
//!   as zeros. Truncations and punched holes are the file system's own and hold up to that moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rand::Rng;
use rand::rngs::StdRng;

#[cfg(test)]
mod tests;

/// What a disk writes as one: the unit that is never torn.
pub(super) const SECTOR: u64 = 512;
/// What the page cache writes back as one.
const PAGE: u64 = 4096;
/// Zeros are written in pieces of this size.
const ZEROS: usize = 1 << 16;

/// One thing that was done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Bytes were written, and the file grew to hold them.
    Write { offset: u64, data: Vec<u8> },
    /// A range became zeros; the size stayed.
    Zero { range: Range<u64> },
    /// The size was set.
    Resize { size: u64 },
}

/// How much of what was not synced survives a loss of power.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    /// Only what was synced.
    Nothing,
    /// All, as if the cache had been written back just before.
    Everything,
    /// Each write with this probability, torn with half of the rest.
    Some(f64),
}

/// What a loss of power took from one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) bytes: u64,
    pub(super) torn_writes: u64,
}

/// Everything done to one file since its last sync, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    changes: Vec<Change>,
}

impl Unsynced {
    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Reads `buffer.len()` bytes at `offset` as the running program sees them. The caller clips
    /// to the size.
    pub(super) fn read(&self, synced: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_or_zero(synced, offset, buffer)?;
        let window = offset..offset + buffer.len() as u64;
        for change in &self.changes {
            let touched = match change {
                Change::Write { offset, data } => *offset..*offset + data.len() as u64,
                Change::Zero { range } => range.clone(),
                Change::Resize { size } => *size..u64::MAX,
            };
            let common = touched.start.max(window.start)..touched.end.min(window.end);
            if common.is_empty() {
                continue;
            }
            let target = &mut buffer[index(common.start - offset)..index(common.end - offset)];
            match change {
                Change::Write { offset, data } => target.copy_from_slice(
                    &data[index(common.start - offset)..index(common.end - offset)],
                ),
                Change::Zero { .. } | Change::Resize { .. } => target.fill(0),
            }
        }
        Ok(())
    }

    /// Makes all changes durable.
    pub(super) fn sync(&mut self, file: &File) -> io::Result<()> {
        for change in self.changes.drain(..) {
            match change {
                Change::Write { offset, data } => file.write_all_at(&data, offset)?,
                Change::Zero { range } => zero(file, range)?,
                Change::Resize { size } => file.set_len(size)?,
            }
        }
        Ok(())
    }

    /// Makes a part of the changes durable and forgets the rest.
    pub(super) fn lose_power(
        &mut self,
        file: &File,
        mood: Mood,
        rng: &mut StdRng,
    ) -> io::Result<Lost> {
        let changes = std::mem::take(&mut self.changes);
        let moment = match mood {
            Mood::Nothing => 0,
            Mood::Everything => changes.len(),
            Mood::Some(_) => rng.random_range(0..=changes.len()),
        };
        let size = changes[..moment]
            .iter()
            .fold(file.metadata()?.len(), |size, change| {
                change.size_after(size)
            });
        let mut lost = Lost::default();
        let kept = survivors(&changes, mood, rng);
        for (at, (change, kept)) in changes.iter().zip(&kept).enumerate() {
            match change {
                Change::Write { offset, data } => {
                    let mut left = 0;
                    for range in kept {
                        let piece = &data[index(range.start - offset)..index(range.end - offset)];
                        file.write_all_at(piece, range.start)?;
                        left += piece.len();
                    }
                    lost.bytes += (data.len() - left) as u64;
                    lost.torn_writes += u64::from(left > 0 && left < data.len());
                }
                Change::Zero { range } if at < moment => zero(file, range.clone())?,
                Change::Resize { size } if at < moment => file.set_len(*size)?,
                Change::Zero { .. } | Change::Resize { .. } => {}
            }
        }
        file.set_len(size)?;
        Ok(lost)
    }
}

impl Change {
    /// The size of a file of `size` bytes after this change.
    pub(super) fn size_after(&self, size: u64) -> u64 {
        match self {
            Self::Write { offset, data } => size.max(offset + data.len() as u64),
            Self::Zero { .. } => size,
            Self::Resize { size } => *size,
        }
    }
}

/// For each change the ranges of the file in which it survives (empty for what is no write).
///
/// Goes from the newest to the oldest, so that a sector kept for a later write keeps the earlier
/// writes to it as well.
fn survivors(changes: &[Change], mood: Mood, rng: &mut StdRng) -> Vec<Vec<Range<u64>>> {
    let mut kept_sectors = BTreeSet::new();
    let mut kept: Vec<_> = changes
        .iter()
        .rev()
        .map(|change| match change {
            Change::Write { offset, data } if !data.is_empty() => {
                let range = *offset..*offset + data.len() as u64;
                let fate = Fate::draw(&range, mood, rng);
                let mut ranges: Vec<Range<u64>> = Vec::new();
                for sector in range.start / SECTOR..range.end.div_ceil(SECTOR) {
                    if !kept_sectors.contains(&sector) && !fate.keeps(sector) {
                        continue;
                    }
                    kept_sectors.insert(sector);
                    let piece =
                        range.start.max(sector * SECTOR)..range.end.min((sector + 1) * SECTOR);
                    match ranges.last_mut() {
                        Some(last) if last.end == piece.start => last.end = piece.end,
                        _ => ranges.push(piece),
                    }
                }
                ranges
            }
            _ => Vec::new(),
        })
        .collect();
    kept.reverse();
    kept
}

/// What becomes of one write.
#[derive(Debug)]
enum Fate {
    Whole,
    Gone,
    /// Only sectors below this one.
    Until(u64),
    /// Only sectors from this one.
    From(u64),
    /// Pages by their own luck: the first is at `first`, bit by bit.
    Pages {
        first: u64,
        kept: Vec<bool>,
    },
}

impl Fate {
    fn draw(range: &Range<u64>, mood: Mood, rng: &mut StdRng) -> Self {
        let survival = match mood {
            Mood::Nothing => return Self::Gone,
            Mood::Everything => return Self::Whole,
            Mood::Some(survival) => survival,
        };
        let luck: f64 = rng.random();
        if luck < survival {
            return Self::Whole;
        }
        if luck < survival + (1.0 - survival) / 2.0 {
            return Self::Gone;
        }
        let boundary = rng.random_range(range.start / SECTOR..=range.end.div_ceil(SECTOR));
        match rng.random_range(0..3) {
            0 => Self::Until(boundary),
            1 => Self::From(boundary),
            _ => {
                let first = range.start / PAGE;
                let pages = range.end.div_ceil(PAGE) - first;
                Self::Pages {
                    first,
                    kept: (0..pages).map(|_| rng.random()).collect(),
                }
            }
        }
    }

    fn keeps(&self, sector: u64) -> bool {
        match self {
            Self::Whole => true,
            Self::Gone => false,
            Self::Until(boundary) => sector < *boundary,
            Self::From(boundary) => sector >= *boundary,
            Self::Pages { first, kept } => kept[index(sector * SECTOR / PAGE - first)],
        }
    }
}

/// Reads what is there and fills the rest with zeros.
fn read_or_zero(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    buffer[filled..].fill(0);
    Ok(())
}

/// Writes zeros over `range`, as far as the file reaches.
fn zero(file: &File, range: Range<u64>) -> io::Result<()> {
    let end = range.end.min(file.metadata()?.len());
    let zeros = [0; ZEROS];
    let mut at = range.start;
    while at < end {
        let step = (end - at).min(ZEROS as u64);
        file.write_all_at(&zeros[..index(step)], at)?;
        at += step;
    }
    Ok(())
}

/// Offsets inside one request or one write always fit.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset inside a buffer fits")
}
