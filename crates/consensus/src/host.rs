//! What the library asks of its host, turned into effects.
//!
//! The library yields its wishes in the middle of a computation and goes on whatever the answer is:
//! a record that could not be written would still be followed by its vote. Nothing is done here
//! therefore; wishes become a list, and the order of the list is the safety: a record stands before
//! what follows from it, and [`Effect::Sync`] between them and whatever shows to the outside.
//!
//! **Alone.** The only validator of a chain convinces nobody: its proposal and its prevote are not
//! signed, not written and not sent, and it waits for nobody, so that it has no timers. It writes
//! its block and its precommit, and makes them durable once, before the decision.

use alloy_primitives::{Address, B256};
use arc_malachitebft_core_consensus::{
    Effect as Wish, Input, LivenessMsg, MisbehaviorEvidence, Resumable, Resume, SignedConsensusMsg,
};
use arc_malachitebft_core_types::{self as core, SignedMessage, VoteType};
use types::vote::MAX_ROUND;
use types::{Certificate, Signature, ValidatorSet};

use crate::context::{CoreProposal, CoreVote, Ctx, Height};
use crate::message::{Message, Proposal, Vote, VoteKind};
use crate::record::Record;
use crate::step::{Config, Effect, Equivocation, Error};
use crate::timeouts::{Timeout, TimeoutKind};
use crate::translation;

/// In the place of a signature that nobody will see.
const UNSIGNED: Signature = Signature([0; 65]);

/// The side of an instance that is not the library.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) config: Config,
    pub(crate) height: u64,
    /// Whether this city is the only validator.
    pub(crate) alone: bool,
    /// What this call wants done, so far.
    pub(crate) effects: Vec<Effect>,
    pub(crate) decided: bool,
    /// The first wish that cannot be granted: it voids the call.
    pub(crate) fault: Option<Error>,
    /// Whether something was written that may not be durable.
    unsynced: bool,
    /// The timers that run: at most one of each kind.
    timers: Vec<Timeout>,
    generation: u64,
    /// All that this city ever signed at this height: the library forgets votes of rounds that are over.
    pub(crate) signed: Vec<Message>,
    replay: Option<Replay>,
    /// How many signatures were made.
    #[cfg(test)]
    pub(crate) signatures: usize,
}

/// What matters while the log is taken in again.
#[derive(Debug)]
struct Replay {
    /// What the log holds that was signed here.
    signed: Vec<Message>,
    /// The last round for which a value was asked for.
    wanted: Option<u32>,
}

impl Host {
    pub(crate) fn new(config: Config, height: u64, set: &ValidatorSet, replay: &[&Record]) -> Self {
        let own = config.key.address();
        let signed = replay.iter().filter_map(|record| match record {
            Record::Message(message) if signer(message) == Some(own) => Some(message.clone()),
            _ => None,
        });
        let signed: Vec<_> = signed.collect();
        Self {
            height,
            alone: set.validators().len() == 1 && set.get(own).is_some() && !config.silent,
            effects: Vec::new(),
            decided: false,
            fault: None,
            // After the crash of a process the log may be read back from memory: not durable yet.
            unsynced: !replay.is_empty(),
            timers: Vec::new(),
            generation: 0,
            signed: signed.clone(),
            replay: Some(Replay {
                signed,
                wanted: None,
            }),
            #[cfg(test)]
            signatures: 0,
            config,
        }
    }

    /// Ends the replay. The library sent this city's votes again, but not its proposal. Gives the
    /// round for which a value was asked for last.
    pub(crate) fn finish_replay(&mut self, round: u32) -> Option<u32> {
        let replay = self.replay.take()?;
        let proposed =
            |message: &Message| matches!(message, Message::Proposal(_)) && message.round() == round;
        if let Some(proposal) = replay.signed.into_iter().find(proposed)
            && !self.decided
        {
            self.publish(proposal);
        }
        replay.wanted
    }

