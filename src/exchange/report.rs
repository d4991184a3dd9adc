//! What an exchange tells of itself: the client's headers, and the record.

use super::attempt::Attempt;
use super::{EXPLAIN_BYTES_MAX, Exchange, Output};
use crate::journal::{Decision, Ending, Outcome, Record, VERSION};
use crate::units::{MicroUsd, Millis, UnixMillis};

impl Exchange {
    /// The headers that tell the client what was done for it.
    pub(super) fn headers(&self, retry_after: Option<Millis>) -> Vec<(&'static str, String)> {
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

    pub(super) fn finish(
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
}
