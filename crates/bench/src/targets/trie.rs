//! P6: the state root after some of a million accounts changed, beside the crate `eth_trie`.
//!
//! Both hold the same accounts, are given the same changes, and have to find the same root: a figure of a wrong root is
//! worth nothing. Ours runs over the simulated tables, the peer over its map in memory, so neither waits for a disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Encodable;
use eth_trie::{EthTrie, MemoryDB, Trie};
use state::{AccountChange, Changes, EMPTY_CODE_HASH, EMPTY_ROOT, History, Info, State, View};
use store::simulated::{Disk, SimulatedTables};
use store::tables::{Batch, Tables};
use types::ChainId;

use crate::program::own_cpu;
use crate::report::{Measured, Report};
use crate::rounds::Rounds;
use crate::{Failed, Programs, machine};

const ACCOUNTS: u64 = 1_000_000;
/// Everything of a million accounts fits.
const CACHE_BYTES: usize = 2 << 30;
const ROUNDS: usize = 21;
const ROUNDS_OF_ONE: usize = 101;
const ROUNDS_COLD: usize = 5;
const PEER: &str = "eth_trie 0.6";

/// The same accounts, ours and the peer's.
struct Both {
    /// Of a linear congruential generator: the same accounts in each run.
    seed: u64,
    head: u64,
    /// Processor time of all warm rounds since it was last taken, ours and the peer's.
    cpu: [Duration; 2],
    tables: SimulatedTables,
    state: State,
    peer: EthTrie<MemoryDB>,
}

pub(crate) fn run(programs: &Programs, report: &mut Report) -> Result<(), Failed> {
    let commit = machine::commit(&programs.repository, &["crates/state", "crates/store"]);
    let mut both = Both::new();
    let (ours, theirs) = both.warm(1_000, ROUNDS);
    let measured = Measured {
        id: "P6",
        what: "state root of 1 M accounts, nodes cached, 1,000 random accounts changed: a leaf",
        target: "≤ 2.5 µs a leaf on two threads, and ≥ 15 × the peer",
        unit: "µs",
        ours: &ours,
        peer: Some((PEER, &theirs)),
        commit: &commit,
        not_done: format!(
            "computing the root and what is to be stored alone: no execution, no writing, no disk. Ours on two threads, the peer has one and includes \
             putting its nodes into its map. Both found the same root in every round; {}",
            both.cpu_says(1_000 * ROUNDS)
        ),
    };
    report.add(measured, |ours, ratio| {
        ours <= 2.5 && ratio.is_some_and(|ratio| ratio <= 1.0 / 15.0)
    });
    let (ours, theirs) = both.warm(1, ROUNDS_OF_ONE);
    let measured = Measured {
        id: "P6-one",
        what: "state root of 1 M accounts, nodes cached, one account changed",
        target: "≤ 15 µs",
        unit: "µs",
        ours: &ours,
        peer: Some((PEER, &theirs)),
        commit: &commit,
        not_done: format!(
            "as P6; one thread has all the work; {}",
            both.cpu_says(ROUNDS_OF_ONE)
        ),
    };
    report.add(measured, |ours, _| ours <= 15.0);
    for (id, changed, count, most, target) in [
        ("P6-cold", "1,000 accounts", 1_000, 3.0, "≤ 3"),
        ("P6-cold-one", "one account", 1, 6.0, "≤ 6"),
    ] {
        let rows = both.cold(count);
        let what = format!(
            "state root of 1 M accounts, nothing of the trie cached, {changed} changed: rows read from the store a leaf"
        );
        let measured = Measured {
            id,
            what: &what,
            target,
            unit: "rows",
            ours: &rows,
            peer: None,
            commit: &commit,
            not_done:
                "the accounts themselves were read before, as execution does; a count, not a time"
                    .into(),
        };
        report.add(measured, |ours, _| ours <= most);
    }
    Ok(())
}

impl Both {
    fn new() -> Self {
        let mut both = Self {
            seed: 1,
            head: 0,
            cpu: [Duration::ZERO; 2],
            tables: Disk::new(1).open_tables(),
            state: state(),
            peer: EthTrie::new(Arc::new(MemoryDB::new(true))),
        };
        let mut all = Changes::default();
        for n in 0..ACCOUNTS {
            let change = both.change();
            all.accounts.insert(address(n), change);
        }
        both.round(&all, true);
        both
    }

