//! Data of chains that are over here, closed or left: kept for a time that the network states, then removed.
//!
//! Time is that of the hub's blocks as this city has them: what it learned while it was away counts before time does, and no
//! clock of a single city removes anything.

use std::time::Duration;

use chain::ReadError;
use hub::registry::Status;
use hub::{Placement, Registry};
use tokio::time::Instant;
use types::ChainId;

use super::{FollowError, Follower, Known};

/// After how long what could not be removed is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// What is to be kept for longer is looked at again after this: the network may have stated another time.
const AT_LATEST: Duration = Duration::from_mins(10);

impl Follower {
    /// Keeps in mind since when a chain of this city's is over here, or that it is not. Before this city is known to be one of the
    /// network's, nothing is over.
    pub(super) fn keep_in_mind(
        &self,
        known: &mut Known,
        placement: &Placement,
        is_here: bool,
    ) -> Result<(), FollowError> {
        let is_over = placement.status == Status::Closed || (known.own_id.is_some() && !is_here);
        let since_ms = match is_over {
            true => Some(self.hub_ms()?),
            false => None,
        };
        if self.hosting.set_over(placement.chain_id, since_ms)? && is_over {
            known.removes_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Removes the data of what has been over for long enough, if it is time to look.
    pub(super) async fn see_to_what_is_over(&self, known: &mut Known) {
        let is_time = known.removes_at.is_none_or(|at| at <= Instant::now());
        if !is_time {
            return;
        }
        let next = self.remove_what_is_over().await;
        let next = next.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the data of chains that are over was not removed; it is tried again"
            );
            Some(AGAIN)
        });
        known.removes_at = Some(Instant::now() + next.unwrap_or(AT_LATEST));
    }

    /// Says after how long to look again; `None` when nothing is over.
    async fn remove_what_is_over(&self) -> Result<Option<Duration>, FollowError> {
        let common = self.hosting.common();
        let over = chain::over::all(&*common.tables)?;
        if over.is_empty() {
            return Ok(None);
        }
        let kept = Registry::new(&self.hub.reader().moment()?).data_kept()?;
        let now_ms = self.hub_ms()?;
        let mut next = AT_LATEST;
        for (chain_id, since_ms) in over {
            let until_ms = since_ms.saturating_add(kept.saturating_mul(1_000));
            let left_ms = until_ms.saturating_sub(now_ms);
            let left = match left_ms {
                0 if self.remove(chain_id).await => continue,
                0 => AGAIN,
                left_ms => Duration::from_millis(left_ms),
            };
            next = next.min(left);
        }
        Ok(Some(next))
    }

    /// The time of the hub's latest block here, Unix milliseconds.
    fn hub_ms(&self) -> Result<u64, FollowError> {
        let moment = self.hub.reader().moment()?;
        let header = &moment.head().header;
        let ms = types::header::time_ms(header).ok_or(ReadError::Damaged {
            what: "time",
            number: header.number,
        })?;
        Ok(ms)
    }

    /// Removes one chain's data. Says whether it did; one that cannot be removed keeps no other.
    async fn remove(&self, chain_id: ChainId) -> bool {
        match self.hosting.remove(chain_id).await {
            Ok(true) => {
                tracing::info!(%chain_id, "the data of a chain that is over was removed");
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::warn!(
                    %chain_id,
                    error = &error as &dyn std::error::Error,
                    "the data of a chain that is over was not removed; it is tried again"
                );
                false
            }
        }
    }
}
