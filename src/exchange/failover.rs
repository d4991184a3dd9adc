//! What follows a failed attempt: another key, the next target, the client's error, or the end of a broken stream.

use serde::de::IgnoredAny;

use super::again::TRIES_MAX;
use super::attempt::{Attempt, Failed, Part, Passage};
use super::deadlines;
use super::listen::{Calls, Heard};
use super::{ATTEMPTS_MAX, Exchange, Output, ResponseHead, call, client};
use crate::chat::{AttemptFailure, FinishReason, ProviderError, RequestError};
use crate::config::{Filtered, Midstream, Target};
use crate::decide::Exclusion;
use crate::dialects::{ClientError, Delivery, Endpoint, error_status};
use crate::health::{Health, Observation};
use crate::journal::Ending;
use crate::units::UnixMillis;

impl Exchange {
    /// An attempt failed: the next target, the client's error, or the end of a broken stream.
    pub(super) fn fail(
        &mut self,
        attempt: usize,
        failed: Failed,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        // A finished answer stays one, whatever became of its connection, and though the time for the end marker is up.
        let is_of_connection = matches!(
            failed.0,
            AttemptFailure::Unreachable | AttemptFailure::DeadlinePassed { .. }
        );
        let running = self.attempts.get(attempt);
        let is_whole =
            is_of_connection && running.is_some_and(|running| running.judge_stream().is_ok());
        let has_begun_a_stream =
            |it: &Attempt| it.is_streaming && it.status.is_some_and(|status| status < 300);
        if running.is_some_and(has_begun_a_stream) {
            self.note_stream(attempt, false, health);
        }
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
        let teaches = self.order.endpoint().teaches_health();
        if !is_key_at_fault
            && teaches
            && let Some(target) = self.target_of(attempt)
        {
            let key = target.health_key();
            let scope = self.order.routing.scope();
            health.observe_from(scope, &key, &Observation::Failed(failure.clone()), now);
        }
        if !outputs.contains(&Output::Cancel { attempt }) {
            outputs.push(Output::Cancel { attempt });
        }
        if self.shown.broken.is_none() {
            self.last_failure = Some((attempt, (failure.clone(), failed.1)));
        }
        if self.winner.is_some() {
            if !self.resume(attempt, &failure, health, now, outputs) {
                self.break_off(&failure, now, outputs);
            }
            return;
        }
        let is_under_way = self.is_another_live()
            || (is_key_at_fault && self.retry_with_another_key(attempt, health, now, outputs))
            || self.retry_soon(attempt, &failure, health, now);
        if is_under_way {
            return;
        }
        if self.may_another_help(&failure) {
            self.try_next(health, now, outputs);
        } else {
            self.give_up(now, outputs);
        }
    }

    /// Whether the next target is asked. A filter's refusal is the provider's answer, unless the route wants another's.
    fn may_another_help(&self, failure: &AttemptFailure) -> bool {
        let is_filtered = *failure == AttemptFailure::ContentFiltered;
        let asks_on = self.order.routing.route.filtered == Filtered::Next;
        failure.may_another_help() || (is_filtered && asks_on)
    }

    /// Whether the answer, which nobody has seen yet, was ended by a filter, and the route wants another's.
    pub(super) fn is_to_be_replaced(&self, attempt: usize) -> bool {
        let finish = self
            .attempts
            .get(attempt)
            .and_then(|running| running.finish);
        finish == Some(FinishReason::ContentFilter)
            && self.winner != Some(attempt)
            && self.may_another_help(&AttemptFailure::ContentFiltered)
    }

    /// Ends an answer that has begun. Where others tried to carry it on, what broke it first is the reason all the same.
    fn break_off(&mut self, failure: &AttemptFailure, now: UnixMillis, outputs: &mut Vec<Output>) {
        let error = self.failure_for_client();
        let winner = self.winner.and_then(|winner| self.attempts.get(winner));
        let is_within_an_event = winner.is_some_and(Attempt::ends_within_an_event);
        let event = self.client.break_off(&error, is_within_an_event);
        if !event.is_empty() {
            outputs.push(Output::Emit(event));
        }
        let code = self.shown.broken.as_ref().unwrap_or(failure).code();
        self.finish(Ending::Cut, 200, Some(code.to_owned()), now, outputs);
    }

    pub(super) fn target_of(&self, attempt: usize) -> Option<&Target> {
        self.attempts.get(attempt)?.target()
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
        if pool.len() < 2 || !self.order.endpoint().teaches_health() {
            return false;
        }
        health.rest_key(secret, failure, now);
        pool.iter()
            .any(|secret| !health.is_key_resting(secret, now))
    }

    /// Asks the target again with another of its keys. Where other targets are left, a few keys must do: what limits a key often
    /// limits the account, and the calls of an exchange are counted.
    fn retry_with_another_key(
        &mut self,
        attempt: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) -> bool {
        let place = self.attempts.get(attempt).map(|running| running.place);
        let is_last = self.has_taken_all();
        let may_ask = |place: &usize| {
            is_last || (self.is_a_call_to_spare() && self.tries_of(*place).count() < TRIES_MAX)
        };
        place
            .filter(may_ask)
            .is_some_and(|place| self.send(place, health, now, outputs).is_ok())
    }

