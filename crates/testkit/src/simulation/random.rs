//! What is drawn in a simulation, from the source of numbers that its disks have.

use std::time::Duration;

use store::simulated::Random as Source;

/// Decided by its seed alone.
#[derive(Clone, Debug)]
pub(super) struct Random(Source);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(Source::new(seed))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0.draw()
    }

    /// Below `bound`, which is not 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// From `least` to `most`, both included.
    pub(super) const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(super) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.between(least * 1_000, most * 1_000))
    }

    /// True `yes` times in `of`.
    pub(super) const fn chance(&mut self, yes: u64, of: u64) -> bool {
        self.0.chance(yes, of)
    }

    /// A place in a list of `length`, which is not 0.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() {
            return None;
        }
        of.get(self.index(of.len()))
    }

    pub(super) fn hash(&mut self) -> alloy_primitives::B256 {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_be_bytes());
        }
        bytes.into()
    }
}
