//! One greeted connection for as long as it lives: it writes what waits, reads what comes, and ends for a reason.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use quinn::{Connection, ConnectionError};
use tokio::task::{JoinError, JoinSet};
use tracing::{error, info};

use crate::peer::PeerState;
use crate::reader;
use crate::refused::{Closing, Refused};
use crate::shared::Shared;
use crate::writer::Writer;

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// The caller wanted something else.
    Interrupted(T),
    /// The connection is gone, in an ordinary way.
    Lost,
    /// The peer closed it and said why.
    RefusedThere(Refused),
    /// The peer broke the rules.
    RefusedHere(Refused),
}

/// Makes the connection the link with this peer until it ends or `interrupted` does.
pub(crate) async fn serve<T>(
    shared: &Arc<Shared>,
    peer: &Arc<PeerState>,
    connection: &Connection,
    process: [u8; 16],
    interrupted: impl Future<Output = T>,
) -> Ended<T> {
    let generation = match shared.open(peer, connection.clone(), process) {
        Ok(generation) => generation,
        Err(reason) => {
            connection.close(Closing::Refused(reason).code(), b"");
            shared.refuse(peer, reason);
            return Ended::RefusedHere(reason);
        }
    };
    info!(city = %peer.id, address = %connection.remote_address(), "link is up");
    let mut readers = JoinSet::new();
    let mut writing = pin!(Writer::new(shared, peer, connection).run());
    let mut interrupted = pin!(interrupted);
    let ended = loop {
        tokio::select! {
            reason = &mut writing => break match reason {
                Some(reason) => Ended::RefusedHere(reason),
                None => lost(&connection.closed().await),
            },
            stream = connection.accept_uni() => match stream {
                Ok(stream) => {
                    readers.spawn(reader::read(Arc::clone(shared), Arc::clone(peer), generation, stream));
                }
                Err(error) => break lost(&error),
            },
            Some(read) = readers.join_next() => if let Some(reason) = fault(read) {
                break Ended::RefusedHere(reason);
            },
            interrupt = &mut interrupted => break Ended::Interrupted(interrupt),
        }
    };
    let closing = match &ended {
        Ended::RefusedHere(reason) => Closing::Refused(*reason),
        Ended::Interrupted(_) | Ended::Lost | Ended::RefusedThere(_) => Closing::Replaced,
    };
    // Without effect on a connection that is closed.
    connection.close(closing.code(), b"");
    readers.shutdown().await;
    shared.close(peer, generation);
    match &ended {
        Ended::RefusedHere(reason) => shared.refuse(peer, *reason),
        Ended::RefusedThere(reason) => shared.tell(peer, *reason),
        Ended::Lost | Ended::Interrupted(_) => {}
    }
    let reason = connection.close_reason().map(tracing::field::display);
    info!(city = %peer.id, reason, "link is down");
    ended
}

fn lost<T>(error: &ConnectionError) -> Ended<T> {
    if let Some(reason) = Refused::found_in(error) {
        Ended::RefusedHere(reason)
    } else if let Some(reason) = Refused::told_by(error) {
        Ended::RefusedThere(reason)
    } else {
        Ended::Lost
    }
}

fn fault(read: Result<Result<(), Refused>, JoinError>) -> Option<Refused> {
    match read {
        Ok(read) => read.err(),
        Err(failed) => {
            if failed.is_panic() {
                error!(%failed, "a reader failed");
            }
            None
        }
    }
}
