//! One decision of a record taken again under one config, redirects included.
//!
//! The traits of a record hold what its own route asked about, text matches by that route's numbers. They are carried
//! over to another revision test by test; a test that the recorded route did not have is taken not to match, and
//! `impact` says so.

use std::collections::BTreeMap;

use crate::classify::Traits;
use crate::cli::again::plan_again;
use crate::config::Route;
use crate::decide::{Plan, Seed, redirect};
use crate::exchange::REDIRECTS_MAX;
use crate::journal::{ConfigRevisions, Decision, Record};

pub(super) type Routes = BTreeMap<String, Route>;

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

/// Where a record's request goes under one config.
pub(super) struct Again<'a> {
    /// Absent where the config has no route of that name.
    pub outcome: Option<(&'a Route, Plan)>,
}

impl Again<'_> {
    /// The first of the plan: the route that chose, and the target.
    pub fn first(&self) -> Option<(&str, &str)> {
        let (route, plan) = self.outcome.as_ref()?;
        let first = plan.order.first()?;
        let candidate = plan.candidates.get(*first)?;
        Some((&route.name, &candidate.target))
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
    let first = decided.via.first().map_or(decided.route, String::as_str);
    let mut route = routes.get(first)?;
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
