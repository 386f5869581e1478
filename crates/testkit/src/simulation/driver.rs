//! The driver of simulated cities: performs an engine's effects in order, and none after the first that fails.
//!
//! What `node` does with tasks and sockets happens here with events: the order of effects, of what comes in, and of what
//! `committed` answers is the same.

use std::sync::Arc;
use std::time::Duration;

use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, Bytes};
use chain::peer::packed;
use chain::{Commit, Effect, EngineError, Notice, PeerMessage, Recipients, Timer};
use consensus::Message;
use types::{BlockRequests, Certificate, Readers};

use super::End;
use super::city::{Input, NoStart};
use super::world::{Event, Phase, World};

/// So many hub blocks from one citation to the next are worth counting.
const FAR: u64 = 1_000_000;

/// What to do after an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    /// The disk is busy.
    Wait,
    /// This life is over.
    Stop,
}

impl World {
    /// Starts a city that does not live.
    pub(super) fn start(&mut self, city: usize) {
        let it = &mut self.cities[city];
        if it.living.is_some() || it.gone || !it.runs {
            return;
        }
        match it.start(&self.genesis, self.now) {
            Ok(()) => {}
            Err(NoStart::Disk(why)) => {
                self.figures.count("start that the disk refused");
                self.tell(|| format!("city {city}: does not start: {why}"));
                let at = self.now + self.random.millis(500, 1_500);
                return self.at(at, Event::Start { city });
            }
            Err(NoStart::Other(why)) => {
                if self.cities[city].is_honest() {
                    self.fail(Some(city), "recovery", &why);
                }
                return;
            }
        }
        let tip = self.cities[city].tip().unwrap_or_default();
        self.tell(|| format!("city {city}: starts at block {}", tip.0));
        self.mark("start", city, tip.1.as_slice());
        if self.cities[city].is_honest() && tip.0 < self.cities[city].shown {
            let text = format!(
                "it showed block {} and starts at {}",
                self.cities[city].shown, tip.0
            );
            self.fail(Some(city), "durability", &text);
        }
        self.found(city, tip.0);
        for peer in 0..self.cities.len() {
            self.connect(city, peer);
        }
        self.tell_of_hub(city);
        self.work(city);
    }

    /// What a start found decided in the log is shown from then on.
    fn found(&mut self, city: usize, tip: u64) {
        self.cities[city].shown = self.cities[city].shown.max(tip);
        if !self.cities[city].is_honest() {
            return;
        }
        for number in self.checks.highest() + 1..=tip {
            let moment = self.cities[city]
                .living
                .as_ref()
                .and_then(|living| living.engine.reader().moment().ok());
            let found = moment.and_then(|moment| {
                Some((
                    moment.block(number).ok()??,
                    moment.receipts(number).ok()??.len(),
                ))
            });
            let Some((block, receipts)) = found else {
                return self.fail(
                    Some(city),
                    "recovery",
                    &format!("block {number} is not there"),
                );
            };
            self.show(city, &block, receipts);
        }
    }

    /// Ends this life of a city, and lets the next one begin later.
    pub(super) fn end(&mut self, city: usize, power: bool) {
        let seed = self.random.next();
        let it = &mut self.cities[city];
        it.living = None;
        it.life += 1;
        it.sync_fault = false;
        if power {
            it.disk.power_cut(seed);
        } else {
            it.disk.kill(seed);
        }
        self.links.end(city);
        self.mark("end", city, &[u8::from(power)]);
        self.tell(|| {
            format!(
                "city {city}: ends ({})",
                if power { "power" } else { "process" }
            )
        });
        let longest = if self.random.chance(1, 8) { 8_000 } else { 800 };
        let at = self.now + self.random.millis(20, longest);
        self.at(at, Event::Start { city });
    }

    /// Gives a city something to take in.
    pub(super) fn put(&mut self, city: usize, input: Input) {
        // What opens it is taken in before it may be parked again.
        let parks_one_in = std::mem::take(&mut self.plan.parks_one_in);
        self.unpark(city);
        self.plan.parks_one_in = parks_one_in;
        if let Some(living) = &mut self.cities[city].living {
            living.inbox.push_back(input);
            self.work(city);
        }
    }

