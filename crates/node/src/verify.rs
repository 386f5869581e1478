//! Checking a chain from its rows alone: links, certificates, roots.

use alloy_consensus::proofs;
use alloy_primitives::B256;
use chain::{Moment, ReadError, Reader};
use state::{StateError, ViewError};
use types::ValidatorSet;
use types::proof::ProofError;

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The latest block.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
    /// Its state root, computed anew from every account and slot.
    pub state_root: B256,
}

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The chain could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The state could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A block does not follow from the one before it.
    #[error("block {number} does not have block {} as its parent", .number - 1)]
    Link {
        /// The block.
        number: u64,
    },
    /// A block is not proven.
    #[error("block {number} is not proven by its certificate")]
    Proof {
        /// The block.
        number: u64,
        /// Why.
        source: ProofError,
    },
    /// A row differs from what the header commits to.
    #[error("block {number}'s {what} is not what its header says")]
    Root {
        /// The block.
        number: u64,
        /// Which part.
        what: &'static str,
    },
}

/// Checks every block's link, certificate, transactions and receipts, and the latest state root.
///
/// # Errors
///
/// [`VerifyError`], the first thing that does not hold.
pub fn verify(reader: &Reader, validators: &ValidatorSet) -> Result<Verified, VerifyError> {
    let moment = reader.moment()?;
    let head = moment.head().clone();
    let mut parent = None;
    for number in 0..=head.header.number {
        parent = Some(verify_block(&moment, validators, number, parent)?);
    }
    let state_root = moment.view(head.header.number)?.recomputed_root()?;
    if state_root != head.header.state_root {
        return Err(VerifyError::Root {
            number: head.header.number,
            what: "state root",
        });
    }
    Ok(Verified {
        height: head.header.number,
        hash: head.hash,
        state_root,
    })
}

fn verify_block(
    moment: &Moment,
    validators: &ValidatorSet,
    number: u64,
    parent: Option<B256>,
) -> Result<B256, VerifyError> {
    let missing = ReadError::Damaged {
        what: "header",
        number,
    };
    let block = moment.block(number)?.ok_or(missing)?;
    if parent.is_some_and(|parent| parent != block.header.parent_hash) {
        return Err(VerifyError::Link { number });
    }
    if let Some(domain) = moment.profile().domain() {
        let proof = moment.proof(number)?.ok_or(ReadError::Damaged {
            what: "seal",
            number,
        })?;
        let proven = if number == 0 {
            proof.read()
        } else {
            proof.verify(domain, validators)
        };
        let proven = proven.map_err(|source| VerifyError::Proof { number, source })?;
        if proven.hash != block.hash {
            return Err(VerifyError::Root {
                number,
                what: "hash",
            });
        }
    }
    let root = proofs::calculate_transaction_root(&block.body.transactions);
    if root != block.header.transactions_root {
        return Err(VerifyError::Root {
            number,
            what: "transactions root",
        });
    }
    let receipts = moment.receipts(number)?.ok_or(ReadError::Damaged {
        what: "receipts",
        number,
    })?;
    if proofs::calculate_receipt_root(&receipts) != block.header.receipts_root {
        return Err(VerifyError::Root {
            number,
            what: "receipts root",
        });
    }
    Ok(block.hash)
}
