//! The figures of a run, from what was counted.
//!
//! Requests belong to the second in which they came, however long their answers took. A share is that of first calls:
//! what the decision chose, before any failover. `docs/scale.md` says how each figure is to be read.

use serde::Serialize;

use super::fault::Fault;
use super::reaction::Reaction;
use super::real;
use super::scenario::Scenario;
use super::tally::{Second, Tally};
use super::tidings::Counts;
use crate::units::{Millis, UnixMillis};

/// A second with fewer first calls says nothing about shares.
pub(super) const CALLS_MIN: u32 = 10;
/// A swing below this has no period worth telling, ...
const SWING_MIN: f64 = 0.02;
/// ... nor has one that does not resemble itself this much.
const LIKENESS_MIN: f64 = 0.3;
const PERIOD_MAX: usize = 60;
/// The first rest of an ejected target: sooner after a probe no isolate that knows of it sends another.
const PROBE_GAP: Millis = Millis(2_000);

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub seed: u64,
    pub pops: usize,
    pub isolates: usize,
    pub requests: u64,
    /// The same as `requests`, or the simulator is wrong.
    pub ended: u64,
    pub whole: Phase,
    pub phases: Vec<Phase>,
    pub reactions: Vec<Reaction>,
    pub providers: Vec<ProviderFigures>,
    pub news: News,
    #[serde(skip)]
    pub tally: Tally,
}

/// What sharing what is known of targets has the platform do, on average.
#[derive(Debug, Serialize)]
pub(super) struct News {
    /// Messages to the queue.
    pub reports_per_s: f64,
    pub folds_per_s: f64,
    /// Rows of D1 that folds write.
    pub rows_per_s: f64,
    /// Entries, all together.
    pub kv_puts_per_s: f64,
    /// Those that no cache of a place answered.
    pub kv_reads_per_s: f64,
    /// All entries together, in the end.
    pub snapshot_bytes: usize,
    /// The largest of them, which is what an isolate reads.
    pub entry_bytes_max: usize,
}

impl News {
    fn of(counts: Counts, span: Millis) -> Self {
        let rate = |count: u64| rounded(real(count) / span.as_seconds());
        Self {
            reports_per_s: rate(counts.reports),
            folds_per_s: rate(counts.folds),
            rows_per_s: rate(counts.rows),
            kv_puts_per_s: rate(counts.puts),
            kv_reads_per_s: rate(counts.reads),
            snapshot_bytes: counts.edition_bytes,
            entry_bytes_max: counts.entry_bytes_max,
        }
    }
}

/// Figures of the requests that came within some time.
#[derive(Debug, Serialize)]
pub(super) struct Phase {
    pub from_s: f64,
    pub to_s: f64,
    pub requests: u64,
    /// The share that got a whole answer.
    pub completed: f64,
    /// The share whose answer broke off.
    pub cut: f64,
    /// Whole answers a second.
    pub goodput: f64,
    pub first_token_ms_p50: u32,
    pub first_token_ms_p99: u32,
    pub usd_per_1000: f64,
    pub calls_per_request: f64,
    pub targets: Vec<TargetFigures>,
}

/// A provider's share of first calls.
#[derive(Debug, Serialize)]
pub(super) struct TargetFigures {
    pub provider: String,
    pub share: f64,
    /// The standard deviation of the share from second to second, without that of the draw.
    pub swing: f64,
    /// After how many seconds the swing is most like itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_s: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct ProviderFigures {
    pub provider: String,
    pub calls: u64,
    /// The most calls at once, over what it can have.
    pub fullness_max: f64,
    /// By isolates' own judgement.
    pub ejections: u64,
    pub probes: u64,
    /// Calls though it was ejected: every other target had been tried, or was ejected as well.
    pub last_resorts: u64,
    /// While a fault of its own was there, else in all.
    pub probes_per_pop_minute: f64,
    /// The shortest time between two probes from one `PoP`.
    pub probe_gap_s_min: Option<f64>,
    /// Probes that came within [`PROBE_GAP`] of another one from the same `PoP`.
    pub probes_crowded: usize,
}

