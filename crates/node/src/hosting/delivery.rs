//! Bringing what other cities send to its chain.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use types::ChainId;

use super::Hosting;
use crate::admission::Incoming;
use crate::peers::{Mailboxes, ToChain};

impl Hosting {
    /// Brings a message of another city to its chain, and opens the chain for a validator of its own. A chain that is not
    /// here, or cannot be opened, takes nothing.
    pub(crate) async fn deliver(&self, chain: u64, message: Delivery) {
        let mut message = Some(message);
        // Once more when the chain was parked in between.
        for _ in 0..2 {
            let Some(taken) = message.take() else { return };
            let Some(mailboxes) = self.mailboxes(chain, taken.peer()).await else {
                tracing::debug!(peer = %taken.peer(), chain, "a message of a chain that is not here");
                return;
            };
            message = taken.send(&mailboxes).await;
        }
    }

    /// Gives a message to a chain that is awake and has room for it; otherwise gives it back.
    pub(crate) fn try_deliver(&self, chain: u64, message: Delivery) -> Result<(), Delivery> {
        match self.awake_mailboxes(chain) {
            Some(mailboxes) => message.try_send(&mailboxes),
            None => Err(message),
        }
    }

    /// Tells one chain that messages reach `peer`, unless its mailbox is full. A parked one lost nothing that counts.
    pub(crate) fn try_connected(&self, chain: u64, peer: Address) -> bool {
        let Some(engine) = self.engine(chain) else {
            return true;
        };
        // A chain that stopped reads nothing.
        !matches!(
            engine.try_send(ToChain::Connected { peer }),
            Err(TrySendError::Full(_))
        )
    }

    /// Tells one chain that messages reach `peer`, perhaps after some of it were lost. A parked one lost nothing that counts.
    pub(crate) async fn connected_on(&self, chain: u64, peer: Address) {
        if let Some(engine) = self.engine(chain) {
            // A chain that stopped reads nothing.
            drop(engine.send(ToChain::Connected { peer }).await);
        }
    }

    /// The mailbox of an awake engine.
    pub(super) fn engine(&self, chain: u64) -> Option<mpsc::Sender<ToChain>> {
        let awake = self.0.awake.lock();
        Some(awake.get(&chain)?.mailboxes.engine.clone())
    }

    fn awake_mailboxes(&self, chain: u64) -> Option<Mailboxes> {
        let mut awake = self.0.awake.lock();
        let awake = awake.get_mut(&chain)?;
        awake.used = Instant::now();
        Some(awake.mailboxes.clone())
    }

    async fn mailboxes(&self, chain: u64, peer: Address) -> Option<Mailboxes> {
        if let Some(mailboxes) = self.awake_mailboxes(chain) {
            return Some(mailboxes);
        }
        let chain_id = ChainId::new(chain).ok()?;
        let is_named = self.names(chain_id, peer);
        let common = Arc::clone(&self.0.common);
        let placed = self.blocking(chain_id, move || {
            let set = chain::genesis::validators(&*common.tables, chain_id)?;
            Ok(set.is_some_and(|set| set.get(peer).is_some() || is_named))
        });
        match placed.await {
            // Nobody else has a parked chain opened by his messages.
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a message was lost"
                );
                return None;
            }
        }
        match self.open(chain_id).await {
            Ok(_held) => self.awake_mailboxes(chain),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a message was lost"
                );
                None
            }
        }
    }
}

/// What another city sends to a chain.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// For its engine.
    Message {
        /// Whose: the link has checked its key.
        peer: Address,
        /// The encoded message.
        payload: Bytes,
    },
    /// For its pool.
    Transactions {
        /// Whose.
        peer: Address,
        /// The encoded message.
        payload: Bytes,
    },
}

impl Delivery {
    /// Whose it is.
    pub(crate) const fn peer(&self) -> Address {
        match self {
            Self::Message { peer, .. } | Self::Transactions { peer, .. } => *peer,
        }
    }

    /// Bytes of it.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Message { payload, .. } | Self::Transactions { payload, .. } => payload.len(),
        }
    }

    /// Gives it back when the chain has ended.
    async fn send(self, mailboxes: &Mailboxes) -> Option<Self> {
        match self {
            Self::Message { peer, payload } => {
                let message = ToChain::Message { peer, payload };
                let sent = mailboxes.engine.send(message).await;
                sent.err().and_then(|unsent| Self::of_engine(unsent.0))
            }
            Self::Transactions { peer, payload } => {
                let incoming = Incoming::Relayed { peer, payload };
                let sent = mailboxes.admission.send(incoming).await;
                sent.err().and_then(|unsent| Self::of_pool(unsent.0))
            }
        }
    }

    /// Gives it back when there is no room, or the chain has ended.
    fn try_send(self, mailboxes: &Mailboxes) -> Result<(), Self> {
        let unsent = match self {
            Self::Message { peer, payload } => {
                let message = ToChain::Message { peer, payload };
                let sent = mailboxes.engine.try_send(message);
                sent.err()
                    .and_then(|unsent| Self::of_engine(unsent.into_inner()))
            }
            Self::Transactions { peer, payload } => {
                let incoming = Incoming::Relayed { peer, payload };
                let sent = mailboxes.admission.try_send(incoming);
                sent.err()
                    .and_then(|unsent| Self::of_pool(unsent.into_inner()))
            }
        };
        unsent.map_or(Ok(()), Err)
    }

    fn of_engine(unsent: ToChain) -> Option<Self> {
        match unsent {
            ToChain::Message { peer, payload } => Some(Self::Message { peer, payload }),
            _ => None,
        }
    }

    fn of_pool(unsent: Incoming) -> Option<Self> {
        match unsent {
            Incoming::Relayed { peer, payload } => Some(Self::Transactions { peer, payload }),
            Incoming::Submitted(_) => None,
        }
    }
}
