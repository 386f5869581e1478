//! One awake chain at one height: inputs in, effects out.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use arc_malachitebft_core_consensus::{
    Error as CoreError, Input as CoreInput, LocallyProposedValue, MisbehaviorEvidence, Params,
    State, ThresholdParams, process,
};
use arc_malachitebft_core_types::{Round, ValuePayload, VoteExtensionPolicy};
use types::{Certificate, ValidatorSet};

use crate::authentic::{Audience, Authentic, Refused, authenticate};
use crate::context::{Addr, Ctx, Hash, Height, Set};
use crate::host::Host;
use crate::message::{Message, RoundCertificateKind};
use crate::proposers::Turn;
use crate::record::{Record, Value};
use crate::step::{Config, Effect, Error, Input};
use crate::timeouts::TimeoutKind;
use crate::translation;

/// One awake chain at one height.
pub struct Instance {
    core: State<Ctx>,
    host: Host,
    set: Arc<ValidatorSet>,
    usable: bool,
}

impl Instance {
    /// Starts `height` with its set and its proposers. `replay` are the records of the log from
    /// this height, in order: none on a normal start. Those of lower heights are ignored.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(
        config: Config,
        height: u64,
        set: Arc<ValidatorSet>,
        turn: Turn,
        replay: &[Record],
    ) -> Result<(Self, Vec<Effect>), Error> {
        if let Some(record) = replay
            .iter()
            .map(Record::height)
            .find(|&record| record > height)
        {
            return Err(Error::LogAhead { height, record });
        }
        let replay: Vec<&Record> = replay.iter().filter(|r| r.height() == height).collect();
        let params = Params {
            address: Addr(config.key.address()),
            threshold_params: ThresholdParams::default(),
            // The other mode takes every proposed value for valid.
            value_payload: ValuePayload::ProposalAndParts,
            enabled: !config.silent,
        };
        let members = Set::from(set.as_ref());
        // Its own queue of early inputs is not used: only inputs of this height get in.
        let core = State::new(Ctx { turn }, Height(height), members.clone(), params, 1, 1);
        let host = Host::new(config, height, &set, &replay);
        let mut instance = Self {
            core,
            host,
            set,
            usable: true,
        };
        instance.recover(members, &replay)?;
        let effects = std::mem::take(&mut instance.host.effects);
        Ok((instance, effects))
    }

    /// Answers one input.
    ///
    /// # Errors
    /// See [`Error`]: the instance is unusable afterwards, but for [`Error::OtherHeight`] and
    /// [`Error::BadCertificate`].
    pub fn step(&mut self, input: Input) -> Result<Vec<Effect>, Error> {
        if !self.usable {
            return Err(Error::Unusable);
        }
        if self.host.decided {
            return Ok(Vec::new());
        }
        match input {
            Input::Propose { round, block_hash } => {
                if self.awaits_value(round) {
                    self.propose(round, block_hash)?;
                }
            }
            Input::Value {
                round,
                pol_round,
                proposer,
                block_hash,
                valid,
            } => {
                let height = self.height();
                self.feed(translation::value_input(Value {
                    height,
                    round,
                    pol_round,
                    proposer,
                    block_hash,
                    valid,
                }))?;
            }
            Input::Message(message) => {
                if message.message().height() == self.height() {
                    self.feed(translation::message_input(message.into_message()))?;
                }
            }
            Input::Timeout(timeout) => {
                if self.host.take_timer(&timeout) {
                    self.feed(translation::timeout_input(timeout.kind, timeout.round))?;
                }
            }
            Input::Certificate(certificate) => self.adopt(certificate)?,
        }
        Ok(std::mem::take(&mut self.host.effects))
    }

    /// [`authenticate`] for this height and set; what is known already is refused before its
    /// signatures are looked at, because votes and certificates come many times.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn authenticate(&self, message: &Message) -> Result<Authentic, Refused> {
        if message.height() == self.height() && self.knows(message) {
            return Err(Refused::Known);
        }
        authenticate(message, &self.audience())
    }

    /// Whom it listens to.
    #[must_use]
    pub fn audience(&self) -> Audience<'_> {
        Audience {
            domain: &self.host.config.domain,
            set: &self.set,
            height: self.height(),
            own: self.host.config.key.address(),
        }
    }

    /// Whether a block that came too late, or too early, to be voted for in this round may now be
    /// given as valid: this city's own prevote of that round is out, or a polka for it exists.
    #[must_use]
    pub fn takes_untimely(&self, round: u32, block_hash: B256) -> bool {
        let round = Round::new(round);
        let driver = &self.core.driver;
        let voted = driver
            .last_prevote()
            .is_some_and(|vote| vote.round >= round);
        let polka = || {
            driver
                .polka_certificates()
                .iter()
                .any(|polka| polka.value_id.0 == block_hash)
        };
        voted || driver.round() > round || polka()
    }

    /// How long a timer of this kind runs in this round.
    #[must_use]
    pub fn duration(&self, kind: TimeoutKind, round: u32) -> Duration {
        self.host.config.duration(kind, round)
    }

    /// The height that is being agreed on.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.host.height
    }

    /// The present round.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.core.round().as_u32().unwrap_or(0)
    }

    /// Whether the height is decided, and the instance with it finished.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.host.decided
    }

    #[cfg(test)]
    pub(crate) const fn signatures(&self) -> usize {
        self.host.signatures
    }

    /// Starts the height and takes the log in again. What was signed before is known to the library
    /// before it can sign anything; a value is asked for only when all that is in the log has had
    /// its effect.
    fn recover(&mut self, members: Set, replay: &[&Record]) -> Result<(), Error> {
        let inputs: Vec<_> = replay
            .iter()
            .map(|record| translation::record_input(record))
            .collect();
        self.core.index_wal_entries(inputs.iter());
        let policy = VoteExtensionPolicy::Disabled;
        // No restart in the library's sense, which would forget the log; no target time, which would
        // read the clock.
        self.feed(CoreInput::StartHeight(
            Height(self.height()),
            members,
            false,
            None,
            policy,
        ))?;
        for (record, input) in replay.iter().zip(inputs) {
            if self.host.decided {
                break;
            }
            match record {
                // What follows from an own block was not written down: it follows again.
                Record::Value(value) if self.host.alone => {
                    self.propose(value.round, value.block_hash)?;
                }
                _ => self.feed(input)?,
            }
        }
        self.core.reset_entries_index();
        let round = self.round();
        if let Some(round) = self.host.finish_replay(round)
            && self.awaits_value(round)
        {
            match self.built(round, replay) {
                Some(block_hash) => self.propose(round, block_hash)?,
                None => self.host.effects.push(Effect::GetValue { round }),
            }
        }
        Ok(())
    }

    /// The block that this city built for a round before it crashed. It is proposed, and no other is built: the library keeps
    /// few values a round, so a city that crashed as often and then signed would not find in its log what it signed.
    fn built(&self, round: u32, replay: &[&Record]) -> Option<B256> {
        let own = self.host.config.key.address();
        let built = replay.iter().rev().find_map(|record| match record {
            Record::Value(value) if value.proposer == own && value.round == round => Some(value),
            _ => None,
        });
        built.map(|value| value.block_hash)
    }

    /// Whether a message tells nothing new: its vote is counted, its polka known, its round passed. A proposal always may.
    #[must_use]
    pub fn knows(&self, message: &Message) -> bool {
        let driver = &self.core.driver;
        let round = Round::new(message.round());
        match message {
            Message::Vote(vote) => {
                let validator = Addr(vote.validator);
                let votes = driver.votes().per_round(round);
                let counted = votes.and_then(|votes| votes.get_vote(vote.kind.into(), &validator));
                let value = translation::value(vote.block_hash);
                counted.is_some_and(|counted| counted.message.value == value)
            }
            Message::Proposal(_) => false,
            Message::Polka(polka) => driver
                .polka_certificate(round, &Hash(polka.block_hash))
                .is_some(),
            Message::Round(certificate) => match certificate.kind {
                RoundCertificateKind::Skip => round <= driver.round(),
                RoundCertificateKind::Precommits => round < driver.round(),
            },
        }
    }

    /// Whether this city signed a message at this height: made here, or found in its log. Unlike what [`Instance::knows`]
    /// says, that does not end with a round.
    #[must_use]
    pub fn has_signed(&self, message: &Message) -> bool {
        self.host.signed.contains(message)
    }

    /// Whether a block of this city for this round is still of use.
    fn awaits_value(&self, round: u32) -> bool {
        !self.host.decided
            && self.core.round() == Round::new(round)
            && self.core.driver.step_is_propose()
    }

    fn propose(&mut self, round: u32, block_hash: B256) -> Result<(), Error> {
        self.feed(CoreInput::Propose(LocallyProposedValue::new(
            Height(self.height()),
            Round::new(round),
            Hash(block_hash),
        )))
    }

    /// Takes a decision from elsewhere. The core need not know: the height is over.
    fn adopt(&mut self, certificate: Certificate) -> Result<(), Error> {
        let height = self.height();
        if certificate.height != height {
            return Err(Error::OtherHeight {
                height,
                certificate: certificate.height,
            });
        }
        certificate
            .verify(&self.host.config.domain, &self.set)
            .map_err(|source| Error::BadCertificate { height, source })?;
        let evidence = MisbehaviorEvidence {
            proposals: self.core.driver.take_proposal_evidence(),
            votes: self.core.driver.take_vote_evidence(),
        };
        self.host.decide(certificate);
        self.host.report(evidence);
        Ok(())
    }

    /// Gives one input to the library and gathers what it wants done. After an error the state in
    /// memory is not to be trusted: it is ahead of what was written, or torn.
    fn feed(&mut self, input: CoreInput<Ctx>) -> Result<(), Error> {
        let (core, host) = (&mut self.core, &mut self.host);
        let outcome = catch_unwind(AssertUnwindSafe(|| -> Result<(), Box<CoreError<Ctx>>> {
            process!(
                input: input,
                state: core,
                metrics: &(),
                with: effect => Ok::<_, Infallible>(host.handle(effect))
            )
        }));
        let result = match outcome {
            Err(panic) => Err(Error::Panicked {
                message: panic_message(panic.as_ref()),
            }),
            Ok(Err(error)) => Err(Error::Core(error)),
            Ok(Ok(())) => host.fault.take().map_or(Ok(()), Err),
        };
        if result.is_err() {
            self.usable = false;
            self.host.effects.clear();
        }
        result
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("height", &self.height())
            .field("round", &self.round())
            .field("decided", &self.is_decided())
            .finish_non_exhaustive()
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
