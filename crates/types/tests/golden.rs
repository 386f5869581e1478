//! The bytes that cannot change cheaply, pinned in `tests/vectors/formats.json`.
//!
//! A difference here is a fork: on purpose, with a decision record, or not at all. The JavaScript and Solidity verifiers
//! are tested against the same file.

use alloy_primitives::{Address, B256, Bytes, hex};
use serde_json::{Value, json};
use types::certificate::CommitSignature;
use types::{
    Admission, BlockProof, BlockRequests, Certificate, ChainId, Domain, FeeRule, Fork, Founding,
    NetworkId, NodeKey, Readers, Record, TimeoutBounds, Validator, ValidatorSet,
};

const PINNED: &str = include_str!("../../../tests/vectors/formats.json");

fn keys() -> Vec<NodeKey> {
    let mut keys: Vec<NodeKey> = (1..=4)
        .map(|byte| NodeKey::from_bytes(&[byte; 32]).expect("a key"))
        .collect();
    keys.sort_by_key(NodeKey::address);
    keys
}

fn set() -> ValidatorSet {
    let weighed = keys().into_iter().zip([1, 2, 3, 64]);
    let validators = weighed
        .map(|(key, power)| Validator {
            address: key.address(),
            power,
        })
        .collect();
    ValidatorSet::new(validators).expect("a set")
}

fn record() -> Record {
    Record {
        chain_id: ChainId::new(4_242_424_242).expect("in range"),
        genesis_ms: 1_767_225_600_123,
        gas_limit: 60_000_000,
        fee_rule: FeeRule::Eip1559,
        admission: Admission::Listed(B256::repeat_byte(0xaa)),
        readers: Readers::Placed,
        timeouts: TimeoutBounds {
            least_ms: 50,
            most_ms: 60_000,
        },
        minimum_interval_ms: 250,
        forks: vec![Fork {
            name: String::from("first"),
            activation: 1_800_000_000,
        }],
        development: false,
    }
}

fn text(bytes: &[u8]) -> Value {
    json!(hex::encode_prefixed(bytes))
}

#[expect(clippy::too_many_lines, reason = "a table of what is pinned")]
fn computed() -> Value {
    let (set, record) = (set(), record());
    let founding = Founding {
        name: String::from("a network"),
        founded_ms: 1_767_225_600_000,
        members: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
        cities: vec![keys()[0].address()],
        validators: set.clone(),
        parameters: vec![(String::from("chains-a-day"), 1000)],
    };
    let network_id = founding.network_id();
    let domain = Domain::new(record.chain_id, network_id);
    let (height, round, block_hash) = (258, 3, B256::repeat_byte(0x5b));
    let digest = domain.commit_hash(height, round, block_hash);
    let signed = |key: &NodeKey| CommitSignature {
        address: key.address(),
        signature: key.sign(digest),
    };
    let signatures = keys()[1..].iter().map(signed).collect();
    let certificate = Certificate {
        height,
        round,
        block_hash,
        signatures,
    };
    certificate
        .verify(&domain, &set)
        .expect("its own rules hold");
    let requests = BlockRequests {
        outbox_root: B256::ZERO,
        set_hash: set.hash(),
        record_hash: record.hash(),
        from_height: 258,
    };
    let header = types::genesis::header(&record, &set, None, B256::repeat_byte(0x57));
    let development = Record::development(ChainId::DEVELOPMENT, 1_767_225_600_000);
    json!({
        "keys": keys().iter().map(|key| text(&key.to_bytes())).collect::<Vec<_>>(),
        "founding": { "encoded": text(&founding.encode()), "networkId": network_id.0 },
        "chainIds": {
            "hub": ChainId::of_network(network_id, 0).expect("n is in range").get(),
            "last": ChainId::of_network(network_id, (1 << 21) - 1).expect("n is in range").get(),
            "ofTheHighestNetwork": ChainId::of_network(NetworkId(B256::repeat_byte(0xff)), 7).expect("in range").get(),
        },
        "domain": {
            "chainId": record.chain_id.get(),
            "networkId": network_id.0,
            "separator": domain.separator(),
        },
        "votes": {
            "height": height, "round": round, "blockHash": block_hash, "polRound": 2,
            "commit": digest,
            "commitNil": domain.commit_hash(height, round, B256::ZERO),
            "prevote": domain.prevote_hash(height, round, block_hash),
            "proposal": domain.proposal_hash(height, round, 2, block_hash),
            "proposalWithoutPolka": domain.proposal_hash(height, round, -1, block_hash),
        },
        "validators": {
            "set": set.validators().iter().map(|v| json!([v.address, v.power])).collect::<Vec<_>>(),
            "encoded": text(&alloy_rlp::encode(&set)),
            "hash": set.hash(),
        },
        "record": { "encoded": text(&record.encode()), "hash": record.hash() },
        "developmentRecord": { "encoded": text(&development.encode()), "hash": development.hash() },
        "requests": {
            "outboxRoot": requests.outbox_root, "setHash": requests.set_hash, "recordHash": requests.record_hash,
            "from": requests.from_height,
            "list": requests.to_requests().take(),
            "hash": requests.hash(),
        },
        "certificate": { "encoded": text(&certificate.encode()) },
        "genesis": {
            "stateRoot": header.state_root,
            "header": text(&alloy_rlp::encode(&header)),
            "hash": header.hash_slow(),
        },
        "prevRandao": { "parentHash": block_hash, "number": 259, "value": types::header::prev_randao(block_hash, 259) },
        "time": { "milliseconds": record.genesis_ms, "extraData": types::header::extra_data(record.genesis_ms) },
    })
}

