//! Hosts chains: carries inputs to their engines and effects to the disk, and tells others of new heads.
//!
//! ```text
//!  ChainHandle ──submit──▶ Driver (a task) ──job──▶ Engine (on a worker thread)
//!       ▲                     │ effects, in order
//!       └── heads, pool ◀─────┤ append ▸ sync ▸ commit ▸ publish
//!                             ▼
//!                        Log, Tables        one of each for all chains
//! ```
//!
//! [`Host`] owns a data folder: lock, key, log, tables. A parked chain has a task that waits for its mailbox, and
//! nothing else: no timer, no thread.

pub mod admin;
pub mod clock;
mod driver;
mod folder;
mod handle;
mod host;
pub mod metrics;
mod still;
mod trim;
pub mod verify;

pub use clock::{Clock, SystemClock};
pub use folder::{Folder, FolderError};
pub use handle::{ChainHandle, NewBlock};
pub use host::{Host, Options, StartError};
pub use still::StillChain;
