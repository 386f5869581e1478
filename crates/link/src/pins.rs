//! Whose key is whose, as it is now: asked in every handshake, and again before a connection becomes a link.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::PeerId;
use crate::identity::Fingerprint;

/// The keys that are taken for a city's own. It leads to no connection, since connections hold it.
#[derive(Debug, Default)]
pub(crate) struct Pins(RwLock<HashMap<Fingerprint, PeerId>>);

impl Pins {
    pub(crate) fn new(keys: impl IntoIterator<Item = (Fingerprint, PeerId)>) -> Self {
        Self(RwLock::new(keys.into_iter().collect()))
    }

    /// From now on these and no others.
    pub(crate) fn set(&self, keys: impl IntoIterator<Item = (Fingerprint, PeerId)>) {
        let keys = keys.into_iter().collect();
        *self.0.write() = keys;
    }

    /// The city that this key is pinned for.
    pub(crate) fn whose(&self, key: &Fingerprint) -> Option<PeerId> {
        self.0.read().get(key).copied()
    }
}
