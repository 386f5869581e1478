//! Proofs of citations: the honest ones pass, whatever is between; every part that is forged is refused with its reason.

use alloy_primitives::{B256, Bytes};
use chain::Cited;
use testkit::hub::SimulatedHub;
use types::{
    BlockRequests, Certificate, ChainId, Citation, CitationError, Domain, NetworkId, NodeKey,
    Validator, ValidatorSet,
};

const START_MS: u64 = 1_800_000_000_000;

fn domain() -> Domain {
    let chain = ChainId::new((5_000 << 21) + 7).unwrap();
    Domain::new(chain, NetworkId(B256::repeat_byte(3)))
}

fn set(bytes: &[u8]) -> ValidatorSet {
    let mut validators: Vec<_> = bytes
        .iter()
        .map(|byte| Validator {
            address: NodeKey::from_bytes(&[*byte; 32]).unwrap().address(),
            power: 1,
        })
        .collect();
    validators.sort_by_key(|validator| validator.address);
    ValidatorSet::new(validators).unwrap()
}

fn record_hash() -> B256 {
    B256::repeat_byte(8)
}

fn hub() -> SimulatedHub {
    SimulatedHub::new(&domain(), set(&[1, 2, 3, 4]), record_hash(), START_MS)
}

fn latest() -> BlockRequests {
    BlockRequests {
        outbox_root: B256::ZERO,
        set_hash: set(&[1, 2, 3, 4]).hash(),
        record_hash: record_hash(),
        from_height: 1,
    }
}

/// From block 0 to the latest.
fn cite(hub: &SimulatedHub) -> Cited {
    hub.cite(hub.block(0).hash, hub.height(), &latest())
        .expect("there is something newer")
}

#[test]
fn a_newer_block_is_proven_with_what_it_holds() {
    let mut hub = hub();
    hub.grow(5);
    hub.name(set(&[1, 2, 3, 5]));
    hub.grow(3);
    let cited = cite(&hub);
    assert_eq!(cited.set, Some(set(&[1, 2, 3, 5])));
    let held = cited
        .proof
        .verify(&domain(), hub.block(0).hash, cited.block.hash)
        .unwrap();
    assert_eq!(held.block, hub.block(9));
    assert_eq!(held.number, 9);
    assert_eq!(held.set_hash, set(&[1, 2, 3, 5]).hash());
    assert_eq!(held.record_hash, record_hash());
    let bytes = alloy_rlp::encode(&cited.proof);
    assert_eq!(
        alloy_rlp::decode_exact::<Citation>(&bytes).unwrap(),
        cited.proof
    );
}

#[test]
fn a_million_blocks_between_cost_nothing() {
    let mut hub = hub();
    hub.grow(1_000_000);
    let cited = cite(&hub);
    assert_eq!(cited.proof.to.len(), 1);
    let held = cited
        .proof
        .verify(&domain(), hub.block(0).hash, cited.block.hash)
        .unwrap();
    assert_eq!(held.number, 1_000_000);
}

#[test]
fn the_hubs_own_handovers_are_followed_as_far_as_one_proof_reaches() {
    let mut hub = hub();
    for _ in 0..100 {
        hub.grow(3);
        hub.hand_over();
    }
    hub.name(set(&[1, 2, 3, 5]));
    let mut at = hub.block(0).hash;
    let mut numbers = Vec::new();
    while let Some(cited) = hub.cite(at, hub.height(), &latest()) {
        let held = cited.proof.verify(&domain(), at, cited.block.hash).unwrap();
        assert!(cited.proof.to.len() <= 64);
        numbers.push(held.number);
        at = cited.block.hash;
    }
    // The 64th handover, then the end.
    assert_eq!(numbers, [256, 401]);
}

fn refused(forge: impl FnOnce(&mut Citation)) -> CitationError {
    let mut hub = hub();
    hub.grow(2);
    hub.hand_over();
    hub.grow(2);
    hub.hand_over();
    hub.grow(1);
    let mut cited = cite(&hub);
    assert_eq!(cited.proof.to.len(), 3);
    let (from, to) = (hub.block(0).hash, cited.block.hash);
    cited.proof.verify(&domain(), from, to).unwrap();
    forge(&mut cited.proof);
    cited.proof.verify(&domain(), from, to).unwrap_err()
}

