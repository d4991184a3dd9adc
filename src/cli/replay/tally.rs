//! Records of one route, gathered for the estimators, and all that stands between them and the truth.
//!
//! A log does not tell everything, and what it does not is counted and said in words. Nothing is filled in silently.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::estimate::{FIRST_MIN, Log, Overlap, PROPENSITY_MIN, Told};
use super::interval::{SEEDS_MIN, count};
use super::sample::{Figure, METRICS, Metric, Sample, Unfit};
use crate::cli::again::{Again, Decided, is_same, not_recorded};
use crate::cli::table::percent;
use crate::config::Route;
use crate::decide::{Candidate, SeedSource};
use crate::journal::{Ending, Record};

/// Below this an estimate hangs on few exchanges, and its interval may be too narrow.
const EFFECTIVE_MIN: f64 = 100.0;
/// A single exchange that counts for more of the estimate than this is told.
const WEIGHT_SHARE_MAX: f64 = 0.05;
/// A smaller part of the traffic that the log cannot tell about moves no estimate by as much as its interval. The JSON
/// has it all the same.
pub(super) const UNTOLD_MIN: f64 = 0.0005;
/// Names that are listed in one warning.
const NAMES_MAX: usize = 10;

/// The records of one route.
#[derive(Default)]
pub(super) struct Tally {
    samples: Vec<Sample>,
    models: Vec<Named>,
    places: BTreeMap<(Arc<str>, Arc<str>), usize>,
    unfit: BTreeMap<Unfit, u64>,
    sticky: u64,
    left: u64,
    /// By target, records in which the new config expects another cost of it than was recorded.
    repriced: BTreeMap<String, u64>,
    unknown_health: BTreeMap<String, u64>,
    not_recorded: BTreeSet<String>,
    with_unknown_revision: u64,
}

struct Named {
    target: Arc<str>,
    provider: Arc<str>,
    model: Arc<str>,
}

/// What is told of one route.
#[derive(Debug, Serialize)]
pub(super) struct RouteReport {
    /// Those that could be decided again.
    pub records: usize,
    /// How many would try another target first, with the same seed.
    pub moved: usize,
    pub targets: Vec<TargetReport>,
    pub overlap: Overlap,
    /// By the name of the figure; one that the log tells nothing of is left out.
    pub estimates: BTreeMap<&'static str, Told>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
pub(super) struct TargetReport {
    pub target: String,
    pub provider: String,
    pub model: String,
    /// The mean probability of being tried first, as recorded.
    pub old: f64,
    /// With the new config.
    pub new: f64,
    /// How many exchanges began with it.
    pub first_in: usize,
    /// The part of `new` that the log cannot tell about.
    pub untold: f64,
}

/// What the log cannot tell, or what makes an estimate doubtful.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Warning {
    pub code: &'static str,
    pub message: String,
}

impl Tally {
    /// `asked` is the route that decided, as far as it is known.
    pub fn take(
        &mut self,
        record: &Record,
        decided: &Decided<'_>,
        again: &Again<'_>,
        asked: Option<&Route>,
    ) {
        let Self { models, places, .. } = self;
        let place = |candidate: &Candidate| {
            let key = (
                Arc::clone(&candidate.provider),
                Arc::clone(&candidate.model),
            );
            *places.entry(key).or_insert_with(|| {
                models.push(Named::of(candidate));
                models.len() - 1
            })
        };
        match Sample::of(record, decided, again, place) {
            Ok(sample) => {
                self.samples.push(sample);
                self.note(record, decided, again, asked);
            }
            Err(unfit) => *self.unfit.entry(unfit).or_default() += 1,
        }
    }

    fn note(
        &mut self,
        record: &Record,
        decided: &Decided<'_>,
        again: &Again<'_>,
        asked: Option<&Route>,
    ) {
        let decision = decided.decision;
        self.sticky += u64::from(decision.seed.source != SeedSource::Random);
        self.left += u64::from(record.outcome.code == Ending::ClientGone);
        let Some((route, plan)) = &again.outcome else {
            return;
        };
        for (target, candidate) in route.targets.iter().zip(&plan.candidates) {
            let mut known = decision.candidates.iter();
            let known = known.find(|known| is_same(known, target));
            let counts = match known {
                None => &mut self.unknown_health,
                Some(known) if known.signals.cost != candidate.signals.cost => &mut self.repriced,
                Some(_) => continue,
            };
            *counts.entry(target.id.to_string()).or_default() += 1;
        }
        self.with_unknown_revision += u64::from(asked.is_none());
        self.not_recorded.extend(not_recorded(asked, route));
    }

    pub fn report(&self) -> RouteReport {
        let log = Log::new(&self.samples, self.models.len());
        let estimates: BTreeMap<_, _> = METRICS
            .into_iter()
            .filter_map(|metric| Some((metric.name(), log.ask(metric)?)))
            .collect();
        let is_moved = |sample: &&Sample| !sample.would_stay;
        let targets = self.targets(&log.overlap);
        let warnings = self.warnings(&log.overlap, &targets);
        RouteReport {
            records: self.samples.len(),
            moved: self.samples.iter().filter(is_moved).count(),
            targets,
            overlap: log.overlap,
            estimates,
            warnings,
        }
    }

