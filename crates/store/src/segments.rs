//! The log as a folder of segment files.
//!
//! ```text
//!   append ─▶ one write ─▶ │ gen 7 │ gen 8 │ gen 9 ▒▒▒░░░│   spares: │ gen 5 │
//!                          first                 ▲  ▲           used again as gen 10
//!   sync ──▶ leader: fdatasync of gen 9     durable  end
//! ```
//!
//! - Positions run on from segment to segment; what is left over at the end of one has no position.
//! - A segment is synced before the next one begins, so only the last can have a torn tail.
//! - Files grow by written zeros ahead of the records, 1 MiB at a time: in between, a sync finds blocks
//!   that are there already, which costs one flush instead of two. Files that are used again need not grow.
//! - The first caller of [`Log::sync`] does it for all; there is no thread, and nothing happens at idle.
//!
//! `segments/frame.rs` says how a torn tail is told from damage. A damaged log can be read up to the damage and is never
//! written again.

mod frame;
mod header;
mod opening;
mod segment;
#[cfg(test)]
mod tests;

pub use frame::MAX_PAYLOAD_BYTES;

use crate::files::{Files, Folder};
use crate::log::{Entry, Log, LogError, LogFigures, Position};
use header::{Header, RECORDS_AT};
use parking_lot::{Condvar, Mutex};
use segment::{Found, Records, Segment};
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// By how much a segment file grows at a time. A growth costs the next sync a journal commit of the file system
/// (20 KB); at 1 MiB that is one in a hundred small commits.
const GROWTH_BYTES: u64 = 1 << 20;

/// Released segment files that are kept to be used again; more are removed.
const SPARES: usize = 2;

/// A batch's buffer that grew beyond this is given back.
const BUFFER_BYTES: usize = 2 << 20;

/// How the log lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// Bytes for records in one segment file. A batch that is larger gets a larger file of its own.
    pub segment_bytes: u64,
}

impl Default for SegmentOptions {
    /// For production: 64 MiB, the largest body in one record.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
        }
    }
}

impl SegmentOptions {
    /// For development and tests: 4 MiB.
    #[must_use]
    pub const fn small() -> Self {
        Self {
            segment_bytes: 4 << 20,
        }
    }
}

/// What opening a log found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The first position that is kept.
    pub start: Position,
    /// The position after the last good record.
    pub end: Position,
    /// Where a bad record stands that was durable once, as a later one proves. Records before it can be read;
    /// the log refuses to be written.
    pub damage: Option<Position>,
    /// Whether bytes after the last good record were dropped as a torn tail.
    pub torn: bool,
}

/// The real log. See the module's header.
#[derive(Debug)]
pub struct SegmentLog {
    files: Arc<dyn Files>,
    options: SegmentOptions,
    writer: Mutex<Writer>,
    group: Mutex<Group>,
    /// Wakes those who wait in [`Log::sync`] for the leader.
    synced: Condvar,
    /// The position after the last record that is with the operating system.
    end: AtomicU64,
    /// Everything before it is durable.
    durable: AtomicU64,
    poisoned: AtomicBool,
    damage: Option<Position>,
    records: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
}

/// What only one appender at a time touches.
#[derive(Debug)]
struct Writer {
    /// In order; the last one is written to.
    kept: VecDeque<Arc<Segment>>,
    spares: Vec<Spare>,
    next_generation: u64,
    next_file: u64,
    /// Up to where the last segment's file has bytes; further on it must grow.
    grown: u64,
    buffer: Vec<u8>,
}

/// A released segment: its file may be used again, or removed, when no replay reads it.
#[derive(Debug)]
struct Spare {
    was: Arc<Segment>,
}

/// Who syncs.
#[derive(Debug, Default)]
struct Group {
    leading: bool,
}

impl SegmentLog {
    /// Opens the log in `folder`, which is made when it is not there. The caller holds whatever lock keeps other
    /// processes away.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`] and [`LogError::TooNew`]. Damage is not an error here: see [`Opened::damage`].
    pub fn open(folder: &Path, options: SegmentOptions) -> Result<(Self, Opened), LogError> {
        let files = Folder::open(folder).map_err(|source| LogError::Io {
            action: "open its folder",
            source,
        })?;
        Self::open_on(Arc::new(files), options)
    }

    /// Opens the log that lies on `files`.
    pub(crate) fn open_on(
        files: Arc<dyn Files>,
        options: SegmentOptions,
    ) -> Result<(Self, Opened), LogError> {
        opening::open(files, options)
    }

    /// The first position that is kept: what replay begins with.
    #[must_use]
    pub fn start(&self) -> Position {
        let writer = self.writer.lock();
        writer
            .kept
            .front()
            .map_or(self.end(), |it| Position(it.header.first))
    }

