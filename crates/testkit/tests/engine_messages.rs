//! Single messages to an engine that is one of four, where a whole simulation would say too little.

use std::sync::Arc;

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use chain::peer::{Body, Certified, Outline};
use chain::{
    Config, Effect, Engine, EngineError, Entry, Genesis, Notice, PeerMessage, Recipients, Recovery,
    Timer,
};
use consensus::{Message, TimeoutKind, Timeouts, Vote, VoteKind};
use execution::Transaction;
use state::History;
use store::Tables;
use store::simulated::Disk;
use types::{ChainId, Domain, NetworkId, NodeKey, Record, Signature, Validator, ValidatorSet};

const CHAIN: ChainId = ChainId::DEVELOPMENT;
const NETWORK: NetworkId = NetworkId(B256::repeat_byte(3));
const NOW_MS: u64 = 1_700_000_001_000;

/// Four keys by address.
fn keys() -> Vec<Arc<NodeKey>> {
    let key = |byte| Arc::new(NodeKey::from_bytes(&[byte; 32]).unwrap());
    let mut keys: Vec<_> = (1..=4).map(key).collect();
    keys.sort_by_key(|key| key.address());
    keys
}

fn genesis() -> Genesis {
    let validators = keys()
        .iter()
        .map(|key| Validator {
            address: key.address(),
            power: 1,
        })
        .collect();
    Genesis {
        record: Record::development(CHAIN, 1_700_000_000_000),
        validators: ValidatorSet::new(validators).unwrap(),
        network_id: NETWORK,
        creator: None,
        registry: None,
    }
}

fn recovery(key: &Arc<NodeKey>) -> Recovery {
    on(key, Arc::new(Disk::new(1).open_tables()))
}

fn on(key: &Arc<NodeKey>, tables: Arc<dyn Tables>) -> Recovery {
    let config = Config {
        key: Arc::clone(key),
        timeouts: Timeouts::default(),
        hub: None,
        meter: None,
    };
    Recovery::begin(&genesis(), config, tables, History::All, 1 << 20).unwrap()
}

fn engine(key: &Arc<NodeKey>) -> Engine {
    recovery(key).finish(NOW_MS).unwrap().0
}

fn vote(key: &NodeKey, kind: VoteKind, round: u32, block_hash: B256) -> PeerMessage {
    vote_of(key, kind, (1, round), block_hash)
}

/// A vote for a block of a height and round.
fn vote_of(
    key: &NodeKey,
    kind: VoteKind,
    (height, round): (u64, u32),
    block_hash: B256,
) -> PeerMessage {
    let mut vote = Vote {
        kind,
        height,
        round,
        block_hash,
        validator: key.address(),
        signature: Signature([0; 65]),
    };
    vote.signature = key.sign(vote.digest(&Domain::new(CHAIN, NETWORK)));
    PeerMessage::Consensus(Message::Vote(vote))
}

fn transfer() -> Transaction {
    let sender = NodeKey::from_bytes(&[8; 32]).unwrap();
    testkit::simulation::transfer(&sender, 0)
}

fn next_transfer() -> Transaction {
    let sender = NodeKey::from_bytes(&[8; 32]).unwrap();
    testkit::simulation::transfer(&sender, 1)
}

fn sent(effects: &[Effect]) -> Vec<PeerMessage> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message, .. } => Some(message.clone()),
        _ => None,
    });
    sent.collect()
}

/// The votes of `own` among what is sent.
fn votes(own: Address, effects: &[Effect]) -> Vec<(VoteKind, B256)> {
    let votes = sent(effects)
        .into_iter()
        .filter_map(|message| match message {
            PeerMessage::Consensus(Message::Vote(vote)) if vote.validator == own => {
                Some((vote.kind, vote.block_hash))
            }
            _ => None,
        });
    votes.collect()
}

