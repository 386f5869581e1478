//! A person agrees before anything is sent, or `--yes` says that nobody is to be asked.

use crate::exit::Usage;
use crate::terminal;

/// The person said no.
#[derive(Debug, thiserror::Error)]
#[error("not sent: it was not agreed to")]
struct Declined;

/// Whether anybody can agree at all; asked first, so that nothing is done in vain.
///
/// # Errors
///
/// [`Usage`].
pub(crate) fn check(yes: bool) -> Result<(), Usage> {
    if yes || terminal::can_ask() {
        return Ok(());
    }
    let words = "nobody can be asked whether to do it: give --yes";
    Err(Usage(String::from(words)))
}

/// Asks, unless `yes` was said.
///
/// # Errors
///
/// When it is not agreed to.
pub(crate) fn ask(yes: bool, question: &str) -> anyhow::Result<()> {
    if yes || terminal::ask(question)? {
        return Ok(());
    }
    Err(Declined.into())
}
