//! Hosts chains: carries inputs to their engines and effects to the disk, and tells others of new heads.
//!
//! ```text
//!  ChainHandle ──submit──▶ Admission (a task) ──▶ pool, log ──▶ the other cities
//!       ▲                                          │ wakes
//!       │                  Driver (a task) ◀───────┘      ◀── messages ── Dispatcher ◀── link
//!       │                     │ job
//!       │                     ▼
//!       │                  Engine (on a worker thread)
//!       │                     │ effects, in order
//!       └── heads, pool ◀─────┤ append ▸ sync ▸ commit ▸ send
//!                             ▼
//!                        Log, Tables        one of each for all chains
//! ```
//!
//! [`Host`] owns a data folder: lock, key, log, tables. A parked chain has a task that waits for its mailbox, and
//! nothing else: no timer, no thread.

pub mod admin;
mod admission;
pub mod clock;
mod dispatch;
mod driver;
mod faults;
mod feed;
mod folder;
mod handle;
mod host;
mod hosting;
pub mod metrics;
mod peers;
mod registry;
mod running;
mod spare;
mod still;
mod tips;
mod trim;
pub mod verify;

pub use clock::{Clock, SystemClock};
pub use folder::{Folder, FolderError};
pub use handle::{ChainHandle, ChainStatus, NewBlock};
pub use host::{Cities, Host, Options, Seat, StartError};
pub use hosting::{Hosting, OpenError};
pub use still::StillChain;
