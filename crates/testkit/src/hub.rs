//! A hub without contracts: certified headers over a state that holds what the test says of one chain.
//!
//! Headers, certificates and proofs are real; nothing is executed. Cities see as much of it as they are let see.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_trie::proof::ProofRetainer;
use alloy_trie::{HashBuilder, Nibbles, TrieAccount};
use chain::{Cited, Hub};
use parking_lot::RwLock;
use types::certificate::CommitSignature;
use types::citation::{CertifiedHeader, MAX_HUB_BLOCKS, REGISTRY, hub_of, slots};
use types::genesis::HubBlock;
use types::{
    BlockRequests, Certificate, ChainId, Citation, Domain, NetworkId, NodeKey, Validator,
    ValidatorSet,
};

/// What a hub holds of the chain, with proofs.
#[derive(Debug)]
struct State {
    root: B256,
    account: Bytes,
    account_proof: Vec<Bytes>,
    hashes: [B256; 2],
    proofs: [Vec<Bytes>; 2],
}

/// A block, as far as it is kept: headers are made again from this.
#[derive(Clone, Copy, Debug)]
struct Row {
    hash: B256,
    state: usize,
    /// Who signs the next one.
    signers: usize,
    from_height: u64,
}

/// All blocks of a hub.
#[derive(Debug)]
pub struct SimulatedHub {
    domain: Domain,
    n: u64,
    start_ms: u64,
    /// By number; those that were jumped over are not there.
    rows: BTreeMap<u64, Row>,
    numbers: HashMap<B256, u64>,
    states: Vec<State>,
    /// Keys that are the hub's validators by turns.
    signers: Vec<Vec<NodeKey>>,
    /// Numbers of blocks that name other validators than their parents.
    handovers: Vec<u64>,
    /// Sets that were named for the chain.
    named: BTreeMap<B256, ValidatorSet>,
    record_hash: B256,
    /// How many blocks before the latest one can still be proven to hold something.
    history: u64,
}

/// A leaf's way from the root, with the root.
fn prove(leaves: &BTreeMap<B256, Vec<u8>>, wanted: &[B256]) -> (B256, Vec<Vec<Bytes>>) {
    let targets: Vec<_> = wanted.iter().map(|key| Nibbles::unpack(key)).collect();
    let mut builder =
        HashBuilder::default().with_proof_retainer(ProofRetainer::new(targets.clone()));
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes();
    let way = |target: &Nibbles| {
        let nodes = nodes.matching_nodes_sorted(target);
        nodes.into_iter().map(|(_, node)| node).collect()
    };
    (root, targets.iter().map(way).collect())
}

fn state(n: u64, hashes: [B256; 2]) -> State {
    let keys = slots(n).map(keccak256);
    let word = |value: B256| alloy_rlp::encode(U256::from_be_bytes(value.0));
    let mut storage: BTreeMap<B256, Vec<u8>> = keys.into_iter().zip(hashes.map(word)).collect();
    // Others' slots beside them.
    for other in n + 1..n + 9 {
        for slot in slots(other) {
            storage.insert(keccak256(slot), word(keccak256(slot)));
        }
    }
    let (storage_root, mut proofs) = prove(&storage, &keys);
    let account = alloy_rlp::encode(TrieAccount::new(
        1,
        U256::ZERO,
        storage_root,
        keccak256("code"),
    ));
    let key = keccak256(REGISTRY);
    let other = alloy_rlp::encode(TrieAccount::default());
    let mut accounts: BTreeMap<B256, Vec<u8>> = (0_u8..7)
        .map(|byte| (keccak256([byte; 20]), other.clone()))
        .collect();
    accounts.insert(key, account.clone());
    let (root, mut account_proofs) = prove(&accounts, &[key]);
    let record_proof = proofs.pop().expect("a proof for each slot");
    State {
        root,
        account: account.into(),
        account_proof: account_proofs.pop().expect("one proof"),
        hashes,
        proofs: [proofs.pop().expect("a proof for each slot"), record_proof],
    }
}

fn set_of(keys: &[NodeKey]) -> ValidatorSet {
    let validators = keys.iter().map(|key| Validator {
        address: key.address(),
        power: 1,
    });
    ValidatorSet::new(validators.collect()).expect("some keys")
}