/// What the proposer of height 1 sends for a block of one transaction, the hash of that block, and who it is.
fn proposal() -> (Arc<NodeKey>, Vec<PeerMessage>, B256) {
    for key in keys() {
        let mut engine = engine(&key);
        engine.admit(vec![transfer()], NOW_MS);
        let messages = sent(&engine.wake(NOW_MS).unwrap());
        for message in &messages {
            if let PeerMessage::Consensus(Message::Proposal(proposal)) = message {
                let hash = proposal.block_hash;
                return (key, messages, hash);
            }
        }
    }
    panic!("somebody proposes");
}

#[test]
fn an_own_message_that_was_not_made_here_ends_the_chain_here_for_good() {
    let keys = keys();
    let mut it = engine(&keys[0]);
    let forged = vote(&keys[0], VoteKind::Prevote, 0, B256::repeat_byte(5));
    let refused = it.receive(keys[1].address(), forged, NOW_MS);
    assert!(
        matches!(refused, Err(EngineError::KeyElsewhere { height: 1 })),
        "{refused:?}"
    );
    let words = it.last_words();
    let [Effect::Append(payload), ..] = words.as_slice() else {
        panic!("the message is kept: {words:?}");
    };
    let started = recovery(&keys[0]).feed(Entry::decode(payload).unwrap());
    assert!(started.is_err(), "a new start does not forget it");
}

#[test]
fn an_own_message_with_the_signature_of_another_is_no_matter() {
    let keys = keys();
    let mut it = engine(&keys[0]);
    let PeerMessage::Consensus(Message::Vote(mut forged)) =
        vote(&keys[1], VoteKind::Prevote, 0, B256::repeat_byte(5))
    else {
        panic!("a vote");
    };
    forged.validator = keys[0].address();
    let message = PeerMessage::Consensus(Message::Vote(forged));
    let effects = it.receive(keys[1].address(), message, NOW_MS).unwrap();
    assert!(sent(&effects).is_empty(), "{effects:?}");
}

#[test]
fn a_block_that_comes_late_is_not_voted_for_and_yet_taken_when_the_others_do() {
    let (proposer, messages, hash) = proposal();
    let late_ms = NOW_MS + 60_000;
    let others: Vec<_> = keys()
        .into_iter()
        .filter(|key| key.address() != proposer.address())
        .collect();
    let own = others[0].address();
    let mut it = engine(&others[0]);
    it.admit(vec![transfer()], NOW_MS);
    let mut effects = Vec::new();
    for message in messages {
        effects.extend(it.receive(proposer.address(), message, late_ms).unwrap());
    }
    let nil = (VoteKind::Prevote, B256::ZERO);
    assert_eq!(votes(own, &effects), [], "it is too late");
    let timer = effects.iter().rev().find_map(|effect| match effect {
        Effect::Schedule {
            timer: Timer::Consensus(timeout),
            ..
        } if timeout.kind == TimeoutKind::Propose => Some(*timeout),
        _ => None,
    });
    let effects = it
        .timer(Timer::Consensus(timer.unwrap()), late_ms + 500)
        .unwrap();
    assert_eq!(votes(own, &effects), [nil], "{effects:?}");
    let mut effects = Vec::new();
    for key in [&proposer, &others[1], &others[2]] {
        let prevote = vote(key, VoteKind::Prevote, 0, hash);
        effects.extend(it.receive(key.address(), prevote, late_ms + 500).unwrap());
    }
    let locked = [(VoteKind::Precommit, hash)];
    assert_eq!(votes(own, &effects), locked, "{effects:?}");
}

/// The timer of this kind that was asked for last.
fn timer(kind: TimeoutKind, effects: &[Effect]) -> Timer {
    let timers = effects.iter().rev().filter_map(|effect| match effect {
        Effect::Schedule { timer, .. } => Some(*timer),
        _ => None,
    });
    let mut of_kind =
        timers.filter(|timer| matches!(timer, Timer::Consensus(timeout) if timeout.kind == kind));
    of_kind.next().unwrap()
}

