//! The task that owns one chain's engine: it alone writes the chain's rows.
//!
//! Inputs are gathered from the mailbox, then the engine and the effects of its answers run as one job on a worker
//! thread; meanwhile the mailbox fills for the next. A chain without work waits for its mailbox and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use chain::{
    Commit, Decided, Effect, Engine, EngineError, Notice, PeerMessage, Recipients, Timer, TimerKey,
};
use store::{LogError, TablesError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use types::ChainId;

use crate::feed::Feed;
use crate::handle::{ChainStatus, NewBlock, Status};
use crate::hosting::Common;
use crate::metrics::ChainMetrics;
use crate::peers::{Others, ToChain};
use crate::spare::DISK_LOOKS;

/// Messages of other cities that one job takes from the mailbox.
const MESSAGES_PER_JOB: usize = 64;

/// How often a chain that waits for its rate asks whether there is time to spare.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How long a city is kept out that lied without end.
const KEPT_OUT: Duration = Duration::from_mins(1);

/// After how long a height is told to the operator as stuck: one or two rounds without agreement are a dead city. The
/// next timer says so, at the latest when votes are sent again.
const STUCK_AFTER: Duration = Duration::from_secs(4);

/// Why a chain stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    /// The engine gave up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The tables refused.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The engine panicked; its worker's message is in the log of the program.
    #[error("the chain's engine panicked")]
    Panicked,
}

impl Stopped {
    /// Whether the chain can be started again from its log in this process.
    pub(crate) const fn is_mendable(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Engine(error) => !matches!(error, EngineError::KeyElsewhere { .. }),
            Self::Tables(error) => error.is_retryable(),
            // It refuses until it is opened again.
            Self::Log(_) => false,
        }
    }
}

/// What a driver writes to and whom it tells.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    pub(crate) chain_id: ChainId,
    pub(crate) common: Arc<Common>,
    pub(crate) heads: Feed<NewBlock>,
    pub(crate) metrics: ChainMetrics,
    /// The chain's other validators.
    pub(crate) others: Others,
    pub(crate) status: Status,
    /// Whether the chain begins no height.
    pub(crate) stands: Arc<AtomicBool>,
}

impl Outside {
    fn now_ms(&self) -> u64 {
        self.common.options.clock.now_ms()
    }
}

/// What wakes a driver.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) inbox: mpsc::Receiver<ToChain>,
    pub(crate) pooled: Arc<Notify>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// An engine with its timers: moves to a worker thread and back.
#[derive(Debug)]
pub(crate) struct Chain {
    engine: Engine,
    outside: Outside,
    timers: BTreeMap<TimerKey, (Instant, Timer)>,
    /// The height that is being agreed on, and since when.
    since: Option<(u64, Instant)>,
    /// The height that the operator was told of as stuck.
    told_stuck: u64,
    /// Who waits until what is live in the log is written again.
    to_copy: Vec<oneshot::Sender<()>>,
    /// Whether it agreed to end, or was told to.
    parked: bool,
}

impl Chain {
    pub(crate) const fn new(engine: Engine, outside: Outside) -> Self {
        Self {
            engine,
            outside,
            timers: BTreeMap::new(),
            since: None,
            told_stuck: 0,
            to_copy: Vec::new(),
            parked: false,
        }
    }

    /// Performs what recovery asks for, then serves until told to stop.
    pub(crate) async fn serve(
        self,
        first: Vec<Effect>,
        inputs: &mut Inputs,
    ) -> Result<(), Stopped> {
        let mut chain = job(Box::new(self), move |chain| {
            chain.perform(first)?;
            chain.make_block()
        })
        .await?;
        let mut messages = Vec::new();
        loop {
            let timer = chain.timers.values().map(|(at, _)| *at).min();
            let due = chain.due();
            tokio::select! {
                biased;
                () = told(&mut inputs.stop) => return Ok(()),
                count = inputs.inbox.recv_many(&mut messages, MESSAGES_PER_JOB) => {
                    if count == 0 {
                        return Ok(());
                    }
                    let messages = std::mem::take(&mut messages);
                    chain = job(chain, move |chain| {
                        chain.hear(messages)?;
                        chain.make_block()
                    })
                    .await?;
                    if chain.parked {
                        return Ok(());
                    }
                }
                () = sleep_until(due) => {
                    chain = job(chain, Self::make_block).await?;
                }
                () = sleep_until(timer) => {
                    chain = job(chain, |chain| {
                        chain.fire_timers()?;
                        chain.make_block()
                    })
                    .await?;
                }
                // Something is in the pool: the loop looks whether a height is due.
                () = inputs.pooled.notified() => {}
            }
        }
    }

