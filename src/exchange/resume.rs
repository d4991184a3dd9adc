//! Carrying on a broken answer: the next target gets what the client has seen as the beginning of its own answer.
//!
//! Only where the route says `continue`, and only where it is sure to read as one answer: the client streams, nothing
//! but text (and thoughts) was shown, no form is demanded of it, and the target is known to accept a prefill. All else
//! ends as `midstream: error` does. A target that refuses the prefill after all is passed over, and the client never
//! sees its refusal: the failure that it is told in the end is the original one.
//!
//! A prefill may not end in white space (Anthropic refuses it), so that is taken off, and the same white space is left
//! out where the continuation begins with it.
//!
//! Usage is told as of one answer: the answer's tokens together, and the prompt once.

use super::attempt::Attempt;
use super::{ATTEMPTS_MAX, Exchange, Output};
use crate::chat::{AttemptFailure, Event, Usage};
use crate::config::Midstream;
use crate::dialects::{Feature, Prefill};
use crate::health::Health;
use crate::providers::Ability;
use crate::units::{Tokens, UnixMillis};

/// The longest text that is carried on. A longer one is kept in memory for nothing: no model answers more at once.
const SHOWN_BYTES_MAX: usize = 1024 * 1024;

/// What the client has seen of its answer, kept only where the route may carry it on.
#[derive(Debug, Default)]
pub(super) struct Shown {
    text: String,
    /// A tool call, or too much text: it cannot be carried on.
    is_beyond: bool,
    /// Tokens of the answers that broke.
    answer: Tokens,
    reasoning: Tokens,
    /// White space that has been shown and is not in the prefill.
    gap: String,
    /// The failure of the answer that is being carried on, until another has taken over.
    pub broken: Option<AttemptFailure>,
    /// When the client's answer began, where it was carried on.
    pub first_token_at: Option<UnixMillis>,
    /// Targets that have carried it on, by id.
    pub continued_by: Vec<String>,
}

impl Shown {
    /// Keeps what is shown, and makes the pieces of a continuation those of one answer.
    pub fn take(&mut self, events: &mut Vec<Event>) {
        if !self.continued_by.is_empty() {
            for event in events.iter_mut() {
                self.join(event);
            }
            events.retain(|event| !matches!(event, Event::Text(piece) if piece.is_empty()));
        }
        for event in events {
            match event {
                Event::Text(piece) => self.text.push_str(piece),
                Event::CallStart { .. } | Event::CallArguments { .. } | Event::Refusal(_) => {
                    self.is_beyond = true;
                }
                _ => {}
            }
        }
        if self.text.len() > SHOWN_BYTES_MAX {
            self.is_beyond = true;
            self.text = String::new();
        }
    }

    fn join(&mut self, event: &mut Event) {
        match event {
            Event::Text(piece) if !self.gap.is_empty() => {
                let shared = self
                    .gap
                    .chars()
                    .zip(piece.chars())
                    .take_while(|(shown, next)| shown == next)
                    .map(|(shown, _)| shown.len_utf8())
                    .sum();
                let rest = piece.split_off(shared);
                // Where the continuation goes on otherwise, all of the gap has been met or never will be.
                self.gap = if rest.is_empty() {
                    self.gap.split_off(shared)
                } else {
                    String::new()
                };
                *piece = rest;
            }
            Event::Usage(usage) => {
                let prompt = Tokens(usage.prompt.0.saturating_sub(self.answer.0));
                *usage = Usage {
                    prompt,
                    cached: usage.cached.min(prompt),
                    answer: usage.answer + self.answer,
                    reasoning: usage.reasoning + self.reasoning,
                    ..*usage
                };
            }
            _ => {}
        }
    }

    /// The usage of an answer that ends what was shown, where the provider did not count it.
    pub fn with_rest(&self, rest: Usage) -> Usage {
        Usage {
            answer: self.answer + rest.answer,
            reasoning: self.reasoning + rest.reasoning,
            ..rest
        }
    }

    fn prefill(&self) -> Prefill<'_> {
        Prefill {
            text: self.text.trim_end(),
            tokens: self.answer,
        }
    }
}

impl Exchange {
    /// Sends the broken answer to the next target that can carry it on. None is left, or none may: false.
    pub(super) fn resume(
        &mut self,
        attempt: usize,
        failure: &AttemptFailure,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) -> bool {
        if self.order.routing.route.midstream != Midstream::Continue {
            return false;
        }
        if self.winner == Some(attempt) {
            let usage = self.attempts.get(attempt).and_then(Attempt::usage);
            if let Some(usage) = usage {
                self.shown.answer = self.shown.answer + usage.tokens.answer;
                self.shown.reasoning = self.shown.reasoning + usage.tokens.reasoning;
            }
            self.shown.broken = Some(failure.clone());
            let began_at = self.attempts.get(attempt).and_then(|it| it.first_token_at);
            self.shown.first_token_at = self.shown.first_token_at.or(began_at);
        }
        if !self.may_resume() {
            return false;
        }
        while let Some(place) = self.plan.order.get(self.taken).copied() {
            if self.attempts.len() >= ATTEMPTS_MAX {
                return false;
            }
            self.taken += 1;
            let target = self.order.routing.route.targets.get(place);
            let accepts = target.is_some_and(|target| target.terms.is_known_to(Ability::Prefill));
            if accepts && self.send(place, health, now, outputs).is_ok() {
                return true;
            }
        }
        false
    }

    /// What a target that is asked now is to carry on.
    pub(super) fn prefill(&self) -> Option<Prefill<'_>> {
        self.shown.broken.as_ref().map(|_| self.shown.prefill())
    }

    fn may_resume(&self) -> bool {
        let traits = &self.order.routing.traits;
        // Half an answer of one model and half of another's has no form, probabilities or sources of its own.
        let has_form = [Feature::JsonMode, Feature::Logprobs, Feature::Citations]
            .iter()
            .any(|feature| traits.asks.has(*feature));
        let is_plain =
            !traits.has_json_schema && !has_form && traits.is_portable() && !traits.has_prefill;
        let has_finished = self
            .winner
            .and_then(|attempt| self.attempts.get(attempt))
            .is_some_and(|running| running.finish.is_some());
        let has_text = !self.shown.text.trim_end().is_empty();
        let may_go_on = self.client.may_be_carried_on();
        is_plain && has_text && !self.shown.is_beyond && !has_finished && may_go_on
    }

    /// Another target's good token has come: the client's stream goes on with it.
    pub(super) fn take_over(&mut self, attempt: usize) {
        let text = &self.shown.text;
        self.shown.gap = text
            .get(text.trim_end().len()..)
            .unwrap_or_default()
            .to_owned();
        self.shown.broken = None;
        if let Some(target) = self.target_of(attempt) {
            let id = target.id.to_string();
            self.client.carry_on(&id);
            self.shown.continued_by.push(id);
        }
    }
}