    fn check_writable(&self) -> Result<(), LogError> {
        match self.damage {
            Some(at) => Err(LogError::Damaged { at }),
            None if self.poisoned.load(Ordering::Acquire) => Err(LogError::Poisoned),
            None => Ok(()),
        }
    }

    /// Poisons the log when a write or a sync failed.
    fn written<T>(&self, action: &'static str, result: io::Result<T>) -> Result<T, LogError> {
        result.map_err(|source| {
            tracing::debug!(error = %source, "the log could not {action} and writes nothing more");
            self.poisoned.store(true, Ordering::Release);
            LogError::Io { action, source }
        })
    }

    /// Ends the last segment and begins the next, with room for `batch` bytes.
    fn roll(&self, writer: &mut Writer, batch: u64) -> Result<(), LogError> {
        let end = self.end.load(Ordering::Acquire);
        if let Some(last) = writer.kept.back() {
            let result = last.file.sync();
            self.written("sync a full segment", result)?;
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.durable.fetch_max(end, Ordering::AcqRel);
        }
        let wanted = batch.max(self.options.segment_bytes);
        let fit = writer
            .spares
            .iter()
            .position(|it| it.capacity() >= wanted && it.is_idle());
        let (name, file, capacity, made) = if let Some(at) = fit {
            let was = writer.spares.swap_remove(at).was;
            (
                was.name.clone(),
                Arc::clone(&was.file),
                was.header.capacity,
                false,
            )
        } else {
            let name = opening::file_name(writer.next_file);
            let file = self.files.open(&name);
            let file = self.written("make a segment", file)?;
            writer.next_file += 1;
            (name, file, wanted, true)
        };
        let generation = writer.next_generation;
        let kept_from = writer
            .kept
            .front()
            .map_or(generation, |it| it.header.generation);
        let salt = self.files.salt();
        let header = Header {
            generation,
            first: end,
            kept_from,
            salt,
            capacity,
        };
        let result = header.write(&*file);
        self.written("write a segment's header", result)?;
        if made {
            let result = self.files.sync_folder();
            self.written("sync the log's folder", result)?;
        }
        let length = file.len();
        writer.grown = self.written("measure a segment", length)?.max(RECORDS_AT);
        writer.next_generation += 1;
        writer
            .kept
            .push_back(Arc::new(Segment { name, file, header }));
        Ok(())
    }

    /// The segment to write `batch` bytes to: the last one, or a new one.
    fn segment_for(&self, writer: &mut Writer, batch: u64) -> Result<Arc<Segment>, LogError> {
        let end = self.end.load(Ordering::Acquire);
        let fits = writer
            .kept
            .back()
            .is_some_and(|it| end - it.header.first + batch <= it.header.capacity);
        if !fits {
            self.roll(writer, batch)?;
        }
        let last = writer.kept.back().expect("a roll leaves a segment");
        Ok(Arc::clone(last))
    }

    /// Syncs for everybody who has appended, and says up to where.
    fn lead(&self) -> Result<u64, LogError> {
        let (end, segment) = {
            let writer = self.writer.lock();
            (
                self.end.load(Ordering::Acquire),
                writer.kept.back().cloned(),
            )
        };
        if let Some(segment) = segment
            && end > self.durable.load(Ordering::Acquire)
        {
            let result = segment.file.sync();
            self.written("sync", result)?;
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.durable.fetch_max(end, Ordering::AcqRel);
        }
        Ok(end)
    }
}

