//! Links between cities: ordered streams by pair and class, that break, and the faults on top.
//!
//! What is in flight when a link breaks is lost. When it comes back, and whenever a message was dropped, both ends are told
//! so, as the driver is by the real links.

use std::time::Duration;

use chain::PeerClass;

use super::random::Random;

/// How bad the links are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quality {
    /// Milliseconds of one way: at least, at most.
    pub(super) way_ms: (u64, u64),
    /// Of 1,000 messages, how many are lost, come twice, overtake others, take seconds.
    pub(super) lost: u64,
    pub(super) twice: u64,
    pub(super) overtaking: u64,
    pub(super) late: u64,
}

/// One direction between two cities.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// How many cuts hold it shut.
    cuts: u32,
    /// Counts its breaks: what was sent before one does not arrive.
    epoch: u64,
    /// When the latest message of each class arrives.
    last: [Duration; 3],
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody hears of it: the way is cut.
    Cut,
    /// Lost, and both ends will be told after this.
    Dropped(Duration),
    /// Arrives at these times; late, or before others, or neither.
    Arrives(Duration, Option<Duration>, Option<&'static str>),
}

/// All ways.
#[derive(Debug)]
pub(super) struct Links {
    ways: Vec<Vec<Way>>,
    pub(super) quality: Quality,
    /// Whether the faults on top still happen.
    pub(super) faulty: bool,
}

impl Links {
    pub(super) fn new(cities: usize, quality: Quality) -> Self {
        Self {
            ways: vec![vec![Way::default(); cities]; cities],
            quality,
            faulty: true,
        }
    }

    /// Whether a message would get through, and in which epoch.
    pub(super) fn epoch(&self, from: usize, to: usize) -> Option<u64> {
        let way = &self.ways[from][to];
        (way.cuts == 0).then_some(way.epoch)
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        let way = &mut self.ways[from][to];
        way.cuts += 1;
        way.epoch += 1;
    }

    /// One cut ends; whether the way is open now.
    pub(super) fn mend(&mut self, from: usize, to: usize) -> bool {
        let way = &mut self.ways[from][to];
        way.cuts = way.cuts.saturating_sub(1);
        way.cuts == 0
    }

    /// All that is on the way to a city is lost: it ended.
    pub(super) fn end(&mut self, city: usize) {
        for ways in &mut self.ways {
            ways[city].epoch += 1;
        }
    }

    pub(super) fn latency(&self, random: &mut Random) -> Duration {
        random.millis(self.quality.way_ms.0, self.quality.way_ms.1)
    }

    pub(super) fn send(
        &mut self,
        from: usize,
        to: usize,
        class: PeerClass,
        now: Duration,
        random: &mut Random,
    ) -> Fate {
        let latency = self.latency(random);
        let (quality, faulty) = (self.quality, self.faulty);
        let way = &mut self.ways[from][to];
        if way.cuts > 0 {
            return Fate::Cut;
        }
        if faulty && random.chance(quality.lost, 1_000) {
            return Fate::Dropped(random.millis(100, 2_000));
        }
        let mut arrives = now + latency;
        let mut how = None;
        if faulty && random.chance(quality.late, 1_000) {
            arrives += random.millis(200, 3_000);
            how = Some("message late");
        }
        let last = &mut way.last[class as usize];
        if faulty && random.chance(quality.overtaking, 1_000) {
            how = how.or((arrives < *last).then_some("message overtaking"));
        } else {
            arrives = arrives.max(*last);
            *last = arrives;
        }
        let again = (faulty && random.chance(quality.twice, 1_000))
            .then(|| arrives + random.millis(0, 1_000));
        Fate::Arrives(arrives, again, how)
    }
}