    /// Answers one wish.
    #[expect(clippy::too_many_lines, reason = "a table of the library's wishes")]
    pub(crate) fn handle(&mut self, wish: Wish<Ctx>) -> Resume<Ctx> {
        match wish {
            Wish::CancelAllTimeouts(resume) => {
                self.cancel_timers();
                resume.resume_with(())
            }
            Wish::CancelTimeout(timeout, resume) => {
                let cancelled = translation::timeout(timeout);
                self.timers
                    .retain(|timer| Some((timer.kind, timer.round)) != cancelled);
                resume.resume_with(())
            }
            Wish::ScheduleTimeout(timeout, resume) => {
                match translation::timeout(timeout) {
                    Some((kind, round)) => self.schedule(kind, round),
                    None => self.refuse("the end of a height"),
                }
                resume.resume_with(())
            }
            Wish::StartRound(.., resume) => {
                // While the log is taken in, only what is shown waits for it.
                if self.replay.is_none() {
                    self.sync();
                }
                resume.resume_with(())
            }
            Wish::PublishConsensusMsg(message, resume) => {
                self.publish(match message {
                    SignedConsensusMsg::Vote(vote) => vote.into(),
                    SignedConsensusMsg::Proposal(proposal) => proposal.into(),
                });
                resume.resume_with(())
            }
            Wish::PublishLivenessMsg(message, resume) => {
                self.publish(match message {
                    LivenessMsg::Vote(vote) => vote.into(),
                    LivenessMsg::PolkaCertificate(certificate) => certificate.into(),
                    LivenessMsg::SkipRoundCertificate(certificate) => certificate.into(),
                });
                resume.resume_with(())
            }
            Wish::RepublishVote(vote, resume) => {
                self.publish(vote.into());
                resume.resume_with(())
            }
            Wish::RepublishRoundCertificate(certificate, resume) => {
                self.publish(certificate.into());
                resume.resume_with(())
            }
            Wish::GetValue(_, round, _, resume) => {
                self.want_value(translation::number(round));
                resume.resume_with(())
            }
            Wish::RestreamProposal(_, _, _, _, value, resume) => {
                self.restream(value.0);
                resume.resume_with(())
            }
            Wish::Decide(certificate, _, resume) => {
                self.decide(translation::commit_certificate(certificate));
                resume.resume_with(())
            }
            Wish::Finalize(_, _, evidence, resume) => {
                self.report(evidence);
                resume.resume_with(())
            }
            Wish::SignVote(vote, resume) => {
                let signature = self.sign_vote(&vote);
                resume.resume_with(SignedMessage::new(vote, signature))
            }
            Wish::SignProposal(proposal, resume) => {
                let signature = self.sign_proposal(&proposal);
                resume.resume_with(SignedMessage::new(proposal, signature))
            }
            // All that gets in was verified by `authenticate`, signed here, or read from the log; and
            // a certificate is made here of nothing else.
            Wish::VerifySignature(_, (), resume) => resume.resume_with(true),
            Wish::VerifyCommitCertificate(.., resume)
            | Wish::VerifyPolkaCertificate(.., resume)
            | Wish::VerifyRoundCertificate(.., resume) => resume.resume_with(Ok(())),
            Wish::WalAppend(height, input, resume) => {
                self.append(height, input);
                resume.resume_with(())
            }
            // Catching up goes by `Input::Certificate`, and votes have no extensions.
            Wish::VerifyExtendedCommitCertificate(.., resume) => {
                self.refuse("the verification of a certificate with extensions");
                resume.resume_with(Ok(()))
            }
            Wish::CertVerifiedSyncValue(.., resume) | Wish::CertRejectedSyncValue(.., resume) => {
                self.refuse("a value of its own catching up");
                resume.resume_with(())
            }
            Wish::ExtendVote(.., resume) => {
                self.refuse("the extension of a vote");
                resume.resume_with(None)
            }
            Wish::VerifyVoteExtension(.., resume) => {
                self.refuse("the verification of an extension");
                resume.resume_with(Ok(()))
            }
        }
    }

    /// The height is decided: nothing is waited for any more.
    pub(crate) fn decide(&mut self, certificate: Certificate) {
        self.sync();
        self.decided = true;
        self.cancel_timers();
        self.effects.push(Effect::Decide { certificate });
    }

    pub(crate) fn report(&mut self, evidence: MisbehaviorEvidence<Ctx>) {
        let proposals = evidence.proposals.into_iter().flat_map(|(_, pairs)| pairs);
        let votes = evidence.votes.into_iter().flat_map(|(_, pairs)| pairs);
        let proposals = proposals.map(|(first, second)| Equivocation {
            first: first.into(),
            second: second.into(),
        });
        let votes = votes.map(|(first, second)| Equivocation {
            first: first.into(),
            second: second.into(),
        });
        let found: Vec<_> = proposals.chain(votes).collect();
        if !found.is_empty() {
            self.effects.push(Effect::Evidence(found));
        }
    }

    /// Whether this timer runs; it does no longer.
    pub(crate) fn take_timer(&mut self, timeout: &Timeout) -> bool {
        let before = self.timers.len();
        self.timers.retain(|timer| timer != timeout);
        before != self.timers.len()
    }

    fn schedule(&mut self, kind: TimeoutKind, round: u32) {
        // The library asks once more after a decision, when it has published its last vote.
        if self.alone || self.decided {
            return;
        }
        self.generation += 1;
        let timeout = Timeout {
            height: self.height,
            round,
            kind,
            duration: self.config.duration(kind, round),
            generation: self.generation,
        };
        self.timers.retain(|timer| timer.kind != kind);
        self.timers.push(timeout);
        self.effects.push(Effect::Schedule(timeout));
    }

