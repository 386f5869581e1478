//! Execution as its users see it: our own rules, then Ethereum's public conformance vectors.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print how many cases ran"
)]

mod block_vectors;
mod blocks;
mod calls;
mod rules;
mod state_vectors;
mod vectors;
mod world;
