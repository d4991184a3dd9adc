//! Drops candidates, each with a reason.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::signals::Signals;
use crate::classify::Traits;
use crate::config::{Deadlines, Limits, Prefer, Require, Route, Rule, Subject, Target};
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
    CostAboveLimit,
    Rule {
        rule: String,
    },
    /// It failed lately. It stands at the end of the plan.
    Ejected,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LacksTools => f.write_str("lacks tools"),
            Self::LacksImages => f.write_str("lacks images"),
            Self::LacksJsonSchema => f.write_str("lacks json_schema"),
            Self::LacksContext => f.write_str("the prompt is longer than its context"),
            Self::CannotCarry { field } => write!(f, "its dialect cannot carry `{field}`"),
            Self::CostAboveLimit => f.write_str("its expected cost is above the route's limit"),
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

/// What a route prefers and allows for one request, once the rules that fired have changed it. The last rule wins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    pub prefer: Prefer,
    pub limits: Limits,
    pub deadlines: Deadlines,
}

pub(super) fn settings(route: &Route, fired: &[Fired<'_>]) -> Settings {
    let start = Settings {
        prefer: route.prefer,
        limits: route.limits,
        deadlines: route.deadlines,
    };
    fired.iter().fold(start, |settings, fired| Settings {
        prefer: settings.prefer.changed_by(fired.rule.prefer),
        limits: settings.limits.overridden_by(fired.rule.limits),
        deadlines: settings.deadlines.overridden_by(fired.rule.deadlines),
    })
}

/// The route that the first rule with such an effect sends this request to.
#[must_use]
pub fn redirect<'a>(traits: &Traits, route: &'a Route) -> Option<&'a str> {
    let fired = fired(traits, route);
    fired.iter().find_map(|fired| fired.rule.route.as_deref())
}

/// The first reason to drop the target, what it lacks before what the route forbids.
pub(super) fn exclusion(
    target: &Target,
    traits: &Traits,
    limits: Limits,
    fired: &[Fired<'_>],
    signals: &Signals,
) -> Option<Exclusion> {
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
    if target
        .terms
        .context
        .is_some_and(|context| traits.prompt_tokens > context)
    {
        return Some(Exclusion::LacksContext);
    }
    if let Some(field) = &traits.unportable
        && traits.dialect != Some(target.provider.dialect)
    {
        let field = field.clone();
        return Some(Exclusion::CannotCarry { field });
    }
    if let Some(fired) = fired.iter().find(|fired| drops(fired.rule, target)) {
        let rule = fired.name.clone();
        return Some(Exclusion::Rule { rule });
    }
    let is_too_dear = limits.cost_max.is_some_and(|limit| signals.cost > limit);
    is_too_dear.then_some(Exclusion::CostAboveLimit)
}

fn drops(rule: &Rule, target: &Target) -> bool {
    let is_left_out = rule
        .only
        .as_ref()
        .is_some_and(|only| !only.contains(&target.id));
    is_left_out || rule.avoid.contains(&target.id) || !meets(&rule.require, target)
}

/// A target whose region is unknown is in none.
fn meets(require: &Require, target: &Target) -> bool {
    let is_among =
        |known: &[String], value: &str| known.iter().any(|name| name.eq_ignore_ascii_case(value));
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
