//! The engine of a chain that was given so many bytes: what happens when they are used up, and when there are more.

use std::sync::Arc;

use alloy_primitives::B256;
use chain::{Config, Effect, Engine, Genesis, PoolError, Quota, Recovery};
use consensus::Timeouts;
use state::History;
use store::Tables;
use store::simulated::Disk;
use testkit::simulation::transfer;
use types::{ChainId, NetworkId, NodeKey, Record, ValidatorSet};

const NOW_MS: u64 = 1_700_000_001_000;

fn key() -> Arc<NodeKey> {
    Arc::new(NodeKey::from_bytes(&[7; 32]).unwrap())
}

/// A city alone, on these tables.
fn engine(tables: &Arc<dyn Tables>) -> Engine {
    let genesis = Genesis {
        record: Record::development(ChainId::DEVELOPMENT, 1_700_000_000_000),
        validators: ValidatorSet::single(key().address()),
        network_id: NetworkId(B256::repeat_byte(3)),
        creator: None,
        registry: None,
    };
    let config = Config {
        key: key(),
        timeouts: Timeouts::default(),
        hub: None,
        meter: None,
    };
    let recovery = Recovery::begin(&genesis, config, Arc::clone(tables), History::All, 1 << 20);
    recovery.unwrap().finish(NOW_MS).unwrap().0
}

fn size(engine: &Engine) -> u64 {
    engine.reader().moment().unwrap().size()
}

fn give(engine: &mut Engine, bytes: u64) {
    engine.set_quota(Some(Quota {
        bytes,
        ..Quota::default()
    }));
}

/// Gives the transaction with this nonce to the chain.
fn admit(engine: &mut Engine, nonce: u64) -> Result<B256, PoolError> {
    let sender = NodeKey::from_bytes(&[8; 32]).unwrap();
    let mut admitted = engine.admit(vec![transfer(&sender, nonce)], NOW_MS);
    admitted.verdicts.remove(0)
}

/// Makes what blocks are due; their number.
fn blocks(engine: &mut Engine, tables: &dyn Tables) -> u64 {
    let before = engine.reader().moment().unwrap().head().header.number;
    let mut effects = engine.wake(NOW_MS).unwrap();
    while !effects.is_empty() {
        let mut next = Vec::new();
        for effect in effects {
            if let Effect::Commit(commit) = effect {
                tables.commit(commit.batch).unwrap();
                next.extend(engine.committed(commit.decided, NOW_MS).unwrap());
            }
        }
        effects = next;
    }
    engine.reader().moment().unwrap().head().header.number - before
}

#[test]
fn a_chain_that_used_up_its_bytes_takes_nothing_until_it_is_given_more() {
    let tables: Arc<dyn Tables> = Arc::new(Disk::new(1).open_tables());
    let mut it = engine(&tables);
    let given = size(&it) + 1;
    give(&mut it, given);
    // What is left is room for a block, whatever it takes.
    admit(&mut it, 0).unwrap();
    assert_eq!(blocks(&mut it, &*tables), 1);
    let held = size(&it);
    assert!(held > given);
    let refused = admit(&mut it, 1).unwrap_err();
    assert!(
        matches!(refused, PoolError::UsedUp { held: by, given: of } if (by, of) == (held, given)),
        "{refused}"
    );
    assert!(refused.is_retryable());

    // An engine that is made anew has the size from its rows, and is told its quota.
    drop(it);
    let mut it = engine(&tables);
    assert_eq!(size(&it), held);
    give(&mut it, given);
    admit(&mut it, 1).unwrap_err();

    give(&mut it, held + 1);
    admit(&mut it, 1).unwrap();
    assert_eq!(blocks(&mut it, &*tables), 1);
    admit(&mut it, 2).unwrap_err();
    // What the city lends is no part of what was given.
    it.pool().write().lend(true);
    admit(&mut it, 2).unwrap();
    assert_eq!(blocks(&mut it, &*tables), 1);
    it.pool().write().lend(false);
    admit(&mut it, 3).unwrap_err();
    // Zero is no bound.
    give(&mut it, 0);
    admit(&mut it, 3).unwrap();
    assert_eq!(blocks(&mut it, &*tables), 1);
}

#[test]
fn what_waits_when_bytes_are_used_up_waits_on_and_is_not_lost() {
    let tables: Arc<dyn Tables> = Arc::new(Disk::new(1).open_tables());
    let mut it = engine(&tables);
    admit(&mut it, 0).unwrap();
    let held = size(&it);
    give(&mut it, held);
    assert_eq!(it.due_ms(), None);
    assert_eq!(blocks(&mut it, &*tables), 0);
    assert_eq!(it.pool().read().len(), 1);
    give(&mut it, held + 1);
    assert!(it.due_ms().is_some());
    assert_eq!(blocks(&mut it, &*tables), 1);
}
