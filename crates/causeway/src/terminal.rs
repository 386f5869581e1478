//! Words for whoever looks, and results for whoever pipes.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Whether a person looks at standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// A line for people, on standard error.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// A line of result, on standard output.
pub(crate) fn result(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(())
}

/// Facts as result, on standard output: a table when a person looks, a line each in a pipe.
pub(crate) fn facts(title: &str, rows: &[(&str, String)]) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        table.set_header([title, ""]);
        for (name, value) in rows {
            table.add_row([*name, value.as_str()]);
        }
        return result(&table.to_string());
    }
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    result(&lines.join("\n"))
}

/// Entries as result, on standard output: a table when a person looks, fields between tabs in a pipe. Both begin with the
/// fields' names.
pub(crate) fn list(names: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        table.set_header(names);
        for row in rows {
            table.add_row(row);
        }
        return result(&table.to_string());
    }
    let lines = rows.iter().map(|row| row.join("\t"));
    let lines: Vec<String> = std::iter::once(names.join("\t")).chain(lines).collect();
    result(&lines.join("\n"))
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && is_watched()
}

/// Asks a person; whatever is not yes is no.
pub(crate) fn ask(question: &str) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().take(64).read_line(&mut line)?;
    Ok(matches!(
        line.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

/// Widest bar, in characters.
const BAR: usize = 40;

/// Steps of something that takes a while: a spinner that becomes a tick on a terminal, lines in a pipe.
#[derive(Debug)]
pub(crate) struct Steps {
    done: usize,
    all: usize,
    is_timed: bool,
}

impl Steps {
    pub(crate) const fn new(all: usize) -> Self {
        Self {
            done: 0,
            all,
            is_timed: false,
        }
    }

    /// Steps that tell how long they took.
    pub(crate) const fn timed(all: usize) -> Self {
        Self {
            done: 0,
            all,
            is_timed: true,
        }
    }

    /// Shows a step while `work` runs, and what came of it afterwards.
    pub(crate) async fn step<T>(
        &mut self,
        title: &str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        self.watched(title, async |_progress| work.await).await
    }

    /// The same of work that says meanwhile how far it is.
    pub(crate) async fn watched<T>(
        &mut self,
        title: &str,
        work: impl AsyncFnOnce(Progress) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        self.done += 1;
        let place = format!("[{}/{}]", self.done, self.all);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
            bar.set_style(style);
        }
        if is_watched() {
            bar.set_message(format!("{place} {title}"));
            bar.enable_steady_tick(Duration::from_millis(80));
        }
        let progress = Progress {
            bar: bar.clone(),
            title: format!("{place} {title}"),
        };
        let begun = Instant::now();
        let outcome = work(progress).await;
        bar.finish_and_clear();
        let (value, mut note) = outcome?;
        if self.is_timed {
            note.push_str(&format!(" ({} ms)", begun.elapsed().as_millis()));
        }
        let tick = if is_watched() {
            "\u{1b}[32m✓\u{1b}[0m"
        } else {
            "ok"
        };
        say(&format!("{tick} {place} {title}: {note}"));
        Ok(value)
    }
}

/// How far a step is, for whoever looks; a pipe is told at its end.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    title: String,
}

impl Progress {
    /// Shows that `done` of `all` are there.
    pub(crate) fn at(&self, done: usize, all: usize) {
        if is_watched() {
            let width = all.min(BAR);
            let full = done.min(all) * width / all.max(1);
            let bar = "█".repeat(full) + &"░".repeat(width - full);
            self.bar
                .set_message(format!("{} {bar} {done} of {all}", self.title));
        }
    }
}
