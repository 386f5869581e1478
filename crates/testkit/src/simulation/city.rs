//! One city: a disk, a clock, and while it lives a real engine with what it is about to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use chain::{Config, Effect, Engine, Entry, Genesis, PeerMessage, Recovery, Timer, TimerKey};
use consensus::Timeouts;
use execution::Transaction;
use state::History;
use store::segments::SegmentOptions;
use store::simulated::Disk;
use store::{Log, Position, Tables};
use types::NodeKey;

use super::byzantine::Byzantine;
use super::clock::Clock;

/// Memory for the branches of the state.
const CACHE_BYTES: usize = 1 << 20;

/// A city over all its lives.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a city of the plan"
)]
pub(super) struct City {
    pub(super) key: Arc<NodeKey>,
    pub(super) address: Address,
    /// 0: not one of the chain's at the beginning.
    pub(super) power: u64,
    /// Whether it keeps the chain.
    pub(super) runs: bool,
    /// Whether it may join the chain later.
    pub(super) is_spare: bool,
    /// Whether it was one of the chain's and left.
    pub(super) left: bool,
    /// Its copy of the hub.
    pub(super) hub: Option<Arc<dyn chain::Hub>>,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    /// How many effects were performed over all its lives.
    pub(super) performed: u64,
    /// How large a segment of its log is.
    pub(super) segment_bytes: u64,
    /// Counts its lives: what an earlier one asked for does not happen.
    pub(super) life: u64,
    pub(super) living: Option<Living>,
    pub(super) byzantine: Option<Byzantine>,
    /// Whether it loses its disk when it has voted next.
    pub(super) loses_disk: bool,
    /// Whether its disk was lost once.
    pub(super) lost_log: bool,
    /// How long each sync takes.
    pub(super) sync_takes: Duration,
    /// Whether its next sync fails.
    pub(super) sync_fault: bool,
    /// The highest block that it showed from this disk.
    pub(super) shown: u64,
    /// Stopped for good: the simulation of Byzantine cities is over.
    pub(super) gone: bool,
}

/// What a city takes in.
#[derive(Debug)]
pub(super) enum Input {
    Received(usize, PeerMessage),
    Connected(usize),
    Timer(Timer),
    Submitted(Vec<Transaction>),
    /// The hub has moved, and names these.
    HubMoved(BTreeSet<Address>),
    /// The chain stands still, or goes on, as this life is told.
    Stand,
}

/// One life of a city.
#[derive(Debug)]
pub(super) struct Living {
    pub(super) engine: Engine,
    pub(super) log: Arc<dyn Log>,
    pub(super) tables: Arc<dyn Tables>,
    /// What is to be done, in order.
    pub(super) work: VecDeque<Effect>,
    pub(super) inbox: VecDeque<Input>,
    /// Whether a sync is under way.
    pub(super) is_syncing: bool,
    pub(super) timers: BTreeMap<TimerKey, (u64, Timer)>,
    pub(super) next_timer: u64,
    /// Whether it is told that the chain stands still.
    pub(super) stands: bool,
    /// Whether the chain is parked: its engine is made anew for whatever comes next.
    pub(super) rests: bool,
    /// When it looks whether a height is due.
    pub(super) wakes_at: Option<Duration>,
}

/// Why a city did not start.
#[derive(Debug)]
pub(super) enum NoStart {
    /// The disk refused.
    Disk(String),
    /// Anything else, which is a failure.
    Other(String),
}

impl City {
    /// Whether it never keeps the chain.
    pub(super) const fn is_stranger(&self) -> bool {
        self.power == 0 && !self.is_spare
    }

    pub(super) const fn is_honest(&self) -> bool {
        self.byzantine.is_none()
    }

    pub(super) fn now_ms(&self, now: Duration) -> u64 {
        self.clock.now_ms(now)
    }

