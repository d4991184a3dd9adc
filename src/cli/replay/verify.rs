//! Whether a record's decisions come out again, bit for bit.
//!
//! Two depths. With the revision of the route that decided, the whole plan is made again from the traits, the health and
//! the seed: rules, signals, scores, shares and order. Without it, scores, shares and order are made again from the
//! signals, the exclusions, the health and the seed that the record holds; then rules and signals are taken from it.
//!
//! What is compared is the decision as the record has it, every number to its last digit. `health` is only a name for
//! what went in, and no part of the plan.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::revisions::Revisions;
use crate::cli::again::{Decided, decisions, plan_again};
use crate::config::{Embeddings, Route};
use crate::decide::{Seed, Settings, reorder};
use crate::journal::{Decision, Record};

/// Differences that are told of one decision.
const DIFFERENCES_MAX: usize = 20;

/// What became of one record.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verdict {
    pub id: String,
    pub outcome: Verified,
    /// One for each name of the client's `models` that was decided.
    pub decisions: Vec<Repeated>,
}

/// From the best to the worst; of a record with several decisions the worst counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verified {
    /// Refused before any target was considered: there is no plan.
    #[default]
    Undecided,
    Same,
    /// Candidates were left out of the record, to fit the queue.
    Untold,
    Different,
}

/// One decision made again.
#[derive(Debug, Serialize)]
pub(super) struct Repeated {
    pub route: String,
    pub outcome: Verified,
    pub from: From,
    /// Why not from the revision, or what may be behind a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub plan: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum From {
    /// The route's revision that the record names.
    Revision,
    /// The signals and exclusions that the record holds.
    Figures,
}

/// One path of the decision.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    pub path: String,
    pub recorded: Value,
    pub replayed: Value,
}

impl Verdict {
    pub fn of(record: &Record, revisions: &mut Revisions) -> Self {
        let decisions: Vec<Repeated> = decisions(record)
            .map(|decided| repeat(&decided, revisions))
            .collect();
        let worst = decisions.iter().map(|repeated| repeated.outcome).max();
        Self {
            id: record.id.clone(),
            outcome: worst.unwrap_or_default(),
            decisions,
        }
    }

    /// Whether a decision was made again from less than its revision.
    pub fn is_shallow(&self) -> bool {
        let mut made = self.decisions.iter();
        made.any(|made| made.from == From::Figures && made.outcome != Verified::Untold)
    }

    /// Why its decisions were not made again from their revisions, or not at all.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let shallow = self.decisions.iter();
        let shallow = shallow.filter(|repeated| repeated.from == From::Figures);
        shallow.filter_map(|repeated| repeated.reason.as_deref())
    }
}

fn repeat(decided: &Decided<'_>, revisions: &mut Revisions) -> Repeated {
    let decision = decided.decision;
    let mut repeated = Repeated {
        route: decided.route.to_owned(),
        outcome: Verified::Untold,
        from: From::Figures,
        reason: None,
        plan: decision.plan.iter().map(ToString::to_string).collect(),
        differences: Vec::new(),
    };
    if decision.is_trimmed {
        let reason = "candidates were left out of the record, to fit the queue";
        repeated.reason = Some(reason.to_owned());
        return repeated;
    }
    let again = match route_of(decided, revisions) {
        Ok(route) => {
            repeated.from = From::Revision;
            Some(from_revision(decided, route))
        }
        Err(reason) => {
            repeated.reason = reason;
            from_figures(decided)
        }
    };
    let Some(again) = again else {
        let reason = "the record is of before preferences were kept";
        repeated.reason = Some(reason.to_owned());
        return repeated;
    };
    repeated.differences = differences(decision, &again);
    repeated.outcome = Verified::Same;
    if !repeated.differences.is_empty() {
        repeated.outcome = Verified::Different;
        let reason = "another version of Waypost decided, or the record was changed after it";
        let reason = match repeated.reason.take() {
            None => reason.to_owned(),
            Some(shallow) => format!("{reason}; {shallow}"),
        };
        repeated.reason = Some(reason);
    }
    repeated
}

