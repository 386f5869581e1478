//! Many chains in one process: opened, parked, opened again; the log released under them; all of it there after a restart.

#![expect(clippy::unwrap_used, reason = "a test says why by failing")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use chain::over::Register;
use chain::{Entry, Genesis};
use consensus::Record as Step;
use node::{ChainHandle, Host, Options, SystemClock};
use store::{Log as _, LsmTables, Position, SegmentLog, SegmentOptions, Tables as _};
use types::genesis::HubBlock;
use types::{ChainId, NetworkId, NodeKey, Record, Validator, ValidatorSet};

const AWAKE: usize = 8;

fn options() -> Options {
    Options {
        awake_chains: AWAKE,
        segments: SegmentOptions {
            segment_bytes: 128 << 10,
        },
        trim_after_bytes: 64 << 10,
        ..Options::development(Arc::new(SystemClock))
    }
}

fn id(n: u64) -> ChainId {
    ChainId::new(40_000 + n).unwrap()
}

fn genesis(key: &NodeKey, n: u64) -> Genesis {
    Genesis {
        record: Record::development(id(n), 1_700_000_000_000),
        validators: ValidatorSet::single(key.address()),
        network_id: NetworkId(B256::repeat_byte(3)),
        creator: (n > 0).then_some(HubBlock {
            hash: B256::repeat_byte(9),
            ms: 1_700_000_000_123,
        }),
        registry: None,
    }
}

fn start(folder: &Path) -> Host {
    Host::start(folder, &options(), None, |key| genesis(key, 0)).unwrap()
}

/// Sends nothing to nobody.
fn signed(sender: u8, chain_id: ChainId, nonce: u64) -> Recovered<TxEnvelope> {
    let sender = NodeKey::from_bytes(&[sender; 32]).unwrap();
    let unsigned = TxEip1559 {
        chain_id: chain_id.get(),
        nonce,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::ZERO,
        ..TxEip1559::default()
    };
    let signed = sender.sign(unsigned.signature_hash());
    let signature = Signature::from_raw(&signed.0).unwrap();
    let envelope = TxEnvelope::from(unsigned.into_signed(signature));
    Recovered::new_unchecked(envelope, sender.address())
}

/// Sends nothing to nobody, and waits until it is final.
async fn transfer(chain: &ChainHandle, chain_id: ChainId, nonce: u64) -> u64 {
    let transaction = signed(5, chain_id, nonce);
    let mut heads = chain.heads();
    let verdicts = chain.submit(vec![transaction]).await;
    assert!(verdicts[0].is_ok(), "{verdicts:?}");
    heads.recv().await.unwrap().block.header.number
}

