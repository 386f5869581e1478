//! What tests of the whole share: losses of power, crash rounds, conformance, cities in simulated time.
//!
//! Development only: nothing of it is in the program. It may panic and print.

pub mod client;
pub mod conformance;
pub mod crash_rounds;
pub mod hub;
pub mod power_cut;
pub mod program;
pub mod simulation;
