//! Asking the same target again: once at once after a server error, and once it may be asked after a rate limit.
//!
//! A server error is often one request's bad luck, so the target is asked once more, after a moment that differs from
//! request to request, so that those that failed together do not come back together; unless the plan is so long that a
//! later target would lose its turn by it. A target that named a time is
//! never asked before it; it is waited for only when nothing else is left to ask, because whatever else there is may
//! be asked now. Each such call is taken from the isolate's budget (`health/budget.rs`).
//!
//! Silence is no reason to ask again: what was slow once is slow twice, and the client waits for both.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::attempt::Attempt;
use super::{ATTEMPTS_MAX, Exchange, Output};
use crate::chat::AttemptFailure;
use crate::dialects::Endpoint;
use crate::health::Health;
use crate::units::{Millis, UnixMillis};

/// Calls to one target in one exchange. Where no other is left, those with other keys of its pool do not count.
pub(super) const TRIES_MAX: usize = 3;
/// The moment before a retry: long enough for a process to come back, too short for a person to notice.
const JITTER_MIN_MS: u64 = 20;
const JITTER_MAX_MS: u64 = 200;
/// The longest wait for a target that named a time. Official SDKs wait longer by themselves, where told.
const WAIT_MAX: Millis = Millis(5_000);

/// A call that will be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// The target's place in the route.
    pub place: usize,
    pub at: UnixMillis,
}

impl Exchange {
    /// Whether the target is asked once more in a moment, because it failed with a server error for the first time
    /// and named no time.
    pub(super) fn retry_soon(
        &mut self,
        attempt: usize,
        failure: &AttemptFailure,
        health: &mut Health,
        now: UnixMillis,
    ) -> bool {
        let is_passing = matches!(
            failure,
            AttemptFailure::ServerError {
                retry_after: None,
                ..
            }
        );
        let Some(place) = self.attempts.get(attempt).map(|running| running.place) else {
            return false;
        };
        let is_first = self.tries_of(place).count() == 1;
        if !is_passing || !is_first || !self.is_a_call_to_spare() || !self.may_add(health, now) {
            return false;
        }
        let draw = xxh3_64_with_seed(&attempt.to_le_bytes(), self.order.routing.seed.value);
        let jitter = JITTER_MIN_MS + draw % (JITTER_MAX_MS - JITTER_MIN_MS);
        self.again = Some(Again {
            place,
            at: now + Millis(jitter),
        });
        true
    }

    /// Whether a target that named a time is waited for. Only when nothing else is left to ask.
    pub(super) fn wait_out(&mut self, health: &mut Health, now: UnixMillis) -> bool {
        let ready = |attempt: &Attempt| {
            let failure = attempt.result.as_ref()?.as_ref().err()?;
            Some((attempt.place, attempt.ended_at? + failure.retry_after()?))
        };
        let tries = |place: usize| self.tries_of(place).count();
        // A time that an earlier failure named counts no more.
        let last_word = |place: usize| self.tries_of(place).last().and_then(ready);
        let places = self.plan.order.iter().copied();
        let soonest = places
            .filter(|place| tries(*place) < TRIES_MAX)
            .filter_map(last_word)
            .min_by_key(|(_, at)| *at);
        let Some((place, at)) = soonest else {
            return false;
        };
        let is_soon = at.since(now) <= WAIT_MAX;
        let is_in_time = self.total_due().is_none_or(|due| at < due);
        if !is_soon || !is_in_time || !self.may_add(health, now) {
            return false;
        }
        self.again = Some(Again { place, at });
        true
    }

    /// Makes the call whose time has come.
    pub(super) fn ask_again(
        &mut self,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let Some(again) = self.again.take_if(|again| again.at <= now) else {
            return;
        };
        if self.send(again.place, health, now, outputs).is_err() {
            self.try_next(health, now, outputs);
        }
    }

    /// Whether one more call to a target that has failed leaves one for each target that has not been asked.
    pub(super) fn is_a_call_to_spare(&self) -> bool {
        let unasked = self.plan.order.len().saturating_sub(self.taken);
        self.attempts.len() + unasked + self.order.fallbacks.len() < ATTEMPTS_MAX
    }

    pub(super) fn may_add(&self, health: &mut Health, now: UnixMillis) -> bool {
        let may_wait = self.order.endpoint() != Endpoint::CountTokens;
        may_wait && self.attempts.len() < ATTEMPTS_MAX && health.retries.take(now)
    }

    /// The attempts at the target in this place of the route that counts now.
    pub(super) fn tries_of(&self, place: usize) -> impl Iterator<Item = &Attempt> {
        let route = &self.order.routing.route;
        let attempts = self.attempts.iter();
        attempts.filter(move |attempt| attempt.place == place && attempt.is_of(route))
    }
}
