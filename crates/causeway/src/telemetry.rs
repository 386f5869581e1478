//! What the program tells its operator while it runs: `tracing` on standard error.

use std::str::FromStr;
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How much is told, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to log, as `tracing` directives: `warn`, `info`, `info,node=debug` [default: warn; of the demonstration error].
    #[arg(long, global = true, value_name = "DIRECTIVES")]
    log: Option<String>,
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

/// What to log, as `tracing` directives that make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directives(String);

impl FromStr for Directives {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        EnvFilter::try_new(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// Puts another filter in place of the one in force; set once, when logging starts.
static REPLACE: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();
/// What the command line says; set once.
static STARTED_WITH: OnceLock<String> = OnceLock::new();

/// Starts logging, `otherwise` where the command line does not say what. Directives that make no sense are taken as `warn`.
pub(crate) fn start(options: &Options, otherwise: &str) {
    let directives = options.log.as_deref().unwrap_or(otherwise);
    let filter = filter(directives);
    STARTED_WITH.get_or_init(|| directives.to_owned());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match options.log_format {
        Format::Text => {
            let subscriber = subscriber
                .with_ansi(crate::terminal::is_watched())
                .with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            // It fails only when the subscriber is gone, at the program's end.
            REPLACE.get_or_init(|| Box::new(move |filter| drop(handle.reload(filter))));
        }
        Format::Json => {
            let subscriber = subscriber.json().with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            REPLACE.get_or_init(|| Box::new(move |filter| drop(handle.reload(filter))));
        }
    }
}

/// Logs what `directives` say from now on; what the command line says when there are none.
pub(crate) fn change(directives: Option<&Directives>) {
    let started_with = STARTED_WITH.get().map_or("warn", String::as_str);
    let directives = directives.map_or(started_with, |directives| &directives.0);
    if let Some(replace) = REPLACE.get() {
        replace(filter(directives));
    }
}

fn filter(directives: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{QUIET},{directives}"))
        .unwrap_or_else(|_senseless| EnvFilter::new(format!("{QUIET},warn")))
}
