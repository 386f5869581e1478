//! Running other programs, each with a time limit.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How often a running program is looked at. Steps take seconds to minutes, so nobody notices.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a program that took too long may use to end its own children before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Runs `command` with this terminal until it ends.
///
/// # Errors
///
/// [`Error::Start`], [`Error::Failed`], or [`Error::TooLong`] after `limit`; the program is ended then.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<(), Error> {
    let program = name(command);
    command.stdin(Stdio::null());
    let mut child = command.spawn().map_err(|source| Error::Start {
        program: program.clone(),
        source,
    })?;
    let Some(status) = wait(&mut child, limit) else {
        end(&mut child);
        return Err(Error::TooLong { program, limit });
    };
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed {
            program,
            code: status.code(),
        })
    }
}

/// Runs `command` to its end and gives what it wrote to stdout, and whether it succeeded. Its stderr is not kept.
///
/// # Errors
///
/// [`Error::Start`].
pub(crate) fn read(command: &mut Command) -> Result<(String, bool), Error> {
    let program = name(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|source| Error::Start { program, source })?;
    Ok((
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.success(),
    ))
}

/// Whether `program --version` can be run.
pub(crate) fn is_there(program: &str) -> bool {
    read(Command::new(program).arg("--version")).is_ok_and(|(_, succeeded)| succeeded)
}

fn name(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(LOOK_EVERY);
    }
    None
}

/// Asks first, so that a test runner can end the programs that it started.
fn end(child: &mut Child) {
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    if asked.is_ok() && wait(child, GRACE).is_some() {
        return;
    }
    // It may have ended in this moment; either way it is gone after this.
    drop(child.kill());
    drop(child.wait());
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{is_there, read, run};
    use crate::error::Error;

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let result = run(Command::new("sleep").arg("60"), Duration::from_millis(100));
        assert!(matches!(result, Err(Error::TooLong { .. })));
    }

    #[test]
    fn a_failure_tells_its_code() {
        let result = run(
            Command::new("sh").args(["-c", "exit 7"]),
            Duration::from_secs(60),
        );
        assert!(matches!(result, Err(Error::Failed { code: Some(7), .. })));
    }

    #[test]
    fn output_is_read_whole() {
        assert_eq!(
            read(Command::new("echo").arg("three words here")).unwrap(),
            ("three words here\n".to_owned(), true)
        );
    }

    #[test]
    fn what_is_not_installed_is_not_there() {
        assert!(is_there("git"));
        assert!(!is_there("a-program-that-nobody-has"));
    }
}
