//! The bytes of messages: pinned, bounded, and read back as they were.

use alloy_primitives::{Address, B256, hex};
use proptest::prelude::*;
use types::Signature;
use types::validators::MAX_VALIDATORS;
use types::vote::MAX_ROUND;

use super::{
    DecodeError, FormError, MAX_MESSAGE_BYTES, Message, PolkaCertificate, PolkaSignature, Proposal,
    RoundCertificate, RoundCertificateKind, RoundSignature, Vote, VoteKind,
};

fn vote() -> Vote {
    Vote {
        kind: VoteKind::Precommit,
        height: 7,
        round: 1,
        block_hash: B256::repeat_byte(0xbb),
        validator: Address::repeat_byte(0xaa),
        signature: Signature([0xcc; 65]),
    }
}

fn proposal() -> Proposal {
    Proposal {
        height: 300,
        round: 2,
        pol_round: Some(0),
        block_hash: B256::repeat_byte(0xbb),
        proposer: Address::repeat_byte(0xaa),
        signature: Signature([0xcc; 65]),
    }
}

fn polka() -> PolkaCertificate {
    let signed = |byte| PolkaSignature {
        validator: Address::repeat_byte(byte),
        signature: Signature([0xcc; 65]),
    };
    PolkaCertificate {
        height: 7,
        round: 0,
        block_hash: B256::repeat_byte(0xbb),
        signatures: vec![signed(1), signed(2)],
    }
}

fn round() -> RoundCertificate {
    let signed = |kind, byte, hash| RoundSignature {
        kind,
        block_hash: B256::repeat_byte(hash),
        validator: Address::repeat_byte(byte),
        signature: Signature([0xcc; 65]),
    };
    RoundCertificate {
        kind: RoundCertificateKind::Skip,
        height: 7,
        round: 3,
        signatures: vec![
            signed(VoteKind::Prevote, 1, 0),
            signed(VoteKind::Precommit, 2, 0xbb),
        ],
    }
}