/// Ends round 0 without a block: these cities vote for none. `all` is what the engine wanted so far, and what it wants then.
fn end_round_0(it: &mut Engine, voters: [&NodeKey; 2], all: &mut Vec<Effect>) {
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for key in voters {
            let vote = vote(key, kind, 0, B256::ZERO);
            all.extend(it.receive(key.address(), vote, NOW_MS).unwrap());
        }
        let waits_for = match kind {
            VoteKind::Prevote => TimeoutKind::Propose,
            VoteKind::Precommit => TimeoutKind::Precommit,
        };
        let timer = timer(waits_for, all);
        all.extend(it.timer(timer, NOW_MS).unwrap());
    }
}

#[test]
fn an_own_vote_of_an_earlier_round_may_come_back() {
    let (proposer, ..) = proposal();
    let keys = keys();
    let first = keys
        .iter()
        .position(|key| key.address() == proposer.address())
        .unwrap();
    // The next one proposes in the next round.
    let [second, own, other] = [1, 2, 3].map(|step| &keys[(first + step) % 4]);
    let mut proposing = engine(second);
    proposing.admit(vec![transfer()], NOW_MS);
    let mut said = proposing.wake(NOW_MS).unwrap();
    end_round_0(&mut proposing, [own, other], &mut said);
    let said = sent(&said);
    let of_round_1 = said.into_iter().filter(|message| match message {
        PeerMessage::Consensus(message) => message.round() == 1,
        message => matches!(message, PeerMessage::Outline(_)),
    });
    let mut it = engine(own);
    it.admit(vec![transfer()], NOW_MS);
    let mut all = it.wake(NOW_MS).unwrap();
    end_round_0(&mut it, [second, other], &mut all);
    for message in of_round_1 {
        all.extend(it.receive(second.address(), message, NOW_MS).unwrap());
    }
    let &[.., (VoteKind::Prevote, hash)] = votes(own.address(), &all).as_slice() else {
        panic!("it votes for the block of round 1: {all:?}");
    };
    let third = vote(other, VoteKind::Prevote, 1, hash);
    all.extend(it.receive(other.address(), third, NOW_MS).unwrap());
    // From now on consensus needs no vote of round 0 any more.
    let locked = Some(&(VoteKind::Precommit, hash));
    assert_eq!(votes(own.address(), &all).last(), locked, "{all:?}");
    let came_back = vote(own, VoteKind::Prevote, 0, B256::ZERO);
    let from = other.address();
    it.receive(from, came_back, NOW_MS).expect("it is its own");
    let forged = vote(own, VoteKind::Prevote, 0, B256::repeat_byte(5));
    let refused = it.receive(from, forged, NOW_MS);
    assert!(
        matches!(refused, Err(EngineError::KeyElsewhere { height: 1 })),
        "{refused:?}"
    );
}

/// Decides height 1 at its proposer: that engine with the block, and what proves it.
fn decided() -> (Engine, Arc<NodeKey>, Certified) {
    let (proposer, _, hash) = proposal();
    let tables: Arc<dyn Tables> = Arc::new(Disk::new(1).open_tables());
    let mut it = on(&proposer, Arc::clone(&tables)).finish(NOW_MS).unwrap().0;
    it.admit(vec![transfer()], NOW_MS);
    let mut effects = it.wake(NOW_MS).unwrap();
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for key in keys() {
            if key.address() != proposer.address() {
                let vote = vote(&key, kind, 0, hash);
                effects.extend(it.receive(key.address(), vote, NOW_MS).unwrap());
            }
        }
    }
    let commit = effects.into_iter().find_map(|effect| match effect {
        Effect::Commit(commit) => Some(*commit),
        _ => None,
    });
    let commit = commit.expect("all others agree");
    tables.commit(commit.batch).unwrap();
    it.committed(commit.decided, NOW_MS).unwrap();
    let moment = it.reader().moment().unwrap();
    let (block, seal) = (
        moment.block(1).unwrap().unwrap(),
        moment.seal(1).unwrap().unwrap(),
    );
    let certified = Certified {
        block: alloy_consensus::Block {
            header: block.header,
            body: block.body,
        },
        requests: seal.requests,
        certificate: seal.certificate,
        beside: None,
    };
    (it, proposer, certified)
}

