//! How long transactions take from when they are sent until their result is read, round after round.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Failed;
use crate::offer::cpu;
use crate::program::Running;
use crate::rounds::Rounds;
use crate::steady::{Worker, alone, steady};

/// Transactions a second that are offered.
pub(crate) const RATE: u32 = 100;
/// Transactions one after another in a round.
pub(crate) const ALONE: usize = 100;
/// How long the rate is offered in a round.
pub(crate) const LASTING: Duration = Duration::from_secs(6);
/// Connections over which they go in turn.
const TURNS: usize = 8;
/// Transactions that are sent before anything is measured.
const WARM: usize = 20;

/// Quantiles of each round, in milliseconds, and what blocks took.
#[derive(Debug, Default)]
pub(crate) struct Finality {
    pub(crate) alone: Rounds,
    alone_p99: Rounds,
    pub(crate) steady: Rounds,
    pub(crate) steady_p99: Rounds,
    /// CPU of all processes a block, µs, one transaction in each.
    pub(crate) alone_cpu: Rounds,
    /// CPU of all processes a block, µs, at the steady rate.
    pub(crate) steady_cpu: Rounds,
    /// Blocks a second at the steady rate.
    blocks: Rounds,
}

impl Finality {
    /// One round: `count` transactions one at a time, then the steady rate. `height` tells the newest block's number.
    pub(crate) fn round(
        &mut self,
        servers: &[Running],
        workers: &mut [Worker<'_>],
        count: usize,
        height: impl Fn(SocketAddr) -> Result<u64, Failed>,
    ) -> Result<(), Failed> {
        let address = workers[0].server();
        alone(&mut workers[..TURNS], WARM.min(count))?;
        let (cpu_before, blocks_before) = (cpu(servers)?, height(address)?);
        let times = alone(&mut workers[..TURNS], count)?;
        self.alone.push(times.median());
        self.alone_p99.push(times.quantile(0.99));
        let (cpu_between, blocks_between) = (cpu(servers)?, height(address)?);
        self.alone_cpu.push(per_block(
            cpu_between.saturating_sub(cpu_before),
            blocks_between - blocks_before,
        ));
        let times = steady(workers, RATE, LASTING)?;
        self.steady.push(times.median());
        self.steady_p99.push(times.quantile(0.99));
        let blocks = height(address)? - blocks_between;
        self.steady_cpu
            .push(per_block(cpu(servers)?.saturating_sub(cpu_between), blocks));
        #[expect(clippy::cast_precision_loss, reason = "a count of some seconds")]
        self.blocks.push(blocks as f64 / LASTING.as_secs_f64());
        Ok(())
    }

    pub(crate) fn says(&self) -> String {
        format!(
            "one in flight p50 {:.2} and p99 {:.2} ms; at {RATE}/s p50 {:.2} and p99 {:.2} ms, {:.0} blocks a second; CPU a block, all its processes together: {:.0} µs one in flight, {:.0} µs at {RATE}/s (medians of the rounds)",
            self.alone.median(),
            self.alone_p99.median(),
            self.steady.median(),
            self.steady_p99.median(),
            self.blocks.median(),
            self.alone_cpu.median(),
            self.steady_cpu.median()
        )
    }
}

/// In µs.
#[expect(clippy::cast_precision_loss, reason = "a count of some seconds")]
fn per_block(cpu: Duration, blocks: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / blocks.max(1) as f64
}
