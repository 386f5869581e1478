//! A client: transfers of nothing by senders that anybody may invent, because gas is free.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Signature, TxKind, U256};
use execution::Transaction;
use types::{ChainId, NodeKey};

use super::random::Random;

/// Where transactions come from.
#[derive(Debug)]
pub(super) struct Load {
    random: Random,
    chain: ChainId,
    /// The latest sender, and its next nonce.
    sender: Option<(NodeKey, u64)>,
}

impl Load {
    pub(super) const fn new(seed: u64, chain: ChainId) -> Self {
        Self {
            random: Random::new(seed ^ 0x10ad),
            chain,
            sender: None,
        }
    }

    /// The next transaction; now and then of the sender of the one before. `fresh` says never.
    pub(super) fn next(&mut self, fresh: bool) -> Transaction {
        let again = !fresh && self.random.chance(1, 4);
        let (key, nonce) = match self.sender.take().filter(|_| again) {
            Some(sender) => sender,
            None => {
                let secret = self.random.hash();
                (
                    NodeKey::from_bytes(&secret.0).expect("a number below the order"),
                    0,
                )
            }
        };
        let transaction = transfer_on(self.chain, &key, nonce);
        self.sender = Some((key, nonce + 1));
        transaction
    }
}

/// A transfer of nothing on a development chain: its sender needs nothing.
///
/// # Panics
///
/// Never: what a key signed is a signature.
#[must_use]
pub fn transfer(sender: &NodeKey, nonce: u64) -> Transaction {
    transfer_on(ChainId::DEVELOPMENT, sender, nonce)
}

fn transfer_on(chain: ChainId, sender: &NodeKey, nonce: u64) -> Transaction {
    let unsigned = TxEip1559 {
        chain_id: chain.get(),
        nonce,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(9)),
        value: U256::ZERO,
        ..TxEip1559::default()
    };
    let signed = sender.sign(unsigned.signature_hash());
    let signature = Signature::from_raw(&signed.0).expect("a signature");
    let envelope = TxEnvelope::from(unsigned.into_signed(signature));
    Recovered::new_unchecked(envelope, sender.address())
}
