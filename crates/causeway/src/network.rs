//! `causeway network`: founds a network from its first cities' cards, and reads what founds one.
//!
//! ```text
//!  a.json b.json c.json d.json ──▶ network create ──▶ genesis.json ──▶ every city
//! ```
//!
//! `genesis.json` is public. Each city is given the same file and checks all of it; who wants to be sure that it is the
//! same compares the network's id.

mod founding;
mod genesis_file;
pub(crate) mod tolerance;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use node::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::cities::card::{Card, ReadCardError};
use crate::cities::files::{self, FileError, JsonError, Mode};
use crate::cities::names::NetworkName;
use crate::terminal;

use founding::FoundingError;
use genesis_file::GenesisFileError;

pub(crate) use founding::Network;

/// Most bytes of a genesis file; the largest has less than 64 KiB.
const MAX_FILE: u64 = 1 << 20;

/// A network: its first chain, the hub, and the cities that keep it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Founds a network from its cities' cards.
    Create(CreateOptions),
    /// Checks a genesis file and shows the network that it founds.
    Show(ShowOptions),
}

/// What the new network is to be.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct CreateOptions {
    /// The network's name.
    #[arg(long)]
    name: NetworkName,
    /// The cards of its cities, one city a member: 1, 4 or more; 2 and 3 work and tolerate nothing.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    cards: Vec<PathBuf>,
    /// A number that the network begins with in place of the default, like timeLock=172800; may be given more than once. They are
    /// those of `causeway governance parameters`.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, u64)>,
    /// The genesis file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write over the file if it is there.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Which network.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct ShowOptions {
    /// The genesis file.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Why no network was founded.
#[derive(Debug, thiserror::Error)]
enum CreateError {
    /// A card.
    #[error(transparent)]
    Card(#[from] ReadCardError),
    /// Two cards for one thing.
    #[error("{} and {}: both have the same {what}", .first.display(), .second.display())]
    Twice {
        first: PathBuf,
        second: PathBuf,
        what: &'static str,
    },
    /// The cards make no network.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is there.
    #[error("{} is there already; --force writes over it", .path.display())]
    Exists { path: PathBuf },
}

/// Why a genesis file founds no network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadGenesisError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not JSON of the right form.
    #[error("{}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: JsonError,
    },
    /// It contradicts itself.
    #[error("{}", .path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: GenesisFileError,
    },
    /// A card that was made to join another network.
    #[error("{}: its network is {known}, the city's card is for {own}", .path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// Of the file.
        known: B256,
        /// On the card.
        own: B256,
    },
    /// Another network's, for this city.
    #[error("{}: the city {address} is none of this network's", .path.display())]
    NoMember {
        /// The file.
        path: PathBuf,
        /// The city.
        address: Address,
    },
    /// The network knows the city by another TLS key, so that no other city would let it in.
    #[error(
        "{}: the city {address} is known here by the TLS fingerprint {known}, its card says {own}: it cannot connect",
        .path.display()
    )]
    OtherTlsKey {
        /// The file.
        path: PathBuf,
        /// The city.
        address: Address,
        /// In the file.
        known: B256,
        /// On the card.
        own: B256,
    },
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::Create(options) => {
            let path = options.out.clone();
            let as_json = options.json;
            let network = create(options, SystemClock.now_ms())?;
            show(&network, &path, as_json)
        }
        Command::Show(options) => {
            let network = read_genesis(&options.genesis)?;
            show(&network, &options.genesis, options.json)
        }
    }
}

/// Reads and checks the genesis file at `path`.
///
/// # Errors
///
/// [`ReadGenesisError`].
pub(crate) fn read_genesis(path: &Path) -> Result<Network, ReadGenesisError> {
    let bytes = files::read(path, MAX_FILE)?;
    // Before a missing key is told of: earlier versions have others.
    if let Some(found @ 0..genesis_file::VERSION) = files::version_of(&bytes) {
        return Err(ReadGenesisError::Genesis {
            path: path.to_path_buf(),
            source: GenesisFileError::Old { found },
        });
    }
    let file = files::parse_json(&bytes).map_err(|source| ReadGenesisError::Form {
        path: path.to_path_buf(),
        source,
    })?;
    Network::check(file, &bytes).map_err(|source| ReadGenesisError::Genesis {
        path: path.to_path_buf(),
        source,
    })
}

