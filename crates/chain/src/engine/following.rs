//! What other cities decided already: tips, certificates, and blocks that come with their certificates.
//!
//! ```text
//!  tip above ours ─▶ get blocks ─▶ queue ─▶ certificate checked ─▶ executed ─▶ decided ─committed─▶ the next of the queue
//! ```
//!
//! A tip is a claim; a block counts by its certificate, checked against the set that the header before it proves. One wish
//! is open at a time, and it is repeated to somebody else when it is not answered.
//!
//! A city that lost its log follows in silence: it asks all others for the certificate of their latest block, and signs
//! nothing up to two heights above the highest.

use super::blocks::{ASK_AGAIN, Promised};
use super::handover::Shown;
use super::voting::{is_last_vote, signer};
use super::{
    Address, Arc, BTreeMap, BTreeSet, Call, Certificate, Certified, Effect, Engine, EngineError,
    HashMap, HashSet, Notice, Outline, PeerMessage, Timer, Transaction, VecDeque,
};
use alloy_consensus::BlockBody;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes};
use consensus::Message;

use crate::candidate::Candidate;
use crate::import::ImportError;
use crate::peer::MAX_BLOCKS;
use crate::{ReadError, entry};

/// Bytes of blocks that one answer holds, but for a single larger block.
const ANSWER_BYTES: usize = 2 << 20;

/// Most wishes of one city that are granted in a second, each with its weight. One that follows asks again when it has
/// taken in the answer, and one that votes asks once a block.
const WISHES_A_SECOND: u32 = 1_024;

/// What is known of the other cities' blocks.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// The latest block above this city's that each validator says it has.
    tips: BTreeMap<Address, u64>,
    /// The latest block that each said to have at last, above this city's or not.
    claims: BTreeMap<Address, u64>,
    /// Whom blocks are awaited from.
    asked: Option<Address>,
    /// Blocks that are here and not decided yet; of the one city that was asked.
    queue: VecDeque<Certified>,
    /// Whether the next block is one of theirs, decided and about to be committed.
    committing: bool,
    /// Who sent what is in the queue.
    source: Address,
    /// Cities that seem to be ahead, to be told this city's tip at the next opportunity.
    hints: BTreeSet<Address>,
    /// Precommits of the latest block that came after it was decided, one each.
    late: HashSet<Address>,
    /// How many wishes of each validator were granted in which second.
    granted: BTreeMap<Address, (u64, u32)>,
}

impl Following {
    /// Whether decided blocks are being taken in, or awaited: nothing is started meanwhile.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.asked.is_some() || self.committing
    }

    /// What a city said last that it has.
    pub(super) fn claim(&self, city: Address) -> Option<u64> {
        self.claims.get(&city).copied()
    }

    /// The highest claim above `number`.
    pub(super) fn highest(&self, number: u64) -> Option<u64> {
        let highest = self.tips.values().max().copied()?;
        (highest > number).then_some(highest)
    }

    /// Whether one more wish of `peer` is granted: reading and sending megabytes for a wish of ten bytes has a bound.
    pub(super) fn grants(&mut self, peer: Address, weight: u32, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        let granted = self.granted.entry(peer).or_insert((second, 0));
        if granted.0 != second {
            *granted = (second, 0);
        }
        granted.1 = granted.1.saturating_add(weight);
        granted.1 <= WISHES_A_SECOND
    }

    /// The latest block is `number`.
    pub(super) fn reached(&mut self, number: u64) {
        self.tips.retain(|_, tip| *tip > number);
        self.committing = false;
        self.late.clear();
        self.hints.clear();
    }
}

/// What a city keeps to that lost its log.
#[derive(Debug)]
pub(super) struct Silence {
    /// Up to which height it signs nothing; 0 while it does not know.
    pub(super) until: u64,
    /// The latest block of those that answered.
    answers: HashMap<Address, u64>,
}

impl Silence {
    pub(super) fn new(until: u64) -> Self {
        Self {
            until,
            answers: HashMap::new(),
        }
    }

    pub(super) const fn is_over(&self, number: u64) -> bool {
        self.until > 0 && number >= self.until
    }
}

impl Engine {
    /// A vote for a height that is decided: its signer may not know.
    pub(super) fn answer_late(&mut self, from: Address, message: &Message, call: &mut Call) {
        if !matches!(message, Message::Vote(_)) {
            return;
        }
        if message.height() < self.head.header.number {
            return call.send(from, self.tip());
        }
        let Some(certificate) = &self.certificate else {
            return;
        };
        // The last precommits of a height always come late; only who repeats his needs an answer.
        if is_last_vote(message, certificate)
            && self.following.late.insert(signer(message).unwrap_or(from))
        {
            return;
        }
        call.send(from, PeerMessage::Certificate(certificate.clone()));
    }

