//! A height that is being agreed on: proposals, the blocks that they name, and what consensus wants done.
//!
//! ```text
//!  proposal ─▶ pending ──┐                                ┌─ timely, or the own prevote is out
//!  outline ─▶ completed ─┴─▶ executed, appended ─▶ verdict ┴─▶ Input::Value ─▶ votes
//! ```
//!
//! A block's verdict is for good. A block that is late or early is withheld from consensus, not refused, until this
//! city's own prevote of that round is out.

use std::time::Duration;

use super::blocks::Partial;
use super::timing::{TIMED_ROUNDS, Timed};
use super::{
    Address, Arc, Audience, B256, BTreeMap, BTreeSet, Call, Candidate, Cause, Certificate, Effect,
    Engine, EngineError, HashMap, HashSet, Notice, PeerMessage, Timer,
};
use consensus::{Authentic, Instance, Message, Proposal, Refused, TimeoutKind, Turn, VoteKind};

use crate::{Moment, entry};

/// A proposer does not run further ahead of its clock than this.
const MAX_AHEAD_MS: u64 = 250;

/// A fresh block of a height's first round further ahead of a validator's clock than this is untimely.
const EARLY_MS: u64 = 500;

/// By how much more it may be ahead for each round that came to nothing: so a quorum whose clocks differ agrees, later.
const EARLY_MORE_MS: u64 = 250;

/// A fresh block further ahead than this is untimely in every round.
const MAX_EARLY_MS: u64 = 2_000;

/// A fresh block older than the propose time-out and this is untimely.
const LATE_MS: u64 = 2_000;

/// Most proposals of one height that are kept: two a round and proposer, of the rounds that are open at a time.
const MAX_PROPOSALS: usize = 64;

/// Most messages of its own that a city repeats to another: a round has a proposal, two votes, and certificates.
const MAX_SAID: usize = 8;

/// A height that was started and is not finished.
#[derive(Debug)]
pub(super) struct Height {
    pub(super) instance: Instance,
    pub(super) turn: Turn,
    /// Executed blocks of this height by hash: those that may be decided.
    pub(super) candidates: HashMap<B256, Candidate>,
    /// Blocks that break a rule. As many as proposals that named them.
    pub(super) refused: HashSet<B256>,
    pub(super) proposals: Vec<Pending>,
    /// Named blocks whose transactions are being gathered.
    pub(super) partial: BTreeMap<B256, Partial>,
    /// Whose outlines of which block led nowhere: at most all others', of each named block.
    pub(super) doubted: BTreeSet<(B256, Address)>,
    pub(super) parent: Moment,
    /// The round for which a value is wanted while the clock is behind.
    wanted: Option<u32>,
    /// What this city said in the latest round: its proposal and votes, and a certificate or two.
    said: Vec<Message>,
    /// Why it was started here.
    pub(super) cause: Cause,
    /// When what happened that is timed.
    pub(super) timed: Timed,
}

/// A proposal whose block has not been given to consensus.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) proposal: Proposal,
    /// Whether its block was timely when it was first judged.
    timely: Option<bool>,
    pub(super) given: bool,
}

impl Engine {
    /// Starts the next height for `cause`, with the messages that came early.
    pub(super) fn start(&mut self, cause: Cause, call: &mut Call) -> Result<(), EngineError> {
        self.begin(&[], HashMap::new(), cause, call)?;
        let number = self.head.header.number + 1;
        for message in self.ahead.take(number) {
            if self.height.is_none() {
                break;
            }
            // It was held: through whom it came does not matter any more.
            let from = signer(&message).unwrap_or_default();
            self.hear_now(from, &message, call)?;
        }
        if let (Cause::Transaction(_), Some(height)) = (cause, &mut self.height) {
            // Whoever was woken by others, or is behind them, does not see how long they take.
            height.enter(0, call.now_ms);
        }
        Ok(())
    }

