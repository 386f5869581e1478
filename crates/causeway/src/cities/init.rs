//! `causeway city init`: makes a city's data folder, for a network that is to be founded.
//!
//! `city join` makes the same folder for a network that is there; what differs is the network on the card.
//!
//! Everything that can be refused is refused before anything is written. The card is written last: a folder without one
//! is what an interrupted run left.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use anyhow::Context as _;
use clap::Args;
use node::Folder;
use serde_json::{Value, json};

use super::card::{self, Card, Words};
use super::config::{CityConfig, RpcConfig};
use super::files::{self, Mode};
use super::keys::{
    self, AUTHORITY_FILE, AUTHORITY_KEYSTORE_FILE, KEYSTORE_FILE, PLAIN_FILE, TLS_FILE,
};
use super::names::{Endpoint, MemberName, NameError, Place, RpcUrl};
use super::password::{Password, PasswordOptions, PasswordSource};
use super::{CARD_FILE, CONFIG_FILE};
use crate::terminal;

/// What the new city is to be.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    #[command(flatten)]
    city: CityOptions,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What a new city is to be, whichever its network.
#[derive(Debug, Args)]
pub(crate) struct CityOptions {
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
    /// What speaks for the member: the address of a key kept elsewhere, or of a contract. Without it a key is made in the
    /// data folder; take it to another machine.
    #[arg(long, value_name = "0x…")]
    authority: Option<Address>,
    #[command(flatten)]
    password: PasswordOptions,
}

/// A city that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) data: PathBuf,
    pub(crate) card: Card,
    /// The node key.
    pub(crate) key_file: PathBuf,
    /// The key that speaks for the member, where it was made here.
    pub(crate) authority_file: Option<PathBuf>,
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
    let made = make(options.city, B256::ZERO).await?;
    if options.json {
        return terminal::result(&serde_json::to_string(&made.to_json())?);
    }
    terminal::facts("City", &made.rows())?;
    made.tell();
    terminal::say(&format!(
        "Give {} to the network's founder.",
        made.data.join(CARD_FILE).display()
    ));
    Ok(())
}

/// Makes a city's folder with a card for the network with this id; zero for one that is to be founded.
///
/// # Errors
///
/// What was refused; nothing is written then.
pub(crate) async fn make(options: CityOptions, network: B256) -> anyhow::Result<Made> {
    let data = options.data;
    let endpoint = endpoint(options.listen, options.endpoint.as_ref())?;
    let rpc = rpc(options.rpc, &endpoint)?;
    if let Some(authority) = options.authority {
        card::check_authority(authority, Address::repeat_byte(0xff)).context("--authority")?;
    }
    check_new(&data)?;
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
        strict_capacity: false,
        endpoints: std::collections::BTreeMap::new(),
    };
    let (member, place) = (options.member, options.place);
    let words = |authority| Words {
        network,
        member,
        authority,
        place,
        endpoint,
        rpc,
    };
    write(&data, password.as_ref(), &config, options.authority, words)
}

/// Writes the folder's files, the card last.
fn write(
    data: &Path,
    password: Option<&Password>,
    config: &CityConfig,
    authority: Option<Address>,
    words: impl FnOnce(Address) -> Words,
) -> anyhow::Result<Made> {
    let folder = Folder::open(data)?;
    // Again, now that nobody else can be at it.
    check_new(data)?;
    let key = keys::make_node_key(&folder, password)?;
    let identity = keys::make_identity(data)?;
    let (authority, authority_file) = match authority {
        Some(authority) => (authority, None),
        None => {
            let (authority, file) = keys::make_authority_key(data, password)?;
            (authority, Some(file))
        }
    };
    let text = config.to_text();
    files::write_new(&data.join(CONFIG_FILE), text.as_bytes(), Mode::Private)?;
    let card = Card::sign(words(authority), B256::from(identity.fingerprint()), &key);
    let mut text = serde_json::to_vec_pretty(&card.to_file())?;
    text.push(b'\n');
    files::write_new(&data.join(CARD_FILE), &text, Mode::Public)?;
    let key_file = data.join(if password.is_some() {
        KEYSTORE_FILE
    } else {
        PLAIN_FILE
    });
    Ok(Made {
        data: data.to_path_buf(),
        card,
        key_file,
        authority_file,
    })
}

fn check_new(data: &Path) -> Result<(), Refused> {
    let files = [
        PLAIN_FILE,
        KEYSTORE_FILE,
        TLS_FILE,
        AUTHORITY_FILE,
        AUTHORITY_KEYSTORE_FILE,
        CONFIG_FILE,
        CARD_FILE,
    ];
    let initialised = files
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

impl Made {
    /// The result, for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "card_file": self.data.join(CARD_FILE),
            "key_file": self.key_file,
            "authority_file": self.authority_file,
            "config_file": self.data.join(CONFIG_FILE),
            "card": self.card.to_file(),
        })
    }

    /// The result, for people.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let card = &self.card;
        let rpc = card.rpc.as_ref();
        let mut rows = vec![
            ("Member", card.member.to_string()),
            ("Authority", card.authority.to_string()),
            ("Place", card.place.to_string()),
            ("Address", card.address.to_string()),
            ("TLS fingerprint", card.tls_fingerprint.to_string()),
            ("Endpoint", card.endpoint.to_string()),
            (
                "JSON-RPC",
                rpc.map_or_else(|| "not on the card".to_owned(), ToString::to_string),
            ),
            ("Card", self.data.join(CARD_FILE).display().to_string()),
            ("Node key", self.key_file.display().to_string()),
        ];
        if let Some(file) = &self.authority_file {
            rows.push(("Authority's key", file.display().to_string()));
        }
        rows
    }

    /// What a person has to know of the keys.
    pub(crate) fn tell(&self) {
        terminal::say(&format!(
            "Nobody else may have {} and {TLS_FILE}; a lost node key is lost for good.",
            self.key_file.display()
        ));
        if let Some(file) = &self.authority_file {
            terminal::say(&format!(
                "{} speaks for the institution: it votes and offers in its name. The city never needs it: move it to another \
                 machine. With --authority, a key that is there already or a contract (m of n officers) takes its place.",
                file.display()
            ));
        }
    }
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
