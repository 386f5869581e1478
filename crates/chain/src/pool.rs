//! Transactions that wait for a block.
//!
//! ```text
//!  sender ─▶ nonce ─▶ transaction      executable: no gap below it
//!  cities of entry in turn; of each, senders in turn, whoever came first first
//! ```
//!
//! A transaction belongs to the city that took it from a client. Cities have equal parts of the pool and of a block, and
//! parts that are not used are lent: a city whose clients flood takes nothing from the clients of another.
//!
//! The pool knows the formats' rules (replacement, bounds, fairness) and nothing of execution; who may enter is judged
//! with the account's nonce and balance that the engine reads at *now*.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use execution::{FormError, RecoverError, Transaction};

use crate::UsedUp;

/// Most transactions of one sender.
pub const MAX_PER_SENDER: usize = 4_096;
/// Most transactions in all.
pub const MAX_TOTAL: usize = 65_536;
/// Most bytes of all transactions, as signed.
pub const MAX_BYTES: usize = 256 << 20;
/// How far a nonce may be above the sender's next.
pub const MAX_NONCE_AHEAD: u64 = MAX_PER_SENDER as u64;
/// How often one nonce may be replaced.
pub const MAX_REPLACEMENTS: u32 = 16;
/// Largest transaction, in bytes as signed.
pub const MAX_TRANSACTION_BYTES: usize = 512 << 10;

/// A transaction in the pool.
#[derive(Clone, Debug)]
pub struct Pooled {
    /// The transaction with its sender.
    pub transaction: Arc<Transaction>,
    /// Arrival number, ascending.
    pub arrival: u64,
    /// The city that took it from a client; the first that sent it counts.
    pub entry: Address,
    bytes: usize,
    replacements: u32,
}

/// What the engine knows of a sender at *now*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderState {
    /// The next nonce.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// What the transaction costs at most: its value, and its gas where gas costs. In wei.
    pub cost: U256,
}

impl SenderState {
    /// Whether a transaction with this nonce may wait.
    fn admits(self, nonce: u64) -> Result<(), PoolError> {
        let Self {
            nonce: next,
            balance,
            cost,
        } = self;
        if nonce < next {
            return Err(PoolError::NonceTooLow { next, nonce });
        }
        if nonce - next > MAX_NONCE_AHEAD {
            return Err(PoolError::NonceTooHigh { next, nonce });
        }
        if cost > balance {
            return Err(PoolError::InsufficientFunds { balance, cost });
        }
        Ok(())
    }
}

/// Why a transaction may not wait here. The texts are those that client libraries look for.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Not a transaction, or nobody signed it.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// It can never run on this chain.
    #[error(transparent)]
    Form(#[from] FormError),
    /// It is here already.
    #[error("already known")]
    Known,
    /// Its nonce was used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The sender's next.
        next: u64,
        /// As signed.
        nonce: u64,
    },
    /// Its nonce is too far ahead to be kept.
    #[error(
        "nonce too high: tx nonce {nonce} is more than {MAX_NONCE_AHEAD} above the next nonce {next}"
    )]
    NonceTooHigh {
        /// The sender's next.
        next: u64,
        /// As signed.
        nonce: u64,
    },
    /// The sender cannot pay.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}")]
    InsufficientFunds {
        /// In wei.
        balance: U256,
        /// In wei.
        cost: U256,
    },
    /// Another with this nonce is here and this one does not offer a tenth more in both fee fields.
    #[error(
        "replacement transaction underpriced: both fees must be at least a tenth and 1 wei higher"
    )]
    Underpriced,
    /// This nonce was replaced too often.
    #[error(
        "replacement transaction underpriced: nonce {nonce} was replaced {MAX_REPLACEMENTS} times already"
    )]
    ReplacedTooOften {
        /// The nonce.
        nonce: u64,
    },
    /// Larger than a transaction may be.
    #[error("oversized data: transaction size {bytes}, limit {MAX_TRANSACTION_BYTES}")]
    TooLarge {
        /// As signed.
        bytes: usize,
    },
    /// No room, and nobody holds more of it than this sender.
    #[error("txpool is full")]
    Full,
    /// The sender has too many waiting.
    #[error("txpool is full: the sender has {MAX_PER_SENDER} transactions waiting")]
    SenderFull,
    /// The application has used up its bytes.
    #[error(
        "the application has used up the bytes that it was given on this city, {held} of {given}, and the city has none to lend"
    )]
    UsedUp {
        /// Bytes of its rows.
        held: u64,
        /// What they may have.
        given: u64,
    },
    /// The state could not be read.
    #[error("the state could not be read")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The application is suspended or closed, or is not on this city any more.
    #[error("this chain stands still on this city: it is suspended or closed, or has other cities")]
    Stands,
    /// The log did not take it.
    #[error("the transaction could not be written to the log; the chain has stopped")]
    Stopped,
}

