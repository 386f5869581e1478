//! Calls, estimates and access lists.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256, address, hex};
use execution::{
    AccountOverride, BlockOverrides, CALL_GAS_LIMIT, Call, CallError, CallFees, CallStatus,
    EstimateError, FeeRule, HaltReason, NoBlockHashes, Overrides, Simulation, StorageOverride,
};
use state::View;

use crate::world::{Start, World, causeway, contract, genesis};

/// Reverts with `nope`.
const REVERTS: [u8; 12] = hex!("636e6f70655f526004601cfd");
/// Reverts unless it has more than 100,000 gas left.
const HUNGRY: [u8; 14] = hex!("620186a05a11600c575f5ffd5b00");
/// Loops for ever.
const LOOPS: [u8; 4] = hex!("5b5f5600");
/// Reads slot 7 and the balance of 0x…abcd.
const TOUCHES: [u8; 28] = hex!("6007545073000000000000000000000000000000000000abcd315000");
/// Returns slot 0, NUMBER, TIMESTAMP, the own balance.
const SHOWS: [u8; 20] = hex!("5f545f5243602052426040524760605260805ff3");

const AT: Address = Address::repeat_byte(7);
const FROM: Address = Address::repeat_byte(1);

fn world(code: &[u8]) -> World {
    let start = Start {
        balance: U256::from(1_000),
        ..Start::default()
    };
    World::new(&genesis([(AT, contract(code)), (FROM, start)]))
}

fn to_contract() -> Call {
    Call {
        from: FROM,
        to: Some(AT),
        ..Call::default()
    }
}

