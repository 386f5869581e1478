//! Connections between cities: bytes by chain and class, without meaning.
//!
//! ```text
//!      send(to, chain, class, payload)                        mpsc::Receiver<Event>
//!                   │ never waits                                       ▲
//!   ┌───────────────▼──────────────┐                  ┌─────────────────┴────────────┐
//!   │ outbox of each peer          │                  │ inbox of all peers           │
//!   │ class ▸ chains in turns      │                  │ class ▸ peers ▸ chains, in   │
//!   │ bounded; the busiest chain   │                  │ turns; bounded by budgets of │
//!   │ gives way                    │                  │ each peer                    │
//!   └───────────────┬──────────────┘                  └─────────────────▲────────────┘
//!            writer │ the urgent overtakes            readers, one for each stream
//!   ┌───────────────▼─────────────────────────────────────────────────┴────────────┐
//!   │ one QUIC connection for each pair: TLS 1.3, both keys pinned                 │
//!   │ one stream for each (chain, class) in use                                    │
//!   └──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # What holds
//!
//! * *Who.* A peer is whoever proves to hold the one key that is pinned for its address. Strangers do not get past
//!   the handshake. Of two cities the one with the lower address calls; the other waits.
//! * *Change.* The peers are those last given to [`Links::set_peers`]: keys are looked up in every handshake, and
//!   again before a connection becomes a link. Whoever is not listed any more is cut at once; nobody else notices.
//! * *Order.* [`Event::Up`], then what was received, then [`Event::Down`], for each peer. Payloads of one chain and
//!   class arrive in the order they were sent, as long as their stream is in use (a stream closed after
//!   [`Limits::stream_idle`], or because more than 128 are in use, may be overtaken by the one after it).
//! * *Loss.* A payload may be lost: when its queue is full ([`Event::Dropped`]) and when the link goes down
//!   ([`Event::Up`] implies it). At each [`Event::Up`] both sides therefore tell where they are; a link that was
//!   replaced quickly is told as `Down` and `Up`.
//! * *Urgency.* Consensus goes out before transactions before sync, also in the middle of a block; it is delivered
//!   first as well, but cannot stop the rest.
//! * *Fairness.* Chains take turns towards a peer; peers and their chains take turns towards the receiver. A peer that
//!   floods is not read beyond its budget ([`Limits::received_bytes`]), and no other peer has less for it.
//! * *Memory.* For each peer at most: its queues ([`Limits::queues`]), its budgets, and QUIC's windows (48 MiB
//!   received and not read, 8 MiB sent and not acknowledged). Nothing grows for a peer that is away.
//! * *Silence.* An idle link costs one keep-alive and its acknowledgement each 10 s. Nothing else is sent unasked.
//! * *Refusals.* Every reason is a [`Refused`]: counted, told to the log once, told to the peer. Abuse closes the
//!   connection and keeps the peer out for [`Limits::pause`]; so does [`Links::refuse`], for as long as it says.
//!
//! What it is not: it looks into no payload, keeps nothing on disk, relays nothing from one peer to another, and knows
//! of no validator set.

mod accept;
mod calls;
mod figures;
mod greeting;
mod identity;
mod inbox;
mod limits;
mod lines;
mod links;
mod outbox;
mod peer;
mod pins;
mod reader;
mod refused;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod tls;
mod turns;
mod wire;
mod writer;

pub use figures::{Connected, Drops, Figures, PeerStatus, Traffic};
pub use identity::{Fingerprint, Identity, IdentityError};
pub use limits::{Class, Limits, MOST_PEERS, OVERHEAD, QueueLimits};
pub use links::{Config, Event, Links, NetworkId, Peer, PeerId, StartError};
pub use refused::Refused;
