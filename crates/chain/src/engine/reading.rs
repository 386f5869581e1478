//! Cities of the network that follow the chain and do not vote: every city follows the hub.
//!
//! They are told of each new block and given what they ask for, where [`Profile::is_followed`](crate::Profile::is_followed)
//! says so. Nothing that they say is taken in: this city never waits for one of them.

use std::collections::BTreeSet;

use super::{Address, Call, Engine, PeerMessage};

/// Most cities that are told of new blocks; more than a network has.
const MOST: usize = 4_096;

/// Who is told of new blocks.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeSet<Address>);

impl Engine {
    /// A city that does not vote is connected: it is told of every block from now on.
    pub(super) fn greet_reader(&mut self, reader: Address, call: &mut Call) {
        // Those that do not vote learn from those that do.
        if self.profile.is_followed() && self.is_validator() && self.readers.0.len() < MOST {
            self.readers.0.insert(reader);
            call.send(reader, self.tip());
        }
    }

    /// Whether a city outside the set may send this.
    pub(super) fn is_wish_of_reader(&self, message: &PeerMessage) -> bool {
        let is_wish = matches!(
            message,
            PeerMessage::Tip { .. } | PeerMessage::GetBlocks { .. } | PeerMessage::GetCertificate
        );
        is_wish && self.profile.is_followed()
    }

    /// A city that does not vote says where it is: it is answered when this city is ahead.
    pub(super) fn take_tip_of_reader(&mut self, from: Address, number: u64, call: &mut Call) {
        if number < self.head.header.number {
            self.greet_reader(from, call);
        }
    }

    /// There is a new block.
    pub(super) fn tell_readers(&self, call: &mut Call) {
        for reader in &self.readers.0 {
            call.send(*reader, self.tip());
        }
    }
}