#[test]
fn the_formats_are_what_they_were() {
    let computed = computed();
    let pinned: Value = serde_json::from_str(PINNED).expect("the vectors are JSON");
    let found = serde_json::to_string_pretty(&computed).expect("it prints");
    assert!(
        pinned == computed,
        "formats changed; now they are:\n{found}"
    );
}

#[test]
fn the_pinned_bytes_read_back() {
    let pinned: Value = serde_json::from_str(PINNED).expect("the vectors are JSON");
    let bytes = |value: &Value| hex::decode(value.as_str().expect("text")).expect("hexadecimal");
    assert_eq!(
        Record::decode(&bytes(&pinned["record"]["encoded"])).expect("a record"),
        record()
    );
    let certificate =
        Certificate::decode(&bytes(&pinned["certificate"]["encoded"])).expect("a certificate");
    assert_eq!(certificate.height, 258);
    let decoded: ValidatorSet =
        alloy_rlp::decode_exact(bytes(&pinned["validators"]["encoded"])).expect("a set");
    assert_eq!(decoded, set());
}

#[test]
fn a_block_is_proven_by_its_certificate_and_by_nothing_less() {
    let (set, record) = (set(), record());
    let domain = Domain::new(record.chain_id, NetworkId(B256::repeat_byte(9)));
    let requests = BlockRequests::genesis(&record, &set);
    let mut header = types::genesis::header(&record, &set, None, B256::repeat_byte(1));
    header.number = 7;
    let hash = header.hash_slow();
    let certify = |keys: &[NodeKey], hash| {
        let digest = domain.commit_hash(7, 0, hash);
        let signed = |key: &NodeKey| CommitSignature {
            address: key.address(),
            signature: key.sign(digest),
        };
        Certificate {
            height: 7,
            round: 0,
            block_hash: hash,
            signatures: keys.iter().map(signed).collect(),
        }
    };
    let proof = |certificate: Certificate| BlockProof {
        header: alloy_rlp::encode(&header).into(),
        requests: requests.to_requests().take(),
        certificate: certificate.encode().into(),
        validators: Some(alloy_rlp::encode(&set).into()),
        record: Some(record.encode().into()),
    };
    let good = proof(certify(&keys()[1..], hash));
    assert_eq!(good.verify(&domain, &set).expect("it holds").hash, hash);
    assert_eq!(good.next_set().expect("it is one"), Some(set.clone()));
    assert_eq!(good.next_record().expect("it is one"), Some(record.clone()));
    assert!(
        proof(certify(&keys()[..3], hash))
            .verify(&domain, &set)
            .is_err(),
        "6 of 70 are no quorum"
    );
    assert!(
        proof(certify(&keys()[1..], B256::repeat_byte(2)))
            .verify(&domain, &set)
            .is_err()
    );
    let mut other = good.clone();
    other.requests[0] = Bytes::from(vec![0xC0; 33]);
    assert!(other.verify(&domain, &set).is_err());
    let mut other = good;
    other.validators = Some(Bytes::from(vec![0xC0]));
    assert!(other.verify(&domain, &set).is_err());
}
