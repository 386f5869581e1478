//! The first words on a connection: who we are, which network, which versions. Then it is a link, or it is closed.

use std::time::Duration;

use quinn::{Connection, ConnectionError, ReadExactError, SendStream, WriteError};
use tokio::time::timeout;

use crate::PeerId;
use crate::refused::{Closing, Refused};
use crate::wire::{Hello, LONGEST_HELLO};

/// How long a refused peer has for taking our hello, so that it can say why as well.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A peer that has said who it is; it is not yet judged.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) hello: Hello,
    said: SendStream,
}

/// Exchanges hellos. The caller bounds the time.
pub(crate) async fn greet(connection: &Connection, own: &Hello) -> Result<Greeted, Refused> {
    let mut said = connection.open_uni().await.map_err(|e| reason(&e))?;
    let sent = said.write_all(&own.encode()).await;
    sent.map_err(|error| match error {
        WriteError::ConnectionLost(error) => reason(&error),
        WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            Refused::Greeting
        }
    })?;
    // Fails only for a stream that was finished before.
    said.finish().map_err(|_closed| Refused::Greeting)?;

    let mut heard = connection.accept_uni().await.map_err(|e| reason(&e))?;
    let mut length = [0; 2];
    heard
        .read_exact(&mut length)
        .await
        .map_err(|e| unread(&e))?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > LONGEST_HELLO {
        return Err(Refused::Greeting);
    }
    let mut bytes = vec![0; length];
    heard.read_exact(&mut bytes).await.map_err(|e| unread(&e))?;
    let hello = Hello::decode(&bytes).ok_or(Refused::Greeting)?;
    Ok(Greeted { hello, said })
}

impl Greeted {
    /// The version to speak with the city `expected`.
    pub(crate) fn judge(&self, own: &Hello, expected: PeerId) -> Result<u16, Refused> {
        if self.hello.network != own.network {
            return Err(Refused::OtherNetwork);
        }
        let version = own.agree(&self.hello).ok_or(Refused::Version)?;
        if self.hello.city != expected {
            return Err(Refused::OtherCity);
        }
        Ok(version)
    }

    /// Closes the connection when the peer has our hello, or did not take it in time.
    pub(crate) async fn close(self, connection: &Connection, closing: Closing) {
        // However it ends, the connection is closed.
        let _taken = timeout(LAST_WORDS, self.said.stopped()).await;
        connection.close(closing.code(), b"");
    }
}

fn reason(error: &ConnectionError) -> Refused {
    Refused::told_by(error)
        .or_else(|| Refused::found_in(error))
        .unwrap_or(Refused::Greeting)
}

fn unread(error: &ReadExactError) -> Refused {
    match error {
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => reason(error),
        ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => Refused::Greeting,
    }
}