impl SimulatedHub {
    /// A hub with block 0, in the network of `domain`, which is the chain's; it holds `set` and `record_hash` for the chain.
    ///
    /// # Panics
    ///
    /// When the chain's id is of no network's form.
    #[must_use]
    pub fn new(domain: &Domain, set: ValidatorSet, record_hash: B256, start_ms: u64) -> Self {
        let (hub, n) = hub_of(domain.chain_id).expect("a chain of a network");
        let keys = |byte: u8| {
            let key = |k| NodeKey::from_bytes(&[byte + k; 32]).expect("a small number is a key");
            (0..4).map(key).collect::<Vec<_>>()
        };
        let mut it = Self {
            domain: Domain::new(hub, domain.network_id),
            n,
            start_ms,
            rows: BTreeMap::new(),
            numbers: HashMap::new(),
            states: vec![state(n, [set.hash(), record_hash])],
            signers: vec![keys(100), keys(110)],
            handovers: Vec::new(),
            named: BTreeMap::from([(set.hash(), set)]),
            record_hash,
            history: u64::MAX,
        };
        let first = Row {
            hash: B256::ZERO,
            state: 0,
            signers: 0,
            from_height: 1,
        };
        it.put_row(0, first);
        it
    }

    /// Forgets the states of blocks that are further behind the latest one than this, as a copy with bounded history does.
    pub const fn keep_history(&mut self, blocks: u64) {
        self.history = blocks;
    }

    /// The network.
    #[must_use]
    pub const fn network_id(&self) -> NetworkId {
        self.domain.network_id
    }

    /// The latest block's number.
    ///
    /// # Panics
    ///
    /// Never: block 0 is there from the beginning.
    #[must_use]
    pub fn height(&self) -> u64 {
        let last = self.rows.last_key_value();
        *last.expect("block 0 is there").0
    }

    /// A block as chains cite it.
    #[must_use]
    pub fn block(&self, number: u64) -> HubBlock {
        HubBlock {
            hash: self.row(number).hash,
            ms: self.ms(number),
        }
    }

    /// The number of a block.
    #[must_use]
    pub fn number(&self, hash: B256) -> Option<u64> {
        self.numbers.get(&hash).copied()
    }

    /// The set that it holds for the chain after a block.
    #[must_use]
    pub fn held(&self, number: u64) -> &ValidatorSet {
        &self.named[&self.states[self.row(number).state].hashes[0]]
    }

    /// How many of its own handovers are after a block.
    #[must_use]
    pub fn handovers_after(&self, number: u64) -> usize {
        let up_to = self.handovers.partition_point(|at| *at <= number);
        self.handovers.len() - up_to
    }

    /// A set that was named, by its hash.
    #[must_use]
    pub fn named(&self, hash: B256) -> Option<&ValidatorSet> {
        self.named.get(&hash)
    }

