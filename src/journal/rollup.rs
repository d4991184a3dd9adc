//! What is counted of a record: the row that D1 keeps of it, and the labels and buckets under which it is summed up.
//!
//! Labels are bounded in length here, and in number where they are stored: a caller chooses the names that it asks for,
//! so the request that met no route is counted under [`NO_ROUTE`] and not under the name it gave.
//!
//! Not here: the sums themselves, which D1 does (`edge/pipeline/tables.rs`).

use serde::Serialize;

use super::summary::{Attempt, Counted};
use super::{Ending, Summary};
use crate::units::{MicroUsd, Millis, Tokens, UnixMillis};

/// Upper bounds of the buckets in which times are counted. Slower ones fall into a last bucket without a bound.
pub const LATENCY_BOUNDS: [Millis; 12] = [
    Millis(50),
    Millis(100),
    Millis(250),
    Millis(500),
    Millis(1_000),
    Millis(2_000),
    Millis(4_000),
    Millis(8_000),
    Millis(15_000),
    Millis(30_000),
    Millis(60_000),
    Millis(120_000),
];
/// The route of requests that met none.
pub const NO_ROUTE: &str = "none";
/// Route and target of what found no room among the labels.
pub const OTHER: &str = "other";
/// What is kept of a label, in characters.
const LABEL_CHARS_MAX: usize = 128;
const MINUTE: u64 = 60_000;

/// One record as D1 gets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row<'a> {
    id: &'a str,
    at: UnixMillis,
    /// Minutes since 1970.
    minute: u64,
    route: &'a str,
    target: Option<&'a str>,
    outcome: Ending,
    status: u16,
    attempts: usize,
    first_token_ms: Option<Millis>,
    total_ms: Millis,
    prompt_tokens: Option<Tokens>,
    answer_tokens: Option<Tokens>,
    cost_micro_usd: MicroUsd,
    key: &'a str,
    team: Option<&'a str>,
    pop: Option<&'a str>,
    object: &'a str,
    offset: usize,
    length: usize,
    /// Under what it is counted.
    in_route: String,
    in_target: String,
    in_variant: String,
    /// The buckets of the two times.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_bucket: Option<usize>,
    total_bucket: usize,
    tries: Vec<Try>,
}

/// An attempt, or a target that was set back, as it is counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Try {
    target: String,
    outcome: String,
    prompt: Tokens,
    cached: Tokens,
    answer: Tokens,
    reasoning: Tokens,
    cost: MicroUsd,
}

impl<'a> Row<'a> {
    /// The row of a record whose line has `length` bytes from `offset` on, in what `object` names.
    #[must_use]
    pub fn new(record: &'a Summary, object: &'a str, offset: usize, length: usize) -> Self {
        let outcome = &record.outcome;
        let tokens = record.tokens();
        let route = if record.has_met_a_route() {
            record.route.as_str()
        } else {
            NO_ROUTE
        };
        let ejected = record.ejected().map(Try::ejected);
        Self {
            id: &record.id,
            at: record.at,
            minute: record.at.0 / MINUTE,
            route: &record.route,
            target: outcome.target.as_deref(),
            outcome: outcome.code,
            status: outcome.status,
            attempts: record.attempts.len(),
            first_token_ms: outcome.first_token_ms,
            total_ms: outcome.total_ms,
            prompt_tokens: tokens.map(|tokens| tokens.prompt),
            answer_tokens: tokens.map(|tokens| tokens.answer),
            cost_micro_usd: outcome.cost,
            key: &record.traits.key,
            team: record.traits.team.as_deref(),
            pop: record.traits.pop.as_deref(),
            object,
            offset,
            length,
            in_route: label(route),
            in_target: label(outcome.target.as_deref().unwrap_or_default()),
            in_variant: label(record.variant.as_deref().unwrap_or_default()),
            first_token_bucket: outcome.first_token_ms.map(bucket),
            total_bucket: bucket(outcome.total_ms),
            tries: record.attempts.iter().map(Try::of).chain(ejected).collect(),
        }
    }
}

impl Try {
    fn of(attempt: &Attempt) -> Self {
        let Counted {
            prompt,
            cached,
            answer,
            reasoning,
            ..
        } = attempt.usage.unwrap_or_default();
        Self {
            target: label(&attempt.target),
            outcome: label(&attempt.outcome),
            prompt,
            cached,
            answer,
            reasoning,
            cost: attempt.cost.unwrap_or_default(),
        }
    }

    fn ejected(target: &str) -> Self {
        Self {
            target: label(target),
            outcome: "ejected".to_owned(),
            prompt: Tokens(0),
            cached: Tokens(0),
            answer: Tokens(0),
            reasoning: Tokens(0),
            cost: MicroUsd(0.0),
        }
    }
}

fn label(name: &str) -> String {
    name.chars().take(LABEL_CHARS_MAX).collect()
}

/// The place of the first bound that is not below a time; their count where all are.
fn bucket(time: Millis) -> usize {
    LATENCY_BOUNDS.partition_point(|bound| *bound < time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_belongs_to_its_bucket() {
        assert_eq!(bucket(Millis(0)), 0);
        assert_eq!((bucket(Millis(50)), bucket(Millis(51))), (0, 1));
        assert_eq!(bucket(Millis(120_000)), LATENCY_BOUNDS.len() - 1);
        assert_eq!(bucket(Millis(120_001)), LATENCY_BOUNDS.len());
    }

    fn row_of(line: &str) -> serde_json::Value {
        let summary: Summary = serde_json::from_str(line).unwrap();
        serde_json::to_value(Row::new(&summary, "o", 0, 9)).unwrap()
    }

    #[test]
    fn name_that_led_to_no_route_is_no_label() {
        let line = |config: &str| {
            format!(
                r#"{{"id":"i","at":120001,"route":"any name",{config}"traits":{{"key":"k"}},"attempts":[],
                "outcome":{{"code":"rejected","status":404,"total_ms":3,"cost_micro_usd":0}}}}"#
            )
        };
        let without = row_of(&line(""));
        assert_eq!(
            (&without["in_route"], &without["route"]),
            (&"none".into(), &"any name".into())
        );
        assert_eq!(without["minute"], 2);
        let with = row_of(&line(r#""config":{"route":"r","providers":"p"},"#));
        assert_eq!(with["in_route"], "any name");
    }
}
