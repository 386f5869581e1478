//! Everything a city keeps: the log, which is the only journal, and the tables, which follow from it.
//!
//! ```text
//!  append ──▶ Log ──fdatasync──▶ segments          (what must not be lost)
//!  commit ──▶ Tables ──flush───▶ sorted files      (what can be made again from the log)
//! ```
//!
//! Each seam has two implementers: the real one ([`SegmentLog`], [`LsmTables`]) and a simulated twin
//! that can lose power ([`simulated`]); all pass one conformance suite.

pub mod conformance;
mod files;
pub mod log;
mod lsm;
pub mod segments;
pub mod simulated;
pub mod tables;

pub use log::{Entry, Log, LogError, LogFigures, Position};
pub use lsm::{LsmOptions, LsmTables};
pub use segments::{Opened, SegmentLog, SegmentOptions};
pub use tables::{Batch, Rows, Snapshot, Tables, TablesError, TablesFigures, Value};