    /// Whether every target has had its turn, those of the client's further names as well.
    pub(super) fn has_taken_all(&self) -> bool {
        self.taken >= self.plan.order.len() && self.order.fallbacks.is_empty()
    }

    /// Sends to the next target of the plan that can carry the request, or else of the client's next name.
    pub(super) fn try_next(
        &mut self,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        loop {
            while let Some(place) = self.plan.order.get(self.taken).copied() {
                self.taken += 1;
                match self.send(place, health, now, outputs) {
                    Ok(()) => return,
                    Err(NotSent::TooMany) => {
                        self.leaves_targets = true;
                        return self.give_up(now, outputs);
                    }
                    Err(NotSent::NotTranslatable | NotSent::TooLong) => {}
                }
            }
            if self.order.fallbacks.is_empty() {
                if self.wait_out(health, now) {
                    return;
                }
                return self.give_up(now, outputs);
            }
            self.fall_back(health, now);
        }
    }

    /// Turns to the route of the client's next name, with what is known of its targets by now.
    fn fall_back(&mut self, health: &Health, now: UnixMillis) {
        let next = self.order.fallbacks.remove(0);
        let plan = std::mem::replace(&mut self.plan, next.plan(&self.order.prefix, health, now));
        let routing = std::mem::replace(&mut self.order.routing, next);
        self.passed.push(routing.explanation(&plan));
        self.taken = 0;
    }

    pub(super) fn send(
        &mut self,
        place: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) -> Result<(), NotSent> {
        let number = self.attempts.len();
        let routing = &self.order.routing;
        let Some(target) = routing.route.targets.get(place) else {
            return Err(NotSent::NotTranslatable);
        };
        if number >= ATTEMPTS_MAX {
            return Err(NotSent::TooMany);
        }
        if self.is_too_long_for(target) {
            return Err(NotSent::TooLong);
        }
        let traits = &routing.traits;
        let endpoint = traits.endpoint;
        let may_collect = endpoint.is_conversation() && traits.is_portable();
        let is_streaming = traits.is_streaming
            || (may_collect
                && (deadlines::need_stream(&self.plan.settings.deadlines)
                    || routing.route.hedge.is_some()));
        let draw = routing
            .seed
            .value
            .wrapping_add(u64::try_from(number).unwrap_or_default());
        let secret = call::choose_secret(target, health, draw, now);
        let attempt = Attempt::new(
            &self.order,
            place,
            secret.clone(),
            is_streaming,
            self.expect(place),
            now,
        );
        let Some(mut attempt) = attempt else {
            return Err(NotSent::NotTranslatable);
        };
        let dropped = traits.dropped_by(target.carries(traits.dialect, endpoint));
        attempt.part = Part::behind(self.prefill());
        attempt.dropped = dropped.map(str::to_owned).collect();
        let call = call::call(&self.order, target, is_streaming, secret, self.prefill());
        match call {
            Ok(call) => {
                let key = target.health_key();
                if endpoint.teaches_health() {
                    health.observe(&key, &Observation::Sent, now);
                }
                let is_sound_stream = || traits.is_streaming && health.is_sound(&key);
                // What is passed on unread cannot be mended, held back or carried on.
                let is_for_events = self.order.delivery == Delivery::Events;
                let may_relay = routing.route.midstream == Midstream::Error
                    && attempt.is_native
                    && is_for_events
                    && (endpoint.may_be_bytes() || is_sound_stream());
                if may_relay {
                    attempt.passage = Passage::ToBeRelayed;
                }
                if call.is_one_call {
                    attempt.calls = Calls::First;
                }
                self.attempts.push(attempt);
                outputs.push(Output::Send {
                    attempt: number,
                    call,
                    may_relay,
                });
                Ok(())
            }
            Err(error) => {
                attempt.ended_at = Some(now);
                self.refuse(attempt, &error);
                Err(NotSent::NotTranslatable)
            }
        }
    }

    /// No call is made of what the target's dialect has no words for. The caller alone is told what it should be.
    fn refuse(&mut self, mut attempt: Attempt, error: &RequestError) {
        let field = error.field().unwrap_or("body").to_owned();
        let failure = AttemptFailure::NotTranslatable { field };
        let words = ProviderError {
            message: error.to_string(),
            ..ProviderError::default()
        };
        attempt.result = Some(Err(failure.clone()));
        self.last_failure = Some((self.attempts.len(), (failure, words)));
        self.attempts.push(attempt);
    }

    /// Whether this model has said so before, as a target of this route or of an earlier name's.
    fn is_too_long_for(&self, target: &Target) -> bool {
        let has_said_so = |attempt: &&Attempt| {
            matches!(&attempt.result, Some(Err(AttemptFailure::ContextTooLong)))
        };
        let mut sayers = self
            .attempts
            .iter()
            .filter(has_said_so)
            .filter_map(Attempt::target);
        sayers.any(|sayer| sayer.provider == target.provider && sayer.model == target.model)
    }

