//! `causeway city init`: makes a city's data folder.
//!
//! Everything that can be refused is refused before anything is written. The card is written last: a folder without one
//! is what an interrupted run left.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use anyhow::Context as _;
use clap::Args;
use node::Folder;
use serde_json::json;

use super::card::{Card, Words};
use super::config::{CityConfig, RpcConfig};
use super::files::{self, Mode};
use super::keys::{self, KEYSTORE_FILE, PLAIN_FILE, TLS_FILE};
use super::names::{Endpoint, MemberName, NameError, Place, RpcUrl};
use super::password::{Password, PasswordOptions, PasswordSource};
use super::{CARD_FILE, CONFIG_FILE};
use crate::terminal;

/// What the new city is to be.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    /// The data folder to make.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the city is, by UN/LOCODE, like "CN SHA".
    #[arg(long)]
    place: Place,
    /// The institution that runs it.
    #[arg(long, value_name = "NAME")]
    member: MemberName,
    /// Address where other cities connect (UDP); 0.0.0.0 and :: need --endpoint.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Where others reach it, for the card, when that is not --listen.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,
    /// Address where it serves JSON-RPC; none is served without it.
    #[arg(long, value_name = "ADDR")]
    rpc: Option<SocketAddr>,
    #[command(flatten)]
    password: PasswordOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Why no city was made.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(
        "{} is initialised already: {file} is there; nothing was changed. Choose another folder",
        .data.display()
    )]
    Initialised { data: PathBuf, file: &'static str },
    #[error("--listen {listen}: port 0 is none that others could connect to")]
    NoPort { listen: SocketAddr },
    #[error(
        "--listen {listen} does not say where others reach the city: give --endpoint HOST:PORT as well"
    )]
    NeedsEndpoint { listen: SocketAddr },
    #[error("--rpc {rpc}: port 0 is none that others could connect to")]
    NoRpcPort { rpc: SocketAddr },
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let data = &options.data;
    let endpoint = endpoint(options.listen, options.endpoint.as_ref())?;
    let rpc = rpc(options.rpc, &endpoint)?;
    check_new(data)?;
    let source = absolute(options.password.source())?;
    let password = match &source {
        Some(source) => Some(Password::from_source(source).await?),
        None => None,
    };
    let config = CityConfig {
        listen: options.listen,
        log: None,
        password: source,
        rpc: options.rpc.map(|listen| RpcConfig {
            listen,
            cors: Vec::new(),
            hosts: Vec::new(),
        }),
        metrics: None,
        endpoints: std::collections::BTreeMap::new(),
    };
    let words = Words {
        member: options.member,
        place: options.place,
        endpoint,
        rpc,
    };
    let card = make(data, password.as_ref(), &config, words)?;
    let key_file = data.join(if password.is_some() {
        KEYSTORE_FILE
    } else {
        PLAIN_FILE
    });
    show(&card, data, &key_file, options.json)
}

/// Makes the folder's files, the card last.
fn make(
    data: &Path,
    password: Option<&Password>,
    config: &CityConfig,
    words: Words,
) -> anyhow::Result<Card> {
    let folder = Folder::open(data)?;
    // Again, now that nobody else can be at it.
    check_new(data)?;
    let key = keys::make_node_key(&folder, password)?;
    let identity = keys::make_identity(data)?;
    let text = config.to_text();
    files::write_new(&data.join(CONFIG_FILE), text.as_bytes(), Mode::Private)?;
    let card = Card::sign(words, B256::from(identity.fingerprint()), &key);
    let mut text = serde_json::to_vec_pretty(&card.to_file())?;
    text.push(b'\n');
    files::write_new(&data.join(CARD_FILE), &text, Mode::Public)?;
    Ok(card)
}

fn check_new(data: &Path) -> Result<(), Refused> {
    let initialised = [PLAIN_FILE, KEYSTORE_FILE, TLS_FILE, CONFIG_FILE, CARD_FILE]
        .into_iter()
        .find(|file| data.join(file).symlink_metadata().is_ok());
    match initialised {
        Some(file) => Err(Refused::Initialised {
            data: data.to_path_buf(),
            file,
        }),
        None => Ok(()),
    }
}

fn endpoint(listen: SocketAddr, given: Option<&Endpoint>) -> Result<Endpoint, Refused> {
    if listen.port() == 0 {
        return Err(Refused::NoPort { listen });
    }
    match given {
        Some(endpoint) => Ok(endpoint.clone()),
        // Of the addresses with a port, only the unspecified ones are no endpoint.
        None => {
            Endpoint::try_from(listen).map_err(|_unspecified| Refused::NeedsEndpoint { listen })
        }
    }
}