    /// Starts the next height for messages that came early: of any validator whose messages are not delayed, or of this
    /// one, whose delay is over. Messages of others, which came while no height could be started, wait from now on.
    pub(super) fn start_ahead(
        &mut self,
        signer: Option<Address>,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        if self.height.is_some() || self.following.is_busy() {
            return Ok(());
        }
        if self.stands && !self.is_begun_by_others() {
            return Ok(());
        }
        // Of those who still vote: a handover may have come in between.
        let held = self.ahead.signers(self.head.header.number + 1);
        let held: Vec<Address> = held
            .filter(|signer| self.set.get(*signer).is_some())
            .collect();
        let may_start = |held: &&Address| match signer {
            Some(signer) => signer == **held,
            None => self.waking.delay_of(**held).is_zero(),
        };
        if let Some(first) = held.iter().find(may_start) {
            let cause = self.cause_of_message(*first);
            return self.start(cause, call);
        }
        for held in held {
            self.defer(held, call);
        }
        Ok(())
    }

    /// Whether more than a third of the power is in the next height already: an honest city began it, before it learned that the
    /// chain is to stand still, and nobody finishes it alone.
    fn is_begun_by_others(&self) -> bool {
        let signers = self.ahead.signers(self.head.header.number + 1);
        let power: u64 = signers
            .filter_map(|signer| self.set.get(signer))
            .map(|validator| validator.power)
            .sum();
        power * 3 > self.set.total_power()
    }

    /// Lets the messages of a charged validator wait.
    fn defer(&mut self, signer: Address, call: &mut Call) {
        if let Some(after) = self.waking.defer(signer) {
            let timer = Timer::Signer(signer);
            call.push(Effect::Schedule { timer, after });
        }
    }

    pub(super) fn cause_of_message(&self, signer: Address) -> Cause {
        if self.pool.read().has_executable() {
            Cause::Other
        } else {
            Cause::Message(signer)
        }
    }

    /// Continues the height that the log remembers.
    pub(crate) fn resume(
        &mut self,
        replay: &[consensus::Record],
        candidates: HashMap<B256, Candidate>,
        now_ms: u64,
    ) -> Result<Vec<Effect>, EngineError> {
        let mut call = Call::at(now_ms);
        self.begin(replay, candidates, Cause::Other, &mut call)?;
        self.settle(&mut call)?;
        Ok(call.out)
    }

    fn begin(
        &mut self,
        replay: &[consensus::Record],
        candidates: HashMap<B256, Candidate>,
        cause: Cause,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let parent = self.reader.moment()?;
        let number = parent.head().header.number + 1;
        let beneficiary = |height| {
            let head = parent.header(height).ok().flatten()?;
            Some(head.header.beneficiary)
        };
        let turn = self
            .order
            .turn(number, self.requests.from_height, beneficiary)?;
        let config = consensus::Config {
            domain: self.domain,
            key: Arc::clone(&self.config.key),
            silent: self.silence.is_some(),
            timeouts: self.delays.timeouts(),
            proposers: (0..TIMED_ROUNDS)
                .map(|round| self.delays.proposal(turn.proposer(round)))
                .collect(),
        };
        let (instance, effects) =
            Instance::start(config, number, Arc::clone(&self.set), turn.clone(), replay)?;
        self.height = Some(Height {
            instance,
            turn,
            candidates,
            refused: HashSet::new(),
            proposals: pending_of(replay, self.config.key.address()),
            partial: BTreeMap::new(),
            doubted: BTreeSet::new(),
            parent,
            wanted: None,
            said: Vec::new(),
            cause,
            timed: Timed::default(),
        });
        self.absorb(effects, call)
    }

    /// A message of consensus, from any height.
    pub(super) fn hear(
        &mut self,
        from: Address,
        message: Message,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let number = self.head.header.number + 1;
        if message.height() < number {
            self.answer_late(from, &message, call);
            return Ok(());
        }
        if self.silence.is_none() && self.is_forged_self(&message) {
            call.push(Effect::Append(entry::elsewhere_entry(&message)));
            self.last_words = std::mem::take(&mut call.out);
            let height = message.height();
            return Err(EngineError::KeyElsewhere { height });
        }
        if message.height() == number && self.height.is_some() {
            return self.hear_now(from, &message, call);
        }
        self.hear_early(from, message, call)
    }