/// What an engine that is asked to follow to block 1 does with this block.
fn follow(certified: Certified) -> Vec<Effect> {
    let keys = keys();
    let (mut it, from) = (engine(&keys[0]), keys[1].address());
    let (number, hash) = (1, certified.block.header.hash_slow());
    let tip = PeerMessage::Tip { number, hash };
    let wish = sent(&it.receive(from, tip, NOW_MS).unwrap());
    assert_eq!(wish, [PeerMessage::GetBlocks { from: 1 }]);
    let blocks = PeerMessage::Blocks(vec![certified]);
    it.receive(from, blocks, NOW_MS).unwrap()
}

fn commits(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Commit(_)))
}

#[test]
fn a_block_is_followed_by_its_own_certificate_alone() {
    let (_, _, certified) = decided();
    assert!(commits(&follow(certified.clone())));
    let mut other = certified;
    let header = &mut other.block.header;
    // As good a block, and not the one that was agreed on.
    let ms = types::header::time_ms(header).unwrap();
    header.extra_data = types::header::extra_data(ms ^ 1);
    assert!(!commits(&follow(other)));
}

#[test]
fn a_vote_for_a_decided_height_that_comes_again_is_answered_with_its_certificate() {
    let (mut it, proposer, certified) = decided();
    let others = keys();
    let other = others
        .iter()
        .find(|key| key.address() != proposer.address())
        .unwrap();
    let late = vote(
        other,
        VoteKind::Prevote,
        0,
        certified.block.header.hash_slow(),
    );
    let answer = sent(&it.receive(other.address(), late, NOW_MS).unwrap());
    let certificate = types::Certificate::decode(&certified.certificate).unwrap();
    assert_eq!(answer, [PeerMessage::Certificate(certificate)]);
}

#[test]
fn whoever_is_connected_hears_the_tip() {
    let (mut it, proposer, certified) = decided();
    let others = keys();
    let other = others
        .iter()
        .find(|key| key.address() != proposer.address())
        .unwrap();
    let hash = certified.block.header.hash_slow();
    let tip = PeerMessage::Tip { number: 1, hash };
    it.admit(vec![next_transfer()], NOW_MS);
    assert_eq!(sent(&it.connected(other.address())).len(), 2);
    assert!(sent(&it.connected(other.address())).contains(&tip));
    assert_eq!(
        sent(&it.connected(Address::repeat_byte(0x55))),
        [tip],
        "anybody may read this chain, and that is all"
    );
}

#[test]
fn a_city_that_does_not_vote_follows_and_starts_nothing() {
    let (mut it, proposer, certified) = decided();
    let (reader, from) = (
        Arc::new(NodeKey::from_bytes(&[0x66; 32]).unwrap()),
        proposer.address(),
    );
    let mut follower = engine(&reader);
    follower.admit(vec![transfer()], NOW_MS);
    assert_eq!(follower.due_ms(), None, "it has no turn");
    assert!(follower.wake(NOW_MS).unwrap().is_empty());
    let heard = |follower: &mut Engine, messages: Vec<PeerMessage>| {
        let mut effects = Vec::new();
        for message in messages {
            effects.extend(follower.receive(from, message, NOW_MS).unwrap());
        }
        effects
    };
    let asked = sent(&heard(&mut follower, sent(&it.connected(reader.address()))));
    assert!(
        matches!(asked[..], [PeerMessage::GetBlocks { from: 1 }]),
        "{asked:?}"
    );
    let answer = it
        .receive(reader.address(), asked[0].clone(), NOW_MS)
        .unwrap();
    assert!(commits(&heard(&mut follower, sent(&answer))));
    // A vote of its own is heard by nobody, and those of others are no business of it.
    let hash = certified.block.header.hash_slow();
    let own = vote(&reader, VoteKind::Prevote, 0, hash);
    assert!(sent(&it.receive(reader.address(), own, NOW_MS).unwrap()).is_empty());
    let mut idle = engine(&reader);
    let theirs = vote(&proposer, VoteKind::Prevote, 0, hash);
    assert!(heard(&mut idle, vec![theirs]).is_empty());
    assert!(idle.is_parked());
}

