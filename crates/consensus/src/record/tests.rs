//! The bytes of records: pinned, and read back as they were.

use alloy_primitives::{Address, B256, hex};
use proptest::prelude::*;

use super::{Record, Value};
use crate::message::DecodeError;
use crate::message::tests::any_message;
use crate::timeouts::TimeoutKind;

fn value() -> Value {
    Value {
        height: 7,
        round: 1,
        pol_round: None,
        proposer: Address::repeat_byte(0xaa),
        block_hash: B256::repeat_byte(0xbb),
        valid: true,
    }
}

#[test]
fn the_bytes_are_these() {
    let (a, b) = ("aa".repeat(20), "bb".repeat(32));
    let timeout = Record::Timeout {
        height: 7,
        round: 0,
        kind: TimeoutKind::Precommit,
    };
    let expected = [
        (
            Record::Value(value()),
            format!("0101f83a07018094{a}a0{b}01"),
        ),
        (timeout, "0102c3078003".to_owned()),
    ];
    for (record, bytes) in expected {
        assert_eq!(hex::encode(record.encode()), bytes, "{record:?}");
        assert_eq!(record.height(), 7);
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

#[test]
fn what_is_no_record_says_why() {
    let bytes = Record::Value(value()).encode();
    for length in 0..bytes.len() {
        assert!(Record::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    let refused = |bytes: &[u8]| Record::decode(bytes).expect_err("no record");
    assert_eq!(refused(&[2, 1]), DecodeError::Version { version: 2 });
    assert_eq!(refused(&[1, 4]), DecodeError::Kind { kind: 4 });
    assert_eq!(
        refused(&hex!("0102c3078004")),
        DecodeError::Kind { kind: 4 }
    );
}

proptest! {
    #[test]
    fn a_message_in_the_log_is_read_back_with_its_height(message in any_message()) {
        prop_assume!(message.check_form().is_ok());
        let record = Record::Message(message.clone());
        prop_assert_eq!(record.height(), message.height());
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        kind in 0_u8..5,
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&[1, kind][..], &body].concat();
        if let Ok(read) = Record::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
