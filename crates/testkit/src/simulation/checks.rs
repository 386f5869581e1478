//! What must hold whatever happens, looked at with every message and every block.
//!
//! What an honest city ever sent is kept over all its lives: a crash is no excuse.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use chain::Entry;
use consensus::{Message, Proposal, Vote, VoteKind};
use types::{Domain, ValidatorSet};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {at:?}, {}: {what}: {text}", .city.map_or("no city".to_owned(), |city| format!("city {city}")))]
pub struct Failure {
    /// Virtual time.
    pub at: Duration,
    /// Where.
    pub city: Option<usize>,
    /// Which property.
    pub what: &'static str,
    /// What was seen.
    pub text: String,
}

/// A block that a city showed.
#[derive(Clone, Debug)]
struct Shown {
    hash: B256,
    receipts: usize,
}

/// Everything that was shown or sent.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) domain: Domain,
    /// Each set with the first height that it decides.
    sets: BTreeMap<u64, ValidatorSet>,
    /// Addresses of cities that may do what they like.
    pub(super) byzantine: BTreeSet<Address>,
    shown: BTreeMap<u64, Shown>,
    votes: BTreeMap<(Address, u64, u32, VoteKind), B256>,
    proposals: BTreeMap<(Address, u64, u32), (Option<u32>, B256)>,
    /// Who prevoted what; nil not among it.
    prevotes: BTreeMap<(u64, u32, B256), BTreeSet<Address>>,
    /// The latest block that each honest city precommitted at a height.
    locks: BTreeMap<(Address, u64), (u32, B256)>,
    /// Transactions that somebody signed.
    pub(super) known: BTreeSet<B256>,
    pub(super) mined: BTreeMap<B256, u64>,
    /// Heights with transactions, and without.
    pub(super) blocks: (u64, u64),
}

