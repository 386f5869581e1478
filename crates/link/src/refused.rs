//! Why a city or its bytes were refused: one reason, one counter, one line.

use quinn::ConnectionError;
use quinn::VarInt;

/// A reason. Reasons that a peer is told travel as the application's code of QUIC's close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// A caller whose key is pinned for no peer.
    #[error("a stranger called: its key belongs to no city of this network")]
    Stranger,
    /// Another key answered than the one pinned for the peer.
    #[error(
        "another key answered than the one pinned for this city: wrong endpoint, or its key was replaced"
    )]
    WrongKey,
    /// The peer does not take our key.
    #[error(
        "the city does not know our key: it has another one for us, or it is of another network"
    )]
    KeyUnknownThere,
    /// The peer is of another network.
    #[error("the city is of another network: compare the genesis files")]
    OtherNetwork,
    /// No version is spoken by both.
    #[error("the city speaks no version of the link protocol that we speak: update the older one")]
    Version,
    /// The peer's key is right, and it claims to be another city.
    #[error("the city names itself with another address than the one its key is pinned for")]
    OtherCity,
    /// Our own hello came back.
    #[error("the endpoint leads back to this city itself")]
    Echo,
    /// Another process has our key.
    #[error("another process holds this city's key")]
    OwnKey,
    /// The peer gave up our connection for a newer one with our key.
    #[error(
        "the city took a newer connection with this city's key: does a second process run with it?"
    )]
    Replaced,
    /// No hello, or none in time.
    #[error("the city did not greet as agreed")]
    Greeting,
    /// Nothing answered in time.
    #[error("the city does not answer")]
    Unreachable,
    /// The endpoint's name could not be resolved.
    #[error("the city's endpoint cannot be resolved")]
    Unresolved,
    /// Too many callers at a time.
    #[error("too many callers at a time")]
    Busy,
    /// The peer is paused after an abuse.
    #[error("the city abused its link a moment ago and has to wait")]
    Paused,
    /// A stream that does not begin as agreed.
    #[error("a stream does not begin with version, class and chain")]
    StreamHead,
    /// A frame longer than its class allows.
    #[error("a frame is longer than its class allows")]
    FrameTooLong,
    /// A stream that ended within a frame, or before the first one.
    #[error("a stream ended within a frame or before the first")]
    CutShort,
    /// A stream that the peer reset, or told us to stop.
    #[error("a stream was given up")]
    StreamGivenUp,
    /// The peer broke QUIC's or TLS's rules.
    #[error("the connection broke the rules of QUIC or TLS")]
    Transport,
    /// Whoever uses the links found what the peer says untrue, again and again.
    #[error("the city said again and again what no honest city says")]
    Untrue,
    /// The city is no peer any more, or we are none of its.
    #[error("one of the two cities is no longer among the peers of the other")]
    Removed,
    /// Another key is pinned for the city than the one it showed, or for us there.
    #[error("the network knows another link key by now than the one shown on this connection")]
    KeyReplaced,
}

