//! One client request, from its first byte to its record, as a state machine without I/O.
//!
//! The edge tells it what happened ([`Input`]) and does what it says ([`Output`]); so do the tests and the
//! simulator, with a clock of their own. It owns the decision, the attempts, failover, the deadlines, and what the
//! client sees. Callers may rely on: nothing is emitted before the first good token or the final failure; every
//! exchange ends in exactly one [`Output::Finish`], after which all inputs are ignored; and a stream that broke is
//! never ended as if it were whole.
//!
//! One attempt runs at a time. Each keeps its own unshown prelude and its own clocks, so that a second one beside
//! it changes nothing here but who may begin.
//!
//! Not here: sockets, timers, secrets' values (`edge/`), and what a failure says about a target (`health/`).

mod attempt;
mod call;
mod client;
mod deadlines;

use std::sync::Arc;

use crate::chat::{Answer, AttemptFailure, ProviderError, RequestError};
use crate::classify::Traits;
use crate::config::{Route, Target};
use crate::decide::{Plan, Seed, plan};
use crate::dialects::{ClientError, Dialect};
use crate::health::{Health, Observation, View};
use crate::journal::{ConfigRevisions, Decision, Ending, Explanation, Outcome, Record, VERSION};
use crate::units::{MicroUsd, Millis, UnixMillis};

use attempt::{Attempt, Ended, Failed, Heard};
use client::Client;
use deadlines::{Due, next_due};

pub use call::{Call, Credential, CredentialPlace};

/// Calls of one exchange, whichever way they fail. A client that waits for more has long given up.
pub const ATTEMPTS_MAX: usize = 8;
/// Routes that one request may be sent on to; `waypost check` refuses circles, a raw put does not.
pub const REDIRECTS_MAX: usize = 4;
/// The longest value of `x-waypost-explain`. Node and others refuse a response whose headers together pass 16 KiB.
pub const EXPLAIN_BYTES_MAX: usize = 8 * 1024;

/// All that an exchange begins with.
#[derive(Debug)]
pub struct Order {
    pub id: String,
    pub client: Dialect,
    /// The request as the client sent it.
    pub body: Vec<u8>,
    pub traits: Traits,
    pub route: Arc<Route>,
    /// The routes whose rules sent the request on to this one.
    pub via: Vec<String>,
    pub config: ConfigRevisions,
    pub seed: Seed,
    /// Whether the client asked for the decision, in the response's headers.
    pub is_explained: bool,
}

/// A provider's status and the headers that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderHead {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub retry_after_ms: Option<String>,
}

/// What happened. Attempts are numbered from 0 in the order of their `Send`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
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
    /// Call a provider, as the attempt of this number.
    Send { attempt: usize, call: Call },
    /// Close the attempt's connection; nothing it says matters any more.
    Cancel { attempt: usize },
    /// Give a `Tick` at this time, instead of any asked for before.
    WakeAt(UnixMillis),
    /// Send the client its status and headers. Comes once, before any `Emit`.
    Respond(ResponseHead),
    /// Send the client these bytes.
    Emit(Vec<u8>),
    /// End the client's body, and send the record. Comes once, last.
    Finish(Box<Record>),
}

/// The client's status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

impl Order {
    /// What an exchange that begins now would decide. Sends nothing, and changes nothing.
    #[must_use]
    pub fn explain(&self, health: &Health, now: UnixMillis) -> Explanation {
        self.explanation(&self.plan(health, now))
    }

    fn plan(&self, health: &Health, now: UnixMillis) -> Plan {
        let view = |target: &Target| health.view(&target.health_key(), now);
        let views: Vec<View> = self.route.targets.iter().map(view).collect();
        plan(&self.traits, &self.route, &views, self.seed.value)
    }

    fn explanation(&self, plan: &Plan) -> Explanation {
        Explanation::new(
            self.route.name.clone(),
            self.via.clone(),
            Some(self.config.clone()),
            self.traits.clone(),
            Decision::of(plan, &self.route, self.seed),
        )
    }
}

