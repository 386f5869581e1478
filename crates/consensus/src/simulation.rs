//! Cities on simulated time: instances, logs that lose what was not synced, a network, crashes.
//!
//! For this crate's tests only. A city's log is bytes; a crash keeps of them what was synced (or,
//! where a test wants it, everything), and the city starts again with an application that builds a
//! *different* block. What a city ever showed is kept and searched for two answers to one question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, keccak256};
use types::{Certificate, ChainId, Domain, NetworkId, NodeKey, Validator, ValidatorSet};

use crate::{
    Ahead, Audience, Config, Effect, Input, Instance, Message, Order, Proposal, Record, Refused,
    Timeout, Timeouts, Vote, VoteKind,
};

/// One way over the network.
const HOP: Duration = Duration::from_millis(10);

pub(crate) fn domain() -> Domain {
    Domain::new(ChainId::DEVELOPMENT, NetworkId(B256::repeat_byte(7)))
}

/// Keys in the order of their addresses, and their set, each of power 1.
pub(crate) fn keys(count: u8) -> (Vec<Arc<NodeKey>>, Arc<ValidatorSet>) {
    let key = |n: u8| Arc::new(NodeKey::from_bytes(&[n; 32]).expect("a small number is a key"));
    let mut keys: Vec<_> = (1..=count).map(key).collect();
    keys.sort_by_key(|key| key.address());
    let validators = keys.iter().map(|key| Validator {
        address: key.address(),
        power: 1,
    });
    let set = ValidatorSet::new(validators.collect()).expect("a sound set");
    (keys, Arc::new(set))
}

pub(crate) fn config(key: &Arc<NodeKey>) -> Config {
    let timeouts = Timeouts {
        rebroadcast: Duration::from_secs(1),
        ..Timeouts::default()
    };
    Config {
        domain: domain(),
        key: Arc::clone(key),
        silent: false,
        timeouts,
        proposers: Vec::new(),
    }
}

/// What of the log a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Synced,
    Appended,
    /// A control: a city that keeps no log must be caught signing twice.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct City {
    key: Arc<NodeKey>,
    instance: Option<Instance>,
    log: Vec<Vec<u8>>,
    synced: usize,
    ahead: Ahead,
    salt: u32,
    gone: bool,
    pub(crate) decided: Vec<Certificate>,
    shown: Vec<Message>,
    /// How many effects were performed since the beginning.
    pub(crate) performed: u64,
    pub(crate) crash_at: Option<u64>,
    /// What it was about to do when it crashed.
    pub(crate) crashed_before: Option<&'static str>,
    /// The number of the append, from now, that fails.
    pub(crate) fail_append: Option<u64>,
    pub(crate) signatures: usize,
    pub(crate) syncs: usize,
    pub(crate) appends: usize,
}

#[derive(Clone, Debug)]
enum Event {
    Deliver {
        to: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    Timer {
        city: usize,
        life: u32,
        timeout: Timeout,
    },
    Built {
        city: usize,
        life: u32,
        height: u64,
        round: u32,
    },
    Certificate {
        to: usize,
        certificate: Certificate,
    },
    Restart {
        city: usize,
    },
}

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) cities: Vec<City>,
    set: Arc<ValidatorSet>,
    queue: BTreeMap<(Duration, u64), Event>,
    number: u64,
    pub(crate) now: Duration,
    pub(crate) target: u64,
    pub(crate) kept: Kept,
    /// Of 1,000 messages, how many are lost; and up to how many milliseconds the others take more.
    pub(crate) lost: u64,
    pub(crate) jitter: u64,
    /// Of 1,000 performed effects, at how many a city crashes.
    pub(crate) crashes: u64,
    /// Whether votes for decided heights are answered.
    pub(crate) answers: bool,
    random: u64,
    pub(crate) messages: u64,
    /// Every list of effects that an instance gave, for rules about their order.
    pub(crate) lists: Vec<Vec<Effect>>,
}

