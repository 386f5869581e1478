//! What happens around transactions: system calls, inspectors, delegations, and self-destruct before EIP-6780.

use std::collections::BTreeMap;

use alloy_consensus::TxEip7702;
use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_eips::eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_signer::SignerSync as _;
use execution::{BlockEnv, EvmContext, Executor, FeeRule, NoBlockHashes, Rules, SpecId};
use revm::Inspector;
use revm::interpreter::Interpreter;

use crate::world::{
    CHAIN, Start, World, causeway, contract, genesis, init_code, key, sign, transaction, transfer,
};

/// CREATE2 of the calldata with salt 0.
const FACTORY: [u8; 10] = hex!("365f5f375f365f5ff500");
/// Stores 1 + slot 0 in slot 1, and deploys nothing.
const INIT: [u8; 9] = hex!("5f5460010160015500");
/// SELFDESTRUCT to 0x…99.
const DESTROYS: [u8; 3] = hex!("6099ff");

#[test]
fn system_calls_keep_the_cited_root_and_the_parents_hash() {
    let system = |code: &Bytes| Start {
        nonce: 1,
        code: code.clone(),
        ..Start::default()
    };
    let world = World::new(&genesis([
        (BEACON_ROOTS_ADDRESS, system(&BEACON_ROOTS_CODE)),
        (HISTORY_STORAGE_ADDRESS, system(&HISTORY_STORAGE_CODE)),
    ]));
    let view = world.view();
    let (root, parent) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let env = BlockEnv {
        parent_beacon_block_root: Some(root),
        parent_hash: parent,
        ..world.env()
    };
    let timestamp = env.timestamp;
    for has_hub in [true, false] {
        let rules = Rules::causeway(CHAIN, FeeRule::Free, has_hub);
        let executor = Executor::new(&rules, env.clone(), &view, &NoBlockHashes).unwrap();
        let changes = executor.finish().unwrap().changes.accounts;
        let history = &changes[&HISTORY_STORAGE_ADDRESS];
        assert_eq!(
            history.storage,
            BTreeMap::from([(U256::ZERO, parent.into())])
        );
        let roots = changes
            .get(&BEACON_ROOTS_ADDRESS)
            .map(|change| change.storage.clone());
        let slot = timestamp % 8_191;
        let expected = BTreeMap::from([
            (U256::from(slot), U256::from(timestamp)),
            (U256::from(slot + 8_191), root.into()),
        ]);
        assert_eq!(roots, has_hub.then_some(expected));
    }
}

/// Counts instructions.
#[derive(Default)]
struct Steps(usize);

impl<'a> Inspector<EvmContext<'a>> for Steps {
    fn step(&mut self, _: &mut Interpreter, _: &mut EvmContext<'a>) {
        self.0 += 1;
    }
}

#[test]
fn an_inspected_transaction_does_the_same() {
    let world = World::new(&genesis([]));
    let (view, rules) = (world.view(), causeway(FeeRule::Free));
    let create = sign(transaction(0, TxKind::Create, &init_code(&[0x00])), &key(1));
    let call = sign(
        transaction(1, TxKind::Call(key(1).address().create(0)), &[]),
        &key(1),
    );
    let start = || Executor::new(&rules, world.env(), &view, &NoBlockHashes).unwrap();

    let mut plain = start();
    let outcome = plain.execute(&create).unwrap();
    plain.execute(&call).unwrap();

    let (inspected, refused, Steps(steps)) = start().inspect(&call, Steps::default());
    assert!(refused.is_err());
    assert_eq!(steps, 0);
    let (mut inspected, seen, Steps(steps)) = inspected.inspect(&create, Steps::default());
    assert_eq!(seen.unwrap(), outcome);
    // The seven instructions of the init code.
    assert_eq!(steps, 7);
    inspected.execute(&call).unwrap();
    assert_eq!(inspected.finish().unwrap(), plain.finish().unwrap());
}