/// An engine without the transaction of the block that the first of these proposes, the outline, and the other cities.
struct Withheld {
    it: Engine,
    own: Address,
    proposer: Arc<NodeKey>,
    others: Vec<Arc<NodeKey>>,
    outline: Outline,
    hash: B256,
}

/// The block of [`proposal`] is named to a city that does not have its transaction, by `outline` of it.
fn withheld(outline: impl Fn(&mut Outline)) -> (Withheld, Vec<Effect>) {
    let (proposer, messages, hash) = proposal();
    let mut others = keys();
    others.retain(|key| key.address() != proposer.address());
    let key = others.remove(0);
    let mut it = engine(&key);
    let (mut effects, mut whole) = (Vec::new(), None);
    for mut message in messages {
        if let PeerMessage::Outline(shown) = &mut message {
            whole = Some(shown.as_ref().clone());
            outline(shown);
        }
        effects.extend(it.receive(proposer.address(), message, NOW_MS).unwrap());
    }
    let withheld = Withheld {
        it,
        own: key.address(),
        proposer,
        others,
        outline: whole.expect("a proposal comes with its block"),
        hash,
    };
    (withheld, effects)
}

impl Withheld {
    fn wish(&self) -> PeerMessage {
        PeerMessage::GetBodies {
            block_hash: self.hash,
            indexes: vec![0],
        }
    }

    fn bodies(&self) -> PeerMessage {
        let raw = transfer().inner().encoded_2718().into();
        PeerMessage::Bodies {
            block_hash: self.hash,
            bodies: vec![Body { index: 0, raw }],
        }
    }

    fn receive(&mut self, from: Address, message: PeerMessage) -> Vec<Effect> {
        self.it.receive(from, message, NOW_MS).unwrap()
    }

    fn votes_for_it(&self, effects: &[Effect]) -> bool {
        votes(self.own, effects) == [(VoteKind::Prevote, self.hash)]
    }
}

fn sent_to(effects: &[Effect]) -> Vec<(Recipients, PeerMessage)> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message } => Some((*to, message.clone())),
        _ => None,
    });
    sent.collect()
}

#[test]
fn what_a_proposer_withholds_is_asked_of_all_and_taken_from_whoever_has_it() {
    let (mut test, effects) = withheld(|_| {});
    let of_proposer = (Recipients::One(test.proposer.address()), test.wish());
    assert!(sent_to(&effects).contains(&of_proposer), "{effects:?}");
    let effects = test.it.timer(Timer::Ask, NOW_MS + 1_000).unwrap();
    let of_all = (Recipients::All, test.wish());
    assert!(sent_to(&effects).contains(&of_all), "{effects:?}");
    let (from, bodies) = (test.others[0].address(), test.bodies());
    let effects = test.receive(from, bodies);
    assert!(test.votes_for_it(&effects), "{effects:?}");
}

#[test]
fn whoever_shows_the_outline_of_a_withheld_block_is_asked_for_it_at_once() {
    let (mut test, _) = withheld(|_| {});
    let from = test.others[0].address();
    let outline = PeerMessage::Outline(Box::new(test.outline.clone()));
    let effects = test.receive(from, outline);
    let of_it = (Recipients::One(from), test.wish());
    assert_eq!(sent_to(&effects), [of_it]);
}

