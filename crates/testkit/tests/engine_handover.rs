//! Handovers, message by message: what an engine makes of a block that cites the hub, proven or not.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy_primitives::B256;
use chain::peer::{Certified, Outline};
use chain::{Beside, Config, Effect, Engine, Genesis, Hub, Notice, PeerMessage, Recovery};
use consensus::{Message, Timeouts, Vote, VoteKind};
use parking_lot::RwLock;
use state::History;
use store::Tables;
use store::simulated::Disk;
use testkit::hub::{Copy, SimulatedHub};
use types::certificate::CommitSignature;
use types::{Certificate, ChainId, Domain, NetworkId, NodeKey, Record, Validator, ValidatorSet};

const START_MS: u64 = 1_700_000_000_000;
const NOW_MS: u64 = START_MS + 60_000;

fn chain() -> ChainId {
    ChainId::new((5_000 << 21) + 7).unwrap()
}

fn domain() -> Domain {
    Domain::new(chain(), NetworkId(B256::repeat_byte(3)))
}

fn key(byte: u8) -> Arc<NodeKey> {
    Arc::new(NodeKey::from_bytes(&[byte; 32]).unwrap())
}

fn set(bytes: &[u8]) -> ValidatorSet {
    let mut validators: Vec<_> = bytes
        .iter()
        .map(|byte| Validator {
            address: key(*byte).address(),
            power: 1,
        })
        .collect();
    validators.sort_by_key(|validator| validator.address);
    ValidatorSet::new(validators).unwrap()
}

fn record() -> Record {
    Record::development(chain(), START_MS)
}

/// A hub that has named `next` for a chain of the cities 1 to 4.
fn hub(next: &[u8]) -> Arc<RwLock<SimulatedHub>> {
    let first = set(&[1, 2, 3, 4]);
    let mut hub = SimulatedHub::new(&domain(), first, record().hash(), START_MS);
    hub.grow(3);
    hub.name(set(next));
    hub.grow(2);
    Arc::new(RwLock::new(hub))
}

/// The engine of a city whose copy of the hub has so many blocks.
fn engine(city: u8, hub: &Arc<RwLock<SimulatedHub>>, seen: u64) -> Engine {
    engine_on(city, hub, seen, Arc::new(Disk::new(1).open_tables()))
}

fn engine_on(
    city: u8,
    hub: &Arc<RwLock<SimulatedHub>>,
    seen: u64,
    tables: Arc<dyn Tables>,
) -> Engine {
    let copy: Arc<dyn Hub> = Arc::new(Copy::new(Arc::clone(hub), seen));
    let config = Config {
        key: key(city),
        timeouts: Timeouts::default(),
        hub: Some(copy),
        meter: None,
    };
    let genesis = Genesis {
        record: record(),
        validators: set(&[1, 2, 3, 4]),
        network_id: NetworkId(B256::repeat_byte(3)),
        creator: Some(hub.read().block(0)),
        registry: None,
    };
    let recovery = Recovery::begin(&genesis, config, tables, History::All, 1 << 20).unwrap();
    recovery.finish(NOW_MS).unwrap().0
}

/// Who proposes height 1, and what it sends for the handover: proposal and outline.
fn handover(hub: &Arc<RwLock<SimulatedHub>>) -> (u8, Message, Outline) {
    for city in 1..=4 {
        let mut engine = engine(city, hub, hub.read().height());
        assert!(!engine.is_settled(), "the hub names another set");
        assert_eq!(engine.due_ms(), Some(0), "at once");
        let (mut proposal, mut outline) = (None, None);
        for effect in engine.wake(NOW_MS).unwrap() {
            match effect {
                Effect::Send {
                    message: PeerMessage::Consensus(message @ Message::Proposal(_)),
                    ..
                } => proposal = Some(message),
                Effect::Send {
                    message: PeerMessage::Outline(found),
                    ..
                } => outline = Some(*found),
                _ => {}
            }
        }
        if let (Some(proposal), Some(outline)) = (proposal, outline) {
            return (city, proposal, outline);
        }
    }
    panic!("somebody proposes");
}

/// What another city does with the proposal and this outline of it: its prevote, and the effects. Its own copy of the hub
/// has nothing new.
fn judged(
    city: u8,
    hub: &Arc<RwLock<SimulatedHub>>,
    proposer: u8,
    proposal: Message,
    outline: Outline,
) -> (Option<B256>, Vec<Effect>) {
    let mut engine = engine(city, hub, 0);
    assert!(engine.is_settled() && engine.due_ms().is_none());
    let from = key(proposer).address();
    let proposal = PeerMessage::Consensus(proposal);
    let mut effects = engine.receive(from, proposal, NOW_MS).unwrap();
    let outline = PeerMessage::Outline(Box::new(outline));
    effects.extend(engine.receive(from, outline, NOW_MS).unwrap());
    let own = key(city).address();
    let prevote = effects.iter().find_map(|effect| match effect {
        Effect::Send {
            message: PeerMessage::Consensus(Message::Vote(vote)),
            ..
        } if vote.validator == own && vote.kind == VoteKind::Prevote => Some(vote.block_hash),
        _ => None,
    });
    (prevote, effects)
}