type Verdict = Result<(), (&'static str, String)>;

impl Checks {
    pub(super) fn new(domain: Domain, set: ValidatorSet, byzantine: BTreeSet<Address>) -> Self {
        Self {
            domain,
            sets: BTreeMap::from([(1, set)]),
            byzantine,
            shown: BTreeMap::new(),
            votes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            prevotes: BTreeMap::new(),
            locks: BTreeMap::new(),
            known: BTreeSet::new(),
            mined: BTreeMap::new(),
            blocks: (0, 0),
        }
    }

    /// The set that decides a height.
    pub(super) fn set(&self, height: u64) -> &ValidatorSet {
        let (_, set) = self
            .sets
            .range(..=height.max(1))
            .next_back()
            .expect("one holds from height 1");
        set
    }

    /// The set that decides the next height, and since when.
    pub(super) fn latest_set(&self) -> &ValidatorSet {
        self.set(u64::MAX)
    }

    /// The first height of the latest set.
    pub(super) fn latest_from(&self) -> u64 {
        self.sets.keys().next_back().copied().unwrap_or(1)
    }

    /// From this height on another set decides.
    pub(super) fn hands_over(&mut self, height: u64, set: ValidatorSet) {
        self.sets.insert(height, set);
    }

    /// The highest block that any honest city showed.
    pub(super) fn highest(&self) -> u64 {
        self.shown.keys().next_back().copied().unwrap_or(0)
    }

    /// An honest city sends a message that it signed, or passes on another's.
    pub(super) fn sent(&mut self, from: Address, message: &Message) -> Verdict {
        match message {
            Message::Vote(vote) if vote.validator == from => self.voted(vote),
            Message::Proposal(proposal) if proposal.proposer == from => self.proposed(proposal),
            _ => Ok(()),
        }
    }

    fn voted(&mut self, vote: &Vote) -> Verdict {
        let &Vote {
            kind,
            height,
            round,
            block_hash,
            validator,
            ..
        } = vote;
        let earlier = *self
            .votes
            .entry((validator, height, round, kind))
            .or_insert(block_hash);
        if earlier != block_hash {
            let text = format!("{kind:?} of {height}/{round} for {earlier} and for {block_hash}");
            return Err(("it signed twice", text));
        }
        if block_hash.is_zero() {
            return Ok(());
        }
        match kind {
            VoteKind::Precommit => {
                let lock = self
                    .locks
                    .entry((validator, height))
                    .or_insert((round, block_hash));
                if round >= lock.0 {
                    *lock = (round, block_hash);
                }
                if !self.is_polka(height, round, block_hash, validator) {
                    let text = format!("precommit of {height}/{round} for {block_hash}");
                    return Err(("a precommit without a polka", text));
                }
            }
            VoteKind::Prevote => {
                let lock = self.locks.get(&(validator, height)).copied();
                if let Some((locked, hash)) = lock
                    && hash != block_hash
                    && round > locked
                    && !(locked..round).any(|of| self.is_polka(height, of, block_hash, validator))
                {
                    let text = format!(
                        "locked on {hash} in {height}/{locked}, prevote in round {round} for {block_hash}"
                    );
                    return Err(("it voted against its lock", text));
                }
                let voters = self
                    .prevotes
                    .entry((height, round, block_hash))
                    .or_default();
                voters.insert(validator);
            }
        }
        Ok(())
    }

    /// Whether `of` may have seen prevotes of more than two thirds: its own may not have been sent, and who is Byzantine may
    /// have shown it one.
    fn is_polka(&self, height: u64, round: u32, hash: B256, of: Address) -> bool {
        let none = BTreeSet::new();
        let voters = self.prevotes.get(&(height, round, hash)).unwrap_or(&none);
        let set = self.set(height);
        let power = set.validators().iter().filter_map(|validator| {
            let address = validator.address;
            (voters.contains(&address) || self.byzantine.contains(&address) || address == of)
                .then_some(validator.power)
        });
        set.is_quorum(power.sum())
    }

    fn proposed(&mut self, proposal: &Proposal) -> Verdict {
        let &Proposal {
            height,
            round,
            pol_round,
            block_hash,
            proposer,
            ..
        } = proposal;
        let says = (pol_round, block_hash);
        let earlier = *self
            .proposals
            .entry((proposer, height, round))
            .or_insert(says);
        if earlier != says {
            let text = format!("proposals of {height}/{round}: {earlier:?} and {says:?}");
            return Err(("it signed twice", text));
        }
        Ok(())
    }

    /// An honest city writes something into its log.
    pub(super) fn appended(&self, payload: &[u8]) -> Verdict {
        // Kind 8 of an entry: see `chain::Entry`.
        if payload.get(1) != Some(&8) {
            return Ok(());
        }
        let entry = Entry::decode(payload);
        let Ok(Entry::Evidence(evidence)) = entry else {
            return Err(("its own log", format!("{entry:?}")));
        };
        let accused = match &evidence.first {
            Message::Vote(vote) => vote.validator,
            Message::Proposal(proposal) => proposal.proposer,
            Message::Polka(_) | Message::Round(_) => Address::ZERO,
        };
        if self.byzantine.contains(&accused) {
            return Ok(());
        }
        Err(("an honest city is accused", format!("{evidence:?}")))
    }

    /// An honest city shows a block. Returns whether it is the first to do so.
    pub(super) fn decided(
        &mut self,
        header: &Header,
        hash: B256,
        transactions: &[B256],
        receipts: usize,
    ) -> Result<bool, (&'static str, String)> {
        let number = header.number;
        if let Some(shown) = self.shown.get(&number) {
            if shown.hash == hash && shown.receipts == receipts {
                return Ok(false);
            }
            return Err((
                "agreement",
                format!("block {number} is {hash} and {shown:?}"),
            ));
        }
        if number != self.highest() + 1 {
            return Err((
                "agreement",
                format!("block {number} after {}", self.highest()),
            ));
        }
        if self.set(number).get(header.beneficiary).is_none() {
            return Err((
                "validity",
                format!("block {number} by {}", header.beneficiary),
            ));
        }
        for transaction in transactions {
            if !self.known.contains(transaction) {
                return Err(("validity", format!("nobody sent {transaction} of {number}")));
            }
            if let Some(earlier) = self.mined.insert(*transaction, number) {
                return Err((
                    "validity",
                    format!("{transaction} is in {earlier} and {number}"),
                ));
            }
        }
        if transactions.is_empty() {
            self.blocks.1 += 1;
        } else {
            self.blocks.0 += 1;
        }
        self.shown.insert(number, Shown { hash, receipts });
        Ok(true)
    }

    /// Whether a city has what was shown of a height.
    pub(super) fn holds(&self, number: u64, hash: B256, receipts: usize) -> bool {
        self.shown
            .get(&number)
            .is_some_and(|shown| shown.hash == hash && shown.receipts == receipts)
    }
}
