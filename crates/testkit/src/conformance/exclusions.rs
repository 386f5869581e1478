//! Cases that cannot pass, each with its reason. Every entry must name a case, and no case that is
//! excluded may pass.

use super::case::Case;

/// A method, or one case of a method, and why it is left out.
const TABLE: &[(&str, &str)] = &[
    ("debug_getRawBlock", NOT_OFFERED),
    ("debug_getRawHeader", NOT_OFFERED),
    ("debug_getRawReceipts", NOT_OFFERED),
    ("debug_getRawTransaction", NOT_OFFERED),
    ("debug_traceBlockByHash", NOT_OFFERED),
    ("debug_traceBlockByNumber", NOT_OFFERED),
    ("debug_traceTransaction", NOT_OFFERED),
    ("eth_baseFee", NOT_OFFERED),
    ("eth_capabilities", NOT_OFFERED),
    ("eth_config", NOT_OFFERED),
    ("eth_getStorageValues", NOT_OFFERED),
    (
        "eth_sendRawTransaction/send-blob-tx",
        "blob transactions are refused on our chains",
    ),
    ("eth_simulateV1", NOT_OFFERED),
    ("testing_buildBlockV1", NOT_OFFERED),
];

const NOT_OFFERED: &str = "the method is not offered";

/// Why a case is left out, if it is.
pub(super) fn reason(case: &str) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|(name, _)| names(name, case))
        .map(|(_, reason)| *reason)
}

/// An entry that names none of the cases.
pub(super) fn stale(cases: &[Case]) -> Option<&'static str> {
    let unused = |name: &&str| !cases.iter().any(|case| names(name, &case.name));
    TABLE.iter().map(|(name, _)| *name).find(unused)
}

fn names(name: &str, case: &str) -> bool {
    case == name
        || case
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('/'))
}