impl Network {
    pub(crate) fn new(count: u8, seed: u64) -> Self {
        let (keys, set) = keys(count);
        let city = |key| City {
            key,
            instance: None,
            log: Vec::new(),
            synced: 0,
            ahead: Ahead::default(),
            salt: 0,
            gone: false,
            decided: Vec::new(),
            shown: Vec::new(),
            performed: 0,
            crash_at: None,
            crashed_before: None,
            fail_append: None,
            signatures: 0,
            syncs: 0,
            appends: 0,
        };
        Self {
            cities: keys.into_iter().map(city).collect(),
            set,
            queue: BTreeMap::new(),
            number: 0,
            now: Duration::ZERO,
            target: u64::MAX,
            kept: Kept::Synced,
            lost: 0,
            jitter: 0,
            crashes: 0,
            answers: true,
            random: seed | 1,
            messages: 0,
            lists: Vec::new(),
        }
    }

    /// Starts height 1 in all cities but those that are gone for good.
    pub(crate) fn start(&mut self, gone: &[usize]) {
        for city in 0..self.cities.len() {
            self.cities[city].gone = gone.contains(&city);
            if !self.cities[city].gone {
                self.begin(city);
            }
        }
    }

    /// Runs until every city that is not gone has decided the target. False when time ran out.
    pub(crate) fn run(&mut self, limit: Duration) -> bool {
        loop {
            let behind = |city: &City| !city.gone && city.height() <= self.target;
            if !self.cities.iter().any(behind) {
                return true;
            }
            let Some(((at, _), event)) = self.queue.pop_first() else {
                return false;
            };
            if at > limit {
                return false;
            }
            self.now = at;
            self.happen(event);
        }
    }