    /// Another city seems to be ahead. It answers a lower tip with its own.
    pub(super) fn hint(&mut self, from: Address, call: &mut Call) {
        if !self.following.hints.insert(from) || self.following.is_busy() {
            return;
        }
        if self.height.is_none() {
            call.send(from, self.tip());
        } else {
            // The present height may be about to be decided here as well.
            call.push(Effect::Schedule {
                timer: Timer::Ask,
                after: ASK_AGAIN,
            });
        }
    }

    pub(super) fn take_tip(&mut self, from: Address, number: u64, hash: B256, call: &mut Call) {
        let own = self.head.header.number;
        self.following.claims.insert(from, number);
        self.welcome(from);
        if number == 0 {
            self.answer_silence(from, 0, call);
        }
        if number > own {
            self.following.tips.insert(from, number);
            self.follow(call);
        } else if number < own {
            call.send(from, self.tip());
        } else if hash != self.head.hash {
            call.accuse(from, "another block of the same height");
        } else if self.set.get(from).is_some() {
            // It may have become a validator with this block, and heard nothing of the height that began.
            self.repeat(from, call);
        }
    }

    pub(super) fn take_certificate(
        &mut self,
        from: Address,
        certificate: Certificate,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let own = self.head.header.number;
        self.following.claims.insert(from, certificate.height);
        if certificate.height <= own && self.silence.is_none() {
            return Ok(());
        }
        if certificate.verify(&self.domain, &self.set).is_err() {
            if certificate.height == own + 1 {
                call.accuse(from, "certificate");
            } else if certificate.height > own {
                // Another set may sign there: it is a claim.
                self.following.tips.insert(from, certificate.height);
                self.follow(call);
            }
            return Ok(());
        }
        self.answer_silence(from, certificate.height, call);
        if certificate.height <= own {
            return Ok(());
        }
        self.following.tips.insert(from, certificate.height);
        if certificate.height == own + 1 && self.adopt(certificate, call)? {
            return Ok(());
        }
        self.follow(call);
        Ok(())
    }

    /// Asks somebody who has them for the blocks after the latest, unless somebody is being asked.
    pub(super) fn follow(&mut self, call: &mut Call) {
        if self.following.is_busy() {
            return;
        }
        let own = self.head.header.number;
        let highest = self
            .following
            .tips
            .iter()
            .max_by_key(|(address, tip)| (**tip, **address));
        let Some((&peer, &of)) = highest.filter(|(_, tip)| **tip > own) else {
            return;
        };
        self.following.asked = Some(peer);
        if of > own + 1 {
            call.push(Effect::Notice(Notice::Behind { number: own, of }));
        }
        call.send(peer, PeerMessage::GetBlocks { from: own + 1 });
        call.push(Effect::Schedule {
            timer: Timer::Follow,
            after: ASK_AGAIN * 2,
        });
    }

    /// Decided blocks that were asked for did not come in time.
    pub(super) fn follow_elsewhere(&mut self, call: &mut Call) -> Result<(), EngineError> {
        if let Some(peer) = self.following.asked.take() {
            // It may claim it again; others are asked first.
            self.following.tips.remove(&peer);
            call.send(peer, self.tip());
            // Perhaps nobody is ahead, and the others wait for this city.
            self.start_ahead(None, call)?;
            self.follow(call);
        }
        Ok(())
    }

    /// What is missing is asked for again.
    pub(super) fn ask_again(&mut self, call: &mut Call) {
        for peer in std::mem::take(&mut self.following.hints) {
            call.send(peer, self.tip());
        }
        if self.ask_for_blocks(call) {
            call.push(Effect::Schedule {
                timer: Timer::Ask,
                after: ASK_AGAIN,
            });
        }
    }

    /// Answers with decided blocks, as many as a message holds.
    pub(super) fn send_blocks(
        &self,
        to: Address,
        first: u64,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let moment = self.reader.moment()?;
        let last = moment.head().header.number;
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        for number in first.max(1)..=last {
            let damaged = |what| ReadError::Damaged { what, number };
            let block = moment.block(number)?.ok_or(damaged("body"))?;
            let seal = moment.seal(number)?.ok_or(damaged("seal"))?;
            let certified = Certified {
                block: alloy_consensus::Block {
                    header: block.header,
                    body: block.body,
                },
                requests: seal.requests,
                certificate: seal.certificate,
                beside: moment.beside(number)?,
            };
            bytes += alloy_rlp::Encodable::length(&certified);
            if !blocks.is_empty() && (bytes > ANSWER_BYTES || blocks.len() >= MAX_BLOCKS) {
                break;
            }
            blocks.push(certified);
        }
        let answer = if blocks.is_empty() {
            self.tip()
        } else {
            PeerMessage::Blocks(blocks)
        };
        call.send(to, answer);
        Ok(())
    }

