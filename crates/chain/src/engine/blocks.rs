//! Blocks of a height that is being agreed on: built here, or gathered by their outlines from other cities and executed.
//!
//! An outline names transactions by hash; most are in the pool. What is missing is asked for where the outline came from,
//! then everywhere, until it is here: whoever voted for the block has all of it.
//!
//! A header does not prove its outline before all transactions are here. So an outline that leads nowhere makes way for
//! another city's, and one whose transactions are not the header's says nothing against the block.

use std::time::Duration;

use super::voting::Height;
use super::{
    Address, Arc, B256, Bytes, Call, Candidate, Effect, Engine, EngineError, Notice, Outline,
    PeerMessage, Timer, Transaction,
};
use alloy_consensus::{Block as AlloyBlock, BlockBody, Transaction as _, proofs};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_eips::eip7685::Requests;

use super::handover::Shown;
use crate::candidate::{self, Built, MAX_BLOCK_BYTES, MAX_LOOKED_AT, Wanted};
use crate::clocks::Seen;
use crate::import::{self, ImportError, Stands};
use crate::peer::Body;
use crate::{Moment, entry};

/// How long a proposed block is waited for before it is asked for.
pub(super) const ASK_AFTER: Duration = Duration::from_millis(100);

/// How long a wish is waited for before it is repeated, elsewhere where that is possible.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A block with gaps.
#[derive(Debug)]
pub(super) struct Partial {
    outline: Outline,
    transactions: Vec<Option<Arc<Transaction>>>,
    /// Who sent the outline.
    from: Address,
    /// Whether all were asked for the rest, and it is not here yet.
    is_overdue: bool,
}

impl Partial {
    /// Whether another outline of the same block, which `from` sent, takes its place: one of the two is false. A proposer
    /// is asked first, and nobody for ever.
    fn gives_way_to(&self, from: Address) -> bool {
        from != self.from && (self.is_overdue || from == self.outline.header.beneficiary)
    }

    fn find(&self, hash: B256) -> Option<Arc<Transaction>> {
        let mut found = self.transactions.iter().flatten();
        found
            .find(|transaction| *transaction.hash() == hash)
            .cloned()
    }

    fn missing(&self) -> Vec<u32> {
        let places = (0_u32..).zip(&self.transactions);
        places
            .filter(|(_, transaction)| transaction.is_none())
            .map(|(index, _)| index)
            .collect()
    }
}

impl Engine {
    /// A proposal names a block that is not here: perhaps its outline came first.
    pub(super) fn want_block(&mut self, hash: B256, call: &mut Call) -> Result<(), EngineError> {
        let Some(height) = &self.height else {
            return Ok(());
        };
        if height.knows(hash) || height.partial.contains_key(&hash) {
            return Ok(());
        }
        let early = self
            .early
            .iter()
            .find(|(_, outline)| outline.header.hash_slow() == hash);
        if let Some(from) = early.map(|(from, _)| *from)
            && let Some(outline) = self.early.remove(&from)
        {
            return self.gather(from, hash, outline, call);
        }
        call.push(Effect::Schedule {
            timer: Timer::Ask,
            after: ASK_AFTER,
        });
        Ok(())
    }

    /// An outline: of a block that a proposal names, or kept until one does.
    pub(super) fn take_outline(
        &mut self,
        from: Address,
        outline: Outline,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let number = self.head.header.number + 1;
        let hash = outline.header.hash_slow();
        if outline.header.beneficiary == from && outline.header.number == number {
            self.compare_clocks(from, &outline, call);
        }
        if let Some(height) = &self.height
            && outline.header.number == number
            && height.is_named(hash)
        {
            if height.knows(hash) || height.doubted.contains(&(hash, from)) {
                return Ok(());
            }
            match height.partial.get(&hash) {
                Some(partial) if partial.outline == outline => {
                    // Whoever shows it has the rest as well.
                    call.send(from, wish(hash, partial));
                    return Ok(());
                }
                Some(partial) if !partial.gives_way_to(from) => return Ok(()),
                _ => {}
            }
            self.gather(from, hash, outline, call)?;
            return self.settle(call);
        }
        // The next two heights, as with messages that come early.
        if (number..=number + 2).contains(&outline.header.number) {
            self.early.insert(from, outline);
        }
        Ok(())
    }