    /// A message of a height that has not begun here: it starts the next one, is held, or shows that this city is behind.
    fn hear_early(
        &mut self,
        from: Address,
        message: Message,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let number = self.head.header.number + 1;
        let is_next = message.height() == number;
        let audience = Audience {
            domain: &self.domain,
            set: &self.set,
            // While nothing is being agreed on, the next height is one ahead.
            height: if self.height.is_none() {
                number - 1
            } else {
                number
            },
            own: self.config.key.address(),
        };
        let signer = signer(&message).unwrap_or(from);
        let held = match self.ahead.hold(message.clone(), &audience) {
            Ok(held) => held,
            Err(refused) => {
                refuse(from, refused, call);
                return Ok(());
            }
        };
        if !is_next {
            // Whoever is in a later height has blocks that are not here, unless they are about to be decided.
            self.hint(from, call);
            return Ok(());
        }
        if self.following.is_busy() || !held || (self.stands && !self.is_begun_by_others()) {
            return Ok(());
        }
        if self.waking.delay_of(signer).is_zero() {
            let cause = self.cause_of_message(signer);
            // Who has not heard it hears it from here.
            call.send_all(PeerMessage::Consensus(message));
            self.start(cause, call)?;
        } else {
            self.defer(signer, call);
        }
        Ok(())
    }

    fn hear_now(
        &mut self,
        from: Address,
        message: &Message,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let Some(height) = &self.height else {
            return Ok(());
        };
        match height.instance.authenticate(message) {
            Ok(authentic) => self.feed(authentic, call),
            Err(Refused::Known | Refused::Own) => Ok(()),
            Err(refused) => {
                refuse(from, refused, call);
                Ok(())
            }
        }
    }

    fn feed(&mut self, authentic: Authentic, call: &mut Call) -> Result<(), EngineError> {
        if let (Message::Proposal(proposal), Some(height)) = (authentic.message(), &mut self.height)
        {
            let proposal = *proposal;
            if height.turn.proposer(proposal.round) == proposal.proposer && height.pend(proposal) {
                self.want_block(proposal.block_hash, call)?;
            }
        }
        self.step(consensus::Input::Message(authentic), call)?;
        self.settle(call)
    }

    /// Whether it has this city's signature and this city did not make it.
    fn is_forged_self(&self, message: &Message) -> bool {
        if signer(message) != Some(self.config.key.address()) || !self.audience().is_own(message) {
            return false;
        }
        match &self.height {
            Some(height) if message.height() == height.instance.height() => {
                !height.instance.has_signed(message)
            }
            // It never votes before it begins.
            _ => true,
        }
    }

    /// Gives consensus the verdicts on proposed blocks that may be given now.
    pub(super) fn settle(&mut self, call: &mut Call) -> Result<(), EngineError> {
        // Every turn gives one proposal, and there are at most MAX_PROPOSALS.
        while let Some(input) = self.next_verdict(call.now_ms) {
            self.step(input, call)?;
        }
        Ok(())
    }

