//! The task that owns one chain: it alone writes it.
//!
//! Inputs are gathered from the mailbox, then the engine and the effects of its answers run as one job on a worker
//! thread; meanwhile the mailbox fills for the next. A chain without work waits for its mailbox and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use chain::{Commit, Decided, Effect, Engine, EngineError, Notice, PoolError};
use consensus::{Timeout, TimeoutKind};
use execution::Transaction;
use store::{Log, LogError, Tables, TablesError};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use types::ChainId;

use crate::clock::Clock;
use crate::handle::{NewBlock, Submission};
use crate::metrics::ChainMetrics;
use crate::trim::Trim;

/// Submissions that one job takes from the mailbox.
const SUBMISSIONS_PER_JOB: usize = 256;

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

/// What a driver writes to and whom it tells.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) chain_id: ChainId,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) heads: broadcast::Sender<NewBlock>,
    pub(crate) pending: broadcast::Sender<Arc<Transaction>>,
    pub(crate) metrics: ChainMetrics,
    pub(crate) trim: Trim,
}

/// Owns one chain.
#[derive(Debug)]
pub(crate) struct Driver {
    chain: Box<Chain>,
    inbox: mpsc::Receiver<Submission>,
    stop: watch::Receiver<bool>,
}

/// What moves to a worker thread and back.
#[derive(Debug)]
struct Chain {
    engine: Engine,
    outside: Outside,
    timers: BTreeMap<TimeoutKind, (Instant, Timeout)>,
}

impl Driver {
    pub(crate) fn new(
        engine: Engine,
        outside: Outside,
        inbox: mpsc::Receiver<Submission>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            chain: Box::new(Chain {
                engine,
                outside,
                timers: BTreeMap::new(),
            }),
            inbox,
            stop,
        }
    }

    /// Performs what recovery asks for, then serves until told to stop or every handle is gone.
    pub(crate) async fn run(self, first: Vec<Effect>) {
        let Self {
            chain,
            mut inbox,
            mut stop,
        } = self;
        let chain_id = chain.outside.chain_id;
        match serve(chain, &mut inbox, &mut stop, first).await {
            Ok(()) => tracing::debug!(%chain_id, "chain closed"),
            Err(error) => {
                tracing::error!(
                    %chain_id,
                    error = &error as &dyn std::error::Error,
                    "chain stopped; it answers reads, and goes on when the program is started again"
                );
            }
        }
        // Whoever waits for a verdict is told, and whoever comes later finds the mailbox closed.
        inbox.close();
        while let Some(submission) = inbox.recv().await {
            refuse(submission);
        }
    }
}

async fn serve(
    mut chain: Box<Chain>,
    inbox: &mut mpsc::Receiver<Submission>,
    stop: &mut watch::Receiver<bool>,
    first: Vec<Effect>,
) -> Result<(), Stopped> {
    chain = job(chain, move |chain| {
        chain.perform(first)?;
        chain.make_block()
    })
    .await?;
    let mut submissions = Vec::new();
    loop {
        let timer = chain.timers.values().map(|(at, _)| *at).min();
        let due = chain.due();
        tokio::select! {
            biased;
            () = told(stop) => return Ok(()),
            count = inbox.recv_many(&mut submissions, SUBMISSIONS_PER_JOB) => {
                if count == 0 {
                    return Ok(());
                }
                let batch = std::mem::take(&mut submissions);
                chain = job(chain, move |chain| {
                    chain.admit(batch)?;
                    chain.make_block()
                })
                .await?;
            }
            () = sleep_until(due) => {
                chain = job(chain, Chain::make_block).await?;
            }
            () = sleep_until(timer) => {
                chain = job(chain, Chain::fire_timers).await?;
            }
        }
    }
}

