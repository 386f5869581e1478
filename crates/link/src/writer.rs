//! Carries one peer's outbox to its streams, the most urgent first.
//!
//! ```text
//!  outbox ── class by class, chain by chain ──▶ a frame at hand for each class ──▶ stream of (class, chain)
//! ```
//!
//! A frame is written in pieces. Before each piece, and while one waits for room, whatever is more urgent goes first:
//! a vote never waits for the block that is being sent to somebody who was away. What QUIC already holds
//! ([`SEND_WINDOW`](crate::limits::SEND_WINDOW)) is overtaken by the priorities of the streams.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, SendStream, WriteError};
use tokio::time::{Instant, sleep_until};

use crate::limits::{Class, STREAMS_TO_PEER, WRITTEN_AT_ONCE};
use crate::peer::PeerState;
use crate::refused::Refused;
use crate::shared::Shared;
use crate::wire::stream_head;

type Key = (Class, u64);

pub(crate) struct Writer<'a> {
    shared: &'a Shared,
    peer: &'a PeerState,
    connection: &'a Connection,
    streams: HashMap<Key, Outgoing>,
    /// By class.
    at_hand: [Option<Frame>; 3],
}

struct Outgoing {
    stream: SendStream,
    used: Instant,
}

/// What is left of a frame.
struct Frame {
    chain: u64,
    /// Of the payload.
    length: usize,
    head: Bytes,
    payload: Bytes,
}

/// The connection is lost, or the peer gave up a stream.
struct Ended(Option<Refused>);

impl<'a> Writer<'a> {
    pub(crate) fn new(shared: &'a Shared, peer: &'a PeerState, connection: &'a Connection) -> Self {
        Self {
            shared,
            peer,
            connection,
            streams: HashMap::new(),
            at_hand: [None, None, None],
        }
    }

    /// Until the connection is lost (None) or the peer breaks the rules.
    pub(crate) async fn run(mut self) -> Option<Refused> {
        self.publish();
        loop {
            let step = match self.most_urgent() {
                Some(class) => self.write_piece(class).await,
                None => {
                    self.rest().await;
                    Ok(())
                }
            };
            if let Err(Ended(reason)) = step {
                return reason;
            }
        }
    }

    /// The most urgent class that has a frame at hand, taking one if there is none yet.
    fn most_urgent(&mut self) -> Option<Class> {
        for class in Class::ALL {
            let at_hand = &mut self.at_hand[class.index()];
            if at_hand.is_none() {
                *at_hand = self.peer.take(class).map(Frame::from);
            }
            if at_hand.is_some() {
                return Some(class);
            }
        }
        None
    }

    /// Waits for something to do; meanwhile closes streams that nothing uses.
    async fn rest(&mut self) {
        let idle = self.shared.limits.stream_idle;
        let Some(oldest) = self.streams.values().map(|outgoing| outgoing.used).min() else {
            self.peer.ready.notified().await;
            return;
        };
        tokio::select! {
            () = self.peer.ready.notified() => {}
            () = sleep_until(oldest + idle) => {
                let now = Instant::now();
                let mut unused: Vec<Key> = Vec::new();
                unused.extend(self.streams.iter().filter(|(_, of)| of.used + idle <= now).map(|(key, _)| *key));
                for key in unused {
                    self.finish(key);
                }
            }
        }
    }

    /// Writes a piece of the frame at hand, unless something more urgent comes before there is room for it.
    async fn write_piece(&mut self, class: Class) -> Result<(), Ended> {
        let Some(chain) = self.at_hand[class.index()]
            .as_ref()
            .map(|frame| frame.chain)
        else {
            return Ok(());
        };
        if !self.streams.contains_key(&(class, chain)) && !self.open(class, chain).await? {
            return Ok(());
        }
        let (Some(outgoing), Some(frame)) = (
            self.streams.get_mut(&(class, chain)),
            self.at_hand[class.index()].as_mut(),
        ) else {
            return Ok(());
        };
        outgoing.used = Instant::now();
        let piece = frame.payload.len().min(WRITTEN_AT_ONCE);
        let mut pieces = [frame.head.clone(), frame.payload.slice(..piece)];
        let written = tokio::select! {
            written = outgoing.stream.write_chunks(&mut pieces) => written.map_err(Ended::from)?.bytes,
            () = more_urgent(self.peer, class) => return Ok(()),
        };
        frame.written(written);
        if frame.is_empty() {
            self.peer.counters.sent[class.index()].add(frame.length);
            self.at_hand[class.index()] = None;
        }
        Ok(())
    }

    /// False if something more urgent came before the peer allowed another stream.
    async fn open(&mut self, class: Class, chain: u64) -> Result<bool, Ended> {
        if self.streams.len() >= STREAMS_TO_PEER {
            self.finish_oldest();
        }
        let stream = tokio::select! {
            stream = self.connection.open_uni() => stream.map_err(|_lost| Ended(None))?,
            () = more_urgent(self.peer, class) => return Ok(false),
        };
        let priority = match class {
            Class::Consensus => 2,
            Class::Transactions => 1,
            Class::Sync => 0,
        };
        stream
            .set_priority(priority)
            .map_err(|_closed| Ended(None))?;
        if let Some(frame) = &mut self.at_hand[class.index()] {
            let mut head = BytesMut::from(stream_head(class, chain).as_slice());
            head.extend_from_slice(&frame.head);
            frame.head = head.freeze();
        }
        let used = Instant::now();
        self.streams
            .insert((class, chain), Outgoing { stream, used });
        self.publish();
        Ok(true)
    }

    /// Closes the stream that was unused for longest and has no frame begun.
    fn finish_oldest(&mut self) {
        let begun = Class::ALL.map(|class| {
            let frame = self.at_hand[class.index()].as_ref();
            frame.map(|frame| (class, frame.chain))
        });
        let oldest = self
            .streams
            .iter()
            .filter(|(key, _)| !begun.contains(&Some(**key)))
            .min_by_key(|(_, outgoing)| outgoing.used)
            .map(|(key, _)| *key);
        if let Some(key) = oldest {
            self.finish(key);
        }
    }

    fn finish(&mut self, key: Key) {
        if let Some(mut outgoing) = self.streams.remove(&key) {
            // Fails only when the peer has stopped the stream, which the next use of the connection tells.
            let _stopped = outgoing.stream.finish();
            self.publish();
        }
    }

    fn publish(&self) {
        self.peer
            .streams
            .store(self.streams.len(), Ordering::Relaxed);
    }
}

/// Returns when something waits that is more urgent than `class`.
async fn more_urgent(peer: &PeerState, class: Class) {
    while !peer.has_before(class) {
        peer.ready.notified().await;
    }
}

impl Frame {
    fn written(&mut self, mut bytes: usize) {
        let of_head = bytes.min(self.head.len());
        drop(self.head.split_to(of_head));
        bytes -= of_head;
        drop(self.payload.split_to(bytes.min(self.payload.len())));
    }

    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.payload.is_empty()
    }
}

impl From<(u64, Bytes)> for Frame {
    fn from((chain, payload): (u64, Bytes)) -> Self {
        // Longer ones are not taken into the queue.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        Self {
            chain,
            length: payload.len(),
            head: Bytes::copy_from_slice(&length.to_be_bytes()),
            payload,
        }
    }
}

impl From<WriteError> for Ended {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(_) => Self(Some(Refused::StreamGivenUp)),
            WriteError::ConnectionLost(_)
            | WriteError::ClosedStream
            | WriteError::ZeroRttRejected => Self(None),
        }
    }
}