    fn next_verdict(&mut self, now_ms: u64) -> Option<consensus::Input> {
        let height = self.height.as_mut()?;
        let Height {
            instance,
            turn,
            candidates,
            refused,
            proposals,
            timed,
            ..
        } = height;
        if instance.is_decided() {
            return None;
        }
        for pending in proposals.iter_mut().filter(|pending| !pending.given) {
            let proposal = pending.proposal;
            let valid = match candidates.get(&proposal.block_hash) {
                None if refused.contains(&proposal.block_hash) => false,
                None => continue,
                Some(candidate) => {
                    let header = &candidate.block.header;
                    let timely = *pending.timely.get_or_insert_with(|| {
                        // Only a fresh block is judged by the clock.
                        let ms = types::header::time_ms(header).unwrap_or_default();
                        let wait = instance.duration(TimeoutKind::Propose, proposal.round);
                        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                        let oldest = now_ms.saturating_sub(wait_ms.saturating_add(LATE_MS));
                        let newest = now_ms.saturating_add(early_ms(proposal.round));
                        proposal.pol_round.is_some() || (oldest..=newest).contains(&ms)
                    });
                    let is_first_proposer = match proposal.pol_round {
                        None => header.beneficiary == proposal.proposer,
                        Some(pol_round) => {
                            (0..=pol_round).any(|round| turn.proposer(round) == header.beneficiary)
                        }
                    };
                    if is_first_proposer
                        && !timely
                        && !instance.takes_untimely(proposal.round, proposal.block_hash)
                    {
                        continue;
                    }
                    is_first_proposer
                }
            };
            pending.given = true;
            let waited = timed.block(proposal.round, now_ms);
            // What was kept back for its time says nothing of delays.
            if let Some(waited) = waited.filter(|_| valid && pending.timely == Some(true)) {
                self.delays.proposed(proposal.proposer, waited);
            }
            return Some(consensus::Input::Value {
                round: proposal.round,
                pol_round: proposal.pol_round,
                proposer: proposal.proposer,
                block_hash: proposal.block_hash,
                valid,
            });
        }
        None
    }

    /// One step of consensus and all that follows from it.
    pub(super) fn step(
        &mut self,
        input: consensus::Input,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let Some(height) = &mut self.height else {
            return Ok(());
        };
        let before = height.instance.round();
        let effects = height.instance.step(input)?;
        self.absorb(effects, call)?;
        if let Some(height) = &mut self.height
            && height.instance.round() > before
        {
            height.enter(height.instance.round(), call.now_ms);
        }
        Ok(())
    }

    /// Turns the effects of consensus into those of the chain; answers a wish for a value after all that came with it.
    fn absorb(
        &mut self,
        effects: Vec<consensus::Effect>,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let mut wanted = None;
        for effect in effects {
            match effect {
                consensus::Effect::Append(record) => {
                    call.push(Effect::Append(entry::consensus_entry(&record)));
                }
                consensus::Effect::Sync => call.push(Effect::Sync),
                consensus::Effect::GetValue { round } => wanted = Some(round),
                consensus::Effect::Publish(message) => self.publish(message, call),
                // A proposal is never sent without its block.
                consensus::Effect::Restream { .. } => {}
                consensus::Effect::Schedule(timeout) => call.push(Effect::Schedule {
                    timer: Timer::Consensus(timeout),
                    after: timeout.duration,
                }),
                consensus::Effect::CancelTimeouts => call.push(Effect::CancelTimeouts),
                consensus::Effect::Evidence(found) => {
                    let entries = found.iter().map(entry::evidence_entry);
                    call.out.extend(entries.map(Effect::Append));
                    call.push(Effect::Evidence(self.evidence_rows(&found)));
                }
                consensus::Effect::Decide { certificate } => {
                    self.decide_candidate(certificate, call)?;
                }
            }
        }
        if let (Some(round), Some(height)) = (wanted, &mut self.height) {
            height.wanted = Some(round);
            // Only a new round wishes for a value again, and that takes a time-out: this does not nest.
            self.propose_if_wanted(call)?;
        }
        Ok(())
    }

    fn publish(&mut self, message: Message, call: &mut Call) {
        if let Some(height) = &mut self.height {
            height.say(&message);
            if let Message::Vote(vote) = &message
                && vote.validator == self.config.key.address()
                && let Some(waited) = height.timed.vote(vote, call.now_ms)
            {
                self.delays.voted(waited);
            }
        }
        let outline = match &message {
            Message::Proposal(proposal) => self.outline_of(proposal.block_hash),
            _ => None,
        };
        call.send_all(PeerMessage::Consensus(message));
        if let Some(outline) = outline {
            call.send_all(PeerMessage::Outline(Box::new(outline)));
        }
    }

