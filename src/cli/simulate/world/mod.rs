//! The simulated world: places, isolates and providers, with the real exchange and the real health between them.
//!
//! Time is the agenda's, in whole milliseconds; nothing else passes. What the Worker's shell does is done here in its
//! order and with its intervals (`edge/health.rs`): an isolate's first request has read the snapshot, a later one has what
//! others know read again beside itself, reports go out when `Health::report_due` says so.
//!
//! Callers may rely on: every request that arrives ends once, and the same scenario and seed give the same outcome.
//!
//! Simpler than the world: requests are one small body with a drawn number of prompt tokens, answers are one token and
//! then the rest, clients do not leave, clocks agree, and D1 does not fail.

mod calls;
mod reports;

use crate::cli::simulate::agenda::{Agenda, CallId, Event, SlotId};
use crate::cli::simulate::dice::Dice;
use crate::cli::simulate::fault::{From, What};
use crate::cli::simulate::load::{Load, Serving};
use crate::cli::simulate::outcome::Outcome;
use crate::cli::simulate::place::{Isolate, Pop};
use crate::cli::simulate::scenario::Scenario;
use crate::cli::simulate::tally::Tally;
use crate::cli::simulate::template::Template;
use crate::cli::simulate::tidings::Tidings;
use crate::cli::simulate::whole;
use crate::exchange::{Exchange, Input, Output};
use crate::journal::Record;
use crate::units::{Millis, UnixMillis};

/// When every run begins; the health of a target takes 0 for never.
pub(in crate::cli::simulate) const START: UnixMillis = UnixMillis(1_800_000_000_000);

#[derive(Debug)]
pub(in crate::cli::simulate) struct World<'a> {
    scenario: &'a Scenario,
    now: UnixMillis,
    dice: Dice,
    agenda: Agenda,
    template: Template,
    pops: Vec<Pop>,
    isolates: Vec<Isolate>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    loads: Vec<Load>,
    tidings: Tidings,
    tally: Tally,
    /// The seconds since the start at which each region's next request may come.
    arrivals: Vec<f64>,
}

/// A place for an exchange that is under way.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// When the exchange asked for a tick. Here, because a tick that is void shall not touch more.
    wake_at: UnixMillis,
    /// Boxed: an exchange is large, and would be moved with each step.
    running: Option<Box<Running>>,
}

#[derive(Debug)]
struct Running {
    exchange: Exchange,
    isolate: usize,
    from: From,
    calls: Vec<Call>,
    prompt_tokens: u64,
}

/// One call, as its provider sees it.
#[derive(Debug)]
struct Call {
    provider: usize,
    /// Whether it takes one of the provider's places.
    is_in_flight: bool,
    is_over: bool,
    /// How much of the answer is still to come, in time.
    rest: Millis,
    /// What a fault makes of it, for when it can begin.
    slow: (f64, bool),
    serving: Serving,
}

impl<'a> World<'a> {
    pub fn new(scenario: &'a Scenario) -> Self {
        let mut world = Self {
            scenario,
            now: START,
            dice: Dice::new(scenario.seed),
            agenda: Agenda::default(),
            template: Template::new(&scenario.route),
            pops: Pop::all(&scenario.regions),
            isolates: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            loads: scenario.providers.iter().map(|_| Load::default()).collect(),
            tidings: Tidings::new(scenario.lag),
            tally: Tally::new(scenario),
            arrivals: vec![0.0; scenario.regions.len()],
        };
        for pop in 0..world.pops.len() {
            for place in 0..scenario.isolates_per_pop {
                world.start_isolate(pop, place);
            }
        }
        for region in 0..scenario.regions.len() {
            world.await_arrival(region);
        }
        for (place, fault) in scenario.faults.iter().enumerate() {
            if fault.what == What::Cold {
                world.agenda.add(
                    START + fault.from,
                    Event::Strike {
                        fault: short(place),
                    },
                );
            }
        }
        world
    }