/// What the card says of JSON-RPC: nothing where those who reach the endpoint cannot reach it; the endpoint's host where
/// it listens on every address.
fn rpc(listen: Option<SocketAddr>, endpoint: &Endpoint) -> anyhow::Result<Option<RpcUrl>> {
    let Some(listen) = listen else {
        return Ok(None);
    };
    if listen.port() == 0 {
        return Err(Refused::NoRpcPort { rpc: listen }.into());
    }
    if listen.ip().is_loopback() && !endpoint.is_loopback() {
        return Ok(None);
    }
    let url = |url: Result<RpcUrl, NameError>| url.context("--rpc");
    if listen.ip().is_unspecified() {
        return url(RpcUrl::plain(endpoint.host(), listen.port())).map(Some);
    }
    url(format!("http://{listen}").parse()).map(Some)
}

/// The configuration is read from anywhere: a relative path would not lead there.
fn absolute(source: Option<PasswordSource>) -> anyhow::Result<Option<PasswordSource>> {
    Ok(match source {
        Some(PasswordSource::File(path)) => {
            let path = std::path::absolute(&path)
                .with_context(|| format!("cannot find out where {} is", path.display()))?;
            Some(PasswordSource::File(path))
        }
        other => other,
    })
}

fn show(card: &Card, data: &Path, key_file: &Path, as_json: bool) -> anyhow::Result<()> {
    let path = data.join(CARD_FILE);
    if as_json {
        let line = json!({
            "card_file": path,
            "key_file": key_file,
            "config_file": data.join(CONFIG_FILE),
            "card": card.to_file(),
        });
        return terminal::result(&serde_json::to_string(&line)?);
    }
    terminal::facts(
        "City",
        &[
            ("Member", card.member.to_string()),
            ("Place", card.place.to_string()),
            ("Address", card.address.to_string()),
            ("TLS fingerprint", card.tls_fingerprint.to_string()),
            ("Endpoint", card.endpoint.to_string()),
            (
                "JSON-RPC",
                card.rpc
                    .as_ref()
                    .map_or_else(|| "not on the card".to_owned(), ToString::to_string),
            ),
            ("Card", path.display().to_string()),
            ("Node key", key_file.display().to_string()),
        ],
    )?;
    terminal::say(&format!(
        "Give {} to the network's founder. Nobody else may have {} and {TLS_FILE}; a lost node key is lost for good.",
        path.display(),
        key_file.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{endpoint, rpc};

    #[test]
    fn the_endpoint_is_where_others_reach_the_city() {
        for (listen, given, wanted) in [
            ("10.0.0.1:7000", None, Some("10.0.0.1:7000")),
            ("10.0.0.1:7000", Some("a.example:1"), Some("a.example:1")),
            ("[2001:db8::1]:7000", None, Some("[2001:db8::1]:7000")),
            ("0.0.0.0:7000", None, None),
            ("[::]:7000", None, None),
            ("0.0.0.0:7000", Some("a.example:1"), Some("a.example:1")),
            ("10.0.0.1:0", None, None),
            ("10.0.0.1:0", Some("a.example:1"), None),
        ] {
            let given = given.map(|text: &str| text.parse().expect("an endpoint"));
            let found = endpoint(listen.parse().expect("an address"), given.as_ref());
            let found = found.ok().map(|endpoint| endpoint.to_string());
            assert_eq!(found.as_deref(), wanted, "{listen} {given:?}");
        }
    }

    #[test]
    fn the_card_tells_of_rpc_where_others_reach_it() {
        for (listen, endpoint, wanted) in [
            (
                "127.0.0.1:8545",
                "127.0.0.1:7000",
                Some("http://127.0.0.1:8545"),
            ),
            ("127.0.0.1:8545", "a.example:7000", None),
            (
                "10.0.0.1:8545",
                "a.example:7000",
                Some("http://10.0.0.1:8545"),
            ),
            (
                "0.0.0.0:8545",
                "a.example:7000",
                Some("http://a.example:8545"),
            ),
            ("[::]:8545", "[::1]:7000", Some("http://[::1]:8545")),
        ] {
            let endpoint = endpoint.parse().expect("an endpoint");
            let found = rpc(Some(listen.parse().expect("an address")), &endpoint);
            let found = found.expect("reachable").map(|url| url.to_string());
            assert_eq!(found.as_deref(), wanted, "{listen} {endpoint}");
        }
        let endpoint = "a.example:7000".parse().expect("an endpoint");
        let none = "10.0.0.1:0".parse().expect("an address");
        assert!(rpc(Some(none), &endpoint).is_err());
        assert_eq!(rpc(None, &endpoint).expect("none"), None);
    }
}
