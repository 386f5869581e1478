//! Cities of the network that follow the chain and do not vote: every city follows the hub.
//!
//! They are told of each new block and given what they ask for, where [`Profile::is_followed`](crate::Profile::is_followed)
//! says so, or where the hub names them for the chain. This city never waits for one of them.

use std::collections::BTreeSet;

use super::{Address, Call, Engine, PeerMessage};

/// Most cities that are told of new blocks; more than a network has.
const MOST: usize = 4_096;

/// Who is told of new blocks.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeSet<Address>);

impl Readers {
    /// Who votes now is told otherwise.
    pub(super) fn forget(&mut self, votes: impl Fn(&Address) -> bool) {
        self.0.retain(|reader| !votes(reader));
    }
}

impl Engine {
    /// A city that does not vote is connected: it is told of every block from now on.
    pub(super) fn greet_reader(&mut self, reader: Address, call: &mut Call) {
        self.welcome(reader);
        if self.readers.0.contains(&reader) || self.named.has(reader) {
            call.send(reader, self.tip());
        }
    }

    /// A city that does not vote, and may know the chain, is told of every block from now on: by this city when it votes.
    pub(super) fn welcome(&mut self, reader: Address) {
        let may_read = self.profile.is_followed() || self.named.has(reader);
        if may_read && self.set.get(reader).is_none() && self.readers.0.len() < MOST {
            self.readers.0.insert(reader);
        }
    }

    /// Whether this city listens to this message of that one. Whoever joins a chain, and knows no more than its beginning, hears
    /// only whom the hub names: those who voted once may be anybody's by now.
    pub(super) fn hears(&self, from: Address, message: &PeerMessage) -> bool {
        let is_in_set = self.set.get(from).is_some();
        if is_in_set && !self.is_validator() && self.named.names_some() {
            return self.named.has(from);
        }
        is_in_set || self.may_say(from, message)
    }

    /// Whether a city outside the set may send this: wishes of whoever may read, and what shows itself of whom the hub names.
    pub(super) fn may_say(&self, from: Address, message: &PeerMessage) -> bool {
        match message {
            PeerMessage::Tip { .. }
            | PeerMessage::GetBlocks { .. }
            | PeerMessage::GetCertificate => self.profile.is_followed() || self.named.has(from),
            PeerMessage::Blocks(_) | PeerMessage::Certificate(_) => self.named.has(from),
            _ => false,
        }
    }

    /// Whether nothing that this city says of its own blocks is of interest.
    pub(super) fn only_reads(&self, from: Address) -> bool {
        self.set.get(from).is_none() && !self.named.has(from)
    }

    /// A city that does not vote says where it is: it is answered when this city is ahead.
    pub(super) fn take_tip_of_reader(&mut self, from: Address, number: u64, call: &mut Call) {
        if number < self.head.header.number {
            self.greet_reader(from, call);
        }
    }

    /// There is a new block. Those that do not vote learn of it from those that do.
    pub(super) fn tell_readers(&self, call: &mut Call) {
        if !self.is_validator() {
            return;
        }
        for reader in &self.readers.0 {
            call.send(*reader, self.tip());
        }
    }
}
