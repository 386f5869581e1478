//! How much one server gives away: every queue, loop and wait on the outside has its bound here.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

/// Bounds of one server. Errors name the bound that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body or WebSocket message, bytes. go-ethereum's 5 MiB: a batch of a thousand transactions, or a
    /// contract of the largest size many times over.
    pub request_bytes: u32,
    /// Largest answer, bytes (go-ethereum's 25 MB).
    pub response_bytes: u32,
    /// Most calls in a batch (go-ethereum's 1,000).
    pub batch: u32,
    /// Most connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Most subscriptions of one connection.
    pub subscriptions: u32,
    /// Messages that wait for one slow WebSocket client before its subscriptions end.
    pub buffered_messages: u32,
    /// Most calls that are being answered or wait for a thread, of all connections together.
    pub calls: usize,
    /// Bytes of request bodies that are being read or answered, of all connections together.
    pub bodies_bytes: u32,
    /// How long one HTTP request may take, its body's arrival included.
    pub request_time: Duration,
    /// How long the answer to a transaction that was sent alone waits for its block; zero answers at once.
    pub send_wait: Duration,
    /// How long a subscriber may keep one message waiting.
    pub subscriber_time: Duration,
    /// Most installed filters (go-ethereum has no bound; this is memory for about 10 MiB).
    pub filters: usize,
    /// A filter that nobody asked for this long is gone (go-ethereum's 5 minutes).
    pub filter_lifetime: Duration,
    /// Most blocks that one search for logs looks at.
    pub log_blocks: u64,
    /// Most logs that one search finds.
    pub logs: usize,
    /// How long one search for logs takes at most.
    pub log_time: Duration,
    /// Most addresses, and most topics in one position, that a search names.
    pub log_alternatives: usize,
    /// Most blocks of one `eth_feeHistory`; asking for more gives this many, as on go-ethereum.
    pub fee_blocks: u64,
    /// Most percentiles of one `eth_feeHistory`.
    pub fee_percentiles: usize,
    /// Most slots of one `eth_getProof`.
    pub proof_slots: usize,
    /// Reads of the chain that run at once.
    pub readers: usize,
    /// EVMs that run at once.
    pub evms: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            request_bytes: 5 << 20,
            response_bytes: 25 << 20,
            batch: 1_000,
            connections: 1_000,
            subscriptions: 64,
            buffered_messages: 1_024,
            calls: 4_096,
            bodies_bytes: 256 << 20,
            request_time: Duration::from_secs(60),
            send_wait: Duration::ZERO,
            subscriber_time: Duration::from_secs(10),
            filters: 1_000,
            filter_lifetime: Duration::from_secs(5 * 60),
            log_blocks: 10_000,
            logs: 20_000,
            log_time: Duration::from_secs(10),
            log_alternatives: 1_000,
            fee_blocks: 1_024,
            fee_percentiles: 100,
            proof_slots: 1_024,
            // Reads wait for the disk now and then, so there are more of them than cores.
            readers: 4 * cores,
            evms: cores,
        }
    }
}