    /// Opens a chain that is parked.
    fn unpark(&mut self, city: usize) {
        let it = &mut self.cities[city];
        if !it.living.as_ref().is_some_and(|living| living.rests) {
            return;
        }
        self.figures.count("parked chain opened");
        match it.open_again(&self.genesis, self.now) {
            Ok(()) => self.tell_of_hub(city),
            Err(why) => self.fail(Some(city), "recovery", &why),
        }
    }

    /// Parks a chain that has nothing to do, as often as the plan says.
    fn park(&mut self, city: usize) {
        let one_in = self.plan.parks_one_in;
        let Some(living) = &mut self.cities[city].living else {
            return;
        };
        // As the program does it, a chain that this city joins, or that has another set than the hub, is kept awake.
        let engine = &living.engine;
        let is_held = !engine.is_validator() || !engine.is_settled();
        let may = one_in > 0 && !is_held && living.timers.is_empty() && engine.can_rest();
        if may && !living.rests && self.random.chance(1, one_in) {
            living.rests = true;
        }
    }

    /// A slow sync is over: what was waiting for it goes on.
    pub(super) fn synced(&mut self, city: usize) {
        let Some(living) = &mut self.cities[city].living else {
            return;
        };
        living.is_syncing = false;
        if self.sync(city) {
            self.work(city);
        }
    }

    /// Lets a city do all that it can now.
    pub(super) fn work(&mut self, city: usize) {
        while self.failure.is_none()
            && let Some(living) = &mut self.cities[city].living
            && !living.is_syncing
            && !living.rests
        {
            if let Some(effect) = living.work.pop_front() {
                match self.perform(city, effect) {
                    Then::GoOn => continue,
                    Then::Wait | Then::Stop => return,
                }
            }
            let Some(input) = living.inbox.pop_front() else {
                if self.wake(city) {
                    continue;
                }
                return self.rests(city);
            };
            self.take(city, input);
        }
    }

    /// A city has nothing more to do now: parked, it has no timer of consensus.
    fn rests(&mut self, city: usize) {
        let Some(living) = &self.cities[city].living else {
            return;
        };
        let is_of_consensus = |(_, timer): &(u64, Timer)| matches!(timer, Timer::Consensus(_));
        if living.engine.is_parked() && living.timers.values().any(is_of_consensus) {
            let text = format!("parked, with timers {:?}", living.timers.values());
            self.fail(Some(city), "idle", &text);
        }
        self.park(city);
    }

    /// Gives an input to the engine.
    fn take(&mut self, city: usize, input: Input) {
        let now_ms = self.cities[city].now_ms(self.now);
        let from = match &input {
            Input::Received(from, _) => self.cities[*from].address,
            Input::Connected(peer) => self.cities[*peer].address,
            Input::Timer(_) | Input::Submitted(_) | Input::HubMoved(_) | Input::Stand => {
                self.cities[city].address
            }
        };
        let Some(living) = &mut self.cities[city].living else {
            return;
        };
        let engine = &mut living.engine;
        let effects = match input {
            Input::Received(_, message) => engine.receive(from, message, now_ms),
            Input::Connected(_) => Ok(engine.connected(from)),
            Input::HubMoved(named) => Ok(engine.hub_moved(named)),
            Input::Stand if living.stands => {
                engine.stand_still();
                Ok(Vec::new())
            }
            Input::Stand => engine.go_on(now_ms),
            Input::Timer(timer) => engine.timer(timer, now_ms),
            Input::Submitted(transactions) => {
                let admitted = engine.admit(transactions, now_ms);
                let mut effects: Vec<_> =
                    admitted.entries.into_iter().map(Effect::Append).collect();
                let raw = admitted
                    .accepted
                    .iter()
                    .map(|one| Bytes::from(one.encoded_2718()));
                effects.extend(packed(raw).map(|message| Effect::Send {
                    to: Recipients::All,
                    message,
                }));
                Ok(effects)
            }
        };
        self.answered(city, effects);
    }

    /// Starts a height if one is due; false when there is nothing to do.
    fn wake(&mut self, city: usize) -> bool {
        let clock = self.cities[city].clock;
        let (now, now_ms) = (self.now, clock.now_ms(self.now));
        let Some(living) = &mut self.cities[city].living else {
            return false;
        };
        let Some(due) = living.engine.due_ms() else {
            return false;
        };
        if due > now_ms {
            if living.wakes_at.is_none() {
                let at = now + clock.until(due, now);
                living.wakes_at = Some(at);
                let life = self.cities[city].life;
                self.at(at, Event::Wake { city, life });
            }
            return false;
        }
        let effects = living.engine.wake(now_ms);
        let nothing = matches!(&effects, Ok(effects) if effects.is_empty());
        self.answered(city, effects);
        !nothing
    }

