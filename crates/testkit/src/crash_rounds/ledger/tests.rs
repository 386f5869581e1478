//! The ledger tells a broken promise from what may rightly be lost.

use rand::SeedableRng;

use super::*;

/// An account that sent `count` transactions.
fn account(count: usize) -> Account {
    let mut account = Account::new(Address::repeat_byte(1), U256::from(1_000_000_000));
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..count {
        account.next(&mut rng);
    }
    account
}

#[test]
fn what_has_no_receipt_may_be_lost_and_what_has_one_may_not() {
    let mut account = account(4);
    account.sent[1].receipt = Some(json!({}));
    assert_eq!(account.clone().settle(2), Ok(()));
    assert!(
        account
            .clone()
            .settle(1)
            .unwrap_err()
            .contains("lost what it had a receipt for")
    );
    assert!(
        account
            .settle(5)
            .unwrap_err()
            .contains("5 on the chain, 4 sent")
    );
}

#[test]
fn balance_and_storage_follow_from_what_is_on_the_chain() {
    let mut account = account(0);
    let deeds = [
        Deed::Deploy,
        Deed::Pay(5),
        Deed::Store { slot: 1, value: 10 },
        Deed::Store { slot: 1, value: 11 },
        Deed::Pay(7),
    ];
    account.sent = deeds
        .map(|deed| Sent {
            deed,
            hash: None,
            receipt: None,
        })
        .into();
    account.settle(4).unwrap();
    let expected = account.expected();
    assert_eq!(expected.paid, U256::from(5));
    assert_eq!(expected.balance, U256::from(1_000_000_000 - 5));
    assert_eq!(
        expected.contract,
        Some((account.address.create(0), BTreeMap::from([(1, 11)])))
    );
}

#[test]
fn the_first_transaction_creates_the_contract_again_after_it_was_lost() {
    let mut account = account(3);
    assert_eq!(account.sent[0].deed, Deed::Deploy);
    account.settle(0).unwrap();
    account.next(&mut StdRng::seed_from_u64(2));
    assert_eq!(account.sent[0].deed, Deed::Deploy);
}

#[test]
fn hashes_count_from_the_first_transaction_without_a_gap() {
    let mut account = account(3);
    account.sent[0].hash = Some(B256::ZERO);
    account.sent[2].hash = Some(B256::ZERO);
    assert_eq!(account.accepted(), 1);
}
