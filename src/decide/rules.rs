//! Drops candidates, each with a reason.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bounds::{beyond, beyond_limits, is_named};
use super::cost;
use super::signals::Signals;
use crate::classify::Traits;
use crate::config::{
    Constraints, Deadlines, Limits, Prefer, Require, Route, Rule, Sort, Subject, Target,
};
use crate::dialects::Endpoint;
use crate::health::View;
use crate::providers::Ability;

/// Why a target is not a candidate for this request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Exclusion {
    LacksTools,
    LacksImages,
    LacksJsonSchema,
    /// The prompt is longer than its context.
    LacksContext,
    /// Its dialect has no words for a field of the request.
    CannotCarry {
        field: String,
    },
    /// Its model is known not to do what this endpoint asks for.
    LacksEndpoint {
        endpoint: Endpoint,
    },
    /// Its provider's dialect has no such endpoint.
    NoEndpoint {
        endpoint: Endpoint,
    },
    /// It is expected to take more than the route's limit of this name.
    #[serde(alias = "cost_above_limit")]
    Limit {
        #[serde(default = "cost_limit")]
        limit: String,
    },
    /// The caller's own bound of this name.
    Request {
        limit: String,
    },
    Rule {
        rule: String,
    },
    /// It failed lately. It stands at the end of the plan.
    Ejected,
}

/// The only limit there was when records did not name it.
fn cost_limit() -> String {
    "cost_usd_max".to_owned()
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LacksTools => f.write_str("lacks tools"),
            Self::LacksImages => f.write_str("lacks images"),
            Self::LacksJsonSchema => f.write_str("lacks json_schema"),
            Self::LacksContext => f.write_str("the prompt is longer than its context"),
            Self::CannotCarry { field } => write!(f, "its dialect cannot carry `{field}`"),
            Self::LacksEndpoint { endpoint } => match Ability::for_endpoint(*endpoint) {
                Some(ability) => write!(f, "lacks {}", ability.name()),
                None => write!(f, "lacks {}", endpoint.name()),
            },
            Self::NoEndpoint { endpoint } => {
                write!(f, "its dialect has no {}", endpoint.path())
            }
            Self::Limit { limit } => write!(f, "beyond the route's limit `{limit}`"),
            Self::Request { limit } => write!(f, "beyond the request's `{limit}`"),
            Self::Rule { rule } => write!(f, "excluded by rule `{rule}`"),
            Self::Ejected => f.write_str("ejected after failures"),
        }
    }
}

/// A rule whose conditions all hold.
pub(super) struct Fired<'a> {
    pub name: String,
    rule: &'a Rule,
}

/// The rules of the route that apply to this request, in the route's order.
pub(super) fn fired<'a>(traits: &Traits, route: &'a Route) -> Vec<Fired<'a>> {
    let fact = |subject: &Subject| traits.fact(subject);
    let holds = |rule: &Rule| rule.when.holds(&fact, traits.at);
    let named = |(place, rule): (usize, &'a Rule)| Fired {
        name: rule
            .name
            .clone()
            .unwrap_or_else(|| format!("rules[{place}]")),
        rule,
    };
    let rules = route.rules.iter().enumerate();
    rules.filter(|(_, rule)| holds(rule)).map(named).collect()
}

/// What a route prefers and allows for one request, once the rules that fired and the caller have changed it. The
/// last rule wins over the ones before, and the caller over the rules; but a limit of the route's stays one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    pub prefer: Prefer,
    pub temperature: f64,
    pub limits: Limits,
    pub deadlines: Deadlines,
}

pub(super) fn settings(route: &Route, fired: &[Fired<'_>], constraints: &Constraints) -> Settings {
    let start = Settings {
        prefer: route.prefer,
        temperature: route.temperature,
        limits: route.limits,
        deadlines: route.deadlines,
    };
    let settings = fired.iter().fold(start, |settings, fired| Settings {
        prefer: settings.prefer.changed_by(fired.rule.prefer),
        limits: settings.limits.overridden_by(fired.rule.limits),
        deadlines: settings.deadlines.overridden_by(fired.rule.deadlines),
        ..settings
    });
    let sorted = match constraints.sort {
        None => settings,
        Some(sort) => Settings {
            prefer: preference_of(sort),
            temperature: 0.0,
            ..settings
        },
    };
    Settings {
        prefer: sorted.prefer.changed_by(constraints.prefer),
        deadlines: sorted.deadlines.overridden_by(constraints.deadlines),
        ..sorted
    }
}

fn preference_of(sort: Sort) -> Prefer {
    let none = Prefer::default();
    match sort {
        Sort::Price => Prefer { price: 1.0, ..none },
        Sort::Throughput => Prefer { speed: 1.0, ..none },
        Sort::Latency => Prefer { ttft: 1.0, ..none },
    }
}

/// The route that the first rule with such an effect sends this request to.
#[must_use]
pub fn redirect<'a>(traits: &Traits, route: &'a Route) -> Option<&'a str> {
    let fired = fired(traits, route);
    fired.iter().find_map(|fired| fired.rule.route.as_deref())
}

