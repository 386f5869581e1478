//! Ending chains that are over here, and removing their data.

use std::sync::Arc;

use store::TablesError;
use tokio::sync::oneshot;
use types::ChainId;

use super::{Awake, Hosting, OpenError};
use crate::peers::ToChain;

impl Hosting {
    /// Keeps in mind since when a chain is over here, Unix milliseconds; with `None`, that it is not. Says whether that is new.
    ///
    /// # Errors
    ///
    /// [`TablesError`].
    pub fn set_over(&self, chain_id: ChainId, since_ms: Option<u64>) -> Result<bool, TablesError> {
        let tables = &*self.0.common.tables;
        let was_over = chain::over::find(tables, chain_id)?.since_ms.is_some();
        let is_new = was_over != since_ms.is_some();
        if is_new {
            chain::over::set_since(tables, chain_id, since_ms)?;
        }
        Ok(is_new)
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
        let remove = move || {
            let end = common.log.end();
            Ok(chain::over::remove(
                &*common.tables,
                chain_id,
                silent_to,
                end,
            )?)
        };
        self.0.removed.lock().insert(chain_id.get());
        self.blocking(chain_id, remove).await?;
        Ok(true)
    }

    /// Whether a chain's data was removed since this program started, and the chain is not here again.
    #[must_use]
    pub fn was_removed(&self, chain_id: ChainId) -> bool {
        self.0.removed.lock().contains(&chain_id.get())
    }

    /// Ends the engine of a chain that was taken out, if the chain is over here, and keeps in mind what it may have signed.
    /// Call with the turn.
    pub(super) async fn end(&self, taken: &Awake) -> Result<bool, OpenError> {
        let chain_id = taken.chain_id;
        if !self.is_over(chain_id).await? {
            return Ok(false);
        }
        let (answer, ended) = oneshot::channel();
        let asked = taken.mailboxes.engine.send(ToChain::End(answer)).await;
        let Some(signed_to) = (match asked {
            Ok(()) => ended.await.ok(),
            Err(_) => None,
        }) else {
            return Ok(false);
        };
        let common = Arc::clone(&self.0.common);
        let remember = move || {
            let end = common.log.end();
            Ok(chain::over::ended(
                &*common.tables,
                chain_id,
                signed_to,
                end,
            )?)
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
