//! S1: blocks of a thousand changes among a million accounts, stored by the tables of ours and by a rival engine.
//!
//! Both are driven as a chain drives them: the state is prepared from what they hold, and its rows are committed together
//! with the block's own. Each has its own state and folder, is given the same blocks, and has to find the same roots and
//! answer the same rows. No log is written: it is the same for both.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use state::{AccountChange, Changes, History, Info, State, View};
use store::{Batch, LsmOptions, LsmTables, Tables};
use tempfile::TempDir;
use types::ChainId;

use crate::program::own_cpu;
use crate::report::{Measured, Report};
use crate::rival::{self, RedbTables};
use crate::rounds::Rounds;
use crate::{Failed, Programs, machine};

const ACCOUNTS: u64 = 1_000_000;
const CHANGES: usize = 1_000;
const TRANSACTIONS: u64 = 1_000;
const BLOCKS: usize = 80;
const ROUNDS: usize = 5;
/// As a city has it.
const BRANCH_CACHE_BYTES: usize = 64 << 20;
/// A city keeps more; here blocks are forgotten from the second round on.
const HISTORY: History = History::Blocks(100);
/// One account of so many is read after a round.
const READ_ONE_OF: usize = 20;
const CHAIN: ChainId = ChainId::DEVELOPMENT;
/// The account's rows: see `state`.
const ACCOUNT_TABLE: u8 = 0x10;
/// Body, receipts, transaction: see `chain`.
const BODY: u8 = 0x43;
const RECEIPTS: u8 = 0x44;
const TRANSACTION: u8 = 0x45;
/// What works on in the background after a flush has ended when so much time needs no more than a tenth of it.
const LOOK: Duration = Duration::from_millis(50);
const MAX_LOOKS: usize = 1_200;

type Open = fn(&Path) -> Arc<dyn Tables>;

/// The same accounts and blocks in one engine.
struct Side {
    open: Open,
    folder: TempDir,
    state: State,
    head: u64,
    root: B256,
    /// Keys of the accounts that are read, in no order.
    asked: Vec<Vec<u8>>,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    block_ms: Rounds,
    commit_ms: Rounds,
    longest_ms: Rounds,
    cpu_ms: Rounds,
    written: Rounds,
    /// As the kernel counts pages that became dirty.
    dirtied: Rounds,
    size_mib: Rounds,
    reads: Rounds,
    open_ms: Rounds,
    given_mib: Rounds,
    load: String,
}

/// What a block brings.
struct Block {
    changes: Changes,
    rows: Batch,
}

/// Bytes since the process began.
#[derive(Clone, Copy)]
struct Io {
    handed: u64,
    dirtied: u64,
}

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let mut source = Source { seed: 1 };
    let all = source.accounts();
    let [mut ours, mut theirs]: [Side; 2] = [open_ours as Open, open_theirs as Open].map(|open| {
        Side::new(open, &all).unwrap_or_else(|error| panic!("no folder to write to: {error}"))
    });
    drop(all);
    for round in 0..ROUNDS {
        let mut answers = Vec::new();
        let first = ours.head + 1;
        let mut after = Source { seed: source.seed };
        for side in [&mut ours, &mut theirs] {
            after = Source { seed: source.seed };
            let blocks = (first..)
                .take(BLOCKS)
                .map(|number| after.block(number))
                .collect();
            side.blocks(blocks);
            answers.push(side.read());
        }
        source = after;
        assert_eq!(ours.root, theirs.root, "both know the same accounts");
        assert_eq!(answers[0], answers[1], "both answer the same rows");
        eprintln!(
            "S1: round {} of {ROUNDS}: ours {}, theirs {}",
            round + 1,
            ours.figures.block_ms,
            theirs.figures.block_ms
        );
    }
    let commit = machine::commit(&programs.repository, &["crates/state", "crates/store"]);
    add(report, &commit, &ours.figures, &theirs.figures);
    Ok(())
}

fn open_ours(folder: &Path) -> Arc<dyn Tables> {
    Arc::new(LsmTables::open(folder, LsmOptions::default()).expect("a new folder can be used"))
}

