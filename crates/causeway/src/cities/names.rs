//! What a card says in words: a member's name, a place, where a city is reached. Each is checked where it comes in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Most characters of a name.
const MAX_NAME: usize = 64;
/// Most characters of a host name (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;
/// Most characters of a URL on a card.
const MAX_URL: usize = 256;

/// Why a word on a card is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Not a member's name.
    #[error(
        "a member's name has 1 to 64 bytes of printable characters, no space at its ends and no two in a row"
    )]
    Member,
    /// Not a network's name.
    #[error("a network's name has 1 to 64 bytes of printable characters and no space at its ends")]
    Network,
    /// Not a UN/LOCODE.
    #[error(
        "a place is a UN/LOCODE: two capital letters, a space, three of A-Z and 2-9, like `CN SHA`"
    )]
    Place,
    /// Not a place to connect to.
    #[error(
        "an endpoint is HOST:PORT that others can reach: a host name, an IPv4 address or an IPv6 address in brackets, \
         not 0.0.0.0 nor [::], and a port from 1 to 65535"
    )]
    Endpoint,
    /// Not a URL of RPC.
    #[error(
        "an RPC address is http:// or https:// with HOST or HOST:PORT and perhaps a path, at most 256 characters, \
         without user, query and fragment"
    )]
    Rpc,
}

/// The name of the institution that runs a city.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberName(String);

impl MemberName {
    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Two names with the same key are taken for one member's.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for MemberName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // As the hub's contracts have it, and no further: a founder's name has to pass there.
        let sound = (1..=MAX_NAME).contains(&text.len())
            && text.trim() == text
            && !text.contains("  ")
            && is_printable(text)
            && text.chars().all(is_seen);
        sound
            .then(|| Self(text.to_owned()))
            .ok_or(NameError::Member)
    }
}

/// The name of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkName(String);

impl NetworkName {
    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let sound =
            (1..=MAX_NAME).contains(&text.len()) && text.trim() == text && is_printable(text);
        sound
            .then(|| Self(text.to_owned()))
            .ok_or(NameError::Network)
    }
}

/// Whether the hub's contracts take a character for one that people see (`contracts/hub/Words.sol`).
const fn is_seen(character: char) -> bool {
    !matches!(
        character as u32,
        0..0x20
            | 0x7f..=0xa0
            | 0xad
            | 0x34f
            | 0x61c
            | 0x115f
            | 0x1160
            | 0x1680
            | 0x180e
            | 0x2000..=0x200f
            | 0x2028..=0x202f
            | 0x205f..=0x206f
            | 0x3000
            | 0x3164
            | 0xe000..=0xf8ff
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff0..=0xffff
            | 0xe0000..
    )
}

/// Whether a text has only characters that are seen: no control, no format (which could turn the text around), no line
/// ends, nothing unassigned.
fn is_printable(text: &str) -> bool {
    let plain = || {
        // A combining mark is escaped at the start of a text only.
        std::iter::once('a').chain(
            text.chars()
                .filter(|character| !matches!(character, '"' | '\'' | '\\')),
        )
    };
    plain().collect::<String>().escape_debug().eq(plain())
}

/// A place, named by UN/LOCODE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(String);

impl Place {
    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Place {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let &[a, b, space, ref location @ ..] = text.as_bytes() else {
            return Err(NameError::Place);
        };
        let sound = a.is_ascii_uppercase()
            && b.is_ascii_uppercase()
            && space == b' '
            && location.len() == 3
            && location
                .iter()
                .all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'9'));
        sound.then(|| Self(text.to_owned())).ok_or(NameError::Place)
    }
}

/// Where a city's links are reached: `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    text: String,
    /// Length of the host in `text`.
    host: usize,
}

impl Endpoint {
    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host; an IPv6 address is in brackets.
    pub(crate) fn host(&self) -> &str {
        self.text.get(..self.host).unwrap_or_default()
    }

    /// Two endpoints with the same key are the same.
    pub(crate) fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Endpoint {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (host, port) = text.rsplit_once(':').ok_or(NameError::Endpoint)?;
        if !is_host(host) || !is_port(port) {
            return Err(NameError::Endpoint);
        }
        Ok(Self {
            text: text.to_owned(),
            host: host.len(),
        })
    }
}

impl TryFrom<SocketAddr> for Endpoint {
    type Error = NameError;

    fn try_from(address: SocketAddr) -> Result<Self, NameError> {
        address.to_string().parse()
    }
}

/// The URL under which a city answers JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcUrl(String);

impl RpcUrl {
    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Plain HTTP at a host (IPv6 in brackets) and a port.
    ///
    /// # Errors
    ///
    /// [`NameError::Rpc`] where nobody could reach it.
    pub(crate) fn plain(host: &str, port: u16) -> Result<Self, NameError> {
        format!("http://{host}:{port}").parse()
    }
}

