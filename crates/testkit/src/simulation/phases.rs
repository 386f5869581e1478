//! What happens to the world: faults, a client's transactions, the end of the faults, and what must be so afterwards.

use std::time::Duration;

use alloy_primitives::B256;
use store::simulated::Disk;

use super::byzantine::Known;
use super::city::Input;
use super::plan::Fault;
use super::world::{Event, Phase, World};

/// After the end of the faults, everything must be in blocks of every honest city within this.
const HEALED_WITHIN: Duration = Duration::from_secs(120);

/// When all is well, the last timers end within this: the longest delays a message for 64 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);

/// How long an idle chain is watched.
const IDLE: Duration = Duration::from_secs(3_600);

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.phase != Phase::Faulty && !matches!(fault, Fault::Mend { .. }) {
            return;
        }
        self.tell(|| format!("{fault:?}"));
        self.mark("fault", 0, &[]);
        match fault {
            Fault::Kill(city) => {
                self.figures.count("process killed");
                self.end(city, false);
            }
            Fault::PowerCut(city) => {
                self.figures.count("power cut");
                self.end(city, true);
            }
            Fault::PowerCutAll => {
                self.figures.count("power cut everywhere");
                for city in 0..self.cities.len() {
                    if self.cities[city].runs {
                        self.end(city, true);
                    }
                }
            }
            Fault::Wipe(city) => self.cities[city].loses_disk = true,
            Fault::Cut { from, to } => {
                self.figures.count("way cut");
                self.links.cut(from, to);
            }
            Fault::Mend { from, to } => {
                if self.links.mend(from, to) {
                    self.connect(from, to);
                }
            }
            Fault::Slow(city, takes) => {
                if !takes.is_zero() {
                    self.figures.count("slow disk");
                }
                self.cities[city].sync_takes = takes;
            }
            Fault::Fill(city, more) => {
                self.figures.count("full disk");
                let disk = &self.cities[city].disk;
                disk.limit(Some(disk.used() + more));
            }
            Fault::Empty(city) => self.cities[city].disk.limit(None),
            Fault::FailSync(city) => {
                self.figures.count("failing sync");
                self.cities[city].sync_fault = true;
                self.cities[city].disk.fail_next_sync();
            }
        }
    }

    /// A city loses its disk, and perhaps another is gone meanwhile, so that the height does not end without the two.
    pub(super) fn wipe(&mut self, city: usize) {
        self.figures.count("disk lost");
        self.end(city, true);
        let seed = self.random.next();
        let it = &mut self.cities[city];
        it.disk = Disk::new(seed);
        it.lost_log = true;
        it.loses_disk = false;
        it.shown = 0;
        let other = self.random.index(self.cities.len());
        if other != city && self.cities[other].runs && self.random.chance(2, 3) {
            self.end(other, false);
        }
    }

    /// A client sends transactions to some cities that live.
    pub(super) fn submit(&mut self, number: usize) {
        let submission = self.plan.load[number];
        let living: Vec<usize> = (0..self.cities.len())
            .filter(|city| self.cities[*city].is_honest() && self.takes_transactions(*city))
            .collect();
        if living.is_empty() {
            let at = self.now + Duration::from_millis(500);
            return self.at(at, Event::Submit { number });
        }
        let is_late = self.phase != Phase::Faulty;
        let transactions: Vec<_> = (0..submission.transactions)
            .map(|number| self.load.next(is_late && number == 0))
            .collect();
        for transaction in &transactions {
            self.checks.known.insert(*transaction.hash());
            if is_late {
                self.due.push(*transaction.hash());
            }
        }
        if let Some(prompt) = self.plan.prompt {
            let hashes = transactions.iter().map(|one| *one.hash()).collect();
            self.at(self.now + prompt, Event::Expect(hashes));
        }
        let first = self.random.index(living.len());
        for copy in 0..submission.copies.min(living.len()) {
            let city = living[(first + copy) % living.len()];
            self.tell(|| {
                format!(
                    "city {city}: a client sends {} transactions",
                    transactions.len()
                )
            });
            self.put(city, Input::Submitted(transactions.clone()));
        }
    }

    /// These transactions had time enough.
    pub(super) fn expect(&mut self, hashes: &[B256]) {
        let late = hashes
            .iter()
            .find(|hash| !self.checks.mined.contains_key(*hash));
        let stood = self.registry.as_ref().is_some_and(|registry| {
            // A city's copy is up to 20 s behind.
            registry.stood_still(self.now, Duration::from_secs(40))
        });
        if late.is_some() && stood {
            let again = self.now + Duration::from_secs(10);
            return self.at(again, Event::Expect(hashes.to_vec()));
        }
        if let Some(hash) = late {
            let text = format!("{hash} is in no block after {:?}", self.plan.prompt);
            self.fail(None, "liveness", &text);
        }
    }

    /// Whether a city is one of the chain's for some time to come: what it takes from a client gets into a block.
    fn takes_transactions(&self, place: usize) -> bool {
        let leaving = self
            .registry
            .as_ref()
            .and_then(|registry| registry.change.as_ref()?.leaving);
        // Who came back believes that it votes until it holds the block with which it left.
        let address = self.cities[place].address;
        let is_out = self
            .registry
            .as_ref()
            .is_some_and(|registry| !registry.has(address));
        let living = self.cities[place].living.as_ref();
        leaving != Some(place)
            && !is_out
            && living.is_some_and(|living| living.engine.is_validator() && !living.stands)
    }

    pub(super) fn mischief(&mut self, city: usize) {
        if self.cities[city].gone {
            return;
        }
        let highest = self.checks.highest();
        let to: Vec<usize> = (0..self.cities.len())
            .filter(|peer| *peer != city && self.cities[*peer].runs)
            .collect();
        let it = &mut self.cities[city];
        let round = it
            .living
            .as_ref()
            .and_then(|living| living.engine.agreeing())
            .map_or(0, |(_, round)| round);
        let height = it
            .living
            .as_ref()
            .and_then(|living| living.tip())
            .map_or(highest, |tip| tip.0);
        if let Some(byzantine) = &mut it.byzantine {
            let known = Known { height, round };
            let parcels = byzantine.mischief(&to, known, &mut self.random);
            if !parcels.is_empty() {
                self.figures.count("mischief");
            }
            for (peer, bytes) in parcels {
                self.transmit(city, peer, bytes.into());
            }
        }
        let at = self.now + self.random.millis(50, 3_000);
        self.at(at, Event::Mischief { city });
    }

    /// All faults end, but for what less than a third of the power does for ever.
    pub(super) fn heal(&mut self) {
        self.tell(|| "all faults end".to_owned());
        self.phase = Phase::Healing;
        self.links.faulty = false;
        self.heal_hub();
        for city in 0..self.cities.len() {
            let it = &mut self.cities[city];
            it.sync_takes = Duration::ZERO;
            it.disk.limit(None);
            it.loses_disk = false;
            if it.sync_fault {
                self.end(city, false);
            }
        }
        for from in 0..self.cities.len() {
            for to in 0..self.cities.len() {
                while self.links.epoch(from, to).is_none() {
                    if self.links.mend(from, to) {
                        self.connect(from, to);
                    }
                }
            }
        }
        for (place, city) in self.cities.iter().enumerate() {
            let counts = city.is_honest() && self.takes_transactions(place);
            if let Some(living) = city.living.as_ref().filter(|_| counts) {
                let waiting = living.engine.pool().read().executable(usize::MAX);
                self.due
                    .extend(waiting.iter().map(|transaction| *transaction.hash()));
            }
        }
        self.figures.seeds = 1;
        self.at(self.now + Duration::from_millis(250), Event::Look);
    }

    /// Whether all is as it should be by now.
    pub(super) fn look(&mut self) {
        match self.phase {
            Phase::Faulty | Phase::Over => {}
            Phase::Healing => match self.unwell() {
                None => self.settle(),
                Some(text) if self.now > self.plan.heal_at + HEALED_WITHIN => {
                    self.fail(None, "liveness", &text);
                }
                Some(_) => self.at(self.now + Duration::from_millis(250), Event::Look),
            },
            Phase::Settling(_) => self.quiet(),
        }
    }

    /// All is well: nobody is Byzantine any more, and everything must end.
    fn settle(&mut self) {
        let healing = self.now - self.plan.heal_at;
        self.figures.longest_healing = healing;
        self.tell(|| format!("all is well after {healing:?}"));
        self.phase = Phase::Settling(self.now);
        for city in self.cities.iter_mut().filter(|city| !city.is_honest()) {
            city.gone = true;
            city.living = None;
            city.life += 1;
        }
        self.at(self.now + SETTLED_WITHIN, Event::Look);
    }

    /// Nothing may wait to happen any more: then nothing happens for an hour, or for ever.
    pub(super) fn quiet(&mut self) {
        if !matches!(self.phase, Phase::Settling(_)) {
            return self.fail(None, "liveness", "nothing happens and not all is well");
        }
        if let Some(waiting) = self.waiting() {
            return self.fail(
                None,
                "idle",
                &format!("the chain is idle and yet there is {waiting}"),
            );
        }
        self.now += IDLE;
        if let Some(text) = self.unwell() {
            self.fail(None, "idle", &text);
        }
        self.compare();
        self.phase = Phase::Over;
    }

    /// What is not as it should be when all faults are over.
    fn unwell(&self) -> Option<String> {
        let late = self
            .plan
            .load
            .iter()
            .any(|submission| submission.at > self.now);
        let missing = self
            .due
            .iter()
            .find(|hash| !self.checks.mined.contains_key(*hash));
        let mut tips = Vec::new();
        for (place, city) in self.cities.iter().enumerate() {
            if !city.is_honest() || !city.runs || city.gone {
                continue;
            }
            let Some(living) = &city.living else {
                return Some(format!("city {place} does not live"));
            };
            let engine = &living.engine;
            if engine.pool().read().has_executable() && !late {
                let (tip, agreeing) = (living.tip(), engine.agreeing());
                return Some(format!(
                    "city {place} at {tip:?}, agreeing on {agreeing:?}, has transactions that no block takes"
                ));
            }
            tips.push((place, living.tip(), engine.agreeing(), engine.behind()));
        }
        if tips.iter().any(|(_, tip, ..)| *tip != tips[0].1) {
            return Some(format!("the cities differ: {tips:?}"));
        }
        if late {
            return Some("transactions are still to come".to_owned());
        }
        if let Some(text) = self.unwell_registry() {
            return Some(text);
        }
        missing.map(|hash| format!("{hash} is in no block: {tips:?}"))
    }

    /// Every honest city has every block that any showed, with its receipts.
    fn compare(&mut self) {
        for place in 0..self.cities.len() {
            let city = &self.cities[place];
            let Some(living) = city.living.as_ref().filter(|_| city.is_honest()) else {
                continue;
            };
            let Ok(moment) = living.engine.reader().moment() else {
                return self.fail(Some(place), "durability", "it cannot be read");
            };
            for number in 1..=self.checks.highest() {
                let block = moment.header(number).ok().flatten();
                let receipts = moment.receipts(number).ok().flatten();
                let holds = block.zip(receipts).is_some_and(|(block, receipts)| {
                    self.checks.holds(number, block.hash, receipts.len())
                });
                if !holds {
                    let text = format!("block {number} was shown and is not here");
                    return self.fail(Some(place), "durability", &text);
                }
            }
        }
    }
}
