//! What is on the wire beside payloads. All numbers are big-endian.
//!
//! ```text
//! hello    length u16 │ "CWLK" │ lowest u16 │ highest u16 │ network [32] │ city [20] │ process [16] │ …
//! stream   version u8 │ class u8 │ chain u64 │ frames until the end of the stream
//! frame    length u32 │ payload
//! ```
//!
//! The hello is the only content of the first stream of each side. A later version may append to it; what is appended
//! is ignored here. The version of a connection is the highest that both sides speak.

use crate::limits::Class;
use crate::{NetworkId, PeerId};

/// The lowest and highest version spoken here.
pub(crate) const VERSIONS: (u16, u16) = (1, 1);

/// The name of the protocol in the TLS handshake.
pub(crate) const ALPN: &[u8] = b"causeway-link";

/// The longest hello of any version, in bytes.
pub(crate) const LONGEST_HELLO: usize = 1024;

/// Bytes of a stream's head.
pub(crate) const STREAM_HEAD: usize = 10;

const MAGIC: &[u8; 4] = b"CWLK";
/// Bytes of a hello of this version, without its length.
const HELLO: u16 = 4 + 2 + 2 + 32 + 20 + 16;

/// Who speaks, and in which versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: (u16, u16),
    pub(crate) network: NetworkId,
    pub(crate) city: PeerId,
    /// Drawn at each start: tells another process with the same key from an echo of this one.
    pub(crate) process: [u8; 16],
}

impl Hello {
    /// With its length.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + usize::from(HELLO));
        bytes.extend_from_slice(&HELLO.to_be_bytes());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.versions.0.to_be_bytes());
        bytes.extend_from_slice(&self.versions.1.to_be_bytes());
        bytes.extend_from_slice(&self.network);
        bytes.extend_from_slice(&self.city.0);
        bytes.extend_from_slice(&self.process);
        bytes
    }

    /// Without its length. None if it is no hello.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (lowest, rest) = rest.split_first_chunk()?;
        let (highest, rest) = rest.split_first_chunk()?;
        let (network, rest) = rest.split_first_chunk()?;
        let (city, rest) = rest.split_first_chunk()?;
        let (process, _later) = rest.split_first_chunk()?;
        (magic == MAGIC).then_some(Self {
            versions: (u16::from_be_bytes(*lowest), u16::from_be_bytes(*highest)),
            network: *network,
            city: PeerId(*city),
            process: *process,
        })
    }

    /// The highest version that `self` and `other` speak.
    pub(crate) fn agree(&self, other: &Self) -> Option<u16> {
        let lowest = self.versions.0.max(other.versions.0);
        let highest = self.versions.1.min(other.versions.1);
        (lowest <= highest).then_some(highest)
    }
}

pub(crate) fn stream_head(class: Class, chain: u64) -> [u8; STREAM_HEAD] {
    let mut head = [0; STREAM_HEAD];
    head[0] = STREAM_VERSION;
    head[1] = class.byte();
    head[2..].copy_from_slice(&chain.to_be_bytes());
    head
}

/// None if it is no head of a stream of this version.
pub(crate) fn parse_stream_head(head: [u8; STREAM_HEAD]) -> Option<(Class, u64)> {
    let [version, class, chain @ ..] = head;
    (version == STREAM_VERSION).then_some(())?;
    Some((Class::from_byte(class)?, u64::from_be_bytes(chain)))
}

/// Of the head of a stream and its frames, in every version of the protocol so far.
const STREAM_VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::{Hello, parse_stream_head, stream_head};
    use crate::{Class, PeerId};

    const HELLO: Hello = Hello {
        versions: (1, 3),
        network: [2; 32],
        city: PeerId([3; 20]),
        process: [4; 16],
    };

    #[test]
    fn a_hello_is_these_bytes() {
        let bytes = HELLO.encode();
        let mut pinned = vec![0, 76];
        pinned.extend_from_slice(b"CWLK");
        pinned.extend_from_slice(&[0, 1, 0, 3]);
        pinned.extend_from_slice(&[2; 32]);
        pinned.extend_from_slice(&[3; 20]);
        pinned.extend_from_slice(&[4; 16]);
        assert_eq!(bytes, pinned);
        assert_eq!(Hello::decode(&bytes[2..]), Some(HELLO));
    }

    #[test]
    fn a_later_hello_is_longer_and_a_shorter_one_is_none() {
        let mut bytes = HELLO.encode();
        bytes.extend_from_slice(b"later");
        assert_eq!(Hello::decode(&bytes[2..]), Some(HELLO));
        for length in 0..76 {
            assert_eq!(Hello::decode(&bytes[2..2 + length]), None, "{length}");
        }
        bytes[2] ^= 1;
        assert_eq!(Hello::decode(&bytes[2..]), None);
    }

    #[test]
    fn the_highest_common_version_is_spoken() {
        let speaks = |versions| Hello { versions, ..HELLO };
        for (own, other, agreed) in [
            ((1, 1), (1, 1), Some(1)),
            ((1, 3), (2, 5), Some(3)),
            ((2, 5), (1, 3), Some(3)),
            ((1, 2), (3, 4), None),
            ((3, 4), (1, 2), None),
            ((1, 4), (3, 2), None),
        ] {
            assert_eq!(
                speaks(own).agree(&speaks(other)),
                agreed,
                "{own:?} {other:?}"
            );
        }
    }

    #[test]
    fn a_stream_begins_with_these_bytes() {
        let head = stream_head(Class::Transactions, 0x0102);
        assert_eq!(head, [1, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(parse_stream_head(head), Some((Class::Transactions, 0x0102)));
        let of_none = stream_head(Class::Sync, 0);
        assert_eq!(of_none, [1, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse_stream_head(of_none), Some((Class::Sync, 0)));
        assert_eq!(parse_stream_head([2, 1, 0, 0, 0, 0, 0, 0, 1, 2]), None);
        assert_eq!(parse_stream_head([1, 3, 0, 0, 0, 0, 0, 0, 1, 2]), None);
    }
}