    /// What another city may have missed of what this one said.
    pub(super) fn repeat(&self, to: Address, call: &mut Call) {
        for message in self.height.iter().flat_map(|height| &height.said) {
            call.send(to, PeerMessage::Consensus(message.clone()));
            if let Message::Proposal(proposal) = message {
                self.send_outline(to, proposal.block_hash, call);
            }
        }
    }

    fn decide_candidate(
        &mut self,
        certificate: Certificate,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let hash = certificate.block_hash;
        let height = self.height.as_mut();
        let height = height.ok_or(EngineError::UnknownDecision { hash })?;
        let candidate = height
            .candidates
            .remove(&hash)
            .ok_or(EngineError::UnknownDecision { hash })?;
        if let Some(waited) = height.timed.decision(certificate.round, call.now_ms) {
            self.delays.voted(waited);
        }
        self.decide(candidate, certificate, call);
        Ok(())
    }

    /// Builds a block for the round that waits for one, unless the clock is too far behind.
    pub(super) fn propose_if_wanted(&mut self, call: &mut Call) -> Result<(), EngineError> {
        let alone = self.set.validators().len() == 1;
        let Some(height) = &mut self.height else {
            return Ok(());
        };
        let Some(round) = height.wanted else {
            return Ok(());
        };
        // Whoever signs nothing proposes nothing.
        if self.silence.is_some() {
            height.wanted = None;
            return Ok(());
        }
        let head = &height.parent.head().header;
        let next_ms = types::header::time_ms(head).unwrap_or_default() + 1;
        let by_ms = next_ms.saturating_sub(call.now_ms);
        let is_behind = by_ms > MAX_AHEAD_MS;
        if std::mem::replace(&mut self.clock_is_behind, is_behind) != is_behind {
            let by_ms = is_behind.then_some(by_ms);
            call.push(Effect::Notice(Notice::ClockBehind { by_ms }));
        }
        if is_behind && !alone {
            // A second, at most, because a clock may be set right again.
            let after = Duration::from_millis((by_ms - MAX_AHEAD_MS).min(1_000));
            let timer = Timer::Clock;
            call.push(Effect::Schedule { timer, after });
            return Ok(());
        }
        height.wanted = None;
        let block_hash = self.build(call)?;
        self.step(consensus::Input::Propose { round, block_hash }, call)
    }

    /// Whether a block of the present height is here and executed; with a certificate for it, the height is over.
    pub(super) fn adopt(
        &mut self,
        certificate: Certificate,
        call: &mut Call,
    ) -> Result<bool, EngineError> {
        let hash = certificate.block_hash;
        let Some(height) = &self.height else {
            return Ok(false);
        };
        if !height.candidates.contains_key(&hash) || height.instance.is_decided() {
            return Ok(false);
        }
        self.step(consensus::Input::Certificate(certificate), call)?;
        Ok(true)
    }

    /// Gives the present height a block that came with its certificate.
    pub(super) fn take_candidate(&mut self, candidate: Candidate) -> Option<Candidate> {
        match &mut self.height {
            Some(height) => {
                height.candidates.insert(candidate.block.hash, candidate);
                None
            }
            None => Some(candidate),
        }
    }

    /// The height that is being agreed on, and its round.
    #[must_use]
    pub fn agreeing(&self) -> Option<(u64, u32)> {
        let instance = &self.height.as_ref()?.instance;
        Some((instance.height(), instance.round()))
    }
}

impl Height {
    /// A round begins here: from now on its proposer is awaited, unless its proposal is here already.
    fn enter(&mut self, round: u32, now_ms: u64) {
        let is_proposed = |pending: &Pending| pending.proposal.round == round;
        if !self.proposals.iter().any(is_proposed) {
            self.timed.enter(round, now_ms);
        }
    }