impl Network {
    /// Whether the city with this card is one of the network's founders, under the TLS key that the others know, or was made
    /// to join it (whether it was let in, the hub says); `path` is the genesis file, for the error. The endpoint may be
    /// another by now.
    ///
    /// # Errors
    ///
    /// [`ReadGenesisError`].
    pub(crate) fn check_member(&self, path: &Path, card: &Card) -> Result<(), ReadGenesisError> {
        let path = path.to_path_buf();
        let address = card.address;
        match self.card(address) {
            None if card.network == self.network_id().0 => Ok(()),
            None if !card.network.is_zero() => Err(ReadGenesisError::OtherNetwork {
                path,
                known: self.network_id().0,
                own: card.network,
            }),
            None => Err(ReadGenesisError::NoMember { path, address }),
            Some(known) if known.tls_fingerprint != card.tls_fingerprint => {
                Err(ReadGenesisError::OtherTlsKey {
                    path,
                    address,
                    known: known.tls_fingerprint,
                    own: card.tls_fingerprint,
                })
            }
            Some(_known) => Ok(()),
        }
    }

    /// What a person wants to know of it.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Network", self.founding().name.clone()),
            ("Network id", self.network_id().0.to_string()),
            ("Chain id (hub)", self.chain_id().to_string()),
        ]
    }
}

fn parse_parameter(text: &str) -> anyhow::Result<(String, u64)> {
    let (name, value) = text
        .split_once('=')
        .context("it is NAME=VALUE, like timeLock=172800")?;
    let value = value.parse().context("the value is a whole number")?;
    Ok((name.to_owned(), value))
}

fn create(options: CreateOptions, now_ms: u64) -> Result<Network, CreateError> {
    let mut cards: Vec<(PathBuf, Card)> = Vec::new();
    for path in options.cards {
        let card = Card::read(&path)?;
        let same = cards
            .iter()
            .find_map(|(first, other)| Some((first, founding::same(other, &card)?)));
        if let Some((first, key)) = same {
            return Err(CreateError::Twice {
                first: first.clone(),
                second: path,
                what: key,
            });
        }
        cards.push((path, card));
    }
    let cards = cards.into_iter().map(|(_path, card)| card).collect();
    let network = Network::found(&options.name, cards, now_ms, options.parameters)?;
    let text = network.to_text();
    if options.force {
        files::write_over(&options.out, text.as_bytes(), Mode::Public)?;
    } else {
        match files::write_new(&options.out, text.as_bytes(), Mode::Public) {
            Err(FileError::Exists { path }) => return Err(CreateError::Exists { path }),
            written => written?,
        }
    }
    Ok(network)
}

fn show(network: &Network, path: &Path, as_json: bool) -> anyhow::Result<()> {
    let tolerance = network.tolerance();
    let (cities, members) = (tolerance.cities, tolerance.members);
    if as_json {
        let cards: Vec<Value> = network
            .cards()
            .iter()
            .map(|card| json!(card.to_file()))
            .collect();
        let line = json!({
            "genesis": path,
            "name": network.founding().name,
            "founded_ms": network.founding().founded_ms,
            "network_id": network.network_id().0,
            "chain_id": network.chain_id().get(),
            "cities": cities.all,
            "institutions": members.all,
            "may_fail": { "cities": cities.may_fail, "institutions": members.may_fail },
            "parameters": network.agreed().into_iter().collect::<BTreeMap<_, _>>(),
            "cards": cards,
        });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    let mut rows = network.rows();
    rows.push(("Genesis", path.display().to_string()));
    for card in network.cards() {
        let city = format!(
            "{}, {}, {}, {}",
            card.address, card.member, card.place, card.endpoint
        );
        rows.push(("City", city));
    }
    for (name, value) in network.agreed() {
        rows.push(("Agreed", format!("{name} is {value}")));
    }
    rows.push((
        "May fail",
        format!(
            "{} of {} cities, {} of {} institutions",
            cities.may_fail, cities.all, members.may_fail, members.all
        ),
    ));
    terminal::facts("Network", &rows)?;
    if cities.may_fail == 0 {
        terminal::say(
            "This network tolerates nothing: when a city stops, it stops. From four cities on, one may fail.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
