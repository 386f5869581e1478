//! Opening a log: which files are segments, in which order, where the records end, and whether they end there
//! for a good reason.

use super::frame::HEADER_BYTES;
use super::header::{Head, Header};
use super::segment::{Found, Records, Segment, headers_from};
use super::{Group, Opened, SegmentLog, SegmentOptions, Spare, Writer};
use crate::files::Files;
use crate::log::{LogError, Position};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Bytes that are read and written again at once.
const COPIED_AT_ONCE: usize = 1 << 20;

/// The name of the log's n-th file. It says nothing about order: the headers do.
pub(super) fn file_name(number: u64) -> String {
    format!("segment-{number:08}")
}

fn file_number(name: &str) -> Option<u64> {
    name.strip_prefix("segment-")?.parse().ok()
}

/// The files of the folder, sorted out.
#[derive(Default)]
struct Inventory {
    /// By generation.
    segments: Vec<Segment>,
    spares: Vec<Spare>,
    /// A file whose header was good once and is not now.
    damaged_head: bool,
    next_file: u64,
}

/// Where the records end.
struct Tail {
    end: u64,
    /// Before it, everything is known to be durable.
    durable: u64,
    damage: Option<Position>,
    torn: bool,
}

/// Opens the log that lies on `files`.
pub(super) fn open(
    files: Arc<dyn Files>,
    options: SegmentOptions,
) -> Result<(SegmentLog, Opened), LogError> {
    let inventory = take_inventory(&*files)?;
    let tail = find_tail(&inventory).map_err(reading)?;
    if let Some(at) = tail.damage {
        tracing::error!(
            position = at.0,
            "the log is damaged: it can be read up to there, not written"
        );
    } else if let Some(last) = inventory.segments.last() {
        settle(&*files, last, &tail).map_err(|source| LogError::Io {
            action: "mend its tail",
            source,
        })?;
    }
    let start = inventory
        .segments
        .first()
        .map_or(tail.end, |it| it.header.first);
    let opened = Opened {
        start: Position(start.min(tail.end)),
        end: Position(tail.end),
        damage: tail.damage,
        torn: tail.torn,
    };
    let kept: VecDeque<_> = inventory.segments.into_iter().map(Arc::new).collect();
    let grown = match kept.back() {
        Some(last) => last.file.len().map_err(reading)?,
        None => 0,
    };
    let used = kept.iter().map(|it| it.header.generation);
    let released = inventory.spares.iter().map(|it| it.was.header.generation);
    let next_generation = used.chain(released).max();
    let writer = Writer {
        kept,
        spares: inventory.spares,
        next_generation: next_generation.unwrap_or(0) + 1,
        next_file: inventory.next_file,
        grown,
        buffer: Vec::new(),
    };
    let log = SegmentLog {
        files,
        options,
        writer: Mutex::new(writer),
        group: Mutex::new(Group::default()),
        synced: Condvar::new(),
        end: AtomicU64::new(tail.end),
        durable: AtomicU64::new(tail.end),
        poisoned: AtomicBool::new(false),
        damage: tail.damage,
        records: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        syncs: AtomicU64::new(0),
    };
    Ok((log, opened))
}

fn reading(source: io::Error) -> LogError {
    LogError::Io {
        action: "be read",
        source,
    }
}

fn take_inventory(files: &dyn Files) -> Result<Inventory, LogError> {
    let mut inventory = Inventory::default();
    for name in files.list().map_err(reading)? {
        let Some(number) = file_number(&name) else {
            continue;
        };
        inventory.next_file = inventory.next_file.max(number + 1);
        let file = files.open(&name).map_err(reading)?;
        match Header::read(&*file)? {
            Head::Segment(header) => {
                inventory.segments.push(Segment { name, file, header });
            }
            Head::Unfinished => files.remove(&name).map_err(|source| LogError::Io {
                action: "remove an unfinished segment",
                source,
            })?,
            Head::Damaged => inventory.damaged_head = true,
        }
    }
    inventory.segments.sort_by_key(|it| it.header.generation);
    let kept_from = inventory
        .segments
        .last()
        .map_or(0, |it| it.header.kept_from);
    let released = inventory
        .segments
        .partition_point(|it| it.header.generation < kept_from);
    for segment in inventory.segments.drain(..released) {
        inventory.spares.push(Spare {
            was: Arc::new(segment),
        });
    }
    Ok(inventory)
}

/// Reads all records and judges where they end.
fn find_tail(inventory: &Inventory) -> io::Result<Tail> {
    let damaged = |at| Tail {
        end: at,
        durable: at,
        damage: Some(Position(at)),
        torn: false,
    };
    let segments = &inventory.segments;
    let Some(oldest) = segments.first() else {
        return Ok(match inventory.damaged_head {
            true => damaged(0),
            false => Tail {
                end: 0,
                durable: 0,
                damage: None,
                torn: false,
            },
        });
    };
    let kept_from = segments.last().map_or(0, |it| it.header.kept_from);
    if oldest.header.generation != kept_from {
        return Ok(damaged(oldest.header.first));
    }
    // A segment is synced before the next begins: it ends where that begins, or it is damaged.
    for pair in segments.windows(2) {
        let [segment, next] = pair else {
            continue;
        };
        let first = next.header.first;
        let mut records = Records::new(segment, first);
        while let Found::Record { .. } = records.next()? {}
        let follows = next.header.generation == segment.header.generation + 1;
        if records.position != first || !follows {
            return Ok(damaged(records.position.min(first)));
        }
    }
    let Some(last) = segments.last() else {
        return Ok(damaged(0));
    };
    let mut records = Records::new(last, u64::MAX);
    while let Found::Record { .. } = records.next()? {}
    let end = records.position;
    let mut proof = inventory.damaged_head;
    let mut torn = false;
    headers_from(last, end, &mut |_, frame| {
        proof |= frame.durable > end;
        torn = true;
    })?;
    Ok(if proof {
        damaged(end)
    } else {
        Tail {
            end,
            durable: records.durable.min(end),
            damage: None,
            torn,
        }
    })
}

/// Makes what was read durable, and makes sure that nothing after it can ever be read as a record.
///
/// What an earlier life wrote and failed to sync may be in memory only, and no sync would write it any more: whatever
/// is not known to be durable is written again.
fn settle(files: &dyn Files, last: &Segment, tail: &Tail) -> io::Result<()> {
    files.sync_folder()?;
    last.header.write(&*last.file)?;
    let mut leftovers = Vec::new();
    headers_from(last, tail.end, &mut |position, _| leftovers.push(position))?;
    for position in leftovers {
        last.file
            .write_at(&[0; HEADER_BYTES], last.offset(position))?;
    }
    let mut offset = last.offset(tail.durable);
    let end = last.offset(tail.end);
    let mut buffer = Vec::new();
    while offset < end {
        buffer.resize(
            usize::try_from(end - offset).map_or(COPIED_AT_ONCE, |it| it.min(COPIED_AT_ONCE)),
            0,
        );
        let count = last.file.read_at(&mut buffer, offset)?;
        if count == 0 {
            // Only the last record's padding may be missing, and it reads as zeros anyway.
            break;
        }
        last.file.write_at(&buffer[..count], offset)?;
        offset += count as u64;
    }
    last.file.sync()
}
