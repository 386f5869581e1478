//! What the gate lets in, and what it does not.

use std::sync::Arc;

use alloy_primitives::{B256, U256};
use types::{ChainId, Domain, NetworkId, NodeKey, SignatureError, Validator, ValidatorSet};

use super::{Audience, Refused, authenticate};
use crate::message::{
    FormError, Message, PolkaCertificate, PolkaSignature, RoundCertificate, RoundCertificateKind,
    RoundSignature, VoteKind,
};
use crate::simulation::{domain, keys, proposal, vote};

const BLOCK: B256 = B256::repeat_byte(0xb1);

struct Scene {
    domain: Domain,
    keys: Vec<Arc<NodeKey>>,
    set: Arc<ValidatorSet>,
}

impl Scene {
    fn new() -> Self {
        let (keys, set) = keys(4);
        Self {
            domain: domain(),
            keys,
            set,
        }
    }

    /// As the first city at height 5.
    fn audience(&self) -> Audience<'_> {
        Audience {
            domain: &self.domain,
            set: &self.set,
            height: 5,
            own: self.keys[0].address(),
        }
    }

    fn check(&self, message: impl Into<Message>) -> Result<(), Refused> {
        authenticate(&message.into(), &self.audience()).map(drop)
    }

    fn polka(&self, signers: &[usize]) -> PolkaCertificate {
        let signed = |&index: &usize| PolkaSignature {
            validator: self.keys[index].address(),
            signature: vote(&self.keys[index], VoteKind::Prevote, (5, 2), BLOCK).signature,
        };
        PolkaCertificate {
            height: 5,
            round: 2,
            block_hash: BLOCK,
            signatures: signers.iter().map(signed).collect(),
        }
    }

    fn round(&self, kind: RoundCertificateKind, votes: &[(usize, VoteKind)]) -> RoundCertificate {
        let signed = |&(index, kind): &(usize, VoteKind)| RoundSignature {
            kind,
            block_hash: BLOCK,
            validator: self.keys[index].address(),
            signature: vote(&self.keys[index], kind, (5, 2), BLOCK).signature,
        };
        let signatures = votes.iter().map(signed).collect();
        RoundCertificate {
            kind,
            height: 5,
            round: 2,
            signatures,
        }
    }
}

#[test]
fn votes_and_proposals_of_other_validators_get_in() {
    let scene = Scene::new();
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for hash in [BLOCK, B256::ZERO] {
            assert_eq!(
                scene.check(vote(&scene.keys[1], kind, (5, 0), hash)),
                Ok(())
            );
        }
    }
    for (round, pol_round) in [(0, None), (3, Some(2))] {
        let proposal = proposal(&scene.keys[1], (5, round), pol_round, BLOCK);
        assert_eq!(scene.check(proposal), Ok(()));
    }
}

#[test]
fn only_the_height_that_is_agreed_on_gets_in() {
    let scene = Scene::new();
    let at = |height| vote(&scene.keys[1], VoteKind::Prevote, (height, 0), BLOCK);
    assert_eq!(scene.check(at(4)), Err(Refused::Decided { height: 4 }));
    assert_eq!(scene.check(at(6)), Err(Refused::Early { height: 6 }));
}

#[test]
fn strangers_and_echoes_do_not_get_in() {
    let scene = Scene::new();
    let stranger = NodeKey::from_bytes(&[99; 32]).expect("a key");
    let of_stranger = vote(&stranger, VoteKind::Prevote, (5, 0), BLOCK);
    let signer = stranger.address();
    assert_eq!(scene.check(of_stranger), Err(Refused::Stranger { signer }));
    let own = vote(&scene.keys[0], VoteKind::Prevote, (5, 0), BLOCK);
    assert_eq!(scene.check(own), Err(Refused::Own));
}

