//! The life of one chain without I/O: pool, building, importing, deciding, and reading what was decided.
//!
//! ```text
//!  transactions ─▶ Pool ─▶ Engine ──effects──▶ driver: append, sync, commit, timers, links
//!                            ▲  │
//!                  consensus ┘  └ execution, state (reads through a snapshot)
//!
//!  Reader ─▶ Moment: one snapshot, whatever is asked of it fits together
//! ```
//!
//! [`Engine`] is a state machine: its methods answer with [`Effect`]s, which the driver (`node`) performs strictly in
//! order and not at all after the first that fails. It holds no clock, file, socket or task.

mod admission;
mod candidate;
mod citing;
mod clocks;
mod effects;
mod engine;
mod entry;
pub mod genesis;
pub mod import;
pub mod over;
mod own_set;
pub mod peer;
pub mod pool;
mod profile;
mod quota;
mod rate;
mod reader;
mod recovery;
mod rows;
mod waking;

pub use admission::{Admitted, admit};
pub use candidate::{BuildError, MAX_BLOCK_BYTES};
pub use citing::{Beside, Cited, Hub};
pub use effects::{Commit, Decided, Effect, EngineError, Notice, Recipients, Timer, TimerKey};
pub use engine::{Config, Engine};
pub use entry::{Entry, EntryError, Genesis, Registry};
pub use genesis::GenesisError;
pub use own_set::Unnamed;
pub use peer::{PeerClass, PeerError, PeerMessage};
pub use pool::{Pool, PoolError, PoolStatus, Pooled, SenderState};
pub use profile::{Lineage, Profile};
pub use quota::{Quota, UsedUp};
pub use reader::{Head, Moment, ReadError, Reader};
pub use recovery::{Recovery, RecoveryError};
pub use rows::{Block, Seal};