impl Outcome {
    pub fn of(scenario: &Scenario, tally: Tally, counts: Counts) -> Self {
        let whole_ms = scenario.duration;
        let mut edges = vec![Millis(0)];
        edges.extend(
            scenario
                .cuts
                .iter()
                .filter(|cut| cut.0 > 0 && **cut < whole_ms),
        );
        edges.push(whole_ms);
        edges.dedup();
        let spans = edges.iter().zip(edges.iter().skip(1));
        let phases: Vec<Phase> = spans
            .map(|(from, to)| Phase::of(&tally, *from, *to))
            .collect();
        let faults = scenario.faults.iter().enumerate();
        let reaction =
            |(place, fault): (usize, &Fault)| Reaction::of(scenario, &tally, place, fault);
        Self {
            seed: scenario.seed,
            pops: scenario.pops(),
            isolates: scenario.pops() * scenario.isolates_per_pop,
            requests: tally.begun,
            ended: tally.ended,
            whole: Phase::of(&tally, Millis(0), whole_ms),
            phases,
            reactions: faults.filter_map(reaction).collect(),
            providers: figures(scenario, &tally),
            news: News::of(counts, whole_ms),
            tally,
        }
    }

    /// The widest swing of any phase.
    pub fn swing_max(&self) -> f64 {
        let shares = self.phases.iter().flat_map(|phase| &phase.targets);
        shares.map(|share| share.swing).fold(0.0, f64::max)
    }
}

fn figures(scenario: &Scenario, tally: &Tally) -> Vec<ProviderFigures> {
    let figures = |(place, known): (usize, &super::tally::Provider)| {
        let own = scenario.faults.iter();
        let own = own.filter(|fault| fault.provider == Some(place));
        let sick: u64 = own.map(|fault| fault.lasts.0).sum();
        let time = if sick == 0 {
            scenario.duration
        } else {
            Millis(sick)
        };
        let pops = u64::try_from(scenario.pops()).unwrap_or(u64::MAX);
        let minutes = time.as_seconds() / 60.0;
        let probes = u64::try_from(known.probes.len()).unwrap_or(u64::MAX);
        let gaps = gaps(&known.probes);
        ProviderFigures {
            provider: known.name.clone(),
            calls: known.calls,
            fullness_max: rounded(known.fullness_max),
            ejections: known.ejections,
            probes,
            last_resorts: known.last_resorts,
            probes_per_pop_minute: rounded(real(probes) / real(pops) / minutes),
            probe_gap_s_min: gaps.iter().min().map(|gap| gap.as_seconds()),
            probes_crowded: gaps.iter().filter(|gap| **gap < PROBE_GAP).count(),
        }
    };
    tally.providers.iter().enumerate().map(figures).collect()
}

/// The times between probes from one `PoP`.
fn gaps(probes: &[(usize, UnixMillis)]) -> Vec<Millis> {
    let mut probes = probes.to_vec();
    probes.sort_unstable();
    let pairs = probes.iter().zip(probes.iter().skip(1));
    let gaps = pairs.filter(|((pop, _), (other, _))| pop == other);
    gaps.map(|((_, at), (_, next))| next.since(*at)).collect()
}

