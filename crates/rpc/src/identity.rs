//! Who answers, and for which chain.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U64, keccak256};
use serde::Serialize;

use crate::api::Api;
use crate::arguments::Arguments;
use crate::error::Failure;

/// `eth_chainId`
pub(crate) fn chain_id(api: &Api, arguments: &mut Arguments<'_>) -> Result<U64, Failure> {
    arguments.end()?;
    Ok(U64::from(api.chain.reader().profile().chain_id.get()))
}

/// What `eth_syncing` says: `false`, or how far this city is behind the others.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Syncing {
    /// In step.
    No(bool),
    /// Behind.
    Behind(Progress),
}

/// How far.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    starting_block: U64,
    current_block: U64,
    highest_block: U64,
}

/// `eth_syncing`: whether other cities have blocks that are not here.
pub(crate) fn syncing(api: &Api, arguments: &mut Arguments<'_>) -> Result<Syncing, Failure> {
    arguments.end()?;
    let Some(highest) = api.chain.status().behind else {
        return Ok(Syncing::No(false));
    };
    let current = U64::from(api.chain.reader().moment()?.head().header.number);
    Ok(Syncing::Behind(Progress {
        // Where catching up began is not kept: every block that is here was once the latest.
        starting_block: current,
        current_block: current,
        highest_block: U64::from(highest),
    }))
}

/// `net_version`: the chain id in decimal, as everywhere.
pub(crate) fn net_version(api: &Api, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    arguments.end()?;
    Ok(api.chain.reader().profile().chain_id.to_string())
}

/// `net_listening`
pub(crate) fn net_listening(_api: &Api, arguments: &mut Arguments<'_>) -> Result<bool, Failure> {
    arguments.end()?;
    Ok(true)
}

/// `net_peerCount`: the chain's other cities that are connected.
pub(crate) fn net_peer_count(api: &Api, arguments: &mut Arguments<'_>) -> Result<U64, Failure> {
    arguments.end()?;
    Ok(U64::from(api.chain.connected()))
}

/// `web3_clientVersion`
pub(crate) fn client_version(api: &Api, arguments: &mut Arguments<'_>) -> Result<String, Failure> {
    arguments.end()?;
    Ok(api.client_version.clone())
}

/// `web3_sha3`: Keccak-256, which the name does not say.
pub(crate) fn sha3(_api: &Api, arguments: &mut Arguments<'_>) -> Result<B256, Failure> {
    let data: Bytes = arguments.required()?;
    arguments.end()?;
    Ok(keccak256(data))
}

/// `rpc_modules`
pub(crate) fn modules(
    _api: &Api,
    arguments: &mut Arguments<'_>,
) -> Result<BTreeMap<&'static str, &'static str>, Failure> {
    arguments.end()?;
    let names = ["causeway", "eth", "net", "rpc", "txpool", "web3"];
    Ok(names.into_iter().map(|name| (name, "1.0")).collect())
}

/// The network and the chain.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NetworkAnswer {
    network_id: B256,
    chain_id: U64,
    name: String,
    genesis_hash: B256,
}

/// `causeway_getNetwork`
pub(crate) fn network(api: &Api, arguments: &mut Arguments<'_>) -> Result<NetworkAnswer, Failure> {
    arguments.end()?;
    Ok(NetworkAnswer {
        network_id: api.network.network_id,
        chain_id: U64::from(api.chain.reader().profile().chain_id.get()),
        name: api.network.name.clone(),
        genesis_hash: api.genesis_hash,
    })
}
