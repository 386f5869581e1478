//! `cargo xtask contracts`: Solidity to artifacts, by the compiler that npm has.
//!
//! The artifacts are committed, so that the program builds without Node; `--check` compiles again and compares.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::process;
use crate::repository::Repository;
use crate::test::tools;

const LIMIT: Duration = Duration::from_mins(5);

/// Where sources, artifacts and the script that compiles live.
pub(crate) fn folder(repository: &Repository) -> PathBuf {
    repository.root.join("contracts")
}

pub(crate) fn build(repository: &Repository) -> Result<(), Error> {
    compile(repository, &[])
}

pub(crate) fn check(repository: &Repository) -> Result<(), Error> {
    compile(repository, &["--check"])
}

fn compile(repository: &Repository, arguments: &[&str]) -> Result<(), Error> {
    let folder = folder(repository);
    tools::npm(repository, &folder)?;
    process::run(
        repository
            .command("node")
            .current_dir(folder)
            .arg("build.mjs")
            .args(arguments),
        LIMIT,
    )
}
