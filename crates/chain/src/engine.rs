//! The engine of one chain: a state machine over pool, consensus and execution.
//!
//! ```text
//!  admit ──▶ pool ──wake──▶ height ──GetValue──▶ build ──Propose──▶ … ──Decide──▶ Commit ──committed──▶ next or parked
//!                             ▲                                          ▲
//!  another city's message ────┘ (voting)     blocks with certificates ───┘ (following)
//! ```
//!
//! A parked chain has no height: no instance, no timer. The driver performs effects strictly in order; after a failure
//! it performs none, drops the engine, and starts the chain again from its log.
//!
//! * `voting`: a height that is being agreed on.
//! * `blocks`: the blocks that are proposed in it.
//! * `following`: what other cities decided already.
//! * `timing`: how long they are awaited.
//! * `judging`: cities that lie without end.
//! * `reading`: cities that follow the chain and do not vote.
//! * `handover`: what blocks cite of the hub, and how the set changes.

mod blocks;
mod following;
mod handover;
mod judging;
mod reading;
mod timing;
mod voting;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alloy_consensus::Transaction as _;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes};
use consensus::{Ahead, Audience, Delays, Order, Timeouts};
use execution::Transaction;
use parking_lot::RwLock;
use state::State;
use store::tables::{Batch, Tables};
use types::{BlockRequests, Certificate, Domain, NodeKey, ValidatorSet};

use self::following::{Following, Silence};
use self::handover::Named;
use self::judging::Grave;
use self::reading::Readers;
use self::voting::Height;
use crate::admission::{Admitted, admit};
use crate::candidate::{self, Candidate};
use crate::clocks::Clocks;
use crate::effects::{Call, Commit, Decided, Effect, EngineError, Notice, Timer};
use crate::import::{self, ImportError, Stands};
use crate::peer::{Certified, Outline, PeerMessage};
use crate::rate::Allowance;
use crate::reader::Head;
use crate::rows::Keys;
use crate::waking::{Cause, Outcome, Waking};
use crate::{Block, Entry, Hub, Pool, Profile, Quota, ReadError, Reader, entry};

/// Who this city is on the chain.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node key.
    pub key: Arc<NodeKey>,
    /// How long consensus waits before delays are measured.
    pub timeouts: Timeouts,
    /// This city's copy of the hub; `None` on a hub, and where there is none.
    pub hub: Option<Arc<dyn Hub>>,
    /// Who measures the roots of its blocks.
    pub meter: Option<Arc<dyn state::Meter>>,
}

/// The engine of one chain of ours.
#[derive(Debug)]
pub struct Engine {
    profile: Arc<Profile>,
    domain: Domain,
    config: Config,
    tables: Arc<dyn Tables>,
    state: Arc<State>,
    reader: Reader,
    pool: Arc<RwLock<Pool>>,
    set: Arc<ValidatorSet>,
    order: Order,
    requests: BlockRequests,
    /// The latest block.
    head: Head,
    /// Its certificate; `None` at genesis.
    certificate: Option<Certificate>,
    height: Option<Height>,
    /// Messages of heights that have not begun.
    ahead: Ahead,
    /// One outline of each validator that no proposal names yet.
    early: BTreeMap<Address, Outline>,
    waking: Waking,
    clocks: Clocks,
    /// Whether the clock was behind the latest block when this city was to propose last.
    clock_is_behind: bool,
    delays: Delays,
    /// Validators of whom anything was heard since a turn of theirs passed without a block.
    heard: BTreeSet<Address>,
    following: Following,
    readers: Readers,
    silence: Option<Silence>,
    grave: Grave,
    named: Named,
    /// Whether no height begins.
    stands: bool,
    /// What the chain may take of this city's time.
    allowance: Allowance,
    quota: Quota,
    /// Bytes of the chain's rows.
    size: u64,
    /// What is still to be written when this city stops for good.
    last_words: Vec<Effect>,
}

