//! Our own rules: free gas, what is refused, and that a refusal leaves no trace.

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use execution::{
    ExecuteError, Executor, FormError, NoBlockHashes, RecoverError, Refused, Rules, SpecId,
    recover, recover_all, validate_form,
};
use state::Changes;
use types::FeeRule;

use crate::world::{
    CHAIN, Start, World, causeway, contract, genesis, init_code, key, sign, transaction, transfer,
};

/// Returns GASPRICE and BASEFEE.
const PRICES: [u8; 11] = hex!("3a5f524860205260405ff3");
/// Stores 1 in slot 0 and logs one topic.
const WRITES: [u8; 10] = hex!("60015f5560075f5fa100");

fn funded(balance: u64) -> World {
    let start = Start {
        balance: U256::from(balance),
        ..Start::default()
    };
    World::new(&genesis([(key(1).address(), start)]))
}

fn refusal(world: &World, rules: &Rules, transaction: &execution::Transaction) -> Refused {
    let view = world.view();
    let mut executor = Executor::new(rules, world.env(), &view, &NoBlockHashes).unwrap();
    match executor.execute(transaction) {
        Err(ExecuteError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sender_without_balance_deploys_and_calls_under_free_gas() {
    let mut world = World::new(&Changes::default());
    let rules = causeway(FeeRule::Free);
    let sender = key(1);
    let made = sender.address().create(0);
    let executed = world.block(
        &rules,
        &[
            sign(transaction(0, TxKind::Create, &init_code(&WRITES)), &sender),
            sign(transaction(1, TxKind::Call(made), &[]), &sender),
            sign(transfer(2, Address::repeat_byte(9), 0), &sender),
        ],
    );
    assert!(executed.receipts.iter().all(|receipt| receipt.status()));
    assert_eq!(executed.receipts[1].logs().len(), 1);
    assert_eq!(executed.receipts[1].logs()[0].address, made);
    assert_eq!(
        executed.receipts[2].cumulative_gas_used(),
        executed.gas_used
    );
    assert_eq!(&executed.logs_bloom, executed.receipts[1].logs_bloom());
    assert!(executed.requests.is_empty());

    let view = world.view();
    let account = view.account(made).unwrap().unwrap();
    assert_eq!(view.code(account.code_hash).unwrap(), Bytes::from(WRITES));
    assert_eq!(view.storage(made, U256::ZERO).unwrap(), U256::from(1));
    assert_eq!(view.account(sender.address()).unwrap().unwrap().nonce, 3);
    let untouched = [world.env().beneficiary, Address::repeat_byte(9)];
    assert!(
        untouched
            .iter()
            .all(|address| view.account(*address).unwrap().is_none())
    );
    assert!(
        !executed
            .changes
            .accounts
            .contains_key(&world.env().beneficiary)
    );
}

#[test]
fn gas_price_and_base_fee_are_zero_under_free_gas_and_real_under_eip_1559() {
    let at = Address::repeat_byte(7);
    let sender = key(1);
    let start = Start {
        balance: U256::from(10_u64.pow(18)),
        ..Start::default()
    };
    let world = World::new(&genesis([
        (at, contract(&PRICES)),
        (sender.address(), start),
    ]));
    let view = world.view();
    let signed = sign(transaction(0, TxKind::Call(at), &[]), &sender);
    let env = execution::BlockEnv {
        base_fee: 1_000_000_000,
        ..world.env()
    };

    let rules = causeway(FeeRule::Free);
    let mut executor = Executor::new(&rules, env.clone(), &view, &NoBlockHashes).unwrap();
    assert_eq!(
        executor.execute(&signed).unwrap().output,
        Bytes::from([0; 64])
    );

    let rules = causeway(FeeRule::Eip1559);
    let mut executor = Executor::new(&rules, env.clone(), &view, &NoBlockHashes).unwrap();
    let outcome = executor.execute(&signed).unwrap();
    assert_eq!(
        U256::from_be_slice(&outcome.output[..32]),
        U256::from(2_000_000_000_u64)
    );
    assert_eq!(
        U256::from_be_slice(&outcome.output[32..]),
        U256::from(1_000_000_000_u64)
    );
    let changes = executor.finish().unwrap().changes;
    let balance = |address| changes.accounts[&address].info.unwrap().balance;
    let tip = U256::from(outcome.gas_used) * U256::from(1_000_000_000_u64);
    assert_eq!(balance(env.beneficiary), tip);
    assert_eq!(
        balance(sender.address()),
        U256::from(10_u64.pow(18)) - tip * U256::from(2)
    );
}

#[test]
fn value_above_the_balance_is_refused_and_only_value_counts() {
    let world = funded(100);
    let rules = causeway(FeeRule::Free);
    let to = Address::repeat_byte(9);
    let refused = refusal(&world, &rules, &sign(transfer(0, to, 101), &key(1)));
    let expected = Refused::InsufficientFunds {
        balance: U256::from(100),
        needed: U256::from(101),
    };
    assert_eq!(refused, expected);
    assert!(refused.is_retryable());

    let mut world = world;
    world.block(&rules, &[sign(transfer(0, to, 100), &key(1))]);
    assert_eq!(world.balance(to), U256::from(100));
    assert_eq!(world.balance(key(1).address()), U256::ZERO);
}

#[test]
fn gas_above_the_cap_is_refused_and_the_cap_is_named() {
    let world = funded(0);
    let rules = causeway(FeeRule::Free);
    let mut above = transaction(0, TxKind::Call(Address::ZERO), &[]);
    above.gas_limit = 16_777_217;
    let above = sign(above, &key(1));
    let form = FormError::GasAboveCap {
        gas_limit: 16_777_217,
        cap: 16_777_216,
    };
    assert_eq!(validate_form(&rules, &above, 60_000_000), Err(form.clone()));
    let refused = refusal(&world, &rules, &above);
    assert_eq!(refused, Refused::Form(form));
    assert_eq!(
        refused.to_string(),
        "transaction gas limit too high: gas limit 16777217, cap 16777216"
    );
}

#[test]
fn nonces_must_be_the_next_one() {
    let world = funded(0);
    let rules = causeway(FeeRule::Free);
    let to = Address::repeat_byte(9);
    let view = world.view();
    let mut executor = Executor::new(&rules, world.env(), &view, &NoBlockHashes).unwrap();
    let refused = |executor: &mut Executor<'_>, nonce| match executor
        .execute(&sign(transfer(nonce, to, 0), &key(1)))
    {
        Err(ExecuteError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    };
    let high = Refused::NonceTooHigh {
        transaction: 1,
        state: 0,
    };
    assert_eq!(refused(&mut executor, 1), high);
    executor
        .execute(&sign(transfer(0, to, 0), &key(1)))
        .unwrap();
    let low = Refused::NonceTooLow {
        transaction: 0,
        state: 1,
    };
    assert_eq!(refused(&mut executor, 0), low);
    executor
        .execute(&sign(transfer(1, to, 0), &key(1)))
        .unwrap();
}

#[test]
fn a_refusal_leaves_no_trace() {
    let rules = causeway(FeeRule::Free);
    let start = Start {
        balance: U256::from(1_000),
        ..Start::default()
    };
    let mut starts = vec![(key(1).address(), start)];
    starts.push((Address::repeat_byte(7), contract(&WRITES)));
    let world = World::new(&genesis(starts));
    let view = world.view();
    let good = [
        sign(transfer(0, Address::repeat_byte(9), 400), &key(1)),
        sign(
            transaction(1, TxKind::Call(Address::repeat_byte(7)), &[]),
            &key(1),
        ),
    ];
    let mut poor = transaction(0, TxKind::Call(Address::repeat_byte(7)), &[]);
    poor.value = U256::from(1);
    let bad = [
        sign(transfer(0, Address::repeat_byte(9), 1_001), &key(1)),
        sign(poor, &key(2)),
        sign(transfer(5, Address::repeat_byte(9), 1), &key(1)),
    ];
    let run = |with_refusals: bool| {
        let mut executor = Executor::new(&rules, world.env(), &view, &NoBlockHashes).unwrap();
        for transaction in &good {
            for refused in bad.iter().filter(|_| with_refusals) {
                assert!(matches!(
                    executor.execute(refused),
                    Err(ExecuteError::Refused(_))
                ));
            }
            executor.execute(transaction).unwrap();
        }
        executor.finish().unwrap()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_block_takes_no_more_gas_than_it_has() {
    let world = funded(0);
    let rules = causeway(FeeRule::Free);
    let view = world.view();
    let env = execution::BlockEnv {
        gas_limit: 50_000,
        ..world.env()
    };
    let mut executor = Executor::new(&rules, env, &view, &NoBlockHashes).unwrap();
    let to = Address::repeat_byte(9);
    executor
        .execute(&sign(transfer(0, to, 0), &key(1)))
        .unwrap();
    executor
        .execute(&sign(transfer(1, to, 0), &key(1)))
        .unwrap();
    assert_eq!((executor.gas_used(), executor.gas_left()), (42_000, 8_000));
    let refused = executor.execute(&sign(transfer(2, to, 0), &key(1)));
    assert!(matches!(
        refused,
        Err(ExecuteError::Refused(Refused::BlockGas {
            gas_limit: 21_000,
            left: 8_000
        }))
    ));
}

#[test]
fn the_second_transaction_sees_what_the_first_wrote_and_pays_as_on_ethereum() {
    // Increments slot 0: PUSH0 SLOAD PUSH1 1 ADD PUSH0 SSTORE.
    let counter = hex!("5f546001015f5500");
    let at = Address::repeat_byte(7);
    let mut world = World::new(&genesis([(at, contract(&counter))]));
    let rules = causeway(FeeRule::Free);
    let executed = world.block(
        &rules,
        &[0, 1].map(|nonce| sign(transaction(nonce, TxKind::Call(at), &[]), &key(1))),
    );
    assert_eq!(world.view().storage(at, U256::ZERO).unwrap(), U256::from(2));
    let first = executed.receipts[0].cumulative_gas_used();
    let second = executed.gas_used - first;
    // Cold slot 2,100 each; then 20,000 for a new value, 2,900 for a changed one, above the warm read's 100.
    assert_eq!(first - second, 20_000 - 2_900);
}

#[test]
fn an_account_made_and_destroyed_in_one_transaction_leaves_nothing() {
    // SSTORE(0, 1), SELFDESTRUCT to 0x…99.
    let init = hex!("60015f55609960005fff");
    let sender = key(1);
    let made = sender.address().create(0);
    let start = Start {
        balance: U256::from(50),
        ..Start::default()
    };
    let mut world = World::new(&genesis([(sender.address(), start)]));
    let mut create = transaction(0, TxKind::Create, &init);
    create.value = U256::from(10);
    let executed = world.block(
        &causeway(FeeRule::Free),
        &[sign(create, &sender), sign(transfer(1, made, 5), &sender)],
    );
    let change = &executed.changes.accounts[&made];
    assert_eq!(change.info.unwrap().balance, U256::from(5));
    assert_eq!(change.info.unwrap().nonce, 0);
    assert!(change.storage.is_empty() && executed.changes.codes.is_empty());
    assert_eq!(world.balance(made), U256::from(5));
}

#[test]
fn form_is_checked_as_signed_also_under_free_gas() {
    let rules = causeway(FeeRule::Free);
    let form = |change: &dyn Fn(&mut alloy_consensus::TxEip1559)| {
        let mut transaction = transaction(0, TxKind::Call(Address::ZERO), &[]);
        change(&mut transaction);
        validate_form(&rules, &sign(transaction, &key(1)), 10_000_000)
    };
    assert_eq!(form(&|_| ()), Ok(()));
    let wrong_chain = Err(FormError::ChainId {
        signed: 1,
        chain: CHAIN,
    });
    assert_eq!(form(&|tx| tx.chain_id = 1), wrong_chain);
    let priority = Err(FormError::PriorityAboveMax {
        priority: 31,
        max_fee: 30,
    });
    assert_eq!(
        form(&|tx| (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (30, 31)),
        priority
    );
    let intrinsic = Err(FormError::IntrinsicGas {
        gas_limit: 20_999,
        needed: 21_000,
    });
    assert_eq!(form(&|tx| tx.gas_limit = 20_999), intrinsic);
    let floor = Err(FormError::FloorGas {
        gas_limit: 25_000,
        needed: 21_000 + 40 * 1_000 / 4,
    });
    let thousand_zeros = |tx: &mut alloy_consensus::TxEip1559| {
        (tx.input, tx.gas_limit) = (vec![0; 1_000].into(), 25_000);
    };
    assert_eq!(form(&thousand_zeros), floor);
    let block = Err(FormError::GasAboveBlock {
        gas_limit: 10_000_001,
        block_gas_limit: 10_000_000,
    });
    assert_eq!(form(&|tx| tx.gas_limit = 10_000_001), block);
    assert_eq!(
        form(&|tx| tx.nonce = u64::MAX),
        Err(FormError::NonceAtMaximum)
    );
    assert_eq!(
        form(&|tx| tx.value = U256::MAX),
        Err(FormError::CostOverflow)
    );
    let init_code = Err(FormError::InitCodeTooLarge {
        size: 49_153,
        max: 49_152,
    });
    let too_long = |tx: &mut alloy_consensus::TxEip1559| {
        (tx.to, tx.input) = (TxKind::Create, vec![0; 49_153].into());
    };
    assert_eq!(form(&too_long), init_code);
}

#[test]
fn a_fee_field_out_of_order_is_refused_in_a_block_too() {
    let world = funded(0);
    let mut transaction = transaction(0, TxKind::Call(Address::ZERO), &[]);
    (
        transaction.max_fee_per_gas,
        transaction.max_priority_fee_per_gas,
    ) = (1, 2);
    let refused = refusal(
        &world,
        &causeway(FeeRule::Free),
        &sign(transaction, &key(1)),
    );
    assert_eq!(
        refused,
        FormError::PriorityAboveMax {
            priority: 2,
            max_fee: 1
        }
        .into()
    );
}

#[test]
fn blob_transactions_are_refused_on_our_chains() {
    let blob = alloy_consensus::TxEip4844 {
        chain_id: CHAIN,
        gas_limit: 21_000,
        max_fee_per_gas: 1,
        blob_versioned_hashes: vec![alloy_primitives::B256::with_last_byte(1)],
        ..Default::default()
    };
    let blob: alloy_consensus::TxEip4844Variant = blob.into();
    let signed = sign(blob, &key(1));
    let rules = causeway(FeeRule::Free);
    assert_eq!(
        validate_form(&rules, &signed, 60_000_000),
        Err(FormError::BlobsRefused)
    );
    assert_eq!(
        refusal(&funded(0), &rules, &signed),
        FormError::BlobsRefused.into()
    );
}

#[test]
fn what_is_recovered_is_what_was_signed() {
    let signed: Vec<_> = (0..40)
        .map(|n| sign(transfer(n, Address::ZERO, n), &key(3)))
        .collect();
    let mut raw: Vec<Bytes> = signed.iter().map(|one| one.encoded_2718().into()).collect();
    assert_eq!(recover(&raw[0]).unwrap(), signed[0]);
    raw[17] = raw[17].slice(1..);
    let mut longer = raw[20].to_vec();
    longer.push(0);
    raw[20] = longer.into();
    for (number, result) in recover_all(&raw).into_iter().enumerate() {
        match number {
            17 | 20 => assert!(matches!(result, Err(RecoverError::Decode(_)))),
            _ => assert_eq!(result.unwrap(), signed[number]),
        }
    }
    assert!(recover_all(&[]).is_empty());
}

#[test]
fn a_high_s_is_refused() {
    use alloy_consensus::{SignableTransaction as _, TxEnvelope};
    use alloy_signer::SignerSync as _;
    let transaction = transfer(0, Address::ZERO, 0);
    let low = key(1)
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    let order = alloy_primitives::uint!(
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256
    );
    let high = alloy_primitives::Signature::new(low.r(), order - low.s(), !low.v());
    let raw = TxEnvelope::from(transaction.into_signed(high)).encoded_2718();
    assert!(matches!(recover(&raw), Err(RecoverError::Signature(_))));
}

#[test]
fn rules_of_ethereum_change_with_the_fork() {
    let cancun = Rules::ethereum(1, SpecId::CANCUN);
    assert_eq!(cancun.transaction_gas_cap, None);
    assert!(cancun.system_calls.beacon_root && !cancun.system_calls.block_hashes);
    let osaka = Rules::ethereum(1, SpecId::OSAKA);
    assert_eq!(osaka.transaction_gas_cap, Some(16_777_216));
    assert_eq!(osaka.blobs.unwrap().max_blobs_per_tx, 6);
    assert!(Rules::ethereum(1, SpecId::LONDON).rewards.is_some() && osaka.rewards.is_none());
}
