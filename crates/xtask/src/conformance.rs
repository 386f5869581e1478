//! `cargo xtask conformance rpc`: public JSON-RPC cases against our own server.
//!
//! The runner lives in `testkit`; it imports the cases' chain through the production executor, asks each question and
//! ends with `N passed, N failed, N excluded`.

use std::time::Duration;

use crate::error::Error;
use crate::process;
use crate::repository::Repository;
use crate::test::RELEASE;

const LIMIT: Duration = Duration::from_mins(20);

/// The cases that are run when no folder is named.
const CASES: &str = "execution-apis-prague";

pub(crate) fn rpc(repository: &Repository, arguments: &[&str]) -> Result<(), Error> {
    let default = repository.vectors().join(CASES);
    process::run(repository.cargo().args(RELEASE), LIMIT)?;
    let mut runner = repository.command(repository.target.join("release/rpc-conformance"));
    if arguments.is_empty() {
        runner.arg(default);
    } else {
        runner.args(arguments);
    }
    process::run(&mut runner, LIMIT)
}
