//! A chain's state over tables: history, reopening, candidates, what is read.

mod chain;
mod history;
mod reads;