    fn next(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 20
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

    fn changes(&mut self, count: usize) -> Changes {
        let mut changes = Changes::default();
        while changes.accounts.len() < count {
            let n = self.next() % ACCOUNTS;
            let change = self.change();
            changes.accounts.insert(address(n), change);
        }
        changes
    }

    /// Times a leaf in µs, ours and the peer's, in turn.
    fn warm(&mut self, count: usize, rounds: usize) -> (Rounds, Rounds) {
        let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
        self.cpu = [Duration::ZERO; 2];
        for _ in 0..rounds {
            let changes = self.changes(count);
            let [our, their] = self.round(&changes, false);
            #[expect(clippy::cast_precision_loss, reason = "a count of leaves")]
            let each = |seconds: f64| seconds * 1e6 / count as f64;
            ours.push(each(our));
            theirs.push(each(their));
        }
        (ours, theirs)
    }

    /// Mean processor time a leaf since [`Self::warm`] began, in words.
    fn cpu_says(&self, leaves: usize) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a count of leaves")]
        let [ours, theirs] = self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / leaves as f64);
        format!(
            "processor time of all threads a leaf, mean: ours {ours:.2} µs, the peer's {theirs:.2} µs"
        )
    }

    /// One block of changes: seconds that ours and the peer took for its root.
    fn round(&mut self, changes: &Changes, genesis: bool) -> [f64; 2] {
        let (view, number) = if genesis {
            (View::empty(), 0)
        } else {
            (self.view(), self.head + 1)
        };
        // Asking for processor time is a call of the system, and stays outside of what is timed.
        let (cpu, start) = (own_cpu(), Instant::now());
        let prepared = self
            .state
            .prepare(&view, number, changes)
            .expect("simulated tables are read");
        let ours = start.elapsed().as_secs_f64();
        self.cpu[0] += own_cpu().saturating_sub(cpu);
        drop(view);
        let root = prepared.root();
        let mut batch = Batch::default();
        self.state.write(&prepared, &mut batch);
        self.tables
            .commit(batch)
            .expect("simulated tables take every commit");
        self.tables.flush().expect("simulated tables flush");
        self.state.adopt(prepared);
        self.head = number;

        let (cpu, start) = (own_cpu(), Instant::now());
        for (address, change) in &changes.accounts {
            let account = leaf(change);
            self.peer
                .insert(keccak256(address).as_slice(), &account)
                .expect("a map takes everything");
        }
        let peers: B256 = self.peer.root_hash().expect("a map gives everything");
        let theirs = start.elapsed().as_secs_f64();
        self.cpu[1] += own_cpu().saturating_sub(cpu);
        assert_eq!(root, peers, "both know the same accounts");
        [ours, theirs]
    }

    /// Rows read a leaf with a new state, that has nothing cached.
    fn cold(&mut self, count: usize) -> Rounds {
        let mut rows = Rounds::default();
        for _ in 0..ROUNDS_COLD {
            self.state = state();
            let (changes, view) = (self.changes(count), self.view());
            for address in changes.accounts.keys() {
                view.account(*address).expect("simulated tables are read");
            }
            let prepared = self
                .state
                .prepare(&view, self.head + 1, &changes)
                .expect("simulated tables are read");
            #[expect(clippy::cast_precision_loss, reason = "counts of rows and leaves")]
            rows.push(prepared.rows_read() as f64 / count as f64);
        }
        rows
    }

    fn view(&self) -> View {
        self.state
            .view(self.tables.snapshot(), self.head, self.head)
            .expect("the latest block can be viewed")
    }
}

fn state() -> State {
    State::new(ChainId::DEVELOPMENT, History::Blocks(4), CACHE_BYTES)
}

fn address(n: u64) -> Address {
    Address::left_padding_from(&n.to_be_bytes())
}

/// The account as a leaf holds it: RLP of nonce, balance, storage root, code hash.
fn leaf(change: &AccountChange) -> Vec<u8> {
    let info = change.info.expect("these changes set accounts");
    let fields: [&dyn Encodable; 4] = [&info.nonce, &info.balance, &EMPTY_ROOT, &EMPTY_CODE_HASH];
    let mut encoded = Vec::new();
    alloy_rlp::encode_list::<_, dyn Encodable>(&fields, &mut encoded);
    encoded
}
