//! What all rounds came to, as a table.

use std::fmt;
use std::time::Duration;

use super::load::Sum;
use crate::power_cut::Counters;

/// Sums over all rounds that went well.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Rounds.
    pub rounds: u64,
    /// Those that hit the start.
    pub crashes_at_start: u64,
    /// Transactions sent.
    pub sent: u64,
    /// Receipts given out before a crash.
    pub receipts: u64,
    /// Receipts looked at again afterwards; old ones more than once.
    pub checked: u64,
    /// How long each start took.
    pub starts: Vec<Duration>,
    /// What happened on the simulated disks.
    pub disk: Counters,
}

impl Report {
    pub(super) fn add(&mut self, sum: &Sum) {
        self.sent += sum.sent;
        self.receipts += sum.receipts;
    }

    pub(super) fn disk(&mut self, counters: Counters) {
        let sum = &mut self.disk;
        sum.steps += counters.steps;
        sum.writes += counters.writes;
        sum.written_bytes += counters.written_bytes;
        sum.syncs += counters.syncs;
        sum.directory_syncs += counters.directory_syncs;
        sum.name_changes += counters.name_changes;
        sum.forgotten_bytes += counters.forgotten_bytes;
        sum.forgotten_names += counters.forgotten_names;
        sum.torn_writes += counters.torn_writes;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut starts = self.starts.clone();
        starts.sort();
        let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
        let slowest = starts.last().copied().unwrap_or_default();
        let mut rows = vec![
            ("rounds without a failure", self.rounds.to_string()),
            (
                "of them crashed in a start",
                self.crashes_at_start.to_string(),
            ),
            ("transactions sent", self.sent.to_string()),
            ("receipts given out", self.receipts.to_string()),
            ("receipts found again", self.checked.to_string()),
            ("start, median", format!("{} ms", median.as_millis())),
            ("start, slowest", format!("{} ms", slowest.as_millis())),
        ];
        if self.disk != Counters::default() {
            rows.extend([
                ("steps of the disk", self.disk.steps.to_string()),
                ("syncs of files", self.disk.syncs.to_string()),
                ("syncs of folders", self.disk.directory_syncs.to_string()),
                ("bytes written", self.disk.written_bytes.to_string()),
                ("bytes forgotten", self.disk.forgotten_bytes.to_string()),
                ("writes torn", self.disk.torn_writes.to_string()),
                (
                    "name changes forgotten",
                    self.disk.forgotten_names.to_string(),
                ),
            ]);
        }
        rows.iter()
            .try_for_each(|(name, value)| writeln!(f, "{name:<28}{value:>14}"))
    }
}
