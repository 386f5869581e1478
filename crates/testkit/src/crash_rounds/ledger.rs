//! What the chain must hold, told from outside: the transactions of one account in the order of their
//! nonces, what the program promised about them, and what follows for balances and storage.
//!
//! Each account has its own recipient and its own contract, and only the test sends from it. So its
//! transactions are executed in order, whatever the others do, and the count of its transactions on
//! the chain says exactly which of them are in.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// Deploys eight bytes of code: it stores the second word of its input under the first.
const STORER: [u8; 17] = hex!("67602035600035550060005260086018f3");

/// Slots of one contract that are written again and again.
const SLOTS: u64 = 16;

/// More than any of the transactions uses, so that nothing has to be estimated.
const GAS: u64 = 200_000;

/// Bytes that some calls carry for nothing: records of the log then reach over many sectors, and
/// memtables fill up and are flushed.
const MAX_BALLAST: usize = 24 << 10;

/// What one byte of input may cost (EIP-7623).
const GAS_PER_BYTE: u64 = 40;

/// What one transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Gives the recipient an amount, in wei.
    Pay(u64),
    /// Creates the contract.
    Deploy,
    /// Stores a value in the contract.
    Store {
        /// Where.
        slot: u64,
        /// What.
        value: u64,
    },
}

/// A transaction that was sent, or tried to be.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What it does.
    pub(super) deed: Deed,
    /// Its hash, if the program answered it.
    pub(super) hash: Option<B256>,
    /// Its receipt, if the program gave it out: a promise.
    pub(super) receipt: Option<Value>,
}

/// One account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Whom the program signs for.
    pub(super) address: Address,
    /// Whom it pays: nobody else does.
    pub(super) recipient: Address,
    /// What it had in the beginning, in wei.
    pub(super) endowment: U256,
    /// The highest block that the program showed to this account's sender.
    pub(super) shown: u64,
    /// Its transactions, by nonce.
    pub(super) sent: Vec<Sent>,
}

/// What the chain should say about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Its balance, in wei.
    pub(super) balance: U256,
    /// The recipient's, in wei.
    pub(super) paid: U256,
    /// Its contract and what is stored there.
    pub(super) contract: Option<(Address, BTreeMap<u64, u64>)>,
}

impl Account {
    /// An account that has sent nothing.
    #[must_use]
    pub(super) fn new(address: Address, endowment: U256) -> Self {
        // Any address that nobody else uses.
        let recipient = Address::from_word(alloy_primitives::keccak256(address));
        Self {
            address,
            recipient,
            endowment,
            shown: 0,
            sent: Vec::new(),
        }
    }

    /// Decides the next transaction and notes that it was tried; returns it for `eth_sendTransaction`.
    pub(super) fn next(&mut self, rng: &mut StdRng) -> Value {
        let nonce = self.sent.len();
        let deed = match self.contract() {
            None => Deed::Deploy,
            Some(_) if rng.random_bool(0.5) => Deed::Pay(rng.random_range(1..1_000_000)),
            Some(_) => Deed::Store {
                slot: rng.random_range(0..SLOTS),
                value: rng.random_range(0..1 << 40),
            },
        };
        let mut ballast = Vec::new();
        if rng.random_ratio(1, 4) {
            ballast.resize(rng.random_range(0..MAX_BALLAST), 0);
            rng.fill(&mut *ballast);
        }
        let gas = GAS + GAS_PER_BYTE * ballast.len() as u64;
        let mut transaction = json!({
            "from": self.address,
            "nonce": format!("0x{nonce:x}"),
            "gas": format!("0x{gas:x}"),
        });
        match deed {
            Deed::Pay(amount) => {
                transaction["to"] = json!(self.recipient);
                transaction["value"] = json!(format!("0x{amount:x}"));
            }
            Deed::Deploy => transaction["data"] = json!(Bytes::from_static(&STORER)),
            Deed::Store { slot, value } => {
                let words = [U256::from(slot), U256::from(value)].map(|word| word.to_be_bytes());
                let input: [[u8; 32]; 2] = words;
                transaction["to"] = json!(self.contract().expect("was checked above"));
                transaction["data"] = json!(Bytes::from([&input.concat()[..], &ballast].concat()));
            }
        }
        self.sent.push(Sent {
            deed,
            hash: None,
            receipt: None,
        });
        transaction
    }

    /// The chain has `count` of the transactions and will never have the others: forgets those.
    ///
    /// # Errors
    ///
    /// A sentence, when a promise was broken or the chain holds what was never sent.
    pub(super) fn settle(&mut self, count: usize) -> Result<(), String> {
        let address = self.address;
        if count > self.sent.len() {
            return Err(format!(
                "{address}: {count} on the chain, {} sent",
                self.sent.len()
            ));
        }
        if let Some(lost) = self.sent[count..]
            .iter()
            .find(|sent| sent.receipt.is_some())
        {
            return Err(format!(
                "{address}: lost what it had a receipt for: {lost:?}"
            ));
        }
        self.sent.truncate(count);
        Ok(())
    }

    /// How many of its transactions have a hash that the program answered, counted from the first.
    #[must_use]
    pub(super) fn accepted(&self) -> usize {
        self.sent
            .iter()
            .take_while(|sent| sent.hash.is_some())
            .count()
    }

    /// How many transactions it sent, and how many of their receipts it has.
    #[must_use]
    pub(super) fn promises(&self) -> (u64, u64) {
        let receipts = self
            .sent
            .iter()
            .filter(|sent| sent.receipt.is_some())
            .count();
        (self.sent.len() as u64, receipts as u64)
    }

    /// What follows from the transactions.
    #[must_use]
    pub(super) fn expected(&self) -> Expected {
        let mut paid = U256::ZERO;
        let mut slots = BTreeMap::new();
        for sent in &self.sent {
            match sent.deed {
                Deed::Pay(amount) => paid += U256::from(amount),
                Deed::Deploy => {}
                Deed::Store { slot, value } => {
                    slots.insert(slot, value);
                }
            }
        }
        Expected {
            balance: self.endowment - paid,
            paid,
            contract: self.contract().map(|contract| (contract, slots)),
        }
    }

    /// Where its contract is, if it sent the creation.
    fn contract(&self) -> Option<Address> {
        let nonce = self
            .sent
            .iter()
            .position(|sent| sent.deed == Deed::Deploy)?;
        Some(self.address.create(nonce as u64))
    }
}

#[cfg(test)]
mod tests;