    /// Whether all cities decided alike.
    pub(crate) fn agrees(&self) -> bool {
        let mut blocks = BTreeMap::new();
        self.cities
            .iter()
            .flat_map(|city| &city.decided)
            .all(|certificate| {
                let hash = certificate.block_hash;
                *blocks.entry(certificate.height).or_insert(hash) == hash
            })
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Restart { city } => {
                self.cities[city].salt += 1;
                self.begin(city);
            }
            Event::Timer {
                city,
                life,
                timeout,
            } => {
                if self.cities[city].salt == life {
                    self.step(city, Input::Timeout(timeout));
                }
            }
            Event::Built {
                city,
                life,
                height,
                round,
            } => {
                if self.cities[city].salt == life && self.cities[city].height() == height {
                    let own = self.cities[city].key.address();
                    let block_hash = block(height, round, own, life);
                    self.step(city, Input::Propose { round, block_hash });
                }
            }
            Event::Certificate { to, certificate } => {
                if certificate.height == self.cities[to].height() {
                    self.step(to, Input::Certificate(certificate));
                }
            }
            Event::Deliver { to, from, bytes } => self.receive(to, from, &bytes),
        }
    }

    fn receive(&mut self, to: usize, from: usize, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("cities send messages");
        let behind = self.cities[from].height() <= message.height();
        let city = &mut self.cities[to];
        let Some(instance) = &city.instance else {
            if matches!(message, Message::Vote(_)) && behind {
                self.answer(to, from, message.height());
            }
            return;
        };
        match instance.authenticate(&message) {
            Ok(message) => {
                if let Message::Proposal(proposal) = *message.message() {
                    self.step(to, body(&proposal, true));
                }
                self.step(to, Input::Message(message));
            }
            Err(Refused::Early { .. }) => {
                let audience = Audience {
                    ..instance.audience()
                };
                city.ahead
                    .hold(message, &audience)
                    .expect("honest messages are let in");
            }
            Err(Refused::Decided { height }) => {
                if matches!(message, Message::Vote(_)) && behind {
                    self.answer(to, from, height);
                }
            }
            Err(Refused::Known) => {}
            Err(refused) => panic!("an honest message was refused: {refused}"),
        }
    }

    /// A vote for a decided height is answered with its certificate.
    fn answer(&mut self, by: usize, to: usize, height: u64) {
        let index = usize::try_from(height - 1).expect("few heights");
        let certificate = self.cities[by].decided.get(index).cloned();
        if let Some(certificate) = certificate.filter(|_| self.answers) {
            self.at(HOP, Event::Certificate { to, certificate });
        }
    }

    /// Starts the next height of a city from what its log holds.
    fn begin(&mut self, index: usize) {
        let order = Order::new(&self.set);
        let city = &mut self.cities[index];
        let height = city.height();
        let records: Vec<Record> = city
            .log
            .iter()
            .map(|bytes| Record::decode(bytes).expect("own records"))
            .collect();
        // Nobody rests: beneficiaries are those whose turn it was.
        let turn = order
            .turn(height, height, |_| None)
            .expect("no header is asked for");
        let set = Arc::clone(&self.set);
        let started = Instance::start(config(&city.key), height, set, turn, &records);
        let (instance, effects) = started.expect("a log that the city wrote itself");
        city.instance = Some(instance);
        let held = city.ahead.take(height);
        self.perform(index, effects);
        for message in held {
            let Some(instance) = &self.cities[index].instance else {
                return;
            };
            if let Ok(message) = instance.authenticate(&message) {
                if let Message::Proposal(proposal) = *message.message() {
                    self.step(index, body(&proposal, true));
                }
                self.step(index, Input::Message(message));
            }
        }
    }

    fn step(&mut self, index: usize, input: Input) {
        let Some(instance) = &mut self.cities[index].instance else {
            return;
        };
        let effects = instance
            .step(input)
            .expect("an honest network breaks no instance");
        self.perform(index, effects);
    }

    fn perform(&mut self, index: usize, effects: Vec<Effect>) {
        self.lists.push(effects.clone());
        for effect in effects {
            self.cities[index].performed += 1;
            let due = self.cities[index].crash_at == Some(self.cities[index].performed);
            if due || self.chance(self.crashes) {
                return self.crash(index, name(&effect));
            }
            let city = &mut self.cities[index];
            let life = city.salt;
            match effect {
                Effect::Append(record) => {
                    city.appends += 1;
                    city.fail_append = city.fail_append.map(|left| left.saturating_sub(1));
                    if city.fail_append == Some(0) {
                        city.fail_append = None;
                        return self.crash(index, "a failing append");
                    }
                    city.log.push(record.encode());
                }
                Effect::Sync => {
                    city.syncs += 1;
                    city.synced = city.log.len();
                }
                Effect::GetValue { round } => {
                    let height = city.height();
                    self.at(
                        Duration::ZERO,
                        Event::Built {
                            city: index,
                            life,
                            height,
                            round,
                        },
                    );
                }
                Effect::Publish(message) => self.publish(index, message),
                Effect::Schedule(timeout) => {
                    self.at(
                        timeout.duration,
                        Event::Timer {
                            city: index,
                            life,
                            timeout,
                        },
                    );
                }
                Effect::Decide { certificate } => {
                    certificate
                        .verify(&domain(), &self.set)
                        .expect("a decision is proven");
                    city.decided.push(certificate);
                }
                Effect::Restream { .. } | Effect::CancelTimeouts | Effect::Evidence(_) => {}
            }
        }
        let city = &mut self.cities[index];
        let over = city.instance.as_ref().is_some_and(Instance::is_decided);
        if over {
            city.signatures += city
                .instance
                .take()
                .map_or(0, |instance| instance.signatures());
            if city.height() <= self.target {
                self.begin(index);
            }
        }
    }

    fn publish(&mut self, from: usize, message: Message) {
        let bytes = message.encode();
        self.cities[from].shown.push(message);
        for to in (0..self.cities.len()).filter(|&to| to != from) {
            self.messages += 1;
            if !self.chance(self.lost) {
                let late = Duration::from_millis(self.below(self.jitter + 1));
                self.at(
                    HOP + late,
                    Event::Deliver {
                        to,
                        from,
                        bytes: bytes.clone(),
                    },
                );
            }
        }
    }

    fn crash(&mut self, index: usize, before: &'static str) {
        let city = &mut self.cities[index];
        city.crash_at = None;
        city.crashed_before = Some(before);
        city.instance = None;
        city.ahead = Ahead::default();
        match self.kept {
            Kept::Synced => city.log.truncate(city.synced),
            Kept::Appended => {}
            Kept::Nothing => city.log.clear(),
        }
        city.synced = city.log.len();
        // Timers and builds of this life are over with it.
        city.salt += 1;
        self.at(Duration::from_millis(50), Event::Restart { city: index });
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.queue.insert((self.now + after, self.number), event);
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        of_thousand > 0 && self.below(1_000) < of_thousand
    }

    fn below(&mut self, limit: u64) -> u64 {
        // Xorshift (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }
}

