//! Who may ask at all: the `Host` that a request names, and the page that sends it.
//!
//! A page of any site can make its reader's browser send requests to this machine. Its answers are kept from it by CORS,
//! but a site whose *name* is made to mean this machine (DNS rebinding) is in the browser's eyes the same as this server:
//! only the `Host` tells. A WebSocket knows no CORS, so its `Origin` is looked at here.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Uri};

use crate::config::Cors;

/// The rule.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    cors: Cors,
}

/// Why a request is not served. Its text is the answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "this host name is not served here; name it in the server's configuration to allow it\n"
    )]
    Host,
    #[error(
        "pages of this origin may not open a WebSocket here; name it in the server's configuration to allow it\n"
    )]
    Origin,
}

/// What a served request is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A name of loopback.
    Loopback,
    /// A configured one.
    Configured,
}

impl Guard {
    pub(crate) fn new(hosts: Vec<String>, cors: Cors) -> Self {
        Self { hosts, cors }
    }

    /// Checks host and, when a WebSocket is asked for, origin.
    pub(crate) fn admit(&self, request: &Parts, is_websocket: bool) -> Result<Name, Refused> {
        let name = self.name(request).ok_or(Refused::Host)?;
        if is_websocket
            && let Some(origin) = request.headers.get(ORIGIN)
            && !self.allows_origin(origin)
        {
            return Err(Refused::Origin);
        }
        Ok(name)
    }

    /// Whether pages of `origin` may read answers.
    pub(crate) fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let named = |allowed: &String| {
            allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)
        };
        self.cors.origins.iter().any(named) || (self.cors.loopback && is_loopback_origin(origin))
    }

    fn name(&self, request: &Parts) -> Option<Name> {
        // HTTP/2 names the host in the address and may leave the header out; where both are, both count.
        let header = request
            .headers
            .get_all(HOST)
            .iter()
            .map(|host| Authority::try_from(host.as_bytes()).ok());
        let mut names = header.chain(request.uri.authority().cloned().map(Some));
        let first = self.kind(&names.next()??)?;
        names.try_fold(first, |name, next| {
            let next = self.kind(&next?)?;
            Some(if next == Name::Loopback { name } else { next })
        })
    }

    fn kind(&self, authority: &Authority) -> Option<Name> {
        let host = authority.host();
        if is_loopback(host) {
            return Some(Name::Loopback);
        }
        let configured = self
            .hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host));
        configured.then_some(Name::Configured)
    }
}

fn is_loopback_origin(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else {
        return false;
    };
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    web && uri.host().is_some_and(is_loopback)
}

/// Whether `host`, without a port, means this machine whoever resolves it.
fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback_address)
}

/// Whether `address` is this machine's, 127.0.0.1 written as an IPv6 address included.
pub(crate) fn is_loopback_address(address: IpAddr) -> bool {
    let mapped = |v4: Option<Ipv4Addr>| v4.is_some_and(|v4| v4.is_loopback());
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || mapped(v6.to_ipv4_mapped()),
    }
}

#[cfg(test)]
mod tests {
    use http::request::Parts;
    use http::{HeaderValue, Request};

    use super::{Guard, Name, Refused};
    use crate::config::Cors;

    fn guard() -> Guard {
        let origins = vec![String::from("https://wallet.example/")];
        Guard::new(
            vec![String::from("city.example")],
            Cors {
                loopback: true,
                origins,
            },
        )
    }

    fn parts(host: &str, origin: Option<&str>) -> Parts {
        let mut request = Request::builder().uri("/");
        if !host.is_empty() {
            request = request.header("host", host);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn admit(host: &str, origin: Option<&str>, is_websocket: bool) -> Result<Name, Refused> {
        guard().admit(&parts(host, origin), is_websocket)
    }

    #[test]
    fn loopback_and_configured_hosts_are_served_and_no_others() {
        let loopback = [
            "localhost",
            "LOCALHOST:8545",
            "localhost.",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]",
            "[::1]:8545",
        ];
        for host in loopback {
            assert_eq!(admit(host, None, false), Ok(Name::Loopback), "{host}");
        }
        for host in ["city.example", "City.Example:443"] {
            assert_eq!(admit(host, None, false), Ok(Name::Configured), "{host}");
        }
        let foreign = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "a b",
        ];
        for host in foreign {
            assert_eq!(admit(host, None, false), Err(Refused::Host), "{host}");
        }
    }

    #[test]
    fn a_second_host_cannot_hide_behind_a_first() {
        let request = Request::builder()
            .uri("/")
            .header("host", "localhost")
            .header("host", "evil.example");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(guard().admit(&parts, false), Err(Refused::Host));
        let request = Request::builder()
            .uri("http://evil.example/")
            .header("host", "localhost");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(guard().admit(&parts, false), Err(Refused::Host));
        let request = Request::builder()
            .uri("http://localhost/")
            .header("host", "city.example");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(guard().admit(&parts, false), Ok(Name::Configured));
    }

    #[test]
    fn websockets_are_for_allowed_pages_and_for_programs() {
        for origin in [
            None,
            Some("http://localhost:3000"),
            Some("https://wallet.example"),
        ] {
            assert_eq!(
                admit("localhost", origin, true),
                Ok(Name::Loopback),
                "{origin:?}"
            );
        }
        for origin in [
            "https://evil.example",
            "null",
            "https://wallet.example.evil",
            "file://localhost",
            "localhost",
        ] {
            assert_eq!(
                admit("localhost", Some(origin), true),
                Err(Refused::Origin),
                "{origin}"
            );
            // Without a WebSocket CORS keeps the answer from the page; wallets' extensions have origins of their own.
            assert_eq!(
                admit("localhost", Some(origin), false),
                Ok(Name::Loopback),
                "{origin}"
            );
        }
        let any = Guard::new(
            Vec::new(),
            Cors {
                loopback: false,
                origins: vec![String::from("*")],
            },
        );
        assert!(any.allows_origin(&HeaderValue::from_static("https://any.example")));
        let none = Guard::new(Vec::new(), Cors::default());
        assert!(!none.allows_origin(&HeaderValue::from_static("http://localhost")));
    }
}
