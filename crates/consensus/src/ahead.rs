//! Messages of heights that have not begun here.
//!
//! A city that decided first is already sending the next height's proposal while the others still
//! count the last precommit. A few such messages are held, so that no round is lost over it. They
//! are verified before they take any room, and each validator has room of its own: nobody can push
//! out another's.

use std::collections::BTreeMap;

use alloy_primitives::Address;

use crate::authentic::{Audience, Refused};
use crate::message::Message;

/// How many heights ahead of the one that is being agreed on are held. Who is further ahead has
/// certificates to show.
const HEIGHTS: u64 = 2;

/// Messages of one validator for one height: a proposal and two votes of two rounds, and two more.
const EACH: usize = 8;

/// Votes and proposals of the next heights.
#[derive(Clone, Debug, Default)]
pub struct Ahead(BTreeMap<(u64, Address), Vec<Message>>);

impl Ahead {
    /// Holds a vote or a proposal of one of the next two heights, verified against the present set.
    /// Says whether it is held: what is further ahead, too much or a certificate is not.
    ///
    /// # Errors
    /// [`Refused`] for a message that is not one of a present validator, or not early.
    pub fn hold(&mut self, message: Message, audience: &Audience<'_>) -> Result<bool, Refused> {
        let height = message.height();
        if height < audience.height {
            return Err(Refused::Decided { height });
        }
        let signer = match &message {
            Message::Vote(vote) => vote.validator,
            Message::Proposal(proposal) => proposal.proposer,
            Message::Polka(_) | Message::Round(_) => return Ok(false),
        };
        if height == audience.height || height - audience.height > HEIGHTS {
            return Ok(false);
        }
        let held = self.0.get(&(height, signer));
        if held.is_some_and(|held| held.len() >= EACH || held.contains(&message)) {
            return Ok(false);
        }
        audience.check(&message)?;
        self.0.entry((height, signer)).or_default().push(message);
        Ok(true)
    }

    /// The messages of `height`, which begins, for [`authenticate`](crate::authenticate) with the
    /// set that it has; and forgets those of lower heights.
    pub fn take(&mut self, height: u64) -> Vec<Message> {
        let later = self.0.split_off(&(height.saturating_add(1), Address::ZERO));
        let mut reached = std::mem::replace(&mut self.0, later);
        reached
            .split_off(&(height, Address::ZERO))
            .into_values()
            .flatten()
            .collect()
    }

    /// Whose messages of `height` are held, ascending.
    pub fn signers(&self, height: u64) -> impl Iterator<Item = Address> {
        let of_height = (height, Address::ZERO)..=(height, Address::repeat_byte(0xff));
        self.0.range(of_height).map(|((_, signer), _)| *signer)
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
