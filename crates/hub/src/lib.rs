//! The hub: the chain that holds a network's registry.
//!
//! Its contracts lie in `contracts/hub`; their words are in [`abi`].

pub mod abi;