impl Phase {
    fn of(tally: &Tally, from: Millis, to: Millis) -> Self {
        let seconds = span(&tally.seconds, from, to);
        let sum = |count: fn(&Second) -> u32| -> u64 {
            seconds.iter().map(|second| u64::from(count(second))).sum()
        };
        let requests = sum(|second| second.begun);
        let completed = sum(|second| second.completed);
        let part = |count: u64| rounded(real(count) / real(requests.max(1)));
        let mut waits: Vec<u32> = seconds
            .iter()
            .flat_map(|second| second.first_tokens.iter().copied())
            .collect();
        waits.sort_unstable();
        let cost: f64 = seconds.iter().map(|second| second.micro_usd).sum();
        let length = Millis(to.0 - from.0).as_seconds();
        let share = |(place, known): (usize, &super::tally::Provider)| {
            let share_of = Series::of(seconds, place);
            TargetFigures {
                provider: known.name.clone(),
                share: rounded(share_of.mean),
                swing: rounded(share_of.swing()),
                period_s: share_of.period(),
            }
        };
        Self {
            from_s: from.as_seconds(),
            to_s: to.as_seconds(),
            requests,
            completed: part(completed),
            cut: part(sum(|second| second.cut)),
            goodput: rounded(real(completed) / length),
            first_token_ms_p50: quantile(&waits, 50),
            first_token_ms_p99: quantile(&waits, 99),
            usd_per_1000: rounded(cost / 1e3 / real(requests.max(1))),
            calls_per_request: part(sum(|second| second.calls)),
            targets: tally.providers.iter().enumerate().map(share).collect(),
        }
    }
}

/// A provider's share of first calls, second by second.
struct Series {
    shares: Vec<f64>,
    mean: f64,
    /// Of the draw alone.
    variance_of_draw: f64,
}

impl Series {
    fn of(seconds: &[Second], provider: usize) -> Self {
        let (mut shares, mut of_draw) = (Vec::new(), 0.0);
        let (mut all, mut there) = (0, 0);
        for second in seconds {
            let total: u32 = second.first_calls.iter().sum();
            let own = second.first_calls.get(provider).copied().unwrap_or(0);
            all += u64::from(total);
            there += u64::from(own);
            if total >= CALLS_MIN {
                let share = f64::from(own) / f64::from(total);
                of_draw += share * (1.0 - share) / f64::from(total - 1);
                shares.push(share);
            }
        }
        let count = real(u64::try_from(shares.len()).unwrap_or(u64::MAX)).max(1.0);
        Self {
            shares,
            mean: real(there) / real(all.max(1)),
            variance_of_draw: of_draw / count,
        }
    }

    fn variance(&self) -> f64 {
        self.likeness(0)
    }

    fn swing(&self) -> f64 {
        libm::sqrt((self.variance() - self.variance_of_draw).max(0.0))
    }

    /// The mean product of distances from the mean, so many seconds apart.
    fn likeness(&self, lag: usize) -> f64 {
        let count = real(u64::try_from(self.shares.len()).unwrap_or(u64::MAX)).max(1.0);
        let mean = self.shares.iter().sum::<f64>() / count;
        let pairs = self.shares.iter().zip(self.shares.iter().skip(lag));
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / count
    }

    /// The lag of the first hump of the autocorrelation that stands out.
    fn period(&self) -> Option<usize> {
        if self.swing() < SWING_MIN {
            return None;
        }
        let longest = PERIOD_MAX.min(self.shares.len() / 3);
        let variance = self.variance();
        let likeness: Vec<f64> = (0..=longest + 1)
            .map(|lag| self.likeness(lag) / variance)
            .collect();
        let is_hump = |lag: &usize| {
            let at = |lag: usize| likeness.get(lag).copied().unwrap_or_default();
            let (before, here, after) = (at(lag - 1), at(*lag), at(lag + 1));
            here >= LIKENESS_MIN && here > before && here >= after
        };
        (2..=longest).find(is_hump)
    }
}

fn quantile(sorted: &[u32], percent: usize) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

/// The seconds that begin within some time.
fn span(seconds: &[Second], from: Millis, to: Millis) -> &[Second] {
    let end = second(to).min(seconds.len());
    seconds.get(second(from).min(end)..end).unwrap_or_default()
}

pub(super) fn second(at: Millis) -> usize {
    usize::try_from(at.0 / 1_000).unwrap_or(usize::MAX)
}

/// To four digits after the point: what is beyond is chance.
pub(super) fn rounded(figure: f64) -> f64 {
    libm::round(figure * 1e4) / 1e4
}
