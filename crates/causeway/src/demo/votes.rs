//! Members decide: one proposes, they vote until it has passed, and it is executed.

use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, ensure};
use hub::abi::{GOVERNANCE, IGovernance};

use crate::governance::act::Act;
use crate::hub_client::Hub;
use crate::hub_client::abi::IProposals;

/// Enough are for a proposal.
const PASSED: u8 = 2;
/// It was done.
const EXECUTED: u8 = 4;

/// What members decided.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) votes: u32,
    pub(super) members: u32,
    /// The hub's block from which on it holds.
    pub(super) block: u64,
}

/// Has `voters`, the first of whom proposes it, decide on `act` and carry it out.
pub(super) async fn decide(
    hub: &Hub,
    act: &Act,
    reason: &str,
    voters: &[&PrivateKeySigner],
) -> anyhow::Result<Decision> {
    let first = voters.first().context("nobody votes")?;
    let (kind, payload) = act.encode();
    let reason = reason.to_owned();
    let call = IGovernance::proposeCall {
        kind,
        payload,
        reason,
    };
    let receipt = hub.send(first, GOVERNANCE, &call).await?;
    let proposed: Option<IProposals::Proposed> = receipt.event(GOVERNANCE);
    let id = proposed.context("the hub tells of no proposal")?.id;
    for voter in voters {
        if hub.proposal(id).await?.status == PASSED {
            break;
        }
        let call = IGovernance::voteCall { id, support: true };
        hub.send(voter, GOVERNANCE, &call).await?;
    }
    let call = IGovernance::executeCall { id };
    let receipt = hub.send(first, GOVERNANCE, &call).await?;
    let proposal = hub.proposal(id).await?;
    ensure!(
        proposal.status == EXECUTED,
        "proposal {id} was not executed"
    );
    Ok(Decision {
        votes: proposal.votesFor,
        members: proposal.electorate,
        block: receipt.block_number.to(),
    })
}
