//! Ending chains that are over here, and removing their data.

use std::sync::Arc;
use std::time::Duration;

use store::{LogError, Position, TablesError};
use tokio::sync::oneshot;
use types::ChainId;

use super::{Awake, Common, Hosting, OpenError};
use crate::peers::ToChain;

/// Between two parts of a removal: others want to open chains, and the disk wants to keep up.
const PAUSE: Duration = Duration::from_millis(5);

impl Hosting {
    /// Keeps in mind since when a chain is over here, Unix milliseconds; with `None`, that it is not. Says whether that is new.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn set_over(&self, chain_id: ChainId, since_ms: Option<u64>) -> Result<bool, TablesError> {
        self.0.common.over.set_since(chain_id, since_ms)
    }

    /// Ends a chain's engine if the chain is over here, though it may have a height open. Says whether it did.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it is as it was.
    pub async fn end_if_over(&self, chain_id: ChainId) -> Result<bool, OpenError> {
        let _turn = self.0.turn.lock().await;
        let taken = self.0.awake.lock().remove(&chain_id.get());
        let Some(taken) = taken else {
            return Ok(false);
        };
        let ended = self.end(&taken).await;
        if !matches!(ended, Ok(true)) {
            self.put_back(taken);
        }
        ended
    }

    /// Removes the data of a chain that is over here. Says whether it did. Whoever holds the chain finds nothing in it any more.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; some of it may be left, and is removed by another try.
    pub async fn remove(&self, chain_id: ChainId) -> Result<bool, OpenError> {
        if !self.forget(chain_id).await? {
            return Ok(false);
        }
        let mut from = None;
        loop {
            let turn = self.0.turn.lock().await;
            let common = Arc::clone(&self.0.common);
            let part = move || {
                // It is here again: what was left of it is gone.
                if chain::genesis::find(&*common.tables, chain_id)?.is_some() {
                    return Ok(None);
                }
                Ok(common.over.remove_some(chain_id, from)?)
            };
            from = self.blocking(chain_id, part).await?;
            if from.is_none() {
                return Ok(true);
            }
            drop(turn);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Of the chains that could not be followed, those that are over here need nothing of the log any more; gives one of the
    /// others.
    pub(crate) async fn let_go_of_failed(&self) -> Result<Option<ChainId>, OpenError> {
        let _turn = self.0.turn.lock().await;
        for chain_id in self.0.failed.iter().filter_map(|id| ChainId::new(*id).ok()) {
            if !self.is_over(chain_id).await? {
                return Ok(Some(chain_id));
            }
            let common = Arc::clone(&self.0.common);
            let remember = move || {
                let end = synced(&common)?;
                Ok(common.over.ended(chain_id, 0, end)?)
            };
            self.blocking(chain_id, remember).await?;
        }
        Ok(None)
    }

    /// Takes a chain that is over out of those that are here, if it is at rest or can be ended.
    async fn forget(&self, chain_id: ChainId) -> Result<bool, OpenError> {
        let _turn = self.0.turn.lock().await;
        let taken = self.0.awake.lock().remove(&chain_id.get());
        if let Some(taken) = taken {
            let ended = self.end(&taken).await;
            if !matches!(ended, Ok(true)) {
                self.put_back(taken);
                return ended;
            }
        } else if !self.is_over(chain_id).await? {
            return Ok(false);
        }
        // What could not be followed may have signed what nobody here knows.
        let silent_to = self.0.failed.contains(&chain_id.get()).then_some(0);
        let common = Arc::clone(&self.0.common);
        let forget = move || {
            let end = synced(&common)?;
            Ok(common.over.forget(chain_id, silent_to, end)?)
        };
        self.blocking(chain_id, forget).await?;
        Ok(true)
    }

    /// Ends the engine of a chain that was taken out, if the chain is over here, and keeps in mind what it may have signed.
    /// Call with the turn.
    pub(super) async fn end(&self, taken: &Awake) -> Result<bool, OpenError> {
        let chain_id = taken.chain_id;
        if !self.is_over(chain_id).await? {
            return Ok(false);
        }
        let (answer, ended) = oneshot::channel();
        let signed_to = match taken.mailboxes.engine.send(ToChain::End(answer)).await {
            Ok(()) => ended.await.ok(),
            // It stopped for an error, and does nothing any more; what it knew is not known.
            Err(_) => Some(0),
        };
        let Some(signed_to) = signed_to else {
            return Ok(false);
        };
        let common = Arc::clone(&self.0.common);
        let remember = move || {
            let end = synced(&common)?;
            Ok(common.over.ended(chain_id, signed_to, end)?)
        };
        self.blocking(chain_id, remember).await?;
        Ok(true)
    }

    async fn is_over(&self, chain_id: ChainId) -> Result<bool, OpenError> {
        let common = Arc::clone(&self.0.common);
        let is_over = move || {
            Ok(chain::over::find(&*common.tables, chain_id)?
                .since_ms
                .is_some())
        };
        self.blocking(chain_id, is_over).await
    }
}

/// Where the log ends, synced: a loss of power makes no position before there another entry's.
pub(super) fn synced(common: &Common) -> Result<Position, LogError> {
    let end = common.log.end();
    common.log.sync(end)?;
    Ok(end)
}
