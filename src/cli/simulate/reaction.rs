//! How a fault was met: when traffic left, who came to know of it, and when traffic came back.

use serde::Serialize;

use super::fault::Fault;
use super::outcome::{CALLS_MIN, rounded, second};
use super::real;
use super::scenario::Scenario;
use super::tally::{Known, Tally};
use super::world::START;

/// Below this share of first calls a target counts as left.
const SHARE_LEFT: f64 = 0.05;
/// Seconds over which a share is taken.
const WINDOW: usize = 5;
/// How much of what came before a fault says what a share usually is.
const USUAL: usize = 60;

/// How a fault was met. Times are seconds from its beginning; absent where it never came to that.
#[derive(Debug, Serialize)]
pub(super) struct Reaction {
    pub what: &'static str,
    pub provider: String,
    /// Until the provider's share, where the fault is seen, was below a twentieth.
    pub traffic_s: Option<f64>,
    /// Until a `PoP`'s first isolate took the target for ejected: the median of `PoP`s.
    pub isolate_s: Option<f64>,
    /// Until all of a `PoP`'s isolates did: the median of `PoP`s.
    pub pop_s: Option<f64>,
    /// Until nine in ten isolates did where the fault is seen, ...
    pub region_s: Option<f64>,
    /// ... and everywhere.
    pub world_s: Option<f64>,
    /// From the end of the fault until the share was half of what it had been.
    pub back_s: Option<f64>,
}

impl Reaction {
    pub fn of(scenario: &Scenario, tally: &Tally, place: usize, fault: &Fault) -> Option<Self> {
        let provider = scenario.providers.get(fault.provider?)?;
        let watched = tally.watched.get(place)?;
        let start = second(fault.from);
        let end = second(fault.until().min(scenario.duration));
        let share = |from: usize| share_of(watched, from, from + WINDOW);
        let is_left = |from: &usize| share(*from).is_some_and(|share| share < SHARE_LEFT);
        let traffic = (start..end).find(is_left).map(|at| at - start);
        let usual = share_of(watched, start.saturating_sub(USUAL), start);
        let is_back = |from: &usize| {
            let usual = usual.unwrap_or_default();
            usual > 0.0 && share(*from).is_some_and(|share| share >= usual / 2.0)
        };
        let last = second(scenario.duration).saturating_sub(WINDOW);
        let back = (end..last).find(is_back).map(|at| at - end);
        let told = Told::of(tally, place, fault);
        let whole = |seconds: usize| real(u64::try_from(seconds).unwrap_or(u64::MAX));
        Some(Self {
            what: fault.what.name(),
            provider: provider.name.clone(),
            traffic_s: traffic.map(whole),
            isolate_s: told.first_of_pops(),
            pop_s: told.last_of_pops(),
            region_s: told.of_nine_in_ten(|known| fault.is_for(known.from)),
            world_s: told.of_nine_in_ten(|_| true),
            back_s: back.map(whole),
        })
    }
}

/// Who came to know of one fault, and when.
struct Told<'a> {
    fault: &'a Fault,
    /// The seconds that it took, of each isolate that was there and served.
    isolates: Vec<(&'a Known, Option<f64>)>,
}

impl<'a> Told<'a> {
    fn of(tally: &'a Tally, place: usize, fault: &'a Fault) -> Self {
        let start = START + fault.from;
        let told = |known: &'a Known| {
            let (has_served, first) = known.of.get(place)?;
            let is_one = *has_served && known.born_at <= start;
            let took = first.map(|first| first.since(start).as_seconds());
            is_one.then_some((known, took))
        };
        Self {
            fault,
            isolates: tally.isolates.iter().filter_map(told).collect(),
        }
    }

    /// The times of a `PoP`'s isolates, for each `PoP` where the fault is seen.
    fn pops(&self) -> Vec<Vec<Option<f64>>> {
        let mut pops: Vec<(usize, Vec<Option<f64>>)> = Vec::new();
        for (known, took) in &self.isolates {
            if !self.fault.is_for(known.from) {
                continue;
            }
            match pops.iter_mut().find(|(pop, _)| *pop == known.pop) {
                Some((_, times)) => times.push(*took),
                None => pops.push((known.pop, vec![*took])),
            }
        }
        pops.into_iter().map(|(_, times)| times).collect()
    }

    fn first_of_pops(&self) -> Option<f64> {
        let pops = self.pops();
        quantile_of(
            pops.iter()
                .map(|times| quantile_of(times.iter().copied(), 0)),
            50,
        )
    }

    fn last_of_pops(&self) -> Option<f64> {
        let pops = self.pops();
        quantile_of(
            pops.iter()
                .map(|times| quantile_of(times.iter().copied(), 100)),
            50,
        )
    }

    fn of_nine_in_ten(&self, is_meant: impl Fn(&Known) -> bool) -> Option<f64> {
        let meant = self.isolates.iter().filter(|(known, _)| is_meant(known));
        quantile_of(meant.map(|(_, took)| *took), 90)
    }
}

/// The `percent`th of times in order; those that never came are the longest.
fn quantile_of(times: impl Iterator<Item = Option<f64>>, percent: usize) -> Option<f64> {
    let mut times: Vec<f64> = times.map(|time| time.unwrap_or(f64::INFINITY)).collect();
    times.sort_unstable_by(f64::total_cmp);
    let last = times.len().checked_sub(1)?;
    let time = times.get((last * percent).div_ceil(100)).copied()?;
    time.is_finite().then(|| rounded(time))
}

/// The share of the first calls of some seconds; none where there were too few.
fn share_of(watched: &[(u32, u32)], from: usize, to: usize) -> Option<f64> {
    let span = watched.get(from..to.min(watched.len()))?;
    let all: u64 = span.iter().map(|(all, _)| u64::from(*all)).sum();
    let there: u64 = span.iter().map(|(_, there)| u64::from(*there)).sum();
    (all >= u64::from(CALLS_MIN)).then(|| real(there) / real(all))
}
