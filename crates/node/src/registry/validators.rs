//! This city's part in who the hub's validators are: it says that it is ready to be one, and has them renewed when that is
//! due. Who serves follows from the registry's rule alone; any city may say that it is time.

use hub::abi::VALIDATORS;
use hub::acts;
use hub::registry::Standing;

use super::Follower;
use super::changes::Waiting;

/// After so many blocks of the hub some leave its validators by turn.
const PERIOD: u64 = 1_024;

/// What this city has to say of the hub's validators.
#[derive(Debug, Default)]
pub(super) struct Serving {
    standing: Standing,
    /// Until when, in periods of the hub's blocks, `standing` was read.
    period: u64,
    ready: Waiting,
    renew: Waiting,
}

impl Serving {
    /// So the city stands now, read at this block of the hub.
    pub(super) fn saw(&mut self, standing: Standing, number: u64) {
        self.period = number / PERIOD;
        if !standing.may_serve {
            self.ready = Waiting::default();
        }
        if !standing.is_due {
            self.renew = Waiting::default();
        }
        self.standing = standing;
    }

    /// Whether a block of the hub with this number may make it somebody's turn.
    pub(super) const fn is_turn(&self, number: u64) -> bool {
        number / PERIOD > self.period
    }

    /// Whether there is something to be said.
    pub(super) const fn is_busy(&self) -> bool {
        self.standing.may_serve || self.standing.is_due
    }
}

impl Follower {
    /// Says what is to be said of the hub's validators.
    pub(super) async fn see_to_validators(&self, serving: &mut Serving) {
        // One that is behind would be missed as soon as it serves.
        if self.hub.status().behind.is_some() {
            return;
        }
        if serving.standing.may_serve && serving.ready.is_due(0) {
            serving.ready.say();
            tracing::info!("this city is ready to be a validator of the hub");
            self.say((VALIDATORS, acts::serve())).await;
        }
        if serving.standing.is_due && serving.renew.is_due(serving.standing.rank) {
            serving.renew.say();
            tracing::info!("the hub's validators are to be renewed");
            self.say((VALIDATORS, acts::renew())).await;
        }
    }
}
