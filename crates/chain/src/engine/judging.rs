//! Cities that say again and again what no honest one says: forged votes, certificates that prove nothing, false outlines.
//!
//! Each such message costs a check of signatures and nothing else; who sends very many is not to be listened to for a while.

use std::collections::BTreeMap;

use super::{Address, Call, Effect, Engine, Notice};

/// So many in a minute are no accident: an honest city sends none.
const MOST_GRAVE: u32 = 64;

/// How many grave messages of each validator were refused in which minute.
#[derive(Debug, Default)]
pub(super) struct Grave(BTreeMap<Address, (u64, u32)>);

impl Grave {
    /// One more; whether it is the one that is too much, once a minute.
    fn count(&mut self, from: Address, now_ms: u64) -> bool {
        let minute = now_ms / 60_000;
        let counted = self.0.entry(from).or_insert((minute, 0));
        if counted.0 != minute {
            *counted = (minute, 0);
        }
        counted.1 = counted.1.saturating_add(1);
        counted.1 == MOST_GRAVE
    }
}

impl Engine {
    /// Counts what this call refused for grave reasons, and says of whom it is too much.
    pub(super) fn judge(&mut self, call: &mut Call) {
        let grave = call.out.iter().filter_map(|effect| match effect {
            Effect::Notice(Notice::Refused {
                from, grave: true, ..
            }) => Some(*from),
            _ => None,
        });
        let validators =
            grave.filter(|from| self.set.get(*from).is_some() || self.named.has(*from));
        let validators: Vec<_> = validators.collect();
        for from in validators {
            if self.grave.count(from, call.now_ms) {
                call.push(Effect::Notice(Notice::Untrue { from }));
            }
        }
    }
}