    fn cancel_timers(&mut self) {
        if !self.timers.is_empty() {
            self.timers.clear();
            self.effects.push(Effect::CancelTimeouts);
        }
    }

    fn want_value(&mut self, round: u32) {
        match &mut self.replay {
            // The log may hold the answer.
            Some(replay) => replay.wanted = Some(round),
            None => self.effects.push(Effect::GetValue { round }),
        }
    }

    fn publish(&mut self, message: Message) {
        if !self.alone {
            self.sync();
            self.effects.push(Effect::Publish(message));
        }
    }

    fn restream(&mut self, block_hash: B256) {
        if !self.alone {
            self.effects.push(Effect::Restream { block_hash });
        }
    }

    fn append(&mut self, height: Height, input: Input<Ctx>) {
        let Some(record) = translation::record(height, input) else {
            return self.refuse("a record of an unknown kind");
        };
        if self.is_kept(&record) {
            self.unsynced = true;
            if let Record::Message(message) = &record
                && signer(message) == Some(self.config.key.address())
            {
                self.signed.push(message.clone());
            }
            self.effects.push(Effect::Append(record));
        }
    }

    /// Whether a record must be written: not when it follows again from what is written, or is.
    fn is_kept(&self, record: &Record) -> bool {
        let follows = self.alone
            && match record {
                Record::Message(Message::Vote(vote)) => vote.signature == UNSIGNED,
                Record::Message(_) => true,
                Record::Value(_) | Record::Timeout { .. } => false,
            };
        // While the log is taken in, only what is newly signed is not in it.
        let written = self.replay.as_ref().is_some_and(|replay| match record {
            Record::Message(message) => {
                signer(message) != Some(self.config.key.address())
                    || replay.signed.contains(message)
            }
            Record::Value(_) | Record::Timeout { .. } => true,
        });
        !follows && !written
    }

    fn sync(&mut self) {
        if std::mem::take(&mut self.unsynced) {
            self.effects.push(Effect::Sync);
        }
    }

    fn sign_vote(&mut self, vote: &CoreVote) -> Signature {
        if self.alone && vote.kind == VoteType::Prevote {
            return UNSIGNED;
        }
        let unsigned = vote.signed(UNSIGNED);
        let digest = unsigned.digest(&self.config.domain);
        self.sign(vote.round, &unsigned.into(), digest)
    }

    fn sign_proposal(&mut self, proposal: &CoreProposal) -> Signature {
        if self.alone {
            return UNSIGNED;
        }
        let unsigned = proposal.signed(UNSIGNED);
        let digest = unsigned.digest(&self.config.domain);
        self.sign(proposal.round, &unsigned.into(), digest)
    }

    fn sign(&mut self, round: core::Round, message: &Message, digest: B256) -> Signature {
        // The core sees to it. It is looked at here as well, because nothing else that goes wrong is as bad.
        if let Some(what) = self.signed.iter().find_map(|it| contradiction(it, message)) {
            self.fault.get_or_insert(Error::SignsTwice {
                height: self.height,
                round: message.round(),
                what,
            });
            return UNSIGNED;
        }
        if round > core::Round::new(MAX_ROUND) {
            self.fault.get_or_insert(Error::RoundTooHigh {
                round: round.as_i64(),
            });
            return UNSIGNED;
        }
        #[cfg(test)]
        {
            self.signatures += 1;
        }
        self.config.key.sign(digest)
    }

    fn refuse(&mut self, what: &'static str) {
        self.fault.get_or_insert(Error::Unexpected { what });
    }
}

/// What two messages of one validator and one height both are, if they say different things in one place.
fn contradiction(first: &Message, second: &Message) -> Option<&'static str> {
    match (first, second) {
        (Message::Vote(first), Message::Vote(second)) => (first.kind == second.kind
            && first.round == second.round
            && first.block_hash != second.block_hash)
            .then_some(match first.kind {
                VoteKind::Prevote => "prevote",
                VoteKind::Precommit => "precommit",
            }),
        (Message::Proposal(first), Message::Proposal(second)) => {
            let says = |it: &Proposal| (it.pol_round, it.block_hash);
            (first.round == second.round && says(first) != says(second)).then_some("proposal")
        }
        _ => None,
    }
}

/// Who signed a message that one validator signs.
const fn signer(message: &Message) -> Option<Address> {
    match message {
        Message::Vote(Vote { validator, .. }) => Some(*validator),
        Message::Proposal(Proposal { proposer, .. }) => Some(*proposer),
        Message::Polka(_) | Message::Round(_) => None,
    }
}
