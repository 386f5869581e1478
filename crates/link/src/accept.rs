//! Takes calls: who holds no pinned key never gets past the handshake, and nobody holds the door for long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use quinn::{Connection, Endpoint, Incoming};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error};

use crate::calls::{Caller, meet_self, shown_key};
use crate::greeting::greet;
use crate::inbox::PeerIndex;
use crate::limits::{GREETED_AT_ONCE, GREETED_FROM_ONE, GREETED_ON_TRUST};
use crate::refused::{Closing, Refused};
use crate::shared::Shared;

/// By peer: where the task waits that keeps its link, if it is one that waits.
pub(crate) type Waiting = Arc<[Option<mpsc::Sender<Caller>>]>;

/// Until the endpoint is closed.
pub(crate) async fn accept(shared: Arc<Shared>, endpoint: Endpoint, waiting: Waiting) {
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
                    let greeting = receive(Arc::clone(&shared), incoming, Arc::clone(&waiting));
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
async fn receive(shared: Arc<Shared>, incoming: Incoming, waiting: Waiting) {
    let from = incoming.remote_address();
    let longest = shared.limits.greeting_timeout;
    if timeout(longest, take(&shared, incoming, &waiting))
        .await
        .is_err()
    {
        shared.refuse_caller(from, Refused::Greeting);
    }
}

async fn take(shared: &Shared, incoming: Incoming, waiting: &[Option<mpsc::Sender<Caller>>]) {
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
    let Some(key) = shown_key(&connection) else {
        shared.refuse_caller(from, Refused::Stranger);
        return;
    };
    if key == shared.own_key {
        if let Err(reason) = meet_self(shared, &connection).await {
            debug!(%from, code = reason.code(), "the own key, and no greeting");
        }
    } else if let Some(index) = shared.by_key.get(&key).copied() {
        if let Err(reason) = welcome(shared, index, &connection, waiting).await {
            shared.refuse(index, reason);
        }
    } else {
        shared.refuse_caller(from, Refused::Stranger);
    }
}

/// Greets a peer and hands it to the task that waits for it, or notes its knock.
async fn welcome(
    shared: &Shared,
    index: PeerIndex,
    connection: &Connection,
    waiting: &[Option<mpsc::Sender<Caller>>],
) -> Result<(), Refused> {
    let peer = &shared.peers[index];
    if peer.paused_until().is_some() {
        connection.close(Closing::Refused(Refused::Paused).code(), b"");
        return Err(Refused::Paused);
    }
    let greeted = match greet(connection, &shared.own).await {
        Ok(greeted) => greeted,
        Err(reason) => {
            connection.close(Closing::Refused(reason).code(), b"");
            return Err(reason);
        }
    };
    if let Err(reason) = greeted.judge(&shared.own, peer.id) {
        greeted.close(connection, Closing::Refused(reason)).await;
        return Err(reason);
    }
    let process = greeted.hello.process;
    if let Some(Some(waiting)) = waiting.get(index) {
        let connection = connection.clone();
        // Its task is gone only when all is being stopped.
        let _stopped = waiting
            .send(Caller {
                connection,
                process,
            })
            .await;
    } else {
        peer.link.lock().knocked = Some(process);
        peer.knock.notify_one();
        greeted.close(connection, Closing::Knocked).await;
    }
    Ok(())
}
