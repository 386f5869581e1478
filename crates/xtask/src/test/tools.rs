//! What tests need, installed into folders of the repository that Git ignores.
//!
//! ```text
//!  .tools/venv       Python tools, among them Cargo's (ready binaries), and what tests/python needs
//!  .tools/installed  what was installed from which list, so that nothing is installed twice
//!  */node_modules    what the package-lock.json beside it names
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Verdict;
use crate::error::Error;
use crate::process;
use crate::repository::Repository;

/// Downloads are small; a slow network is allowed for.
const LIMIT: Duration = Duration::from_mins(15);

/// Cargo's tools as ready binaries, pinned.
const RUST_TOOLS: &str = "crates/xtask/tools.txt";

/// Installs Cargo's tools.
pub(super) fn rust(repository: &Repository) -> Result<Verdict, Error> {
    if pip(repository, &repository.root.join(RUST_TOOLS))? {
        Ok(Verdict::Passed)
    } else {
        Ok(Verdict::Skipped(
            "Python 3.11 or newer with venv".to_owned(),
        ))
    }
}

/// Where an installed program would be.
pub(crate) fn binary(repository: &Repository, program: &str) -> PathBuf {
    repository.tools().join("venv/bin").join(program)
}

pub(super) fn has(repository: &Repository, program: &str) -> bool {
    binary(repository, program).is_file()
}

/// Installs the Python packages that `requirements` lists; answers `false` when there is no Python to do it.
///
/// # Errors
///
/// When the installation fails.
pub(super) fn pip(repository: &Repository, requirements: &Path) -> Result<bool, Error> {
    if !has(repository, "python") {
        if !process::is_there("python3") {
            return Ok(false);
        }
        let venv = repository.tools().join("venv");
        process::run(
            repository.command("python3").args(["-m", "venv"]).arg(venv),
            LIMIT,
        )?;
    }
    once(repository, requirements, || {
        let mut pip = repository.command(binary(repository, "python"));
        pip.args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements);
        process::run(&mut pip, LIMIT)
    })?;
    Ok(true)
}

/// Installs what `folder/package-lock.json` names into `folder/node_modules`.
///
/// # Errors
///
/// When the installation fails.
pub(crate) fn npm(repository: &Repository, folder: &Path) -> Result<(), Error> {
    let lock = folder.join("package-lock.json");
    let install = || {
        let mut npm = repository.command("npm");
        npm.current_dir(folder)
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
        process::run(&mut npm, LIMIT)
    };
    if folder.join("node_modules").is_dir() {
        once(repository, &lock, install)
    } else {
        install().and_then(|()| remember(repository, &lock))
    }
}

/// Does `install` unless it was done for this very content of `list`.
fn once(
    repository: &Repository,
    list: &Path,
    install: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    let wanted = read(list)?;
    if fs::read(note(repository, list)).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    remember(repository, list)
}

fn remember(repository: &Repository, list: &Path) -> Result<(), Error> {
    let path = note(repository, list);
    let content = read(list)?;
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, content))
        .map_err(|source| Error::File {
            path: path.clone(),
            source,
        })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// The file that says what was installed from `list`.
fn note(repository: &Repository, list: &Path) -> PathBuf {
    let name = list
        .strip_prefix(&repository.root)
        .unwrap_or(list)
        .to_string_lossy()
        .replace('/', "-");
    repository.tools().join("installed").join(name)
}
