//! Calls to providers: how one begins, what comes of it, and who takes its place when it is over.

use super::{Call, START, World};
use crate::chat::AttemptFailure;
use crate::cli::simulate::agenda::{CallId, Event};
use crate::cli::simulate::load::{Fate, Room, Serving, fate, most};
use crate::cli::simulate::template::{beginning, end, piece, refusal};
use crate::exchange::Input;
use crate::units::Millis;

/// The longest silence in a stream that goes well, where the route does not say what is idle.
const PIECE_MAX: Millis = Millis(20_000);

impl World<'_> {
    pub(super) fn send(&mut self, id: CallId, url: &str) {
        let (now, at) = (self.now, self.now.since(START));
        let scenario = self.scenario;
        let mut providers = scenario.providers.iter().enumerate();
        let found = providers.find(|(_, known)| url.starts_with(&known.base_url));
        let (Some((provider, capacity)), Some(running)) = (found, self.running(id.slot)) else {
            return;
        };
        let from = running.from;
        let mut call = Call {
            provider,
            is_in_flight: false,
            is_over: false,
            rest: Millis(0),
            slow: (1.0, false),
            serving: Serving::default(),
        };
        self.tally.call(provider, id.attempt() == 0, from, now);
        let fate = fate(
            provider,
            capacity,
            &scenario.faults,
            from,
            at,
            &mut self.dice,
        );
        let rtt = capacity.rtt.get(from.region).copied().unwrap_or_default();
        let soon = now + rtt + capacity.error_after;
        let mut is_to_begin = false;
        match fate {
            Fate::Refuse { status } => self.agenda.add(soon, Event::Refusal { call: id, status }),
            Fate::Silence => {}
            Fate::Serve { slow, is_cut } => {
                call.slow = (slow, is_cut);
                let most = most(provider, capacity, &scenario.faults, at);
                match self.loads.get_mut(provider) {
                    Some(load) => match load.room(most, capacity.when_full) {
                        Room::Free => is_to_begin = true,
                        Room::Later => load.waiting.push_back(id),
                        Room::None => {
                            let status = Some(429);
                            self.agenda.add(soon, Event::Refusal { call: id, status });
                        }
                    },
                    None => return,
                }
            }
        }
        if let Some(running) = self.running(id.slot) {
            running.calls.push(call);
        }
        if is_to_begin {
            self.serve(id);
        }
    }

    /// The provider begins with a call.
    fn serve(&mut self, id: CallId) {
        let (now, at) = (self.now, self.now.since(START));
        let scenario = self.scenario;
        let Some(running) = self.running(id.slot) else {
            return;
        };
        let region = running.from.region;
        let Some(call) = running.calls.get(id.attempt()).filter(|call| !call.is_over) else {
            return;
        };
        let (provider, slow) = (call.provider, call.slow);
        let Some(capacity) = scenario.providers.get(provider) else {
            return;
        };
        let most = most(provider, capacity, &scenario.faults, at);
        let Some(load) = self.loads.get_mut(provider) else {
            return;
        };
        let serving = load.begin(capacity, most, slow, &mut self.dice);
        let fullness = most.map_or(0.0, |most| f64::from(load.in_flight) / most.max(1.0));
        self.tally.fullness(provider, fullness);
        if let Some(call) = self.call(id) {
            call.is_in_flight = true;
            call.rest = serving.rest;
            call.serving = serving;
        }
        let rtt = capacity.rtt.get(region).copied().unwrap_or_default();
        self.agenda
            .add(now + rtt + serving.first_token, Event::FirstToken(id));
    }

    pub(super) fn first_token(&mut self, id: CallId) {
        if self.call(id).is_none() {
            return;
        }
        self.await_rest(id);
        let (head, bytes) = beginning();
        let attempt = id.attempt();
        self.feed(id.slot, Input::Head { attempt, head });
        self.feed(id.slot, Input::Chunk { attempt, bytes });
    }

    /// The next piece comes with the end, or before the stream seems idle.
    fn await_rest(&mut self, id: CallId) {
        let idle = self.scenario.route.deadlines.idle;
        let piece = idle.map_or(PIECE_MAX, |idle| Millis(idle.0 / 2));
        let now = self.now;
        let Some(call) = self.call(id) else {
            return;
        };
        let wait = call.rest.min(piece.max(Millis(1)));
        call.rest.0 -= wait.0;
        self.agenda.add(now + wait, Event::Rest(id));
    }

    pub(super) fn rest(&mut self, id: CallId) {
        let attempt = id.attempt();
        let Some((serving, rest)) = self.call(id).map(|call| (call.serving, call.rest)) else {
            return;
        };
        if rest.0 > 0 {
            self.await_rest(id);
            let bytes = piece();
            self.feed(id.slot, Input::Chunk { attempt, bytes });
            return;
        }
        let prompt_tokens = self.running(id.slot).map(|running| running.prompt_tokens);
        self.release(id);
        if !serving.is_cut {
            let bytes = end(prompt_tokens.unwrap_or_default(), serving.answer_tokens);
            self.feed(id.slot, Input::Chunk { attempt, bytes });
        }
        self.feed(id.slot, Input::End { attempt });
    }

    pub(super) fn refuse(&mut self, id: CallId, status: Option<u16>) {
        let Some(provider) = self.call(id).map(|call| call.provider) else {
            return;
        };
        self.release(id);
        let attempt = id.attempt();
        let Some(status) = status else {
            let failure = AttemptFailure::Unreachable;
            self.feed(id.slot, Input::Failed { attempt, failure });
            return;
        };
        let capacity = self.scenario.providers.get(provider);
        let retry_after = capacity.and_then(|capacity| capacity.retry_after);
        let head = refusal(status, retry_after.filter(|_| status == 429));
        self.feed(id.slot, Input::Head { attempt, head });
        self.feed(id.slot, Input::End { attempt });
    }

    /// The call is over for its provider, which begins with the next that waits.
    pub(super) fn release(&mut self, id: CallId) {
        let Some(call) = self.call(id) else {
            return;
        };
        call.is_over = true;
        let (provider, was_in_flight) = (call.provider, call.is_in_flight);
        if !was_in_flight {
            return;
        }
        let at = self.now.since(START);
        let scenario = self.scenario;
        let Some(capacity) = scenario.providers.get(provider) else {
            return;
        };
        let most = most(provider, capacity, &scenario.faults, at);
        if let Some(load) = self.loads.get_mut(provider) {
            load.in_flight -= 1;
        }
        loop {
            let Some(load) = self.loads.get_mut(provider) else {
                return;
            };
            if most.is_some_and(|most| f64::from(load.in_flight) >= most) {
                return;
            }
            let Some(next) = load.waiting.pop_front() else {
                return;
            };
            self.serve(next);
        }
    }
}
