//! Counting a prompt's tokens: by the provider that would be asked, else by our own estimate.
//!
//! The first target of the plan counts, where its provider speaks Anthropic's dialect. No other is asked and nothing is
//! tried again: models count differently, and the estimate, as it was learned for that target, is at hand at once. So a
//! count never fails once the request is in order, and whatever came of the call says nothing about the target's health.

use super::{Exchange, Output, ResponseHead};
use crate::health::Health;
use crate::journal::Ending;
use crate::units::UnixMillis;

impl Exchange {
    pub(super) fn begin_count(
        &mut self,
        health: &mut Health,
        now: UnixMillis,
        outputs: &mut Vec<Output>,
    ) {
        let first = self.plan.order.first().copied();
        let counts = |place: &usize| {
            let routing = &self.order.routing;
            let target = routing.route.targets.get(*place);
            target.is_some_and(|target| target.speaks(self.order.client, routing.traits.endpoint))
        };
        let first = first.filter(counts);
        self.taken = self.plan.order.len();
        self.order.fallbacks.clear();
        let is_sent = first.is_some_and(|place| self.send(place, health, now, outputs).is_ok());
        if !is_sent {
            self.tell_estimate(now, outputs);
        }
    }

    /// The answer where no provider has counted.
    pub(super) fn tell_estimate(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let first = self.plan.order.first().copied();
        let tokens = match first {
            Some(place) => self.expect(place).prompt,
            None => self.order.routing.traits.prompt_tokens,
        };
        let head = ResponseHead {
            status: 200,
            content_type: "application/json".into(),
            headers: self.headers(None),
        };
        outputs.push(Output::Respond(head));
        let body = format!("{{\"input_tokens\":{}}}", tokens.0);
        outputs.push(Output::Emit(body.into_bytes()));
        self.finish(Ending::Completed, 200, None, now, outputs);
    }
}
