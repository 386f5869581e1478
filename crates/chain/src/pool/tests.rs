//! The pool's rules, by table.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, Signature, TxKind, U256};

use super::{
    MAX_BYTES, MAX_NONCE_AHEAD, MAX_PER_SENDER, MAX_REPLACEMENTS, Pool, PoolError, SenderState,
};
use execution::Transaction;

/// By which city all come, where it does not matter.
const CITY: Address = Address::repeat_byte(0xc1);

fn transaction(sender: u8, nonce: u64, fee: u128, mark: u64) -> Arc<Transaction> {
    let unsigned = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: fee,
        // The signature is no one's: this alone tells two senders' transactions apart.
        to: TxKind::Call(Address::repeat_byte(sender)),
        value: U256::from(mark),
        ..TxEip1559::default()
    };
    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let signed = TxEnvelope::from(unsigned.into_signed(signature));
    Arc::new(Recovered::new_unchecked(
        signed,
        Address::repeat_byte(sender),
    ))
}

fn known(nonce: u64) -> SenderState {
    SenderState {
        nonce,
        balance: U256::from(100),
        cost: U256::ZERO,
    }
}

fn insert(pool: &mut Pool, sender: u8, nonce: u64, fee: u128) -> Result<(), PoolError> {
    pool.insert(transaction(sender, nonce, fee, 0), CITY, 100, known(0))
}

fn order(pool: &Pool) -> Vec<(u8, u64)> {
    use alloy_consensus::Transaction as _;
    pool.executable(100)
        .iter()
        .map(|transaction| (transaction.signer()[0], transaction.nonce()))
        .collect()
}

#[test]
fn senders_take_turns_in_the_order_of_their_arrival() {
    let mut pool = Pool::default();
    for (sender, nonce) in [(2, 0), (2, 1), (2, 2), (1, 1), (1, 0), (3, 1)] {
        insert(&mut pool, sender, nonce, 0).expect("room");
    }
    assert_eq!(order(&pool), [(2, 0), (1, 0), (2, 1), (1, 1), (2, 2)]);
    let status = pool.status();
    assert_eq!((status.pending, status.queued, status.bytes), (5, 1, 600));
    assert_eq!(pool.next_nonce(Address::repeat_byte(2)), Some(3));
    assert_eq!(pool.next_nonce(Address::repeat_byte(3)), None);
}

#[test]
fn a_block_forgets_what_it_holds_and_a_gap_opens_when_one_is_taken_out() {
    let mut pool = Pool::default();
    for nonce in 0..4 {
        insert(&mut pool, 1, nonce, 0).expect("room");
    }
    pool.advance(Address::repeat_byte(1), 2);
    assert_eq!(order(&pool), [(1, 2), (1, 3)]);
    pool.remove(Address::repeat_byte(1), 2);
    assert_eq!(order(&pool), []);
    assert!(!pool.has_executable());
    assert_eq!(pool.len(), 1);
    pool.advance(Address::repeat_byte(1), 4);
    assert!(pool.is_empty());
    assert_eq!(pool.status(), super::PoolStatus::default());
}

#[test]
fn a_replacement_needs_a_tenth_and_a_wei_more_in_both_fees() {
    for (old, new, taken) in [
        (0, 0, false),
        (0, 1, true),
        (9, 9, false),
        (9, 10, true),
        (100, 109, false),
        (100, 110, true),
    ] {
        let mut pool = Pool::default();
        insert(&mut pool, 1, 0, old).expect("room");
        let verdict = pool.insert(transaction(1, 0, new, 1), CITY, 100, known(0));
        assert_eq!(verdict.is_ok(), taken, "{old} → {new}: {verdict:?}");
        assert_eq!(pool.len(), 1);
    }
}

#[test]
fn a_nonce_is_replaced_at_most_sixteen_times() {
    let mut pool = Pool::default();
    let mut fee = 1;
    for _ in 0..=MAX_REPLACEMENTS {
        insert(&mut pool, 1, 0, fee).expect("outbids");
        fee *= 2;
    }
    assert!(matches!(
        insert(&mut pool, 1, 0, fee),
        Err(PoolError::ReplacedTooOften { nonce: 0 })
    ));
}

