//! Messages between cities: read back as they were written, and bounded.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes};
use types::{Certificate, Signature};

use super::{Body, Certified, MAX_TRANSACTIONS, Outline, PeerError, PeerMessage, packed};

fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn header() -> Header {
    Header {
        number: 7,
        extra_data: Bytes::from_static(&[1; 8]),
        withdrawals_root: Some(hash(1)),
        base_fee_per_gas: Some(0),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(hash(2)),
        ..Header::default()
    }
}

fn certificate() -> Certificate {
    Certificate {
        height: 7,
        round: 1,
        block_hash: hash(3),
        signatures: vec![types::certificate::CommitSignature {
            address: Address::repeat_byte(1),
            signature: Signature([27; 65]),
        }],
    }
}

fn one_of_each() -> Vec<PeerMessage> {
    let vote = consensus::Vote {
        kind: consensus::VoteKind::Prevote,
        height: 7,
        round: 0,
        block_hash: hash(3),
        validator: Address::repeat_byte(1),
        signature: Signature([27; 65]),
    };
    let block = alloy_consensus::Block {
        header: header(),
        body: alloy_consensus::BlockBody {
            transactions: Vec::new(),
            ommers: Vec::new(),
            withdrawals: Some(Vec::new().into()),
        },
    };
    vec![
        PeerMessage::Consensus(vote.into()),
        PeerMessage::Outline(Box::new(Outline {
            header: header(),
            requests: vec![Bytes::from_static(&[0xc0; 33])],
            transactions: vec![hash(4), hash(5)],
            beside: None,
        })),
        PeerMessage::GetOutline {
            block_hash: hash(3),
        },
        PeerMessage::GetBodies {
            block_hash: hash(3),
            indexes: vec![0, 3, 16_383],
        },
        PeerMessage::Bodies {
            block_hash: hash(3),
            bodies: vec![Body {
                index: 3,
                raw: Bytes::from_static(b"transaction"),
            }],
        },
        PeerMessage::Tip {
            number: 7,
            hash: hash(3),
        },
        PeerMessage::Certificate(certificate()),
        PeerMessage::GetBlocks { from: 8 },
        PeerMessage::Blocks(vec![Certified {
            block,
            requests: vec![Bytes::from_static(&[0xc0; 33])],
            certificate: certificate().encode().into(),
            beside: None,
        }]),
        PeerMessage::Transactions(vec![Bytes::from_static(b"transaction")]),
        PeerMessage::GetCertificate,
    ]
}

#[test]
fn each_kind_is_read_back_as_it_was_written() {
    for (message, kind) in one_of_each().into_iter().zip(1_u8..) {
        let bytes = message.encode();
        assert_eq!(bytes[..2], [1, kind], "{message:?}");
        assert_eq!(PeerMessage::decode(&bytes).unwrap(), message);
    }
}

#[test]
fn no_cut_and_no_addition_is_a_message() {
    for message in one_of_each() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            assert!(
                PeerMessage::decode(&bytes[..length]).is_err(),
                "{length} bytes of {message:?}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(
            PeerMessage::decode(&longer).is_err(),
            "{message:?} and a byte"
        );
    }
}

#[test]
fn other_versions_and_kinds_are_refused() {
    for head in [[0, 1], [2, 1], [1, 0], [1, 12], [1, 255]] {
        assert!(matches!(
            PeerMessage::decode(&[head[0], head[1], 0xc0]),
            Err(PeerError::Unknown { .. })
        ));
    }
}

#[test]
fn lists_and_bytes_beyond_their_bounds_are_refused() {
    let many = PeerMessage::GetBodies {
        block_hash: hash(3),
        indexes: (0..16_385).collect(),
    };
    assert!(matches!(
        PeerMessage::decode(&many.encode()),
        Err(PeerError::TooMany { count: 16_385, .. })
    ));
    let mut long = vec![1, 10];
    long.resize(2 + super::MAX_TRANSACTIONS_BYTES + 1, 0);
    assert!(matches!(
        PeerMessage::decode(&long),
        Err(PeerError::TooLarge { kind: 10, .. })
    ));
    let blocks = match one_of_each().swap_remove(8) {
        PeerMessage::Blocks(blocks) => blocks,
        other => panic!("{other:?}"),
    };
    let too_many = vec![blocks[0].clone(); super::MAX_BLOCKS + 1];
    assert!(matches!(
        PeerMessage::decode(&PeerMessage::Blocks(too_many).encode()),
        Err(PeerError::TooMany { what: "blocks", .. })
    ));
}

#[test]
fn random_bytes_are_read_or_refused_and_never_panic() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    for message in one_of_each() {
        for _ in 0..2_000 {
            let mut bytes = message.encode();
            for _ in 0..3 {
                let at = usize::from(random()) * 7 % bytes.len();
                bytes[at] = random();
            }
            if let Ok(read) = PeerMessage::decode(&bytes) {
                assert!(PeerMessage::decode(&read.encode()).is_ok());
            }
        }
    }
}

#[test]
fn transactions_are_packed_in_order_into_messages_that_can_be_read() {
    let sizes = [100, 500_000, 500_000, 200_000, 7, 0, 524_288, 524_288];
    let raw: Vec<Bytes> = sizes
        .iter()
        .map(|size| Bytes::from(vec![7; *size]))
        .collect();
    let mut read = Vec::new();
    for message in packed(raw.clone()) {
        match PeerMessage::decode(&message.encode()) {
            Ok(PeerMessage::Transactions(batch)) => read.extend(batch),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read, raw);
    assert_eq!(packed([]).count(), 0);
    let many = vec![Bytes::from_static(&[1]); 2 * MAX_TRANSACTIONS + 1];
    assert_eq!(packed(many).count(), 3);
}
