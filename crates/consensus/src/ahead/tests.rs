//! What is held of the heights to come, and how much.

use alloy_primitives::B256;
use types::NodeKey;

use super::{Ahead, EACH};
use crate::authentic::{Audience, Refused};
use crate::message::{Message, PolkaCertificate, VoteKind};
use crate::simulation::{domain, keys, vote};

#[test]
fn messages_of_the_next_two_heights_wait_and_others_do_not() {
    let (keys, set) = keys(4);
    let (domain, own) = (domain(), keys[0].address());
    let audience = Audience {
        domain: &domain,
        set: &set,
        height: 5,
        own,
    };
    let at = |height: u64| -> Message {
        vote(&keys[1], VoteKind::Prevote, (height, 0), B256::ZERO).into()
    };
    let mut ahead = Ahead::default();
    assert_eq!(
        ahead.hold(at(4), &audience),
        Err(Refused::Decided { height: 4 })
    );
    for (height, held) in [(5, false), (6, true), (7, true), (8, false)] {
        assert_eq!(
            ahead.hold(at(height), &audience),
            Ok(held),
            "height {height}"
        );
    }
    assert_eq!(ahead.hold(at(6), &audience), Ok(false), "once is enough");
    assert_eq!(ahead.take(6), [at(6)]);
    assert_eq!(ahead.take(6), []);
    assert!(!ahead.is_empty());
    assert_eq!(ahead.take(8), [], "what is passed is forgotten");
    assert!(ahead.is_empty());
}

#[test]
fn each_validator_has_its_own_room_and_strangers_have_none() {
    let (keys, set) = keys(4);
    let (domain, own) = (domain(), keys[0].address());
    let audience = Audience {
        domain: &domain,
        set: &set,
        height: 5,
        own,
    };
    let mut ahead = Ahead::default();
    for round in 0..100 {
        let message = vote(&keys[1], VoteKind::Prevote, (6, round), B256::ZERO).into();
        let room = usize::try_from(round).expect("small") < EACH;
        assert_eq!(ahead.hold(message, &audience), Ok(room));
    }
    let other = vote(&keys[2], VoteKind::Prevote, (6, 0), B256::ZERO).into();
    assert_eq!(ahead.hold(other, &audience), Ok(true));
    let stranger = NodeKey::from_bytes(&[99; 32]).expect("a key");
    let signer = stranger.address();
    let unknown = vote(&stranger, VoteKind::Prevote, (6, 0), B256::ZERO).into();
    assert_eq!(
        ahead.hold(unknown, &audience),
        Err(Refused::Stranger { signer })
    );
    let polka = PolkaCertificate {
        height: 6,
        round: 0,
        block_hash: B256::ZERO,
        signatures: vec![],
    };
    assert_eq!(ahead.hold(Message::Polka(polka), &audience), Ok(false));
    assert_eq!(ahead.take(6).len(), EACH + 1);
}
