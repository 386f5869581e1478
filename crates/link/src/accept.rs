//! Takes calls: who holds no pinned key never gets past the handshake, and nobody holds the door for long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use quinn::{Connection, Endpoint, Incoming};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error};

use crate::calls::{Caller, meet_self, shown_key};
use crate::greeting::greet;
use crate::limits::{GREETED_AT_ONCE, GREETED_FROM_ONE, GREETED_ON_TRUST};
use crate::peer::PeerState;
use crate::refused::{Closing, Refused};
use crate::shared::Shared;

/// Until the endpoint is closed.
pub(crate) async fn accept(shared: Arc<Shared>, endpoint: Endpoint) {
    let mut greetings: JoinSet<()> = JoinSet::new();
    let mut from: HashMap<Id, IpAddr> = HashMap::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { return };
                let address = incoming.remote_address();
                let same = from.values().filter(|ip| **ip == address.ip()).count();
                if greetings.len() >= GREETED_AT_ONCE || same >= GREETED_FROM_ONE {
                    shared.refuse_caller(address, Refused::Busy);
                    incoming.refuse();
                } else if greetings.len() >= GREETED_ON_TRUST
                    && incoming.may_retry()
                    && !incoming.remote_address_validated()
                {
                    // Fails only for a caller that was already told so.
                    let _again = incoming.retry();
                } else {
                    let greeting = receive(Arc::clone(&shared), incoming);
                    from.insert(greetings.spawn(greeting).id(), address.ip());
                }
            }
            Some(done) = greetings.join_next_with_id() => {
                let id = match &done {
                    Ok((id, ())) => *id,
                    Err(failed) => {
                        error!(%failed, "a greeting failed");
                        failed.id()
                    }
                };
                from.remove(&id);
            }
        }
    }
}

/// Takes one call, within bounded time.
async fn receive(shared: Arc<Shared>, incoming: Incoming) {
    let from = incoming.remote_address();
    let longest = shared.limits.greeting_timeout;
    if timeout(longest, take(&shared, incoming)).await.is_err() {
        shared.refuse_caller(from, Refused::Greeting);
    }
}

async fn take(shared: &Shared, incoming: Incoming) {
    let from = incoming.remote_address();
    let connected = match incoming.accept() {
        Ok(connecting) => connecting.await,
        Err(error) => Err(error),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            debug!(%from, %error, "a call failed");
            if let Some(reason) = Refused::found_in(&error) {
                shared.refuse_caller(from, reason);
            }
            return;
        }
    };
    // As things are now: a list may have changed since the handshake.
    match shown_key(&connection).and_then(|key| shared.pins.whose(&key)) {
        None => shared.refuse_caller(from, Refused::Stranger),
        Some(own) if own == shared.own.city => {
            if let Err(reason) = meet_self(shared, &connection).await {
                debug!(%from, code = reason.code(), "the own key, and no greeting");
            }
        }
        Some(id) => match shared.peer(id) {
            None => shared.refuse_caller(from, Refused::Stranger),
            Some(peer) => {
                if let Err(reason) = welcome(shared, &peer, &connection).await {
                    shared.refuse(&peer, reason);
                }
            }
        },
    }
}

/// Greets a peer and hands it to the task that waits for it, or notes its knock.
async fn welcome(
    shared: &Shared,
    peer: &PeerState,
    connection: &Connection,
) -> Result<(), Refused> {
    let close = |reason| {
        connection.close(Closing::Refused(reason).code(), b"");
        Err(reason)
    };
    if let Err(reason) = peer.admit(connection) {
        return close(reason);
    }
    let greeted = match greet(connection, &shared.own).await {
        Ok(greeted) => greeted,
        Err(reason) => return close(reason),
    };
    if let Err(reason) = greeted.judge(&shared.own, peer.id) {
        greeted.close(connection, Closing::Refused(reason)).await;
        return Err(reason);
    }
    if let Err(reason) = peer.admit(connection) {
        return close(reason);
    }
    let process = greeted.hello.process;
    if let Some(waiting) = &peer.callers {
        let caller = Caller {
            connection: connection.clone(),
            process,
        };
        // Its task is gone when the city is no peer any more, or all is being stopped.
        if waiting.send(caller).await.is_err() {
            return close(Refused::Removed);
        }
    } else {
        peer.link.lock().knocked = Some(process);
        peer.knock.notify_one();
        greeted.close(connection, Closing::Knocked).await;
    }
    Ok(())
}
