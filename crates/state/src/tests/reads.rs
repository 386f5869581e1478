//! Candidates, reopening, and how many rows are read.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use store::tables::Batch;

use super::chain::{Chain, Random, address, random_changes};
use crate::{AccountChange, Changes, EMPTY_ROOT, History, Info, StateError, View};

fn transfer(n: u64, balance: u64) -> Changes {
    let info = Info {
        balance: U256::from(balance),
        ..Info::default()
    };
    let change = AccountChange {
        info: Some(info),
        ..AccountChange::default()
    };
    Changes {
        accounts: [(address(n), change)].into(),
        ..Changes::default()
    }
}

fn many(accounts: u64) -> Changes {
    let mut changes = Changes::default();
    for n in 0..accounts {
        changes.accounts.extend(transfer(n, n + 1).accounts);
    }
    changes
}

#[test]
fn candidates_may_be_dropped_and_prepared_again() {
    let mut random = Random(4);
    let mut chain = Chain::new(History::All);
    for _ in 0..200 {
        let changes = random_changes(&mut random);
        let parent = chain.latest();
        let number = chain.head.map_or(0, |head| head + 1);
        let first = chain
            .state
            .prepare(&parent, number, &changes)
            .unwrap()
            .root();
        for _ in 0..2 {
            let other = random_changes(&mut random);
            chain.state.prepare(&parent, number, &other).unwrap();
        }
        let again = chain.state.prepare(&parent, number, &changes).unwrap();
        assert_eq!(again.root(), first);
        let mut batches = [Batch::default(), Batch::default()];
        for batch in &mut batches {
            chain.state.write(&again, batch);
        }
        assert_eq!(batches[0], batches[1]);
        chain.block(&changes);
    }
}

#[test]
fn rows_are_the_same_however_small_the_cache_and_however_often_it_is_lost() {
    let run = |cache_bytes: usize, reopen: bool| {
        let mut random = Random(5);
        let mut chain = Chain::new(History::Blocks(20));
        chain.with_cache(cache_bytes);
        for _ in 0..120 {
            chain.block(&random_changes(&mut random));
            if reopen {
                chain.with_cache(cache_bytes);
            }
        }
        (
            chain.rows(0..=0xff),
            Chain::of_model(&chain.model).rows(0x10..=0x13),
            chain,
        )
    };
    let (rows, fresh, chain) = run(1 << 24, false);
    assert_eq!(run(0, false).0, rows);
    assert_eq!(run(20_000, false).0, rows);
    assert_eq!(run(1 << 24, true).0, rows);
    assert_eq!(chain.rows(0x10..=0x13), fresh);
}

#[test]
fn one_account_reads_its_path_when_cold_and_nothing_when_warm() {
    let mut chain = Chain::new(History::All);
    chain.block(&many(3_000));
    for n in [0, 77, 2_999] {
        chain.reopen();
        let path = chain
            .latest()
            .proof(address(n), &[])
            .unwrap()
            .account_proof
            .len() as u64;
        chain.reopen();
        // The account's own row stands for the leaf.
        assert_eq!(chain.block(&transfer(n, 7)), path);
        assert_eq!(chain.block(&transfer(n, 8)), 0);
    }
}

#[test]
fn a_warm_state_reads_no_branch_for_updates() {
    let mut chain = Chain::new(History::All);
    chain.with_cache(1 << 26);
    chain.block(&many(3_000));
    let mut changes = Changes::default();
    for n in (0..3_000).step_by(5) {
        changes.accounts.extend(transfer(n, 5).accounts);
    }
    assert_eq!(chain.block(&changes), 0);
}

#[test]
fn a_warm_state_takes_batches_of_every_size_and_changes_nothing_of_what_a_candidate_holds() {
    let mut random = Random(6);
    let mut chain = Chain::new(History::Blocks(2));
    chain.with_cache(1 << 26);
    chain.block(&many(3_000));
    for count in [1, 2, 3, 8, 40, 199, 200, 900, 1, 2_000, 5] {
        let mut changes = Changes::default();
        for _ in 0..count {
            // A third is new at first; a third of those that are there is deleted.
            let (n, balance) = (random.below(4_500), random.below(1_000));
            changes.accounts.extend(transfer(n, balance).accounts);
            if balance % 3 == 0 {
                changes
                    .accounts
                    .insert(address(n), AccountChange::default());
            }
        }
        let (parent, number) = (chain.latest(), chain.head.unwrap() + 1);
        let candidate = chain.state.prepare(&parent, number, &changes).unwrap();
        let rows = |chain: &Chain| {
            let mut batch = Batch::default();
            chain.state.write(&candidate, &mut batch);
            batch
        };
        let before = rows(&chain);
        chain.block(&changes);
        assert_eq!(rows(&chain), before);
    }
    let fresh = Chain::of_model(&chain.model);
    assert_eq!(chain.rows(0x10..=0x13), fresh.rows(0x10..=0x13));
}