    fn answered(&mut self, city: usize, effects: Result<Vec<Effect>, EngineError>) {
        match effects {
            Ok(effects) => {
                if let Some(living) = &mut self.cities[city].living {
                    living.work.extend(effects);
                }
            }
            Err(error) if self.cities[city].is_honest() => {
                let text = format!("{error}: {error:?}");
                self.fail(Some(city), "an engine gave up", &text);
            }
            Err(error) => {
                self.figures.count("Byzantine engine that gave up");
                self.tell(|| format!("city {city}: its engine gave up: {error:?}"));
                self.end(city, false);
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    fn perform(&mut self, city: usize, effect: Effect) -> Then {
        let performed = self.cities[city].performed;
        self.cities[city].performed += 1;
        if let Some(crash) = self.plan.crash
            && (crash.city, crash.effect) == (city, performed)
        {
            return self.crash(city, crash.end);
        }
        let one_in = self.plan.crash_one_in;
        if self.phase == Phase::Faulty && one_in > 0 && self.random.chance(1, one_in) {
            let end = match self.random.below(3) {
                0 => End::Process,
                1 => End::Power,
                _ => End::Engine,
            };
            return self.crash(city, end);
        }
        let it = &mut self.cities[city];
        let (life, clock) = (it.life, it.clock);
        let takes = it.sync_takes;
        let Some(living) = &mut it.living else {
            return Then::Stop;
        };
        match effect {
            Effect::Append(payload) => return self.append(city, &payload),
            Effect::Sync if takes > Duration::ZERO => {
                living.is_syncing = true;
                let at = self.now + takes;
                self.at(at, Event::Synced { city, life });
                return Then::Wait;
            }
            Effect::Sync => {
                if !self.sync(city) {
                    return Then::Stop;
                }
            }
            Effect::Commit(commit) => self.commit(city, *commit),
            Effect::Send { to, message } => {
                let loses_disk =
                    it.loses_disk && it.is_honest() && is_own_vote(it.address, &message);
                self.send(city, to, &message);
                if loses_disk {
                    self.wipe(city);
                    return Then::Stop;
                }
            }
            Effect::Schedule { timer, after } => {
                living.next_timer += 1;
                let (number, key) = (living.next_timer, timer.key());
                living.timers.insert(key, (number, timer));
                let at = self.now + clock.lasts(after);
                self.at(
                    at,
                    Event::Timer {
                        city,
                        life,
                        key,
                        number,
                    },
                );
            }
            Effect::CancelTimeouts => {
                living
                    .timers
                    .retain(|_, (_, timer)| !matches!(timer, Timer::Consensus(_)));
            }
            Effect::Evidence(batch) => {
                living
                    .tables
                    .commit(batch)
                    .expect("simulated tables take it");
                self.figures.count("evidence kept");
            }
            Effect::Notice(notice) => self.notice(city, notice),
        }
        Then::GoOn
    }

    /// A crash before an effect: of the whole process, or of one chain's engine.
    fn crash(&mut self, city: usize, end: End) -> Then {
        if end != End::Engine {
            self.figures.count("crash before an effect");
            self.end(city, end == End::Power);
            return Then::Stop;
        }
        self.figures.count("engine started again before an effect");
        self.tell(|| format!("city {city}: its engine starts again"));
        match self.cities[city].start_again(self.now) {
            Ok(()) => self.tell_of_hub(city),
            Err(NoStart::Disk(_)) => {
                self.figures.count("sync that failed");
                self.end(city, false);
                return Then::Stop;
            }
            Err(NoStart::Other(why)) => self.fail(Some(city), "recovery", &why),
        }
        let tip = self.cities[city].tip().unwrap_or_default();
        self.found(city, tip.0);
        Then::GoOn
    }

    fn append(&mut self, city: usize, payload: &[u8]) -> Then {
        if self.cities[city].is_honest()
            && let Err((what, text)) = self.checks.appended(payload)
        {
            self.fail(Some(city), what, &text);
            return Then::Stop;
        }
        let Some(living) = &self.cities[city].living else {
            return Then::Stop;
        };
        let chain = self.genesis.record.chain_id;
        match living.log.append(chain.get(), &[payload]) {
            Ok(_) => Then::GoOn,
            Err(error) => {
                self.figures.count("append that the disk refused");
                self.tell(|| format!("city {city}: {error:?}"));
                self.end(city, false);
                Then::Stop
            }
        }
    }

    /// Makes the log durable; false when that failed, and this life with it.
    fn sync(&mut self, city: usize) -> bool {
        let Some(living) = &self.cities[city].living else {
            return false;
        };
        match living.log.sync(living.log.end()) {
            Ok(()) => true,
            Err(error) => {
                self.figures.count("sync that failed");
                self.tell(|| format!("city {city}: {error:?}"));
                let power = self.random.chance(1, 2);
                self.end(city, power);
                false
            }
        }
    }

    fn commit(&mut self, city: usize, commit: Commit) {
        let now_ms = self.cities[city].now_ms(self.now);
        let flush = self.random.chance(1, self.plan.flush_one_in);
        let it = &mut self.cities[city];
        let Some(living) = &mut it.living else {
            return;
        };
        let Commit { batch, decided } = commit;
        living
            .tables
            .commit(batch)
            .expect("simulated tables take it");
        if flush {
            living.tables.flush().expect("no flush was told to fail");
        }
        let (block, receipts, round) = (
            Arc::clone(&decided.block),
            decided.receipts.len(),
            decided.round,
        );
        let effects = living.engine.committed(decided, now_ms);
        it.shown = it.shown.max(block.header.number);
        let honest = it.is_honest();
        let number = block.header.number;
        self.mark("commit", city, block.hash.as_slice());
        self.tell(|| {
            let count = block.body.transactions.len();
            format!(
                "city {city}: block {number} {} in round {round} with {count}",
                block.hash
            )
        });
        if honest {
            self.figures.highest_round = self.figures.highest_round.max(round);
            self.show(city, &block, receipts);
        }
        self.answered(city, effects);
    }

    fn show(&mut self, city: usize, block: &chain::Block, receipts: usize) {
        let hashes: Vec<_> = block
            .body
            .transactions
            .iter()
            .map(|one| *one.hash())
            .collect();
        match self
            .checks
            .decided(&block.header, block.hash, &hashes, receipts)
        {
            Ok(true) => self.first(city, block),
            Ok(false) => {}
            Err((what, text)) => self.fail(Some(city), what, &text),
        }
    }

    /// A block is shown for the first time anywhere: it is proven, and its time can be.
    fn first(&mut self, city: usize, block: &chain::Block) {
        let number = block.header.number;
        let seal = self.cities[city]
            .living
            .as_ref()
            .and_then(|living| living.engine.reader().moment().ok()?.seal(number).ok()?);
        let certificate = seal.and_then(|seal| Certificate::decode(&seal.certificate).ok());
        let round = certificate
            .as_ref()
            .map_or(0, |certificate| u64::from(certificate.round));
        let proven = certificate.is_some_and(|certificate| {
            certificate.height == number
                && certificate.block_hash == block.hash
                && certificate
                    .verify(&self.checks.domain, self.checks.set(number))
                    .is_ok()
        });
        if !proven {
            self.fail(
                Some(city),
                "validity",
                &format!("block {number} is not proven"),
            );
        }
        let still_since = self.registry.as_ref().and_then(|it| it.still_since);
        if let Some(since) = still_since
            && self
                .plan
                .prompt
                .is_some_and(|prompt| self.now > since + prompt)
        {
            let text = format!("block {number} of a chain that stands since {since:?}");
            self.fail(Some(city), "suspension", &text);
        }
        if let Err(text) = self.check_requests(block) {
            self.fail(Some(city), "validity", &text);
        }
        let ms = types::header::time_ms(&block.header).unwrap_or(u64::MAX);
        let sound = self
            .cities
            .iter()
            .filter(|city| city.is_honest() && city.clock.is_sound());
        let latest = sound.map(|city| city.now_ms(self.now)).max().unwrap_or(0);
        // Formats, Time: a fresh value more than 500 ms ahead is untimely; by ADR 6 later rounds take more.
        if ms > latest + (500 + 250 * round).min(2_000) {
            let text = format!("block {number} is {} ms ahead of every clock", ms - latest);
            self.fail(Some(city), "timeliness", &text);
        }
    }

    /// Set and record are those that the hub holds where the block cites it; the set changes with that alone.
    fn check_requests(&mut self, block: &chain::Block) -> Result<(), String> {
        let (number, genesis) = (block.header.number, &self.genesis);
        let first = BlockRequests::genesis(&genesis.record, &genesis.validators);
        let cited = block.header.parent_beacon_block_root.unwrap_or_default();
        let held = match &self.registry {
            None => genesis.validators.clone(),
            Some(registry) => {
                let hub = registry.hub.read();
                let at = hub.number(cited).ok_or("no hub block is cited")?;
                if at < self.cited {
                    return Err(format!("it cites {at} after {}", self.cited));
                }
                if at - self.cited >= FAR {
                    self.figures.count("citation far ahead of the one before");
                }
                self.cited = at;
                hub.held(at).clone()
            }
        };
        let is_handover = held != *self.checks.latest_set();
        let requests = BlockRequests {
            set_hash: held.hash(),
            from_height: if is_handover {
                number + 1
            } else {
                self.checks.latest_from()
            },
            ..first
        };
        if block.header.requests_hash != Some(requests.hash()) {
            return Err(format!("block {number} does not name what the hub holds"));
        }
        if is_handover {
            self.checks.hands_over(number + 1, held);
        }
        Ok(())
    }

    fn send(&mut self, city: usize, to_whom: Recipients, message: &PeerMessage) {
        let Some(living) = &self.cities[city].living else {
            return;
        };
        let validators = Arc::clone(living.engine.validators());
        let to: Vec<usize> = (0..self.cities.len())
            .filter(|&peer| match to_whom {
                Recipients::All => {
                    peer != city && validators.get(self.cities[peer].address).is_some()
                }
                Recipients::One(address) => self.cities[peer].address == address,
            })
            .collect();
        let from = self.cities[city].address;
        if let Some(byzantine) = &mut self.cities[city].byzantine {
            for (peer, bytes) in byzantine.send(&to, message, &mut self.random) {
                self.transmit(city, peer, bytes.into());
            }
            return;
        }
        if let PeerMessage::Consensus(message) = message
            && let Err((what, text)) = self.checks.sent(from, message)
        {
            self.fail(Some(city), what, &text);
        }
        let nobody = to.is_empty() && matches!(to_whom, Recipients::One(_));
        let may_read = self.genesis.record.readers == Readers::Anyone && is_decided(message);
        if nobody || (!may_read && to.iter().any(|peer| self.cities[*peer].is_stranger())) {
            self.fail(
                Some(city),
                "readers",
                &format!("it sends to a stranger: {message:?}"),
            );
        }
        let bytes: std::rc::Rc<[u8]> = message.encode().into();
        for peer in to {
            self.transmit(city, peer, std::rc::Rc::clone(&bytes));
        }
    }

    fn notice(&mut self, city: usize, notice: Notice) {
        let honest = self.cities[city].is_honest();
        let name = match notice {
            Notice::ClockBehind { .. } => "notice: clock behind",
            Notice::ClockFar { .. } => "notice: clock far",
            Notice::Refused {
                reason: "stranger", ..
            } => "notice: stranger",
            Notice::Refused { grave: true, .. } => "notice: accused",
            Notice::Refused { .. } => "notice: refused",
            Notice::Untrue { .. } => "notice: untrue",
            Notice::InvalidBlock { .. } => "notice: invalid block",
            Notice::Silent { .. } => "notice: silent",
            Notice::Behind { .. } => "notice: behind",
        };
        if honest {
            self.figures.count(name);
        }
        self.tell(|| format!("city {city}: {notice:?}"));
        if let Notice::Refused {
            from,
            reason,
            grave: true,
        } = notice
            && honest
            && !self.checks.byzantine.contains(&from)
        {
            self.fail(Some(city), "an honest city is accused", reason);
        }
    }
}

/// Whether a message is of decided blocks alone.
const fn is_decided(message: &PeerMessage) -> bool {
    matches!(
        message,
        PeerMessage::Tip { .. } | PeerMessage::Blocks(_) | PeerMessage::Certificate(_)
    )
}

fn is_own_vote(own: Address, message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Consensus(Message::Vote(vote)) if vote.validator == own)
}
