//! How long a state root takes among a million accounts: `cargo run --release -p state --example trie_speed [accounts]`.
//!
//! Prints medians. Not in the figures: any real store (tables are simulated, so only the number of rows read when
//! nothing is cached says something), durability, execution.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use state::{AccountChange, Changes, History, Info, Prepared, State, View};
use store::simulated::{Disk, SimulatedTables};
use store::tables::{Batch, Snapshot, Tables};
use types::ChainId;

const CACHE_BYTES: usize = 2 << 30;

struct Bench {
    accounts: u64,
    seed: u64,
    head: u64,
    tables: SimulatedTables,
    state: State,
}

fn state(cache_bytes: usize) -> State {
    State::new(ChainId::DEVELOPMENT, History::Blocks(4), cache_bytes)
}

fn address(n: u64) -> Address {
    Address::left_padding_from(&n.to_be_bytes())
}

impl Bench {
    fn next(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 20
    }

    fn changes(&mut self, count: usize) -> Changes {
        let mut changes = Changes::default();
        while changes.accounts.len() < count {
            let n = self.next() % self.accounts;
            changes.accounts.insert(address(n), self.change());
        }
        changes
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

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.tables.snapshot()
    }

    fn view(&self) -> View {
        self.state
            .view(self.snapshot(), self.head, self.head)
            .expect("the latest block can be viewed")
    }

    fn commit(&mut self, number: u64, prepared: Prepared) -> [Duration; 2] {
        let mut batch = Batch::default();
        let (_grown, write) = timed(|| self.state.write(&prepared, &mut batch));
        self.tables
            .commit(batch)
            .expect("simulated tables take every commit");
        self.tables.flush().expect("simulated tables flush");
        let ((), adopt) = timed(|| self.state.adopt(prepared));
        self.head = number;
        [write, adopt]
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = act();
    (result, start.elapsed())
}

/// Median and spread in µs for each of `count`.
fn show(mut times: Vec<Duration>, count: usize) -> String {
    times.sort_unstable();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    format!(
        "{:6.2} ({:.2}-{:.2})",
        each(times[times.len() / 2]),
        each(times[0]),
        each(times[times.len() - 1])
    )
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
#[expect(
    clippy::too_many_lines,
    reason = "a table of measurements, one after another"
)]
fn main() {
    let accounts = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000_000);
    let tables = Disk::new(1).open_tables();
    let mut bench = Bench {
        accounts,
        seed: 1,
        head: 0,
        tables,
        state: state(CACHE_BYTES),
    };
    let mut all = Changes::default();
    for n in 0..accounts {
        let change = bench.change();
        all.accounts.insert(address(n), change);
    }
    let (genesis, took) = timed(|| {
        bench
            .state
            .prepare(&View::empty(), 0, &all)
            .expect("nothing is read")
    });
    println!(
        "{accounts} accounts from nothing: {}",
        show(vec![took], all.accounts.len())
    );
    drop(all);
    bench.commit(0, genesis);

    println!("µs a leaf, median (min-max); all that is needed is cached");
    for (count, rounds) in [(1, 201), (10, 101), (100, 41), (1_000, 21), (10_000, 7)] {
        let [mut prepare, mut write, mut adopt] = [Vec::new(), Vec::new(), Vec::new()];
        let mut read = 0;
        for _ in 0..rounds {
            let (changes, view, number) = (bench.changes(count), bench.view(), bench.head + 1);
            let (prepared, took) = timed(|| {
                bench
                    .state
                    .prepare(&view, number, &changes)
                    .expect("simulated tables are read")
            });
            drop(view);
            read += prepared.rows_read();
            prepare.push(took);
            let [wrote, adopted] = bench.commit(number, prepared);
            write.push(wrote);
            adopt.push(adopted);
        }
        println!(
            "{count:6}: prepare {} | write {} | adopt {} | {read} rows read",
            show(prepare, count),
            show(write, count),
            show(adopt, count),
        );
    }

    println!(
        "no branch cached: rows read a leaf, when the accounts were read before (as execution does) and when not"
    );
    for count in [1, 10, 100, 1_000, 10_000] {
        let mut read = [0, 0];
        for known in [true, false].repeat(5) {
            bench.state = state(CACHE_BYTES);
            let (changes, view, number) = (bench.changes(count), bench.view(), bench.head + 1);
            for address in changes.accounts.keys().filter(|_| known) {
                view.account(*address).expect("simulated tables are read");
            }
            let prepared = bench
                .state
                .prepare(&view, number, &changes)
                .expect("simulated tables are read");
            read[usize::from(!known)] += prepared.rows_read();
        }
        let [known, unknown] = read.map(|read| read as f64 / 5.0 / count as f64);
        println!("{count:6}: {known:.2}, {unknown:.2}");
    }
}
