//! A second target beside a slow first one: whichever gives a good token first is the answer.
//!
//! Only where the route says `hedge`, for streams, before any good token, and once an exchange. The wait is the route's
//! own, or what the first target's recent streams say: the time that 95 in 100 of them needed less than. A target of
//! which too little is known is not hedged. The second call is taken from the isolate's budget (`health/budget.rs`)
//! and must not be expected to cost more than the route allows. An error cannot win; the loser is cancelled at once.
//!
//! After Dean and Barroso, "The Tail at Scale" (2013): a hedge at the 95th percentile adds some 5 % of calls.

use super::attempt::Attempt;
use super::{Exchange, Output};
use crate::config::Hedge;
use crate::health::{Health, Observation};
use crate::units::{Millis, UnixMillis};

impl Exchange {
    /// When a second target is due beside the one attempt that runs, if the route has it so.
    pub(super) fn hedge_due(&self) -> Option<UnixMillis> {
        let hedge = self.order.routing.route.hedge?;
        let running = self.lone_attempt().filter(|_| !self.has_hedged)?;
        let learned = || {
            let view = self.plan.candidates.get(running.place)?.health;
            view.ttft_p95_seconds.map(Millis::from_seconds)
        };
        Some(running.sent_at + hedge.after.or_else(learned)?)
    }

    /// Asks the next target of the plan as well, if it is due, worth its cost, and in the budget.
    pub(super) fn hedge(
        &mut self,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        if self.hedge_due().is_none_or(|due| due > now) {
            return;
        }
        self.has_hedged = true;
        let Some(place) = self.hedge_target() else {
            return;
        };
        if self.may_add(health, now) {
            self.taken += 1;
            // Where it cannot be sent, the first attempt goes on alone.
            let _ = self.send(place, health, now, outputs);
        }
    }

    /// The next of the plan, if it is admitted and cheap enough.
    fn hedge_target(&self) -> Option<usize> {
        let hedge = self.order.routing.route.hedge?;
        let place = self.plan.order.get(self.taken).copied()?;
        let candidate = self.plan.candidates.get(place)?;
        let is_admitted = candidate.excluded.is_none();
        let is_cheap = |hedge: Hedge| {
            let limit = hedge.cost_max;
            limit.is_none_or(|limit| candidate.signals.cost <= limit)
        };
        (is_admitted && is_cheap(hedge)).then_some(place)
    }

    /// The attempt that runs, where it is the only one, streams, and has shown nothing yet.
    fn lone_attempt(&self) -> Option<&Attempt> {
        let mut live = self.attempts.iter().filter(|attempt| attempt.is_live());
        let (first, second) = (live.next()?, live.next());
        let is_silent = first.is_streaming && first.first_token_at.is_none();
        (second.is_none() && is_silent && self.winner.is_none()).then_some(first)
    }

    /// Ends all attempts but the one that answers.
    pub(super) fn cancel_others(
        &mut self,
        winner: usize,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let scope = self.order.routing.scope();
        for (attempt, running) in self.attempts.iter_mut().enumerate() {
            if attempt != winner && running.is_live() {
                running.abandon(now);
                outputs.push(Output::Cancel { attempt });
                if let Some(target) = running.target() {
                    let waited = now.since(running.sent_at);
                    let outrun = Observation::Outrun { waited };
                    health.observe_from(scope, &target.health_key(), &outrun, now);
                }
            }
        }
    }

    /// Whether another attempt may still answer.
    pub(super) fn is_another_live(&self) -> bool {
        self.attempts.iter().any(Attempt::is_live)
    }
}
