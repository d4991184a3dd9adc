//! One client request, from its first byte to its record, as a state machine without I/O.
//!
//! The edge tells it what happened ([`Input`]) and does what it says ([`Output`]); so do the tests and the
//! simulator, with a clock of their own. It owns the decision, the attempts, failover, the deadlines, and what the
//! client sees. Callers may rely on: nothing is emitted before the first good token or the final failure; every
//! exchange ends in exactly one [`Output::Finish`], after which all inputs are ignored; and a stream that broke is
//! never ended as if it were whole.
//!
//! One attempt runs at a time, or two where a route hedges. Each keeps its own unshown prelude and its own clocks, so
//! that a second one beside it changes nothing here but who may begin.
//!
//! Not here: sockets, timers, secrets' values (`edge/`), and what a failure says about a target (`health/`).

mod again;
mod attempt;
mod call;
mod client;
mod count;
mod deadlines;
mod expected;
mod failover;
mod hedge;
mod kept;
mod listen;
mod order;
mod report;
mod resume;

use std::borrow::Cow;

use crate::chat::{Answer, AttemptFailure, Event, ProviderError, Usage};
use crate::config::Midstream;
use crate::decide::{Candidate, Plan};
use crate::dialects::{Endpoint, Room};
use crate::health::{Health, Observation};
use crate::journal::{Ending, Explanation, Record};
use crate::units::{Millis, UnixMillis};

use again::Again;
use attempt::{ANSWER_BYTES_MAX, Attempt, Ended, Failed, Passage};
use client::Client;
use deadlines::{Due, next_due};
use listen::Heard;
use resume::Shown;

pub use call::{Binding, Call, Credential, CredentialPlace};
pub use kept::KeptCall;
pub use order::{Order, Routing};

/// Calls of one exchange, whichever way they fail. A client that waits for more has long given up.
pub const ATTEMPTS_MAX: usize = 8;
/// The longest stream of which anything may have to be kept: what a slow client has not taken yet, where it is passed on
/// unread; what its encoder holds back, where it is translated. A long answer has some hundred kilobytes.
const KEPT_BYTES_MAX: u64 = ANSWER_BYTES_MAX as u64;
/// The same where the answer is no conversation but a sound or images, which are larger. Only what a slow client has not
/// taken is kept.
const BYTES_KEPT_MAX: u64 = 2 * KEPT_BYTES_MAX;
/// Routes that one request may be sent on to; `waypost check` refuses circles, a raw put does not.
pub const REDIRECTS_MAX: usize = 4;
/// The longest value of `x-waypost-explain`. Node and others refuse a response whose headers together pass 16 KiB.
pub const EXPLAIN_BYTES_MAX: usize = 8 * 1024;

/// A provider's status and the headers that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderHead {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub retry_after_ms: Option<String>,
    /// AWS's name for what went wrong: `x-amzn-errortype`.
    pub error_type: Option<String>,
    /// The values of one family of `dialects::ROOM_HEADERS`, in its order; empty where the provider sends neither.
    pub room: Vec<Option<String>>,
}

/// What happened. Attempts are numbered from 0 in the order of their `Send`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Only the first of an attempt counts.
    Head {
        attempt: usize,
        head: ProviderHead,
    },
    Chunk {
        attempt: usize,
        bytes: Vec<u8>,
    },
    /// The provider's body ended without an error. That says nothing about the answer.
    End {
        attempt: usize,
    },
    /// The call could not be made, or broke.
    Failed {
        attempt: usize,
        failure: AttemptFailure,
    },
    /// A time asked for with `WakeAt` has come; too early or too often does no harm.
    Tick,
    /// The client has taken all that was emitted, after it had kept us from reading on. The provider was not
    /// silent meanwhile; we did not listen.
    Drained,
    ClientGone,
}

/// What to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Call a provider, as the attempt of this number. With `may_relay` its bytes may be asked for by `Relay`.
    Send {
        attempt: usize,
        call: Call,
        may_relay: bool,
    },
    /// Close the attempt's connection; nothing it says matters any more.
    Cancel { attempt: usize },
    /// Give a `Tick` at this time, instead of any asked for before.
    WakeAt(UnixMillis),
    /// Send the client its status and headers. Comes once, before any `Emit`.
    Respond(ResponseHead),
    /// Send the client this attempt's bytes, from the first one on, as they come. Its chunks are then told at leisure:
    /// the client has them already. Comes once, right after `Respond`; an `Emit` after it comes behind the last of
    /// those bytes. A chunk that has come is to be told within `look_within`: until then its attempt seems silent.
    Relay { attempt: usize, look_within: Millis },
    /// Send the client these bytes.
    Emit(Vec<u8>),
    /// End the client's body, and send the record. Comes once, last.
    Finish(Box<Record>),
}