/// One client request under way.
#[derive(Debug)]
pub struct Exchange {
    order: Order,
    began_at: UnixMillis,
    plan: Plan,
    /// How many of the plan's targets have been taken.
    taken: usize,
    attempts: Vec<Attempt>,
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
        let plan = order.plan(health, now);
        let client = Client::new(order.client, order.traits.is_streaming, now);
        let mut exchange = Self {
            order,
            began_at: now,
            plan,
            taken: 0,
            attempts: Vec::new(),
            winner: None,
            client,
            last_failure: None,
            wake_at: None,
            is_over: false,
        };
        let mut outputs = Vec::new();
        exchange.try_next(health, now, &mut outputs);
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
            Input::ClientGone => self.abandon(now, &mut outputs),
        }
        self.set_wake(now, &mut outputs);
        outputs
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
        let Some(running) = self.live(attempt) else {
            return;
        };
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
        self.hear(attempt, heard, now, outputs);
        if let Err(failed) = result {
            self.fail(attempt, failed, health, now, outputs);
        }
    }

    /// Shows the client what was heard, once there is a good token to show.
    fn hear(&mut self, attempt: usize, heard: Heard, now: UnixMillis, outputs: &mut Vec<Output>) {
        let shows_at_once = self.client.is_streaming();
        let Some(running) = self.attempts.get_mut(attempt) else {
            return;
        };
        if self.winner == Some(attempt) {
            outputs.extend(self.client.show(&heard).map(Output::Emit));
            return;
        }
        running.prelude.append(heard);
        if shows_at_once && running.first_token_at.is_some() {
            self.commit(attempt, now, outputs);
        }
    }

    /// The client's answer begins, with all that this attempt has said so far.
    fn commit(&mut self, attempt: usize, now: UnixMillis, outputs: &mut Vec<Output>) {
        let Some(running) = self.attempts.get_mut(attempt) else {
            return;
        };
        let prelude = std::mem::take(&mut running.prelude);
        self.client.commit(running.dialect, now);
        self.winner = Some(attempt);
        let head = ResponseHead {
            status: 200,
            content_type: self.client.content_type(),
            headers: self.headers(None),
        };
        outputs.push(Output::Respond(head));
        outputs.extend(self.client.show(&prelude).map(Output::Emit));
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
                self.hear(attempt, heard, now, outputs);
                self.complete(attempt, health, now, outputs);
            }
            Ok(Ended::Whole { answer, body }) => {
                self.commit(attempt, now, outputs);
                let body = self.whole_body(attempt, &answer, body);
                outputs.push(Output::Emit(body));
                self.succeed(attempt, health, now);
                self.finish(Ending::Completed, 200, None, now, outputs);
            }
            Err(failed) => self.fail(attempt, failed, health, now, outputs),
        }
    }

    fn whole_body(&self, attempt: usize, answer: &Answer, body: Vec<u8>) -> Vec<u8> {
        let provider = self.attempts.get(attempt).map(|running| running.dialect);
        self.client
            .whole(provider.unwrap_or(self.order.client), answer, body)
    }

    /// A stream is whole.
    fn complete(
        &mut self,
        attempt: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        if self.winner != Some(attempt) {
            self.commit(attempt, now, outputs);
        }
        outputs.extend(self.client.close().map(Output::Emit));
        self.succeed(attempt, health, now);
        self.finish(Ending::Completed, 200, None, now, outputs);
    }

    fn on_tick(&mut self, health: &mut Health, now: UnixMillis, outputs: &mut Vec<Output>) {
        self.wake_at = None;
        if self.total_due().is_some_and(|due| due <= now) {
            self.run_out_of_time(health, now, outputs);
            return;
        }
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
                        Ok(()) => self.complete(attempt, health, now, outputs),
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
        self.taken = self.plan.order.len();
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
    /// that had finished is whole.
    fn broken(&mut self, attempt: usize, failure: AttemptFailure) -> Failed {
        let known = self
            .attempts
            .get(attempt)
            .filter(|attempt| attempt.is_refusal());
        known.map_or((failure, ProviderError::default()), Attempt::refused)
    }

    fn succeed(&mut self, attempt: usize, health: &mut Health, now: UnixMillis) {
        let Some(running) = self.attempts.get_mut(attempt) else {
            return;
        };
        running.result = Some(Ok(()));
        running.ended_at = Some(now);
        let Some(target) = self.order.route.targets.get(running.place) else {
            return;
        };
        // Unstreamed, the first token's time is hidden in the whole, and says nothing about a stream's.
        let first_token_at = running.first_token_at.filter(|_| running.is_streaming);
        let usage = running.usage().unwrap_or(crate::journal::CountedUsage {
            tokens: crate::chat::Usage::default(),
            is_estimated: true,
        });
        let observation = Observation::Succeeded {
            ttft: first_token_at.map(|at| at.since(running.sent_at)),
            streaming: first_token_at.map(|at| now.since(at)),
            prompt: usage.tokens.prompt,
            answer: usage.tokens.answer,
        };
        health.observe(&target.health_key(), &observation, now);
    }

    /// An attempt failed: the next target, the client's error, or the end of a broken stream.
    fn fail(
        &mut self,
        attempt: usize,
        failed: Failed,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        // A finished answer stays one, whatever became of its connection.
        let is_whole = self.winner == Some(attempt)
            && matches!(failed.0, AttemptFailure::Unreachable)
            && self
                .attempts
                .get(attempt)
                .is_some_and(|running| running.judge_stream().is_ok());
        if is_whole {
            self.complete(attempt, health, now, outputs);
            return;
        }
        let (failure, _) = &failed;
        let failure = match (self.attempts.get_mut(attempt), failure) {
            // It broke after it had begun to answer.
            (Some(running), AttemptFailure::Unreachable) if running.headers_at.is_some() => {
                running.cut()
            }
            _ => failure.clone(),
        };
        if let Some(running) = self.attempts.get_mut(attempt) {
            running.result = Some(Err(failure.clone()));
            running.ended_at = Some(now);
            running.prelude = Heard::default();
        }
        let is_key_at_fault = self.rest_key(attempt, &failure, health, now);
        if !is_key_at_fault && let Some(target) = self.target_of(attempt) {
            let key = target.health_key();
            health.observe(&key, &Observation::Failed(failure.clone()), now);
        }
        if !outputs.contains(&Output::Cancel { attempt }) {
            outputs.push(Output::Cancel { attempt });
        }
        self.last_failure = Some((attempt, (failure.clone(), failed.1)));
        if self.winner == Some(attempt) {
            let error = self.failure_for_client();
            outputs.push(Output::Emit(self.client.break_off(&error)));
            self.finish(
                Ending::Cut,
                200,
                Some(failure.code().to_owned()),
                now,
                outputs,
            );
        } else if is_key_at_fault && self.retry_with_another_key(attempt, health, now, outputs) {
        } else if failure.may_another_help() {
            self.try_next(health, now, outputs);
        } else {
            self.give_up(now, outputs);
        }
    }

    fn target_of(&self, attempt: usize) -> Option<&Target> {
        let place = self.attempts.get(attempt)?.place;
        self.order.route.targets.get(place)
    }

    /// In a pool of keys, a refused or limited one rests, and the provider is not to blame while another is left.
    fn rest_key(
        &self,
        attempt: usize,
        failure: &AttemptFailure,
        health: &mut Health,
        now: UnixMillis,
    ) -> bool {
        let is_about_key = matches!(
            failure,
            AttemptFailure::KeyRejected { .. }
                | AttemptFailure::RateLimited { .. }
                | AttemptFailure::PaymentRequired
        );
        let secret = self
            .attempts
            .get(attempt)
            .and_then(|running| running.secret.as_ref());
        let (Some(target), Some(secret), true) = (self.target_of(attempt), secret, is_about_key)
        else {
            return false;
        };
        let pool = target.provider.auth.secrets();
        if pool.len() < 2 {
            return false;
        }
        health.rest_key(secret, failure, now);
        pool.iter()
            .any(|secret| !health.is_key_resting(secret, now))
    }

    fn retry_with_another_key(
        &mut self,
        attempt: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) -> bool {
        let place = self.attempts.get(attempt).map(|running| running.place);
        place.is_some_and(|place| self.send(place, health, now, outputs).is_ok())
    }

    /// Sends to the next target of the plan that can carry the request.
    fn try_next(&mut self, health: &mut Health, now: UnixMillis, outputs: &mut Vec<Output>) {
        while let Some(place) = self.plan.order.get(self.taken).copied() {
            self.taken += 1;
            match self.send(place, health, now, outputs) {
                Ok(()) => return,
                Err(NotSent::TooMany) => break,
                Err(NotSent::NotTranslatable) => {}
            }
        }
        self.give_up(now, outputs);
    }

    fn send(
        &mut self,
        place: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) -> Result<(), NotSent> {
        let number = self.attempts.len();
        let Some(target) = self.order.route.targets.get(place) else {
            return Err(NotSent::NotTranslatable);
        };
        if number >= ATTEMPTS_MAX {
            return Err(NotSent::TooMany);
        }
        let traits = &self.order.traits;
        let is_streaming = traits.is_streaming
            || (traits.unportable.is_none()
                && deadlines::need_stream(&self.plan.settings.deadlines));
        let draw = self
            .order
            .seed
            .value
            .wrapping_add(u64::try_from(number).unwrap_or_default());
        let secret = call::choose_secret(target, health, draw, now);
        let mut attempt = Attempt::new(
            place,
            target,
            secret.clone(),
            is_streaming,
            traits.prompt_tokens,
            now,
        );
        let call = call::call(
            self.order.client,
            &self.order.body,
            target,
            is_streaming,
            secret,
        );
        match call {
            Ok(call) => {
                health.observe(&target.health_key(), &Observation::Sent, now);
                self.attempts.push(attempt);
                outputs.push(Output::Send {
                    attempt: number,
                    call,
                });
                Ok(())
            }
            Err(error) => {
                let field = error.field().unwrap_or("body").to_owned();
                let failure = AttemptFailure::NotTranslatable { field };
                attempt.result = Some(Err(failure.clone()));
                attempt.ended_at = Some(now);
                self.attempts.push(attempt);
                self.last_failure = Some((number, (failure, ProviderError::default())));
                Err(NotSent::NotTranslatable)
            }
        }
    }

    /// No target is left: the client gets the reason.
    fn give_up(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let own_words = self.refusal_as_it_came();
        let (error, ending) = match &self.last_failure {
            None => (ClientError::from(&self.no_candidate()), Ending::Rejected),
            Some((_, (failure, _))) if failure.may_another_help() => {
                (self.failure_for_client(), Ending::Failed)
            }
            Some(_) => (self.failure_for_client(), Ending::Rejected),
        };
        let head = ResponseHead {
            status: error.status,
            content_type: "application/json",
            headers: self.headers(error.retry_after),
        };
        outputs.push(Output::Respond(head));
        let body = own_words.unwrap_or_else(|| self.client.error(&error));
        outputs.push(Output::Emit(body));
        // Our own name for it: the error's code may be the provider's words.
        let failure = self
            .last_failure
            .as_ref()
            .map(|(_, (failure, _))| failure.code());
        let code = failure.map_or(error.code, str::to_owned);
        self.finish(ending, error.status, Some(code), now, outputs);
    }

    /// The caller's own mistake, in the provider's own bytes, where the caller speaks the provider's dialect.
    fn refusal_as_it_came(&self) -> Option<Vec<u8>> {
        let (attempt, (failure, _)) = self.last_failure.as_ref()?;
        let running = self.attempts.get(*attempt)?;
        let is_readable = running.dialect == self.order.client;
        let is_callers = matches!(failure, AttemptFailure::Rejected { .. });
        let body = running
            .whole_refusal()
            .filter(|_| is_callers && is_readable);
        body.map(<[u8]>::to_vec)
    }

    fn no_candidate(&self) -> RequestError {
        let reason = |candidate: &crate::decide::Candidate| {
            let reason = candidate.excluded.as_ref()?;
            Some(format!("{}: {reason}", candidate.target))
        };
        let reasons: Vec<String> = self.plan.candidates.iter().filter_map(reason).collect();
        RequestError::NoCandidate {
            route: self.order.route.name.clone(),
            reasons: reasons.join("; "),
        }
    }

    /// Every attempt's reason in one message, and the status that fits them.
    fn failure_for_client(&self) -> ClientError {
        let results: Vec<(&Attempt, &AttemptFailure)> = self
            .attempts
            .iter()
            .filter_map(|attempt| Some((attempt, attempt.result.as_ref()?.as_ref().err()?)))
            .collect();
        let words = |(attempt, failure): &(&Attempt, &AttemptFailure)| {
            let id = self
                .order
                .route
                .targets
                .get(attempt.place)
                .map(|target| target.id.as_str());
            format!("{}: {failure}", id.unwrap_or_default())
        };
        let reasons: Vec<String> = results.iter().map(words).collect();
        let failures: Vec<&AttemptFailure> = results.iter().map(|(_, failure)| *failure).collect();
        let last = self.last_failure.as_ref().map(|(_, failed)| failed);
        client::failure(&failures, &reasons, last, self.winner.is_some())
    }

    fn abandon(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        for attempt in 0..self.attempts.len() {
            if let Some(running) = self.live(attempt) {
                running.ended_at = Some(now);
                outputs.push(Output::Cancel { attempt });
            }
        }
        // nginx's status for a client that closed the request; nobody sees it but the record's reader.
        self.finish(Ending::ClientGone, 499, None, now, outputs);
    }

    /// The headers that tell the client what was done for it.
    fn headers(&self, retry_after: Option<Millis>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-waypost-id", self.order.id.clone()),
            ("x-waypost-route", self.order.route.name.clone()),
            ("x-waypost-attempts", self.attempts.len().to_string()),
            ("x-waypost-config", self.order.config.route.0.clone()),
        ];
        if let Some(target) = self.winner.and_then(|attempt| self.target_of(attempt)) {
            headers.push(("x-waypost-target", target.id.clone()));
        }
        if self.order.config.problems > 0 {
            headers.push((
                "x-waypost-config-problems",
                self.order.config.problems.to_string(),
            ));
        }
        if self.order.is_explained {
            let explanation = self.order.explanation(&self.plan);
            let value = explanation.to_header(EXPLAIN_BYTES_MAX);
            headers.push(("x-waypost-explain", value));
        }
        if let Some(wait) = retry_after {
            headers.push(("retry-after", wait.0.div_ceil(1_000).to_string()));
        }
        headers
    }

    fn finish(
        &mut self,
        code: Ending,
        status: u16,
        error: Option<String>,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        self.is_over = true;
        let record = self.record(code, status, error, now);
        outputs.push(Output::Finish(Box::new(record)));
    }

    fn record(&self, code: Ending, status: u16, error: Option<String>, now: UnixMillis) -> Record {
        let order = &self.order;
        let record = |attempt: &Attempt| {
            let target = order.route.targets.get(attempt.place)?;
            Some(attempt.record(target, self.began_at, now))
        };
        let attempts: Vec<_> = self.attempts.iter().filter_map(record).collect();
        let cost = attempts.iter().filter_map(|attempt| attempt.cost);
        let winner = self.winner.and_then(|attempt| self.attempts.get(attempt));
        Record {
            v: VERSION,
            id: order.id.clone(),
            at: self.began_at,
            route: order.route.name.clone(),
            via: order.via.clone(),
            config: Some(order.config.clone()),
            traits: order.traits.clone(),
            decision: Some(Decision::of(&self.plan, &order.route, order.seed)),
            outcome: Outcome {
                code,
                status,
                error,
                target: self
                    .winner
                    .and_then(|attempt| self.target_of(attempt))
                    .map(|target| target.id.clone()),
                finish: winner.and_then(|winner| winner.finish),
                first_token_ms: winner
                    .and_then(|winner| winner.first_token_at)
                    .map(|at| at.since(self.began_at)),
                total_ms: now.since(self.began_at),
                cost: cost.fold(MicroUsd(0.0), |sum, cost| sum + cost),
            },
            attempts,
        }
    }

    /// Asks for a tick when the next deadline is earlier than the one asked for.
    fn set_wake(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        if self.is_over {
            return;
        }
        let deadlines = self.plan.settings.deadlines;
        let live = self.attempts.iter().filter(|attempt| attempt.is_live());
        let due = live.map(|attempt| next_due(attempt, &deadlines).0);
        let Some(at) = due.chain(self.total_due()).min() else {
            return;
        };
        if self.wake_at.is_none_or(|known| at < known || known <= now) {
            self.wake_at = Some(at);
            outputs.push(Output::WakeAt(at));
        }
    }
}

/// Why no call was made.
enum NotSent {
    TooMany,
    NotTranslatable,
}
