//! One stream of a peer: frames of one chain and class, read no faster than they are taken.
//!
//! A length is checked, and paid for from the peer's budget, before memory is taken for it.

use std::sync::Arc;

use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream};

use crate::inbox::{Arrived, Generation};
use crate::limits::OVERHEAD;
use crate::peer::PeerState;
use crate::refused::Refused;
use crate::shared::Shared;
use crate::wire::{STREAM_HEAD, parse_stream_head};

/// Until the stream ends, or the connection.
pub(crate) async fn read(
    shared: Arc<Shared>,
    peer: Arc<PeerState>,
    generation: Generation,
    mut stream: RecvStream,
) -> Result<(), Refused> {
    let mut head = [0; STREAM_HEAD];
    match stream.read_exact(&mut head).await {
        Ok(()) => {}
        Err(error) => return ended(&error, false),
    }
    let (class, chain) = parse_stream_head(head).ok_or(Refused::StreamHead)?;
    let budget = &peer.budgets[class.index()];
    let mut had_frames = false;
    loop {
        let mut length = [0; 4];
        if let Err(error) = stream.read_exact(&mut length).await {
            return ended(&error, had_frames);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > class.longest() {
            return Err(Refused::FrameTooLong);
        }
        let Ok(permit) = Arc::clone(budget).acquire_many_owned(cost(length)).await else {
            return Ok(()); // Budgets are never closed.
        };
        let mut payload = vec![0; length];
        if let Err(error) = stream.read_exact(&mut payload).await {
            return ended(&error, false);
        }
        had_frames = true;
        shared.arrived(
            &peer,
            generation,
            class,
            chain,
            Arrived {
                payload: Bytes::from(payload),
                _permit: permit,
            },
        );
    }
}

/// Units of [`OVERHEAD`] bytes that a payload holds of its peer's budget.
fn cost(length: usize) -> u32 {
    u32::try_from(1 + length.div_ceil(OVERHEAD)).unwrap_or(u32::MAX)
}

/// `may_end`: a stream may end between frames, once it had one.
fn ended(error: &ReadExactError, may_end: bool) -> Result<(), Refused> {
    match error {
        ReadExactError::FinishedEarly(0) if may_end => Ok(()),
        ReadExactError::FinishedEarly(_) => Err(Refused::CutShort),
        ReadExactError::ReadError(ReadError::Reset(_)) => Err(Refused::StreamGivenUp),
        // The session sees for itself why the connection ended.
        ReadExactError::ReadError(_) => Ok(()),
    }
}