/// The client's status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub content_type: Cow<'static, str>,
    pub headers: Vec<(&'static str, String)>,
}

/// One client request under way.
#[derive(Debug)]
pub struct Exchange {
    order: Order,
    began_at: UnixMillis,
    plan: Plan,
    /// How many of the plan's targets have been taken.
    taken: usize,
    /// What the client's names before the one whose plan this is came to.
    passed: Vec<Explanation<Candidate>>,
    attempts: Vec<Attempt>,
    /// A call to a target that has failed before, which waits for its time.
    again: Option<Again>,
    has_hedged: bool,
    /// Whether it ends before every target that could be asked has been.
    leaves_targets: bool,
    /// What the client has seen, where the route carries broken answers on.
    shown: Shown,
    /// The attempt whose answer the client sees.
    winner: Option<usize>,
    client: Client,
    last_failure: Option<(usize, Failed)>,
    wake_at: Option<UnixMillis>,
    is_over: bool,
}

impl Exchange {
    /// Decides, and sends the first attempt or the reason why there is none.
    pub fn begin(order: Order, health: &mut Health, now: UnixMillis) -> (Self, Vec<Output>) {
        let plan = order.routing.plan(&order.prefix, health, now);
        let (endpoint, delivery) = (order.endpoint(), order.delivery);
        let is_streaming = order.routing.traits.is_streaming;
        let client = Client::new(
            order.client,
            endpoint,
            delivery,
            is_streaming,
            now,
            &order.id,
        );
        let mut exchange = Self {
            order,
            began_at: now,
            plan,
            taken: 0,
            passed: Vec::new(),
            attempts: Vec::new(),
            again: None,
            has_hedged: false,
            leaves_targets: false,
            shown: Shown::default(),
            winner: None,
            client,
            last_failure: None,
            wake_at: None,
            is_over: false,
        };
        let mut outputs = Vec::new();
        health.retries.request(now);
        if endpoint == Endpoint::CountTokens {
            exchange.begin_count(health, now, &mut outputs);
        } else {
            exchange.try_next(health, now, &mut outputs);
        }
        exchange.set_wake(now, &mut outputs);
        (exchange, outputs)
    }

