//! The hub: the chain that holds a network's registry.
//!
//! ```text
//!  Founding ──▶ contracts ──▶ the hub's genesis
//!  the hub's latest block ──▶ Registry ──▶ what a city is to host, and whom it meets
//!                        └──▶ OwnCopy ──▶ what the chains cite
//! ```
//!
//! Its contracts lie in `contracts/hub`; their words are in [`abi`]. Every city reads the registry from its own copy of the
//! hub, and asks nobody. Nothing here does I/O.

pub mod abi;
pub mod acts;
pub mod card;
pub mod contracts;
mod copy;
pub mod registry;

pub use copy::OwnCopy;
pub use registry::{Changed, Placement, Registry, RegistryError};