impl PoolError {
    /// Whether the same transaction may be taken later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NonceTooHigh { .. }
                | Self::InsufficientFunds { .. }
                | Self::Full
                | Self::SenderFull
                | Self::UsedUp { .. }
        )
    }
}

/// How many wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Without a gap below them.
    pub pending: usize,
    /// Behind a gap.
    pub queued: usize,
    /// Bytes of all.
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Sender {
    /// The next nonce when last looked at.
    next: u64,
    transactions: BTreeMap<u64, Pooled>,
}

impl Sender {
    /// The first nonce from `next` on that has no transaction.
    fn gap(&self) -> u64 {
        let mut nonce = self.next;
        for &there in self.transactions.range(self.next..).map(|(nonce, _)| nonce) {
            if there != nonce {
                break;
            }
            nonce += 1;
        }
        nonce
    }
}

/// The transactions that wait for blocks of one chain.
#[derive(Debug, Default)]
pub struct Pool {
    senders: HashMap<Address, Sender>,
    hashes: HashMap<B256, (Address, u64)>,
    /// Senders with something executable, by the arrival of their first.
    ready: BTreeSet<(u64, Address)>,
    bytes: usize,
    arrivals: u64,
    /// How many wait, by city of entry.
    entries: BTreeMap<Address, usize>,
    /// Nothing more enters, unless more is lent.
    used_up: Option<UsedUp>,
    /// Whether the city lends its bytes.
    lends: bool,
}

impl Pool {
    /// Says whether the chain has used up its bytes, so that nothing more enters.
    pub(crate) const fn close(&mut self, used_up: Option<UsedUp>) {
        self.used_up = used_up;
    }

    /// Says whether the city has bytes to lend: then a chain that has used up its own goes on.
    pub const fn lend(&mut self, lends: bool) {
        self.lends = lends;
    }

