//! What a change would have done to recorded traffic.
//!
//! Shares are expected ones, the mean of each candidate's probability of being first: they do not depend on the luck
//! of the draw. Costs are those that the decision expects, weighed by the shares. Memory is bounded by the routes and
//! targets of the two configs, whatever the number of records.
//!
//! A log does not tell everything, and what it does not is counted: targets that nobody has asked yet, headers and
//! texts that the old route did not look at, records of other revisions than OLD.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::cli::again::{Again, Decided, Routes, again, decisions, is_same, not_recorded};
use crate::cli::records::{Source, Unreadable, each};
use crate::config::{Revision, Route, Target};
use crate::journal::{Decision, Record};

/// For all records.
#[derive(Debug, Default, Serialize)]
pub(super) struct Impact {
    pub records: u64,
    /// Of routes that decide as before, or that neither config has.
    pub unaffected: u64,
    /// Refused before any target was considered.
    pub undecided: u64,
    pub unreadable: Unreadable,
    pub routes: BTreeMap<String, RouteImpact>,
}

/// For the decisions of one route: one for each record, unless a client names it twice in `models`.
#[derive(Debug, Default, Serialize)]
pub(super) struct RouteImpact {
    pub replayed: u64,
    /// How many would try another target first.
    pub moved: u64,
    pub shares: Vec<ShareChange>,
    pub expected_usd_per_1000: Pair<Option<f64>>,
    /// How many would have no target left.
    pub without_candidate: Pair<u64>,
    /// How many were decided by another revision than OLD's.
    pub other_revision: u64,
    /// Candidates left out of their records, to fit the queue.
    pub trimmed: u64,
    /// Targets of NEW that some records do not know, and in how many; their health is taken to be fresh.
    pub unknown_health: BTreeMap<String, u64>,
    /// Targets without a listed price; a typical one is assumed.
    pub price_assumed: BTreeSet<String>,
    /// What NEW asks of a request and OLD did not; taken to be absent.
    pub not_recorded: BTreeSet<String>,
    #[serde(skip)]
    sums: Pair<Sums>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Pair<T> {
    pub old: T,
    pub new: T,
}

/// From 0 to 1, of all records of the route.
#[derive(Debug, Serialize)]
pub(super) struct ShareChange {
    /// Another route, where a rule sends the request on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    pub target: String,
    pub old: f64,
    pub new: f64,
}

#[derive(Debug, Default)]
struct Sums {
    /// By route and target.
    shares: BTreeMap<(String, String), f64>,
    cost_micro_usd: f64,
    planned: u64,
    without_candidate: u64,
}

/// Decides the records of a file again.
pub(super) fn of(old: &Routes, new: &Routes, file: &Path) -> Result<Impact, String> {
    let mut impact = Impact::default();
    let changed = changed(old, new);
    let sources = Source::all(&[file.to_owned()])?;
    impact.unreadable = each(&sources, |record, _| {
        impact.take(&record, old, new, &changed);
    });
    for (name, route) in &mut impact.routes {
        route.finish(name);
    }
    Ok(impact)
}

/// The routes that decide otherwise. A new description alone decides nothing.
fn changed(old: &Routes, new: &Routes) -> BTreeSet<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let meaning = |route: Option<&Route>| {
        route.map(|route| Route {
            revision: Revision::default(),
            ..route.clone()
        })
    };
    let differs = |name: &&String| meaning(old.get(*name)) != meaning(new.get(*name));
    names.into_iter().filter(differs).cloned().collect()
}

impl Impact {
    fn take(&mut self, record: &Record, old: &Routes, new: &Routes, changed: &BTreeSet<String>) {
        self.records += 1;
        self.undecided += u64::from(record.decision.is_none());
        let mut is_affected = false;
        for decided in decisions(record) {
            let meets = |name: &str| changed.contains(name);
            if meets(decided.route) || decided.via.iter().any(|name| meets(name)) {
                is_affected = true;
                let route = self.routes.entry(decided.route.to_owned()).or_default();
                route.take(&decided, old, new);
            }
        }
        self.unaffected += u64::from(record.decision.is_some() && !is_affected);
    }
}

