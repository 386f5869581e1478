//! What was done: counted over all seeds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counters of one seed, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many seeds.
    pub seeds: u64,
    /// How many cities, strangers included.
    pub cities: u64,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Blocks with transactions, and empty ones.
    pub blocks: (u64, u64),
    /// The highest round of a block.
    pub highest_round: u32,
    /// Messages that arrived.
    pub messages: u64,
    /// Faults by kind, and other things worth counting.
    pub counts: BTreeMap<&'static str, u64>,
    /// The longest time from the end of the faults until all was well.
    pub longest_healing: Duration,
}

impl Figures {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.cities += other.cities;
        self.virtual_time += other.virtual_time;
        self.blocks.0 += other.blocks.0;
        self.blocks.1 += other.blocks.1;
        self.messages += other.messages;
        self.highest_round = self.highest_round.max(other.highest_round);
        self.longest_healing = self.longest_healing.max(other.longest_healing);
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds, {} cities, {:.0} h of virtual time, {} blocks and {} empty ones, {} messages",
            self.seeds,
            self.cities,
            self.virtual_time.as_secs_f64() / 3_600.0,
            self.blocks.0,
            self.blocks.1,
            self.messages
        )?;
        writeln!(
            f,
            "highest round {}, longest healing {:.1} s",
            self.highest_round,
            self.longest_healing.as_secs_f64()
        )?;
        for (what, count) in &self.counts {
            writeln!(f, "  {count:>9}  {what}")?;
        }
        Ok(())
    }
}