    /// Makes so many blocks that change nothing.
    pub fn grow(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let last = self.row(self.height());
            self.push_row(last);
        }
    }

    /// Is so many blocks further at once, of which only the last one is made, and the handovers where the hub's validators
    /// take turns every so many blocks. Nobody who follows certificates sees a difference.
    ///
    /// # Panics
    ///
    /// When that is no block at all.
    pub fn jump(&mut self, blocks: u64, turn: Option<u64>) {
        let end = self.height() + blocks;
        assert!(blocks > 0, "a jump goes on");
        while let Some(turn) = turn.map(|turn| self.height() + turn)
            && turn < end
        {
            self.put_row(turn - 1, self.row(self.height()));
            self.hand_over();
        }
        self.put_row(end, self.row(self.height()));
    }

    /// Makes a block whose state holds this set for the chain.
    pub fn name(&mut self, set: ValidatorSet) {
        let hash = set.hash();
        self.named.insert(hash, set);
        self.states.push(state(self.n, [hash, self.record_hash]));
        self.push_row(Row {
            state: self.states.len() - 1,
            ..self.row(self.height())
        });
    }

    /// Makes a block that names other validators of the hub.
    pub fn hand_over(&mut self) {
        let last = self.row(self.height());
        let number = self.height() + 1;
        self.handovers.push(number);
        self.push_row(Row {
            signers: 1 - last.signers,
            from_height: number + 1,
            ..last
        });
    }

    fn row(&self, number: u64) -> Row {
        self.rows[&number]
    }

    /// A tenth of a second from block to block.
    const fn ms(&self, number: u64) -> u64 {
        self.start_ms + number * 100
    }

    fn push_row(&mut self, row: Row) {
        self.put_row(self.height() + 1, row);
    }

    fn put_row(&mut self, number: u64, row: Row) {
        self.rows.insert(number, row);
        let hash = self.header(number).hash_slow();
        self.rows.insert(number, Row { hash, ..row });
        self.numbers.insert(hash, number);
    }

    fn requests(&self, row: Row) -> BlockRequests {
        BlockRequests {
            outbox_root: B256::ZERO,
            set_hash: set_of(&self.signers[row.signers]).hash(),
            record_hash: B256::repeat_byte(4),
            from_height: row.from_height,
        }
    }

    fn header(&self, number: u64) -> Header {
        let row = self.row(number);
        let ms = self.ms(number);
        Header {
            parent_hash: number.checked_sub(1).map_or(B256::ZERO, |before| {
                let row = self.rows.get(&before);
                row.map_or_else(|| keccak256(before.to_be_bytes()), |row| row.hash)
            }),
            number,
            state_root: self.states[row.state].root,
            timestamp: ms / 1_000,
            extra_data: types::header::extra_data(ms),
            base_fee_per_gas: Some(0),
            withdrawals_root: Some(alloy_trie::EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(self.requests(row).hash()),
            ..Header::default()
        }
    }

    fn certified(&self, number: u64) -> CertifiedHeader {
        let before = self.rows.range(..number).next_back();
        let signers = &self.signers[before.map_or(0, |(_, row)| row.signers)];
        let hash = self.row(number).hash;
        let digest = self.domain.commit_hash(number, 0, hash);
        let mut signatures: Vec<_> = signers[..3]
            .iter()
            .map(|key| CommitSignature {
                address: key.address(),
                signature: key.sign(digest),
            })
            .collect();
        signatures.sort_by_key(|signed| signed.address);
        let certificate = Certificate {
            height: number,
            round: 0,
            block_hash: hash,
            signatures,
        };
        CertifiedHeader {
            header: self.header(number),
            requests: self.requests(self.row(number)).to_requests().take(),
            certificate: certificate.encode().into(),
        }
    }

    /// The proof of the furthest block up to `newest` that one from `from` on reaches; `None` when that is not above it.
    #[must_use]
    pub fn cite(&self, from: B256, newest: u64, latest: &BlockRequests) -> Option<Cited> {
        let start = self.number(from)?;
        let first = self.handovers.partition_point(|number| *number <= start);
        let mut on_the_way = self.handovers[first..].to_vec();
        on_the_way.retain(|number| *number <= newest);
        let cited = match on_the_way.get(MAX_HUB_BLOCKS - 1) {
            Some(furthest) => *furthest,
            None => newest,
        };
        on_the_way.retain(|number| *number < cited);
        if cited <= start || newest - cited > self.history {
            return None;
        }
        let signing = [start].into_iter().chain(on_the_way.iter().copied());
        let state = &self.states[self.row(cited).state];
        let [set_proof, record_proof] = state.proofs.clone();
        let [set_hash, record_hash] = state.hashes;
        let proof = Citation {
            from: CertifiedHeader {
                certificate: Bytes::new(),
                ..self.certified(start)
            },
            to: on_the_way
                .iter()
                .chain([&cited])
                .map(|number| self.certified(*number))
                .collect(),
            sets: signing
                .map(|number| set_of(&self.signers[self.row(number).signers]))
                .collect(),
            account: state.account.clone(),
            account_proof: state.account_proof.clone(),
            set_hash,
            set_proof,
            record_hash,
            record_proof,
        };
        Some(Cited {
            block: self.block(cited),
            set_hash,
            record_hash,
            proof,
            set: (set_hash != latest.set_hash).then(|| self.named[&set_hash].clone()),
        })
    }
}

/// A city's copy of a simulated hub, which is behind as long as it is not told.
#[derive(Debug)]
pub struct Copy {
    hub: Arc<RwLock<SimulatedHub>>,
    seen: AtomicU64,
}

impl Copy {
    /// A copy that has the first `seen` + 1 blocks.
    #[must_use]
    pub const fn new(hub: Arc<RwLock<SimulatedHub>>, seen: u64) -> Self {
        Self {
            hub,
            seen: AtomicU64::new(seen),
        }
    }

    /// The city sees all that there is.
    pub fn catch_up(&self) {
        self.seen.store(self.hub.read().height(), Ordering::Relaxed);
    }

    /// The latest block that it has.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Hub for Copy {
    fn set_hash(&self, _chain: ChainId, from: B256) -> Option<B256> {
        let (hub, seen) = (self.hub.read(), self.seen());
        let is_newer = hub.number(from).is_some_and(|from| from < seen);
        is_newer.then(|| hub.held(seen).hash())
    }

    fn cite(&self, _chain: ChainId, from: B256, latest: &BlockRequests) -> Option<Cited> {
        self.hub.read().cite(from, self.seen(), latest)
    }
}