fn ask<T>(world: &World, fee: FeeRule, question: impl FnOnce(Simulation<'_>) -> T) -> T {
    let (rules, view): (_, View) = (causeway(fee), world.view());
    question(Simulation::new(&rules, world.env(), &view, &NoBlockHashes))
}

#[test]
fn a_call_gives_the_revert_data() {
    let outcome = ask(&world(&REVERTS), FeeRule::Free, |s| s.call(&to_contract())).unwrap();
    assert_eq!(outcome.status, CallStatus::Revert);
    assert_eq!(outcome.output, Bytes::from("nope"));
}

#[test]
fn a_call_may_use_more_than_a_transaction_but_not_everything() {
    let call = Call {
        gas: Some(u64::MAX),
        ..to_contract()
    };
    let outcome = ask(&world(&LOOPS), FeeRule::Free, |s| s.call(&call)).unwrap();
    assert!(matches!(
        outcome.status,
        CallStatus::Halt(HaltReason::OutOfGas(_))
    ));
    assert_eq!(outcome.gas_used, CALL_GAS_LIMIT);
}

#[test]
fn a_call_needs_its_value_and_nothing_for_gas() {
    for fee in [FeeRule::Free, FeeRule::Eip1559] {
        let fees = CallFees::Legacy(u128::from(u64::MAX));
        let call = Call {
            value: U256::from(1_000),
            fees,
            ..to_contract()
        };
        let outcome = ask(&world(&[0]), fee, |s| s.call(&call)).unwrap();
        assert_eq!(outcome.status, CallStatus::Success);
        let call = Call {
            value: U256::from(1_001),
            ..call
        };
        let refused = ask(&world(&[0]), fee, |s| s.call(&call));
        assert!(matches!(refused, Err(CallError::InsufficientFunds { .. })));
    }
}

#[test]
fn a_call_may_come_from_a_contract_and_make_one() {
    let call = Call {
        from: AT,
        data: Bytes::from(hex!("60fe5f5360015ff3")),
        ..Call::default()
    };
    let outcome = ask(&world(&[0]), FeeRule::Free, |s| s.call(&call)).unwrap();
    assert_eq!(
        (outcome.status, outcome.output),
        (CallStatus::Success, Bytes::from([0xfe]))
    );
}

#[test]
fn prices_show_in_a_call_where_gas_costs() {
    let prices = world(&hex!("3a5f524860205260405ff3"));
    let price = |fee, fees| {
        let call = Call {
            fees,
            ..to_contract()
        };
        let outcome = ask(&prices, fee, |s| {
            let block = BlockOverrides {
                base_fee: Some(10),
                ..BlockOverrides::default()
            };
            s.with_overrides(Overrides::new(BTreeMap::new(), block))
                .call(&call)
        });
        let output = outcome.unwrap().output;
        (
            U256::from_be_slice(&output[..32]).to::<u64>(),
            U256::from_be_slice(&output[32..]).to(),
        )
    };
    let dynamic = CallFees::Dynamic {
        max_fee: 100,
        priority: 3,
    };
    assert_eq!(price(FeeRule::Free, dynamic), (0, 0_u64));
    assert_eq!(price(FeeRule::Eip1559, CallFees::None), (0, 0));
    assert_eq!(price(FeeRule::Eip1559, dynamic), (13, 10));
}

#[test]
fn overrides_replace_what_they_name() {
    let plain = world(&SHOWS);
    let call = to_contract();
    let show = |overrides: Overrides| {
        let outcome = ask(&plain, FeeRule::Free, |s| {
            s.with_overrides(overrides).call(&call)
        });
        let output = outcome.unwrap().output;
        [0, 1, 2, 3].map(|n| U256::from_be_slice(&output[32 * n..32 * (n + 1)]).to::<u64>())
    };
    let timestamp = plain.env().timestamp;
    assert_eq!(show(Overrides::default()), [0, 1, timestamp, 0]);
    let storage = StorageOverride::Replace([(U256::ZERO, U256::from(5))].into());
    let account = AccountOverride {
        balance: Some(U256::from(6)),
        storage,
        ..AccountOverride::default()
    };
    let block = BlockOverrides {
        number: Some(77),
        timestamp: Some(88),
        ..BlockOverrides::default()
    };
    assert_eq!(
        show(Overrides::new([(AT, account)].into(), block)),
        [5, 77, 88, 6]
    );
    let code = AccountOverride {
        code: Some(Bytes::from(REVERTS)),
        ..AccountOverride::default()
    };
    let overrides = Overrides::new([(AT, code)].into(), BlockOverrides::default());
    let outcome = ask(&plain, FeeRule::Free, |s| {
        s.with_overrides(overrides).call(&call)
    });
    assert_eq!(outcome.unwrap().status, CallStatus::Revert);
}

#[test]
fn an_estimate_is_enough_and_little_more() {
    let world = world(&HUNGRY);
    let estimate = ask(&world, FeeRule::Free, |s| s.estimate_gas(&to_contract())).unwrap();
    let status = |gas| {
        let call = Call {
            gas: Some(gas),
            ..to_contract()
        };
        ask(&world, FeeRule::Free, |s| s.call(&call))
            .unwrap()
            .status
    };
    assert_eq!(status(estimate), CallStatus::Success);
    assert_eq!(status(estimate - estimate * 16 / 1_000), CallStatus::Revert);
}

#[test]
fn a_plain_transfer_is_estimated_exactly() {
    let world = world(&[0]);
    let call = Call {
        from: FROM,
        to: Some(Address::ZERO),
        value: U256::from(1),
        ..Call::default()
    };
    for fee in [FeeRule::Free, FeeRule::Eip1559] {
        assert_eq!(ask(&world, fee, |s| s.estimate_gas(&call)).unwrap(), 21_000);
    }
    let poor = Call {
        from: Address::repeat_byte(2),
        value: U256::ZERO,
        ..call.clone()
    };
    assert_eq!(
        ask(&world, FeeRule::Free, |s| s.estimate_gas(&poor)).unwrap(),
        21_000
    );
    let dear = Call {
        fees: CallFees::Legacy(1),
        ..call
    };
    let refused = ask(&world, FeeRule::Eip1559, |s| s.estimate_gas(&dear));
    assert!(matches!(
        refused,
        Err(EstimateError::AboveAllowance { allowance: 999, .. })
    ));
}

#[test]
fn what_never_succeeds_has_no_estimate() {
    let reverted = ask(&world(&REVERTS), FeeRule::Free, |s| {
        s.estimate_gas(&to_contract())
    });
    match reverted {
        Err(EstimateError::Reverted { output }) => assert_eq!(output, Bytes::from("nope")),
        other => panic!("{other:?}"),
    }
    let endless = ask(&world(&LOOPS), FeeRule::Free, |s| {
        s.estimate_gas(&to_contract())
    });
    let message = endless.unwrap_err().to_string();
    assert!(message.contains("16777216"), "{message}");
}

#[test]
fn an_access_list_names_what_is_touched() {
    let outcome = ask(&world(&TOUCHES), FeeRule::Free, |s| {
        s.create_access_list(&to_contract())
    });
    let outcome = outcome.unwrap();
    let list = &outcome.access_list.0;
    assert_eq!(list.len(), 2);
    assert_eq!(
        list[0].address,
        address!("0x000000000000000000000000000000000000abcd")
    );
    assert!(list[0].storage_keys.is_empty());
    assert_eq!(list[1].address, AT);
    assert_eq!(
        list[1].storage_keys,
        [alloy_primitives::B256::with_last_byte(7)]
    );
    assert_eq!(outcome.outcome.status, CallStatus::Success);
}
