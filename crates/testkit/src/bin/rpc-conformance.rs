//! `rpc-conformance`: public JSON-RPC cases against our server on the chain they are made for.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use testkit::conformance;
use testkit::conformance::chain::import;
use testkit::conformance::server::serve;

/// Imports the chain of a folder of cases, serves it, and asks every question of the cases.
#[derive(Parser)]
struct Arguments {
    /// The folder with `tests/` in it.
    folder: PathBuf,
    /// The methods' schemas.
    #[arg(long, value_name = "FILE")]
    openrpc: Option<PathBuf>,
    /// Ask this server, `http://HOST:PORT`, which has the chain already.
    #[arg(long)]
    url: Option<String>,
    /// Only cases whose METHOD/NAME begins so.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments {
        folder,
        openrpc,
        url,
        only,
    } = Arguments::parse();
    let openrpc = openrpc.unwrap_or_else(|| folder.join("../execution-apis/openrpc.json"));
    let tests = folder.join("tests");
    let (url, _served) = match url {
        Some(url) => (url, None),
        None => {
            let imported = import(&tests).context("the chain of the cases was not imported")?;
            println!(
                "imported {} blocks up to {}",
                imported.height, imported.head
            );
            let served = serve(imported)?;
            (served.url.clone(), Some(served))
        }
    };
    let report = conformance::run(&tests, &openrpc, &url, &only)?;
    print!("{report}");
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
