//! The gate: what a message must show before the core sees it.
//!
//! The core keeps unverified what it cannot use yet, and verifies nothing itself here. So
//! membership, height, form and every signature are checked first, by recovery and comparison of
//! addresses: the same r and s with the other v would pass a check against a public key, and make a
//! certificate that no contract accepts. This is also the expensive part, a pure function that the
//! host may run on any thread.

use alloy_primitives::{Address, B256};
use types::{Domain, Signature, SignatureError, ValidatorSet, recover};

use crate::message::{FormError, Message, RoundCertificateKind, RoundSignature, Vote, VoteKind};

/// A message that passed [`authenticate`] for its height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentic(Message);

impl Authentic {
    /// The message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.0
    }

    /// The message.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.0
    }
}

/// Whom a chain listens to at one height.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// The chain and network that every signature names.
    pub domain: &'a Domain,
    /// The validators of the height.
    pub set: &'a ValidatorSet,
    /// The height that is being agreed on.
    pub height: u64,
    /// This city's own address.
    pub own: Address,
}

/// Why a message is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The height is decided: a vote is answered with its certificate, anything else dropped.
    #[error("height {height} is decided")]
    Decided {
        /// The height of the message.
        height: u64,
    },
    /// The height has not begun: see [`Ahead`](crate::Ahead).
    #[error("height {height} has not begun")]
    Early {
        /// The height of the message.
        height: u64,
    },
    /// It tells nothing new: its vote is counted, its polka known, its round passed.
    #[error("nothing new")]
    Known,
    /// It is not well-formed.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Its signer is no validator of the height.
    #[error("{signer} is no validator")]
    Stranger {
        /// Who signed.
        signer: Address,
    },
    /// This city's own message, come back. What it signed is in its own log.
    #[error("an own message came back")]
    Own,
    /// A signature that no key makes.
    #[error("the signature of {signer} is none")]
    Signature {
        /// Who should have signed.
        signer: Address,
        /// What is wrong.
        source: SignatureError,
    },
    /// Another key's signature.
    #[error("the signature of {signer} is another's")]
    Forged {
        /// Who should have signed.
        signer: Address,
    },
    /// A certificate with too little power for what it says.
    #[error("the certificate has power {power} of {total}, too little")]
    Power {
        /// Power that signed.
        power: u64,
        /// Power of the whole set.
        total: u64,
    },
}

/// Checks everything about a message of the height that is being agreed on.
///
/// # Errors
/// [`Refused`], the first thing that is wrong. The cheap things are looked at first.
pub fn authenticate(message: &Message, audience: &Audience<'_>) -> Result<Authentic, Refused> {
    let height = message.height();
    if height < audience.height {
        return Err(Refused::Decided { height });
    }
    if height > audience.height {
        return Err(Refused::Early { height });
    }
    audience.check(message)?;
    Ok(Authentic(message.clone()))
}

impl Audience<'_> {
    /// Whether a vote or a proposal in this city's name really has its signature: then this city made it, or somebody
    /// else has its key.
    #[must_use]
    pub fn is_own(&self, message: &Message) -> bool {
        let (signer, digest, signature) = match message {
            Message::Vote(vote) => (vote.validator, vote.digest(self.domain), &vote.signature),
            Message::Proposal(proposal) => (
                proposal.proposer,
                proposal.digest(self.domain),
                &proposal.signature,
            ),
            Message::Polka(_) | Message::Round(_) => return false,
        };
        signer == self.own && recover(digest, signature) == Ok(self.own)
    }

    /// Form, membership, signatures and power, whatever the height.
    pub(crate) fn check(&self, message: &Message) -> Result<(), Refused> {
        message.check_form()?;
        match message {
            Message::Vote(vote) => {
                self.check_other(vote.validator)?;
                self.check_vote(vote)
            }
            Message::Proposal(proposal) => {
                self.check_other(proposal.proposer)?;
                let digest = proposal.digest(self.domain);
                self.check_signature(proposal.proposer, digest, &proposal.signature)
            }
            Message::Polka(certificate) => {
                let enough = |power| self.set.is_quorum(power);
                let signers = certificate.signatures.iter().map(|signed| signed.validator);
                self.check_power(signers, enough)?;
                certificate.signatures.iter().try_for_each(|signed| {
                    self.check_vote(&Vote {
                        kind: VoteKind::Prevote,
                        height: certificate.height,
                        round: certificate.round,
                        block_hash: certificate.block_hash,
                        validator: signed.validator,
                        signature: signed.signature,
                    })
                })
            }
            Message::Round(certificate) => {
                let enough = |power| match certificate.kind {
                    // More than a third: at least one honest validator is in that round.
                    RoundCertificateKind::Skip => power * 3 > self.set.total_power(),
                    RoundCertificateKind::Precommits => self.set.is_quorum(power),
                };
                let signers = certificate.signatures.iter().map(|signed| signed.validator);
                self.check_power(signers, enough)?;
                certificate
                    .signatures
                    .iter()
                    .try_for_each(|signed: &RoundSignature| {
                        self.check_vote(&Vote {
                            kind: signed.kind,
                            height: certificate.height,
                            round: certificate.round,
                            block_hash: signed.block_hash,
                            validator: signed.validator,
                            signature: signed.signature,
                        })
                    })
            }
        }
    }

    fn check_other(&self, signer: Address) -> Result<(), Refused> {
        if signer == self.own {
            Err(Refused::Own)
        } else {
            Ok(())
        }
    }

    fn check_vote(&self, vote: &Vote) -> Result<(), Refused> {
        self.check_signature(vote.validator, vote.digest(self.domain), &vote.signature)
    }

    fn check_signature(
        &self,
        signer: Address,
        digest: B256,
        signature: &Signature,
    ) -> Result<(), Refused> {
        self.power(signer)?;
        match recover(digest, signature) {
            Ok(address) if address == signer => Ok(()),
            Ok(_) => Err(Refused::Forged { signer }),
            Err(source) => Err(Refused::Signature { signer, source }),
        }
    }

    /// The form has shown that no signer is there twice.
    fn check_power(
        &self,
        mut signers: impl Iterator<Item = Address>,
        enough: impl Fn(u64) -> bool,
    ) -> Result<(), Refused> {
        let power =
            signers.try_fold(0, |sum, signer| Ok::<_, Refused>(sum + self.power(signer)?))?;
        if enough(power) {
            Ok(())
        } else {
            Err(Refused::Power {
                power,
                total: self.set.total_power(),
            })
        }
    }

    fn power(&self, signer: Address) -> Result<u64, Refused> {
        let validator = self.set.get(signer).ok_or(Refused::Stranger { signer })?;
        Ok(validator.power)
    }
}

#[cfg(test)]
mod tests;