    fn hear(&mut self, messages: Vec<ToChain>) -> Result<(), Stopped> {
        let last = messages.len().saturating_sub(1);
        for (index, message) in messages.into_iter().enumerate() {
            match message {
                ToChain::Connected { peer } => {
                    let effects = self.engine.connected(peer);
                    self.perform(effects)?;
                }
                ToChain::Message { peer, payload } => self.take(peer, &payload)?,
                ToChain::HubMoved { named } => {
                    let effects = self.engine.hub_moved(named);
                    self.perform(effects)?;
                }
                ToChain::Stand(true) => self.engine.stand_still(),
                ToChain::Stand(false) => {
                    let effects = self.engine.go_on(self.outside.now_ms())?;
                    self.perform(effects)?;
                }
                ToChain::Quota(quota) => self.engine.set_quota(Some(quota)),
                ToChain::CopyForward(done) => {
                    self.to_copy.push(done);
                    if self.engine.is_parked() {
                        self.copy_forward()?;
                    }
                }
                ToChain::Park(answer) => {
                    self.parked = index == last && self.timers.is_empty() && self.engine.can_rest();
                    // Whoever asked may have given up; then it is awake again when somebody wants it.
                    let _gone = answer.send(self.parked);
                }
                ToChain::End(answer) => {
                    self.parked = true;
                    // Without an answer it counts as not ended, and is asked again.
                    let _gone = answer.send(self.engine.signed_to());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes what this chain still needs of the log again, for those who wait for it. Call between two heights.
    fn copy_forward(&mut self) -> Result<(), Stopped> {
        if self.to_copy.is_empty() {
            return Ok(());
        }
        self.append(&mut self.engine.live_entries())?;
        for done in self.to_copy.drain(..) {
            // Whoever waited has given up: the copies are right all the same.
            let _gone = done.send(());
        }
        Ok(())
    }

    fn take(&mut self, peer: Address, payload: &Bytes) -> Result<(), Stopped> {
        let message = match PeerMessage::decode(payload) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%peer, %error, "no message");
                self.outside.metrics.refused("form");
                return Ok(());
            }
        };
        let started = Instant::now();
        let received = self.engine.receive(peer, message, self.outside.now_ms());
        let effects = match received {
            Ok(effects) => effects,
            Err(error) => {
                let last_words = self.engine.last_words();
                if !last_words.is_empty() {
                    self.perform(last_words)?;
                    self.outside
                        .common
                        .log
                        .sync(self.outside.common.log.end())?;
                }
                return Err(error.into());
            }
        };
        self.outside.metrics.heard(started.elapsed());
        self.perform(effects)
    }

    /// When the next height may start; `None` when there is nothing to start it for.
    fn due(&mut self) -> Option<Instant> {
        let now_ms = self.outside.now_ms();
        let spare = &self.outside.common.spare;
        self.engine.lend(spare.has(), now_ms);
        self.engine.pool().write().lend(spare.has_room());
        let Some(due_ms) = self.engine.due_ms() else {
            // Nobody tells when the disk has room again.
            let pool = self.engine.pool().read();
            let waits_for_room = pool.is_closed() && !pool.is_empty();
            return waits_for_room.then(|| Instant::now() + DISK_LOOKS);
        };
        let wait = Duration::from_millis(due_ms.saturating_sub(now_ms));
        let wait = match self.engine.is_owing(now_ms) {
            true => wait.min(ASK_AGAIN),
            false => wait,
        };
        Some(Instant::now() + wait)
    }

    /// Makes the next block, if one is due; then the mailbox is looked at again.
    fn make_block(&mut self) -> Result<(), Stopped> {
        // What came in since is for the next life, which begins from rows alone.
        if self.parked {
            return Ok(());
        }
        let started = Instant::now();
        let effects = self.engine.wake(self.outside.now_ms())?;
        if !effects.is_empty() {
            self.outside.metrics.built(started.elapsed());
            self.perform(effects)?;
        }
        self.tell();
        Ok(())
    }

    fn fire_timers(&mut self) -> Result<(), Stopped> {
        let now = Instant::now();
        let due: Vec<TimerKey> = self
            .timers
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some((_, timer)) = self.timers.remove(&key) {
                let effects = self.engine.timer(timer, self.outside.now_ms())?;
                self.perform(effects)?;
            }
        }
        Ok(())
    }