#[test]
fn the_bytes_are_these() {
    let (a, b, c) = ("aa".repeat(20), "bb".repeat(32), "cc".repeat(65));
    let (one, two, nil) = ("01".repeat(20), "02".repeat(20), "00".repeat(32));
    let expected = [
        (
            Message::Vote(vote()),
            format!("0101f87c020701a0{b}94{a}b841{c}"),
        ),
        (
            Message::Proposal(proposal()),
            format!("0102f87e82012c0201a0{b}94{a}b841{c}"),
        ),
        (
            Message::Polka(polka()),
            format!("0103f8d90780a0{b}f8b4f85894{one}b841{c}f85894{two}b841{c}"),
        ),
        (
            Message::Round(round()),
            format!("0104f8fd010703f8f8f87a01a0{nil}94{one}b841{c}f87a02a0{b}94{two}b841{c}"),
        ),
    ];
    for (message, bytes) in expected {
        assert_eq!(hex::encode(message.encode()), bytes, "{message:?}");
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn what_is_no_message_says_why() {
    let bytes = Message::Vote(vote()).encode();
    let with = |at: usize, byte| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        Message::decode(&bytes)
    };
    assert_eq!(with(0, 2), Err(DecodeError::Version { version: 2 }));
    assert_eq!(with(1, 9), Err(DecodeError::Kind { kind: 9 }));
    assert!(
        matches!(with(4, 3), Err(DecodeError::Rlp(_))),
        "a third kind of vote"
    );
    assert_eq!(Message::decode(&[1]), Err(DecodeError::TooShort));
    let long = vec![1; MAX_MESSAGE_BYTES + 1];
    assert!(matches!(
        Message::decode(&long),
        Err(DecodeError::TooLarge { .. })
    ));
    let mut trailing = bytes.clone();
    trailing.push(0);
    assert!(matches!(
        Message::decode(&trailing),
        Err(DecodeError::Rlp(_))
    ));
}

#[test]
fn what_no_validator_may_say_is_no_message() {
    let refused = |message: Message| match Message::decode(&message.encode()) {
        Err(DecodeError::Form(form)) => form,
        other => panic!("{other:?}"),
    };
    let too_high = MAX_ROUND + 1;
    assert_eq!(
        refused(
            Vote {
                round: too_high,
                ..vote()
            }
            .into()
        ),
        FormError::Round { round: too_high }
    );
    let last = Message::from(Vote {
        round: MAX_ROUND,
        ..vote()
    });
    assert_eq!(Message::decode(&last.encode()), Ok(last));

    assert_eq!(
        refused(
            Proposal {
                block_hash: B256::ZERO,
                ..proposal()
            }
            .into()
        ),
        FormError::Nil
    );
    let own_polka = Proposal {
        pol_round: Some(2),
        ..proposal()
    };
    assert_eq!(
        refused(own_polka.into()),
        FormError::PolRound {
            round: 2,
            pol_round: 2
        }
    );
    let endless = Proposal {
        pol_round: Some(u32::MAX),
        ..proposal()
    };
    assert!(matches!(
        refused(endless.into()),
        FormError::PolRound { .. }
    ));

    let nil = PolkaCertificate {
        block_hash: B256::ZERO,
        ..polka()
    };
    assert_eq!(refused(Message::Polka(nil)), FormError::Nil);
    let mut twice = polka();
    twice.signatures[1] = twice.signatures[0];
    assert_eq!(refused(Message::Polka(twice)), FormError::Validators);
    let mut descending = round();
    descending.signatures.reverse();
    assert_eq!(refused(Message::Round(descending)), FormError::Validators);
    let mixed = RoundCertificate {
        kind: RoundCertificateKind::Precommits,
        ..round()
    };
    assert_eq!(refused(Message::Round(mixed)), FormError::Prevote);
}

#[test]
fn the_largest_certificate_fits_and_one_more_validator_does_not() {
    let signed = |index: usize| {
        let mut validator = Address::repeat_byte(0xff);
        validator.0[0] = u8::try_from(index).expect("fewer than 256");
        RoundSignature {
            kind: VoteKind::Precommit,
            block_hash: B256::repeat_byte(0xff),
            validator,
            signature: Signature([0xff; 65]),
        }
    };
    let certificate = |count| {
        Message::Round(RoundCertificate {
            kind: RoundCertificateKind::Precommits,
            height: u64::MAX,
            round: MAX_ROUND,
            signatures: (0..count).map(signed).collect(),
        })
    };
    let largest = certificate(MAX_VALIDATORS);
    assert_eq!(Message::decode(&largest.encode()), Ok(largest));
    assert!(Message::decode(&certificate(MAX_VALIDATORS + 1).encode()).is_err());
}

fn any_hash() -> impl Strategy<Value = B256> {
    prop_oneof![Just(B256::ZERO), any::<[u8; 32]>().prop_map(B256::from)]
}

fn any_signature() -> impl Strategy<Value = Signature> {
    proptest::collection::vec(any::<u8>(), 65)
        .prop_map(|bytes| Signature(bytes.try_into().expect("65 bytes")))
}

fn any_kind() -> impl Strategy<Value = VoteKind> {
    prop_oneof![Just(VoteKind::Prevote), Just(VoteKind::Precommit)]
}

fn any_address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

/// Messages of all kinds, most of them well-formed.
pub(crate) fn any_message() -> impl Strategy<Value = Message> {
    let head = (any::<u64>(), 0..=MAX_ROUND + 1, any_hash());
    let signed = (any_kind(), any_hash(), any_address(), any_signature());
    let signed = signed.prop_map(|(kind, block_hash, validator, signature)| RoundSignature {
        kind,
        block_hash,
        validator,
        signature,
    });
    let signed = proptest::collection::vec(signed, 1..8);
    (0..4, head, any::<Option<u32>>(), signed).prop_map(|(which, head, number, mut signed)| {
        let (height, round, block_hash) = head;
        signed.sort_by_key(|signed| signed.validator);
        let RoundSignature {
            kind,
            validator,
            signature,
            ..
        } = signed[0];
        match which {
            0 => Vote {
                kind,
                height,
                round,
                block_hash,
                validator,
                signature,
            }
            .into(),
            1 => {
                let pol_round = number.map(|number| number % round.max(1));
                Proposal {
                    height,
                    round,
                    pol_round,
                    block_hash,
                    proposer: validator,
                    signature,
                }
                .into()
            }
            2 => {
                let signatures = signed.iter().map(|signed| PolkaSignature {
                    validator: signed.validator,
                    signature: signed.signature,
                });
                let signatures = signatures.collect();
                Message::Polka(PolkaCertificate {
                    height,
                    round,
                    block_hash,
                    signatures,
                })
            }
            _ => {
                let kind = match number {
                    Some(_) => RoundCertificateKind::Skip,
                    None => RoundCertificateKind::Precommits,
                };
                Message::Round(RoundCertificate {
                    kind,
                    height,
                    round,
                    signatures: signed,
                })
            }
        }
    })
}

proptest! {
    #[test]
    fn a_well_formed_message_is_read_back_and_another_is_refused(message in any_message()) {
        let read = Message::decode(&message.encode());
        match message.check_form() {
            Ok(()) => prop_assert_eq!(read, Ok(message)),
            Err(form) => prop_assert_eq!(read, Err(DecodeError::Form(form))),
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_another_message(
        message in any_message(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message.encode();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(read) = Message::decode(bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        kind in 0_u8..6,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [&[1, kind][..], &body].concat();
        if let Ok(read) = Message::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
