//! The repository: where it is, which files it holds, which crates it has.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};

use crate::error::Error;
use crate::process;

/// Folders that every task shares.
#[derive(Debug)]
pub(crate) struct Repository {
    /// The folder of the workspace's manifest.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, wherever it was put.
    pub(crate) target: PathBuf,
    /// What Cargo says of the workspace, without foreign crates.
    pub(crate) metadata: Metadata,
}

impl Repository {
    /// The repository around the current folder.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`].
    pub(crate) fn find() -> Result<Self, Error> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let target = metadata.target_directory.clone().into_std_path_buf();
        Ok(Self {
            root,
            target,
            metadata,
        })
    }

    /// Every file that is tracked, or new and not ignored: paths from the root, with `/`.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] without Git, [`Error::Missing`] outside a Git checkout.
    pub(crate) fn files(&self) -> Result<Vec<String>, Error> {
        let mut git = self.command("git");
        git.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let (listing, succeeded) = process::read(&mut git)?;
        if !succeeded {
            return Err(Error::Missing {
                what: "a Git checkout".to_owned(),
                hint: "run this in a clone",
            });
        }
        let mut files: Vec<String> = listing
            .split('\0')
            .filter(|path| !path.is_empty() && self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The text of a file, or `None` when it is not text.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, Error> {
        let path = self.root.join(path);
        let bytes = fs::read(&path).map_err(|source| Error::File { path, source })?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// A program to be run in the root.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        command
    }

    /// Cargo, as it was called, with the installed tools of this repository on its path.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo =
            self.command(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        let mut path = vec![self.tools().join("venv/bin")];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        if let Ok(path) = env::join_paths(path) {
            cargo.env("PATH", path);
        }
        cargo
    }

    /// Where tools for tests are installed: a folder that Git ignores.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    /// Where this tool keeps what it remembers between runs.
    pub(crate) fn memory(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// Where the public conformance vectors are: `CAUSEWAY_VECTORS`, or a folder beside the repository.
    pub(crate) fn vectors(&self) -> PathBuf {
        env::var_os("CAUSEWAY_VECTORS")
            .map_or_else(|| self.root.join("../shared/vectors"), PathBuf::from)
    }
}
