//! The other cities, as the chains of this one see them: a way to send, and whoever carries what comes to the right chain.
//!
//! ```text
//!  link ──Event──▶ Dispatcher ──by chain id──▶ the chain's mailbox ──▶ Driver
//!                                          └─▶ transactions for the pool ──▶ Admission
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use chain::{PeerClass, PeerMessage};
use link::{Class, Event, Links, PeerId};
use tokio::sync::{mpsc, watch};
use types::ChainId;

use crate::admission::Incoming;

/// Sends messages of chains to other cities. A contract between a chain and whoever has the links:
///
/// - It never blocks. What cannot be sent, or does not arrive, is lost; the chain is then told of that city by
///   [`FromPeer::Connected`], once messages reach it again.
/// - Messages of one chain and one class to one city arrive in the order in which they were sent.
pub(crate) trait Peers: fmt::Debug + Send + Sync {
    /// Sends one encoded message of `chain`.
    fn send(&self, to: Address, chain: ChainId, class: PeerClass, payload: Bytes);

    /// Whether there is a connection.
    fn is_connected(&self, to: Address) -> bool;
}

/// There is no other city.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPeers;

impl Peers for NoPeers {
    fn send(&self, _to: Address, _chain: ChainId, _class: PeerClass, _payload: Bytes) {}

    fn is_connected(&self, _to: Address) -> bool {
        false
    }
}

impl Peers for Links {
    fn send(&self, to: Address, chain: ChainId, class: PeerClass, payload: Bytes) {
        let class = match class {
            PeerClass::Consensus => Class::Consensus,
            PeerClass::Transactions => Class::Transactions,
            PeerClass::Sync => Class::Sync,
        };
        Self::send(self, PeerId(to.into_array()), chain.get(), class, payload.0);
    }

    fn is_connected(&self, to: Address) -> bool {
        let id = PeerId(to.into_array());
        self.peers()
            .iter()
            .any(|peer| peer.id == id && peer.connected.is_some())
    }
}

/// What a chain hears of other cities.
#[derive(Debug)]
pub(crate) enum FromPeer {
    /// A message, as it came.
    Message {
        /// Whose: the link has checked its key.
        peer: Address,
        /// The encoded message.
        payload: Bytes,
    },
    /// Messages reach this city, perhaps after some were lost.
    Connected {
        /// Which.
        peer: Address,
    },
}

/// Where one chain takes what comes from other cities.
#[derive(Clone, Debug)]
pub(crate) struct Mailboxes {
    pub(crate) engine: mpsc::Sender<FromPeer>,
    pub(crate) admission: mpsc::Sender<Incoming>,
}

/// How long a city that met its own key can still be met: the other calls up to five times in its first seconds.
const STAYS_FOUND: Duration = Duration::from_secs(30);

/// Carries what the links bring to the chains.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) links: Links,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) chains: HashMap<u64, Mailboxes>,
    /// Told when this city's key was met elsewhere.
    pub(crate) halt: Arc<watch::Sender<bool>>,
}

impl Dispatcher {
    /// Runs until the links are gone. Waits for a chain whose mailbox is full: the links then stop reading, and the peer
    /// waits.
    pub(crate) async fn run(mut self) {
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Received {
                    peer,
                    chain,
                    class,
                    payload,
                } => {
                    let peer = Address::from(peer.0);
                    let Some(mailboxes) = self.chains.get(&chain) else {
                        tracing::debug!(%peer, chain, "a message of a chain that is not here");
                        continue;
                    };
                    let payload = Bytes::from(payload);
                    // A chain that stopped reads nothing.
                    match class {
                        Class::Transactions => {
                            let incoming = Incoming::Relayed { peer, payload };
                            drop(mailboxes.admission.send(incoming).await);
                        }
                        Class::Consensus | Class::Sync => {
                            let message = FromPeer::Message { peer, payload };
                            drop(mailboxes.engine.send(message).await);
                        }
                    }
                }
                Event::Up { peer } => {
                    tracing::info!(peer = %Address::from(peer.0), "connected");
                    for mailboxes in self.chains.values() {
                        let peer = Address::from(peer.0);
                        drop(mailboxes.engine.send(FromPeer::Connected { peer }).await);
                    }
                }
                // This city is ending itself.
                Event::Down { .. } if *self.halt.borrow() => {}
                Event::Down { peer } => {
                    tracing::warn!(peer = %Address::from(peer.0), "no connection");
                }
                Event::Dropped { peer, chain } => {
                    if let Some(mailboxes) = self.chains.get(&chain) {
                        let peer = Address::from(peer.0);
                        drop(mailboxes.engine.send(FromPeer::Connected { peer }).await);
                    }
                }
                Event::OwnKey { from } => {
                    tracing::error!(
                        %from,
                        "another process uses this city's key: this city stops; give one of the two a new key"
                    );
                    self.halt.send_replace(true);
                    // The other process finds out by the same links: they stay for a while, and nobody is answered.
                    let silence = async { while self.events.recv().await.is_some() {} };
                    // Over, or the links are gone: both are right.
                    drop(tokio::time::timeout(STAYS_FOUND, silence).await);
                    self.links.stop().await;
                    return;
                }
            }
        }
    }
}

/// The encoded transactions of this city's clients, in messages that are small enough.
pub(crate) fn relayed(transactions: &[Bytes]) -> Vec<PeerMessage> {
    let mut messages = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for raw in transactions {
        // An RLP string has a head of at most four bytes here; the list and the message's own head take a few more.
        let length = raw.len() + 4;
        if bytes + length + 16 > chain::peer::MAX_TRANSACTIONS_BYTES
            || batch.len() >= chain::peer::MAX_TRANSACTIONS
        {
            messages.push(PeerMessage::Transactions(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += length;
        batch.push(raw.clone());
    }
    if !batch.is_empty() {
        messages.push(PeerMessage::Transactions(batch));
    }
    messages
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;
    use chain::PeerMessage;

    use super::relayed;

    #[test]
    fn transactions_are_packed_in_order_into_messages_that_can_be_read() {
        let sizes = [100, 500_000, 500_000, 200_000, 7, 0, 524_288, 524_288];
        let raw: Vec<Bytes> = sizes
            .iter()
            .map(|size| Bytes::from(vec![7; *size]))
            .collect();
        let mut read = Vec::new();
        for message in relayed(&raw) {
            match PeerMessage::decode(&message.encode()) {
                Ok(PeerMessage::Transactions(batch)) => read.extend(batch),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read, raw);
        assert!(relayed(&[]).is_empty());
        let many = vec![Bytes::from_static(&[1]); 10_000];
        assert_eq!(relayed(&many).len(), 3);
    }
}