    /// Takes an input and says what to do. Inputs of ended attempts, and any after the end, do nothing.
    pub fn on(&mut self, input: Input, health: &mut Health, now: UnixMillis) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.is_over {
            return outputs;
        }
        match input {
            Input::Head { attempt, head } => {
                self.on_head(attempt, &head, health, now, &mut outputs);
            }
            Input::Chunk { attempt, bytes } => {
                self.on_chunk(attempt, &bytes, health, now, &mut outputs);
            }
            Input::End { attempt } => self.on_end(attempt, health, now, &mut outputs),
            Input::Failed { attempt, failure } => {
                if self.live(attempt).is_some() {
                    let failed = self.broken(attempt, failure);
                    self.fail(attempt, failed, health, now, &mut outputs);
                }
            }
            Input::Tick => self.on_tick(health, now, &mut outputs),
            Input::Drained => {
                for attempt in self.attempts.iter_mut().filter(|attempt| attempt.is_live()) {
                    attempt.heard_at = attempt.heard_at.max(now);
                }
            }
            Input::ClientGone => self.abandon(health, now, &mut outputs),
        }
        self.set_wake(now, &mut outputs);
        outputs
    }

    /// Whether the client's body has room for words about a failure. Any other is torn when the answer breaks.
    #[must_use]
    pub fn tells_failures(&self) -> bool {
        self.client.tells_failures()
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn live(&mut self, attempt: usize) -> Option<&mut Attempt> {
        self.attempts
            .get_mut(attempt)
            .filter(|attempt| attempt.is_live())
    }

    fn on_head(
        &mut self,
        attempt: usize,
        head: &ProviderHead,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let running = self.live(attempt);
        let Some(running) = running.filter(|running| running.headers_at.is_none()) else {
            return;
        };
        if let Some(room) = Room::parse(&head.room, now)
            && let Some(target) = running.target()
        {
            let secret = running.secret.as_deref().unwrap_or_default();
            health.note_room(&target.health_key(), secret, room);
        }
        if let Err(failed) = running.head(head, now) {
            self.fail(attempt, failed, health, now, outputs);
        }
    }

    fn on_chunk(
        &mut self,
        attempt: usize,
        bytes: &[u8],
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let Some(running) = self.live(attempt) else {
            return;
        };
        let (heard, result) = running.chunk(bytes, now);
        self.hear(attempt, heard, health, now, outputs);
        let kept_max = if self.order.endpoint().is_conversation() {
            KEPT_BYTES_MAX
        } else {
            BYTES_KEPT_MAX
        };
        // What comes behind the end of an answer takes nothing from it.
        let is_flood = self.client.may_keep()
            && self
                .live(attempt)
                .is_some_and(|running| running.bytes() > kept_max && !running.has_end_marker());
        let failed = if is_flood {
            Err(attempt::too_large(ANSWER_BYTES_MAX))
        } else {
            result
        };
        if let Err(failed) = failed
            && self.live(attempt).is_some()
        {
            self.fail(attempt, failed, health, now, outputs);
        }
    }

    /// Shows the client what was heard, once there is a good token to show.
    fn hear(
        &mut self,
        attempt: usize,
        heard: Heard,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let is_held_back = self.order.routing.route.midstream == Midstream::Buffer;
        let shows_at_once = self.client.is_shown_at_once() && !is_held_back;
        let Some(running) = self.attempts.get_mut(attempt) else {
            return;
        };
        if self.winner == Some(attempt) {
            self.show(heard, outputs);
            return;
        }
        running.prelude.append(heard);
        if running.first_token_at.is_none() {
            return;
        }
        if shows_at_once {
            self.commit(attempt, health, now, outputs);
        } else if running.prelude.raw.len() > ANSWER_BYTES_MAX {
            let failed = attempt::too_large(ANSWER_BYTES_MAX);
            self.fail(attempt, failed, health, now, outputs);
        } else {
            // The first good token wins, though nothing is shown before the last.
            self.cancel_others(attempt, health, now, outputs);
        }
    }

    /// The client's answer begins, with all that this attempt has said so far.
    fn commit(
        &mut self,
        attempt: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        self.cancel_others(attempt, health, now, outputs);
        let carries_on = self.order.routing.route.midstream == Midstream::Continue;
        let Some(running) = self.attempts.get_mut(attempt) else {
            return;
        };
        let prelude = std::mem::take(&mut running.prelude);
        let is_native = running.is_native;
        let prompt = running.expected.prompt;
        let bytes_type = running.bytes_type().map(str::to_owned);
        let is_relayed = running.passage == Passage::ToBeRelayed;
        if is_relayed {
            running.passage = Passage::Relayed;
        }
        self.winner = Some(attempt);
        if self.shown.broken.is_some() {
            self.take_over(attempt);
            self.show(prelude, outputs);
            return;
        }
        match bytes_type {
            Some(content_type) => self.client.hand_through(&content_type),
            None => self.client.commit(is_native, carries_on, prompt, now),
        }
        if is_relayed {
            self.client.relay();
        }
        let head = ResponseHead {
            status: 200,
            content_type: self.client.content_type(),
            headers: self.headers(None),
        };
        outputs.push(Output::Respond(head));
        if is_relayed {
            outputs.push(Output::Relay {
                attempt,
                look_within: deadlines::look_within(&self.plan.settings.deadlines),
            });
        }
        self.show(prelude, outputs);
    }

    fn show(&mut self, mut heard: Heard, outputs: &mut Vec<Output>) {
        if self.order.routing.route.midstream == Midstream::Continue {
            self.shown.take(&mut heard.events);
        }
        let end = heard.events.iter().position(|event| *event == Event::End);
        if let Some(end) = end
            && let Some(usage) = self.estimate()
        {
            heard.events.insert(end, Event::Usage(usage));
        }
        outputs.extend(self.client.show(&heard).map(Output::Emit));
    }

    /// The answer's usage, where the provider did not count it: a client of another dialect would be told of none.
    fn estimate(&self) -> Option<Usage> {
        let usage = self.attempts.get(self.winner?)?.usage()?;
        usage
            .is_estimated
            .then(|| self.shown.with_rest(usage.tokens))
    }

    fn on_end(
        &mut self,
        attempt: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let takes_whole = !self.client.is_streaming();
        let Some(running) = self.live(attempt) else {
            return;
        };
        match running.end(takes_whole, now) {
            Ok(Ended::Stream(heard)) => {
                self.hear(attempt, heard, health, now, outputs);
                if self.order.endpoint().is_conversation() {
                    let is_sound = self.attempts.get(attempt).is_some_and(Attempt::is_sound);
                    self.note_stream(attempt, is_sound, health);
                }
                if self.live(attempt).is_some() {
                    self.complete(attempt, health, now, outputs);
                }
            }
            Ok(Ended::Whole { .. }) if self.is_to_be_replaced(attempt) => {
                self.fail(attempt, filtered(), health, now, outputs);
            }
            Ok(Ended::Whole { mut answer, body }) => {
                self.commit(attempt, health, now, outputs);
                answer.usage = answer.usage.or_else(|| self.estimate());
                let body = self.whole_body(attempt, *answer, body);
                outputs.push(Output::Emit(body));
                self.succeed(attempt, health, now);
                self.finish(Ending::Completed, 200, None, now, outputs);
            }
            Err(failed) => self.fail(attempt, failed, health, now, outputs),
        }
    }

    fn whole_body(&self, attempt: usize, answer: Answer, body: Vec<u8>) -> Vec<u8> {
        let running = self.attempts.get(attempt);
        let is_native = running.is_some_and(|running| running.is_native);
        self.client.whole(is_native, answer, body)
    }

    /// A stream is whole.
    fn complete(
        &mut self,
        attempt: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        if self.is_to_be_replaced(attempt) {
            return self.fail(attempt, filtered(), health, now, outputs);
        }
        if self.winner != Some(attempt) {
            self.commit(attempt, health, now, outputs);
        }
        let winner = self.attempts.get(attempt);
        let is_within_an_event = winner.is_some_and(Attempt::ends_within_an_event);
        let end = self.client.close(is_within_an_event, self.estimate());
        outputs.extend(end.map(Output::Emit));
        self.succeed(attempt, health, now);
        self.finish(Ending::Completed, 200, None, now, outputs);
    }

    fn on_tick(&mut self, health: &mut Health, now: UnixMillis, outputs: &mut Vec<Output>) {
        self.wake_at = None;
        if self.total_due().is_some_and(|due| due <= now) {
            self.run_out_of_time(health, now, outputs);
            return;
        }
        self.ask_again(health, now, outputs);
        self.hedge(health, now, outputs);
        for attempt in 0..self.attempts.len() {
            let deadlines = self.plan.settings.deadlines;
            let Some(running) = self.live(attempt) else {
                continue;
            };
            match next_due(running, &deadlines) {
                (at, _) if at > now => {}
                (_, Due::Complete) => {
                    outputs.push(Output::Cancel { attempt });
                    match running.judge_stream() {
                        Ok(()) => {
                            self.note_stream(attempt, false, health);
                            self.complete(attempt, health, now, outputs);
                        }
                        Err(failure) => {
                            let failed = (failure, ProviderError::default());
                            self.fail(attempt, failed, health, now, outputs);
                        }
                    }
                }
                (_, Due::Fail { phase, waited }) => {
                    outputs.push(Output::Cancel { attempt });
                    let failure = AttemptFailure::DeadlinePassed { phase, waited };
                    let failed = self.broken(attempt, failure);
                    self.fail(attempt, failed, health, now, outputs);
                }
            }
        }
    }

    fn total_due(&self) -> Option<UnixMillis> {
        let total = self.plan.settings.deadlines.total?;
        Some(self.began_at + total)
    }

    /// The route's own total deadline: no target is tried any more.
    fn run_out_of_time(&mut self, health: &mut Health, now: UnixMillis, outputs: &mut Vec<Output>) {
        self.leaves_targets = !self.has_taken_all();
        self.taken = self.plan.order.len();
        self.order.fallbacks.clear();
        if self.again.take().is_some() {
            // What it waited for is not asked any more, and what came before it is known.
            return self.give_up(now, outputs);
        }
        let waited = now.since(self.began_at);
        let phase = crate::chat::Phase::End;
        for attempt in 0..self.attempts.len() {
            if self.live(attempt).is_some() {
                outputs.push(Output::Cancel { attempt });
                let failure = AttemptFailure::DeadlinePassed { phase, waited };
                self.fail(
                    attempt,
                    (failure, ProviderError::default()),
                    health,
                    now,
                    outputs,
                );
            }
        }
    }

    /// What a broken connection means: an unsuccessful status was the answer, however its body ended; an answer
    /// that had finished is whole, whatever is said of its connection after its end marker.
    fn broken(&mut self, attempt: usize, failure: AttemptFailure) -> Failed {
        let plain = |failure| (failure, ProviderError::default());
        match self.attempts.get(attempt) {
            Some(running) if running.is_refusal() => running.refused(),
            Some(running) if running.has_end_marker() => plain(AttemptFailure::Unreachable),
            _ => plain(failure),
        }
    }

    /// Whether the next stream of its target may be passed on unread hangs on how this one ended.
    pub(super) fn note_stream(&self, attempt: usize, is_sound: bool, health: &mut Health) {
        if let Some(running) = self.attempts.get(attempt)
            && let Some(target) = running.target()
        {
            health.note_stream(&target.health_key(), is_sound);
        }
    }

    fn succeed(&mut self, attempt: usize, health: &mut Health, now: UnixMillis) {
        if let Some(running) = self.attempts.get_mut(attempt) {
            running.result = Some(Ok(()));
            running.ended_at = Some(now);
        }
        let Some(running) = self.attempts.get(attempt) else {
            return;
        };
        let Some(target) = running.target() else {
            return;
        };
        let endpoint = self.order.endpoint();
        if !endpoint.teaches_health() {
            return;
        }
        // Unstreamed, the first token's time is hidden in the whole, and says nothing about a stream's. What is no
        // conversation has no other time.
        let has_time = running.is_streaming || !endpoint.is_conversation();
        let first_token_at = running.first_token_at.filter(|_| has_time);
        let usage = running.usage();
        let observation = Observation::Succeeded {
            ttft: first_token_at.map(|at| at.since(running.sent_at)),
            streaming: first_token_at.map(|at| now.since(at)),
            answer: usage.map(|usage| usage.tokens.answer).unwrap_or_default(),
            counted: usage
                .filter(|usage| !usage.is_estimated)
                .map(|usage| (running.expected.lesson, usage.tokens)),
        };
        let key = target.health_key();
        let scope = self.order.routing.scope();
        health.observe_from(scope, &key, &observation, now);
        if order::is_cached(&self.order.prefix, target) {
            health.remember(&key, scope, &self.order.prefix, now);
        }
    }

    fn abandon(&mut self, health: &mut Health, now: UnixMillis, outputs: &mut Vec<Output>) {
        let scope = self.order.routing.scope();
        for (attempt, running) in self.attempts.iter_mut().enumerate() {
            if running.is_live() {
                running.abandon(now);
                outputs.push(Output::Cancel { attempt });
                if let Some(target) = running.target() {
                    health.observe_from(scope, &target.health_key(), &Observation::Left, now);
                }
            }
        }
        // nginx's status for a client that closed the request; nobody sees it but the record's reader.
        self.finish(Ending::ClientGone, 499, None, now, outputs);
    }

    /// Asks for a tick when the next deadline is earlier than the one asked for.
    fn set_wake(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        if self.is_over {
            return;
        }
        let deadlines = self.plan.settings.deadlines;
        let live = self.attempts.iter().filter(|attempt| attempt.is_live());
        let due = live.map(|attempt| next_due(attempt, &deadlines).0);
        let again = self.again.map(|again| again.at);
        let others = [self.total_due(), again, self.hedge_due()];
        let Some(at) = due.chain(others.into_iter().flatten()).min() else {
            return;
        };
        if self.wake_at.is_none_or(|known| at < known || known <= now) {
            self.wake_at = Some(at);
            outputs.push(Output::WakeAt(at));
        }
    }
}

/// An answer that a safety filter ended, as a failure.
fn filtered() -> Failed {
    (AttemptFailure::ContentFiltered, ProviderError::default())
}
