//! Every block answers for ever, or as long as it is kept, as it did when it was the latest.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256, keccak256};
use store::{LsmOptions, LsmTables};

use super::chain::{
    ACCOUNTS, Chain, Model, Random, SLOTS, account, address, random_changes, root, verify,
};
use crate::{AccountProof, History, View, ViewError};

/// What a block answers to questions drawn from its number.
#[derive(Debug, PartialEq)]
struct Answers {
    root: B256,
    proofs: Vec<(Address, AccountProof)>,
    page: Vec<(B256, crate::Account)>,
    slots: Vec<(B256, U256)>,
}

fn ask(view: &View) -> Answers {
    let mut random = Random(view.number());
    let mut proofs = Vec::new();
    for _ in 0..4 {
        let slots: Vec<B256> = (0..3)
            .map(|_| U256::from(random.below(SLOTS + 2)).into())
            .collect();
        let address = address(random.below(ACCOUNTS + 2));
        proofs.push((address, view.proof(address, &slots).unwrap()));
    }
    let from = B256::repeat_byte(random.next().to_be_bytes()[0]);
    let account = keccak256(address(random.below(ACCOUNTS)));
    Answers {
        root: view.root().unwrap(),
        proofs,
        page: view.accounts_from(from, 7).unwrap(),
        slots: view.storage_from(account, from, 5).unwrap(),
    }
}

/// All accounts and slots are those of the model, and the questions' proofs hold.
fn check(view: &View, model: &Model) {
    for n in 0..ACCOUNTS + 2 {
        let address = address(n);
        assert_eq!(view.account(address).unwrap(), account(model, address));
        for slot in (0..SLOTS).map(U256::from) {
            let value = model
                .get(&address)
                .and_then(|(_, storage)| storage.get(&slot));
            assert_eq!(
                view.storage(address, slot).unwrap(),
                value.copied().unwrap_or_default()
            );
        }
    }
    assert_eq!(view.recomputed_root().unwrap(), root(model));
    assert_eq!(
        view.accounts_from(B256::ZERO, usize::MAX).unwrap().len(),
        model.len()
    );
}

#[test]
fn each_of_a_thousand_blocks_answers_as_when_it_was_the_latest() {
    let mut random = Random(1);
    let mut chain = Chain::new(History::All);
    let mut past = Vec::new();
    for number in 0..1_000 {
        chain.block(&random_changes(&mut random));
        if number % 97 == 0 {
            chain.reopen();
        }
        let view = chain.latest();
        let answers = ask(&view);
        for (address, proof) in &answers.proofs {
            verify(answers.root, *address, proof);
        }
        past.push((answers, chain.model.clone()));
    }
    for (number, (answers, model)) in (0..).zip(&past) {
        let view = chain.view(number);
        assert_eq!(&ask(&view), answers, "block {number}");
        assert_eq!(answers.root, root(model));
        if number % 20 == 0 {
            check(&view, model);
        }
    }
    let rows = chain.rows(0x10..=0x13);
    assert_eq!(rows, Chain::of_model(&chain.model).rows(0x10..=0x13));
}

#[test]
fn a_view_held_over_later_blocks_does_not_change() {
    let mut random = Random(2);
    let mut chain = Chain::new(History::All);
    for _ in 0..30 {
        chain.block(&random_changes(&mut random));
    }
    let (view, model) = (chain.latest(), chain.model.clone());
    let answers = ask(&view);
    for _ in 0..30 {
        chain.block(&random_changes(&mut random));
        assert_eq!(ask(&view), answers);
    }
    check(&view, &model);
}

#[test]
fn only_so_many_blocks_are_kept_and_nothing_of_older_ones() {
    let mut random = Random(3);
    let mut chain = Chain::new(History::Blocks(10));
    let mut models = Vec::new();
    for number in 0..60_u64 {
        chain.block(&random_changes(&mut random));
        models.push(chain.model.clone());
        let oldest = number.saturating_sub(10);
        for kept in oldest..=number {
            let view = chain.view(kept);
            assert_eq!(
                view.root().unwrap(),
                root(&models[usize::try_from(kept).unwrap()])
            );
        }
        if let Some(gone) = oldest.checked_sub(1) {
            let refused = chain
                .state
                .view(chain.tables.snapshot(), number, gone)
                .unwrap_err();
            assert!(
                matches!(refused, ViewError::NotKept { number, oldest: kept } if number == gone && kept == oldest)
            );
        }
    }
    check(&chain.view(49), &models[49]);
    let oldest_overwritten = chain
        .rows(0x15..=0x15)
        .into_keys()
        .map(|key| u64::from_be_bytes(*key.last_chunk().unwrap()))
        .min();
    assert_eq!(oldest_overwritten, Some(50));
    assert!(chain.rows(0x16..=0x16).len() <= 10);
    let future = chain
        .state
        .view(chain.tables.snapshot(), 59, 60)
        .unwrap_err();
    assert!(matches!(
        future,
        ViewError::NotYet {
            number: 60,
            head: 59
        }
    ));
}

#[test]
fn keeping_less_than_before_forgets_some_blocks_at_a_time() {
    let mut random = Random(6);
    let mut chain = Chain::new(History::All);
    for _ in 0..60 {
        chain.block(&random_changes(&mut random));
    }
    chain.keep(History::Blocks(5));
    let mut oldest = Vec::new();
    for _ in 0..5 {
        chain.block(&random_changes(&mut random));
        let head = chain.head.unwrap();
        let refused = chain
            .state
            .view(chain.tables.snapshot(), head, 0)
            .unwrap_err();
        let ViewError::NotKept { oldest: kept, .. } = refused else {
            panic!("{refused}")
        };
        chain.view(kept).recomputed_root().unwrap();
        oldest.push(kept);
    }
    assert_eq!(oldest, [16, 32, 48, 58, 59]);
}

#[test]
fn the_real_tables_answer_like_the_simulated_ones() {
    let folder = tempfile::tempdir().unwrap();
    let tables = LsmTables::open(folder.path(), LsmOptions::small()).unwrap();
    let mut chains = [
        Chain::on(Arc::new(tables), History::Blocks(30)),
        Chain::new(History::Blocks(30)),
    ];
    let mut random = Random(7);
    for number in 0..80 {
        let changes = random_changes(&mut random);
        for chain in &mut chains {
            chain.block(&changes);
            if number % 9 == 0 {
                chain.tables.flush().unwrap();
                chain.reopen();
            }
        }
    }
    let [real, simulated] = &chains;
    assert_eq!(real.rows(0..=0xff), simulated.rows(0..=0xff));
    for number in 49..80 {
        assert_eq!(ask(&real.view(number)), ask(&simulated.view(number)));
    }
    check(&real.view(60), &{
        let mut random = Random(7);
        let mut replayed = Chain::new(History::All);
        for _ in 0..=60 {
            replayed.block(&random_changes(&mut random));
        }
        replayed.model
    });
}