fn height(chain: &ChainHandle) -> u64 {
    chain.reader().moment().unwrap().head().header.number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_park_and_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    for n in 1..=40 {
        let chain = host.hosting().create(genesis(host.key(), n)).await.unwrap();
        assert_eq!(transfer(&chain, id(n), 0).await, 1);
        drop(chain);
        assert!(host.hosting().awake_count() <= AWAKE, "chain {n}");
    }
    // Long parked, and it goes on; what it cites is the hub block that created it.
    let chain = host.hosting().open(id(1)).await.unwrap().unwrap();
    assert_eq!(transfer(&chain, id(1), 1).await, 2);
    let head = chain.reader().moment().unwrap().head().clone();
    assert_eq!(
        head.header.parent_beacon_block_root,
        Some(B256::repeat_byte(9))
    );
    drop(chain);
    assert!(host.hosting().open(id(41)).await.unwrap().is_none());
    host.stop().await;

    let host = start(folder.path());
    assert_eq!(host.hosting().chains().unwrap().len(), 41);
    for n in 1..=40 {
        let chain = host.hosting().open(id(n)).await.unwrap().unwrap();
        assert_eq!(height(&chain), if n == 1 { 2 } else { 1 }, "chain {n}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_chain_is_not_parked() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    let mut held = Vec::new();
    for n in 1..=12 {
        held.push(host.hosting().create(genesis(host.key(), n)).await.unwrap());
    }
    // More than the bound, because all of them are in use.
    assert_eq!(host.hosting().awake_count(), 13);
    for (chain, n) in held.iter().zip(1..) {
        assert_eq!(transfer(chain, id(n), 0).await, 1);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_released_under_all_chains_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    // It waits for the ones before it, however long.
    let chain = host.hosting().create(genesis(host.key(), 1)).await.unwrap();
    let verdicts = chain.submit(vec![signed(6, id(1), 3)]).await;
    assert!(verdicts[0].is_ok(), "{verdicts:?}");
    drop(chain);
    // A block on each of six chains, every round: together many times what may lie in the log.
    let rounds = 400;
    for nonce in 0..rounds {
        for n in 1..=6 {
            let chain = host.hosting().create(genesis(host.key(), n)).await.unwrap();
            assert_eq!(transfer(&chain, id(n), nonce).await, nonce + 1);
        }
    }
    let segments = std::fs::read_dir(host.path().join("log")).unwrap().count();
    assert!(
        segments <= 8,
        "{segments} segments: the log was not released"
    );
    host.stop().await;
    let host = start(folder.path());
    for n in 1..=6 {
        let chain = host.hosting().open(id(n)).await.unwrap().unwrap();
        assert_eq!(height(&chain), rounds);
        assert_eq!(chain.pool(|pool| pool.len()), usize::from(n == 1));
        assert_eq!(transfer(&chain, id(n), rounds).await, rounds + 1);
    }
    host.stop().await;
}

/// Proposals and votes of a chain that the log has: nobody else is there who could have signed them.
fn signed_messages(folder: &Path, chain_id: ChainId) -> usize {
    let (log, _) = SegmentLog::open(&folder.join("log"), options().segments).unwrap();
    let mut count = 0;
    let visit = &mut |entry: store::log::Entry| {
        if entry.chain == chain_id.get() {
            let entry = Entry::decode(&entry.payload).unwrap();
            count += usize::from(matches!(entry, Entry::Consensus(Step::Message(_))));
        }
        true
    };
    log.replay(Position::default(), visit).unwrap();
    count
}

/// Longer than a city waits for another's proposal before it votes for none, and a hundred times what a block takes.
const LONG_ENOUGH: Duration = Duration::from_millis(900);

/// Gives a chain a transaction, and waits long enough for a block, or for a vote.
async fn takes_no_transaction(chain: &ChainHandle, chain_id: ChainId) {
    let mut heads = chain.heads();
    drop(chain.submit(vec![signed(7, chain_id, 0)]).await);
    let block = tokio::time::timeout(LONG_ENOUGH, heads.recv()).await;
    assert!(block.is_err(), "a block: {block:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_is_removed_and_a_city_that_is_back_signs_no_height_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    for n in 1..=2 {
        let chain = host.hosting().create(genesis(host.key(), n)).await.unwrap();
        for nonce in 0..3 {
            assert_eq!(transfer(&chain, id(n), nonce).await, nonce + 1);
        }
    }
    assert!(
        !host.hosting().remove(id(1)).await.unwrap(),
        "it is not over"
    );
    assert!(host.hosting().set_over(id(1), Some(5)).unwrap());
    assert!(host.hosting().remove(id(1)).await.unwrap());
    assert!(host.hosting().open(id(1)).await.unwrap().is_none());
    assert_eq!(host.hosting().chains().unwrap(), [id(0), id(2)]);
    host.stop().await;

    // The log still has all of it.
    let host = start(folder.path());
    assert!(host.hosting().open(id(1)).await.unwrap().is_none());
    let chain = host.hosting().create(genesis(host.key(), 1)).await.unwrap();
    assert_eq!(height(&chain), 0);
    takes_no_transaction(&chain, id(1)).await;
    drop(chain);
    host.stop().await;

    let host = start(folder.path());
    let chain = host.hosting().open(id(1)).await.unwrap().unwrap();
    assert_eq!(height(&chain), 0, "it began anew, and its city is silent");
    takes_no_transaction(&chain, id(1)).await;
    let other = host.hosting().open(id(2)).await.unwrap().unwrap();
    assert_eq!(transfer(&other, id(2), 3).await, 4);
    host.stop().await;
}

/// Chain 1 with another validator, who is not there: nothing is decided.
fn of_two(key: &NodeKey) -> Genesis {
    let absent = NodeKey::from_bytes(&[8; 32]).unwrap().address();
    let both = [key.address(), absent].map(|address| Validator { address, power: 1 });
    Genesis {
        validators: ValidatorSet::new(both.to_vec()).unwrap(),
        ..genesis(key, 1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_log_is_noticed_by_a_chain_that_had_been_over() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    let chain = host.hosting().create(of_two(host.key())).await.unwrap();
    takes_no_transaction(&chain, id(1)).await;
    // Whoever holds a chain keeps the tables open beyond the host's end.
    drop(chain);
    assert!(host.hosting().set_over(id(1), Some(5)).unwrap());
    assert!(host.hosting().end_if_over(id(1)).await.unwrap());
    assert!(host.hosting().set_over(id(1), None).unwrap());
    let path = host.path().to_owned();
    host.stop().await;
    // As when the chain has gone on since, to where this city may speak again.
    let tables = LsmTables::open(&path.join("tables"), options().tables).unwrap();
    let tables = Arc::new(tables);
    Register::new(Arc::clone(&tables) as _)
        .spoke(id(1))
        .unwrap();
    tables.flush().unwrap();
    drop(tables);
    std::fs::remove_dir_all(path.join("log")).unwrap();

    for _ in 0..2 {
        let host = start(folder.path());
        let chain = host.hosting().open(id(1)).await.unwrap().unwrap();
        takes_no_transaction(&chain, id(1)).await;
        drop(chain);
        host.stop().await;
        assert_eq!(signed_messages(&path, id(1)), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_over_is_ended_with_a_height_open_and_that_height_is_not_signed_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    let begun = of_two(host.key());
    let chain = host.hosting().create(begun).await.unwrap();
    takes_no_transaction(&chain, id(1)).await;
    // Whoever holds a chain keeps the tables open beyond the host's end.
    drop(chain);
    assert!(!host.hosting().end_if_over(id(1)).await.unwrap());
    assert!(host.hosting().set_over(id(1), Some(5)).unwrap());
    assert!(host.hosting().end_if_over(id(1)).await.unwrap());
    assert!(!host.hosting().is_awake(id(1)));
    let path = host.path().to_owned();
    host.stop().await;
    let before = signed_messages(&path, id(1));
    assert!(before > 0, "a height was open");

    // Back, and asked for a block again: by rows in one life, by rows and log in the next.
    let host = start(folder.path());
    assert!(host.hosting().set_over(id(1), None).unwrap());
    let chain = host.hosting().open(id(1)).await.unwrap().unwrap();
    takes_no_transaction(&chain, id(1)).await;
    drop(chain);
    host.stop().await;
    let host = start(folder.path());
    let chain = host.hosting().open(id(1)).await.unwrap().unwrap();
    takes_no_transaction(&chain, id(1)).await;
    drop(chain);
    host.stop().await;
    assert_eq!(signed_messages(&path, id(1)), before);
}
