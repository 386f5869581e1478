//! What the program tells its operator while it runs: `tracing` on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How much is told, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to log, as `tracing` directives: `warn`, `info`, `info,node=debug`.
    #[arg(long, global = true, default_value = "warn", value_name = "DIRECTIVES")]
    log: String,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Libraries that tell more than an operator wants, unless named: every vote at `info`, and an error for each compaction
/// that the program's end cut short.
const QUIET: &str = "arc_malachitebft=warn,lsm_tree=off";

/// Starts logging. Directives that make no sense are taken as `warn`.
pub(crate) fn start(options: &Options) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", options.log))
        .unwrap_or_else(|_senseless| EnvFilter::new(format!("{QUIET},warn")));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match options.log_format {
        Format::Text => subscriber.with_ansi(crate::terminal::is_watched()).init(),
        Format::Json => subscriber.json().init(),
    }
}
