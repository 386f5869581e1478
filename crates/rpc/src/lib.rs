//! Ethereum JSON-RPC over a hosted chain, HTTP and WebSocket on one port.
//!
//! ```text
//!  Server ─▶ guard (Host, Origin, CORS) ─▶ service (bounds, counts, batches) ─▶ methods
//!                                                                                 │
//!       blocks  transactions  account_state  proofs  logs  filters  fees ◀── worker threads (bounded)
//!       simulate ◀────────────────────────────────────────────────────────── EVM threads (bounded)
//!       subscriptions ◀── broadcast of heads and pool
//! ```
//!
//! Answers are what go-ethereum answers, field by field, as far as the chain is Ethereum's. Types of the wire live here
//! and nowhere below. Every answer is read from one [`chain::Moment`], so that it fits together.

mod account_state;
mod accounts;
mod api;
mod arguments;
mod blocks;
mod chains;
mod config;
mod connection;
mod error;
mod evidence;
mod fees;
mod filters;
mod guard;
mod identity;
mod limits;
mod logs;
mod methods;
mod metrics;
mod pool;
mod proofs;
mod server;
mod service;
mod simulate;
mod subscriptions;
mod tags;
mod transactions;

pub use config::{Config, Cors, NetworkInfo};
pub use limits::Limits;
pub use metrics::Metrics;
pub use server::{Server, StartError};
