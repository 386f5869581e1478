//! Cities on loopback, over real QUIC: what they exchange, whom they refuse, and what they do with those that misbehave.

mod changes;
mod exchange;
mod hostile;
mod refusals;
mod restart;
mod scenery;