    pub(super) fn take_blocks(
        &mut self,
        from: Address,
        blocks: Vec<Certified>,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        if self.following.asked != Some(from) {
            call.refuse(from, "blocks that nobody asked for");
            return Ok(());
        }
        self.following.asked = None;
        let own = self.head.header.number;
        let new = blocks
            .into_iter()
            .filter(|certified| certified.block.header.number > own);
        self.following.queue = new.collect();
        self.following.source = from;
        self.follow_on(call)
    }

    /// Takes in the next block of the queue; when there is none, asks for more.
    pub(super) fn follow_on(&mut self, call: &mut Call) -> Result<(), EngineError> {
        let number = self.head.header.number + 1;
        // What was decided here meanwhile.
        while let Some(first) = self.following.queue.front()
            && first.block.header.number < number
        {
            self.following.queue.pop_front();
        }
        let Some(certified) = self.following.queue.pop_front() else {
            self.follow(call);
            return Ok(());
        };
        let source = self.following.source;
        let parent = self.reader.moment()?;
        match self.check(certified, &parent) {
            Ok((candidate, certificate)) => {
                call.push(Effect::Append(entry::body_entry(&candidate)));
                match self.take_candidate(candidate) {
                    Some(candidate) => {
                        self.following.committing = true;
                        self.decide(candidate, certificate, call);
                    }
                    None => {
                        self.adopt(certificate, call)?;
                    }
                }
            }
            Err(Bad::Here(error)) => return Err(error.into()),
            Err(Bad::Theirs(reason)) => {
                call.accuse(source, reason);
                self.following.queue.clear();
                self.following.tips.remove(&source);
                self.follow(call);
            }
        }
        Ok(())
    }

    /// Checks that a block follows the latest one, is certified, and executes as its header says.
    fn check(
        &self,
        certified: Certified,
        parent: &crate::Moment,
    ) -> Result<(Candidate, Certificate), Bad> {
        let Certified {
            block,
            requests,
            certificate,
            beside,
        } = certified;
        let head = parent.head();
        if block.header.parent_hash != head.hash || block.header.number != head.header.number + 1 {
            return Err(Bad::Theirs("blocks out of order"));
        }
        let certificate =
            Certificate::decode(&certificate).map_err(|_malformed| Bad::Theirs("certificate"))?;
        let hash = block.header.hash_slow();
        if certificate.block_hash != hash || certificate.height != block.header.number {
            return Err(Bad::Theirs("another block's certificate"));
        }
        certificate
            .verify(&self.domain, &self.set)
            .map_err(|_untrue| Bad::Theirs("certificate"))?;
        let BlockBody { transactions, .. } = block.body;
        let raw: Vec<Bytes> = transactions
            .iter()
            .map(|transaction| transaction.encoded_2718().into())
            .collect();
        let recovered: Result<Vec<Arc<Transaction>>, _> = execution::recover_all(&raw)
            .into_iter()
            .map(|transaction| transaction.map(Arc::new))
            .collect();
        let recovered = recovered.map_err(|_unsigned| Bad::Theirs("unsigned transactions"))?;
        let outline = Outline {
            header: block.header,
            requests,
            transactions: Vec::new(),
            beside,
        };
        let promised = Promised::of(&outline);
        match self.execute(outline, &recovered, parent, Shown::Certificate) {
            Ok(candidate) => Ok((candidate, certificate)),
            Err(error) if error.is_retryable() => Err(Bad::Here(error)),
            Err(ImportError::Citation { .. }) => Err(Bad::Theirs("another set than it names")),
            Err(_) if !promised.holds(&recovered) => {
                Err(Bad::Theirs("another block's transactions"))
            }
            Err(error) => {
                tracing::error!(
                    %hash, error = &error as &dyn std::error::Error,
                    "a certified block does not execute here: more than a third of the validators, or this program, is wrong"
                );
                Err(Bad::Theirs("a certified block that breaks a rule"))
            }
        }
    }

    /// One more city said what it has: a city that lost its log waits for more than two thirds of the power of all
    /// others.
    fn answer_silence(&mut self, from: Address, number: u64, call: &mut Call) {
        let own = self.config.key.address();
        let power = |address| self.set.get(address).map_or(0, |validator| validator.power);
        let others = self.set.total_power() - power(own);
        let Some(silence) = &mut self.silence else {
            return;
        };
        // Before a handover that is not here, others vote than this city knows: what they say does not count.
        if silence.until > 0 || self.named.is_due {
            return;
        }
        silence.answers.insert(from, number);
        let answered: u64 = silence.answers.keys().copied().map(power).sum();
        if answered * 3 <= others * 2 {
            return;
        }
        let highest = silence.answers.values().max().copied().unwrap_or_default();
        silence.until = highest.saturating_add(2);
        let until = silence.until;
        call.push(Effect::Append(entry::silence_entry(until)));
        call.push(Effect::Notice(Notice::Silent { until }));
    }
}

/// Why a block of another city was not taken in.
#[derive(Debug)]
enum Bad {
    /// This city could not tell.
    Here(ImportError),
    /// It is not what it claims to be.
    Theirs(&'static str),
}