fn open_theirs(folder: &Path) -> Arc<dyn Tables> {
    Arc::new(RedbTables::open(folder, LsmOptions::default()).expect("a new folder can be used"))
}

/// What a figure is, and what it is to reach.
struct Aim {
    id: &'static str,
    what: &'static str,
    target: &'static str,
    unit: &'static str,
    of: fn(&Figures) -> &Rounds,
    met: fn(f64, Option<f64>) -> bool,
    not_done: &'static str,
}

const AIMS: [Aim; 8] = [
    Aim {
        id: "S1",
        what: "1 M accounts, blocks of 1,000 random changes and the rows of 1,000 transactions: a block, from its view to its commit, flushes included",
        target: "≤ half of the rival",
        unit: "ms",
        of: |figures| &figures.block_ms,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio <= 0.5),
        not_done: "no execution and no log. Bodies and receipts are random bytes, 100–500 a transaction; blocks older than 100 are \
                   forgotten; branches have 64 MiB, the engine 256 MiB of cache; both make durable what is committed every 64 MiB and \
                   at a round's end. Both found the same roots and answered the same rows in every round",
    },
    Aim {
        id: "S1-commit",
        what: "as S1: of a block, what waits for the engine's commits and the last flush",
        target: "≤ half of the rival",
        unit: "ms",
        of: |figures| &figures.commit_ms,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio <= 0.5),
        not_done: "ours writes on two more threads, the rival within the commit",
    },
    Aim {
        id: "S1-longest",
        what: "as S1: the longest commit of a round",
        target: "≤ half of the rival",
        unit: "ms",
        of: |figures| &figures.longest_ms,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio <= 0.5),
        not_done: "the last flush is none of them",
    },
    Aim {
        id: "S1-cpu",
        what: "as S1: processor time of all threads a block, until nothing works on in the background",
        target: "≤ the rival",
        unit: "ms",
        of: |figures| &figures.cpu_ms,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio <= 1.0),
        not_done: "preparing the state is in it, the same for both but for its reads",
    },
    Aim {
        id: "S1-written",
        what: "as S1: bytes handed to the system to be written, a byte of keys and values committed",
        target: "≤ half of the rival",
        unit: "bytes",
        of: |figures| &figures.written,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio <= 0.5),
        not_done: "`wchar` of /proc/self/io around a round with its flush and what follows in the background",
    },
    Aim {
        id: "S1-size",
        what: "as S1: on the disk after a round, closed",
        target: "≤ the rival",
        unit: "MiB",
        of: |figures| &figures.size_mib,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio <= 1.0),
        not_done: "blocks that the file system gave; it grows from round to round, so that the median is that after the third",
    },
    Aim {
        id: "S1-reads",
        what: "as S1: rows of accounts read in no order by one thread after a round, the second time",
        target: "≥ half of the rival",
        unit: "rows/s",
        of: |figures| &figures.reads,
        met: |_, ratio| ratio.is_some_and(|ratio| ratio >= 0.5),
        not_done: "50,000 of 1 M accounts, from one snapshot; what the engine's cache does not hold is in the system's",
    },
    Aim {
        id: "S1-open",
        what: "as S1: opened after a clean end",
        target: "≤ 100 ms",
        unit: "ms",
        of: |figures| &figures.open_ms,
        met: |ours, _| ours <= 100.0,
        not_done: "a crash's repair is not in the rival's figure; ours has none",
    },
];

fn add(report: &mut Report, commit: &str, ours: &Figures, theirs: &Figures) {
    for aim in AIMS {
        let mut not_done = aim.not_done.to_owned();
        match aim.id {
            "S1" => {
                not_done = format!(
                    "{not_done}; {:.2} MiB of keys and values a block. The million accounts before: ours {}; the rival {}",
                    ours.given_mib.median(),
                    ours.load,
                    theirs.load
                );
            }
            "S1-written" => {
                not_done = format!(
                    "{not_done}. `write_bytes`, which counts a whole folio of the page cache when a part of it is overwritten: ours \
                     {:.2}, the rival {:.2}",
                    ours.dirtied.median(),
                    theirs.dirtied.median()
                );
            }
            "S1-size" => {
                not_done = format!(
                    "{not_done}. All rounds: ours {}; the rival {}",
                    ours.size_mib, theirs.size_mib
                );
            }
            _ => {}
        }
        let measured = Measured {
            id: aim.id,
            what: aim.what,
            target: aim.target,
            unit: aim.unit,
            ours: (aim.of)(ours),
            peer: Some((rival::NAME, (aim.of)(theirs))),
            commit,
            not_done,
        };
        report.add(measured, aim.met);
    }
}

