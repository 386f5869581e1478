//! The engine of a chain on a simulated disk, with its power cut before every effect.
//!
//! What a city showed before the cut has to be there after it: same blocks, same receipts, roots computed anew. The seed
//! of a failing cut is printed with the place.

use std::sync::Arc;

use alloy_primitives::B256;
use chain::{Config, Effect, Engine, Entry, Genesis, Recovery};
use consensus::Timeouts;
use state::History;
use store::simulated::Disk;
use store::{Log, Position, Tables};
use testkit::simulation::transfer;
use types::{ChainId, NetworkId, NodeKey, Record, ValidatorSet};

const CHAIN: ChainId = ChainId::DEVELOPMENT;
/// Table bytes of rows that are not counted.
const TIP: u8 = 0x40;
const PREIMAGE: u8 = 0x47;
/// Heights that a run without a cut makes.
const HEIGHTS: u64 = 3;

/// A city that was started from a disk.
struct City {
    engine: Engine,
    log: Arc<dyn Log>,
    tables: Arc<dyn Tables>,
}

fn key() -> Arc<NodeKey> {
    Arc::new(NodeKey::from_bytes(&[7; 32]).unwrap())
}

fn genesis() -> Genesis {
    Genesis {
        record: Record::development(CHAIN, 1_700_000_000_000),
        validators: ValidatorSet::single(key().address()),
        network_id: NetworkId(B256::repeat_byte(3)),
        creator: None,
        registry: None,
    }
}

/// Starts the chain from what the disk holds.
fn start(disk: &Disk, now_ms: u64) -> (City, Vec<Effect>) {
    let (log, opened) = disk.open_log().unwrap();
    assert_eq!(opened.damage, None);
    let log: Arc<dyn Log> = Arc::new(log);
    let tables: Arc<dyn Tables> = Arc::new(disk.open_tables());
    let mut entries = Vec::new();
    log.replay(Position::default(), &mut |entry| {
        entries.push(Entry::decode(&entry.payload).unwrap());
        true
    })
    .unwrap();
    if entries.is_empty() {
        let end = log.append(CHAIN.get(), &[&genesis().to_entry()]).unwrap();
        log.sync(end).unwrap();
    }
    let config = Config {
        key: key(),
        timeouts: Timeouts::default(),
        hub: None,
        meter: None,
    };
    let mut recovery = Recovery::begin(
        &genesis(),
        config,
        Arc::clone(&tables),
        History::All,
        1 << 20,
    )
    .unwrap();
    for entry in entries {
        recovery.feed(entry).unwrap();
    }
    let (engine, first) = recovery.finish(now_ms).unwrap();
    (
        City {
            engine,
            log,
            tables,
        },
        first,
    )
}

/// What a city showed: hash and number of receipts by height.
type Shown = Vec<(u64, B256, usize)>;

impl City {
    /// Performs effects until `left` is used up; false when the power is to be cut now.
    fn perform(&mut self, effects: Vec<Effect>, left: &mut u64, shown: &mut Shown) -> bool {
        for effect in effects {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            match effect {
                Effect::Append(payload) => {
                    self.log.append(CHAIN.get(), &[&payload]).unwrap();
                }
                Effect::Sync => self.log.sync(self.log.end()).unwrap(),
                Effect::Commit(commit) => {
                    self.tables.commit(commit.batch).unwrap();
                    let block = &commit.decided.block;
                    shown.push((
                        block.header.number,
                        block.hash,
                        commit.decided.receipts.len(),
                    ));
                    let next = self.engine.committed(commit.decided, 0).unwrap();
                    assert!(next.is_empty(), "nothing waits: {next:?}");
                }
                _ => {}
            }
        }
        true
    }

    /// Makes blocks of one transaction each up to `HEIGHTS`.
    fn work(&mut self, first: Vec<Effect>, left: &mut u64, shown: &mut Shown) -> bool {
        if !self.perform(first, left, shown) {
            return false;
        }
        let sender = NodeKey::from_bytes(&[8; 32]).unwrap();
        loop {
            let head = self.engine.reader().moment().unwrap().head().header.number;
            if head >= HEIGHTS {
                return true;
            }
            let now_ms = 1_700_000_001_000 + head * 7;
            let admitted = self.engine.admit(vec![transfer(&sender, head)], now_ms);
            for entry in admitted.entries {
                self.log.append(CHAIN.get(), &[&entry]).unwrap();
            }
            let effects = self.engine.wake(now_ms).unwrap();
            if !self.perform(effects, left, shown) {
                return false;
            }
        }
    }
}

fn check(city: &City, shown: &Shown, place: &str) {
    let reader = city.engine.reader();
    for (number, hash, receipts) in shown {
        let moment = reader.moment().unwrap();
        let block = moment.block(*number).unwrap();
        let block =
            block.unwrap_or_else(|| panic!("{place}: block {number} was shown and is gone"));
        assert_eq!(block.hash, *hash, "{place}: block {number} is another one");
        assert_eq!(
            moment.receipts(*number).unwrap().unwrap().len(),
            *receipts,
            "{place}"
        );
    }
    node::verify::verify(reader, &genesis().validators)
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    let said = reader.moment().unwrap().size();
    assert_eq!(said, bytes(&*city.tables), "{place}: the chain's size");
}

/// Bytes of the chain's rows but of its tip and of the preimages that it began with.
fn bytes(tables: &dyn Tables) -> u64 {
    let (from, to) = (CHAIN.get().to_be_bytes(), (CHAIN.get() + 1).to_be_bytes());
    let snapshot = tables.snapshot();
    let rows = snapshot.range(&from, &to).map(Result::unwrap);
    let counted = rows.filter(|(key, _)| !matches!(key[8], TIP | PREIMAGE));
    let bytes: usize = counted.map(|(key, row)| key.len() + row.len()).sum();
    u64::try_from(bytes).unwrap()
}

/// Runs with a cut before effect `cut` of the first life, and then to the end. Returns whether there was such an effect.
fn run(cut: u64, seed: u64) -> bool {
    let place = format!("cut before effect {cut}, seed {seed}");
    let disk = Disk::new(seed);
    let mut shown = Shown::new();
    let (mut city, first) = start(&disk, 1_700_000_000_500);
    let mut left = cut;
    let was_cut = !city.work(first, &mut left, &mut shown);
    drop(city);
    disk.power_cut(seed);
    let (mut city, first) = start(&disk, 1_700_000_002_000);
    check(&city, &shown, &place);
    assert!(
        city.work(first, &mut u64::MAX.clone(), &mut shown),
        "{place}: it stands still"
    );
    check(&city, &shown, &place);
    was_cut
}

#[test]
fn what_was_shown_survives_a_cut_before_every_effect() {
    let mut cuts = 0;
    for cut in 0.. {
        let mut was_cut = false;
        for seed in 0..8 {
            was_cut |= run(cut, cut * 100 + seed);
        }
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    assert!(
        cuts >= HEIGHTS * 5,
        "only {cuts} effects: body, vote, decision, sync and commit of each height"
    );
}
