//! Classes of payloads, and every bound of a link. Nothing that comes from outside is held beyond them.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a payload is for. A class goes out before the ones below it, and is delivered before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Votes, proposals, bodies of blocks that are being agreed on.
    Consensus,
    /// Transactions that another city shall know of.
    Transactions,
    /// Blocks for a city that was away.
    Sync,
}

impl Class {
    /// All, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Consensus, Self::Transactions, Self::Sync];

    /// The longest payload in bytes. Part of the protocol: a longer one is refused by its length alone. A block has
    /// up to 8 MiB of transactions; the rest is for what stands around it.
    #[must_use]
    pub const fn longest(self) -> usize {
        match self {
            Self::Consensus | Self::Sync => 9 * MIB,
            Self::Transactions => MIB,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Its byte in the head of a stream.
    pub(crate) const fn byte(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.byte() == byte)
    }
}

/// What may wait to be sent to one peer, of one class. A payload counts with its length and [`OVERHEAD`].
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Bytes of one chain.
    pub chain_bytes: usize,
    /// Bytes of all chains together. When they are used up, the chain with most gives way.
    pub total_bytes: usize,
}

/// What a payload counts in a queue beside its length, in bytes, so that empty ones are bounded too.
pub const OVERHEAD: usize = 256;

/// Bounds and times of the links of a city.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What may wait to be sent to one peer, by class (in the order of [`Class::ALL`]). Payloads sent to several
    /// peers share their memory.
    pub queues: [QueueLimits; 3],
    /// Bytes that may have been received from one peer and not yet been taken, by class. Beyond them its streams are
    /// not read, which stops the peer. At least one longest payload.
    pub received_bytes: [usize; 3],
    /// Silence after which the side that dialled sends a keep-alive. The other side sends none.
    pub keep_alive: Duration,
    /// Silence after which a link is down. Three keep-alives.
    pub idle_timeout: Duration,
    /// How long connecting and greeting may take.
    pub greeting_timeout: Duration,
    /// The first wait before dialling again; doubled each time. Half of every wait is chance.
    pub backoff_first: Duration,
    /// The longest wait before dialling again: a city that returns is met within it.
    pub backoff_last: Duration,
    /// How long a peer that abused its link stays out.
    pub pause: Duration,
    /// A stream that carried nothing for so long is closed; the next payload opens another.
    pub stream_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queues: [
                QueueLimits {
                    chain_bytes: 20 * MIB,
                    total_bytes: 64 * MIB,
                },
                QueueLimits {
                    chain_bytes: 4 * MIB,
                    total_bytes: 32 * MIB,
                },
                QueueLimits {
                    chain_bytes: 20 * MIB,
                    total_bytes: 40 * MIB,
                },
            ],
            received_bytes: [20 * MIB, 4 * MIB, 20 * MIB],
            keep_alive: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            greeting_timeout: Duration::from_secs(3),
            backoff_first: Duration::from_millis(50),
            backoff_last: Duration::from_secs(2),
            pause: Duration::from_secs(30),
            stream_idle: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The class whose longest payload would never fit what may be received of it.
    pub(crate) fn too_small(&self) -> Option<Class> {
        Class::ALL
            .into_iter()
            .find(|class| self.received_bytes[class.index()] < class.longest() + 2 * OVERHEAD)
    }
}

/// The most peers: a network is of hundreds of cities at most, and a peer that is away costs a task and a few KiB.
pub const MOST_PEERS: usize = 4096;

/// A peer is kept out for a year at most, so that the time until then can be added to any other.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Streams that a peer may have open towards us. More are refused by QUIC itself.
pub(crate) const STREAMS_FROM_PEER: u32 = 256;

/// Streams that we keep open towards a peer: half of what it allows, since a closed stream counts until the peer has
/// read all of it. With more chains the one unused for longest is closed.
pub(crate) const STREAMS_TO_PEER: usize = 128;

/// Bytes of one stream that a peer may send ahead of our reading.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;

/// Bytes of all streams that a peer may send ahead of our reading: what eight full streams of lower classes hold
/// does not stop a more urgent one.
pub(crate) const CONNECTION_WINDOW: u32 = 48 << 20;

/// Bytes written and not yet acknowledged, for one peer. What is urgent overtakes what waits in here when packets are
/// made; it waits only until there is room for its first byte.
pub(crate) const SEND_WINDOW: u64 = 8 << 20;

/// Bytes written at a time, after which a more urgent class has its chance.
pub(crate) const WRITTEN_AT_ONCE: usize = 64 * KIB;

/// Connections that are being greeted at a time, all others being refused.
pub(crate) const GREETED_AT_ONCE: usize = 64;

/// Of them, those from one address: who holds connections open there keeps nobody else out.
pub(crate) const GREETED_FROM_ONE: usize = 16;

/// From so many on, a caller has to prove its address before anything is computed for it.
pub(crate) const GREETED_ON_TRUST: usize = 8;

/// Events that wait in the channel to the receiver, out of order of urgency and beyond [`Limits::received_bytes`].
pub(crate) const EVENTS_AHEAD: usize = 8;

/// Pairs of peer and chain of which it is remembered that something was dropped. Further ones are only counted.
pub(crate) const DROPPED_REMEMBERED: usize = 4096;

/// How often a class that has something is passed over by more urgent ones before it has a turn: a flood of votes
/// delays transactions, and does not stop them.
pub(crate) const PASSED_OVER: u32 = 16;

/// How often the own address is dialled, in search of another city with the own key.
pub(crate) const SELF_CALLS: u32 = 5;