/// The first reason to drop the target: what it lacks, then what the route forbids, then what the caller does.
pub(super) fn exclusion(
    target: &Target,
    traits: &Traits,
    view: &View,
    limits: &Limits,
    fired: &[Fired<'_>],
    signals: &Signals,
) -> Option<Exclusion> {
    if let Some(lack) = lack(target, traits, view) {
        return Some(lack);
    }
    if let Some(fired) = fired.iter().find(|fired| drops(fired.rule, target)) {
        let rule = fired.name.clone();
        return Some(Exclusion::Rule { rule });
    }
    if let Some(limit) = beyond_limits(limits, target, signals).next() {
        let limit = limit.to_owned();
        return Some(Exclusion::Limit { limit });
    }
    let constraints = traits.constraints.as_ref()?;
    let limit = beyond(&constraints.hard, target, traits, signals).next();
    let is_listed = |name: &String| is_named(target, name);
    let is_left_out = constraints.allow_fallbacks == Some(false)
        && !constraints.order.is_empty()
        && !constraints.order.iter().any(is_listed);
    let limit = limit.or_else(|| is_left_out.then_some("allow_fallbacks"))?;
    Some(Exclusion::Request {
        limit: limit.to_owned(),
    })
}

/// What the request needs and the target has not.
fn lack(target: &Target, traits: &Traits, view: &View) -> Option<Exclusion> {
    let endpoint = traits.endpoint;
    if let Some(ability) = Ability::for_endpoint(endpoint) {
        if !target.speaks(endpoint.dialect(), endpoint) {
            return Some(Exclusion::NoEndpoint { endpoint });
        }
        if !target.terms.may(ability) {
            return Some(Exclusion::LacksEndpoint { endpoint });
        }
    }
    let lacks = |needed: bool, ability| needed && !target.terms.may(ability);
    if lacks(traits.has_tools, Ability::Tools) {
        return Some(Exclusion::LacksTools);
    }
    if lacks(traits.has_images, Ability::Images) {
        return Some(Exclusion::LacksImages);
    }
    if lacks(traits.has_json_schema, Ability::JsonSchema) {
        return Some(Exclusion::LacksJsonSchema);
    }
    let context = target.terms.context;
    if context.is_some_and(|context| cost::is_surely_longer(traits, view, context)) {
        return Some(Exclusion::LacksContext);
    }
    let carried = target.carries(traits.dialect, endpoint);
    let field = traits.beyond(carried)?.to_owned();
    Some(Exclusion::CannotCarry { field })
}

fn drops(rule: &Rule, target: &Target) -> bool {
    let is_in = |ids: &[String]| ids.iter().any(|id| **id == *target.id);
    let is_left_out = rule.only.as_ref().is_some_and(|only| !is_in(only));
    is_left_out || is_in(&rule.avoid) || !meets(&rule.require, target)
}

/// Whether one of the names is this, in whatever case.
pub(super) fn is_among<S: AsRef<str>>(names: &[S], value: &str) -> bool {
    let is_it = |name: &S| name.as_ref().eq_ignore_ascii_case(value);
    names.iter().any(is_it)
}

/// A target whose region is unknown is in none.
pub(super) fn meets(require: &Require, target: &Target) -> bool {
    let region = target.region.as_deref().unwrap_or_default();
    require
        .region
        .as_ref()
        .is_none_or(|known| is_among(known, region))
        && require
            .private
            .is_none_or(|wanted| wanted == target.is_private)
        && require
            .provider
            .as_ref()
            .is_none_or(|known| is_among(known, &target.provider.name))
}
