//! `causeway city`: a city's folder, made once and read at every start.
//!
//! ```text
//!  DIR/node.key        the node key, 0600       or  node.key.json, a keystore v3
//!      tls.key         the key of its links, 0600
//!      authority.key  speaks for the member, 0600; made only where no --authority was given   or  authority.key.json
//!      card.json       what others may know, signed by the node key; written last
//!      city.toml       configuration, for the operator's hand
//!      lock, format    of the folder itself (see `node::Folder`)
//! ```
//!
//! A folder with one of these in it (lock and format aside) is initialised and never written over. [`load_city`] reads it back, and
//! refuses what does not fit together.

pub(crate) mod card;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod files;
pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod keys;
pub(crate) mod keystore;
pub(crate) mod names;
pub(crate) mod password;
pub(crate) mod registered;
pub(crate) mod rotate;
pub(crate) mod run;
mod serving;

use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use link::Identity;
use types::NodeKey;

use card::{Card, ReadCardError};
use config::{CityConfig, ConfigError};
use keys::KeyError;
use password::PasswordOptions;

/// Name of the configuration in the data folder.
pub(crate) const CONFIG_FILE: &str = "city.toml";
/// Name of the card in the data folder.
pub(crate) const CARD_FILE: &str = "card.json";

/// A city of a network: a node that an institution runs in a place.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a city's data folder: its keys, its configuration, and the public card to give to the network's founder.
    Init(init::Options),
    /// Makes a city's data folder for a network that is there, and the card by which a member brings it in.
    Join(join::Options),
    /// Checks a city's data folder, and with --genesis that the city belongs to that network; changes nothing.
    Check(check::Options),
    /// Runs a city of a network.
    Run(run::Options),
    /// Lists the cities that the hub knows.
    List(registered::ListOptions),
    /// Shows a city as the hub knows it: place, offer, and what is taken of it.
    Show(registered::ShowOptions),
    /// Brings in a further city of a member, by the member's own word.
    Register(registered::RegisterOptions),
    /// Says what a city hosts, for whom, at which price.
    Offer(registered::OfferOptions),
    /// Says where a city is reached.
    Endpoint(registered::EndpointOptions),
    /// Has a city go on under a new key: its applications go over to it, and no owner is asked.
    Rotate(rotate::Options),
    /// Has a city be no validator of the hub any more.
    Withdraw(serving::Options),
    /// Lets a city that was withdrawn be a validator of the hub again.
    Readmit(serving::Options),
    /// Takes a city out of service for ever, once nothing is placed on it.
    Retire(registered::RetireOptions),
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    match options.command {
        Command::Init(options) => init::run(options).await,
        Command::Join(options) => join::run(options).await,
        Command::Check(options) => check::run(options).await,
        Command::Run(options) => run::run(options).await,
        Command::List(options) => registered::list(options).await,
        Command::Show(options) => registered::show(options).await,
        Command::Register(options) => registered::register(options).await,
        Command::Offer(options) => registered::offer(options).await,
        Command::Endpoint(options) => registered::endpoint(options).await,
        Command::Rotate(options) => rotate::run(options).await,
        Command::Withdraw(options) => serving::withdraw(options).await,
        Command::Readmit(options) => serving::readmit(options).await,
        Command::Retire(options) => registered::retire(options).await,
    }
}

/// What a city's data folder holds, read and found to fit together.
#[derive(Debug)]
pub(crate) struct LoadedCity {
    /// The city's name as a validator, and what it signs with.
    pub(crate) key: NodeKey,
    /// What it shows to other cities.
    pub(crate) identity: Identity,
    /// Its own card.
    pub(crate) card: Card,
    /// Its configuration.
    pub(crate) config: CityConfig,
}

/// Why a city's data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The card.
    #[error(transparent)]
    Card(#[from] ReadCardError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder was put together from two.
    #[error(
        "{}: address: the card is of {card}, the node key of {key}; card and keys of one `causeway city init` belong together",
        .path.display()
    )]
    OtherKey {
        /// The card.
        path: PathBuf,
        /// On the card.
        card: Address,
        /// Of the key.
        key: Address,
    },
    /// The folder was put together from two.
    #[error(
        "{}: tls_fingerprint: the card names {card}, tls.key has {key}; card and keys of one `causeway city init` belong together",
        .path.display()
    )]
    OtherTlsKey {
        /// The card.
        path: PathBuf,
        /// On the card.
        card: B256,
        /// Of the key.
        key: B256,
    },
}

/// Reads a city's data folder. The password of an encrypted key comes from `options`, else from where the configuration
/// says. Takes no lock: whoever runs the city does.
///
/// # Errors
///
/// [`LoadError`].
pub(crate) async fn load_city(
    data: &Path,
    options: &PasswordOptions,
) -> Result<LoadedCity, LoadError> {
    let config = CityConfig::read(&data.join(CONFIG_FILE))?;
    let path = data.join(CARD_FILE);
    let card = Card::read(&path)?;
    let source = options.source().or_else(|| config.password.clone());
    let key = keys::read_node_key(data, source.as_ref()).await?;
    let identity = keys::read_identity(data)?;
    if card.address != key.address() {
        return Err(LoadError::OtherKey {
            path,
            card: card.address,
            key: key.address(),
        });
    }
    let fingerprint = B256::from(identity.fingerprint());
    if card.tls_fingerprint != fingerprint {
        return Err(LoadError::OtherTlsKey {
            path,
            card: card.tls_fingerprint,
            key: fingerprint,
        });
    }
    Ok(LoadedCity {
        key,
        identity,
        card,
        config,
    })
}