impl Side {
    /// A million accounts, flushed.
    fn new(open: Open, all: &Changes) -> std::io::Result<Self> {
        let mut side = Self {
            open,
            folder: tempfile::tempdir()?,
            state: State::new(CHAIN, HISTORY, BRANCH_CACHE_BYTES),
            head: 0,
            root: B256::ZERO,
            asked: Vec::new(),
            figures: Figures::default(),
        };
        let prepared = side
            .state
            .prepare(&View::empty(), 0, all)
            .expect("nothing is read");
        let mut batch = Batch::default();
        side.state.write(&prepared, &mut batch);
        side.root = prepared.root();
        let accounts = batch.writes.iter().map(|(key, _)| key);
        let accounts = accounts.filter(|key| key[8] == ACCOUNT_TABLE);
        side.asked = accounts.step_by(READ_ONE_OF).cloned().collect();
        Source { seed: 7 }.shuffle(&mut side.asked);
        let given = bytes(&batch);
        let (io, cpu, start) = (Io::now(), own_cpu(), Instant::now());
        let tables = (side.open)(side.folder.path());
        tables.commit(batch).expect("the disk takes it");
        tables.flush().expect("the disk takes it");
        let took = start.elapsed().as_secs_f64();
        settle();
        let written = io.since();
        side.figures.load = format!(
            "{took:.1} s, {:.1} s of processor time, {:.2} bytes written a byte",
            (own_cpu() - cpu).as_secs_f64(),
            ratio(written.handed, given)
        );
        drop(tables);
        side.state.adopt(prepared);
        Ok(side)
    }

    /// A round of blocks.
    fn blocks(&mut self, blocks: Vec<Block>) {
        let tables = (self.open)(self.folder.path());
        settle();
        let mut given = 0;
        let [mut commits, mut longest] = [Duration::ZERO; 2];
        let (io, cpu, start) = (Io::now(), own_cpu(), Instant::now());
        for block in blocks {
            let view = self
                .state
                .view(tables.snapshot(), self.head, self.head)
                .expect("the latest block can be viewed");
            let prepared = self
                .state
                .prepare(&view, self.head + 1, &block.changes)
                .expect("the tables can be read");
            drop(view);
            let mut batch = block.rows;
            self.state.write(&prepared, &mut batch);
            given += bytes(&batch);
            let commit = Instant::now();
            tables.commit(batch).expect("the disk takes it");
            let commit = commit.elapsed();
            commits += commit;
            longest = longest.max(commit);
            self.root = prepared.root();
            self.state.adopt(prepared);
            self.head += 1;
        }
        let flush = Instant::now();
        tables.flush().expect("the disk takes it");
        commits += flush.elapsed();
        let took = start.elapsed();
        settle();
        let (cpu, written) = (own_cpu() - cpu, io.since());
        drop(tables);
        #[expect(clippy::cast_precision_loss, reason = "a count of blocks")]
        let each = |time: Duration| time.as_secs_f64() * 1e3 / BLOCKS as f64;
        let figures = &mut self.figures;
        figures.block_ms.push(each(took));
        figures.commit_ms.push(each(commits));
        figures.longest_ms.push(longest.as_secs_f64() * 1e3);
        figures.cpu_ms.push(each(cpu));
        figures.written.push(ratio(written.handed, given));
        figures.dirtied.push(ratio(written.dirtied, given));
        figures.given_mib.push(mib(given / BLOCKS as u64));
        figures.size_mib.push(mib(on_disk(self.folder.path())));
    }

