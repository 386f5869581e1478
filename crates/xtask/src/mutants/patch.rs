//! A mutation: a unified diff below a line that names the test it must turn red.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// The file's name without its ending.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) package: String,
    /// The test's whole path inside its package.
    pub(super) test: String,
}

impl Patch {
    /// # Errors
    ///
    /// [`Error::File`], or [`Error::Missing`] without a line that names a test.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
        let (package, test) = named_test(&text).ok_or_else(|| Error::Missing {
            what: format!("the line `# fails: PACKAGE TEST` of {}", path.display()),
            hint: "say which test must notice",
        })?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            name,
            path: path.to_owned(),
            package,
            test,
        })
    }
}

fn named_test(text: &str) -> Option<(String, String)> {
    let comments = text.lines().take_while(|line| line.starts_with('#'));
    let named = comments
        .filter_map(|line| line.strip_prefix("# fails: "))
        .next()?;
    let (package, test) = named.trim().split_once(' ')?;
    Some((package.to_owned(), test.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::named_test;

    #[test]
    fn the_test_is_named_above_the_diff() {
        let named = named_test(
            "# Skips a sync.\n# fails: store segments::tests::a_sync_is_kept\n--- a/x\n",
        );
        assert_eq!(
            named,
            Some((
                "store".to_owned(),
                "segments::tests::a_sync_is_kept".to_owned()
            ))
        );
        assert_eq!(named_test("--- a/x\n# fails: store x\n"), None);
        assert_eq!(named_test("# fails: store\n"), None);
    }
}
