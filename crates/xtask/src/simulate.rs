//! `cargo xtask simulate`: cities in simulated time.
//!
//! The simulation lives in `testkit`; everything after `simulate` is handed to it. It runs seeds on all processors, prints
//! what was done, and ends with the seed that failed and its last events.

use std::time::Duration;

use crate::error::Error;
use crate::process;
use crate::repository::Repository;
use crate::test::RELEASE;

/// A hundred thousand seeds on two slow processors.
const LIMIT: Duration = Duration::from_hours(12);

pub(crate) fn run(repository: &Repository, arguments: &[&str]) -> Result<(), Error> {
    process::run(repository.cargo().args(RELEASE), LIMIT)?;
    let mut simulate = repository.command(repository.target.join("release/simulate"));
    process::run(simulate.args(arguments), LIMIT)
}