    /// Opens, reads, and tells a sum of what was read.
    fn read(&mut self) -> u64 {
        let start = Instant::now();
        let tables = (self.open)(self.folder.path());
        let opened = start.elapsed();
        settle();
        let mut sum = 0_u64;
        let mut took = Duration::ZERO;
        for _ in 0..2 {
            let start = Instant::now();
            let snapshot = tables.snapshot();
            for key in &self.asked {
                let row = snapshot.get(key).expect("the tables can be read");
                let row = row.expect("an account that was written");
                for byte in row.iter() {
                    sum = sum.rotate_left(5) ^ u64::from(*byte);
                }
            }
            took = start.elapsed();
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of reads")]
        let reads = self.asked.len() as f64 / took.as_secs_f64();
        self.figures.reads.push(reads);
        self.figures.open_ms.push(opened.as_secs_f64() * 1e3);
        sum
    }
}

/// The same changes in each run: a linear congruential generator.
struct Source {
    seed: u64,
}

impl Source {
    fn next(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 20
    }

    fn accounts(&mut self) -> Changes {
        let mut all = Changes::default();
        for n in 0..ACCOUNTS {
            let change = self.change();
            all.accounts.insert(address(n), change);
        }
        all
    }

    fn change(&mut self) -> AccountChange {
        let info = Info {
            nonce: 1,
            balance: U256::from(self.next()) << 30,
            ..Info::default()
        };
        AccountChange {
            info: Some(info),
            ..AccountChange::default()
        }
    }

    fn block(&mut self, number: u64) -> Block {
        let mut changes = Changes::default();
        while changes.accounts.len() < CHANGES {
            let n = self.next() % ACCOUNTS;
            let change = self.change();
            changes.accounts.insert(address(n), change);
        }
        let mut rows = Batch::default();
        for table in [BODY, RECEIPTS] {
            let mut row = Vec::new();
            for _ in 0..TRANSACTIONS {
                let length = 100 + self.next() % 401;
                self.fill(&mut row, length);
            }
            rows.put(key(table, &number.to_be_bytes()), row);
        }
        for index in 0..TRANSACTIONS {
            let mut hash = Vec::new();
            self.fill(&mut hash, 32);
            let place = [number.to_be_bytes(), index.to_be_bytes()].concat();
            rows.put(key(TRANSACTION, &hash), place);
        }
        Block { changes, rows }
    }

    fn fill(&mut self, row: &mut Vec<u8>, bytes: u64) {
        let mut left = usize::try_from(bytes).expect("a few hundred");
        while left > 0 {
            let some = self.next().to_be_bytes();
            let some = &some[4..8.min(4 + left)];
            row.extend_from_slice(some);
            left -= some.len();
        }
    }

    fn shuffle(&mut self, keys: &mut [Vec<u8>]) {
        for at in (1..keys.len()).rev() {
            let other = self.next() % (at as u64 + 1);
            keys.swap(at, usize::try_from(other).expect("below a length"));
        }
    }
}

fn address(n: u64) -> Address {
    Address::left_padding_from(&n.to_be_bytes())
}

fn key(table: u8, rest: &[u8]) -> Vec<u8> {
    [&CHAIN.get().to_be_bytes()[..], &[table], rest].concat()
}

/// Bytes of keys and values.
fn bytes(batch: &Batch) -> u64 {
    let row = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
        (key.len() + value.as_ref().map_or(0, Vec::len)) as u64
    };
    batch.writes.iter().map(row).sum()
}

/// Waits until the background is done with what a flush left it, a minute at most.
fn settle() {
    for _ in 0..MAX_LOOKS {
        let cpu = own_cpu();
        thread::sleep(LOOK);
        if own_cpu() - cpu < LOOK / 10 {
            return;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of bytes")]
fn ratio(bytes: u64, given: u64) -> f64 {
    bytes as f64 / given as f64
}

fn mib(bytes: u64) -> f64 {
    ratio(bytes, 1 << 20)
}

/// Bytes that the file system gave to all files under `folder`.
fn on_disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

impl Io {
    fn now() -> Self {
        let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|number| number.trim().parse().ok())
                .unwrap_or(0)
        };
        Self {
            handed: field("wchar:"),
            dirtied: field("write_bytes:"),
        }
    }

    fn since(self) -> Self {
        let now = Self::now();
        Self {
            handed: now.handed - self.handed,
            dirtied: now.dirtied - self.dirtied,
        }
    }
}
