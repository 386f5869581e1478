//! Tries of 32-byte keys against `alloy_trie`, without hashing the keys, so that long shared prefixes and inline
//! nodes occur.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use alloy_primitives::{Bytes, hex, keccak256};
use alloy_trie::proof::verify_proof;
use alloy_trie::{HashBuilder, Nibbles};
use proptest::prelude::*;

use super::*;

const TRIE: Trie = Trie::Accounts;

/// Rows as a store holds them: branches encoded, leaves apart.
#[derive(Clone, Debug, Default)]
struct Rows {
    branches: HashMap<Path, Vec<u8>>,
    leaves: BTreeMap<B256, Vec<u8>>,
}

impl Source for Rows {
    fn branch(&self, _: &Trie, path: &Path) -> Result<Option<Branch>, StateError> {
        self.branches
            .get(path)
            .map(|row| Branch::from_row(row))
            .transpose()
    }

    fn first_leaf(&self, _: &Trie, path: &Path) -> Result<Option<(B256, Vec<u8>)>, StateError> {
        let (from, to) = path.keys();
        Ok(self
            .leaves
            .range(from..=to)
            .next()
            .map(|(key, value)| (*key, value.clone())))
    }
}

type Batch = BTreeMap<B256, Option<Vec<u8>>>;

impl Rows {
    fn prepare(&self, batch: &Batch, start: Start) -> Updated {
        if batch.is_empty() {
            return Updated {
                root: root_of(self, &TRIE).unwrap(),
                changed: Vec::new(),
            };
        }
        let changes: Vec<_> = batch
            .iter()
            .map(|(key, value)| {
                let existed = self.leaves.contains_key(key);
                Change {
                    key: *key,
                    value: value.as_deref(),
                    existed,
                }
            })
            .collect();
        update(self, &TRIE, start, &changes).unwrap()
    }

    fn commit(&mut self, batch: Batch, updated: &Updated) {
        for BranchChange { path, old, new } in updated.changed.iter().flat_map(Changed::iter) {
            let before = match new {
                Some(new) => self.branches.insert(*path, new.to_vec()),
                None => self.branches.remove(path),
            };
            assert_eq!(
                before.as_deref(),
                old,
                "what was there before is told rightly"
            );
            assert_ne!(old, new, "what is told differs");
        }
        for (key, value) in batch {
            match value {
                Some(value) => self.leaves.insert(key, value),
                None => self.leaves.remove(&key),
            };
        }
    }

    fn apply(&mut self, batch: Batch) -> B256 {
        let updated = self.prepare(&batch, Start::Stored);
        self.commit(batch, &updated);
        updated.root
    }

    fn fresh(&self) -> Self {
        let batch: Batch = self
            .leaves
            .iter()
            .map(|(key, value)| (*key, Some(value.clone())))
            .collect();
        let mut fresh = Self::default();
        let updated = fresh.prepare(&batch, Start::Empty);
        fresh.commit(batch, &updated);
        fresh
    }

    fn expected_root(&self) -> B256 {
        let mut builder = HashBuilder::default();
        for (key, value) in &self.leaves {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        builder.root()
    }

    fn check(&self, root: B256) {
        assert_eq!(root, self.expected_root());
        assert_eq!(root, root_of(self, &TRIE).unwrap());
        assert_eq!(self.branches, self.fresh().branches);
    }

    fn check_proof(&self, root: B256, key: B256) {
        let proof: Vec<Bytes> = prove(self, &TRIE, &key).unwrap();
        let value = self.leaves.get(&key).cloned();
        verify_proof(root, Nibbles::unpack(key), value.clone(), &proof).unwrap();
        let mut wrong = value.unwrap_or_else(|| vec![0x11]);
        wrong[0] ^= 1;
        verify_proof(root, Nibbles::unpack(key), Some(wrong), &proof).unwrap_err();
    }
}

/// Keys that crowd: hashes, few first nibbles, and runs that differ late.
fn key() -> impl Strategy<Value = B256> {
    prop_oneof![
        any::<u8>().prop_map(|seed| keccak256([seed])),
        any::<[u8; 2]>().prop_map(|[a, b]| {
            let mut key = B256::ZERO;
            key[0] = a & 0x11;
            key[1] = b & 0x11;
            key
        }),
        (0..64_usize, 0..16_u8, 0..3_u8).prop_map(|(at, nibble, fill)| {
            let mut key = B256::repeat_byte(fill);
            let shift = if at % 2 == 0 { 4 } else { 0 };
            key[at / 2] = key[at / 2] & !(0x0f << shift) | nibble << shift;
            key
        }),
        (0..4_u8, any::<u8>()).prop_map(|(a, b)| {
            let mut key = B256::repeat_byte(0x77);
            key[30] = a;
            key[31] = b & 0x33;
            key
        }),
    ]
}

/// Values of one byte make inline nodes, those of 70 or more are as long as accounts.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (1..0x80_u8).prop_map(|byte| vec![byte]),
        proptest::collection::vec(any::<u8>(), 2..34),
        proptest::collection::vec(any::<u8>(), 54..110),
    ]
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let change = prop_oneof![3 => value().prop_map(Some), 2 => Just(None)];
    proptest::collection::vec(proptest::collection::btree_map(key(), change, 1..40), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn roots_rows_and_proofs_are_those_of_a_trie_built_fresh(batches in batches(), others in batches()) {
        let mut rows = Rows::default();
        let mut candidates = others.iter().cycle();
        for batch in batches {
            // A candidate that is thrown away changes nothing.
            if let Some(other) = candidates.next() {
                rows.prepare(other, Start::Stored);
            }
            let asked: Vec<B256> = batch.keys().copied().collect();
            let root = rows.apply(batch);
            rows.check(root);
            for key in asked {
                rows.check_proof(root, key);
            }
        }
        for key in others.iter().flat_map(Batch::keys) {
            rows.check_proof(rows.expected_root(), *key);
        }
        let everything = rows.leaves.keys().map(|key| (*key, None)).collect();
        prop_assert_eq!(rows.apply(everything), crate::EMPTY_ROOT);
        prop_assert!(rows.branches.is_empty() && rows.leaves.is_empty());
    }

    #[test]
    fn a_row_of_any_bytes_is_read_or_refused_and_what_is_read_is_written_alike(
        row in proptest::collection::vec(prop_oneof![Just(0_u8), Just(3), Just(0xc2), any::<u8>()], 0..90)
    ) {
        if let Ok(branch) = Branch::from_row(&row) {
            let mut work = branch::Work::new(Vec::new());
            work.load(&branch);
            let mut written = Vec::new();
            work.write(&mut written);
            prop_assert_eq!(written, row);
        }
    }
}