    /// Runs until all requests of the scenario's time have ended. `watch` hears of each simulated second.
    pub fn run(mut self, mut watch: impl FnMut(Millis, u64)) -> Outcome {
        let mut second = 0;
        let mut counts = None;
        while let Some((at, event)) = self.agenda.next() {
            self.now = at;
            let since = at.since(START);
            if since.0 / 1_000 > second {
                second = since.0 / 1_000;
                watch(since, self.tally.ended());
            }
            if since >= self.scenario.duration && counts.is_none() {
                counts = Some(self.tidings.counts());
            }
            self.on(event);
        }
        let counts = counts.unwrap_or_else(|| self.tidings.counts());
        Outcome::of(self.scenario, self.tally, counts)
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Arrival { region } => {
                let region = long(region);
                self.arrive(region);
                self.await_arrival(region);
            }
            Event::FirstToken(call) => self.first_token(call),
            Event::Rest(call) => self.rest(call),
            Event::Refusal { call, status } => self.refuse(call, status),
            Event::Tick(slot) => {
                let known = self.slots.get(slot.place());
                let is_due =
                    |known: &Slot| known.generation == slot.generation && known.wake_at == self.now;
                if known.is_some_and(is_due) {
                    self.feed(slot, Input::Tick);
                }
            }
            Event::Report { isolate } => self.report(long(isolate)),
            Event::Deliver => {
                if self.tidings.deliver(&mut self.agenda, self.now) {
                    self.publish();
                }
            }
            Event::Publish => self.publish(),
            Event::Strike { fault } => self.begin_anew(long(fault)),
        }
    }

    fn publish(&mut self) {
        let is_down = self.is_on(What::Kv);
        self.tidings.publish(is_down, self.now);
    }

    fn is_on(&self, what: What) -> bool {
        let at = self.now.since(START);
        let mut faults = self.scenario.faults.iter();
        faults.any(|fault| fault.what == what && fault.is_on(at))
    }

    fn start_isolate(&mut self, pop: usize, place: usize) {
        let lifetime = self.scenario.isolate_lifetime.as_seconds();
        let lives = Millis::from_seconds(self.dice.wait(1.0) * lifetime);
        let name = self.dice.bits() >> 16;
        let number = self.isolates.len();
        let Some(pop) = self.pops.get_mut(pop) else {
            return;
        };
        let isolate = Isolate::new(name, pop, self.now + lives);
        self.tally.isolate(pop, self.now);
        self.isolates.push(isolate);
        match pop.isolates.get_mut(place) {
            Some(known) => {
                let before = std::mem::replace(known, number);
                if let Some(before) = self.isolates.get_mut(before) {
                    before.dies_at = before.dies_at.min(self.now);
                    before.bury(self.now);
                }
            }
            None => pop.isolates.push(number),
        }
    }

    /// The next request of a region, by thinning: candidates come at the highest rate, and those above the rate of their
    /// time are none.
    fn await_arrival(&mut self, region: usize) {
        let Some(terms) = self.scenario.regions.get(region) else {
            return;
        };
        let highest = terms.rate_max();
        if highest <= 0.0 {
            return;
        }
        let Some(mut at) = self.arrivals.get(region).copied() else {
            return;
        };
        loop {
            at += self.dice.wait(highest);
            let since = Millis(whole(at * 1_000.0));
            if since >= self.scenario.duration {
                return;
            }
            if self.dice.unit() * highest < terms.rate(since) {
                if let Some(known) = self.arrivals.get_mut(region) {
                    *known = at;
                }
                self.agenda.add(
                    START + since,
                    Event::Arrival {
                        region: short(region),
                    },
                );
                return;
            }
        }
    }

    fn arrive(&mut self, region: usize) {
        let unit = self.dice.unit();
        let Some(pop) = Pop::drawn(&self.pops, region, unit) else {
            return;
        };
        let place = self.dice.below(self.scenario.isolates_per_pop);
        let known = |world: &Self| {
            let pop = world.pops.get(pop)?;
            pop.isolates.get(place).copied()
        };
        let is_dead = |isolate: &Isolate| isolate.dies_at <= self.now;
        let isolate = known(self).and_then(|number| self.isolates.get(number));
        if isolate.is_none_or(is_dead) {
            self.start_isolate(pop, place);
        }
        if let Some(isolate) = known(self) {
            self.begin(pop, isolate);
        }
    }

    /// A request meets an isolate, as `edge/mod.rs` has it: the first one waits for the snapshot, the later ones have
    /// what has grown old read again beside themselves.
    fn begin(&mut self, pop_place: usize, number: usize) {
        let now = self.now;
        let (is_kv_up, is_cache_up) = (!self.is_on(What::Kv), !self.is_on(What::Cache));
        let team = self.dice.below(self.scenario.teams);
        let prompt_tokens = whole(self.dice.draw(self.scenario.prompt_tokens)).max(1);
        let seed = self.dice.bits();
        let Some(pop) = self.pops.get_mut(pop_place) else {
            return;
        };
        let Some(isolate) = self.isolates.get_mut(number) else {
            return;
        };
        let is_first = isolate.is_new();
        let reads = isolate.reads(now);
        let mut edition = None;
        if reads.is_snapshot_due && is_kv_up {
            edition = self.tidings.read(&mut pop.cached, now);
        }
        if is_first && let Some(edition) = edition.take() {
            isolate.take_snapshot(edition.for_pop(&pop.name), now);
        }
        let from = pop.from;
        let order = self
            .template
            .order(self.tally.begun(), team, pop, prompt_tokens, seed, now);
        let (exchange, outputs) = Exchange::begin(order, &mut isolate.health, now);
        if reads.is_place_due && is_cache_up {
            isolate.health.take_place(&pop.place.clone().at(now), now);
        }
        if let Some(edition) = edition {
            isolate.take_snapshot(edition.for_pop(&pop.name), now);
        }
        isolate.under_way += 1;
        self.tally.begin(now);
        let slot = self.take_slot(Box::new(Running {
            exchange,
            isolate: number,
            from,
            calls: Vec::new(),
            prompt_tokens,
        }));
        self.obey(slot, outputs);
    }

    fn take_slot(&mut self, running: Box<Running>) -> SlotId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let mut generation = 0;
        if let Some(slot) = self.slots.get_mut(place) {
            generation = slot.generation;
            slot.running = Some(running);
        }
        SlotId::of(place, generation)
    }

    fn running(&mut self, id: SlotId) -> Option<&mut Running> {
        let slot = self.slots.get_mut(id.place())?;
        let running = slot.running.as_deref_mut();
        running.filter(|_| slot.generation == id.generation)
    }

    fn call(&mut self, id: CallId) -> Option<&mut Call> {
        let call = self.running(id.slot)?.calls.get_mut(id.attempt())?;
        (!call.is_over).then_some(call)
    }

    fn feed(&mut self, id: SlotId, input: Input) {
        let slot = self.slots.get_mut(id.place());
        let slot = slot.filter(|slot| slot.generation == id.generation);
        let Some(running) = slot.and_then(|slot| slot.running.as_deref_mut()) else {
            return;
        };
        let Some(isolate) = self.isolates.get_mut(running.isolate) else {
            return;
        };
        let outputs = running.exchange.on(input, &mut isolate.health, self.now);
        self.obey(id, outputs);
    }

    fn obey(&mut self, id: SlotId, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { attempt, call, .. } => {
                    let attempt = CallId::of(id, attempt);
                    self.send(attempt, &call.url);
                }
                Output::Cancel { attempt } => {
                    self.release(CallId::of(id, attempt));
                    self.await_report(id);
                }
                Output::WakeAt(at) => {
                    // What is due already is due now.
                    let at = at.max(self.now);
                    if let Some(slot) = self.slots.get_mut(id.place()) {
                        slot.wake_at = at;
                        self.agenda.add(at, Event::Tick(id));
                    }
                }
                Output::Finish(record) => self.finish(id, &record),
                // Nobody listens.
                Output::Respond(_) | Output::Relay { .. } | Output::Emit(_) => {}
            }
        }
    }

    fn finish(&mut self, id: SlotId, record: &Record) {
        self.await_report(id);
        let Some(calls) = self.running(id).map(|running| running.calls.len()) else {
            return;
        };
        for attempt in 0..calls {
            self.release(CallId::of(id, attempt));
        }
        let Some(slot) = self.slots.get_mut(id.place()) else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        if let Some(running) = slot.running.take() {
            self.free.push(id.place());
            self.tally.finish(record, running.isolate);
            if let Some(isolate) = self.isolates.get_mut(running.isolate) {
                isolate.under_way -= 1;
                isolate.bury(self.now);
            }
        }
    }
}

/// A place as an event holds it; no run has more than 2^32 of anything.
fn short(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn long(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
