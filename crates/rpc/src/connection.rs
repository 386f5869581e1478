//! One TCP connection, with back-pressure for a WebSocket client that asks faster than it reads.
//!
//! ```text
//!  socket ──read──▶ calls (bounded) ──▶ answers (bounded) ──write──▶ socket
//!            ▲ stops while either is full
//! ```
//!
//! The WebSocket library starts a task for every message it reads, so the bound is here, before it reads. HTTP needs
//! none of this: it asks once and waits for the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// Calls of one connection that run or wait at once; then it is not read.
const CALLS: usize = 64;
/// Bytes of their parameters; then it is not read.
const CALL_BYTES: usize = 8 << 20;
/// Bytes of answers that the client has not taken; then further answers wait, and soon it is not read.
const ANSWER_BYTES: usize = 8 << 20;

/// What is under way on one connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// A lock and not a task: it is held for an addition, by the connection and its calls alone.
    counts: Mutex<Counts>,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    calls: usize,
    call_bytes: usize,
    answer_bytes: usize,
    /// The reader that waits for room.
    reader: Option<Waker>,
}

impl Counts {
    const fn is_full(&self) -> bool {
        self.calls >= CALLS || self.call_bytes >= CALL_BYTES
    }
}

/// A call under way; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    traffic: &'a Traffic,
    bytes: usize,
}

impl Traffic {
    /// A call with parameters of `bytes` begins.
    pub(crate) fn enter(&self, bytes: usize) -> Turn<'_> {
        let mut counts = self.counts.lock();
        counts.calls += 1;
        counts.call_bytes += bytes;
        Turn {
            traffic: self,
            bytes,
        }
    }

    /// Waits until answers that the client has not taken are few enough, and adds one of `bytes` to them.
    pub(crate) async fn answer(&self, bytes: usize) {
        loop {
            let drained = self.drained.notified();
            {
                let mut counts = self.counts.lock();
                if counts.answer_bytes < ANSWER_BYTES {
                    counts.answer_bytes += bytes;
                    return;
                }
            }
            drained.await;
        }
    }

    /// The client took `bytes`: answers, messages of subscriptions and frames alike, so that never too much is held
    /// against it.
    fn wrote(&self, bytes: usize) {
        let mut counts = self.counts.lock();
        let was_full = counts.answer_bytes >= ANSWER_BYTES;
        counts.answer_bytes = counts.answer_bytes.saturating_sub(bytes);
        if was_full && counts.answer_bytes < ANSWER_BYTES {
            self.drained.notify_waiters();
        }
    }

    /// Ready when the connection may be read.
    fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut counts = self.counts.lock();
        if counts.is_full() {
            counts.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut counts = self.traffic.counts.lock();
        counts.calls -= 1;
        counts.call_bytes -= self.bytes;
        if !counts.is_full()
            && let Some(reader) = counts.reader.take()
        {
            reader.wake();
        }
    }
}

/// A socket that is read only while there is room, with its place among the server's connections.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    traffic: Arc<Traffic>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(crate) const fn new(
        socket: TcpStream,
        traffic: Arc<Traffic>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            socket,
            traffic,
            _place: place,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.traffic.poll_room(context));
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(context, bytes))?;
        self.traffic.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(context, slices))?;
        self.traffic.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::{ANSWER_BYTES, CALL_BYTES, CALLS, Traffic};

    fn is_read(traffic: &Traffic) -> bool {
        traffic
            .poll_room(&Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn a_connection_is_not_read_while_its_calls_are_too_many_or_too_large() {
        let traffic = Traffic::default();
        let mut turns: Vec<_> = (0..CALLS).map(|_| traffic.enter(1)).collect();
        assert!(!is_read(&traffic));
        turns.pop();
        assert!(is_read(&traffic));
        turns.push(traffic.enter(CALL_BYTES));
        assert!(!is_read(&traffic));
        drop(turns);
        assert!(is_read(&traffic));
    }

    #[tokio::test]
    async fn answers_wait_until_the_client_has_taken_earlier_ones() {
        let traffic = Traffic::default();
        // One answer may be larger than the bound: it only holds up those after it.
        traffic.answer(3 * ANSWER_BYTES).await;
        let mut second = std::pin::pin!(traffic.answer(1));
        assert!(futures::poll!(second.as_mut()).is_pending());
        traffic.wrote(2 * ANSWER_BYTES);
        assert!(futures::poll!(second.as_mut()).is_pending());
        traffic.wrote(1);
        assert!(futures::poll!(second.as_mut()).is_ready());
        // More than was counted is no credit for later.
        traffic.wrote(10 * ANSWER_BYTES);
        traffic.answer(ANSWER_BYTES).await;
        assert!(futures::poll!(std::pin::pin!(traffic.answer(1))).is_pending());
    }
}
