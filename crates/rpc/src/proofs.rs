//! Proofs: of accounts under a block's state root (EIP-1186), and of blocks under their certificates.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::Serialize;
use state::{EMPTY_CODE_HASH, EMPTY_ROOT};
use types::BlockProof;

use crate::account_state::StorageKey;
use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::tags::{Place, find};

/// An account with its proof.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountProofAnswer {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: U64,
    storage_hash: B256,
    storage_proof: Vec<StorageProofAnswer>,
}

#[derive(Clone, Debug, Serialize)]
struct StorageProofAnswer {
    key: String,
    value: U256,
    proof: Vec<Bytes>,
}

/// `eth_getProof`. An account that is not there has an empty code's hash and an empty trie's root.
pub(crate) fn account(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<AccountProofAnswer, Failure> {
    let address: Address = arguments.required()?;
    let slots: Vec<String> = arguments.required()?;
    let block: Option<BlockId> = arguments.optional()?;
    arguments.end()?;
    let most = api.limits.proof_slots;
    if slots.len() > most {
        return Err(Failure::Limit {
            what: "too many slots in one proof",
            most: most as u64,
        });
    }
    let slots = slots
        .into_iter()
        .map(StorageKey::read)
        .collect::<Result<Vec<_>, _>>()?;
    let hashes: Vec<B256> = slots.iter().map(|slot| slot.hash).collect();
    let moment = api.moment()?;
    let head = Place::of(&moment, block, BlockNumberOrTag::Latest)?.block()?;
    let proof = moment.view(head.header.number)?.proof(address, &hashes)?;
    let storage = slots.iter().zip(proof.storage);
    Ok(AccountProofAnswer {
        address,
        account_proof: proof.account_proof,
        balance: proof.account.map_or(U256::ZERO, |account| account.balance),
        code_hash: proof
            .account
            .map_or(EMPTY_CODE_HASH, |account| account.code_hash),
        nonce: U64::from(proof.account.map_or(0, |account| account.nonce)),
        storage_hash: proof
            .account
            .map_or(EMPTY_ROOT, |account| account.storage_root),
        storage_proof: storage
            .map(|(slot, proof)| StorageProofAnswer {
                key: slot.answer(),
                value: proof.value,
                proof: proof.proof,
            })
            .collect(),
    })
}

/// `causeway_getBlockProof`: header, requests, certificate and what they newly name.
pub(crate) fn block(
    api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<Option<BlockProof>, Failure> {
    let block: BlockId = arguments.required()?;
    arguments.end()?;
    let moment = api.moment()?;
    match find(&moment, block)? {
        Some(place) => Ok(moment.proof(place.block()?.header.number)?),
        None => Ok(None),
    }
}
