//! The table of minutes: what each step of the last test run cost, kept in the target folder.

use std::fs;
use std::path::PathBuf;

use crate::error::Error;
use crate::repository::Repository;

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) step: String,
    pub(crate) seconds: f64,
    /// `passed`, `failed` or `skipped`, and why.
    pub(crate) outcome: String,
}

/// Keeps `rows` for the next call of [`print()`].
///
/// # Errors
///
/// [`Error::File`].
pub(crate) fn keep(repository: &Repository, rows: &[Row]) -> Result<(), Error> {
    let path = path(repository);
    let result =
        fs::create_dir_all(repository.memory()).and_then(|()| fs::write(&path, table(rows)));
    result.map_err(|source| Error::File { path, source })
}

/// Prints the table of the last run, or how to get one.
pub(crate) fn print(repository: &Repository) {
    match fs::read_to_string(path(repository)) {
        Ok(table) => println!("\nThe last test run:\n\n{table}"),
        Err(_) => println!("\nNo test run yet: `cargo xtask test` makes the table of minutes."),
    }
}

/// The table as text.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows
        .iter()
        .map(|row| row.step.chars().count())
        .max()
        .unwrap_or(0)
        .max("step".len());
    let line = |step: &str, minutes: &str, outcome: &str| {
        format!("{step:width$}  {minutes:>7}  {outcome}\n")
    };
    let mut text = line("step", "minutes", "outcome");
    for row in rows {
        text.push_str(&line(
            &row.step,
            &format!("{:.2}", row.seconds / 60.0),
            &row.outcome,
        ));
    }
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    text.push_str(&line("total", &format!("{:.2}", total / 60.0), ""));
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn path(repository: &Repository) -> PathBuf {
    repository.memory().join("minutes.txt")
}

#[cfg(test)]
mod tests {
    use super::{Row, table};

    #[test]
    fn the_table_lines_up_and_sums() {
        let row = |step: &str, seconds, outcome: &str| Row {
            step: step.to_owned(),
            seconds,
            outcome: outcome.to_owned(),
        };
        let rows = [
            row("fmt", 3.0, "passed"),
            row("clippy", 123.0, "failed: cargo ended with code 101"),
        ];
        assert_eq!(
            table(&rows),
            "step    minutes  outcome\n\
             fmt        0.05  passed\n\
             clippy     2.05  failed: cargo ended with code 101\n\
             total      2.10\n"
        );
    }
}