    /// Whether the chain has used up its bytes, and is lent none.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.used_up.is_some() && !self.lends
    }

    /// How many wait.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let pending: usize = self
            .senders
            .values()
            .map(|sender| sender.transactions.range(sender.next..sender.gap()).count())
            .sum();
        PoolStatus {
            pending,
            queued: self.hashes.len() - pending,
            bytes: self.bytes,
        }
    }

    /// How many wait, executable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a block could be made.
    #[must_use]
    pub fn has_executable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The transaction that would be the first of a block.
    #[must_use]
    pub fn first_executable(&self) -> Option<B256> {
        let (_, address) = self.ready.first()?;
        let sender = self.senders.get(address)?;
        let first = sender.transactions.get(&sender.next)?;
        Some(*first.transaction.hash())
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<&Pooled> {
        let (sender, nonce) = self.hashes.get(hash)?;
        self.senders.get(sender)?.transactions.get(nonce)
    }

    /// Whether a waiting transaction could be in the next block; `None` when it does not wait here.
    #[must_use]
    pub fn is_executable(&self, hash: &B256) -> Option<bool> {
        let (sender, nonce) = self.hashes.get(hash)?;
        Some(*nonce < self.senders.get(sender)?.gap())
    }

    /// The nonce after the sender's gapless waiting transactions; `None` when none waits.
    #[must_use]
    pub fn next_nonce(&self, address: Address) -> Option<u64> {
        let sender = self.senders.get(&address)?;
        let gap = sender.gap();
        (gap > sender.next).then_some(gap)
    }

    /// All waiting transactions: sender, whether executable, transaction; by sender, then nonce.
    #[must_use]
    pub fn content(&self) -> Vec<(Address, bool, Pooled)> {
        let mut all: Vec<_> = self
            .senders
            .iter()
            .flat_map(|(address, sender)| {
                let gap = sender.gap();
                sender
                    .transactions
                    .iter()
                    .map(move |(nonce, pooled)| (*address, *nonce < gap, pooled.clone()))
            })
            .collect();
        all.sort_by_key(|(address, _, pooled)| (*address, pooled.transaction.nonce()));
        all
    }

    /// Takes a transaction in that came by the city `entry`. `known` is what the chain says of its sender.
    ///
    /// # Errors
    ///
    /// [`PoolError`]; the pool is as it was.
    pub fn insert(
        &mut self,
        transaction: Arc<Transaction>,
        entry: Address,
        bytes: usize,
        known: SenderState,
    ) -> Result<(), PoolError> {
        let (address, nonce) = (transaction.signer(), transaction.nonce());
        let hash = *transaction.hash();
        if self.hashes.contains_key(&hash) {
            return Err(PoolError::Known);
        }
        if let Some(used_up) = self.used_up.filter(|_| !self.lends) {
            return Err(used_up.into());
        }
        if bytes > MAX_TRANSACTION_BYTES {
            return Err(PoolError::TooLarge { bytes });
        }
        known.admits(nonce)?;
        let earlier = self
            .senders
            .get(&address)
            .and_then(|sender| sender.transactions.get(&nonce));
        let replacements = match earlier {
            None => 0,
            Some(earlier) if !outbids(&transaction, &earlier.transaction) => {
                return Err(PoolError::Underpriced);
            }
            Some(earlier) if earlier.replacements >= MAX_REPLACEMENTS => {
                return Err(PoolError::ReplacedTooOften { nonce });
            }
            Some(earlier) => earlier.replacements + 1,
        };
        // A replacement keeps its place in the order.
        let arrival = match earlier.map(|earlier| earlier.arrival) {
            Some(arrival) => arrival,
            None => {
                self.make_room(address, entry, bytes)?;
                self.arrivals += 1;
                self.arrivals
            }
        };
        let sender = self.senders.entry(address).or_default();
        let ready = ready_key(sender, address);
        sender.next = known.nonce;
        let pooled = Pooled {
            transaction,
            arrival,
            entry,
            bytes,
            replacements,
        };
        let replaced = sender.transactions.insert(nonce, pooled);
        let now = ready_key(sender, address);
        self.rekey(ready, now);
        self.bytes += bytes;
        *self.entries.entry(entry).or_default() += 1;
        if let Some(replaced) = replaced {
            self.forget(&replaced);
        }
        self.hashes.insert(hash, (address, nonce));
        Ok(())
    }

    /// Counts out a transaction that is not among its sender's any more.
    fn forget(&mut self, gone: &Pooled) {
        self.bytes -= gone.bytes;
        self.hashes.remove(gone.transaction.hash());
        if let Some(count) = self.entries.get_mut(&gone.entry) {
            *count -= 1;
            if *count == 0 {
                self.entries.remove(&gone.entry);
            }
        }
    }

    /// Refuses a newcomer, or drops the last transaction of whoever holds most: of the city of entry that has more than
    /// the newcomer's, else of a sender that has more than the newcomer.
    fn make_room(
        &mut self,
        address: Address,
        entry: Address,
        bytes: usize,
    ) -> Result<(), PoolError> {
        let own = self
            .senders
            .get(&address)
            .map_or(0, |sender| sender.transactions.len());
        if own >= MAX_PER_SENDER {
            return Err(PoolError::SenderFull);
        }
        // Each turn drops one transaction, so this ends; 512 KiB in need free at most 512 Ki transactions.
        while self.hashes.len() >= MAX_TOTAL || self.bytes + bytes > MAX_BYTES {
            let (address, nonce) = self.victim(own, entry).ok_or(PoolError::Full)?;
            self.remove(address, nonce);
        }
        Ok(())
    }

    /// The transaction that goes first when there is no room for one of a sender with `own` transactions by `entry`.
    fn victim(&self, own: usize, entry: Address) -> Option<(Address, u64)> {
        let of_entry = self.entries.get(&entry).copied().unwrap_or(0);
        let (&greedy, &most) = self.entries.iter().max_by_key(|(_, count)| **count)?;
        // A part that nobody uses is lent, and given back at once.
        let from = if greedy != entry && most > of_entry + 1 {
            greedy
        } else {
            entry
        };
        let last_of = |sender: &Sender| {
            let mut transactions = sender.transactions.iter().rev();
            transactions
                .find(|(_, pooled)| pooled.entry == from)
                .map(|(nonce, _)| *nonce)
        };
        let held = |sender: &Sender| sender.transactions.len();
        let (address, nonce, held) = self
            .senders
            .iter()
            .filter_map(|(address, sender)| Some((*address, last_of(sender)?, held(sender))))
            .max_by_key(|(address, _, held)| (*held, *address))?;
        (from != entry || held > own + 1).then_some((address, nonce))
    }

    /// Forgets one transaction; those after it stay, behind a gap.
    pub fn remove(&mut self, address: Address, nonce: u64) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        let ready = ready_key(sender, address);
        let gone = sender.transactions.remove(&nonce);
        let now = ready_key(sender, address);
        if sender.transactions.is_empty() {
            self.senders.remove(&address);
        }
        self.rekey(ready, now);
        if let Some(gone) = gone {
            self.forget(&gone);
        }
    }

    /// A block was made in which `address`'s next nonce became `next`: forgets what is below.
    pub fn advance(&mut self, address: Address, next: u64) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        let ready = ready_key(sender, address);
        let rest = sender.transactions.split_off(&next);
        let gone = std::mem::replace(&mut sender.transactions, rest);
        sender.next = next;
        let now = ready_key(sender, address);
        if sender.transactions.is_empty() {
            self.senders.remove(&address);
        }
        for pooled in gone.values() {
            self.forget(pooled);
        }
        self.rekey(ready, now);
    }

    /// Executable transactions in the order of a block, as many as `limit`: cities of entry in turn; of each, senders by
    /// arrival of their first, each in turn giving its next.
    #[must_use]
    pub fn executable(&self, limit: usize) -> Vec<Arc<Transaction>> {
        let mut of_entries: BTreeMap<Address, VecDeque<_>> = BTreeMap::new();
        for (_, address) in &self.ready {
            let Some(sender) = self.senders.get(address) else {
                continue;
            };
            let turn = sender.transactions.range(sender.next..sender.gap());
            // A sender stands with the city by which its first came.
            if let Some((_, first)) = turn.clone().next() {
                of_entries.entry(first.entry).or_default().push_back(turn);
            }
        }
        let mut cities: VecDeque<VecDeque<_>> = of_entries.into_values().collect();
        let mut chosen = Vec::with_capacity(limit.min(self.hashes.len()));
        while chosen.len() < limit
            && let Some(mut senders) = cities.pop_front()
        {
            let Some(mut turn) = senders.pop_front() else {
                continue;
            };
            if let Some((_, pooled)) = turn.next() {
                chosen.push(Arc::clone(&pooled.transaction));
                senders.push_back(turn);
            }
            cities.push_back(senders);
        }
        chosen
    }

    fn rekey(&mut self, before: Option<(u64, Address)>, now: Option<(u64, Address)>) {
        if before == now {
            return;
        }
        if let Some(key) = before {
            self.ready.remove(&key);
        }
        if let Some(key) = now {
            self.ready.insert(key);
        }
    }
}

/// Under which key the sender stands among those that have something executable.
fn ready_key(sender: &Sender, address: Address) -> Option<(u64, Address)> {
    sender
        .transactions
        .get(&sender.next)
        .map(|first| (first.arrival, address))
}

/// Both fee fields higher, by a tenth and at least 1 wei.
fn outbids(new: &Transaction, old: &Transaction) -> bool {
    let higher = |new: u128, old: u128| new >= old.saturating_add((old / 10).max(1));
    let tip = |transaction: &Transaction| {
        transaction
            .max_priority_fee_per_gas()
            .unwrap_or_else(|| transaction.max_fee_per_gas())
    };
    higher(new.max_fee_per_gas(), old.max_fee_per_gas()) && higher(tip(new), tip(old))
}

#[cfg(test)]
mod tests;
