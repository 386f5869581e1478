//! What waits to be sent to one peer: by class, in turns between chains, within bounds.
//!
//! A chain may fill its own bound. When all chains together reach theirs, the chain that has most waiting loses its
//! newest payload to one that has less, so that a busy chain never keeps a quiet one from being heard.

use std::collections::HashMap;

use bytes::Bytes;

use crate::limits::{Class, Limits, OVERHEAD, QueueLimits};
use crate::turns::Turns;

#[derive(Debug)]
pub(crate) struct Outbox {
    classes: [Queue; 3],
}

#[derive(Debug)]
struct Queue {
    limits: QueueLimits,
    turns: Turns<u64, Bytes>,
    /// By chain that has something waiting.
    bytes: HashMap<u64, usize>,
    total: usize,
    count: u64,
}

impl Outbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        let queue = |limits| Queue {
            limits,
            turns: Turns::new(),
            bytes: HashMap::new(),
            total: 0,
            count: 0,
        };
        Self {
            classes: limits.queues.map(queue),
        }
    }

    /// Takes the payload in. Answers the chains that lost one for it, or its own chain when it did not fit: one
    /// entry for each payload dropped.
    pub(crate) fn offer(&mut self, class: Class, chain: u64, payload: Bytes) -> Vec<u64> {
        self.classes[class.index()].offer(chain, payload)
    }

    pub(crate) fn take(&mut self, class: Class) -> Option<(u64, Bytes)> {
        let queue = &mut self.classes[class.index()];
        let (chain, payload) = queue.turns.pop()?;
        queue.forget(chain, payload.len());
        Some((chain, payload))
    }

    /// Whether something waits that is more urgent than `class`.
    pub(crate) fn has_before(&self, class: Class) -> bool {
        self.classes[..class.index()]
            .iter()
            .any(|queue| !queue.turns.is_empty())
    }

    /// Payloads waiting, of all classes.
    pub(crate) fn count(&self) -> u64 {
        self.classes.iter().map(|queue| queue.count).sum()
    }

    /// Bytes waiting, of all classes.
    pub(crate) fn total_bytes(&self) -> usize {
        self.classes.iter().map(|queue| queue.total).sum()
    }
}

impl Queue {
    fn offer(&mut self, chain: u64, payload: Bytes) -> Vec<u64> {
        let cost = payload.len() + OVERHEAD;
        let own = self.bytes.get(&chain).copied().unwrap_or(0) + cost;
        if own > self.limits.chain_bytes || cost > self.limits.total_bytes {
            return vec![chain];
        }
        let mut dropped = Vec::new();
        while self.total + cost > self.limits.total_bytes {
            let most = self.bytes.iter().max_by_key(|(_, bytes)| **bytes);
            match most.map(|(other, bytes)| (*other, *bytes)) {
                Some((other, bytes)) if other != chain && bytes > own => {
                    if let Some(newest) = self.turns.pop_newest(other) {
                        self.forget(other, newest.len());
                    }
                    dropped.push(other);
                }
                _ => {
                    dropped.push(chain);
                    return dropped;
                }
            }
        }
        self.total += cost;
        self.count += 1;
        self.bytes.insert(chain, own);
        self.turns.push(chain, payload);
        dropped
    }

    fn forget(&mut self, chain: u64, length: usize) {
        let cost = length + OVERHEAD;
        self.total = self.total.saturating_sub(cost);
        self.count = self.count.saturating_sub(1);
        if let Some(bytes) = self.bytes.get_mut(&chain) {
            *bytes = bytes.saturating_sub(cost);
            if *bytes == 0 {
                self.bytes.remove(&chain);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Outbox;
    use crate::limits::{Class, Limits, OVERHEAD, QueueLimits};

    /// Room for `chain` and `total` payloads of 100 bytes.
    fn outbox(chain: usize, total: usize) -> Outbox {
        let queue = QueueLimits {
            chain_bytes: chain * (100 + OVERHEAD),
            total_bytes: total * (100 + OVERHEAD),
        };
        Outbox::new(&Limits {
            queues: [queue; 3],
            ..Limits::default()
        })
    }

    fn payload(byte: u8) -> Bytes {
        Bytes::from(vec![byte; 100])
    }

    #[test]
    fn a_chain_fills_its_own_bound_and_no_more() {
        let mut outbox = outbox(2, 10);
        assert!(outbox.offer(Class::Sync, 7, payload(0)).is_empty());
        assert!(outbox.offer(Class::Sync, 7, payload(1)).is_empty());
        assert_eq!(outbox.offer(Class::Sync, 7, payload(2)), [7]);
        assert!(outbox.offer(Class::Sync, 8, payload(3)).is_empty());
        assert!(outbox.offer(Class::Consensus, 7, payload(4)).is_empty());
        assert_eq!(outbox.take(Class::Sync), Some((7, payload(0))));
        assert!(outbox.offer(Class::Sync, 7, payload(5)).is_empty());
    }

    #[test]
    fn the_busiest_chain_gives_way_to_a_quiet_one() {
        let mut outbox = outbox(4, 4);
        for byte in 0..4 {
            assert!(outbox.offer(Class::Consensus, 1, payload(byte)).is_empty());
        }
        assert_eq!(outbox.offer(Class::Consensus, 2, payload(4)), [1]);
        assert_eq!(outbox.offer(Class::Consensus, 2, payload(5)), [1]);
        // Both have two now: the one that wants more has to wait.
        assert_eq!(outbox.offer(Class::Consensus, 2, payload(6)), [2]);
        assert_eq!(outbox.offer(Class::Consensus, 1, payload(7)), [1]);
        let left: Vec<_> = std::iter::from_fn(|| outbox.take(Class::Consensus)).collect();
        assert_eq!(
            left,
            [
                (1, payload(0)),
                (2, payload(4)),
                (1, payload(1)),
                (2, payload(5))
            ]
        );
        assert_eq!((outbox.total_bytes(), outbox.count()), (0, 0));
    }

    #[test]
    fn empty_payloads_are_bounded_too() {
        let mut outbox = outbox(1, 10);
        let fitted = (0..1000)
            .take_while(|_| outbox.offer(Class::Sync, 1, Bytes::new()).is_empty())
            .count();
        assert_eq!(fitted, 1);
    }

    #[test]
    fn urgent_is_what_stands_above() {
        let mut outbox = outbox(1, 10);
        outbox.offer(Class::Transactions, 1, payload(0));
        assert!(outbox.has_before(Class::Sync));
        assert!(!outbox.has_before(Class::Transactions));
        assert!(!outbox.has_before(Class::Consensus));
    }
}