impl Engine {
    /// An engine on the latest block of `reader`.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub(crate) fn new(
        reader: Reader,
        config: Config,
        pool: Arc<RwLock<Pool>>,
    ) -> Result<Self, EngineError> {
        let (profile, tables, state) = reader.parts();
        let domain = *profile.domain().ok_or(EngineError::Foreign)?;
        let moment = reader.moment()?;
        let head = moment.head().clone();
        let number = head.header.number;
        let damaged = |what| ReadError::Damaged { what, number };
        let seal = moment.seal(number)?.unwrap_or_default();
        let requests =
            BlockRequests::from_requests(&seal.requests).ok_or_else(|| damaged("requests"))?;
        let certificate = match seal.certificate.is_empty() {
            true => None,
            false => {
                let read = Certificate::decode(&seal.certificate);
                Some(read.map_err(|_malformed| damaged("certificate"))?)
            }
        };
        let set = moment.validators()?;
        let order = Order::new(&set);
        let bounds = profile
            .record()
            .map(|record| record.timeouts)
            .unwrap_or_default();
        let timeouts = config.timeouts.within(
            Duration::from_millis(bounds.least_ms),
            Duration::from_millis(bounds.most_ms),
        );
        let others = set.validators().len().saturating_sub(1);
        let mut engine = Self {
            profile,
            domain,
            config,
            tables,
            state,
            reader,
            pool,
            set: Arc::new(set),
            order,
            requests,
            head,
            certificate,
            height: None,
            ahead: Ahead::default(),
            early: BTreeMap::new(),
            waking: Waking::default(),
            clocks: Clocks::default(),
            clock_is_behind: false,
            delays: Delays::new(timeouts, others),
            heard: BTreeSet::new(),
            following: Following::default(),
            readers: Readers::default(),
            silence: None,
            grave: Grave::default(),
            named: Named::default(),
            stands: false,
            allowance: Allowance::default(),
            quota: Quota::default(),
            size: moment.size(),
            last_words: Vec::new(),
        };
        engine.look_at_hub();
        Ok(engine)
    }

    /// The read side.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The pool; written by this engine and by [`admit`].
    #[must_use]
    pub const fn pool(&self) -> &Arc<RwLock<Pool>> {
        &self.pool
    }

    /// The validators of the next height.
    #[must_use]
    pub const fn validators(&self) -> &Arc<ValidatorSet> {
        &self.set
    }

    /// Whether this city is one of the chain's validators.
    #[must_use]
    pub fn is_validator(&self) -> bool {
        self.set.get(self.config.key.address()).is_some()
    }

    /// Whether no height is being agreed on.
    #[must_use]
    pub const fn is_parked(&self) -> bool {
        self.height.is_none()
    }

    /// Whether nothing of this chain is anywhere but in its rows, so that the engine can be dropped and made anew from them:
    /// no height, no transaction that waits, no vote for the next height, no decided block on its way, no silence to be kept. Timers are the driver's to
    /// look at.
    #[must_use]
    pub fn can_rest(&self) -> bool {
        self.height.is_none()
            && self.silence.is_none()
            && !self.following.is_busy()
            && self.pool.read().is_empty()
            && self
                .ahead
                .signers(self.head.header.number + 1)
                .next()
                .is_none()
            && (self.stands || !(self.named.is_due && self.is_validator()))
    }

    /// The latest block that another city says it has, when that is above this city's own.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        self.following.highest(self.head.header.number)
    }

    /// Up to which height this city may have signed, when the engine ends here and now, with a height open perhaps; 0 when it
    /// lost its log and does not know.
    #[must_use]
    pub fn signed_to(&self) -> u64 {
        let next = self.head.header.number.saturating_add(1);
        match &self.silence {
            Some(silence) if silence.until == 0 => 0,
            Some(silence) => silence.until.max(next),
            None => next,
        }
    }

    /// The log payloads that must be kept when older ones are released: the pool, and a silence that is not over.
    #[must_use]
    pub fn live_entries(&self) -> Vec<Vec<u8>> {
        let mut pooled: Vec<_> = self.pool.read().content();
        pooled.sort_by_key(|(_, _, pooled)| pooled.arrival);
        let transactions = pooled
            .iter()
            .map(|(_, _, pooled)| entry::transaction_entry(&pooled.transaction.encoded_2718()));
        let silence = self
            .silence
            .iter()
            .map(|silence| entry::silence_entry(silence.until));
        silence.chain(transactions).collect()
    }

    /// Judges transactions of this city's clients at `now_ms` and takes the good ones into the pool.
    pub fn admit(&mut self, transactions: Vec<Transaction>, now_ms: u64) -> Admitted {
        let own = self.config.key.address();
        admit(&self.reader, &self.pool, own, transactions, now_ms)
    }

    /// Says what the chain may take of this city from now on; with `None`, as much as there is.
    pub fn set_quota(&mut self, quota: Option<Quota>) {
        self.allowance.set(quota);
        self.quota = quota.unwrap_or_default();
        self.close_pool();
    }

    /// Nothing enters while the chain has used up its bytes. What waits goes on waiting.
    fn close_pool(&self) {
        let used_up = self.quota.used_up_by(self.size);
        self.pool.write().close(used_up);
    }

    /// Says at `now_ms` whether the city has time to spare, so that the chain may take more than its rate.
    pub fn lend(&mut self, lent: bool, now_ms: u64) {
        self.allowance.lend(lent, now_ms);
    }

    /// Whether this city signs nothing yet, for it does not remember what it signed.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silence.is_some()
    }

    /// Whether the chain took more than its rate, and waits for that.
    #[must_use]
    pub const fn is_owing(&self, now_ms: u64) -> bool {
        self.allowance.is_owing(now_ms)
    }

    /// When the next height may start, in Unix milliseconds; `None` when there is nothing to start it for. Not in the
    /// past of the latest block plus the record's minimum interval, nor before the chain has paid for what it took.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.next_start().map(|(due_ms, _)| due_ms)
    }

    /// When the next height may start, and for what.
    fn next_start(&self) -> Option<(u64, Cause)> {
        if self.height.is_some() || self.stands || self.following.is_busy() || !self.is_validator()
        {
            return None;
        }
        if self.named.is_due && self.silence.is_none() && self.waking.may_hand_over() {
            return Some((0, Cause::Handover));
        }
        if self.pool.read().is_closed() {
            return None;
        }
        let transaction = self.cause_in_pool()?;
        let interval = self
            .profile
            .record()
            .map_or(0, |record| record.minimum_interval_ms);
        let due_ms = if interval == 0 {
            0
        } else {
            self.tip_ms().saturating_add(interval)
        };
        let due_ms = due_ms.max(self.allowance.due_ms());
        Some((due_ms, Cause::Transaction(transaction)))
    }

    /// Starts the next height if it is due.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine.
    pub fn wake(&mut self, now_ms: u64) -> Result<Vec<Effect>, EngineError> {
        let Some((_, cause)) = self.next_start().filter(|(due_ms, _)| *due_ms <= now_ms) else {
            return Ok(Vec::new());
        };
        let mut call = Call::at(now_ms);
        self.start(cause, &mut call)?;
        Ok(call.out)
    }

    /// A timer is over.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine.
    pub fn timer(&mut self, timer: Timer, now_ms: u64) -> Result<Vec<Effect>, EngineError> {
        let mut call = Call::at(now_ms);
        match timer {
            Timer::Consensus(timeout) => {
                if timeout.kind == consensus::TimeoutKind::Rebroadcast && self.silence.is_some() {
                    // Whoever signs nothing has no votes to send again, whose answer would be the decision.
                    call.send_all(self.tip());
                }
                self.step(consensus::Input::Timeout(timeout), &mut call)?;
                self.settle(&mut call)?;
            }
            Timer::Ask => self.ask_again(&mut call),
            Timer::Follow => self.follow_elsewhere(&mut call)?,
            Timer::Clock => self.propose_if_wanted(&mut call)?,
            Timer::Signer(signer) => {
                self.waking.deferred(signer);
                self.start_ahead(Some(signer), &mut call)?;
            }
            Timer::Handover => self.waking.handover_waited(),
            Timer::Transaction(hash) => {
                self.waking.waited(&hash);
                // A block left it out: perhaps the others do not have it, because it was not executable when it was sent.
                let waiting = self
                    .pool
                    .read()
                    .get(&hash)
                    .map(|pooled| pooled.transaction.encoded_2718());
                if let Some(raw) = waiting {
                    call.send_all(PeerMessage::Transactions(vec![raw.into()]));
                }
            }
        }
        Ok(call.out)
    }

    /// There is a connection to another city, perhaps anew: what was sent before may be lost. Also to be called when a
    /// queue to it dropped a message of this chain.
    #[must_use]
    pub fn connected(&mut self, peer: Address) -> Vec<Effect> {
        let mut call = Call::at(0);
        if self.set.get(peer).is_none() {
            self.greet_reader(peer, &mut call);
        } else {
            call.send(peer, self.tip());
            if self.silence.is_some() {
                call.send(peer, PeerMessage::GetCertificate);
            }
            if let Some(transactions) = self.some_transactions() {
                call.send(peer, transactions);
            }
            self.repeat(peer, &mut call);
        }
        call.out
    }

    /// Takes a message of another city. Whatever it says, the engine stays whole.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine. Never the message's fault, but for [`EngineError::KeyElsewhere`]; then the effects
    /// of [`Engine::last_words`] are still to be performed.
    pub fn receive(
        &mut self,
        from: Address,
        message: PeerMessage,
        now_ms: u64,
    ) -> Result<Vec<Effect>, EngineError> {
        let mut call = Call::at(now_ms);
        // Neither this city's own key nor a city outside the set has anything to say here; the latter may ask.
        let is_own = from == self.config.key.address();
        if is_own || !self.hears(from, &message) {
            call.refuse(from, "stranger");
            return Ok(call.out);
        }
        // Whoever does not vote here takes in what is decided, and nothing else.
        if !self.is_validator() && message.is_of_a_height() {
            return Ok(call.out);
        }
        if self.set.get(from).is_some() {
            self.heard.insert(from);
        }
        let weight = match message {
            PeerMessage::GetBlocks { .. } => 16,
            PeerMessage::GetOutline { .. }
            | PeerMessage::GetBodies { .. }
            | PeerMessage::Tip { .. }
            | PeerMessage::GetCertificate => 1,
            _ => 0,
        };
        if weight > 0 && !self.following.grants(from, weight, now_ms) {
            call.refuse(from, "too many wishes");
            return Ok(call.out);
        }
        match message {
            PeerMessage::Consensus(message) => self.hear(from, message, &mut call)?,
            PeerMessage::Outline(outline) => self.take_outline(from, *outline, &mut call)?,
            PeerMessage::GetOutline { block_hash } => {
                self.send_outline(from, block_hash, &mut call);
            }
            PeerMessage::GetBodies {
                block_hash,
                indexes,
            } => self.send_bodies(from, block_hash, &indexes, &mut call),
            PeerMessage::Bodies { block_hash, bodies } => {
                self.take_bodies(from, block_hash, bodies, &mut call)?;
            }
            PeerMessage::Tip { number, .. } if self.only_reads(from) => {
                self.take_tip_of_reader(from, number, &mut call);
            }
            PeerMessage::Tip { number, hash } => self.take_tip(from, number, hash, &mut call),
            PeerMessage::Certificate(certificate) => {
                self.take_certificate(from, certificate, &mut call)?;
            }
            PeerMessage::GetCertificate => {
                self.welcome(from);
                let answer = self
                    .certificate
                    .clone()
                    .map_or_else(|| self.tip(), PeerMessage::Certificate);
                call.send(from, answer);
            }
            PeerMessage::GetBlocks { from: first } => self.send_blocks(from, first, &mut call)?,
            PeerMessage::Blocks(blocks) => {
                self.take_blocks(from, blocks, &mut call)?;
                self.start_ahead(None, &mut call)?;
            }
            PeerMessage::Transactions(raw) => self.take_transactions(from, &raw, &mut call),
        }
        self.judge(&mut call);
        Ok(call.out)
    }

    /// After [`EngineError::KeyElsewhere`]: the evidence, to be written before the chain stops.
    #[must_use]
    pub fn last_words(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.last_words)
    }

    /// The rows of a decided block are written: the chain's head is that block.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine.
    pub fn committed(&mut self, decided: Decided, now_ms: u64) -> Result<Vec<Effect>, EngineError> {
        let Decided {
            block,
            prepared,
            certificate,
            requests,
            next_set,
            size,
            is_on_the_way,
            ..
        } = decided;
        self.state.adopt(prepared);
        self.size = size;
        self.close_pool();
        let cause = self.height.take().map_or(Cause::Other, |height| {
            self.learn_from(&height, certificate.round);
            height.cause
        });
        let mut call = Call::at(now_ms);
        let serves_handover = next_set.is_some() || is_on_the_way;
        self.advance_pool(&block, cause, serves_handover, &mut call);
        self.head = Head {
            hash: block.hash,
            header: block.header.clone(),
        };
        self.certificate = Some(certificate);
        self.allowance
            .take(self.tip_ms(), self.head.header.gas_used);
        let number = self.head.header.number;
        self.early
            .retain(|_, outline| outline.header.number > number);
        self.following.reached(number);
        self.tell_readers(&mut call);
        self.take_over(&requests, next_set, &mut call);
        // Where the hub's own set changed often since the parent's citation, a handover takes several blocks.
        if cause == Cause::Handover && !is_on_the_way {
            self.wait_for_handover(&mut call);
        }
        self.end_silence();
        self.follow_on(&mut call)?;
        self.start_ahead(None, &mut call)?;
        Ok(call.out)
    }

    /// Forgets what the block holds, and charges for it.
    fn advance_pool(
        &mut self,
        block: &Block,
        cause: Cause,
        serves_handover: bool,
        call: &mut Call,
    ) {
        let mut next: HashMap<Address, u64> = HashMap::new();
        for (transaction, sender) in block.body.transactions.iter().zip(&block.senders) {
            next.insert(*sender, transaction.nonce() + 1);
        }
        let mut pool = self.pool.write();
        for (sender, nonce) in next {
            pool.advance(sender, nonce);
        }
        let outcome = Outcome {
            is_empty: block.body.transactions.is_empty() && !serves_handover,
            is_left_out: matches!(cause, Cause::Transaction(hash) if pool.get(&hash).is_some()),
        };
        if let Some((hash, after)) = self.waking.finished(cause, outcome) {
            let timer = Timer::Transaction(hash);
            call.push(Effect::Schedule { timer, after });
        }
        self.waking.keep(|hash| pool.get(hash).is_some());
    }

    /// The transaction for which a height may be started.
    fn cause_in_pool(&self) -> Option<B256> {
        let pool = self.pool.read();
        if !self.waking.has_waiting() {
            return pool.first_executable();
        }
        let looked_at = pool.executable(MAX_CAUSES);
        let mut hashes = looked_at.iter().map(|transaction| *transaction.hash());
        hashes.find(|hash| self.waking.may_start(hash))
    }

    fn take_transactions(&mut self, from: Address, raw: &[Bytes], call: &mut Call) {
        if self.stands {
            return;
        }
        let recovered = execution::recover_all(raw);
        let transactions = recovered.into_iter().filter_map(Result::ok).collect();
        let admitted = admit(&self.reader, &self.pool, from, transactions, call.now_ms);
        call.out
            .extend(admitted.entries.into_iter().map(Effect::Append));
    }

    /// Executable transactions of the pool, as many as one message holds; `None` when there is none.
    fn some_transactions(&self) -> Option<PeerMessage> {
        let waiting = self
            .pool
            .read()
            .executable(crate::peer::MAX_TRANSACTIONS / 4);
        let raw = waiting
            .iter()
            .map(|transaction| transaction.encoded_2718().into());
        crate::peer::packed(raw).next()
    }

    /// Whom this city listens to at the next height.
    fn audience(&self) -> Audience<'_> {
        Audience {
            domain: &self.domain,
            set: &self.set,
            height: self.head.header.number + 1,
            own: self.config.key.address(),
        }
    }

    const fn tip(&self) -> PeerMessage {
        PeerMessage::Tip {
            number: self.head.header.number,
            hash: self.head.hash,
        }
    }

    /// Unix milliseconds of the latest block.
    fn tip_ms(&self) -> u64 {
        types::header::time_ms(&self.head.header).unwrap_or_default()
    }

    /// Appends the decision and gives out the rows.
    fn decide(&mut self, candidate: Candidate, certificate: Certificate, call: &mut Call) {
        // One sync for the last vote and the decision: the log keeps a prefix, so the decision never survives alone.
        if matches!(call.out.last(), Some(Effect::Sync)) {
            call.out.pop();
        }
        call.push(Effect::Append(entry::decided_entry(&certificate)));
        call.push(Effect::Sync);
        let mut batch = Batch::default();
        let encoded = certificate.encode().into();
        let size = candidate::write_rows(
            &self.profile,
            &self.state,
            &candidate,
            encoded,
            self.size,
            &mut batch,
        );
        let next_set = candidate.next_set().cloned();
        let is_on_the_way = candidate.is_on_the_way();
        let Candidate {
            block,
            requests,
            receipts,
            prepared,
            ..
        } = candidate;
        let decided = Decided {
            block,
            size,
            receipts,
            prepared,
            round: certificate.round,
            requests,
            next_set,
            is_on_the_way,
            certificate,
        };
        call.push(Effect::Commit(Box::new(Commit { batch, decided })));
    }

    /// Executes a block of the log again: a candidate of the height that is not decided yet.
    pub(crate) fn execute_again(&self, block: Entry) -> Result<Option<Candidate>, EngineError> {
        let Entry::Body {
            block,
            requests,
            beside,
        } = block
        else {
            return Ok(None);
        };
        let parent = self.reader.moment()?;
        if block.header.parent_hash != parent.head().hash {
            return Ok(None);
        }
        Ok(Some(import::execute(
            &self.profile,
            &self.state,
            &parent,
            *block,
            Some(Stands { requests, beside }),
        )?))
    }

    /// Writes a block that the log says is decided.
    pub(crate) fn restore(
        &mut self,
        candidate: Candidate,
        certificate: &Certificate,
    ) -> Result<(), EngineError> {
        let mut batch = Batch::default();
        self.size = candidate::write_rows(
            &self.profile,
            &self.state,
            &candidate,
            certificate.encode().into(),
            self.size,
            &mut batch,
        );
        self.tables.commit(batch).map_err(ImportError::from)?;
        let next_set = candidate.next_set().cloned();
        self.state.adopt(candidate.prepared);
        self.head = Head {
            hash: candidate.block.hash,
            header: candidate.block.header.clone(),
        };
        self.certificate = Some(certificate.clone());
        // Nobody is connected yet.
        let mut unheard = Call::at(0);
        self.take_over(&candidate.requests, next_set, &mut unheard);
        Ok(())
    }

    /// The log says that this city lost an earlier log.
    pub(crate) fn keep_silent(&mut self, until: u64) {
        self.silence = Some(Silence::new(until));
        self.end_silence();
    }

    /// A silence ends when this city holds the block up to which it lasts.
    pub(crate) fn end_silence(&mut self) {
        let number = self.head.header.number;
        self.silence = self
            .silence
            .take()
            .filter(|silence| !silence.is_over(number));
    }

    /// Rows of evidence that the log holds.
    pub(crate) fn restore_evidence(
        &self,
        evidence: &consensus::Equivocation,
    ) -> Result<(), EngineError> {
        let batch = self.evidence_rows(std::slice::from_ref(evidence));
        Ok(self.tables.commit(batch).map_err(ImportError::from)?)
    }

    fn evidence_rows(&self, found: &[consensus::Equivocation]) -> Batch {
        let keys = Keys(self.profile.chain_id);
        let mut batch = Batch::default();
        for evidence in found {
            batch.put(keys.evidence(evidence), entry::evidence_row(evidence));
        }
        batch
    }
}

/// How many transactions are looked at for one that may start a height while others wait.
const MAX_CAUSES: usize = 1_024;
