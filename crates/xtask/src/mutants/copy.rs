//! A copy of the repository in which code may be broken.
//!
//! It is a Git repository of its own, so that `git apply` stays inside it. A file is written only when its content
//! changed: Cargo goes by times, and what was compiled stays compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::patch::Patch;
use crate::error::Error;
use crate::process;
use crate::repository::Repository;

const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Brings the copy in step with the repository, changes that are not committed included.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written, or Git is not there.
    pub(super) fn make(repository: &Repository) -> Result<Self, Error> {
        let folder = repository.memory().join("mutants");
        let copy = Self {
            tree: folder.join("tree"),
            target: folder.join("target"),
        };
        fs::create_dir_all(&copy.tree).map_err(|source| Error::File {
            path: copy.tree.clone(),
            source,
        })?;
        if !copy.tree.join(".git").is_dir() {
            process::run(copy.git().args(["init", "--quiet"]), LIMIT)?;
        }
        let files = repository.files()?;
        for file in &files {
            update(&repository.root.join(file), &copy.tree.join(file))?;
        }
        copy.remove_others(&files)?;
        Ok(copy)
    }

    /// # Errors
    ///
    /// When the patch does not apply.
    pub(super) fn apply(&self, patch: &Patch) -> Result<(), Error> {
        process::run(self.git().arg("apply").arg(&patch.path), LIMIT)
    }

    /// # Errors
    ///
    /// When what [`Copy::apply`] did cannot be undone.
    pub(super) fn undo(&self, patch: &Patch) -> Result<(), Error> {
        process::run(
            self.git().args(["apply", "--reverse"]).arg(&patch.path),
            LIMIT,
        )
    }

    /// Makes `cargo` work in the copy.
    pub(super) fn place(&self, cargo: &mut Command) {
        cargo
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target);
    }

    /// Where the output of a test is kept.
    pub(super) fn output(&self) -> PathBuf {
        self.target.with_extension("output")
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.tree);
        git
    }

    /// Removes what a former run copied and the repository no longer has.
    fn remove_others(&self, files: &[String]) -> Result<(), Error> {
        let (listing, _) = process::read(self.git().args(["ls-files", "-z", "--others"]))?;
        let gone = listing.split('\0').filter(|path| {
            !path.is_empty()
                && files
                    .binary_search_by(|file| file.as_str().cmp(path))
                    .is_err()
        });
        for path in gone {
            let path = self.tree.join(path);
            fs::remove_file(&path).map_err(|source| Error::File { path, source })?;
        }
        Ok(())
    }
}

fn update(from: &Path, to: &Path) -> Result<(), Error> {
    let content = fs::read(from).map_err(|source| Error::File {
        path: from.to_owned(),
        source,
    })?;
    if fs::read(to).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(to, content))
        .map_err(|source| Error::File {
            path: to.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::update;

    #[test]
    fn a_file_in_step_is_not_written_again() {
        let folder =
            std::env::temp_dir().join(format!("causeway-xtask-copy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("from"), folder.join("deep/to"));
        fs::write(&from, "one").unwrap();
        update(&from, &to).unwrap();
        let first = fs::metadata(&to).unwrap().modified().unwrap();
        update(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), first);
        fs::write(&from, "two").unwrap();
        update(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
        fs::remove_dir_all(&folder).unwrap();
    }
}