#[test]
fn an_account_takes_a_contracts_code_by_its_own_signature() {
    let at = Address::repeat_byte(7);
    // Stores CALLER in slot 0.
    let mut world = World::new(&genesis([(at, contract(&hex!("335f5500")))]));
    let (sender, authority) = (key(1), key(2));
    let authorization = Authorization {
        chain_id: U256::from(CHAIN),
        address: at,
        nonce: 0,
    };
    let signature = authority
        .sign_hash_sync(&authorization.signature_hash())
        .unwrap();
    let delegate = TxEip7702 {
        chain_id: CHAIN,
        gas_limit: 200_000,
        max_fee_per_gas: 7,
        to: authority.address(),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    let executed = world.block(&causeway(FeeRule::Free), &[sign(delegate, &sender)]);
    let change = &executed.changes.accounts[&authority.address()];
    assert_eq!(change.info.unwrap().nonce, 1);
    let code = [&hex!("ef0100")[..], at.as_slice()].concat();
    assert_eq!(
        executed.changes.codes[&change.info.unwrap().code_hash],
        Bytes::from(code)
    );
    assert_eq!(
        change.storage[&U256::ZERO],
        U256::from_be_slice(sender.address().as_slice())
    );
}

/// A contract with slot 0 = 5 that destroys itself, where the factory would make it anew.
fn before_eip_6780() -> (World, Address, Address) {
    let factory = Address::repeat_byte(0xfa);
    let at = factory.create2_from_code(B256::ZERO, INIT);
    let storage = BTreeMap::from([(U256::ZERO, U256::from(5))]);
    let destroyed = Start {
        storage,
        ..contract(&DESTROYS)
    };
    let rich = Start {
        balance: U256::from(10_u64.pow(18)),
        ..Start::default()
    };
    let starts = [
        (at, destroyed),
        (factory, contract(&FACTORY)),
        (key(1).address(), rich),
    ];
    (World::new(&genesis(starts)), factory, at)
}

#[test]
fn before_eip_6780_a_contract_is_destroyed_with_its_storage() {
    let (mut world, _, at) = before_eip_6780();
    let rules = Rules::ethereum(CHAIN, SpecId::SHANGHAI);
    let destroy = sign(transaction(0, TxKind::Call(at), &[]), &key(1));
    let executed = world.block(&rules, &[destroy]);
    assert_eq!(executed.changes.accounts[&at].info, None);
    assert_eq!(world.view().storage(at, U256::ZERO).unwrap(), U256::ZERO);
}

#[test]
fn what_is_made_anew_in_the_same_block_does_not_see_the_old_storage() {
    let (mut world, factory, at) = before_eip_6780();
    let rules = Rules::ethereum(CHAIN, SpecId::SHANGHAI);
    let transactions = [
        sign(transaction(0, TxKind::Call(at), &[]), &key(1)),
        sign(transaction(1, TxKind::Call(factory), &INIT), &key(1)),
    ];
    let executed = world.block(&rules, &transactions);
    let change = &executed.changes.accounts[&at];
    assert!(change.wiped);
    assert_eq!(
        change.storage,
        BTreeMap::from([(U256::from(1), U256::from(1))])
    );
    assert_eq!(world.view().storage(at, U256::ZERO).unwrap(), U256::ZERO);
    assert_eq!(
        world.view().storage(at, U256::from(1)).unwrap(),
        U256::from(1)
    );
}

#[test]
fn what_is_only_paid_after_its_destruction_has_a_balance_and_nothing_else() {
    let (mut world, _, at) = before_eip_6780();
    let rules = Rules::ethereum(CHAIN, SpecId::SHANGHAI);
    let pay = sign(transfer(1, at, 3), &key(1));
    let executed = world.block(
        &rules,
        &[sign(transaction(0, TxKind::Call(at), &[]), &key(1)), pay],
    );
    let change = &executed.changes.accounts[&at];
    assert!(change.wiped && change.storage.is_empty());
    assert_eq!(world.balance(at), U256::from(3));
    assert_eq!(world.view().storage(at, U256::ZERO).unwrap(), U256::ZERO);
}