    /// A block of its sender's own, of this height: it carries its sender's time.
    fn compare_clocks(&mut self, from: Address, outline: &Outline, call: &mut Call) {
        let Some(block_ms) = types::header::time_ms(&outline.header) else {
            return;
        };
        let others = self.set.validators().len() - 1;
        if let Some(seen) = self.clocks.saw(from, block_ms, call.now_ms, others) {
            let ahead_ms = match seen {
                Seen::Far { ahead_ms } => Some(ahead_ms),
                Seen::Near => None,
            };
            call.push(Effect::Notice(Notice::ClockFar { ahead_ms }));
        }
    }

    /// Looks the transactions of an outline up in the pool, and asks for those that are not there.
    fn gather(
        &mut self,
        from: Address,
        hash: B256,
        outline: Outline,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let Some(height) = &mut self.height else {
            return Ok(());
        };
        let earlier = height.partial.remove(&hash);
        if let Some(earlier) = &earlier {
            height.doubt(hash, earlier.from, self.set.validators().len() - 1);
        }
        let transactions = {
            let pool = self.pool.read();
            let look_up = |hash| match pool.get(hash) {
                Some(pooled) => Some(Arc::clone(&pooled.transaction)),
                None => earlier.as_ref().and_then(|earlier| earlier.find(*hash)),
            };
            outline.transactions.iter().map(look_up).collect()
        };
        let partial = Partial {
            outline,
            transactions,
            from,
            is_overdue: false,
        };
        let wish = wish(hash, &partial);
        let is_whole = partial.missing().is_empty();
        height.partial.insert(hash, partial);
        if is_whole {
            return self.complete(hash, call);
        }
        call.send(from, wish);
        call.push(Effect::Schedule {
            timer: Timer::Ask,
            after: ASK_AGAIN,
        });
        Ok(())
    }

    pub(super) fn take_bodies(
        &mut self,
        from: Address,
        hash: B256,
        bodies: Vec<Body>,
        call: &mut Call,
    ) -> Result<(), EngineError> {
        let Some(partial) = self
            .height
            .as_mut()
            .and_then(|height| height.partial.get_mut(&hash))
        else {
            return Ok(());
        };
        // Several cities may have been asked for the same.
        let is_missing = |body: &Body| {
            let place = usize::try_from(body.index).ok();
            let there = place.and_then(|place| partial.transactions.get(place));
            !matches!(there, Some(Some(_)))
        };
        let (places, raw): (Vec<u32>, Vec<Bytes>) = bodies
            .into_iter()
            .filter(is_missing)
            .map(|body| (body.index, body.raw))
            .unzip();
        for (index, transaction) in places.into_iter().zip(execution::recover_all(&raw)) {
            let Ok(index) = usize::try_from(index) else {
                continue;
            };
            let wanted = partial.outline.transactions.get(index);
            match transaction {
                Ok(transaction) if wanted == Some(transaction.hash()) => {
                    partial.transactions[index] = Some(Arc::new(transaction));
                }
                _ => call.refuse(from, "other transactions than asked for"),
            }
        }
        if partial.missing().is_empty() {
            self.complete(hash, call)?;
            return self.settle(call);
        }
        Ok(())
    }

