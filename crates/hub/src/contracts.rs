//! What a hub begins with: the code of its contracts, and the call that founds its registry.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall as _;
use chain::Registry;
use serde::Deserialize;

use crate::abi::{
    APPLICATIONS, CITIES, Founding, GOVERNANCE, IGovernance, MEMBERS, Setting, VALIDATORS,
};

/// The compiled contracts, as `contracts/build.mjs` wrote them.
const ARTIFACTS: [(Address, &str); 5] = [
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
    (
        VALIDATORS,
        include_str!("../../../contracts/artifacts/hub/Validators.json"),
    ),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    deployed_bytecode: Bytes,
}

/// The registry of a network that is founded so, with these parameters of [`GOVERNANCE`] in place of its defaults.
///
/// # Panics
///
/// Never: the artifacts are part of the program.
#[must_use]
pub fn registry(founding: &Founding, agreed: &[(&str, u64)]) -> Registry {
    let contract = |(address, artifact): (Address, &str)| {
        let artifact: Artifact =
            serde_json::from_str(artifact).expect("the artifacts were compiled with the program");
        (address, artifact.deployed_bytecode)
    };
    let founding = founding.clone();
    let mut settings: Vec<Setting> = agreed
        .iter()
        .map(|(name, value)| Setting {
            name: B256::right_padding_from(name.as_bytes()),
            value: *value,
        })
        .collect();
    settings.sort_by_key(|setting| setting.name);
    let input = match settings.is_empty() {
        true => IGovernance::foundCall { founding }.abi_encode(),
        false => IGovernance::foundWithCall { founding, settings }.abi_encode(),
    };
    Registry {
        contracts: ARTIFACTS.into_iter().map(contract).collect(),
        called: GOVERNANCE,
        input: input.into(),
    }
}