impl Refused {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 22] = [
        Self::Stranger,
        Self::WrongKey,
        Self::KeyUnknownThere,
        Self::OtherNetwork,
        Self::Version,
        Self::OtherCity,
        Self::Echo,
        Self::OwnKey,
        Self::Replaced,
        Self::Greeting,
        Self::Unreachable,
        Self::Unresolved,
        Self::Busy,
        Self::Paused,
        Self::StreamHead,
        Self::FrameTooLong,
        Self::CutShort,
        Self::StreamGivenUp,
        Self::Transport,
        Self::Untrue,
        Self::Removed,
        Self::KeyReplaced,
    ];

    /// A stable name, for metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::WrongKey => "wrong_key",
            Self::KeyUnknownThere => "key_unknown_there",
            Self::OtherNetwork => "other_network",
            Self::Version => "version",
            Self::OtherCity => "other_city",
            Self::Echo => "echo",
            Self::OwnKey => "own_key",
            Self::Replaced => "replaced",
            Self::Greeting => "greeting",
            Self::Unreachable => "unreachable",
            Self::Unresolved => "unresolved",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::StreamHead => "stream_head",
            Self::FrameTooLong => "frame_too_long",
            Self::CutShort => "cut_short",
            Self::StreamGivenUp => "stream_given_up",
            Self::Transport => "transport",
            Self::Untrue => "untrue",
            Self::Removed => "removed",
            Self::KeyReplaced => "key_replaced",
        }
    }

    /// Whether it takes malice or a broken program, and the peer is paused for it.
    #[must_use]
    pub const fn is_abuse(self) -> bool {
        matches!(
            self,
            Self::StreamHead
                | Self::FrameTooLong
                | Self::CutShort
                | Self::StreamGivenUp
                | Self::Transport
        )
    }

    /// What the peer meant by closing the connection. None: an ordinary end, or none by the peer.
    pub(crate) fn told_by(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                match Closing::from_code(close.error_code)? {
                    Closing::Stopping | Closing::Knocked => None,
                    Closing::Replaced => Some(Self::Replaced),
                    Closing::Refused(reason) => Some(reason),
                }
            }
            ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
                0 => None,
                CONNECTION_REFUSED => Some(Self::Busy),
                KEY_REFUSED => Some(Self::KeyUnknownThere),
                _ => Some(Self::Transport),
            },
            _ => None,
        }
    }

    /// What was found here to be wrong with a connection. None: nothing.
    pub(crate) fn found_in(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::TransportError(error) if u64::from(error.code) == KEY_REFUSED => {
                Some(Self::Stranger)
            }
            ConnectionError::TransportError(_) | ConnectionError::VersionMismatch => {
                Some(Self::Transport)
            }
            ConnectionError::ApplicationClosed(_) | ConnectionError::ConnectionClosed(_) => None,
            ConnectionError::TimedOut
            | ConnectionError::Reset
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => None,
        }
    }
}

/// Why a connection is closed, as the other side is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The city goes down.
    Stopping,
    /// A newer connection of the same peer took over.
    Replaced,
    /// The connection was only to say: call me.
    Knocked,
    Refused(Refused),
}

/// The first code of a refusal; the reason's place in [`Refused::ALL`] is added.
const REFUSALS_FROM: u32 = 16;

/// TLS's alert `access_denied` (49; RFC 8446, 6.2) as an error of QUIC (RFC 9001, 4.8): a key is refused.
const KEY_REFUSED: u64 = 0x100 + 49;

/// QUIC's error for a server that takes nobody (RFC 9000, 20.1).
const CONNECTION_REFUSED: u64 = 2;

impl Closing {
    pub(crate) fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Stopping => 1,
            Self::Replaced => 2,
            Self::Knocked => 3,
            Self::Refused(reason) => REFUSALS_FROM + reason as u32,
        })
    }

    pub(crate) fn from_code(code: VarInt) -> Option<Self> {
        match code.into_inner() {
            1 => Some(Self::Stopping),
            2 => Some(Self::Replaced),
            3 => Some(Self::Knocked),
            code => {
                let at = usize::try_from(code.checked_sub(REFUSALS_FROM.into())?).ok()?;
                Refused::ALL.get(at).copied().map(Self::Refused)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Closing, Refused};

    #[test]
    fn every_reason_has_its_place_and_its_name() {
        for (at, reason) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            let closing = Closing::Refused(reason);
            assert_eq!(Closing::from_code(closing.code()), Some(closing));
        }
        let names: BTreeSet<_> = Refused::ALL.into_iter().map(Refused::code).collect();
        assert_eq!(names.len(), Refused::ALL.len());
    }

    #[test]
    fn ordinary_ends_have_codes_of_their_own() {
        for closing in [Closing::Stopping, Closing::Replaced, Closing::Knocked] {
            assert_eq!(Closing::from_code(closing.code()), Some(closing));
        }
        assert_eq!(Closing::from_code(quinn::VarInt::from_u32(0)), None);
        assert_eq!(Closing::from_code(quinn::VarInt::MAX), None);
    }
}