#[test]
fn a_false_outline_with_gaps_makes_way_for_another_citys() {
    let false_hash = B256::repeat_byte(5);
    let (mut test, _) = withheld(|outline| outline.transactions = vec![false_hash]);
    let from = test.others[0].address();
    let outline = PeerMessage::Outline(Box::new(test.outline.clone()));
    let mut effects = Vec::new();
    for _ in 0..2 {
        effects = test.it.timer(Timer::Ask, NOW_MS + 1_000).unwrap();
    }
    let get = PeerMessage::GetOutline {
        block_hash: test.hash,
    };
    assert!(sent_to(&effects).contains(&(Recipients::All, get)));
    let effects = test.receive(from, outline);
    assert_eq!(
        sent_to(&effects),
        [(Recipients::One(from), test.wish())],
        "{effects:?}"
    );
    let bodies = test.bodies();
    let effects = test.receive(from, bodies);
    assert!(test.votes_for_it(&effects), "{effects:?}");
}

#[test]
fn an_outline_of_other_transactions_says_nothing_against_its_block() {
    let (mut test, effects) = withheld(|outline| outline.transactions.clear());
    assert_eq!(votes(test.own, &effects), [], "{effects:?}");
    let (from, bodies) = (test.others[0].address(), test.bodies());
    let outline = PeerMessage::Outline(Box::new(test.outline.clone()));
    let mut effects = test.receive(from, outline);
    effects.extend(test.receive(from, bodies));
    assert!(test.votes_for_it(&effects), "{effects:?}");
}

#[test]
fn one_city_cannot_push_out_the_proposers_outline() {
    let (mut test, _) = withheld(|_| {});
    let liar = test.others[0].address();
    let mut outline = test.outline.clone();
    outline.transactions = vec![B256::repeat_byte(5)];
    let effects = test.receive(liar, PeerMessage::Outline(Box::new(outline)));
    assert_eq!(sent(&effects), []);
    let (from, bodies) = (test.proposer.address(), test.bodies());
    let effects = test.receive(from, bodies);
    assert!(test.votes_for_it(&effects), "{effects:?}");
}

/// The proposer of height 1, woken for nothing by the last of the others, who is charged with the empty block: before that
/// is committed, and after it with what the engine wants then. `early` is heard before.
fn charge(
    early: Option<&dyn Fn(&NodeKey) -> PeerMessage>,
) -> (Engine, Vec<Arc<NodeKey>>, Vec<Effect>) {
    let (proposer, ..) = proposal();
    let mut others = keys();
    others.retain(|key| key.address() != proposer.address());
    let charged = &others[2];
    let tables: Arc<dyn Tables> = Arc::new(Disk::new(1).open_tables());
    let mut it = on(&proposer, Arc::clone(&tables)).finish(NOW_MS).unwrap().0;
    let for_nothing = vote(charged, VoteKind::Prevote, 0, B256::ZERO);
    let mut effects = it.receive(charged.address(), for_nothing, NOW_MS).unwrap();
    let own = votes(proposer.address(), &effects);
    let [(VoteKind::Prevote, hash)] = own.as_slice() else {
        panic!("it votes for its empty block: {own:?}");
    };
    if let Some(early) = early {
        it.receive(charged.address(), early(charged), NOW_MS)
            .unwrap();
    }
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for key in &others[..2] {
            let vote = vote(key, kind, 0, *hash);
            effects.extend(it.receive(key.address(), vote, NOW_MS).unwrap());
        }
    }
    let commit = effects.into_iter().find_map(|effect| match effect {
        Effect::Commit(commit) => Some(*commit),
        _ => None,
    });
    let commit = commit.expect("three of four agree");
    tables.commit(commit.batch).unwrap();
    let effects = it.committed(commit.decided, NOW_MS).unwrap();
    assert!(it.is_parked());
    (it, others, effects)
}

/// Whether the message of a charged signer waits for a second.
fn waits(signer: Address, effects: &[Effect]) -> bool {
    effects.iter().any(|effect| {
        matches!(effect, Effect::Schedule { timer: Timer::Signer(of), after }
            if *of == signer && after.as_secs() == 1)
    })
}

