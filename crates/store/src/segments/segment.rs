//! One segment that is in use, and reading the records in it.

use super::frame::{ALIGNMENT, Frame, HEADER_BYTES, Place};
use super::header::{Header, RECORDS_AT};
use crate::files::Bytes;
use std::io;
use std::sync::Arc;

/// Bytes read at once when records are read one after another.
const READ_AHEAD: usize = 256 << 10;

/// A segment file with the header of its present use.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) file: Arc<dyn Bytes>,
    pub(super) header: Header,
}

impl Segment {
    /// The place of the record at `position`.
    pub(super) fn place(&self, position: u64) -> Place {
        Place {
            salt: self.header.salt,
            generation: self.header.generation,
            position,
        }
    }

    /// Where in the file `position` lies. It must not be before the segment.
    pub(super) fn offset(&self, position: u64) -> u64 {
        RECORDS_AT + (position - self.header.first)
    }
}

/// What [`Records::next`] found.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A good record and where it begins.
    Record {
        position: u64,
        chain: u64,
        payload: &'a [u8],
    },
    /// No good record here; nothing more can be read.
    Bad,
    /// The limit.
    End,
}

/// Reads the records of one segment, one after another.
#[derive(Debug)]
pub(super) struct Records<'a> {
    segment: &'a Segment,
    /// Where the next record begins.
    pub(super) position: u64,
    /// Everything before it was durable, as a record that was read proves.
    pub(super) durable: u64,
    limit: u64,
    window: Window<'a>,
}

impl<'a> Records<'a> {
    /// From the segment's first record to `limit`, or to the first bad record when that comes earlier.
    pub(super) fn new(segment: &'a Segment, limit: u64) -> Self {
        Self {
            segment,
            position: segment.header.first,
            durable: segment.header.first,
            limit: limit.min(segment.header.first.saturating_add(segment.header.capacity)),
            window: Window::new(&*segment.file),
        }
    }

    /// The next record.
    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        let position = self.position;
        if position >= self.limit {
            return Ok(Found::End);
        }
        let offset = self.segment.offset(position);
        let bytes = self.window.at(offset, HEADER_BYTES)?;
        let Some(frame) = Frame::decode(bytes, self.segment.place(position)) else {
            return Ok(Found::Bad);
        };
        if position + frame.span() > self.limit {
            return Ok(Found::Bad);
        }
        let length = frame.length as usize;
        let bytes = self.window.at(offset + HEADER_BYTES as u64, length)?;
        if bytes.len() < length || !frame.holds(&bytes[..length]) {
            return Ok(Found::Bad);
        }
        self.position = position + frame.span();
        self.durable = self.durable.max(frame.durable);
        Ok(Found::Record {
            position,
            chain: frame.chain,
            payload: &bytes[..length],
        })
    }
}

/// Good headers at and after `from`, whether or not records lead up to them: position and header.
///
/// Looks at every place where a record could begin, up to the end of the file.
pub(super) fn headers_from(
    segment: &Segment,
    from: u64,
    visit: &mut dyn FnMut(u64, Frame),
) -> io::Result<()> {
    let mut window = Window::new(&*segment.file);
    let end = segment.file.len()?;
    let mut position = from;
    while segment.offset(position) + HEADER_BYTES as u64 <= end {
        let bytes = window.at(segment.offset(position), HEADER_BYTES)?;
        let empty = bytes.iter().all(|&byte| byte == 0);
        if let Some(frame) = (!empty)
            .then(|| Frame::decode(bytes, segment.place(position)))
            .flatten()
        {
            visit(position, frame);
        }
        position += ALIGNMENT;
    }
    Ok(())
}

/// A part of a file in memory, read ahead.
#[derive(Debug)]
struct Window<'a> {
    file: &'a dyn Bytes,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn Bytes) -> Self {
        Self {
            file,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// The `length` bytes at `offset`; fewer only at the end of the file.
    fn at(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let held = offset
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| skip + length <= self.bytes.len());
        let skip = if let Some(skip) = held {
            skip
        } else {
            self.bytes.resize(length.max(READ_AHEAD), 0);
            let count = self.file.read_at(&mut self.bytes, offset)?;
            self.bytes.truncate(count);
            self.start = offset;
            0
        };
        let end = self.bytes.len().min(skip + length);
        Ok(&self.bytes[skip..end])
    }
}