    /// Keeps a proposal; false when it is known, or when there are too many.
    fn pend(&mut self, proposal: Proposal) -> bool {
        let same_step = |pending: &&Pending| {
            pending.proposal.round == proposal.round
                && pending.proposal.proposer == proposal.proposer
        };
        let of_step: Vec<_> = self.proposals.iter().filter(same_step).collect();
        let is_known = of_step
            .iter()
            .any(|pending| pending.proposal.block_hash == proposal.block_hash);
        // Two contradict each other already; more prove nothing more.
        if is_known || of_step.len() >= 2 {
            return false;
        }
        if self.proposals.len() >= MAX_PROPOSALS {
            // The oldest round's: it is the least likely to be decided, and certificates help if it is.
            self.proposals.remove(0);
        }
        self.proposals.push(Pending {
            proposal,
            timely: None,
            given: false,
        });
        true
    }

    /// Keeps what is said, of the latest round alone.
    fn say(&mut self, message: &Message) {
        let is_older = |said: &Message| said.round() < message.round();
        if self.said.last().is_some_and(is_older) {
            self.said.clear();
        }
        if self.said.len() < MAX_SAID && !self.said.contains(message) {
            self.said.push(message.clone());
        }
    }

    /// Whether a proposal names this block.
    pub(super) fn is_named(&self, hash: B256) -> bool {
        self.proposals
            .iter()
            .any(|pending| pending.proposal.block_hash == hash)
    }

    pub(super) fn knows(&self, hash: B256) -> bool {
        self.candidates.contains_key(&hash) || self.refused.contains(&hash)
    }
}

/// How far ahead of this clock a fresh block of a round may be.
fn early_ms(round: u32) -> u64 {
    let more = EARLY_MORE_MS.saturating_mul(round.into());
    EARLY_MS.saturating_add(more).min(MAX_EARLY_MS)
}

/// The proposals of others that the log holds, with those given whose verdict it holds.
fn pending_of(replay: &[consensus::Record], own: Address) -> Vec<Pending> {
    let mut pending: Vec<Pending> = Vec::new();
    for record in replay {
        match record {
            consensus::Record::Message(Message::Proposal(proposal))
                if proposal.proposer != own && pending.len() < MAX_PROPOSALS =>
            {
                pending.push(Pending {
                    proposal: *proposal,
                    timely: None,
                    given: false,
                });
            }
            consensus::Record::Value(value) => {
                for pending in &mut pending {
                    let proposal = &pending.proposal;
                    pending.given |=
                        proposal.round == value.round && proposal.block_hash == value.block_hash;
                }
            }
            _ => {}
        }
    }
    pending
}

/// Who signed a message that one validator signs.
pub(super) const fn signer(message: &Message) -> Option<Address> {
    match message {
        Message::Vote(vote) => Some(vote.validator),
        Message::Proposal(proposal) => Some(proposal.proposer),
        Message::Polka(_) | Message::Round(_) => None,
    }
}

/// Whether a late vote of the latest height is the one that a city sends anyway just before it decides as well.
pub(super) fn is_last_vote(message: &Message, certificate: &Certificate) -> bool {
    matches!(message, Message::Vote(vote) if vote.kind == VoteKind::Precommit
        && vote.height == certificate.height
        && vote.round == certificate.round
        && vote.block_hash == certificate.block_hash)
}

/// Says that a message of consensus was refused. Honest cities check what they pass on.
fn refuse(from: Address, refused: Refused, call: &mut Call) {
    match refused {
        Refused::Form(_)
        | Refused::Signature { .. }
        | Refused::Forged { .. }
        | Refused::Power { .. } => call.accuse(from, reason(refused)),
        Refused::Decided { .. }
        | Refused::Early { .. }
        | Refused::Known
        | Refused::Stranger { .. }
        | Refused::Own => call.refuse(from, reason(refused)),
    }
}

/// The word under which a refusal is counted.
const fn reason(refused: Refused) -> &'static str {
    match refused {
        Refused::Decided { .. } => "decided",
        Refused::Early { .. } => "early",
        Refused::Known => "known",
        Refused::Form(_) => "form",
        Refused::Stranger { .. } => "stranger",
        Refused::Own => "own",
        Refused::Signature { .. } => "signature",
        Refused::Forged { .. } => "forged",
        Refused::Power { .. } => "power",
    }
}
