//! What a hub begins with: the code of its contracts, and the call that founds its registry.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall as _;
use chain::Registry;
use serde::Deserialize;

use crate::abi::{APPLICATIONS, CITIES, Founding, GOVERNANCE, IGovernance, MEMBERS};

/// The compiled contracts, as `contracts/build.mjs` wrote them.
const ARTIFACTS: [(Address, &str); 4] = [
    (
        MEMBERS,
        include_str!("../../../contracts/artifacts/hub/Members.json"),
    ),
    (
        CITIES,
        include_str!("../../../contracts/artifacts/hub/Cities.json"),
    ),
    (
        APPLICATIONS,
        include_str!("../../../contracts/artifacts/hub/Applications.json"),
    ),
    (
        GOVERNANCE,
        include_str!("../../../contracts/artifacts/hub/Governance.json"),
    ),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    deployed_bytecode: Bytes,
}

/// The registry of a network that is founded so.
///
/// # Panics
///
/// Never: the artifacts are part of the program.
#[must_use]
pub fn registry(founding: &Founding) -> Registry {
    let contract = |(address, artifact): (Address, &str)| {
        let artifact: Artifact =
            serde_json::from_str(artifact).expect("the artifacts were compiled with the program");
        (address, artifact.deployed_bytecode)
    };
    let found = IGovernance::foundCall {
        founding: founding.clone(),
    };
    Registry {
        contracts: ARTIFACTS.into_iter().map(contract).collect(),
        called: GOVERNANCE,
        input: found.abi_encode().into(),
    }
}