#[test]
fn inline_nodes_occur_here() {
    let mut rows = Rows::default();
    let batch = (0..4_u8)
        .map(|last| {
            let mut key = B256::repeat_byte(0x77);
            key[31] = last;
            (key, Some(vec![last + 1]))
        })
        .collect();
    let root = rows.apply(batch);
    rows.check(root);
    let branch = rows.branch(&TRIE, &Path::ROOT).unwrap().unwrap();
    let mut work = branch::Work::new(Vec::new());
    work.load(&branch);
    assert_eq!((work.mask, work.inline), (0x000f, 0x000f));
}

#[test]
fn a_large_batch_gives_the_root_of_the_same_leaves_one_by_one() {
    let leaf = |n: u32, round: u8| (keccak256(n.to_be_bytes()), Some(vec![round + 1; 70]));
    let mut rows = Rows::default();
    let root = rows.apply((0..6_000).map(|n| leaf(n, 0)).collect());
    rows.check(root);
    let mut singly = rows.clone();
    let batch: Batch = (0..3_000_u32)
        .map(|n| match n % 3 {
            0 => (keccak256((n * 5).to_be_bytes()), None),
            1 => leaf(n * 7, 1),
            _ => leaf(100_000 + n, 2),
        })
        .collect();
    let root = rows.apply(batch.clone());
    rows.check(root);
    let mut last = B256::ZERO;
    for (key, value) in batch {
        last = singly.apply(Batch::from([(key, value)]));
    }
    assert_eq!(last, root);
    assert_eq!(singly.branches, rows.branches);
}

#[test]
fn a_large_batch_may_leave_nothing_or_one_branch_below_the_root() {
    let keys: Vec<B256> = (0..4_000_u32).map(|n| keccak256(n.to_be_bytes())).collect();
    let mut rows = Rows::default();
    rows.apply(keys.iter().map(|key| (*key, Some(vec![1; 70]))).collect());
    let mut first = rows.clone();
    let root = first.apply(
        keys.iter()
            .filter(|key| key[0] >> 4 != 7)
            .map(|key| (*key, None))
            .collect(),
    );
    first.check(root);
    assert!(!first.leaves.is_empty());
    assert_eq!(
        rows.apply(keys.iter().map(|key| (*key, None)).collect()),
        crate::EMPTY_ROOT
    );
    assert!(rows.branches.is_empty());
}

#[test]
fn what_two_threads_share_keeps_its_order() {
    for count in [0, 1, 2, 3, 1_000] {
        let done = share((0..count).collect(), |n: usize| n * 3);
        assert_eq!(done, (0..count).map(|n| n * 3).collect::<Vec<_>>());
    }
}

fn vectors() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "where a test finds its vectors is no configuration"
    )]
    let folder = std::env::var("CAUSEWAY_VECTORS").unwrap_or_else(|_| "../shared/vectors".into());
    // A relative path counts from the root of the repository.
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder)
}

/// A key and what becomes of it, as the vectors write both: hex after 0x, else text.
fn vector_bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).unwrap(),
        None => text.as_bytes().to_vec(),
    }
}

#[test]
fn ethereums_vectors_of_secure_tries_hold() {
    let mut roots = 0;
    for file in [
        "trietest_secureTrie",
        "trieanyorder_secureTrie",
        "hex_encoded_securetrie_test",
    ] {
        let path = vectors()
            .join("ethereum-tests/TrieTests")
            .join(file)
            .with_extension("json");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let cases: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        for (name, case) in cases {
            let steps: Vec<(String, Option<String>)> = match &case["in"] {
                list @ serde_json::Value::Array(_) => serde_json::from_value(list.clone()).unwrap(),
                map => serde_json::from_value::<BTreeMap<_, _>>(map.clone())
                    .unwrap()
                    .into_iter()
                    .collect(),
            };
            let mut rows = Rows::default();
            let mut root = crate::EMPTY_ROOT;
            for (key, value) in steps {
                let key = keccak256(vector_bytes(&key));
                root = rows.apply(Batch::from([(key, value.as_deref().map(vector_bytes))]));
            }
            rows.check(root);
            assert_eq!(
                root.to_string(),
                case["root"].as_str().unwrap(),
                "{file}: {name}"
            );
            roots += 1;
        }
    }
    assert_eq!(roots, 8);
}