#[test]
fn what_is_forged_is_refused() {
    use CitationError as E;
    let other = B256::repeat_byte(9);
    let is = |error: &E, wanted: &E| assert_eq!(error, wanted);
    is(&refused(|it| it.from.header.number += 1), &E::Start);
    is(
        &refused(|it| it.from.certificate = Bytes::from_static(&[1])),
        &E::Start,
    );
    is(
        &refused(|it| it.from.requests.clear()),
        &E::Malformed("requests"),
    );
    is(&refused(|it| it.to.clear()), &E::OtherBlock);
    is(&refused(|it| drop(it.to.pop())), &E::Superfluous);
    is(&refused(|it| drop(it.sets.pop())), &E::Set);
    is(&refused(|it| it.sets.push(set(&[1]))), &E::Superfluous);
    is(&refused(|it| it.sets.swap(0, 1)), &E::Set);
    is(&refused(|it| it.set_hash = other), &E::NotHeld("set hash"));
    is(
        &refused(|it| it.record_hash = other),
        &E::NotHeld("record hash"),
    );
    is(
        &refused(|it| it.set_hash = B256::ZERO),
        &E::NotHeld("set hash"),
    );
    is(
        &refused(|it| it.set_proof = it.record_proof.clone()),
        &E::NotHeld("set hash"),
    );
    is(&refused(|it| it.set_proof.clear()), &E::NotHeld("set hash"));
    is(
        &refused(|it| it.account_proof.clear()),
        &E::NotHeld("account"),
    );
    is(
        &refused(|it| it.account = Bytes::from_static(&[0xc0])),
        &E::Malformed("account"),
    );
    let junk = vec![Bytes::from_static(&[0x80]); 66];
    is(&refused(|it| it.set_proof = junk), &E::Malformed("proof"));
    // A handover left out: the next set's signatures are those of strangers.
    assert!(matches!(
        refused(|it| drop(it.to.remove(0))),
        E::Certificate(_) | E::Set
    ));
    assert!(matches!(
        refused(|it| it.to.swap(0, 1)),
        E::Certificate(_) | E::NotAfter { .. }
    ));
    assert_eq!(
        refused(|it| it.to[1].certificate = it.to[0].certificate.clone()),
        E::OtherCertificate
    );
    // Fewer than more than two thirds of four.
    let thin = |it: &mut Citation| {
        let last = it.to.last_mut().unwrap();
        let mut certificate = Certificate::decode(&last.certificate).unwrap();
        certificate.signatures.pop();
        last.certificate = certificate.encode().into();
    };
    assert!(matches!(refused(thin), E::Certificate(_)));
    let last = |it: &mut Citation| it.to[2].header.state_root = other;
    assert_eq!(refused(last), E::OtherCertificate);
}

#[test]
fn another_network_and_a_block_that_is_not_newer_are_refused() {
    let mut hub = hub();
    hub.grow(3);
    let cited = cite(&hub);
    let from = hub.block(0).hash;
    let elsewhere = Domain::new(domain().chain_id, NetworkId(B256::repeat_byte(4)));
    assert!(matches!(
        cited.proof.verify(&elsewhere, from, cited.block.hash),
        Err(CitationError::Certificate(_))
    ));
    // Another chain of the same network: its set is another.
    let sister = ChainId::new(domain().chain_id.get() + 1).unwrap();
    let sister = Domain::new(sister, domain().network_id);
    assert_eq!(
        cited.proof.verify(&sister, from, cited.block.hash),
        Err(CitationError::NotHeld("set hash"))
    );
    let hub_itself = ChainId::new(5_000 << 21).unwrap();
    let hub_itself = Domain::new(hub_itself, domain().network_id);
    assert_eq!(
        cited.proof.verify(&hub_itself, from, cited.block.hash),
        Err(CitationError::NoHub)
    );
    // The proof of a newer block, brought for the older one.
    let older = hub.cite(hub.block(0).hash, 1, &latest()).unwrap();
    let back = Citation {
        from: cited.proof.to[0].clone(),
        to: older.proof.to.clone(),
        ..older.proof
    };
    let back = Citation {
        from: types::citation::CertifiedHeader {
            certificate: Bytes::new(),
            ..back.from.clone()
        },
        ..back
    };
    assert_eq!(
        back.verify(&domain(), cited.block.hash, older.block.hash),
        Err(CitationError::NotAfter {
            number: 1,
            start: 3
        })
    );
}