#[test]
fn a_signature_counts_for_nothing_but_what_was_signed() {
    let scene = Scene::new();
    let signer = scene.keys[1].address();
    let signed = vote(&scene.keys[1], VoteKind::Prevote, (5, 0), BLOCK);
    let mut others = vec![
        crate::Vote {
            kind: VoteKind::Precommit,
            ..signed
        },
        crate::Vote { round: 1, ..signed },
        crate::Vote {
            block_hash: B256::ZERO,
            ..signed
        },
    ];
    let mut flipped = signed;
    flipped.signature.0[64] ^= 27 ^ 28;
    others.push(flipped);
    for other in others {
        let refused = scene.check(other);
        assert!(
            matches!(
                refused,
                Err(Refused::Forged { .. } | Refused::Signature { .. })
            ),
            "{other:?}: {refused:?}"
        );
    }
    let as_another = crate::Vote {
        validator: scene.keys[2].address(),
        ..signed
    };
    assert_eq!(
        scene.check(as_another),
        Err(Refused::Forged {
            signer: scene.keys[2].address()
        })
    );

    // The second form of the same signature.
    let order = U256::from_str_radix(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        16,
    )
    .expect("a number");
    let mut high = signed;
    let s = U256::from_be_slice(&high.signature.0[32..64]);
    high.signature.0[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    high.signature.0[64] ^= 27 ^ 28;
    let source = SignatureError::HighS;
    assert_eq!(
        scene.check(high),
        Err(Refused::Signature { signer, source })
    );
    let mut raw = signed;
    raw.signature.0[64] -= 27;
    assert!(matches!(scene.check(raw), Err(Refused::Signature { .. })));
}

#[test]
fn another_chain_and_another_network_are_other_domains() {
    let mut scene = Scene::new();
    let signed = vote(&scene.keys[1], VoteKind::Prevote, (5, 0), BLOCK);
    assert_eq!(scene.check(signed), Ok(()));
    let network = scene.domain.network_id;
    for domain in [
        Domain::new(ChainId::new(5).expect("an id"), network),
        Domain::new(ChainId::DEVELOPMENT, NetworkId(B256::repeat_byte(8))),
    ] {
        scene.domain = domain;
        assert!(scene.check(signed).is_err());
    }
}

#[test]
fn a_form_that_was_never_decoded_is_checked_all_the_same() {
    let scene = Scene::new();
    let high = types::vote::MAX_ROUND + 1;
    let beyond = vote(&scene.keys[1], VoteKind::Prevote, (5, high), BLOCK);
    assert_eq!(
        scene.check(beyond),
        Err(Refused::Form(FormError::Round { round: high }))
    );
}

#[test]
fn a_polka_needs_more_than_two_thirds_and_every_signature_right() {
    let scene = Scene::new();
    assert_eq!(scene.check(Message::Polka(scene.polka(&[0, 1, 2]))), Ok(()));
    let few = scene.check(Message::Polka(scene.polka(&[0, 1])));
    assert_eq!(few, Err(Refused::Power { power: 2, total: 4 }));
    let mut precommits = scene.polka(&[0, 1, 2]);
    precommits.signatures[2].signature =
        vote(&scene.keys[2], VoteKind::Precommit, (5, 2), BLOCK).signature;
    let signer = scene.keys[2].address();
    assert_eq!(
        scene.check(Message::Polka(precommits)),
        Err(Refused::Forged { signer })
    );
}

#[test]
fn a_round_is_entered_by_a_third_that_is_there_or_two_thirds_that_are_done() {
    use VoteKind::{Precommit, Prevote};
    let scene = Scene::new();
    let skip = |votes: &[_]| {
        scene.check(Message::Round(
            scene.round(RoundCertificateKind::Skip, votes),
        ))
    };
    let done = |votes: &[_]| {
        scene.check(Message::Round(
            scene.round(RoundCertificateKind::Precommits, votes),
        ))
    };
    assert_eq!(skip(&[(1, Prevote), (2, Precommit)]), Ok(()));
    assert_eq!(
        skip(&[(1, Prevote)]),
        Err(Refused::Power { power: 1, total: 4 })
    );
    assert_eq!(
        done(&[(0, Precommit), (1, Precommit), (2, Precommit)]),
        Ok(())
    );
    let two = done(&[(0, Precommit), (1, Precommit)]);
    assert_eq!(two, Err(Refused::Power { power: 2, total: 4 }));
    let mut forged = scene.round(RoundCertificateKind::Skip, &[(1, Prevote), (2, Prevote)]);
    forged.signatures[1].kind = Precommit;
    assert!(scene.check(Message::Round(forged)).is_err());
}

#[test]
fn power_counts_and_not_heads() {
    let mut scene = Scene::new();
    let heavy = |(index, key): (usize, &Arc<NodeKey>)| Validator {
        address: key.address(),
        power: if index == 3 { 7 } else { 1 },
    };
    let validators = scene.keys.iter().enumerate().map(heavy).collect();
    scene.set = Arc::new(ValidatorSet::new(validators).expect("a sound set"));
    let light = scene.check(Message::Polka(scene.polka(&[0, 1, 2])));
    assert_eq!(
        light,
        Err(Refused::Power {
            power: 3,
            total: 10
        })
    );
    assert_eq!(scene.check(Message::Polka(scene.polka(&[0, 3]))), Ok(()));
}
