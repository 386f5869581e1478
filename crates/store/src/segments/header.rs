//! What stands at the head of a segment file: twice, in two blocks that are synced one after the other, so that
//! a power cut in the middle of writing one leaves the other.
//!
//! ```text
//!  0       8         12           20      28          36     44         52    56
//!  ┌───────┬─────────┬────────────┬───────┬───────────┬──────┬──────────┬─────┐
//!  │ magic │ version │ generation │ first │ kept from │ salt │ capacity │ crc │
//!  └───────┴─────────┴────────────┴───────┴───────────┴──────┴──────────┴─────┘
//! ```

use super::LogError;
use crate::files::Bytes;
use std::io;

/// Where the records of a segment begin: behind the two copies of the header.
pub(super) const RECORDS_AT: u64 = 2 * COPY_AT;

/// Where the second copy lies: in another block of any usual file system.
const COPY_AT: u64 = 4_096;

const BYTES: usize = 56;
const MAGIC: [u8; 8] = *b"CAUSELOG";

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

/// One use of a segment file. A file that is used again gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Counts the uses of all segment files of the log, from 1: the order of segments.
    pub(super) generation: u64,
    /// The position of the first record.
    pub(super) first: u64,
    /// Segments of an earlier generation are released, whatever is in them.
    pub(super) kept_from: u64,
    /// See [`super::frame`].
    pub(super) salt: u64,
    /// Bytes for records.
    pub(super) capacity: u64,
}

/// What the head of a file turned out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// A segment: one copy at least is good.
    Segment(Header),
    /// A file whose making was cut off: nothing in it was ever durable.
    Unfinished,
    /// Neither copy is good, though both were written.
    Damaged,
}

impl Header {
    /// Writes both copies, each durable before the next thing happens.
    pub(super) fn write(&self, file: &dyn Bytes) -> io::Result<()> {
        let bytes = self.encode();
        file.write_at(&bytes, 0)?;
        file.sync()?;
        file.write_at(&bytes, COPY_AT)?;
        file.sync()
    }

    /// Reads the head of a file.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`], or [`LogError::TooNew`].
    pub(super) fn read(file: &dyn Bytes) -> Result<Head, LogError> {
        let mut copies = [[0_u8; BYTES]; 2];
        for (copy, at) in copies.iter_mut().zip([0, COPY_AT]) {
            file.read_at(copy, at).map_err(|source| LogError::Io {
                action: "read a segment's header",
                source,
            })?;
        }
        let [first, second] = [Self::decode(&copies[0])?, Self::decode(&copies[1])?];
        Ok(match (first, second) {
            (Some(a), Some(b)) if a.newness() >= b.newness() => Head::Segment(a),
            (_, Some(header)) | (Some(header), None) => Head::Segment(header),
            // The second copy is written when the first is durable: so the first never was.
            (None, None) if copies[1] == [0; BYTES] => Head::Unfinished,
            (None, None) => Head::Damaged,
        })
    }

    /// Which of two copies was written later.
    fn newness(&self) -> (u64, u64) {
        (self.generation, self.kept_from)
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
        let numbers = [
            self.generation,
            self.first,
            self.kept_from,
            self.salt,
            self.capacity,
        ];
        for (at, number) in numbers.into_iter().enumerate() {
            bytes[12 + 8 * at..20 + 8 * at].copy_from_slice(&number.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..52]);
        bytes[52..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; BYTES]) -> Result<Option<Self>, LogError> {
        let word = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let number = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        if bytes[..8] != MAGIC || word(52) != crc32c::crc32c(&bytes[..52]) {
            return Ok(None);
        }
        if word(8) > FORMAT_VERSION {
            return Err(LogError::TooNew {
                found: word(8),
                known: FORMAT_VERSION,
            });
        }
        Ok(Some(Self {
            generation: number(12),
            first: number(20),
            kept_from: number(28),
            salt: number(36),
            capacity: number(44),
        }))
    }
}
