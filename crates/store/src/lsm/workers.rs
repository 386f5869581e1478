//! The two threads behind the tables: one flushes, one compacts. Each sleeps until there is something to do.
//!
//! ```text
//!   commit ──seal──▶ sealed memtables ──flusher──▶ sorted files ──compactor──▶ fewer of them
//!      ▲                    │                           │
//!      └── waits when too many are sealed ◀── waits while too many overlap and are being compacted
//! ```

use super::LsmOptions;
use super::engine::{Committing, Engine};
use super::interrupt::Interrupt;
use crate::tables::TablesError;
use lsm_tree::AbstractTree as _;
use lsm_tree::compaction::Leveled;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sorted runs that may overlap before the flusher waits for the compactor. Every read may look into each of them;
/// compaction begins at 4.
const OVERLAPPING_RUNS: usize = 16;

/// What commits and the two threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    pub(super) options: LsmOptions,
    interrupt: Interrupt,
    pub(super) state: Mutex<State>,
    /// Wakes the flusher.
    to_flush: Condvar,
    /// Wakes the compactor.
    to_compact: Condvar,
    /// Wakes whoever waits for one of the two.
    pub(super) progress: Condvar,
    pub(super) flushes: AtomicU64,
    pub(super) compactions: AtomicU64,
}

/// What is to be done, and by whom.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Sizes in bytes of the sealed memtables, oldest first.
    pub(super) sealed: VecDeque<u64>,
    /// Memtables sealed since the tables were opened.
    pub(super) seals: u64,
    /// Of these, how many are durable.
    pub(super) flushed: u64,
    /// Whether the active memtable holds a commit.
    dirty: bool,
    /// What was flushed when the last compaction began, and when the last one that ended began.
    compaction_began: u64,
    compaction_done: u64,
    pub(super) stopping: bool,
    pub(super) poisoned: bool,
}

impl Shared {
    pub(super) fn new(engine: Arc<Engine>, interrupt: Interrupt, options: LsmOptions) -> Self {
        Self {
            engine,
            options,
            interrupt,
            state: Mutex::default(),
            to_flush: Condvar::new(),
            to_compact: Condvar::new(),
            progress: Condvar::new(),
            flushes: AtomicU64::new(0),
            compactions: AtomicU64::new(0),
        }
    }

    /// Seals the active memtable, if something is in it. Returns how many seals there were.
    pub(super) fn seal(&self, committing: &Committing<'_>) -> u64 {
        let sealed = committing.seal();
        let mut state = self.state.lock();
        if let Some(size) = sealed {
            state.sealed.push_back(size);
            state.seals += 1;
            state.dirty = false;
            self.to_flush.notify_one();
        }
        state.seals
    }

    /// Says that the active memtable holds a commit: its age counts from the first.
    pub(super) fn note_commit(&self, _committing: &Committing<'_>) {
        let mut state = self.state.lock();
        if !state.dirty {
            state.dirty = true;
            self.to_flush.notify_one();
        }
    }

    /// Ends both threads after what they are doing now.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.interrupt.set();
        self.to_flush.notify_all();
        self.to_compact.notify_all();
        self.progress.notify_all();
    }

    fn poison(&self, error: &TablesError) {
        tracing::error!(%error, "the tables stop writing");
        self.state.lock().poisoned = true;
        self.progress.notify_all();
    }

    /// The flusher's life.
    pub(super) fn flush_until_stopped(&self) {
        let _guard = PoisonOnPanic(self);
        while let Some(goal) = self.await_sealed() {
            self.await_compactor();
            match self.engine.flush_sealed() {
                Ok(()) => self.note_flushed(goal),
                Err(error) => self.poison(&error),
            }
        }
    }

    /// Waits for a sealed memtable, or seals one that has grown old. `None` when it is time to stop.
    fn await_sealed(&self) -> Option<u64> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            if state.poisoned {
                self.to_flush.wait(&mut state);
            } else if state.seals > state.flushed {
                return Some(state.seals);
            } else if state.dirty {
                // Only a seal or a stop wakes it earlier; a seal begins a younger memtable.
                let waited = self.to_flush.wait_for(&mut state, self.options.flush_after);
                if waited.timed_out() && state.dirty && state.seals == state.flushed {
                    drop(state);
                    self.seal(&self.engine.begin());
                    state = self.state.lock();
                }
            } else {
                self.to_flush.wait(&mut state);
            }
        }
    }

    /// Waits, for a time, while too many runs overlap and somebody does something about it.
    fn await_compactor(&self) {
        let mut state = self.state.lock();
        while state.compaction_done < state.flushed
            && !state.stopping
            && !state.poisoned
            && self.engine.tree.l0_run_count() >= OVERLAPPING_RUNS
        {
            if self
                .progress
                .wait_for(&mut state, self.options.wait_at_most)
                .timed_out()
            {
                return;
            }
        }
    }

    fn note_flushed(&self, goal: u64) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        {
            let mut state = self.state.lock();
            let done = usize::try_from(goal - state.flushed).unwrap_or(usize::MAX);
            let done = done.min(state.sealed.len());
            state.sealed.drain(..done);
            state.flushed = goal;
        }
        self.progress.notify_all();
        self.to_compact.notify_one();
        if let Err(error) = self.engine.forget_old_versions() {
            self.poison(&error);
        }
    }

    /// The compactor's life.
    pub(super) fn compact_until_stopped(&self) {
        let _guard = PoisonOnPanic(self);
        let strategy = Arc::new(Leveled::default());
        while self.await_flushed() {
            if let Err(error) = self.compact_all(&strategy)
                && !self.state.lock().stopping
            {
                self.poison(&error);
            }
            {
                let mut state = self.state.lock();
                state.compaction_done = state.compaction_began;
            }
            self.progress.notify_all();
        }
    }

    /// Waits for new files. `false` when it is time to stop.
    fn await_flushed(&self) -> bool {
        let mut state = self.state.lock();
        while !state.stopping && (state.poisoned || state.flushed == state.compaction_began) {
            self.to_compact.wait(&mut state);
        }
        state.compaction_began = state.flushed;
        !state.stopping
    }

    fn compact_all(&self, strategy: &Arc<Leveled>) -> Result<(), TablesError> {
        while !self.state.lock().stopping && self.engine.compact(strategy)? {
            self.compactions.fetch_add(1, Ordering::Relaxed);
            self.progress.notify_all();
        }
        self.engine.forget_old_versions()
    }
}

/// A thread that ends by a panic must not leave others waiting for it.
struct PoisonOnPanic<'a>(&'a Shared);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(&TablesError::Poisoned);
        }
    }
}