#[test]
fn what_cannot_run_is_refused_and_changes_nothing() {
    let mut pool = Pool::default();
    insert(&mut pool, 1, 0, 1).expect("room");
    assert!(matches!(insert(&mut pool, 1, 0, 1), Err(PoolError::Known)));
    let low = pool.insert(transaction(1, 4, 0, 0), CITY, 100, known(5));
    assert!(matches!(
        low,
        Err(PoolError::NonceTooLow { next: 5, nonce: 4 })
    ));
    assert!(matches!(
        insert(&mut pool, 1, MAX_NONCE_AHEAD + 1, 0),
        Err(PoolError::NonceTooHigh { .. })
    ));
    let poor = SenderState {
        cost: U256::from(101),
        ..known(0)
    };
    let verdict = pool.insert(transaction(1, 1, 0, 0), CITY, 100, poor);
    assert!(matches!(verdict, Err(PoolError::InsufficientFunds { .. })));
    assert_eq!(pool.len(), 1);
}

#[test]
fn one_sender_is_bounded() {
    let mut pool = Pool::default();
    for nonce in 0..MAX_PER_SENDER as u64 {
        insert(&mut pool, 1, nonce, 0).expect("room");
    }
    assert!(matches!(
        insert(&mut pool, 1, MAX_PER_SENDER as u64, 0),
        Err(PoolError::SenderFull)
    ));
    insert(&mut pool, 2, 0, 0).expect("others have room");
}

#[test]
fn a_full_pool_takes_from_whoever_holds_most() {
    let mut pool = Pool::default();
    let bytes = super::MAX_TRANSACTION_BYTES;
    let fits = super::MAX_BYTES / bytes;
    for nonce in 0..fits as u64 {
        pool.insert(transaction(1, nonce, 0, 0), CITY, bytes, known(0))
            .expect("room");
    }
    pool.insert(transaction(2, 0, 0, 0), CITY, bytes, known(0))
        .expect("the greedy one gives way");
    assert_eq!(pool.len(), fits);
    assert_eq!(
        pool.next_nonce(Address::repeat_byte(1)),
        Some(fits as u64 - 1)
    );
    let more = pool.insert(transaction(1, fits as u64 - 1, 0, 0), CITY, bytes, known(0));
    assert!(
        matches!(more, Err(PoolError::Full)),
        "and cannot take it back: {more:?}"
    );
}

#[test]
fn cities_of_entry_take_turns_and_a_flood_by_one_leaves_the_part_of_another() {
    let mut pool = Pool::default();
    let other = Address::repeat_byte(0xc2);
    for sender in 1..=9 {
        for nonce in 0..3 {
            insert(&mut pool, sender, nonce, 0).expect("room");
        }
    }
    for nonce in 0..3 {
        pool.insert(transaction(99, nonce, 0, 0), other, 100, known(0))
            .expect("room");
    }
    assert_eq!(
        order(&pool)[..6],
        [(1, 0), (99, 0), (2, 0), (99, 1), (3, 0), (99, 2)],
        "half of the block is the other city's, as far as it uses it"
    );
    assert_eq!(order(&pool).len(), 30, "the rest is lent");
}

#[test]
fn a_full_pool_gives_back_what_was_lent_to_another_city() {
    let mut pool = Pool::default();
    let other = Address::repeat_byte(0xc2);
    let large = MAX_BYTES / 4;
    for sender in 1..=4 {
        // As large as a quarter of the pool: larger than a transaction may be, so the pool is told a size.
        let bytes = large.min(super::MAX_TRANSACTION_BYTES);
        for nonce in 0..128 {
            pool.insert(transaction(sender, nonce, 0, 0), CITY, bytes, known(0))
                .expect("room");
        }
    }
    assert!(matches!(
        pool.insert(transaction(5, 0, 0, 0), CITY, 600, known(0)),
        Ok(()) | Err(PoolError::Full)
    ));
    let before = pool.status().bytes;
    pool.insert(transaction(6, 0, 0, 0), other, 500_000, known(0))
        .expect("the other city's part is given back");
    assert!(pool.get(transaction(6, 0, 0, 0).hash()).is_some());
    assert!(pool.status().bytes <= before.max(MAX_BYTES));
}
