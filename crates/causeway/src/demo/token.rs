//! Our own ERC-20, `contracts/Token.sol`: what is sent to it, and where its balances lie.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::{SolCall as _, SolValue as _, sol};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use anyhow::Context as _;
use serde_json::Value;

const ARTIFACT: &str = include_str!("../../../../contracts/artifacts/Token.json");

/// Slot of `balanceOf`: name and symbol are before it, constants and immutables have none.
const BALANCES: u64 = 2;

sol! {
    #[derive(Debug)]
    function transfer(address to, uint256 value) external returns (bool);
}

/// Code and arguments that deploy it; the deployer gets `supply`.
pub(super) fn creation(supply: U256) -> anyhow::Result<Bytes> {
    let artifact: Value = serde_json::from_str(ARTIFACT)?;
    let code = artifact["bytecode"]
        .as_str()
        .context("the artifact has no bytecode")?;
    let mut input = hex::decode(code)?;
    input.extend((String::from("Causeway Demo"), String::from("DEMO"), supply).abi_encode_params());
    Ok(input.into())
}

/// Input of a transfer.
pub(super) fn transfer(to: Address, value: U256) -> Bytes {
    transferCall { to, value }.abi_encode().into()
}

/// Where the balance of `owner` lies.
pub(super) fn balance_slot(owner: Address) -> B256 {
    keccak256((owner, U256::from(BALANCES)).abi_encode())
}

/// Checks an `eth_getProof` answer against a state root and returns the slot's value.
pub(super) fn check_balance(
    proof: &Value,
    token: Address,
    slot: B256,
    state_root: B256,
) -> anyhow::Result<U256> {
    let nodes: Vec<Bytes> = serde_json::from_value(proof["accountProof"].clone())?;
    let account = TrieAccount {
        nonce: serde_json::from_value::<U256>(proof["nonce"].clone())?
            .try_into()
            .context("a nonce above 64 bits")?,
        balance: serde_json::from_value(proof["balance"].clone())?,
        storage_root: serde_json::from_value(proof["storageHash"].clone())?,
        code_hash: serde_json::from_value(proof["codeHash"].clone())?,
    };
    let path = Nibbles::unpack(keccak256(token));
    verify_proof(state_root, path, Some(alloy_rlp::encode(account)), &nodes)
        .context("the account's proof is wrong")?;
    let storage = &proof["storageProof"][0];
    let value: U256 = serde_json::from_value(storage["value"].clone())?;
    let nodes: Vec<Bytes> = serde_json::from_value(storage["proof"].clone())?;
    let path = Nibbles::unpack(keccak256(slot));
    verify_proof(
        account.storage_root,
        path,
        Some(alloy_rlp::encode(value)),
        &nodes,
    )
    .context("the slot's proof is wrong")?;
    Ok(value)
}
