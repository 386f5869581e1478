//! The program: commands, configuration, wiring.
//!
//! Standard output is a command's result and nothing else; everything else goes to standard error.

mod admin;
mod application;
mod cities;
mod city;
mod consent;
mod demo;
mod dev;
mod development;
mod exit;
mod governance;
mod hub_client;
mod member;
mod metrics;
mod network;
mod telemetry;
mod terminal;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Version and the commit that it was built from.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("CAUSEWAY_COMMIT"),
    ")"
);

/// Chains of your own, final and durable, for every Ethereum tool.
#[derive(Debug, Parser)]
#[command(name = "causeway", version = VERSION, propagate_version = true, args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    telemetry: telemetry::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a development chain that ethers, viem, web3.py, cast, Hardhat and wallets can use.
    Dev(dev::Options),
    /// Shows the main job: a network is founded, a city joins and one is removed by vote, and applications go on.
    Demo(demo::Options),
    /// Makes, runs and offers a city: a node that an institution runs in a place.
    City(cities::Options),
    /// Shows the institutions of a network.
    Member(member::Options),
    /// Proposes, votes, and executes what members decided.
    Governance(governance::Options),
    /// Places applications on cities, and shows them.
    App(application::Options),
    /// Founds a network from its cities' cards, and shows what founds one.
    Network(network::Options),
    /// Checks a stopped city's data: links, certificates, and roots computed anew.
    Verify(verify::Options),
    /// Asks a running city through the socket in its data folder.
    Admin(admin::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = match &arguments.command {
        // Of a city that is removed, others warn; who looks is told in steps.
        Command::Demo(_) => "error",
        _ => "warn",
    };
    telemetry::start(&arguments.telemetry, log);
    let outcome = match arguments.command {
        Command::Dev(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(dev::run(options)))
        }
        Command::Demo(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(demo::run(options)))
        }
        Command::City(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(cities::run(options)))
        }
        Command::Member(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(member::run(options)))
        }
        Command::Governance(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(governance::run(options)))
        }
        Command::App(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(application::run(options)))
        }
        Command::Network(options) => network::run(options),
        Command::Verify(options) => {
            city::runtime().and_then(|runtime| runtime.block_on(verify::run(options)))
        }
        Command::Admin(options) => admin::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("causeway: {error:#}"));
            exit::code(&error)
        }
    }
}
