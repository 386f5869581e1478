//! `causeway_getEvidence`: proofs that validators signed two different messages for one step.
//!
//! Anybody can check one: both signatures recover to the validator, over the EIP-712 hashes of what is shown.

use alloy_primitives::{Address, B256, Bytes, U64};
use consensus::{Equivocation, Message, VoteKind};
use serde::Serialize;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;

/// Most proofs in one answer.
const MOST: usize = 100;

/// Two messages that contradict each other.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvidenceAnswer {
    height: U64,
    round: U64,
    /// `proposal`, `prevote` or `precommit`.
    step: &'static str,
    validator: Address,
    first: SideAnswer,
    second: SideAnswer,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SideAnswer {
    /// Zero for nil.
    block_hash: B256,
    /// Of a proposal alone: the round of its polka, -1 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pol_round: Option<i64>,
    signature: Bytes,
}

/// `causeway_getEvidence(from)`: from this height on, ascending; the first hundred.
pub(crate) fn evidence(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Vec<EvidenceAnswer>, Failure> {
    let from: Option<U64> = arguments.optional()?;
    arguments.end()?;
    let found = api
        .moment()?
        .evidence(from.unwrap_or_default().to(), MOST)?;
    Ok(found.iter().filter_map(answer).collect())
}

fn answer(evidence: &Equivocation) -> Option<EvidenceAnswer> {
    let (step, validator, first) = side(&evidence.first)?;
    let (_, _, second) = side(&evidence.second)?;
    Some(EvidenceAnswer {
        height: U64::from(evidence.first.height()),
        round: U64::from(evidence.first.round()),
        step,
        validator,
        first,
        second,
    })
}

/// `None` for messages that no single validator signs.
fn side(message: &Message) -> Option<(&'static str, Address, SideAnswer)> {
    match message {
        Message::Proposal(proposal) => {
            let side = SideAnswer {
                block_hash: proposal.block_hash,
                pol_round: Some(proposal.pol_round.map_or(-1, i64::from)),
                signature: Bytes::copy_from_slice(&proposal.signature.0),
            };
            Some(("proposal", proposal.proposer, side))
        }
        Message::Vote(vote) => {
            let step = match vote.kind {
                VoteKind::Prevote => "prevote",
                VoteKind::Precommit => "precommit",
            };
            let side = SideAnswer {
                block_hash: vote.block_hash,
                pol_round: None,
                signature: Bytes::copy_from_slice(&vote.signature.0),
            };
            Some((step, vote.validator, side))
        }
        Message::Polka(_) | Message::Round(_) => None,
    }
}