impl FromStr for RpcUrl {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(NameError::Rpc)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let reachable = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => is_host(host) && is_port(port),
            _ => is_host(authority),
        };
        let sound = reachable
            && text.len() <= MAX_URL
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@'));
        sound.then(|| Self(text.to_owned())).ok_or(NameError::Rpc)
    }
}

fn is_port(text: &str) -> bool {
    // One number has one form.
    text.parse::<u16>()
        .is_ok_and(|port| port > 0 && port.to_string() == text)
}

fn is_host(text: &str) -> bool {
    if let Some(bare) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return bare
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| !address.is_unspecified());
    }
    if text.len() > MAX_HOST {
        return false;
    }
    // A name whose last label is a number is an IPv4 address or nothing.
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| !address.is_unspecified());
    }
    text.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

macro_rules! shown_as_given {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

shown_as_given!(MemberName, NetworkName, Place, Endpoint, RpcUrl);

#[cfg(test)]
mod tests {
    use super::{Endpoint, MemberName, NetworkName, Place, RpcUrl};

    fn accepts<T: std::str::FromStr>(sound: &[&str], unsound: &[&str]) {
        for text in sound {
            assert!(text.parse::<T>().is_ok(), "{text:?} was refused");
        }
        for text in unsound {
            assert!(text.parse::<T>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn members_have_names_that_can_be_read() {
        let long = "ü".repeat(32);
        let longer = "ü".repeat(33);
        accepts::<MemberName>(
            &["a", "Bank of \"X\" & Söhne", "上海银行", "हिन्दी", &long],
            &[
                "",
                " a",
                "a ",
                &longer,
                "a\nb",
                "a\tb",
                "a\u{0}",
                "\u{202e}a",
                "a\u{200b}b",
                "a\u{7f}",
                "a\u{2028}b",
                "a\u{e000}",
            ],
        );
        let lower: MemberName = "bank".parse().expect("a name");
        let upper: MemberName = "BANK".parse().expect("a name");
        assert_eq!(lower.key(), upper.key());
    }

    #[test]
    fn networks_have_names_of_at_most_64_bytes() {
        let long = "ü".repeat(32);
        let longer = "ü".repeat(33);
        accepts::<NetworkName>(&["n", &long], &["", &longer, "n\u{1b}[2J"]);
    }

    #[test]
    fn places_have_the_form_of_un_locode() {
        accepts::<Place>(
            &["CN SHA", "DE HAM", "US 2A9"],
            &[
                "",
                "CNSHA",
                "CN  SHA",
                "cn SHA",
                "CN sha",
                "CN SH",
                "CN SHAN",
                "CN SH1",
                "CN SH0",
                "C1 SHA",
                "CN\u{a0}SHA",
                "ÄÖ SHA",
            ],
        );
    }

    #[test]
    fn endpoints_can_be_reached() {
        accepts::<Endpoint>(
            &[
                "10.0.0.1:7000",
                "city.example:1",
                "localhost:65535",
                "[2001:db8::1]:7000",
                "a-b.c9:80",
            ],
            &[
                "",
                "city",
                "city:",
                ":7000",
                "city:0",
                "city:65536",
                "city:07",
                "city:+7",
                "0.0.0.0:7000",
                "[::]:7000",
                "2001:db8::1:7000",
                "[city]:7000",
                "10.0.0:7000",
                "10.0.0.256:7000",
                "a..b:1",
                "-a:1",
                "a_b:1",
                "a b:1",
                "a/b:1",
                "user@a:1",
                "a:1/path",
            ],
        );
        let host = format!("{}:1", "a.".repeat(127) + "a");
        assert!(host.parse::<Endpoint>().is_err());
        let endpoint: Endpoint = "[::1]:7000".parse().expect("an endpoint");
        assert_eq!(endpoint.host(), "[::1]");
        assert!(endpoint.is_loopback());
        let endpoint: Endpoint = "10.0.0.1:7000".parse().expect("an endpoint");
        assert!(!endpoint.is_loopback());
    }

    #[test]
    fn rpc_urls_hold_no_secrets() {
        let long = format!("http://a/{}", "x".repeat(250));
        accepts::<RpcUrl>(
            &[
                "http://10.0.0.1:8545",
                "https://rpc.example",
                "https://rpc.example/eth",
                "http://[::1]:8545",
                "http://[::1]",
            ],
            &[
                "",
                "rpc.example",
                "ftp://a",
                "http://",
                "http://a:0",
                "http://u@a",
                "http://a?key=1",
                "http://a#b",
                "http://a b",
                "http://0.0.0.0:1",
                &long,
            ],
        );
    }
}