fn other(than: u8) -> u8 {
    if than == 1 { 2 } else { 1 }
}

#[test]
fn a_proven_handover_is_voted_for_by_a_city_that_has_not_heard_of_it() {
    let hub = hub(&[1, 2, 3, 5]);
    let (proposer, proposal, outline) = handover(&hub);
    let hash = outline.header.hash_slow();
    let next = outline
        .beside
        .as_ref()
        .and_then(|beside| beside.set.clone());
    assert_eq!(next, Some(set(&[1, 2, 3, 5])));
    let (prevote, _) = judged(other(proposer), &hub, proposer, proposal, outline);
    assert_eq!(prevote, Some(hash));
}

/// Spoils what stands beside a block.
type Forge = fn(&mut Beside);

#[test]
fn what_is_not_proven_is_not_voted_for_and_speaks_against_its_sender_alone() {
    let hub = hub(&[1, 2, 3, 5]);
    let (proposer, proposal, outline) = handover(&hub);
    let forge: [(&str, Forge); 5] = [
        ("no proof", |beside| beside.proof = None),
        ("another set", |beside| {
            beside.set = Some(set(&[1, 2, 3, 6]));
        }),
        ("a set that shares nobody", |beside| {
            beside.set = Some(set(&[5, 6, 7, 8]));
        }),
        ("no set", |beside| beside.set = None),
        ("a torn proof", |beside| {
            beside.proof.as_mut().unwrap().set_proof.clear();
        }),
    ];
    let mut outlines = vec![(
        "nothing",
        Outline {
            beside: None,
            ..outline.clone()
        },
    )];
    for (what, forge) in forge {
        let mut forged = outline.clone();
        forge(forged.beside.as_mut().unwrap());
        outlines.push((what, forged));
    }
    for (what, forged) in outlines {
        let (prevote, effects) = judged(other(proposer), &hub, proposer, proposal.clone(), forged);
        assert_eq!(prevote, None, "{what}");
        let is_against = |effect: &Effect| {
            matches!(
                effect,
                Effect::Notice(Notice::Refused { grave: true, from, .. })
                    if *from == key(proposer).address()
            )
        };
        assert!(effects.iter().any(is_against), "{what}: {effects:?}");
        let is_wish = |effect: &Effect| {
            matches!(
                effect,
                Effect::Send {
                    message: PeerMessage::GetOutline { .. },
                    ..
                }
            )
        };
        assert!(effects.iter().any(is_wish), "{what}: another city is asked");
        let is_verdict =
            |effect: &Effect| matches!(effect, Effect::Notice(Notice::InvalidBlock { .. }));
        assert!(
            !effects.iter().any(is_verdict),
            "{what}: the block may be good"
        );
    }
}

#[test]
fn more_cities_than_may_leave_at_once_do_not_whatever_the_hub_says() {
    let hub = hub(&[1, 2, 5, 6]);
    let (_, _, outline) = handover(&hub);
    assert_eq!(outline.beside, None, "nobody proposes it");
}

/// A block of height 1 that `makes` makes, certified by these, given to a city that asked for it; what it does.
fn followed(
    outline: &Outline,
    signers: &[u8],
    beside: Option<Beside>,
    tables: &Arc<dyn Tables>,
) -> (Engine, Vec<Effect>) {
    let hub = hub(&[1, 2, 3, 5]);
    let mut it = engine_on(3, &hub, 0, Arc::clone(tables));
    let (from, hash) = (key(1).address(), outline.header.hash_slow());
    let tip = PeerMessage::Tip { number: 1, hash };
    it.receive(from, tip, NOW_MS).unwrap();
    let digest = domain().commit_hash(1, 0, hash);
    let mut signatures: Vec<_> = signers
        .iter()
        .map(|byte| CommitSignature {
            address: key(*byte).address(),
            signature: key(*byte).sign(digest),
        })
        .collect();
    signatures.sort_by_key(|signed| signed.address);
    let certificate = Certificate {
        height: 1,
        round: 0,
        block_hash: hash,
        signatures,
    };
    let body = alloy_consensus::BlockBody {
        transactions: Vec::new(),
        ommers: Vec::new(),
        withdrawals: Some(Vec::new().into()),
    };
    let certified = Certified {
        block: alloy_consensus::Block {
            header: outline.header.clone(),
            body,
        },
        requests: outline.requests.clone(),
        certificate: certificate.encode().into(),
        beside,
    };
    let effects = it
        .receive(from, PeerMessage::Blocks(vec![certified]), NOW_MS)
        .unwrap();
    (it, effects)
}