    /// All of a named block is here: executes it, and appends it if it keeps the rules.
    fn complete(&mut self, hash: B256, call: &mut Call) -> Result<(), EngineError> {
        let Some(height) = &mut self.height else {
            return Ok(());
        };
        let Some(Partial {
            outline,
            transactions,
            from,
            ..
        }) = height.partial.remove(&hash)
        else {
            return Ok(());
        };
        let transactions: Vec<_> = transactions.into_iter().flatten().collect();
        let parent = height.parent.clone();
        let promised = Promised::of(&outline);
        match self.execute(outline, &transactions, &parent, Shown::Citation) {
            Ok(candidate) => {
                call.push(Effect::Append(entry::body_entry(&candidate)));
                if let Some(height) = &mut self.height {
                    height.candidates.insert(hash, candidate);
                }
            }
            Err(error) if error.is_retryable() => return Err(error.into()),
            // The header commits to no proof: somebody else may have one.
            Err(error)
                if matches!(error, ImportError::Citation { .. })
                    || !promised.holds(&transactions) =>
            {
                call.accuse(from, "an outline of another block");
                if let Some(height) = &mut self.height {
                    height.doubt(hash, from, self.set.validators().len() - 1);
                }
                call.send_all(PeerMessage::GetOutline { block_hash: hash });
                call.push(Effect::Schedule {
                    timer: Timer::Ask,
                    after: ASK_AGAIN,
                });
            }
            Err(error) => {
                tracing::debug!(%hash, error = &error as &dyn std::error::Error, "a proposed block breaks a rule");
                call.push(Effect::Notice(Notice::InvalidBlock {
                    proposer: from,
                    hash,
                }));
                if let Some(height) = &mut self.height {
                    height.refused.insert(hash);
                }
            }
        }
        Ok(())
    }

    /// Executes a block that is not ours, and holds it to every rule that does not depend on who proposes it.
    pub(super) fn execute(
        &self,
        outline: Outline,
        transactions: &[Arc<Transaction>],
        parent: &Moment,
        shown: Shown,
    ) -> Result<Candidate, ImportError> {
        let Outline {
            header,
            requests,
            beside,
            ..
        } = outline;
        let number = header.number;
        self.check_citation(&header, &requests, beside.as_ref(), shown)?;
        let bytes: usize = transactions
            .iter()
            .map(|transaction| transaction.encode_2718_len())
            .sum();
        if bytes > MAX_BLOCK_BYTES {
            return Err(ImportError::TooLarge { number, bytes });
        }
        let body = BlockBody {
            transactions: transactions
                .iter()
                .map(|transaction| transaction.inner().clone())
                .collect(),
            ommers: Vec::new(),
            withdrawals: Some(Vec::new().into()),
        };
        import::execute_recovered(
            &self.profile,
            &self.state,
            parent,
            AlloyBlock { header, body },
            transactions,
            Some(Stands {
                requests,
                beside: beside.map(Box::new),
            }),
        )
    }

    /// Builds a block on the height's parent and appends its body.
    pub(super) fn build(&mut self, call: &mut Call) -> Result<B256, EngineError> {
        let transactions = self.pool.read().executable(MAX_LOOKED_AT);
        let number = self.head.header.number + 1;
        let cited = self.to_cite(call.now_ms);
        let requests = match &cited {
            Some(cited) => self
                .requests
                .followed_by(number, cited.set_hash, cited.record_hash),
            None => self.requests,
        };
        let Some(height) = &mut self.height else {
            return Err(EngineError::NoHeight);
        };
        let Built { candidate, refused } = candidate::build(
            &self.profile,
            &self.state,
            &height.parent,
            Wanted {
                beneficiary: self.config.key.address(),
                now_ms: call.now_ms,
                requests,
                cited,
                enough_gas: self.allowance.gas(call.now_ms),
            },
            transactions,
        )?;
        if !refused.is_empty() {
            let mut pool = self.pool.write();
            for (transaction, _reason) in refused {
                pool.remove(transaction.signer(), transaction.inner().nonce());
            }
        }
        call.push(Effect::Append(entry::body_entry(&candidate)));
        let hash = candidate.block.hash;
        height.candidates.insert(hash, candidate);
        Ok(hash)
    }

