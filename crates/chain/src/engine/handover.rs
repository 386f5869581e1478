//! Handovers: what a block cites of the hub, and the set that follows from it.
//!
//! ```text
//!  hub moved ─▶ another set than ours? ─▶ start a height ─▶ cite the hub's block, with its proof
//!                                                               │ decided by the present set
//!                                                               ▼
//!                                                    the new set from the next height on
//! ```
//!
//! The cities that the hub names beside the chain's own set, because a change is on its way, may ask for blocks, and give
//! them: whoever joins learns the chain, and whoever is behind a handover learns who has it. Neither is believed anything
//! that a certificate does not show.

use std::collections::BTreeSet;

use super::{
    Address, Arc, Bytes, Call, Effect, Engine, EngineError, Order, PeerMessage, Timer, ValidatorSet,
};
use alloy_consensus::Header;
use types::{BlockRequests, CitationError};

use crate::import::ImportError;
use crate::reader::next_time_ms;
use crate::{Beside, Cited};

/// Blocks that a city may lack and still hold the chain: a busy one has made some more whenever it is asked.
const ON_THE_WAY: u64 = 3;

/// Most cities that the hub names beside a chain's set: a whole new set, and who joins it.
const MOST_NAMED: usize = 256;

/// What is known of the hub, and of whom it names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Cities that the hub names for this chain.
    cities: BTreeSet<Address>,
    /// Whether the hub holds another set for the chain than its latest block names.
    pub(super) is_due: bool,
}

impl Named {
    /// Whether the hub names any.
    pub(super) fn names_some(&self) -> bool {
        !self.cities.is_empty()
    }

    /// Whether the hub names this city.
    pub(super) fn has(&self, city: Address) -> bool {
        self.cities.contains(&city)
    }
}

/// What a block of another city must prove beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The hub block that it cites.
    Citation,
    /// Nothing more: more than two thirds of the set have seen the proof.
    Certificate,
}

impl Engine {
    /// The city's copy of the hub has moved as far as this chain goes, or it is time to look again. `named` are the cities
    /// that the hub names for the chain: of the set that it holds for it, of one that is being prepared, and those that leave.
    #[must_use]
    pub fn hub_moved(&mut self, named: BTreeSet<Address>) -> Vec<Effect> {
        let mut call = Call::at(0);
        self.named.cities = named.into_iter().take(MOST_NAMED).collect();
        self.look_at_hub();
        if !self.is_validator() || self.named.is_due {
            // Those who have the handover, or what comes before it, say so.
            let own = self.config.key.address();
            let validators = self.set.validators().iter();
            let validators = validators.map(|validator| validator.address);
            let asked: BTreeSet<Address> = validators.chain(self.named.cities.clone()).collect();
            for city in asked.into_iter().filter(|city| *city != own) {
                let wish = PeerMessage::GetCertificate;
                if self.hears(city, &wish) {
                    call.send(city, wish);
                }
            }
        }
        call.out
    }

