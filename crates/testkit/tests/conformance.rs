//! The chain of the public JSON-RPC cases goes through our executor, and every root is as it says.

use std::path::PathBuf;

use serde_json::Value;
use testkit::conformance::chain::import;

/// Where the cases are; `None`, with one line, where they are not.
fn folder() -> Option<PathBuf> {
    let vectors = std::env::var_os("CAUSEWAY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = vectors.join("execution-apis-prague/tests");
    let there = folder.is_dir();
    assert!(
        there || std::env::var_os("CI").is_none(),
        "CI needs the vectors"
    );
    if !there {
        eprintln!("skipped: needs the conformance vectors (CAUSEWAY_VECTORS)");
    }
    there.then_some(folder)
}

#[test]
fn the_chain_of_the_cases_is_imported_up_to_the_head_that_upstream_names() {
    let Some(folder) = folder() else { return };
    let imported = import(&folder).unwrap();
    let text = std::fs::read_to_string(folder.join("headfcu.json")).unwrap();
    let call: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        imported.head.to_string(),
        call["params"][0]["headBlockHash"].as_str().unwrap()
    );
    assert_eq!(imported.height, 54);
    let moment = imported.reader.moment().unwrap();
    let root = moment.view(54).unwrap().recomputed_root().unwrap();
    assert_eq!(root, moment.head().header.state_root);
}