    fn targets(&self, overlap: &Overlap) -> Vec<TargetReport> {
        let mut targets: Vec<TargetReport> = (self.models.iter().zip(&overlap.first_in))
            .zip(&overlap.untold)
            .map(|((model, first_in), untold)| TargetReport {
                target: model.target.to_string(),
                provider: model.provider.to_string(),
                model: model.model.to_string(),
                old: 0.0,
                new: 0.0,
                first_in: *first_in,
                untold: *untold,
            })
            .collect();
        for choice in self.samples.iter().flat_map(|sample| &sample.choices) {
            if let Some(target) = targets.get_mut(choice.model) {
                target.old += choice.logged / count(self.samples.len());
                target.new += choice.new / count(self.samples.len());
            }
        }
        // The largest first, so that a screen shows what counts.
        targets.sort_by(|a, b| b.old.max(b.new).total_cmp(&a.old.max(a.new)));
        targets
    }

    /// Records whose cost lacks a part. Not those less the ones that an estimate is of: where the log cannot tell, there is none.
    fn unpriced(&self) -> usize {
        let is_unpriced = |sample: &&Sample| {
            let mut figures = METRICS.into_iter().zip(sample.figures);
            figures.any(|told| told == (Metric::Cost, Figure::Missing))
        };
        self.samples.iter().filter(is_unpriced).count()
    }

    fn warnings(&self, overlap: &Overlap, targets: &[TargetReport]) -> Vec<Warning> {
        let mut list = Warnings::default();
        list.of_overlap(overlap, targets, !self.samples.is_empty());
        for (unfit, count) in &self.unfit {
            let (code, words) = unfit.told();
            list.add(code, format!("{count} records are left out: {words}"));
        }
        let all = self.samples.len();
        if self.sticky > 0 {
            let (sticky, seeds) = (self.sticky, overlap.seeds);
            list.add("sticky", format!(
                "{sticky} of {all} records are sticky; all {all} together are {seeds} draws, and intervals count draws. Where \
                 shares hang on what a session did before, its later requests are told as if they did not"
            ));
        }
        if self.left > 0 {
            let left = self.left;
            list.add("client_gone", format!(
                "in {left} of {all} records the client left: they have a cost, but neither success nor time to the end"
            ));
        }
        for (target, count) in &self.repriced {
            list.add("cost_changed", format!(
                "the new config expects another cost of `{target}` in {count} of {all} records: costs here are what it cost then"
            ));
        }
        for (target, count) in &self.unknown_health {
            list.add("unknown_health", format!(
                "{count} of {all} records do not know `{target}`: its health is taken to be fresh"
            ));
        }
        if !self.not_recorded.is_empty() {
            let names: Vec<&str> = self.not_recorded.iter().map(String::as_str).collect();
            let names = names.get(..NAMES_MAX).unwrap_or(&names).join(", ");
            let unknown = match self.with_unknown_revision {
                0 => String::new(),
                count => format!(
                    "; the revision that decided is not at hand for {count}, see --revisions"
                ),
            };
            list.add("not_recorded", format!(
                "perhaps not in the log, and where it is not taken to be absent: {names}{unknown}"
            ));
        }
        let count = self.unpriced();
        if count > 0 {
            list.add("cost_unknown", format!(
                "{count} of {all} records have no known cost, for want of a price: cost is that of the others"
            ));
        }
        list.0
    }
}

impl Named {
    fn of(candidate: &Candidate) -> Self {
        Self {
            target: Arc::clone(&candidate.target),
            provider: Arc::clone(&candidate.provider),
            model: Arc::clone(&candidate.model),
        }
    }
}

#[derive(Default)]
struct Warnings(Vec<Warning>);

impl Warnings {
    fn add(&mut self, code: &'static str, message: String) {
        self.0.push(Warning { code, message });
    }

    fn of_overlap(&mut self, overlap: &Overlap, targets: &[TargetReport], has_samples: bool) {
        for target in targets.iter().filter(|target| target.untold >= UNTOLD_MIN) {
            let (share, name) = (percent(target.untold), &target.target);
            let why = match target.first_in {
                0 => "no record began with it".to_owned(),
                first_in if first_in < FIRST_MIN => {
                    format!("only {first_in} records began with it, where {FIRST_MIN} are needed")
                }
                _ => format!(
                    "for that part its recorded share was below {}",
                    percent(PROPENSITY_MIN)
                ),
            };
            self.add(
                "no_overlap",
                format!("{share} of the traffic would go to `{name}` and cannot be told: {why}"),
            );
        }
        if !has_samples {
            return;
        }
        if 1.0 - overlap.told >= UNTOLD_MIN {
            let (told, untold) = (percent(overlap.told), percent(1.0 - overlap.told));
            self.add("partial", format!(
                "estimates are of {told} of the traffic; of the other {untold} the log tells nothing"
            ));
        }
        if overlap.seeds < SEEDS_MIN {
            let seeds = overlap.seeds;
            self.add(
                "few_draws",
                format!("{seeds} draws in all, where {SEEDS_MIN} are needed for an interval"),
            );
        }
        if overlap.told > 0.0 && overlap.effective_sample < EFFECTIVE_MIN {
            self.add("small_sample", format!(
                "the weighted log is worth {:.0} equal exchanges: below {EFFECTIVE_MIN:.0} the intervals may be too narrow",
                overlap.effective_sample
            ));
        }
        if overlap.weight_max_share > WEIGHT_SHARE_MAX {
            self.add(
                "heavy_weight",
                format!(
                    "one exchange makes up {} of the weighted log, by a weight of {:.1}",
                    percent(overlap.weight_max_share),
                    overlap.weight_max
                ),
            );
        }
    }
}

impl Unfit {
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::NoRoute => ("no_route", "the config has no such route"),
            Self::NobodyThen => ("no_target_then", "no target was left for them"),
            Self::NobodyNow => ("no_target", "no target would be left for them"),
            Self::Trimmed => ("trimmed", "their candidates were cut to fit the queue"),
        }
    }
}
