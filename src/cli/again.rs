//! Decides a recorded request again, under any revision of its route. The one place that does: `explain`, `diff` and
//! `replay` come here.
//!
//! A record holds all that a decision depends on, so the same route gives the same plan. Health is found by provider
//! and model, under which it is kept: a target that was only renamed keeps what was known of it. One that the record
//! does not know counts as never asked.
//!
//! The traits of a record hold what its own route asked about, text matches by that route's numbers. They are carried
//! over to another revision test by test; a test that the recorded route did not have is taken not to match, and
//! [`not_recorded`] names what is missing.

use std::collections::BTreeMap;

use crate::classify::Traits;
use crate::config::{Route, Target};
use crate::decide::{Candidate, Plan, Seed, plan, redirect};
use crate::exchange::REDIRECTS_MAX;
use crate::health::View;
use crate::journal::{ConfigRevisions, Decision, Record};

pub(super) type Routes = BTreeMap<String, Route>;

/// The plan for these traits. `known` are the candidates as they were recorded.
pub(super) fn plan_again(traits: &Traits, known: &[Candidate], route: &Route, seed: u64) -> Plan {
    let view = |target: &Target| {
        let mut same = known.iter().filter(|known| is_same(known, target));
        let own = same.clone().find(|known| known.target == target.id);
        own.or_else(|| same.next())
            .map_or_else(View::default, |known| known.health)
    };
    let views: Vec<View> = route.targets.iter().map(view).collect();
    plan(traits, route, &views, seed)
}

/// Whether the candidate asked the same model of the same provider.
pub(super) fn is_same(known: &Candidate, target: &Target) -> bool {
    known.provider == target.provider.name && known.model == target.model
}

/// One decision of a record: the last, or one for a name of the client's `models` that came to nothing.
pub(super) struct Decided<'a> {
    pub route: &'a str,
    pub via: &'a [String],
    pub config: Option<&'a ConfigRevisions>,
    pub traits: &'a Traits,
    pub decision: &'a Decision,
}

/// All decisions of a record, in the order in which they were taken.
pub(super) fn decisions(record: &Record) -> impl Iterator<Item = Decided<'_>> {
    let earlier = record.fell_back_from.iter().map(|told| Decided {
        route: &told.route,
        via: &told.via,
        config: told.config.as_ref(),
        traits: &told.traits,
        decision: &told.decision,
    });
    let last = record.decision.as_ref().map(|decision| Decided {
        route: &record.route,
        via: &record.via,
        config: record.config.as_ref(),
        traits: &record.traits,
        decision,
    });
    earlier.chain(last)
}

impl<'a> Decided<'a> {
    /// The route that the client asked for, before any rule sent the request on.
    pub fn asked_for(&self) -> &'a str {
        self.via.first().map_or(self.route, String::as_str)
    }
}

/// Where a record's request goes under one config.
pub(super) struct Again<'a> {
    /// Absent where the config has no route of that name.
    pub outcome: Option<(&'a Route, Plan)>,
}

impl Again<'_> {
    /// The first of the plan: the route that chose, and the candidate.
    pub fn first_candidate(&self) -> Option<(&str, &Candidate)> {
        let (route, plan) = self.outcome.as_ref()?;
        let first = plan.order.first()?;
        Some((&route.name, plan.candidates.get(*first)?))
    }

    /// The first of the plan: the route that chose, and the target.
    pub fn first(&self) -> Option<(&str, &str)> {
        let (route, candidate) = self.first_candidate()?;
        Some((route, &candidate.target))
    }
}

/// Decides again. `asked` is the route whose tests of text the record's matches belong to, as far as that is known.
pub(super) fn again<'a>(
    decided: &Decided<'_>,
    asked: Option<&Route>,
    routes: &'a Routes,
) -> Again<'a> {
    let Some(route) = arrive(decided, asked, routes) else {
        return Again { outcome: None };
    };
    let traits = traits_for(decided, asked, route);
    let decision = decided.decision;
    // The same number unless the route became sticky to something else, or was before.
    let seed = Seed::of(route, &traits, decision.seed.value);
    let plan = plan_again(&traits, &decision.candidates, route, seed.value);
    Again {
        outcome: Some((route, plan)),
    }
}

/// The route that decides, once the rules have sent the request on.
fn arrive<'a>(
    decided: &Decided<'_>,
    asked: Option<&Route>,
    routes: &'a Routes,
) -> Option<&'a Route> {
    let mut route = routes.get(decided.asked_for())?;
    for _ in 0..REDIRECTS_MAX {
        let traits = traits_for(decided, asked, route);
        match redirect(&traits, route) {
            Some(next) => route = routes.get(next)?,
            None => break,
        }
    }
    Some(route)
}

fn traits_for(decided: &Decided<'_>, asked: Option<&Route>, route: &Route) -> Traits {
    let mut traits = decided.traits.clone();
    let known = asked.filter(|asked| asked.name == route.name);
    let carried = |test| {
        let place = known?.texts.iter().position(|known| known == test)?;
        decided.traits.text_matches.get(place).copied()
    };
    let matches = route
        .texts
        .iter()
        .map(|test| carried(test).unwrap_or(false));
    traits.text_matches = matches.collect();
    traits
}

/// What the newer revision of a route asks about, and the older one did not.
pub(super) fn not_recorded(old: Option<&Route>, new: &Route) -> Vec<String> {
    let old = old.filter(|old| old.name == new.name);
    let mut asked = Vec::new();
    let mut compare = |kind: &str, known: Vec<&str>, asks: Vec<&str>| {
        let others = asks.into_iter().filter(|name| !known.contains(name));
        asked.extend(others.map(|name| format!("{kind}.{name}")));
    };
    let headers = old.map(Route::headers).unwrap_or_default();
    compare("headers", headers, new.headers());
    let metadata = old.map(Route::metadata).unwrap_or_default();
    compare("metadata", metadata, new.metadata());
    let texts = old.map(|old| &old.texts);
    let is_new = |test| texts.is_none_or(|known| !known.contains(test));
    if new.texts.iter().any(is_new) {
        asked.push("text".to_owned());
    }
    asked
}
