//! One record as it lies in a segment.
//!
//! ```text
//!  0        4          8       16            20           24
//!  ┌────────┬──────────┬───────┬─────────────┬────────────┬─────────┬───────────────┐
//!  │ length │ unsynced │ chain │ payload crc │ header crc │ payload │ zeros to 8 ×  │
//!  └────────┴──────────┴───────┴─────────────┴────────────┴─────────┴───────────────┘
//! ```
//!
//! Integers are big-endian, checksums CRC-32C. The header's checksum covers the segment's salt and generation
//! and the record's position besides the header (and so the payload's checksum): a record counts at one place
//! of one use of a segment and nowhere else. The salt, which nobody outside knows, keeps a payload from posing
//! as a record.
//!
//! `unsynced` is the record's position minus the position up to which the log was durable when the record was
//! written. It tells damage from a torn tail: a bad record that a later one knows to have been durable was
//! damaged, any other was cut off by a loss of power (which may keep a later write and lose an earlier one).

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 24;

/// Records begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 8;

/// The largest payload of one record: a block's body with room to spare.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// Stands for "more than this field can say": such a record is no evidence of what was durable.
const UNKNOWN: u32 = u32::MAX;

/// The place of a record: what its checksum covers beside its own bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) salt: u64,
    pub(super) generation: u64,
    pub(super) position: u64,
}

/// A header whose checksum was right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) chain: u64,
    payload_crc: u32,
    /// Everything before this position was durable when the record was written.
    pub(super) durable: u64,
}

impl Frame {
    /// Reads a header; `None` when it is not a record of this place.
    pub(super) fn decode(bytes: &[u8], place: Place) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let word = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if word(20) != header_crc(&bytes[..20], place) || word(0) as usize > MAX_PAYLOAD_BYTES {
            return None;
        }
        let durable = match word(4) {
            UNKNOWN => 0,
            unsynced => place.position.saturating_sub(u64::from(unsynced)),
        };
        Some(Self {
            length: word(0),
            chain: u64::from(word(8)) << 32 | u64::from(word(12)),
            payload_crc: word(16),
            durable,
        })
    }

    /// Whether `payload` is what was written.
    pub(super) fn holds(&self, payload: &[u8]) -> bool {
        crc32c::crc32c(payload) == self.payload_crc
    }

    /// Bytes from this record to the next.
    pub(super) fn span(&self) -> u64 {
        span(self.length as usize)
    }
}

/// Bytes that a record with a payload of `length` bytes takes.
pub(super) const fn span(length: usize) -> u64 {
    (HEADER_BYTES as u64 + length as u64).next_multiple_of(ALIGNMENT)
}

/// Appends a record to `buffer`. `durable` is the position up to which the log is known to be durable.
///
/// The payload is at most [`MAX_PAYLOAD_BYTES`] long: the caller has checked that.
pub(super) fn encode(buffer: &mut Vec<u8>, place: Place, durable: u64, chain: u64, payload: &[u8]) {
    let start = buffer.len();
    let length = u32::try_from(payload.len()).expect("checked against the limit by the caller");
    let unsynced = u32::try_from(place.position.saturating_sub(durable)).unwrap_or(UNKNOWN);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(&unsynced.to_be_bytes());
    buffer.extend_from_slice(&chain.to_be_bytes());
    buffer.extend_from_slice(&crc32c::crc32c(payload).to_be_bytes());
    let crc = header_crc(&buffer[start..], place);
    buffer.extend_from_slice(&crc.to_be_bytes());
    buffer.extend_from_slice(payload);
    let padding = (buffer.len() - start).next_multiple_of(8) - (buffer.len() - start);
    buffer.resize(buffer.len() + padding, 0);
}

fn header_crc(header: &[u8], place: Place) -> u32 {
    let mut covered = [0_u8; 24];
    covered[..8].copy_from_slice(&place.salt.to_be_bytes());
    covered[8..16].copy_from_slice(&place.generation.to_be_bytes());
    covered[16..].copy_from_slice(&place.position.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&covered), header)
}
