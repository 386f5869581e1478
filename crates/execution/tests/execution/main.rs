//! Execution as its users see it: our own rules, then Ethereum's public conformance vectors.

mod block_vectors;
mod blocks;
mod calls;
mod rules;
mod state_vectors;
mod vectors;
mod world;