/// Waits until the host says that it is over.
async fn told(stop: &mut watch::Receiver<bool>) {
    // A host that is gone says so as well.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Waits for the next timer; for ever when there is none.
async fn sleep_until(timer: Option<Instant>) {
    match timer {
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

fn refuse(submission: Submission) {
    let verdicts = submission
        .transactions
        .iter()
        .map(|_| Err(PoolError::Stopped))
        .collect();
    // The caller may have stopped waiting.
    drop(submission.answer.send(verdicts));
}

impl Chain {
    /// Judges transactions, writes the good ones to the log, and only then tells their hashes.
    fn admit(&mut self, submissions: Vec<Submission>) -> Result<(), Stopped> {
        let now_ms = self.outside.clock.now_ms();
        let (mut transactions, mut answers) = (Vec::new(), Vec::with_capacity(submissions.len()));
        for submission in submissions {
            answers.push((submission.transactions.len(), submission.answer));
            transactions.extend(submission.transactions);
        }
        let admitted = self.engine.admit(transactions, now_ms);
        let payloads: Vec<&[u8]> = admitted.entries.iter().map(Vec::as_slice).collect();
        if !payloads.is_empty() {
            self.outside
                .log
                .append(self.outside.chain_id.get(), &payloads)?;
        }
        let mut verdicts: Vec<Result<B256, PoolError>> = admitted.verdicts;
        for (count, answer) in answers {
            let rest = verdicts.split_off(count.min(verdicts.len()));
            // The caller may have stopped waiting; its transactions stand all the same.
            drop(answer.send(verdicts));
            verdicts = rest;
        }
        for transaction in admitted.accepted {
            // Nobody listening is no error.
            drop(self.outside.pending.send(transaction));
        }
        self.outside.metrics.pool(self.engine.pool().read().len());
        Ok(())
    }

    /// When the next height may start; `None` when there is nothing to start it for.
    fn due(&self) -> Option<Instant> {
        let wait_ms = self
            .engine
            .due_ms()?
            .saturating_sub(self.outside.clock.now_ms());
        Some(Instant::now() + Duration::from_millis(wait_ms))
    }

    /// Makes the next block, if one is due; then the mailbox is looked at again.
    fn make_block(&mut self) -> Result<(), Stopped> {
        let started = Instant::now();
        let effects = self.engine.wake(self.outside.clock.now_ms())?;
        if effects.is_empty() {
            return Ok(());
        }
        self.outside.metrics.built(started.elapsed());
        self.perform(effects)
    }

    fn fire_timers(&mut self) -> Result<(), Stopped> {
        let now = Instant::now();
        let due: Vec<TimeoutKind> = self
            .timers
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(kind, _)| *kind)
            .collect();
        for kind in due {
            if let Some((_, timeout)) = self.timers.remove(&kind) {
                let effects = self.engine.timeout(timeout, self.outside.clock.now_ms())?;
                self.perform(effects)?;
            }
        }
        Ok(())
    }

    /// Performs effects in order; what comes after a failure is not performed.
    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Stopped> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Append(payload) => payloads.push(payload),
                Effect::Sync => {
                    self.append(&mut payloads)?;
                    let started = Instant::now();
                    self.outside.log.sync(self.outside.log.end())?;
                    self.outside.metrics.synced(started.elapsed());
                }
                Effect::Commit(commit) => self.commit(*commit)?,
                Effect::Schedule(timeout) => {
                    self.timers
                        .insert(timeout.kind, (Instant::now() + timeout.duration, timeout));
                }
                Effect::CancelTimeouts => self.timers.clear(),
                // A chain of one validator has nobody to send to.
                Effect::Publish(_) | Effect::Restream { .. } => {}
                Effect::Evidence(found) => {
                    tracing::warn!(chain_id = %self.outside.chain_id, ?found, "validators signed twice");
                }
                Effect::Notice(Notice::ClockBehind { by_ms }) => {
                    let by = Duration::from_millis(by_ms);
                    tracing::warn!(chain_id = %self.outside.chain_id, ?by, "the clock is behind the latest block");
                }
            }
        }
        self.append(&mut payloads)
    }

    fn append(&mut self, payloads: &mut Vec<Vec<u8>>) -> Result<(), Stopped> {
        if payloads.is_empty() {
            return Ok(());
        }
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        self.outside
            .log
            .append(self.outside.chain_id.get(), &slices)?;
        payloads.clear();
        Ok(())
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Stopped> {
        let Commit { batch, decided } = commit;
        let started = Instant::now();
        self.outside.tables.commit(batch)?;
        self.outside
            .metrics
            .committed(started.elapsed(), &decided.block);
        let new = new_block(&decided);
        self.engine.committed(decided);
        // Nobody listening is no error.
        drop(self.outside.heads.send(new));
        self.outside.metrics.pool(self.engine.pool().read().len());
        self.outside
            .trim
            .after_block(&self.engine, &self.outside.log, &self.outside.tables)?;
        Ok(())
    }
}

fn new_block(decided: &Decided) -> NewBlock {
    NewBlock {
        block: Arc::clone(&decided.block),
        receipts: Arc::clone(&decided.receipts),
    }
}
