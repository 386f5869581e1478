//! Which cities there are to be linked with, as that changes: a task for each, started and ended with its peer.
//!
//! ```text
//!  list ──▶ sort out ──▶ compare with the peers there are ──▶ ended: removed, connection cut, task aborted
//!           (faults to                                    ├──▶ kept: endpoint and key replaced if they differ
//!            the log)                                     └──▶ new: state, task
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use quinn::Endpoint;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::{error, info, warn};

use crate::calls::{Caller, Line, call_self, keep_calling, keep_waiting};
use crate::identity::{Fingerprint, Identity};
use crate::limits::MOST_PEERS;
use crate::peer::PeerState;
use crate::pins::Pins;
use crate::refused::Refused;
use crate::shared::Shared;
use crate::tls::{self, SetupError};
use crate::{Peer, PeerId, StartError};

/// The tasks of the links. When it is dropped, they end.
#[derive(Debug)]
pub(crate) struct Lines {
    identity: Identity,
    shared: Arc<Shared>,
    endpoint: Endpoint,
    /// So that peers can be set from outside the runtime.
    runtime: Handle,
    tasks: JoinSet<()>,
    by_peer: HashMap<PeerId, AbortHandle>,
    /// What was listed last since the start, so that the same again costs nothing and is not told again.
    listed: Option<Vec<Peer>>,
}

impl Lines {
    /// To be called inside a tokio runtime.
    pub(crate) fn new(identity: Identity, shared: Arc<Shared>, endpoint: Endpoint) -> Self {
        Self {
            identity,
            shared,
            endpoint,
            runtime: Handle::current(),
            tasks: JoinSet::new(),
            by_peer: HashMap::new(),
            listed: None,
        }
    }

    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn_on(task, &self.runtime)
    }

    /// Looks for another process with the own key at the own published address.
    pub(crate) fn call_self(&mut self, published: String) -> Result<(), SetupError> {
        let shared = Arc::clone(&self.shared);
        let pins = Arc::new(Pins::new([(shared.own_key, shared.own.city)]));
        let config = tls::client(&self.identity, pins, &shared.limits)?;
        self.spawn(call_self(shared, self.endpoint.clone(), config, published));
        Ok(())
    }

    /// Sets the peers to those of the list that do not contradict each other.
    pub(crate) fn list(&mut self, peers: Vec<Peer>) {
        if self.listed.as_ref() == Some(&peers) {
            return;
        }
        let (own, own_key) = (self.shared.own.city, self.shared.own_key);
        let pins = Arc::clone(&self.shared.pins);
        let is_pinned = |peer: &Peer| pins.whose(&peer.fingerprint) == Some(peer.id);
        let sorted = Listed::sort_out(own, own_key, peers.clone(), is_pinned);
        if let Some(fault) = sorted.faults.first() {
            let faults = sorted.faults.len();
            warn!(%fault, faults, "a part of the list of cities is left out");
        }
        match self.set(&sorted.peers) {
            Ok(()) => self.listed = Some(peers),
            // What could be set up before can be again, the next time.
            Err(error) => error!(%error, "cities that are new cannot be called"),
        }
    }

    /// Sets the peers to these, of which no two have one address or key, and none the own.
    ///
    /// # Errors
    /// When TLS cannot be set up; then nothing has changed.
    pub(crate) fn set(&mut self, peers: &[Peer]) -> Result<(), SetupError> {
        self.reap();
        let before = self.shared.peers.read().clone();
        let mut after = BTreeMap::new();
        let mut new = Vec::new();
        for peer in peers {
            let state = if let Some(state) = before.get(&peer.id) {
                Arc::clone(state)
            } else {
                let (line, callers) = self.line(peer)?;
                let state = Arc::clone(&line.peer);
                new.push((line, callers));
                state
            };
            after.insert(peer.id, state);
        }
        for (id, state) in &before {
            if !after.contains_key(id) {
                self.remove(state);
            }
        }
        for peer in peers {
            if let Some(state) = before.get(&peer.id) {
                self.update(state, peer);
            }
        }
        self.publish(&before, after);
        let own = (self.shared.own_key, self.shared.own.city);
        let keys = peers.iter().map(|peer| (peer.fingerprint, peer.id));
        self.shared.pins.set(keys.chain([own]));
        for (line, callers) in new {
            self.begin(line, callers);
        }
        Ok(())
    }

    /// Ends every task.
    pub(crate) async fn end(mut self) {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            tell(ended);
        }
    }

    /// Where and how a new peer is called, and where its calls come in, if it is one that calls.
    fn line(&self, peer: &Peer) -> Result<(Line, Option<mpsc::Receiver<Caller>>), SetupError> {
        let shared = Arc::clone(&self.shared);
        let (callers, calls) = if shared.own.city < peer.id {
            (None, None)
        } else {
            let (callers, calls) = mpsc::channel(1);
            (Some(callers), Some(calls))
        };
        let pins = Pins::new(self.keys(peer));
        let state = Arc::new(PeerState::new(peer, pins, callers, &shared.limits));
        let line = Line {
            endpoint: self.endpoint.clone(),
            config: tls::client(&self.identity, Arc::clone(&state.pins), &shared.limits)?,
            peer: state,
            shared,
        };
        Ok((line, calls))
    }

    /// What may answer where this peer is called.
    fn keys(&self, peer: &Peer) -> [(Fingerprint, PeerId); 2] {
        let own = (self.shared.own_key, self.shared.own.city);
        [(peer.fingerprint, peer.id), own]
    }

    fn begin(&mut self, line: Line, calls: Option<mpsc::Receiver<Caller>>) {
        let id = line.peer.id;
        info!(city = %id, endpoint = %line.peer.endpoint(), "is a peer");
        let task = match calls {
            Some(calls) => self.spawn(keep_waiting(line, calls)),
            None => self.spawn(keep_calling(line)),
        };
        self.by_peer.insert(id, task);
    }

    /// From here on no connection becomes its link, and there is none.
    fn remove(&mut self, peer: &PeerState) {
        peer.link.lock().removed = true;
        if let Some(task) = self.by_peer.remove(&peer.id) {
            task.abort();
        }
        if self.shared.cut(peer, Refused::Removed) {
            self.shared.counters.refused(Refused::Removed);
        }
        self.shared.inbox.lock().removed(peer.id);
        info!(city = %peer.id, "is no peer any more");
    }

    fn update(&self, peer: &PeerState, listed: &Peer) {
        let id = peer.id;
        if *peer.endpoint() != *listed.endpoint {
            peer.link.lock().endpoint = listed.endpoint.as_str().into();
            info!(city = %id, endpoint = listed.endpoint, "has another endpoint");
        }
        if peer.pins.whose(&listed.fingerprint) == Some(id) {
            return;
        }
        peer.pins.set(self.keys(listed));
        info!(city = %id, "has another key");
        // Whatever became its link since then has shown the new one.
        let is_stale = {
            let link = peer.link.lock();
            let open = link.open.as_ref();
            open.is_some_and(|open| !peer.is_pinned(&open.connection))
        };
        if is_stale && self.shared.cut(peer, Refused::KeyReplaced) {
            self.shared.counters.refused(Refused::KeyReplaced);
        }
    }

    /// Shows the peers to all. What those did that left stays in the sums.
    fn publish(
        &self,
        before: &BTreeMap<PeerId, Arc<PeerState>>,
        after: BTreeMap<PeerId, Arc<PeerState>>,
    ) {
        let mut peers = self.shared.peers.write();
        for (id, state) in before {
            if !after.contains_key(id) {
                self.shared.counters.departed.add(&state.counters);
            }
        }
        *peers = after;
    }

    /// Forgets tasks that ended.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            tell(ended);
        }
    }
}

