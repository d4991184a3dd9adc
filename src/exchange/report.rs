//! What an exchange tells of itself: the client's headers, and the record.

use std::sync::Arc;

use super::attempt::Attempt;
use super::{EXPLAIN_BYTES_MAX, Exchange, Order, Output};
use crate::decide::Exclusion;
use crate::dialects::Endpoint;
use crate::journal::{Decision, Ending, Explanation, Outcome, Record, VERSION};
use crate::units::{MicroUsd, Millis, UnixMillis};

impl Exchange {
    /// The headers that tell the client what was done for it.
    pub(super) fn headers(&self, retry_after: Option<Millis>) -> Vec<(&'static str, String)> {
        let routing = &self.order.routing;
        let mut headers = vec![
            ("x-waypost-id", self.order.id.clone()),
            ("x-waypost-route", routing.route.name.clone()),
            ("x-waypost-attempts", self.attempts.len().to_string()),
            ("x-waypost-config", routing.config.route.0.clone()),
        ];
        if let Some(target) = self.winner.and_then(|attempt| self.target_of(attempt)) {
            headers.push(("x-waypost-target", target.id.to_string()));
        }
        if self.order.endpoint() == Endpoint::CountTokens {
            let by = if self.winner.is_some() {
                "provider"
            } else {
                "estimate"
            };
            headers.push(("x-waypost-count", by.to_owned()));
        }
        let winner = self.winner.and_then(|attempt| self.attempts.get(attempt));
        if let Some(dropped) = winner.map(|winner| &winner.dropped)
            && !dropped.is_empty()
        {
            headers.push(("x-waypost-dropped", listed(dropped)));
        }
        let limits = self.limits_that_bound();
        if !limits.is_empty() {
            headers.push(("x-waypost-limited-by", limits.join(", ")));
        }
        let problems = routing.config.problems;
        if problems > 0 {
            headers.push(("x-waypost-config-problems", problems.to_string()));
        }
        if self.order.is_explained {
            let explanation = Explanation {
                fell_back_from: self.passed.clone(),
                ..routing.explanation(&self.plan)
            };
            let explanation = explanation.explained();
            let value = explanation.to_header(EXPLAIN_BYTES_MAX);
            headers.push(("x-waypost-explain", value));
        }
        if let Some(wait) = retry_after {
            headers.push(("retry-after", wait.0.div_ceil(1_000).to_string()));
        }
        headers
    }

    /// The limits, of the route or of the caller, that dropped a target or set it back.
    fn limits_that_bound(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let earlier = self
            .passed
            .iter()
            .flat_map(|told| &told.decision.candidates);
        for candidate in earlier.chain(&self.plan.candidates) {
            let bound: &[String] = match &candidate.excluded {
                Some(Exclusion::Limit { limit } | Exclusion::Request { limit }) => {
                    std::slice::from_ref(limit)
                }
                None | Some(Exclusion::Ejected) => &candidate.beyond,
                Some(_) => &[],
            };
            for name in bound {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        names
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
        let Order { id, routing, .. } = &self.order;
        let record = |attempt: &Attempt| attempt.record(&routing.route, self.began_at, now);
        let attempts: Vec<_> = self.attempts.iter().filter_map(record).collect();
        let cost = attempts.iter().filter_map(|attempt| attempt.cost);
        let winner = self.winner.and_then(|attempt| self.attempts.get(attempt));
        Record {
            v: VERSION,
            id: id.clone(),
            at: self.began_at,
            route: routing.route.name.clone(),
            via: routing.via.clone(),
            config: Some(routing.config.clone()),
            traits: routing.traits.clone(),
            decision: Some(Decision::of(&self.plan, routing.seed)),
            fell_back_from: self.passed.clone(),
            outcome: Outcome {
                code,
                status,
                error,
                target: self
                    .winner
                    .and_then(|attempt| self.target_of(attempt))
                    .map(|target| Arc::clone(&target.id)),
                finish: winner.and_then(|winner| winner.finish),
                first_token_ms: self
                    .shown
                    .first_token_at
                    .or(winner.and_then(|winner| winner.first_token_at))
                    .map(|at| at.since(self.began_at)),
                total_ms: now.since(self.began_at),
                cost: cost.fold(MicroUsd(0.0), |sum, cost| sum + cost),
            },
            attempts,
            trimmed: Vec::new(),
        }
    }
}

/// As a header's value. A field's name may be any text of the client's.
fn listed(fields: &[String]) -> String {
    let plain = |c: char| {
        let is_plain = c.is_ascii_graphic() && c != ',';
        if is_plain { c } else { '?' }
    };
    let names = fields
        .iter()
        .map(|field| field.chars().map(plain).collect());
    names.collect::<Vec<String>>().join(", ")
}
