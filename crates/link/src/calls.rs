//! One task for each peer, which keeps its link up.
//!
//! Of two cities the one with the lower address calls and the other waits, so that a pair has one connection and no
//! tie to break. A city that waits, and has just started, *knocks*: it calls once, is recognised, and is called back
//! at once, wherever the other is in its back-off.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use crate::greeting::{Greeted, greet};
use crate::identity::fingerprint;
use crate::limits::{Limits, SELF_CALLS};
use crate::peer::PeerState;
use crate::refused::{Closing, Refused};
use crate::session::{Ended, serve};
use crate::shared::Shared;
use crate::tls::SERVER_NAME;

/// A connection whose peer is known, greeted and judged.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) connection: Connection,
    pub(crate) process: [u8; 16],
}

/// Where and how one peer is called.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoint: Endpoint,
    pub(crate) config: ClientConfig,
    pub(crate) peer: Arc<PeerState>,
}

/// For the side that calls: as long as the city is a peer.
pub(crate) async fn keep_calling(line: Line) {
    let peer = &line.peer;
    let mut waits = Waits::new(&line.shared.limits);
    loop {
        // Again, since it may have been told to stay out for longer meanwhile.
        while let Some(until) = peer.paused_until() {
            sleep_until(until).await;
        }
        match line.call().await {
            Ok((connection, process)) => {
                let since = Instant::now();
                let knocked = line.knocked();
                let ended = serve(&line.shared, &line.peer, &connection, process, knocked).await;
                if matches!(ended, Ended::Interrupted(())) {
                    debug!(city = %peer.id, "the city started again and asks to be called");
                    continue;
                }
                if since.elapsed() > line.shared.limits.backoff_last {
                    waits = Waits::new(&line.shared.limits);
                }
            }
            Err(reason) => line.shared.refuse(peer, reason),
        }
        tokio::select! {
            () = sleep(waits.next()) => {}
            () = line.knocked() => waits = Waits::new(&line.shared.limits),
        }
    }
}

/// For the side that waits: as long as the city is a peer.
pub(crate) async fn keep_waiting(line: Line, mut callers: mpsc::Receiver<Caller>) {
    let mut next = tokio::select! {
        caller = callers.recv() => caller,
        () = line.knock() => callers.recv().await,
    };
    while let Some(Caller {
        connection,
        process,
    }) = next
    {
        let newer = callers.recv();
        next = match serve(&line.shared, &line.peer, &connection, process, newer).await {
            Ended::Interrupted(newer) => newer,
            Ended::Lost | Ended::RefusedHere(_) | Ended::RefusedThere(_) => callers.recv().await,
        };
    }
}

/// Calls the own published address, a few times: if another process answers with the own key, it is told.
pub(crate) async fn call_self(
    shared: Arc<Shared>,
    endpoint: Endpoint,
    config: ClientConfig,
    published: String,
) {
    let mut waits = Waits::new(&shared.limits);
    for _ in 0..SELF_CALLS {
        let calling = async {
            let connection = connect(&endpoint, config.clone(), &published).await?;
            meet_self(&shared, &connection).await
        };
        match timeout(shared.limits.greeting_timeout, calling).await {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => debug!(published, code = reason.code(), "own address"),
            Err(_late) => debug!(published, "own address does not answer"),
        }
        sleep(waits.next()).await;
    }
}

/// The other side holds the own key: an echo of this process (fine), or another process.
pub(crate) async fn meet_self(shared: &Shared, connection: &Connection) -> Result<(), Refused> {
    let greeted = greet(connection, &shared.own).await?;
    let echo = greeted.hello.process == shared.own.process;
    if !echo {
        shared.own_key_met(connection.remote_address());
    }
    let reason = if echo { Refused::Echo } else { Refused::OwnKey };
    greeted.close(connection, Closing::Refused(reason)).await;
    Ok(())
}

impl Line {
    async fn call(&self) -> Result<(Connection, [u8; 16]), Refused> {
        match timeout(self.shared.limits.greeting_timeout, self.reach()).await {
            Err(_late) => Err(Refused::Unreachable),
            Ok(reached) => {
                let (connection, greeted) = reached?;
                match greeted.judge(&self.shared.own, self.peer.id) {
                    Ok(version) => {
                        debug!(version, "agreed");
                        Ok((connection, greeted.hello.process))
                    }
                    Err(reason) => {
                        greeted.close(&connection, Closing::Refused(reason)).await;
                        Err(reason)
                    }
                }
            }
        }
    }