    /// Blocks that proposals name and that are not whole: all are asked for them.
    pub(super) fn ask_for_blocks(&mut self, call: &mut Call) -> bool {
        let Some(height) = &mut self.height else {
            return false;
        };
        let before = call.out.len();
        for (&block_hash, partial) in &mut height.partial {
            call.send_all(wish(block_hash, partial));
            if std::mem::replace(&mut partial.is_overdue, true) {
                // Nobody has what this outline names.
                call.send_all(PeerMessage::GetOutline { block_hash });
            }
        }
        for pending in height.proposals.iter().filter(|pending| !pending.given) {
            let block_hash = pending.proposal.block_hash;
            if !height.knows(block_hash) && !height.partial.contains_key(&block_hash) {
                // Whoever voted for it has it.
                call.send_all(PeerMessage::GetOutline { block_hash });
            }
        }
        call.out.len() > before
    }

    pub(super) fn send_outline(&self, to: Address, hash: B256, call: &mut Call) {
        if let Some(outline) = self.outline_of(hash) {
            call.send(to, PeerMessage::Outline(Box::new(outline)));
        } else if hash == self.head.hash {
            call.send(to, self.tip());
        }
    }

    pub(super) fn send_bodies(&self, to: Address, hash: B256, indexes: &[u32], call: &mut Call) {
        let candidate = self
            .height
            .as_ref()
            .and_then(|height| height.candidates.get(&hash));
        let Some(candidate) = candidate else {
            if hash == self.head.hash {
                call.send(to, self.tip());
            }
            return;
        };
        let transactions = &candidate.block.body.transactions;
        // Each place once: who asks otherwise is answered up to there.
        let ascending = indexes.iter().scan(None, |last, index| {
            let follows = last.is_none_or(|last| last < *index);
            *last = Some(*index);
            follows.then_some(*index)
        });
        let bodies = ascending.filter_map(|index| {
            let transaction = transactions.get(usize::try_from(index).ok()?)?;
            let raw = transaction.encoded_2718().into();
            Some(Body { index, raw })
        });
        let bodies = bodies.collect();
        let block_hash = hash;
        call.send(to, PeerMessage::Bodies { block_hash, bodies });
    }

    /// The outline of a block that is whole here.
    pub(super) fn outline_of(&self, hash: B256) -> Option<Outline> {
        let candidate = self.height.as_ref()?.candidates.get(&hash)?;
        let transactions = &candidate.block.body.transactions;
        Some(Outline {
            header: candidate.block.header.clone(),
            requests: candidate.requests.clone(),
            transactions: transactions
                .iter()
                .map(|transaction| *transaction.hash())
                .collect(),
            beside: candidate.beside.as_deref().cloned(),
        })
    }
}

impl Height {
    /// An outline of this block that `from` sent led nowhere: of `others` cities in all, it is not heard on this block
    /// again, until there is nobody else.
    fn doubt(&mut self, hash: B256, from: Address, others: usize) {
        self.doubted.insert((hash, from));
        let of_block = |(of, _): &&(B256, Address)| *of == hash;
        if self.doubted.iter().filter(of_block).count() >= others {
            self.doubted.retain(|(of, _)| *of != hash);
        }
    }
}

/// A wish for what is missing.
fn wish(block_hash: B256, partial: &Partial) -> PeerMessage {
    let indexes = partial.missing();
    PeerMessage::GetBodies {
        block_hash,
        indexes,
    }
}

/// What a header says of the lists beside it.
#[derive(Debug)]
pub(super) struct Promised {
    transactions_root: B256,
    requests_hash: Option<B256>,
    requests: Vec<Bytes>,
}

impl Promised {
    pub(super) fn of(outline: &Outline) -> Self {
        Self {
            transactions_root: outline.header.transactions_root,
            requests_hash: outline.header.requests_hash,
            requests: outline.requests.clone(),
        }
    }

    /// Whether these are the block's transactions and requests. Otherwise nothing is known of the block, whatever became
    /// of them.
    pub(super) fn holds(self, transactions: &[Arc<Transaction>]) -> bool {
        let transactions: Vec<_> = transactions
            .iter()
            .map(|transaction| transaction.inner().clone())
            .collect();
        self.transactions_root == proofs::calculate_transaction_root(&transactions)
            && self.requests_hash == Some(Requests::new(self.requests).requests_hash())
    }
}