    /// No target is left: the client gets the reason.
    pub(super) fn give_up(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        if self.order.endpoint() == Endpoint::CountTokens {
            return self.tell_estimate(now, outputs);
        }
        let own_words = self.refusal_as_it_came();
        let (error, ending) = match &self.last_failure {
            None => (ClientError::from(&self.no_candidate()), Ending::Rejected),
            Some((_, (failure, _))) if failure.may_another_help() => {
                (self.failure_for_client(), Ending::Failed)
            }
            Some(_) => (self.failure_for_client(), Ending::Rejected),
        };
        let mut headers = self.headers(error.retry_after);
        if ending == Ending::Failed && error.retry_after.is_none() && !self.leaves_targets {
            // OpenAI's and Anthropic's SDKs heed it: all that could be tried has been.
            headers.push(("x-should-retry", "false".to_owned()));
        }
        let status = error_status(self.order.client, &error);
        let head = ResponseHead {
            status,
            content_type: "application/json".into(),
            headers,
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
        self.finish(ending, status, Some(code), now, outputs);
    }

    /// The caller's own mistake, in the provider's own bytes, where the caller speaks the provider's dialect. What stands before
    /// a provider may answer with a web page.
    fn refusal_as_it_came(&self) -> Option<Vec<u8>> {
        let (attempt, (failure, _)) = self.last_failure.as_ref()?;
        let running = self.attempts.get(*attempt)?;
        let is_readable = running.is_native;
        let is_callers = matches!(failure, AttemptFailure::Rejected { .. });
        let body = running
            .whole_refusal()
            .filter(|_| is_callers && is_readable)
            .filter(|body| serde_json::from_slice::<IgnoredAny>(body).is_ok());
        body.map(<[u8]>::to_vec)
    }

    fn no_candidate(&self) -> RequestError {
        let reason = |candidate: &crate::decide::Candidate| {
            let reason = candidate.excluded.as_ref()?;
            Some(format!("{}: {reason}", candidate.target))
        };
        let earlier = self
            .passed
            .iter()
            .flat_map(|told| &told.decision.candidates);
        let candidates = earlier.chain(&self.plan.candidates);
        let mut reasons: Vec<String> = candidates.clone().filter_map(reason).collect();
        let beyond = |candidate: &'_ crate::decide::Candidate| match &candidate.excluded {
            Some(Exclusion::CannotCarry { field }) => Some(field.clone()),
            _ => None,
        };
        if let Some(field) = candidates.clone().find_map(beyond) {
            let able = match self.order.endpoint() {
                Endpoint::Completions => "that has `completions` in its `can`".to_owned(),
                _ => format!("that speaks {}", self.order.client.name()),
            };
            reasons.push(format!(
                "leave `{field}` out, or give the route a target {able}"
            ));
        }
        let has_none = |it: &crate::decide::Candidate| {
            matches!(it.excluded, Some(Exclusion::NoEndpoint { .. }))
        };
        if candidates.clone().any(has_none) {
            reasons.push("give the route a target whose provider speaks openai-chat".to_owned());
        }
        let earlier = self.passed.iter().map(|told| told.route.as_str());
        let routes = earlier.chain([self.order.routing.route.name.as_str()]);
        RequestError::NoCandidate {
            route: routes.collect::<Vec<_>>().join("`, `"),
            reasons: reasons.join("; "),
        }
    }

    /// Every attempt's reason in one message, and the status that fits them.
    pub(super) fn failure_for_client(&self) -> ClientError {
        let results: Vec<(&Attempt, &AttemptFailure)> = self
            .attempts
            .iter()
            .filter_map(|attempt| Some((attempt, attempt.result.as_ref()?.as_ref().err()?)))
            .collect();
        let words = |(attempt, failure): &(&Attempt, &AttemptFailure)| {
            let id = attempt.target().map(|target| &*target.id);
            format!("{}: {failure}", id.unwrap_or_default())
        };
        let reasons: Vec<String> = results.iter().map(words).collect();
        let failures: Vec<&AttemptFailure> = results.iter().map(|(_, failure)| *failure).collect();
        let last = self.last_failure.as_ref().map(|(_, failed)| failed);
        let is_unanimous = !self.may_help_later();
        client::failure(
            &failures,
            &reasons,
            last,
            is_unanimous,
            self.winner.is_some(),
        )
    }

    /// Whether some target's last word was a failure of its own: it might have served the request, and may yet.
    fn may_help_later(&self) -> bool {
        let last_words = self
            .attempts
            .iter()
            .enumerate()
            .filter(|(number, attempt)| {
                let later = self.attempts.iter().skip(number + 1);
                !later.into_iter().any(|other| other.is_at_place_of(attempt))
            });
        let mut failures =
            last_words.filter_map(|(_, attempt)| attempt.result.as_ref()?.as_ref().err());
        failures.any(AttemptFailure::is_targets_fault)
    }
}

/// Why no call was made.
pub(super) enum NotSent {
    TooMany,
    NotTranslatable,
    /// The prompt does not fit it, as it has said in this exchange.
    TooLong,
}