#[test]
fn a_charged_message_that_comes_while_blocks_are_awaited_acts_in_the_end() {
    let (mut it, others, _) = charge(None);
    let (source, charged) = (others[0].address(), &others[2]);
    let tip = PeerMessage::Tip {
        number: 5,
        hash: B256::repeat_byte(5),
    };
    it.receive(source, tip, NOW_MS).unwrap();
    let next = vote_of(charged, VoteKind::Prevote, (2, 0), B256::ZERO);
    it.receive(charged.address(), next, NOW_MS).unwrap();
    let effects = it.timer(Timer::Follow, NOW_MS + 2_000).unwrap();
    assert!(
        it.is_parked() && waits(charged.address(), &effects),
        "{effects:?}"
    );
    let timer = Timer::Signer(charged.address());
    it.timer(timer, NOW_MS + 3_000).unwrap();
    assert_eq!(it.agreeing(), Some((2, 0)));
}

#[test]
fn a_charged_message_that_comes_before_its_height_acts_in_the_end() {
    let next = |key: &NodeKey| vote_of(key, VoteKind::Prevote, (2, 0), B256::ZERO);
    let (mut it, others, effects) = charge(Some(&next));
    let charged = others[2].address();
    assert!(waits(charged, &effects), "{effects:?}");
    it.timer(Timer::Signer(charged), NOW_MS + 1_000).unwrap();
    assert_eq!(it.agreeing(), Some((2, 0)));
}

#[test]
fn a_city_that_forges_without_end_is_told_of_once_a_minute() {
    let keys = keys();
    let (mut it, from) = (engine(&keys[0]), keys[1].address());
    let mut told = Vec::new();
    for number in 0..200_u64 {
        let hash = B256::from(alloy_primitives::U256::from(number + 1));
        let message = vote(&keys[1], VoteKind::Prevote, 0, hash);
        let PeerMessage::Consensus(Message::Vote(mut forged)) = message else {
            panic!("a vote");
        };
        forged.validator = keys[2].address();
        // A hundred in one minute, a hundred in the next.
        let now_ms = NOW_MS / 60_000 * 60_000 + number * 600;
        let message = PeerMessage::Consensus(Message::Vote(forged));
        let effects = it.receive(from, message, now_ms).unwrap();
        let is_told = |effect: &Effect| matches!(effect, Effect::Notice(Notice::Untrue { from: of }) if *of == from);
        if effects.iter().any(is_told) {
            told.push(number);
        }
    }
    assert_eq!(told, [63, 163]);
}

#[test]
fn a_forged_set_beside_the_block_of_a_chain_without_a_hub_says_nothing_against_it() {
    let (proposer, messages, hash) = proposal();
    let keys = keys();
    let own = keys.iter().find(|key| key.address() != proposer.address());
    let own = own.unwrap();
    let mut it = engine(own);
    it.admit(vec![transfer()], NOW_MS);
    let mut effects = Vec::new();
    let mut good = None;
    for message in messages {
        match message {
            PeerMessage::Outline(outline) => {
                let mut forged = outline.clone();
                forged.beside = Some(chain::Beside {
                    proof: None,
                    set: Some(ValidatorSet::single(own.address())),
                });
                good = Some(PeerMessage::Outline(outline));
                let forged = PeerMessage::Outline(forged);
                effects.extend(it.receive(proposer.address(), forged, NOW_MS).unwrap());
            }
            other => effects.extend(it.receive(proposer.address(), other, NOW_MS).unwrap()),
        }
    }
    let is_verdict =
        |effect: &Effect| matches!(effect, Effect::Notice(Notice::InvalidBlock { .. }));
    assert!(!effects.iter().any(is_verdict), "{effects:?}");
    // The good one comes from another.
    let third = keys.iter().map(|key| key.address());
    let third = third.filter(|city| *city != own.address() && *city != proposer.address());
    let third = third.min().unwrap();
    let effects = it.receive(third, good.unwrap(), NOW_MS).unwrap();
    assert!(
        votes(own.address(), &effects).contains(&(VoteKind::Prevote, hash)),
        "{effects:?}"
    );
}