    /// Connects and greets; the own key is not taken for the peer's.
    async fn reach(&self) -> Result<(Connection, Greeted), Refused> {
        let endpoint = self.peer.endpoint();
        let connection = connect(&self.endpoint, self.config.clone(), &endpoint).await?;
        if shown_key(&connection) == Some(self.shared.own_key) {
            meet_self(&self.shared, &connection).await?;
            return Err(Refused::Echo);
        }
        let greeted = greet(&connection, &self.shared.own).await?;
        Ok((connection, greeted))
    }

    /// One call, to be called back. It fails silently: who is away calls when it is back.
    async fn knock(&self) {
        let calling = async {
            let (connection, greeted) = self.reach().await.ok()?;
            drop(greeted);
            Some(connection.closed().await)
        };
        let ended = timeout(self.shared.limits.greeting_timeout, calling).await;
        debug!(city = %self.peer.id, ?ended, "knocked");
    }

    /// When another process of the peer than the connected one asks to be called.
    async fn knocked(&self) {
        let peer = &self.peer;
        loop {
            peer.knock.notified().await;
            if peer.is_knocked() {
                return;
            }
        }
    }
}

/// The fingerprint of the key that the other side holds.
pub(crate) fn shown_key(connection: &Connection) -> Option<[u8; 32]> {
    let shown = connection.peer_identity()?;
    let keys: Box<Vec<rustls::pki_types::CertificateDer<'static>>> = shown.downcast().ok()?;
    keys.first().map(fingerprint)
}

/// The caller bounds the time.
async fn connect(
    endpoint: &Endpoint,
    config: ClientConfig,
    name: &str,
) -> Result<Connection, Refused> {
    let address = resolve(endpoint, name).await.map_err(|error| {
        debug!(name, %error, "endpoint cannot be resolved");
        Refused::Unresolved
    })?;
    let connecting = endpoint
        .connect_with(config, address, SERVER_NAME)
        .map_err(|error| {
            debug!(name, %address, %error, "endpoint cannot be called");
            Refused::Unreachable
        })?;
    connecting.await.map_err(|error| match error {
        ConnectionError::TimedOut | ConnectionError::Reset => Refused::Unreachable,
        error => match Refused::found_in(&error) {
            Some(Refused::Stranger) => Refused::WrongKey,
            Some(reason) => reason,
            None => Refused::told_by(&error).unwrap_or(Refused::Unreachable),
        },
    })
}

/// The name's first address of the kind that the own socket has, or else its first.
async fn resolve(endpoint: &Endpoint, name: &str) -> io::Result<SocketAddr> {
    let is_v4 = endpoint.local_addr()?.is_ipv4();
    let addresses: Vec<SocketAddr> = lookup_host(name).await?.collect();
    addresses
        .iter()
        .find(|address| address.is_ipv4() == is_v4)
        .or(addresses.first())
        .copied()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Waits that double, half of each being chance, so that cities that lost each other together do not call together.
struct Waits {
    next: Duration,
    longest: Duration,
}

impl Waits {
    fn new(limits: &Limits) -> Self {
        Self {
            next: limits.backoff_first.min(limits.backoff_last),
            longest: limits.backoff_last,
        }
    }

    fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        let mut random = [0; 2];
        // Without randomness there is no jitter, and nothing else is lost.
        let _without = SystemRandom::new().fill(&mut random);
        wait / 2 + wait / 2 * u32::from(u16::from_be_bytes(random)) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Waits;
    use crate::limits::Limits;

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_them_is_chance() {
        let limits = Limits::default();
        let mut waits = Waits::new(&limits);
        let mut full = limits.backoff_first;
        for _ in 0..20 {
            let wait = waits.next();
            assert!(wait >= full / 2 && wait <= full, "{wait:?} {full:?}");
            full = (full * 2).min(limits.backoff_last);
        }
        let many: std::collections::BTreeSet<_> = (0..20).map(|_| waits.next()).collect();
        assert!(many.len() > 1);
    }
}