    /// Performs effects in order; what comes after a failure is not performed.
    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Stopped> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        let mut left = VecDeque::from(effects);
        while let Some(effect) = left.pop_front() {
            match effect {
                Effect::Append(payload) => payloads.push(payload),
                Effect::Sync => {
                    self.append(&mut payloads)?;
                    let started = Instant::now();
                    self.outside
                        .common
                        .log
                        .sync(self.outside.common.log.end())?;
                    self.outside.metrics.synced(started.elapsed());
                }
                // What follows a block comes after everything that came with it.
                Effect::Commit(commit) => {
                    self.append(&mut payloads)?;
                    left.extend(self.commit(*commit)?);
                }
                Effect::Schedule { timer, after } => {
                    self.timers
                        .insert(timer.key(), (Instant::now() + after, timer));
                }
                Effect::CancelTimeouts => self
                    .timers
                    .retain(|key, _| !matches!(key, TimerKey::Consensus(_))),
                Effect::Send { to, message } => {
                    self.append(&mut payloads)?;
                    self.send(to, &message);
                }
                Effect::Evidence(batch) => {
                    tracing::warn!(chain_id = %self.outside.chain_id, "a validator signed twice; the evidence is kept");
                    self.outside.metrics.evidence();
                    self.outside.common.tables.commit(batch)?;
                }
                Effect::Notice(notice) => self.notice(notice),
            }
        }
        self.append(&mut payloads)
    }

    fn send(&self, to: Recipients, message: &PeerMessage) {
        let (class, payload) = (message.class(), Bytes::from(message.encode()));
        let send = |to: Address| {
            self.outside
                .common
                .peers
                .send(to, self.outside.chain_id, class, payload.clone());
        };
        match to {
            Recipients::All => self.outside.others.get().iter().copied().for_each(send),
            Recipients::One(city) => send(city),
        }
    }

    fn notice(&self, notice: Notice) {
        let chain_id = self.outside.chain_id;
        match notice {
            Notice::ClockBehind { by_ms } => {
                let by = by_ms.map(Duration::from_millis);
                if self
                    .outside
                    .common
                    .faults
                    .behind
                    .note(chain_id, by.is_some())
                {
                    tracing::warn!(by = ?by.unwrap_or_default(), "the clock is behind the latest block");
                }
            }
            Notice::ClockFar { ahead_ms } => {
                if self
                    .outside
                    .common
                    .faults
                    .far
                    .note(chain_id, ahead_ms.is_some())
                {
                    tracing::warn!(
                        ahead_ms = ahead_ms.unwrap_or_default(),
                        "this city's clock is far from the median of the others: its blocks come too early or too late; set it"
                    );
                }
            }
            Notice::Refused {
                from,
                reason,
                grave,
            } => {
                if grave {
                    tracing::warn!(%chain_id, %from, reason, "a message was refused");
                } else {
                    tracing::debug!(%chain_id, %from, reason, "a message was refused");
                }
                self.outside.metrics.refused(reason);
            }
            Notice::Untrue { from } => {
                tracing::warn!(%chain_id, %from, "a city says what no honest city says: it is kept out for a while");
                self.outside.common.peers.refuse(from, KEPT_OUT);
            }
            Notice::InvalidBlock { proposer, hash } => {
                tracing::warn!(%chain_id, %proposer, %hash, "a proposed block breaks a rule");
                self.outside.metrics.refused("block");
            }
            Notice::Silent { until } => {
                tracing::warn!(
                    %chain_id, until,
                    "this city cannot know what it signed: it follows, and signs nothing up to this height"
                );
            }
            Notice::Behind { number, of } => {
                tracing::info!(%chain_id, number, of, "catching up");
            }
        }
    }

    /// Shows how the chain does, and says once a height when it is stuck.
    fn tell(&mut self) {
        let agreeing = self.engine.agreeing();
        self.outside.status.set(ChainStatus {
            behind: self.engine.behind(),
            agreeing,
            // Of interest where this city joins.
            holds: !self.engine.is_validator() && self.engine.holds_chain(),
        });
        let Some((height, round)) = agreeing else {
            self.since = None;
            return;
        };
        let since = match self.since {
            Some((same, since)) if same == height => since,
            _ => {
                let now = Instant::now();
                self.since = Some((height, now));
                now
            }
        };
        if since.elapsed() >= STUCK_AFTER && self.told_stuck != height {
            self.told_stuck = height;
            let is_connected = |other: &&Address| self.outside.common.peers.is_connected(**other);
            let others = self.outside.others.get();
            let reached = others.iter().filter(is_connected).count();
            tracing::warn!(
                chain_id = %self.outside.chain_id, height, round,
                "no agreement: {reached} of {} other validators can be reached, and more than two thirds of all must \
                 vote; reads are answered, and it goes on when they return",
                others.len()
            );
        }
    }

    /// Another set votes from now on.
    fn tell_handover(&self) {
        self.outside
            .others
            .set(&self.engine, self.outside.common.key.address());
        tracing::info!(
            chain_id = %self.outside.chain_id,
            validators = self.engine.validators().validators().len(),
            votes = self.engine.is_validator(),
            "handed over"
        );
    }

    fn append(&self, payloads: &mut Vec<Vec<u8>>) -> Result<(), Stopped> {
        if payloads.is_empty() {
            return Ok(());
        }
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        self.outside
            .common
            .log
            .append(self.outside.chain_id.get(), &slices)?;
        payloads.clear();
        Ok(())
    }

    fn commit(&mut self, commit: Commit) -> Result<Vec<Effect>, Stopped> {
        let Commit { batch, decided } = commit;
        let started = Instant::now();
        self.outside.common.tables.commit(batch)?;
        self.outside
            .metrics
            .committed(started.elapsed(), &decided.block, decided.round);
        self.outside.metrics.holds(decided.size);
        let new = new_block(&decided);
        let before = Arc::clone(self.engine.validators());
        let was_silent = self.engine.is_silent();
        let next = self.engine.committed(decided, self.outside.now_ms())?;
        if !Arc::ptr_eq(&before, self.engine.validators()) {
            self.tell_handover();
        }
        if was_silent && !self.engine.is_silent() {
            self.outside.common.over.spoke(self.outside.chain_id)?;
        }
        self.outside.heads.tell(new);
        self.outside.metrics.pool(self.engine.pool().read().len());
        // Nothing of a later height is in the log yet.
        self.copy_forward()?;
        self.outside
            .common
            .trim
            .after_block(&*self.outside.common.log);
        Ok(next)
    }
}

/// Waits until the host says that it is over.
async fn told(stop: &mut watch::Receiver<bool>) {
    // A host that is gone says so as well.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Waits for the next timer; for ever when there is none. One that is due is not waited for: the runtime's timers end with
/// the next whole millisecond.
async fn sleep_until(timer: Option<Instant>) {
    match timer {
        Some(at) if at <= Instant::now() => {}
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Runs `work` on a worker thread: the engine executes blocks, and a sync waits for the disk.
async fn job(
    mut chain: Box<Chain>,
    work: impl FnOnce(&mut Chain) -> Result<(), Stopped> + Send + 'static,
) -> Result<Box<Chain>, Stopped> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut chain);
        (chain, result)
    });
    match done.await {
        Ok((chain, result)) => result.map(|()| chain),
        Err(_panic) => Err(Stopped::Panicked),
    }
}

fn new_block(decided: &Decided) -> NewBlock {
    NewBlock {
        block: Arc::clone(&decided.block),
        receipts: Arc::clone(&decided.receipts),
    }
}
