//! Instances by themselves and in a simulated network: the rules of the crate's header.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use types::ValidatorSet;
use types::vote::MAX_ROUND;

use super::Instance;
use crate::simulation::{self, Kept, Network, body, config, domain, keys, proposal, vote};
use crate::{
    Effect, Equivocation, Error, Input, Message, Order, PolkaCertificate, PolkaSignature, Record,
    Refused, RoundCertificate, RoundCertificateKind, RoundSignature, TimeoutKind, Turn, Value,
    VoteKind,
};

const MINUTE: Duration = Duration::from_secs(60);
const BLOCK: B256 = B256::repeat_byte(0xb1);
const OTHER: B256 = B256::repeat_byte(0xb2);

fn turn(set: &ValidatorSet) -> Turn {
    Order::new(set)
        .turn(1, 1, |_| None)
        .expect("no header is asked for")
}

fn start(count: u8, own: usize, replay: &[Record]) -> Result<(Instance, Vec<Effect>), Error> {
    let (keys, set) = keys(count);
    Instance::start(config(&keys[own]), 1, Arc::clone(&set), turn(&set), replay)
}

fn published(effects: &[Effect]) -> Vec<&Message> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(message) => Some(message),
        _ => None,
    });
    messages.collect()
}

fn timer(effects: &[Effect], kind: TimeoutKind) -> Option<crate::Timeout> {
    effects.iter().find_map(|effect| match effect {
        Effect::Schedule(timeout) if timeout.kind == kind => Some(*timeout),
        _ => None,
    })
}

fn says(instance: &mut Instance, message: impl Into<Message>) -> Vec<Effect> {
    let message = instance
        .authenticate(&message.into())
        .expect("an authentic message");
    instance
        .step(Input::Message(message))
        .expect("the instance takes it")
}

/// Between what is written and what is shown stands a sync, and none that is of no use.
fn check_order(lists: &[Vec<Effect>]) {
    for list in lists {
        let mut unsynced = false;
        let mut decided = false;
        for effect in list {
            match effect {
                Effect::Append(_) => unsynced = true,
                Effect::Sync => {
                    assert!(unsynced, "a sync of nothing: {list:?}");
                    unsynced = false;
                }
                Effect::Publish(_) | Effect::Decide { .. } => {
                    assert!(!unsynced, "shown before it is durable: {list:?}");
                    decided |= matches!(effect, Effect::Decide { .. });
                }
                Effect::Schedule(_) | Effect::GetValue { .. } => {
                    assert!(
                        !decided,
                        "something is waited for after the decision: {list:?}"
                    );
                }
                Effect::CancelTimeouts | Effect::Restream { .. } | Effect::Evidence(_) => {}
            }
        }
    }
}

#[test]
fn one_validator_decides_a_hundred_heights_with_one_sync_and_one_signature_each() {
    let mut network = Network::new(1, 1);
    network.target = 100;
    network.start(&[]);
    assert!(network.run(MINUTE));
    let city = &network.cities[0];
    assert_eq!(city.decided.len(), 100);
    assert_eq!((city.syncs, city.signatures), (100, 100));
    assert_eq!(
        city.appends, 200,
        "the block and the precommit of each height"
    );
    assert_eq!(network.messages, 0);
    check_order(&network.lists);
    let timers = |effect: &Effect| matches!(effect, Effect::Schedule(_) | Effect::CancelTimeouts);
    assert!(
        !network.lists.iter().flatten().any(timers),
        "it waits for nobody"
    );
}

#[test]
fn four_validators_decide_in_the_first_round_with_three_syncs_a_height() {
    let mut network = Network::new(4, 1);
    network.target = 20;
    network.start(&[]);
    assert!(network.run(MINUTE));
    assert!(network.agrees());
    check_order(&network.lists);
    for city in &network.cities {
        assert!(
            city.decided
                .iter()
                .all(|certificate| certificate.round == 0)
        );
        assert!(city.syncs <= 3 * 20, "{} syncs", city.syncs);
        assert_eq!(city.equivocations(), 0);
    }
    assert_eq!(
        network.now,
        Duration::from_millis(20 * 30),
        "three hops a height"
    );
}

#[test]
fn sets_that_tolerate_nothing_work_and_larger_ones_too() {
    for count in [2, 3, 5, 7] {
        let mut network = Network::new(count, 1);
        network.target = 5;
        network.start(&[]);
        assert!(network.run(MINUTE), "{count} validators");
        assert!(network.agrees());
        check_order(&network.lists);
    }
}