/// The error is empty where nobody asked for revisions.
fn route_of<'a>(
    decided: &Decided<'_>,
    revisions: &'a mut Revisions,
) -> Result<&'a Route, Option<String>> {
    if revisions.is_empty() {
        return Err(None);
    }
    let Some(config) = decided.config else {
        return Err(Some("the record names no revision".to_owned()));
    };
    revisions.route(decided.route, config).map_err(Some)
}

fn from_revision(decided: &Decided<'_>, route: &Route) -> Decision {
    let Decided {
        traits, decision, ..
    } = decided;
    let seed = Seed::of(route, traits, decision.seed.value);
    let plan = plan_again(traits, &decision.candidates, route, seed.value);
    Decision::of(&plan, seed)
}

fn from_figures(decided: &Decided<'_>) -> Option<Decision> {
    let decision = decided.decision;
    let settings = Settings {
        prefer: decision.prefer?,
        temperature: decision.temperature?,
        ..Settings::default()
    };
    let (candidates, rules) = (decision.candidates.clone(), decision.rules.clone());
    let seed = decision.seed;
    let embeddings = embeddings(decision);
    let plan = reorder(
        decided.traits,
        candidates,
        settings,
        rules,
        embeddings,
        seed.value,
    );
    Some(Decision::of(&plan, seed))
}

/// Where a plan for embeddings has one model alone, it changes nothing to cut it down to that.
fn embeddings(decision: &Decision) -> Embeddings {
    let model = |target: &Arc<str>| {
        let mut known = decision.candidates.iter();
        known
            .find(|known| known.target == *target)
            .map(|known| &known.model)
    };
    let mut models = decision.plan.iter().map(model);
    let first = models.next();
    if models.all(|model| Some(model) == first) {
        Embeddings::SameModel
    } else {
        Embeddings::AnyModel
    }
}

/// Where the two decisions are not the same text. What the record does not hold is not compared.
fn differences(recorded: &Decision, replayed: &Decision) -> Vec<Difference> {
    let mut found = Vec::new();
    let text = |decision: &Decision| {
        let health = recorded.health.clone();
        let decision = Decision {
            health,
            ..decision.clone()
        };
        serde_json::to_string(&decision).unwrap_or_default()
    };
    if text(recorded).eq(&text(replayed)) {
        return found;
    }
    let (recorded, replayed) = (as_value(recorded), as_value(replayed));
    let mut compare = |name: &str| {
        if let (Some(recorded), Some(replayed)) = (recorded.get(name), replayed.get(name)) {
            note(name, recorded, replayed, &mut found);
        }
    };
    for name in [
        "plan",
        "propensity",
        "seed",
        "prefer",
        "temperature",
        "rules",
        "candidates",
    ] {
        compare(name);
    }
    found
}

fn as_value(decision: &Decision) -> Value {
    let mut value = serde_json::to_value(decision).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        // Left out where no rule fired.
        let none = || Value::Array(Vec::new());
        fields.entry("rules").or_insert_with(none);
    }
    value
}

fn note(path: &str, recorded: &Value, replayed: &Value, found: &mut Vec<Difference>) {
    if found.len() >= DIFFERENCES_MAX {
        return;
    }
    let nothing = Value::Null;
    // As text: the last bit counts, and the sign of a zero.
    let is_same = || recorded.to_string().eq(&replayed.to_string());
    match (recorded, replayed) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                let side = |fields: &serde_json::Map<String, Value>| {
                    fields.get(name).unwrap_or(&nothing).clone()
                };
                note(&format!("{path}.{name}"), &side(old), &side(new), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for place in 0..old.len().max(new.len()) {
                let side = |items: &[Value]| items.get(place).unwrap_or(&nothing).clone();
                note(&format!("{path}[{place}]"), &side(old), &side(new), found);
            }
        }
        _ if is_same() => {}
        _ => found.push(Difference {
            path: path.to_owned(),
            recorded: recorded.clone(),
            replayed: replayed.clone(),
        }),
    }
}
