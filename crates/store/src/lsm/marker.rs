//! The file that says in which format the tables are written.

use crate::files::sync_folder;
use crate::tables::TablesError;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// The format that this program writes, and the newest that it reads.
const FORMAT_VERSION: u32 = 1;

const NAME: &str = "format";
const PREFIX: &str = "causeway tables ";

/// Checks the marker in `folder`; writes it when there is none yet. It is durable on return.
///
/// # Errors
///
/// [`TablesError::TooNew`] or [`TablesError::Io`].
pub(super) fn check(folder: &Path) -> Result<(), TablesError> {
    let path = folder.join(NAME);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let found = text
                .strip_prefix(PREFIX)
                .and_then(|it| it.trim_end().parse().ok());
            match found {
                Some(found) if found > FORMAT_VERSION => Err(TablesError::TooNew {
                    found,
                    known: FORMAT_VERSION,
                }),
                Some(_) => Ok(()),
                None => Err(failed("understand their format marker")(
                    io::ErrorKind::InvalidData.into(),
                )),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write(folder).map_err(failed("write their format marker"))
        }
        Err(error) => Err(failed("read their format marker")(error)),
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> TablesError {
    move |source| TablesError::Io { action, source }
}

fn write(folder: &Path) -> io::Result<()> {
    let draft = folder.join("format.new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{PREFIX}{FORMAT_VERSION}")?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(NAME))?;
    sync_folder(folder)
}