impl Log for SegmentLog {
    fn append(&self, chain: u64, payloads: &[&[u8]]) -> Result<Position, LogError> {
        self.check_writable()?;
        if let Some(large) = payloads.iter().find(|it| it.len() > MAX_PAYLOAD_BYTES) {
            return Err(LogError::TooLarge {
                bytes: large.len(),
                limit: MAX_PAYLOAD_BYTES,
            });
        }
        let batch: u64 = payloads.iter().map(|it| frame::span(it.len())).sum();
        if batch == 0 {
            return Ok(self.end());
        }
        let mut writer = self.writer.lock();
        // Again, under the lock: nothing may follow a write that failed.
        self.check_writable()?;
        let segment = self.segment_for(&mut writer, batch)?;
        let start = self.end.load(Ordering::Acquire);
        let durable = self.durable.load(Ordering::Acquire);
        let mut buffer = std::mem::take(&mut writer.buffer);
        let mut position = start;
        for payload in payloads {
            frame::encode(
                &mut buffer,
                segment.place(position),
                durable,
                chain,
                payload,
            );
            position += frame::span(payload.len());
        }
        let offset = segment.offset(start);
        if offset + batch > writer.grown {
            let full = RECORDS_AT + segment.header.capacity;
            let grown = (offset + batch).next_multiple_of(GROWTH_BYTES).min(full);
            let length = usize::try_from(grown - offset).unwrap_or(buffer.len());
            buffer.resize(length.max(buffer.len()), 0);
            writer.grown = grown;
        }
        let result = segment.file.write_at(&buffer, offset);
        if result.is_err() {
            // What did get there must not count. If this fails too, it is as if power had been lost.
            let _ = segment.file.write_at(&[0; frame::HEADER_BYTES], offset);
        }
        buffer.clear();
        buffer.shrink_to(BUFFER_BYTES);
        writer.buffer = buffer;
        self.written("append", result)?;
        self.end.store(position, Ordering::Release);
        self.records
            .fetch_add(payloads.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(batch, Ordering::Relaxed);
        Ok(Position(position))
    }

    fn sync(&self, upto: Position) -> Result<(), LogError> {
        self.check_writable()?;
        let upto = upto.0.min(self.end.load(Ordering::Acquire));
        let mut group = self.group.lock();
        loop {
            if self.durable.load(Ordering::Acquire) >= upto {
                return Ok(());
            }
            self.check_writable()?;
            if group.leading {
                self.synced.wait(&mut group);
                continue;
            }
            group.leading = true;
            drop(group);
            let led = self.lead();
            group = self.group.lock();
            group.leading = false;
            self.synced.notify_all();
            if led? >= upto {
                return Ok(());
            }
        }
    }

    fn replay(&self, from: Position, visit: &mut dyn FnMut(Entry) -> bool) -> Result<(), LogError> {
        let (segments, end) = {
            let writer = self.writer.lock();
            (writer.kept.clone(), self.end.load(Ordering::Acquire))
        };
        for (at, segment) in segments.iter().enumerate() {
            let limit = segments
                .get(at + 1)
                .map_or(end, |next| next.header.first.min(end));
            if limit <= from.0 {
                continue;
            }
            let mut records = Records::new(segment, limit);
            loop {
                let found = records.next().map_err(|source| LogError::Io {
                    action: "read a record",
                    source,
                })?;
                match found {
                    Found::End => break,
                    Found::Bad => {
                        return Err(LogError::Damaged {
                            at: Position(records.position),
                        });
                    }
                    Found::Record { position, .. } if position < from.0 => {}
                    Found::Record {
                        position,
                        chain,
                        payload,
                    } => {
                        let payload = payload.to_vec();
                        if !visit(Entry {
                            position: Position(position),
                            chain,
                            payload,
                        }) {
                            return Ok(());
                        }
                    }
                }
            }
        }
        self.damage
            .map_or(Ok(()), |at| Err(LogError::Damaged { at }))
    }

    fn end(&self) -> Position {
        Position(self.end.load(Ordering::Acquire))
    }

    fn release(&self, below: Position) -> Result<(), LogError> {
        self.check_writable()?;
        let mut writer = self.writer.lock();
        let freed = writer.free_below(below.0);
        let (Some(first), Some(last)) = (writer.kept.front(), writer.kept.back()) else {
            return Ok(());
        };
        if freed {
            // Durable before a released file changes: one that comes back would leave a gap behind it.
            let header = Header {
                kept_from: first.header.generation,
                ..last.header
            };
            let result = header.write(&*last.file);
            self.written("write a segment's header", result)?;
        }
        while let Some(name) = writer.surplus(self.options.segment_bytes) {
            self.files.remove(&name).map_err(|source| LogError::Io {
                action: "remove a segment",
                source,
            })?;
        }
        Ok(())
    }

    fn figures(&self) -> LogFigures {
        let writer = self.writer.lock();
        LogFigures {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            segments: (writer.kept.len() + writer.spares.len()) as u64,
        }
    }
}

impl Writer {
    /// Makes spares of the segments that lie wholly before `below`, never of the last one.
    fn free_below(&mut self, below: u64) -> bool {
        let mut freed = false;
        while self
            .kept
            .get(1)
            .is_some_and(|next| next.header.first <= below)
        {
            let Some(segment) = self.kept.pop_front() else {
                break;
            };
            freed = true;
            self.spares.push(Spare { was: segment });
        }
        freed
    }

    /// Takes out a spare that is not worth keeping.
    fn surplus(&mut self, usual: u64) -> Option<String> {
        let at = self
            .spares
            .iter()
            .position(|it| it.capacity() != usual)
            .or_else(|| (self.spares.len() > SPARES).then_some(0))?;
        Some(self.spares.swap_remove(at).was.name.clone())
    }
}

impl Spare {
    fn capacity(&self) -> u64 {
        self.was.header.capacity
    }

    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.was) == 1
    }
}