#[test]
fn a_certified_handover_needs_no_proof_but_its_set_and_the_set_before_signs_it() {
    let tables = || -> Arc<dyn Tables> { Arc::new(Disk::new(1).open_tables()) };
    let (_, _, outline) = handover(&hub(&[1, 2, 3, 5]));
    let beside = |bytes: &[u8]| {
        Some(Beside {
            proof: None,
            set: Some(set(bytes)),
        })
    };
    let commits = |effects: &[Effect]| {
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Commit(_)))
    };
    let refused = [
        (&[1, 2, 4][..], None),
        (&[1, 2, 4], beside(&[1, 2, 3, 6])),
        (&[1, 2, 5], beside(&[1, 2, 3, 5])),
        (&[1, 2], beside(&[1, 2, 3, 5])),
        (&[1, 2, 4], outline.beside.clone()),
    ];
    for (signers, beside) in refused {
        let (_, effects) = followed(&outline, signers, beside.clone(), &tables());
        assert!(!commits(&effects), "{signers:?} {:?}", beside.is_some());
    }
    let on = tables();
    let (mut it, effects) = followed(&outline, &[1, 2, 4], beside(&[1, 2, 3, 5]), &on);
    let commit = effects.into_iter().find_map(|effect| match effect {
        Effect::Commit(commit) => Some(*commit),
        _ => None,
    });
    let commit = commit.unwrap();
    on.commit(commit.batch).unwrap();
    it.committed(commit.decided, NOW_MS).unwrap();
    assert_eq!(**it.validators(), set(&[1, 2, 3, 5]));
    // Whoever left is a stranger now, and whoever joined is not.
    let vote = |byte: u8| {
        let mut vote = Vote {
            kind: VoteKind::Prevote,
            height: 2,
            round: 0,
            block_hash: B256::repeat_byte(5),
            validator: key(byte).address(),
            signature: types::Signature([0; 65]),
        };
        vote.signature = key(byte).sign(vote.digest(&domain()));
        PeerMessage::Consensus(Message::Vote(vote))
    };
    it.receive(key(4).address(), vote(4), NOW_MS).unwrap();
    assert!(it.is_parked(), "it is not heard");
    it.receive(key(5).address(), vote(5), NOW_MS).unwrap();
    assert_eq!(it.agreeing(), Some((2, 0)));
}

#[test]
fn a_chain_that_stands_still_begins_nothing_and_goes_on_afterwards() {
    let hub = hub(&[1, 2, 3, 5]);
    let mut it = engine(1, &hub, hub.read().height());
    it.stand_still();
    assert_eq!(it.due_ms(), None);
    assert!(it.can_rest());
    let effects = it.go_on(NOW_MS).unwrap();
    assert!(effects.is_empty());
    assert_eq!(it.due_ms(), Some(0));
}

#[test]
fn a_height_that_more_than_a_third_began_is_finished_while_the_chain_stands() {
    let hub = hub(&[1, 2, 3, 5]);
    let mut it = engine(1, &hub, 0);
    it.stand_still();
    let vote = |byte: u8| {
        let mut vote = Vote {
            kind: VoteKind::Prevote,
            height: 1,
            round: 0,
            block_hash: B256::repeat_byte(5),
            validator: key(byte).address(),
            signature: types::Signature([0; 65]),
        };
        vote.signature = key(byte).sign(vote.digest(&domain()));
        PeerMessage::Consensus(Message::Vote(vote))
    };
    it.receive(key(2).address(), vote(2), NOW_MS).unwrap();
    assert_eq!(it.agreeing(), None, "one of four may lie");
    it.receive(key(3).address(), vote(3), NOW_MS).unwrap();
    assert_eq!(it.agreeing(), Some((1, 0)));
}

#[test]
fn whoever_joins_hears_whom_the_hub_names_and_holds_what_these_say() {
    let hub = hub(&[1, 2, 3, 5]);
    let mut it = engine(5, &hub, 0);
    let named: BTreeSet<_> = [1, 2, 3].map(|byte| key(byte).address()).into();
    let asked = it.hub_moved(named);
    assert_eq!(asked.len(), 3, "nobody else: {asked:?}");
    let says = |it: &mut Engine, byte: u8, number: u64| {
        let hash = it.reader().moment().unwrap().head().hash;
        let tip = PeerMessage::Tip { number, hash };
        it.receive(key(byte).address(), tip, NOW_MS).unwrap()
    };
    // City 4 is one of the first set, and not named.
    says(&mut it, 4, 9);
    assert_eq!(it.behind(), None);
    says(&mut it, 1, 0);
    says(&mut it, 2, 0);
    assert!(!it.holds_chain(), "two of four");
    says(&mut it, 3, 0);
    assert!(it.holds_chain());
    says(&mut it, 3, 9);
    assert!(!it.holds_chain(), "one of them has more");
}