    /// Starts from what the disk holds.
    pub(super) fn start(&mut self, genesis: &Genesis, now: Duration) -> Result<(), NoStart> {
        let disk = |error: &dyn std::fmt::Debug| NoStart::Disk(format!("{error:?}"));
        let other = |error: &dyn std::fmt::Debug| NoStart::Other(format!("{error:?}"));
        let segments = SegmentOptions {
            segment_bytes: self.segment_bytes,
        };
        let (log, opened) = self
            .disk
            .open_log_with(segments)
            .map_err(|error| disk(&error))?;
        if let Some(damage) = opened.damage {
            return Err(other(&damage));
        }
        let log: Arc<dyn Log> = Arc::new(log);
        let mut entries = read(&*log).map_err(|error| other(&error))?;
        if entries.is_empty() {
            let (first, lost) = (genesis.to_entry(), Entry::lost_log());
            let both = [first.as_slice(), lost.as_slice()];
            let payloads = if self.lost_log { &both[..] } else { &both[..1] };
            let chain = genesis.record.chain_id.get();
            let end = log.append(chain, payloads).map_err(|error| disk(&error))?;
            log.sync(end).map_err(|error| disk(&error))?;
            entries = read(&*log).map_err(|error| other(&error))?;
        }
        let tables: Arc<dyn Tables> = Arc::new(self.disk.open_tables());
        let (on, history) = (Arc::clone(&tables), History::All);
        let recovery = Recovery::begin(genesis, self.config(), on, history, CACHE_BYTES)
            .map_err(|error| other(&error))?;
        self.recover(recovery, log, tables, entries, now)
            .map_err(NoStart::Other)
    }

    /// Opens a parked chain again, from its rows and what the log has of it.
    pub(super) fn open_again(&mut self, genesis: &Genesis, now: Duration) -> Result<(), String> {
        let Some(living) = self.living.take() else {
            return Ok(());
        };
        let Living { log, tables, .. } = living;
        let entries = read(&*log)?;
        let (on, history) = (Arc::clone(&tables), History::All);
        let recovery =
            Recovery::begin(genesis, self.config(), on, history, CACHE_BYTES).map_err(in_words)?;
        self.recover(recovery, log, tables, entries, now)
    }

    /// Starts anew in the process that lives: what its engine held in memory is gone, and nothing else.
    pub(super) fn start_again(&mut self, now: Duration) -> Result<(), NoStart> {
        let Some(living) = self.living.take() else {
            return Ok(());
        };
        self.life += 1;
        let Living {
            engine,
            log,
            tables,
            inbox,
            ..
        } = living;
        // As `node` does: what is decided in the log is shown from now on.
        log.sync(log.end())
            .map_err(|error| NoStart::Disk(in_words(error)))?;
        let entries = read(&*log).map_err(NoStart::Other)?;
        let (reader, pool) = (engine.reader(), Arc::clone(engine.pool()));
        let recovery = Recovery::again(self.config(), reader, pool)
            .map_err(|error| NoStart::Other(in_words(error)))?;
        self.recover(recovery, log, tables, entries, now)
            .map_err(NoStart::Other)?;
        if let Some(living) = &mut self.living {
            living.inbox = inbox;
        }
        Ok(())
    }

    fn config(&self) -> Config {
        Config {
            key: Arc::clone(&self.key),
            timeouts: Timeouts::default(),
            hub: self.hub.clone(),
            meter: None,
        }
    }

    fn recover(
        &mut self,
        mut recovery: Recovery,
        log: Arc<dyn Log>,
        tables: Arc<dyn Tables>,
        entries: Vec<Entry>,
        now: Duration,
    ) -> Result<(), String> {
        let other = |error: &dyn std::fmt::Debug| format!("{error:?}");
        for entry in entries {
            recovery.feed(entry).map_err(|error| other(&error))?;
        }
        let now_ms = self.now_ms(now);
        let (engine, first) = recovery.finish(now_ms).map_err(|error| other(&error))?;
        self.living = Some(Living {
            engine,
            log,
            tables,
            work: first.into(),
            inbox: VecDeque::new(),
            is_syncing: false,
            timers: BTreeMap::new(),
            next_timer: 0,
            stands: false,
            rests: false,
            wakes_at: None,
        });
        Ok(())
    }

    /// The latest block that it has now.
    pub(super) fn tip(&self) -> Option<(u64, B256)> {
        self.living.as_ref()?.tip()
    }
}

impl Living {
    pub(super) fn tip(&self) -> Option<(u64, B256)> {
        let moment = self.engine.reader().moment().ok()?;
        let head = moment.head();
        Some((head.header.number, head.hash))
    }
}

fn read(log: &dyn Log) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut bad = None;
    log.replay(Position::default(), &mut |entry| {
        match Entry::decode(&entry.payload) {
            Ok(entry) => entries.push(entry),
            Err(error) => bad = Some(format!("{error:?}")),
        }
        bad.is_none()
    })
    .map_err(in_words)?;
    bad.map_or(Ok(entries), Err)
}

/// A failure of the simulation is told, not handled.
fn in_words(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