/// Runs three heights with the first city crashing before its effect number `at`. None when it
/// never got there.
fn crash_run(count: u8, kept: Kept, gone: &[usize], at: u64) -> Option<Network> {
    let mut network = Network::new(count, 1);
    network.target = 3;
    network.kept = kept;
    network.cities[0].crash_at = Some(at);
    network.start(gone);
    let finished = network.run(5 * MINUTE);
    network.cities[0].crashed_before?;
    assert!(
        finished,
        "{count} cities, {kept:?}, crash before effect {at}: stuck"
    );
    assert!(
        network.agrees(),
        "{count} cities, {kept:?}, crash before effect {at}: a fork"
    );
    Some(network)
}

fn crash_everywhere(count: u8, kept: Kept, gone: &[usize]) -> usize {
    let mut crashes = 0;
    for at in 1.. {
        let Some(network) = crash_run(count, kept, gone, at) else {
            break;
        };
        crashes += 1;
        for city in &network.cities {
            let before = network.cities[0].crashed_before;
            assert_eq!(
                city.equivocations(),
                0,
                "{count} cities, {kept:?}, {at}: {before:?}"
            );
        }
        check_order_but_first(&network);
    }
    crashes
}

/// After a crash the log is made durable before anything is shown, though nothing was appended.
fn check_order_but_first(network: &Network) {
    let lists = network.lists.iter().filter(|list| {
        let append = list
            .iter()
            .position(|effect| matches!(effect, Effect::Append(_)));
        let sync = list
            .iter()
            .position(|effect| matches!(effect, Effect::Sync));
        sync.is_none() || append < sync && append.is_some()
    });
    check_order(&lists.cloned().collect::<Vec<_>>());
}

#[test]
fn a_crash_at_any_effect_makes_no_city_sign_twice() {
    for kept in [Kept::Synced, Kept::Appended] {
        let alone = crash_everywhere(1, kept, &[]);
        assert!(alone >= 3 * 5, "only {alone} crashes");
        let four = crash_everywhere(4, kept, &[]);
        assert!(four >= 3 * 20, "only {four} crashes");
    }
}

#[test]
fn without_its_log_a_city_is_caught_signing_twice() {
    let caught = (1..)
        .map_while(|at| crash_run(4, Kept::Nothing, &[], at))
        .filter(|network| network.cities[0].equivocations() > 0)
        .count();
    assert!(caught > 10, "the harness sees only {caught} equivocations");
}

#[test]
fn with_one_city_gone_a_crash_at_any_effect_of_another_stops_nothing() {
    let crashes = crash_everywhere(4, Kept::Synced, &[3]);
    assert!(crashes >= 3 * 20, "only {crashes} crashes");
}

#[test]
fn without_answers_to_late_votes_such_a_crash_stops_the_chain() {
    let stuck = |at| {
        let mut network = Network::new(4, 1);
        network.target = 3;
        network.answers = false;
        network.cities[0].crash_at = Some(at);
        network.start(&[3]);
        let finished = network.run(MINUTE);
        assert!(network.agrees());
        !finished
    };
    assert!((1..60).any(stuck));
}

#[test]
fn an_append_that_fails_publishes_nothing() {
    for failing in 1..=30 {
        let mut network = Network::new(4, 1);
        network.target = 3;
        network.cities[0].fail_append = Some(failing);
        network.start(&[]);
        assert!(network.run(5 * MINUTE), "append {failing}: stuck");
        assert!(network.agrees(), "append {failing}: a fork");
        assert_eq!(network.cities[0].equivocations(), 0, "append {failing}");
        if failing <= 20 {
            assert_eq!(network.cities[0].crashed_before, Some("a failing append"));
        }
    }
}

#[test]
fn loss_delay_and_crashes_neither_fork_nor_stop_a_chain() {
    for seed in 1..=25 {
        let mut network = Network::new(4, seed * 0x9e37_79b9);
        network.target = 8;
        network.lost = 100;
        network.jitter = 100;
        network.crashes = 10;
        network.start(&[]);
        assert!(
            network.run(60 * MINUTE),
            "seed {seed}: stuck at {:?}",
            network.now
        );
        assert!(network.agrees(), "seed {seed}: a fork");
        for city in &network.cities {
            assert_eq!(city.equivocations(), 0, "seed {seed}");
        }
    }
}

