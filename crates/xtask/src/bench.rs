//! `cargo xtask bench`: hands over to the crate that measures.

use std::time::Duration;

use crate::error::Error;
use crate::process;
use crate::repository::Repository;

/// All targets together, peers' installation included.
const LIMIT: Duration = Duration::from_hours(3);

pub(crate) fn run(repository: &Repository, targets: &[&str]) -> Result<(), Error> {
    process::run(
        repository
            .cargo()
            .args(["build", "--release", "--package", "causeway"]),
        LIMIT,
    )?;
    let mut bench = repository.cargo();
    bench
        .args(["run", "--release", "--package", "bench", "--"])
        .args(targets);
    bench.env("CAUSEWAY_BIN", repository.target.join("release/causeway"));
    process::run(&mut bench, LIMIT)
}
