//! How an isolate shares what it knows: reports out, places and snapshots in.
//!
//! Pure bookkeeping: when the next report is due, which of its own are in a snapshot already, and who else is alive in
//! the `PoP`. The edge carries the texts. Whatever it cannot carry is lost, and nobody waits for it: a report's digests
//! fade within a minute, and the next report has the verdicts again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::digest::Digest;
use super::place::Place;
use super::report::{
    REPORT_TARGETS_MAX, REPORT_VERSION, Report, TARGET_NAME_BYTES_MAX, Told, report_due,
};
use super::snapshot::Snapshot;
use super::standing::{FAR_WEIGHT_MAX, Standing, Turns};
use super::{ENTRIES_MAX, Health};
use crate::units::{Millis, UnixMillis};

/// Own reports that are remembered, to be taken out of a snapshot that has them. The older ones have faded.
const SENT_MAX: usize = 64;
/// A `PoP`'s entry that was read longer ago does not count; the snapshot's row does.
const PLACE_FRESH: Millis = Millis(15_000);
/// An isolate that has told nothing for this long takes no turn at probing.
const PEER_LIFETIME: Millis = Millis(10_000);

/// Where an isolate is, and what it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Random, drawn when the isolate starts.
    pub isolate: String,
    /// The airport code of the data centre.
    pub pop: String,
    /// The continent.
    pub region: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Sharing {
    here: Here,
    /// Of the last report.
    number: u64,
    reported_at: UnixMillis,
    sent: VecDeque<Report>,
    /// Isolates of the `PoP` that are alive.
    peers: Vec<String>,
    place_read_at: UnixMillis,
}

impl Sharing {
    pub(super) fn turns<'a>(&'a self, target: &'a str) -> Turns<'a> {
        Turns {
            target,
            own: &self.here.isolate,
            peers: &self.peers,
        }
    }
}

impl Health {
    /// Says who and where this isolate is. Before that it reports nothing.
    pub fn settle(&mut self, here: Here) {
        self.sharing.here = here;
    }

    #[must_use]
    pub fn here(&self) -> Option<&Here> {
        let here = &self.sharing.here;
        (!here.isolate.is_empty()).then_some(here)
    }

    /// When the next report is due; never while there is nothing to tell.
    #[must_use]
    pub fn report_due(&self) -> Option<UnixMillis> {
        let here = self.here()?;
        if !self.targets.values().any(Standing::has_news) {
            return None;
        }
        let seed = xxh3_64(here.isolate.as_bytes());
        let Sharing {
            number,
            reported_at,
            ..
        } = self.sharing;
        let regular = report_due(reported_at, number, false, seed);
        let urgent = self.targets.values().filter_map(Standing::urgent_since);
        let urgent = urgent
            .min()
            .map(|since| report_due(since, number, true, seed));
        Some(urgent.map_or(regular, |urgent| urgent.min(regular)))
    }

    /// What was observed since the last report, for the queue, and all that is known, for the `PoP`. None where there is
    /// nothing to tell.
    pub fn report(&mut self, now: UnixMillis) -> Option<(Report, Report)> {
        let here = self.here()?.clone();
        let mut news: Vec<&String> = self
            .targets
            .iter()
            .filter(|(target, known)| known.has_news() && target.len() <= TARGET_NAME_BYTES_MAX)
            .map(|(target, _)| target)
            .collect();
        if news.is_empty() {
            return None;
        }
        news.truncate(REPORT_TARGETS_MAX);
        let news: Vec<String> = news.into_iter().cloned().collect();
        self.sharing.number += 1;
        self.sharing.reported_at = now;
        let mut fresh = self.empty_report(&here, now);
        for target in news {
            if let Some(standing) = self.targets.get_mut(&target) {
                fresh.targets.insert(target, standing.take_unreported(now));
            }
        }
        self.sharing.sent.push_back(fresh.clone());
        if self.sharing.sent.len() > SENT_MAX {
            self.sharing.sent.pop_front();
        }
        let mut whole = self.empty_report(&here, now);
        whole.targets = self.known_targets(now);
        Some((fresh, whole))
    }