/// A list of cities, without those that contradict others.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) peers: Vec<Peer>,
    /// The endpoint of the own entry, if it is listed.
    pub(crate) published: Option<String>,
    pub(crate) faults: Vec<StartError>,
}

impl Listed {
    /// Entries that are `preferred` have precedence, so that nobody loses its place to who lists the same key.
    pub(crate) fn sort_out(
        own: PeerId,
        own_key: Fingerprint,
        mut listed: Vec<Peer>,
        preferred: impl Fn(&Peer) -> bool,
    ) -> Self {
        listed.sort_by_cached_key(|peer| !preferred(peer));
        let mut sorted = Self::default();
        let mut ids: HashSet<PeerId> = HashSet::new();
        let mut keys: HashMap<Fingerprint, PeerId> = HashMap::new();
        for peer in listed {
            let (id, key) = (peer.id, peer.fingerprint);
            if id == own {
                if key == own_key {
                    sorted.published = Some(peer.endpoint);
                } else {
                    sorted.faults.push(StartError::OwnKeyDiffers);
                }
            } else if key == own_key {
                sorted.faults.push(StartError::KeyTwice(own, id));
            } else if ids.contains(&id) {
                sorted.faults.push(StartError::CityTwice(id));
            } else if let Some(other) = keys.get(&key) {
                sorted.faults.push(StartError::KeyTwice(*other, id));
            } else if sorted.peers.len() >= MOST_PEERS {
                sorted.faults.push(StartError::TooMany);
                break;
            } else {
                ids.insert(id);
                keys.insert(key, id);
                sorted.peers.push(peer);
            }
        }
        sorted
    }
}

fn tell(ended: Result<(), JoinError>) {
    if let Err(failed) = ended
        && failed.is_panic()
    {
        error!(%failed, "a task of the links failed");
    }
}