#[test]
fn a_stale_view_does_not_read_what_is_cached_of_a_later_block() {
    let mut chain = Chain::new(History::All);
    chain.block(&many(300));
    let (old, root) = (chain.latest(), chain.latest().root().unwrap());
    chain.block(&transfer(5, 1_000));
    assert_eq!(
        old.account(address(5)).unwrap().unwrap().balance,
        U256::from(6)
    );
    assert_eq!(old.root().unwrap(), root);
    // What it read must not have entered the cache either.
    assert_eq!(
        chain.latest().account(address(5)).unwrap().unwrap().balance,
        U256::from(1_000)
    );
    let late = chain.state.prepare(&old, 1, &transfer(5, 1_000)).unwrap();
    assert_eq!(late.root(), chain.latest().root().unwrap());
}

#[test]
fn storage_of_an_account_deleted_or_made_again_is_gone() {
    let slots = |values: &[(u64, u64)]| {
        values
            .iter()
            .map(|(s, v)| (U256::from(*s), U256::from(*v)))
            .collect()
    };
    let one = |change: AccountChange| Changes {
        accounts: [(address(1), change)].into(),
        ..Changes::default()
    };
    let info = Some(Info {
        nonce: 1,
        ..Info::default()
    });
    let mut chain = Chain::new(History::All);
    chain.block(&one(AccountChange {
        info,
        wiped: false,
        storage: slots(&[(1, 1), (2, 2), (3, 3), (4, 4)]),
    }));
    // Made again in the same block with one old value, one new value and one new slot.
    chain.block(&one(AccountChange {
        info,
        wiped: true,
        storage: slots(&[(1, 1), (2, 9), (7, 7)]),
    }));
    let view = chain.latest();
    let values = [1, 2, 3, 4, 7].map(|slot| view.storage(address(1), U256::from(slot)).unwrap());
    assert_eq!(values, [1, 9, 0, 0, 7].map(U256::from));
    chain.block(&one(AccountChange {
        info,
        wiped: true,
        storage: slots(&[]),
    }));
    assert_eq!(
        chain
            .latest()
            .account(address(1))
            .unwrap()
            .unwrap()
            .storage_root,
        EMPTY_ROOT
    );
    chain.block(&one(AccountChange {
        info,
        wiped: false,
        storage: slots(&[(1, 5), (2, 6)]),
    }));
    chain.block(&one(AccountChange {
        info: None,
        wiped: false,
        storage: slots(&[(3, 3)]),
    }));
    assert_eq!(chain.latest().root().unwrap(), EMPTY_ROOT);
    assert!(chain.rows(0x10..=0x13).is_empty());
    assert_eq!(
        chain.view(3).storage(address(1), U256::from(2)).unwrap(),
        U256::from(6)
    );
    assert_eq!(
        chain.view(0).recomputed_root().unwrap(),
        chain.view(0).root().unwrap()
    );
}

#[test]
fn code_is_found_by_its_hash() {
    let code = Bytes::from_static(&[0x60, 0x00]);
    let hash = keccak256(&code);
    let mut chain = Chain::new(History::All);
    let codes = [(hash, code.clone())].into();
    chain.block(&Changes {
        codes,
        ..transfer(0, 1)
    });
    assert_eq!(chain.latest().code(hash).unwrap(), code);
    assert_eq!(
        chain.latest().code(crate::EMPTY_CODE_HASH).unwrap(),
        Bytes::new()
    );
    let unknown = chain.latest().code(B256::ZERO).unwrap_err();
    assert!(matches!(unknown, StateError::NoCode { hash: B256::ZERO }));
}

#[test]
fn a_block_is_prepared_on_the_latest_alone() {
    let mut chain = Chain::new(History::All);
    for balance in 1..4 {
        chain.block(&transfer(0, balance));
    }
    for (parent, number) in [(chain.view(1), 2), (chain.view(2), 4), (chain.view(2), 2)] {
        let refused = chain
            .state
            .prepare(&parent, number, &Changes::default())
            .unwrap_err();
        assert!(matches!(refused, StateError::NotNext { head: 2, .. }));
    }
    let unchanged = chain
        .state
        .prepare(&chain.latest(), 3, &Changes::default())
        .unwrap();
    assert_eq!(unchanged.root(), chain.latest().root().unwrap());
    assert_eq!(View::empty().root().unwrap(), EMPTY_ROOT);
}

#[test]
fn a_missing_branch_is_damage_and_not_another_root() {
    let mut chain = Chain::new(History::All);
    chain.block(&many(100));
    let mut batch = Batch::default();
    for key in chain.rows(0x12..=0x12).into_keys().filter(|key| key[9] > 0) {
        batch.delete(key);
    }
    chain.tables.commit(batch).unwrap();
    chain.reopen();
    let failed = chain
        .state
        .prepare(&chain.latest(), 1, &transfer(0, 9))
        .unwrap_err();
    assert!(matches!(failed, StateError::Damaged { .. }));
    let failed = chain.latest().proof(address(0), &[]).unwrap_err();
    assert!(matches!(failed, StateError::Damaged { .. }));
}