    fn empty_report(&self, here: &Here, now: UnixMillis) -> Report {
        Report {
            v: REPORT_VERSION,
            sender: here.isolate.clone(),
            number: self.sharing.number,
            at: now,
            pop: here.pop.clone(),
            region: here.region.clone(),
            targets: BTreeMap::new(),
        }
    }

    /// The targets of which this isolate knows most, as it would tell them.
    fn known_targets(&self, now: UnixMillis) -> BTreeMap<String, Told> {
        let told = self
            .targets
            .iter()
            .filter(|(target, _)| target.len() <= TARGET_NAME_BYTES_MAX)
            .map(|(target, standing)| (target.clone(), standing.told(now)));
        let is_resting = |told: &Told| {
            let verdict = told.verdict;
            verdict.is_some_and(|verdict| verdict.state.until().is_some())
        };
        let mut told: Vec<(String, Told)> = told
            .filter(|(_, told)| !told.digest.is_faint() || is_resting(told))
            .collect();
        told.sort_by(|a, b| b.1.digest.attempts.total_cmp(&a.1.digest.attempts));
        told.truncate(REPORT_TARGETS_MAX);
        told.into_iter().collect()
    }

    /// Takes what the `PoP`'s other isolates tell.
    pub fn take_place(&mut self, place: &Place, now: UnixMillis) {
        let own = self.sharing.here.isolate.clone();
        let mut sums: BTreeMap<&str, Told> = BTreeMap::new();
        let others = || {
            place
                .isolates()
                .iter()
                .filter(|report| report.sender != own)
        };
        for report in others() {
            for (target, told) in &report.targets {
                let sum = sums.entry(target).or_default();
                *sum = sum.merged(*told);
            }
        }
        for target in sums.keys() {
            self.know(target);
        }
        for (target, standing) in &mut self.targets {
            standing.take_pop(sums.get(target.as_str()).copied().unwrap_or_default());
        }
        let is_alive = |report: &&Report| now.since(report.at) < PEER_LIFETIME;
        let alive = others().filter(is_alive);
        self.sharing.peers = alive.map(|report| report.sender.clone()).collect();
        self.sharing.place_read_at = now;
    }

    /// Takes what all `PoP`s know.
    pub fn take_snapshot(&mut self, snapshot: &Snapshot, now: UnixMillis) {
        let Here { pop, region, .. } = self.sharing.here.clone();
        let names: BTreeSet<&str> = snapshot.targets().collect();
        for target in &names {
            self.know(target);
        }
        let is_place_fresh =
            self.sharing.place_read_at.0 > 0 && now.since(self.sharing.place_read_at) < PLACE_FRESH;
        let rest_of_pop = (!is_place_fresh).then(|| self.rest_of_pop(snapshot));
        if !is_place_fresh {
            self.sharing.peers.clear();
        }
        for (target, standing) in &mut self.targets {
            let (near, world) = snapshot.beyond(target, &pop, &region);
            let far = near.merged(world.capped(FAR_WEIGHT_MAX));
            let condemned = snapshot.condemned(target, &pop, &region);
            if let Some(rest) = &rest_of_pop {
                standing.take_pop_figures(rest.get(target).copied().unwrap_or_default());
            }
            standing.take_far(far.capped(FAR_WEIGHT_MAX), condemned, now);
        }
    }

    /// The `PoP`'s own row of a snapshot, without what this isolate has put there itself.
    fn rest_of_pop(&self, snapshot: &Snapshot) -> BTreeMap<String, Digest> {
        let here = &self.sharing.here;
        let mut rest: BTreeMap<String, Digest> = BTreeMap::new();
        for target in snapshot.targets() {
            let row = snapshot.cells(target).find(|(pop, _)| *pop == here.pop);
            if let Some((_, told)) = row {
                rest.insert(target.to_owned(), told.digest);
            }
        }
        let own = self.sharing.sent.iter();
        for report in own.filter(|report| snapshot.has(&here.isolate, report.number)) {
            for (target, told) in &report.targets {
                if let Some(rest) = rest.get_mut(target) {
                    *rest = rest.without(told.digest);
                }
            }
        }
        rest
    }

    /// Makes a place for a target that others know, while there is one.
    fn know(&mut self, target: &str) {
        if !self.targets.contains_key(target) && self.targets.len() < ENTRIES_MAX {
            self.targets.insert(target.to_owned(), Standing::default());
        }
    }
}