impl RouteImpact {
    fn take(&mut self, decided: &Decided<'_>, old: &Routes, new: &Routes) {
        let decision = decided.decision;
        self.replayed += 1;
        self.trimmed += u64::from(decision.is_trimmed);
        let revision = decided.config.map(|config| &config.route);
        let asked = old.get(decided.route);
        let asked = asked.filter(|route| revision == Some(&route.revision));
        self.other_revision += u64::from(asked.is_none());
        let before = again(decided, asked, old);
        let after = again(decided, asked, new);
        self.moved += u64::from(before.first() != after.first());
        self.note_unknown(decision, &before, &after);
        self.sums.old.take(&before);
        self.sums.new.take(&after);
    }

    fn note_unknown(&mut self, decision: &Decision, before: &Again<'_>, after: &Again<'_>) {
        let Some((route, _)) = &after.outcome else {
            return;
        };
        let is_unknown = |target: &&Target| {
            let mut known = decision.candidates.iter();
            !known.any(|known| is_same(known, target))
        };
        for target in route.targets.iter().filter(is_unknown) {
            *self
                .unknown_health
                .entry(target.id.to_string())
                .or_default() += 1;
        }
        // The rest follows from the routes alone, and each has been met after a few records.
        let before = before.outcome.as_ref().map(|(route, _)| *route);
        let unpriced = route
            .targets
            .iter()
            .filter(|target| target.terms.price.is_none());
        for target in unpriced {
            if !self.price_assumed.contains(&*target.id) {
                self.price_assumed.insert(target.id.to_string());
            }
        }
        for asked in not_recorded(before, route) {
            self.not_recorded.insert(asked);
        }
    }

    fn finish(&mut self, own: &str) {
        let Pair { old, new } = &self.sums;
        let names: BTreeSet<_> = old.shares.keys().chain(new.shares.keys()).collect();
        let share = |sums: &Sums, name: &(String, String)| {
            sums.shares.get(name).copied().unwrap_or_default() / count(self.replayed)
        };
        let shares = names.into_iter().map(|name| ShareChange {
            via: Some(name.0.clone()).filter(|route| route != own),
            target: name.1.clone(),
            old: share(old, name),
            new: share(new, name),
        });
        self.shares = shares.collect();
        // The largest first, so that a screen shows what counts.
        self.shares
            .sort_by(|a, b| b.old.max(b.new).total_cmp(&a.old.max(a.new)));
        self.expected_usd_per_1000 = Pair {
            old: old.usd_per_1000(),
            new: new.usd_per_1000(),
        };
        self.without_candidate = Pair {
            old: old.without_candidate,
            new: new.without_candidate,
        };
    }
}

impl Sums {
    fn take(&mut self, again: &Again<'_>) {
        let planned = again.outcome.as_ref();
        let Some((route, plan)) = planned.filter(|(_, plan)| !plan.order.is_empty()) else {
            self.without_candidate += 1;
            return;
        };
        self.planned += 1;
        for candidate in plan.candidates.iter().filter(|one| one.share > 0.0) {
            let name = (route.name.clone(), candidate.target.to_string());
            *self.shares.entry(name).or_default() += candidate.share;
            self.cost_micro_usd += candidate.share * candidate.signals.cost.0;
        }
    }

    /// Of those requests that have a candidate. A millionth of a dollar each is a thousandth of one for a thousand.
    fn usd_per_1000(&self) -> Option<f64> {
        (self.planned > 0).then(|| self.cost_micro_usd / count(self.planned) / 1_000.0)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has 2^53 records in a file"
)]
fn count(number: u64) -> f64 {
    number as f64
}