impl City {
    pub(crate) fn height(&self) -> u64 {
        self.decided.len() as u64 + 1
    }

    /// For how many questions this city showed two answers.
    pub(crate) fn equivocations(&self) -> usize {
        let own = self.key.address();
        let mut answers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let votes = self.shown.iter().filter_map(|message| match message {
            Message::Vote(vote) => Some((
                (vote.height, vote.round, vote.kind as u8),
                (vote.block_hash, None),
            )),
            Message::Proposal(proposal) => Some((
                (proposal.height, proposal.round, 0),
                (proposal.block_hash, proposal.pol_round),
            )),
            Message::Polka(_) | Message::Round(_) => None,
        });
        let commits = self.decided.iter().filter_map(|certificate| {
            certificate
                .signatures
                .iter()
                .find(|signed| signed.address == own)?;
            let question = (
                certificate.height,
                certificate.round,
                VoteKind::Precommit as u8,
            );
            Some((question, (certificate.block_hash, None)))
        });
        for (question, answer) in votes.chain(commits) {
            answers.entry(question).or_default().insert(answer);
        }
        answers.values().filter(|answers| answers.len() > 1).count()
    }
}

/// The block that a city builds; another one in each of its lives.
fn block(height: u64, round: u32, builder: Address, life: u32) -> B256 {
    keccak256(
        [
            &height.to_be_bytes()[..],
            &round.to_be_bytes()[..],
            builder.as_slice(),
            &life.to_be_bytes()[..],
        ]
        .concat(),
    )
}

/// The verdict on a proposal's body.
pub(crate) fn body(proposal: &Proposal, valid: bool) -> Input {
    Input::Value {
        round: proposal.round,
        pol_round: proposal.pol_round,
        proposer: proposal.proposer,
        block_hash: proposal.block_hash,
        valid,
    }
}

pub(crate) fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Append(_) => "append",
        Effect::Sync => "sync",
        Effect::GetValue { .. } => "get value",
        Effect::Publish(Message::Proposal(_)) => "publish proposal",
        Effect::Publish(Message::Vote(_)) => "publish vote",
        Effect::Publish(_) => "publish certificate",
        Effect::Restream { .. } => "restream",
        Effect::Schedule(_) => "schedule",
        Effect::CancelTimeouts => "cancel time-outs",
        Effect::Decide { .. } => "decide",
        Effect::Evidence(_) => "evidence",
    }
}

/// A signed vote.
pub(crate) fn vote(
    key: &NodeKey,
    kind: VoteKind,
    (height, round): (u64, u32),
    block_hash: B256,
) -> Vote {
    let signature = types::Signature([0; 65]);
    let validator = key.address();
    let mut vote = Vote {
        kind,
        height,
        round,
        block_hash,
        validator,
        signature,
    };
    vote.signature = key.sign(vote.digest(&domain()));
    vote
}

/// A signed proposal.
pub(crate) fn proposal(
    key: &NodeKey,
    (height, round): (u64, u32),
    pol_round: Option<u32>,
    block_hash: B256,
) -> Proposal {
    let signature = types::Signature([0; 65]);
    let proposer = key.address();
    let mut proposal = Proposal {
        height,
        round,
        pol_round,
        block_hash,
        proposer,
        signature,
    };
    proposal.signature = key.sign(proposal.digest(&domain()));
    proposal
}