    /// Whether the chain's latest block names the set that the hub holds for it, as far as this city's copy goes.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        !self.named.is_due
    }

    /// Whether this city holds what more than two thirds of the chain's validators say they hold, but for a few blocks on their
    /// way; where it does not know that another set votes by now.
    #[must_use]
    pub fn holds_chain(&self) -> bool {
        let number = self.head.header.number + ON_THE_WAY;
        let has_no_more = |address| self.following.claim(address).is_some_and(|at| at <= number);
        let validators = self.set.validators().iter();
        let agreeing = validators.filter(|validator| has_no_more(validator.address));
        !self.named.is_due
            && self
                .set
                .is_quorum(agreeing.map(|validator| validator.power).sum())
    }

    /// The chain is suspended, closed, or not this city's any more: a height that began is finished, and none begins.
    pub const fn stand_still(&mut self) {
        self.stands = true;
    }

    /// The chain goes on.
    ///
    /// # Errors
    ///
    /// [`EngineError`]: drop the engine.
    pub fn go_on(&mut self, now_ms: u64) -> Result<Vec<Effect>, EngineError> {
        let mut call = Call::at(now_ms);
        self.stands = false;
        self.start_ahead(None, &mut call)?;
        Ok(call.out)
    }

    pub(super) fn look_at_hub(&mut self) {
        let cites = self.head.header.parent_beacon_block_root;
        let held = self
            .config
            .hub
            .as_ref()
            .zip(cites)
            .and_then(|(hub, cites)| hub.set_hash(self.profile.chain_id, cites));
        self.named.is_due = held.is_some_and(|held| held != self.requests.set_hash);
    }

    /// The hub block that a block made now cites in place of its parent's: where the set changes, and in the first block of a
    /// second, so that contracts see the hub.
    pub(super) fn to_cite(&self, now_ms: u64) -> Option<Cited> {
        let hub = self.config.hub.as_ref()?;
        let head = &self.head.header;
        let is_new_second = next_time_ms(head, now_ms) / 1_000 > head.timestamp;
        if !self.named.is_due && !is_new_second {
            return None;
        }
        let from = head.parent_beacon_block_root?;
        hub.cite(self.profile.chain_id, from, &self.requests)
            // What would be refused here as well: this release changes no record.
            .filter(|cited| {
                let may_follow = |set| self.may_follow(set);
                cited.record_hash == self.requests.record_hash
                    && cited.set.as_ref().is_none_or(may_follow)
            })
    }

    /// Checks that a block's requests are those that follow from what it cites, and that what it cites is shown.
    pub(super) fn check_citation(
        &self,
        header: &Header,
        requests: &[Bytes],
        beside: Option<&Beside>,
        shown: Shown,
    ) -> Result<(), ImportError> {
        let number = header.number;
        let refused = |source| ImportError::Citation { number, source };
        let own = &self.requests;
        let parent_cites = self.head.header.parent_beacon_block_root;
        let cites = header.parent_beacon_block_root;
        let has_hub = self.profile.has_hub();
        let found = BlockRequests::from_requests(requests)
            .filter(|found| found.to_requests().iter().eq(requests))
            .ok_or(ImportError::Requests { number })?;
        let (set_hash, record_hash) = match (parent_cites, cites) {
            (Some(parent_cites), Some(cites)) if has_hub && cites != parent_cites => match shown {
                Shown::Certificate => (found.set_hash, found.record_hash),
                Shown::Citation => {
                    let proof = beside.and_then(|beside| beside.proof.as_ref());
                    let proof = proof.ok_or_else(|| refused(CitationError::Start))?;
                    let held = proof
                        .verify(&self.domain, parent_cites, cites)
                        .map_err(refused)?;
                    (held.set_hash, held.record_hash)
                }
            },
            // Who a hub's next validators are follows from its execution. Here it is only whether what stands beside is what the
            // header commits to: it may be forged on the way.
            _ if !has_hub => match beside {
                None
                | Some(Beside {
                    proof: None,
                    set: Some(_),
                }) => (found.set_hash, own.record_hash),
                Some(_) => return Err(refused(CitationError::Superfluous)),
            },
            _ if beside.is_some() => return Err(refused(CitationError::Superfluous)),
            _ => (own.set_hash, own.record_hash),
        };
        if found != own.followed_by(number, set_hash, record_hash) {
            return Err(ImportError::Requests { number });
        }
        if record_hash != own.record_hash {
            return Err(ImportError::Record { number });
        }
        let set = beside.and_then(|beside| beside.set.as_ref());
        if shown == Shown::Certificate && beside.is_some_and(|beside| beside.proof.is_some()) {
            return Err(refused(CitationError::Superfluous));
        }
        let is_right = match set {
            Some(set) => set_hash != own.set_hash && set.hash() == set_hash,
            None => set_hash == own.set_hash,
        };
        // First, for a set that the block does not name says nothing against the block.
        if !is_right {
            return Err(refused(CitationError::Set));
        }
        if let Some(set) = set
            && !self.may_follow(set)
        {
            return Err(ImportError::Handover { number });
        }
        Ok(())
    }

    /// Whether no more leave with this set than may at once: max(1, f). The registry keeps to it; a chain does so whatever the
    /// registry says.
    fn may_follow(&self, set: &ValidatorSet) -> bool {
        let present = self.set.validators();
        let leaving = present
            .iter()
            .filter(|validator| set.get(validator.address).is_none())
            .count();
        leaving <= ((present.len() - 1) / 3).max(1)
    }

    /// The latest block is `candidate`'s: what it says of the next height holds.
    pub(super) fn take_over(
        &mut self,
        requests: &[Bytes],
        set: Option<ValidatorSet>,
        call: &mut Call,
    ) {
        if let Some(requests) = BlockRequests::from_requests(requests) {
            self.requests = requests;
        }
        if let Some(set) = set {
            self.order = Order::new(&set);
            let is_there = |address: &Address| set.get(*address).is_some();
            self.early.retain(|address, _| is_there(address));
            self.heard.retain(is_there);
            self.clocks.keep(is_there);
            self.delays.change(set.validators().len() - 1, is_there);
            self.readers.forget(is_there);
            self.waking.handed_over();
            let was_validator = self.is_validator();
            let before = std::mem::replace(&mut self.set, Arc::new(set));
            // Who voted until now follows.
            let own = self.config.key.address();
            for validator in before.validators() {
                if validator.address != own {
                    self.welcome(validator.address);
                }
            }
            self.look_at_hub();
            if self.is_validator() && (!was_validator || self.silence.is_some()) {
                // The others may be in the next height, or beyond it.
                call.send_all(self.tip());
                if self.silence.is_some() {
                    call.send_all(PeerMessage::GetCertificate);
                }
            }
        }
    }

    /// A handover that this city started a height for was left out: it starts none for a while.
    pub(super) fn wait_for_handover(&mut self, call: &mut Call) {
        if self.named.is_due {
            let after = self.waking.handover_left_out();
            let timer = Timer::Handover;
            call.push(Effect::Schedule { timer, after });
        }
    }
}
