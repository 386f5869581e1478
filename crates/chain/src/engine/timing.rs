//! When what happened in a height: what delays are learnt from.
//!
//! Times are the clock's, in whole milliseconds, as the engine is given them. A clock that is set spoils the samples of one
//! height; backwards they are none, and more than a minute is none.

use std::time::Duration;

use consensus::{Vote, VoteKind};

use super::Engine;
use super::voting::Height;

/// Rounds of a height that are timed, each with its proposer's wait. Later ones wait long anyway.
pub(super) const TIMED_ROUNDS: u32 = 8;

/// What was timed in a height.
#[derive(Debug, Default)]
pub(super) struct Timed {
    /// From when on the proposers of which rounds were awaited here, in Unix milliseconds.
    awaited: Vec<(u32, u64)>,
    /// Rounds whose block is here.
    blocks: Vec<u32>,
    /// This city's latest vote for a block, with its round and when it was sent.
    vote: Option<(VoteKind, u32, u64)>,
}

impl Timed {
    /// The proposer of this round is awaited.
    pub(super) fn enter(&mut self, round: u32, now_ms: u64) {
        if round < TIMED_ROUNDS && self.since(round).is_none() {
            self.awaited.push((round, now_ms));
        }
    }

    /// The block of this round is here and executed. How long it was awaited, if it was.
    pub(super) fn block(&mut self, round: u32, now_ms: u64) -> Option<Duration> {
        if round >= TIMED_ROUNDS || self.blocks.contains(&round) {
            return None;
        }
        self.blocks.push(round);
        elapsed(self.since(round)?, now_ms)
    }

    /// This city votes. How long the quorum took that made it precommit.
    pub(super) fn vote(&mut self, vote: &Vote, now_ms: u64) -> Option<Duration> {
        if vote.block_hash.is_zero() {
            return None;
        }
        let before = self.vote;
        let is_new = before.is_none_or(|(kind, round, _)| (round, kind) < (vote.round, vote.kind));
        if !is_new {
            return None;
        }
        self.vote = Some((vote.kind, vote.round, now_ms));
        match before {
            Some((VoteKind::Prevote, round, since)) if round == vote.round => {
                elapsed(since, now_ms)
            }
            _ => None,
        }
    }

    /// The height is decided in this round. How long the quorum of precommits took, if this city's is in it.
    pub(super) fn decision(&self, round: u32, now_ms: u64) -> Option<Duration> {
        match self.vote {
            Some((VoteKind::Precommit, voted, since)) if voted == round => elapsed(since, now_ms),
            _ => None,
        }
    }

    fn since(&self, round: u32) -> Option<u64> {
        let mut awaited = self.awaited.iter();
        awaited
            .find(|(of, _)| *of == round)
            .map(|(_, since)| *since)
    }
}

impl Engine {
    /// The height is over, decided in this round: whose turns passed without a block?
    pub(super) fn learn_from(&mut self, height: &Height, round: u32) {
        self.delays.decided(round);
        let Timed {
            awaited, blocks, ..
        } = &height.timed;
        for (of, _) in awaited {
            let proposer = height.turn.proposer(*of);
            if *of < round && !blocks.contains(of) && proposer != self.config.key.address() {
                let was_heard = self.heard.remove(&proposer);
                self.delays.missed(proposer, was_heard);
            }
        }
    }
}

fn elapsed(since_ms: u64, now_ms: u64) -> Option<Duration> {
    now_ms.checked_sub(since_ms).map(Duration::from_millis)
}
