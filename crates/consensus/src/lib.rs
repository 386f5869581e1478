//! Byzantine agreement on one height after another, without I/O.
//!
//! [`Instance`] is Tendermint for one height of one chain: a pure state machine over
//! `arc-malachitebft-core-consensus`. [`Input`]s go in, [`Effect`]s come out, in an order that is
//! the safety of the whole: *append, make durable, publish*. It holds no clock, socket, file or
//! task; bodies of blocks never enter it, a value is a block's hash.
//!
//! ```text
//!  bytes ─▶ Message::decode ─▶ authenticate ─▶ Input::Message ┐
//!  a body, executed ─────────────────────────▶ Input::Value   ├▶ Instance::step ─▶ effects, one by
//!  a block built here ───────────────────────▶ Input::Propose │                    one, until the
//!  a timer ──────────────────────────────────▶ Input::Timeout │                    first that fails
//!  a block with its certificate ─────────────▶ Input::Certificate
//! ```
//!
//! # What the host owes
//!
//! 1. Effects are performed strictly in order. When one fails, neither it nor any after it is
//!    performed, the instance is dropped, and the chain is started again from its log. This is
//!    what keeps a vote at home whose record could not be written.
//! 2. All effects of one call are performed before the next height is started, or the chain parked:
//!    a decision comes before the publication of this city's own last vote.
//! 3. The body of a block is appended to the same log before its hash is given to the instance.
//! 4. After a crash, [`Instance::start`] gets the records of the undecided height in their order.
//! 5. A vote for a decided height ([`Refused::Decided`]) is answered with that height's certificate;
//!    without this, a city that crashed between its decision and its publication can stop a chain.
//! 6. A body is refused (`valid: false`) for good or not at all, never for being late
//!    ([`Instance::takes_untimely`] says when a late one may be given as valid).
//! 7. At the decision the instance is finished: timers are cancelled by its last effects, and
//!    whatever is put into it later has no effect. It is then dropped.

mod ahead;
mod authentic;
mod context;
mod delays;
mod host;
mod instance;
mod message;
mod proposers;
mod record;
#[cfg(test)]
mod simulation;
mod step;
mod timeouts;
mod translation;

pub use ahead::Ahead;
pub use authentic::{Audience, Authentic, Refused, authenticate};
pub use delays::Delays;
pub use instance::Instance;
pub use message::{
    DecodeError, FormError, MAX_MESSAGE_BYTES, Message, PolkaCertificate, PolkaSignature, Proposal,
    RoundCertificate, RoundCertificateKind, RoundSignature, Vote, VoteKind,
};
pub use proposers::{MissingHeader, Order, Turn};
pub use record::{Record, Value};
pub use step::{Config, Effect, Equivocation, Error, Input};
pub use timeouts::{Timeout, TimeoutKind, Timeouts};