#[test]
fn a_value_is_asked_for_after_the_log_and_only_if_the_log_has_none() {
    let (mut instance, effects) = start(4, 0, &[]).expect("a fresh start");
    assert_eq!(effects.last(), Some(&Effect::GetValue { round: 0 }));
    let built = Input::Propose {
        round: 0,
        block_hash: BLOCK,
    };
    let effects = instance.step(built).expect("a proposal");
    let log: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Append(record) => Some(record.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(log.len(), 3, "value, proposal and prevote: {log:?}");

    // With all three the same messages go out again.
    let (_, again) = start(4, 0, &log).expect("a restart");
    assert!(
        !again
            .iter()
            .any(|effect| matches!(effect, Effect::GetValue { .. }))
    );
    assert_eq!(published(&again), published(&effects));
    assert!(
        !again
            .iter()
            .any(|effect| matches!(effect, Effect::Append(_)))
    );
    let sync = again.iter().position(|effect| *effect == Effect::Sync);
    let first = again
        .iter()
        .position(|effect| matches!(effect, Effect::Publish(_)));
    assert!(
        sync.is_some() && sync < first,
        "what was read back is made durable first"
    );

    // Without the prevote it is made again, the same, and written now.
    let (_, again) = start(4, 0, &log[..2]).expect("a restart");
    assert_eq!(published(&again), published(&effects));
    assert!(again.contains(&Effect::Append(log[2].clone())));

    // With the value alone nothing was signed. The same block is proposed: another would be one too many for the core when the
    // log is read once more.
    let (_, again) = start(4, 0, &log[..1]).expect("a restart");
    assert!(!again.contains(&Effect::GetValue { round: 0 }));
    assert_eq!(published(&again), published(&effects));
}

#[test]
fn whoever_built_several_blocks_for_a_round_signs_for_the_last_alone() {
    let (mut instance, _) = start(4, 0, &[]).expect("a fresh start");
    let built = Input::Propose {
        round: 0,
        block_hash: BLOCK,
    };
    let effects = instance.step(built).expect("a proposal");
    let signed = effects.iter().filter_map(|effect| match effect {
        Effect::Append(record @ Record::Message(_)) => Some(record.clone()),
        _ => None,
    });
    let value = |byte| {
        Record::Value(Value {
            height: 1,
            round: 0,
            pol_round: None,
            proposer: keys(4).0[0].address(),
            block_hash: B256::repeat_byte(byte),
            valid: true,
        })
    };
    // As a release wrote it that built anew after each crash.
    let unsigned = [value(1), value(2)];
    let log: Vec<_> = unsigned
        .into_iter()
        .chain([value(0xb1)])
        .chain(signed)
        .collect();
    let (_, again) = start(4, 0, &log).expect("a restart");
    let signed = |effects: &[Effect]| {
        let said = published(effects).into_iter();
        let said: BTreeSet<_> = said.map(|message| format!("{message:?}")).collect();
        said
    };
    assert_eq!(signed(&again), signed(&effects));

    // A log that does not have the block that was signed for makes nobody sign for another.
    let log: Vec<_> = log
        .into_iter()
        .filter(|record| *record != value(0xb1))
        .collect();
    let refused = start(4, 0, &log);
    assert!(
        matches!(
            refused,
            Err(Error::SignsTwice {
                what: "proposal",
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn records_of_lower_heights_are_ignored_and_of_higher_ones_refused() {
    let at = |height| Record::Timeout {
        height,
        round: 0,
        kind: TimeoutKind::Propose,
    };
    let (keys, set) = keys(4);
    let turn = Order::new(&set)
        .turn(2, 2, |_| None)
        .expect("no header is asked for");
    let begin =
        |log: &[Record]| Instance::start(config(&keys[1]), 2, Arc::clone(&set), turn.clone(), log);
    let (_, fresh) = begin(&[]).expect("a fresh start");
    let (_, older) = begin(&[at(1)]).expect("an old record");
    assert_eq!(fresh, older);
    let (_, same) = begin(&[at(2)]).expect("a record of this height");
    assert_eq!(published(&same).len(), 1, "the time-out made it vote nil");
    assert!(matches!(
        begin(&[at(3)]),
        Err(Error::LogAhead {
            height: 2,
            record: 3
        })
    ));
}

#[test]
fn timers_of_the_past_have_no_effect() {
    let (mut instance, effects) = start(4, 1, &[]).expect("a fresh start");
    let propose = timer(&effects, TimeoutKind::Propose).expect("a proposal is waited for");
    for stale in [
        crate::Timeout {
            height: 2,
            ..propose
        },
        crate::Timeout {
            generation: propose.generation + 1,
            ..propose
        },
        crate::Timeout {
            round: 1,
            ..propose
        },
    ] {
        assert_eq!(instance.step(Input::Timeout(stale)).expect("ignored"), []);
    }
    let replaced = timer(&effects, TimeoutKind::Rebroadcast).expect("it would send again");
    let effects = instance.step(Input::Timeout(propose)).expect("it is over");
    assert!(matches!(published(&effects)[..], [Message::Vote(vote)] if vote.block_hash.is_zero()));
    assert_eq!(
        instance.step(Input::Timeout(propose)).expect("ignored"),
        [],
        "once is enough"
    );
    assert_eq!(
        instance.step(Input::Timeout(replaced)).expect("ignored"),
        []
    );
    let running = timer(&effects, TimeoutKind::Rebroadcast).expect("there is a vote to send again");
    let effects = instance.step(Input::Timeout(running)).expect("it is over");
    assert_eq!(published(&effects).len(), 1);
}

#[test]
fn after_the_decision_timers_are_cancelled_and_nothing_has_an_effect() {
    let (keys, _) = keys(4);
    let (mut instance, effects) = start(4, 1, &[]).expect("a fresh start");
    let running = timer(&effects, TimeoutKind::Rebroadcast).expect("a timer runs");
    let proposal = proposal(&keys[0], (1, 0), None, BLOCK);
    instance.step(body(&proposal, true)).expect("a body");
    says(&mut instance, Message::Proposal(proposal));
    let mut last = Vec::new();
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for key in [&keys[0], &keys[2]] {
            last = says(&mut instance, Message::Vote(vote(key, kind, (1, 0), BLOCK)));
        }
    }
    assert!(instance.is_decided());
    let names: Vec<_> = last.iter().map(simulation::name).collect();
    assert_eq!(names, ["append", "sync", "cancel time-outs", "decide"]);

    let late = vote(&keys[3], VoteKind::Precommit, (1, 0), BLOCK);
    assert_eq!(says(&mut instance, Message::Vote(late)), []);
    assert_eq!(instance.step(Input::Timeout(running)).expect("ignored"), []);
    assert_eq!(instance.step(body(&proposal, true)).expect("ignored"), []);
}

#[test]
fn a_proposal_is_voted_for_by_its_verdict_and_not_without_one() {
    let (keys, _) = keys(4);
    let proposal = proposal(&keys[0], (1, 0), None, BLOCK);
    for (valid, expected) in [(true, BLOCK), (false, B256::ZERO)] {
        let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
        let effects = says(&mut instance, Message::Proposal(proposal));
        assert!(published(&effects).is_empty(), "there is no verdict yet");
        let effects = instance.step(body(&proposal, valid)).expect("a verdict");
        let [Message::Vote(vote)] = published(&effects)[..] else {
            panic!("{effects:?}")
        };
        assert_eq!((vote.kind, vote.block_hash), (VoteKind::Prevote, expected));
    }
}

#[test]
fn who_is_not_the_proposer_proposes_in_vain() {
    let (keys, _) = keys(4);
    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    let proposal = proposal(&keys[2], (1, 0), None, BLOCK);
    instance.step(body(&proposal, true)).expect("a body");
    assert!(published(&says(&mut instance, Message::Proposal(proposal))).is_empty());
}

#[test]
fn an_untimely_block_is_taken_when_the_vote_is_out_or_a_polka_exists() {
    let (keys, _) = keys(4);
    let (mut instance, effects) = start(4, 1, &[]).expect("a fresh start");
    assert!(!instance.takes_untimely(0, BLOCK));
    let timer = effects.iter().find_map(|effect| match effect {
        Effect::Schedule(timeout) if timeout.kind == TimeoutKind::Propose => Some(*timeout),
        _ => None,
    });
    instance
        .step(Input::Timeout(timer.expect("a timer")))
        .expect("it is over");
    assert!(instance.takes_untimely(0, BLOCK), "the own prevote is out");
    assert!(!instance.takes_untimely(1, BLOCK));

    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    let signatures = [0, 2, 3].map(|city: usize| PolkaSignature {
        validator: keys[city].address(),
        signature: vote(&keys[city], VoteKind::Prevote, (1, 0), BLOCK).signature,
    });
    let polka = PolkaCertificate {
        height: 1,
        round: 0,
        block_hash: BLOCK,
        signatures: signatures.into(),
    };
    says(&mut instance, Message::Polka(polka));
    assert!(instance.takes_untimely(0, BLOCK), "a polka exists");
    assert!(!instance.takes_untimely(0, OTHER));
}

#[test]
fn a_certificate_decides_and_a_bad_one_changes_nothing() {
    let mut network = Network::new(4, 1);
    network.target = 2;
    network.start(&[]);
    assert!(network.run(MINUTE));
    let [first, second] = &network.cities[0].decided[..] else {
        panic!("two heights")
    };

    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    let other = instance.step(Input::Certificate(second.clone()));
    assert!(matches!(
        other,
        Err(Error::OtherHeight {
            height: 1,
            certificate: 2
        })
    ));
    let mut forged = first.clone();
    forged.block_hash = OTHER;
    let forged = instance.step(Input::Certificate(forged));
    assert!(matches!(forged, Err(Error::BadCertificate { .. })));

    let effects = instance
        .step(Input::Certificate(first.clone()))
        .expect("it decides");
    assert_eq!(
        effects,
        [
            Effect::CancelTimeouts,
            Effect::Decide {
                certificate: first.clone()
            }
        ]
    );
    assert!(instance.is_decided());
}

#[test]
fn two_votes_of_one_validator_are_evidence() {
    let (keys, _) = keys(4);
    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    let proposal = proposal(&keys[0], (1, 0), None, BLOCK);
    instance.step(body(&proposal, true)).expect("a body");
    says(&mut instance, Message::Proposal(proposal));
    let first = vote(&keys[3], VoteKind::Prevote, (1, 0), BLOCK);
    let second = vote(&keys[3], VoteKind::Prevote, (1, 0), OTHER);
    says(&mut instance, Message::Vote(first));
    says(&mut instance, Message::Vote(second));
    let mut effects = Vec::new();
    for key in [&keys[0], &keys[2], &keys[3]] {
        effects = says(
            &mut instance,
            Message::Vote(vote(key, VoteKind::Precommit, (1, 0), BLOCK)),
        );
    }
    let evidence = Equivocation {
        first: first.into(),
        second: second.into(),
    };
    assert_eq!(effects.last(), Some(&Effect::Evidence(vec![evidence])));
}

#[test]
fn a_panic_in_the_core_is_an_error_and_the_instance_is_done() {
    let (first, _) = keys(1);
    let (_, four) = keys(4);
    let strangers = ValidatorSet::single(alloy_primitives::Address::repeat_byte(9));
    let key = &first[0];
    let started = Instance::start(config(key), 1, Arc::clone(&four), turn(&strangers), &[]);
    let Err(Error::Panicked { message }) = started else {
        panic!("no panic was reported")
    };
    assert!(message.contains("only its members"), "{message}");

    // Half way: round 1 belongs to a validator that is none.
    let (keys, _) = keys(4);
    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    instance.core.ctx.turn = turn(&strangers);
    let odd = proposal(&keys[0], (1, 0), None, BLOCK);
    let message = instance
        .authenticate(&Message::Proposal(odd))
        .expect("an authentic message");
    assert!(matches!(
        instance.step(Input::Message(message)),
        Err(Error::Panicked { .. })
    ));
    let again = instance.step(body(&odd, true));
    assert!(matches!(again, Err(Error::Unusable)));
}

#[test]
fn nothing_is_signed_beyond_the_last_round() {
    let (keys, _) = keys(4);
    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    // More than a third, and then more than two thirds, conspire.
    for (kind, signers) in [
        (RoundCertificateKind::Skip, &[0, 2][..]),
        (RoundCertificateKind::Precommits, &[0, 2, 3]),
    ] {
        let signed = |&city: &usize| {
            let vote = vote(&keys[city], VoteKind::Precommit, (1, MAX_ROUND), B256::ZERO);
            RoundSignature {
                kind: vote.kind,
                block_hash: vote.block_hash,
                validator: vote.validator,
                signature: vote.signature,
            }
        };
        let signatures = signers.iter().map(signed).collect();
        let certificate = RoundCertificate {
            kind,
            height: 1,
            round: MAX_ROUND,
            signatures,
        };
        let message = instance
            .authenticate(&Message::Round(certificate))
            .expect("authentic");
        let effects = instance
            .step(Input::Message(message))
            .expect("the last round is one");
        assert_eq!(instance.round(), MAX_ROUND);
        let timer = timer(&effects, TimeoutKind::Precommit);
        if let Some(timer) = timer {
            let effects = instance
                .step(Input::Timeout(timer))
                .expect("the round after is begun");
            let propose = self::timer(&effects, TimeoutKind::Propose).expect("a wait");
            let refused = instance.step(Input::Timeout(propose));
            assert!(
                matches!(refused, Err(Error::RoundTooHigh { .. })),
                "{refused:?}"
            );
            return;
        }
    }
    panic!("the round after the last was never begun");
}

#[test]
fn what_is_known_is_not_verified_again() {
    let (keys, _) = keys(4);
    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    let first = Message::Vote(vote(&keys[0], VoteKind::Prevote, (1, 0), BLOCK));
    says(&mut instance, first.clone());
    assert_eq!(instance.authenticate(&first), Err(Refused::Known));
    // Not so what contradicts it.
    let second = Message::Vote(vote(&keys[0], VoteKind::Prevote, (1, 0), OTHER));
    assert!(instance.authenticate(&second).is_ok());
}

#[test]
fn a_log_that_contradicts_itself_starts_nothing() {
    let (keys, _) = keys(4);
    // A prevote for a block that the log does not explain, and the time-out that makes it nil.
    let log = [
        Record::Message(vote(&keys[1], VoteKind::Prevote, (1, 0), BLOCK).into()),
        Record::Timeout {
            height: 1,
            round: 0,
            kind: TimeoutKind::Propose,
        },
    ];
    assert!(matches!(start(4, 1, &log), Err(Error::Core(_))));
}

#[test]
fn an_instance_may_change_threads() {
    const fn send<T: Send>() {}
    send::<Instance>();
}

#[test]
fn a_city_outside_the_set_follows_without_a_word() {
    let (keys, set) = keys(4);
    let outside = types::NodeKey::from_bytes(&[99; 32]).expect("a key");
    let (mut instance, _) = Instance::start(
        config(&Arc::new(outside)),
        1,
        Arc::clone(&set),
        turn(&set),
        &[],
    )
    .expect("a fresh start");
    let proposal = proposal(&keys[0], (1, 0), None, BLOCK);
    instance.step(body(&proposal, true)).expect("a body");
    let mut shown = published(&says(&mut instance, Message::Proposal(proposal))).len();
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        for key in &keys[..3] {
            let effects = says(&mut instance, Message::Vote(vote(key, kind, (1, 0), BLOCK)));
            shown += published(&effects).len();
        }
    }
    assert!(instance.is_decided());
    assert_eq!((shown, instance.signatures()), (0, 0));
}

#[test]
fn a_message_for_another_height_gets_nowhere() {
    let (keys, _) = keys(4);
    let (mut instance, _) = start(4, 1, &[]).expect("a fresh start");
    let early = Message::Vote(vote(&keys[0], VoteKind::Prevote, (2, 0), BLOCK));
    assert_eq!(
        instance.authenticate(&early),
        Err(Refused::Early { height: 2 })
    );
    let audience = crate::Audience {
        height: 2,
        ..instance.audience()
    };
    let early = crate::authenticate(&early, &audience).expect("authentic at height 2");
    assert_eq!(instance.step(Input::Message(early)).expect("ignored"), []);
    assert_eq!(instance.core.input_queue.len(), 0, "nor is it kept");
}

#[test]
fn a_single_validator_takes_its_block_from_the_log_again() {
    let (keys, _) = keys(1);
    let value = Value {
        height: 1,
        round: 0,
        pol_round: None,
        proposer: keys[0].address(),
        block_hash: BLOCK,
        valid: true,
    };
    let (instance, effects) = start(1, 0, &[Record::Value(value)]).expect("a restart");
    assert!(instance.is_decided());
    let names: Vec<_> = effects.iter().map(simulation::name).collect();
    assert_eq!(names, ["append", "sync", "decide"]);
    let [.., Effect::Decide { certificate }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(certificate.block_hash, BLOCK);
    let (_, set) = simulation::keys(1);
    certificate
        .verify(&domain(), &set)
        .expect("a decision is proven");
}
