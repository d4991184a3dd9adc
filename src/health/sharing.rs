//! How an isolate shares what it knows: reports out, places and snapshots in.
//!
//! Pure bookkeeping: when the next report is due, which of its own are in a snapshot already, and who else is alive in
//! the `PoP`. The edge carries the texts. Whatever it cannot carry is lost, and nobody waits for it: a report's digests
//! fade within a minute, and the next report has the verdicts again.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::report::{
    REPORT_TARGETS_MAX, REPORT_VERSION, Report, TARGET_NAME_BYTES_MAX, Tidings, Told,
    keep_best_known, report_due,
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
    /// Whether there is anything to report, and since when it is urgent.
    has_news: bool,
    urgent_since: Option<UnixMillis>,
}

impl Sharing {
    /// Takes note of what an observation has left to report.
    pub(super) fn note(&mut self, standing: &Standing) {
        self.has_news |= standing.has_news();
        self.urgent_since = match (self.urgent_since, standing.urgent_since()) {
            (Some(since), Some(other)) => Some(since.min(other)),
            (since, other) => since.or(other),
        };
    }

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
        let Sharing {
            number,
            reported_at,
            urgent_since,
            ..
        } = self.sharing;
        if !self.sharing.has_news {
            return None;
        }
        let seed = xxh3_64(here.isolate.as_bytes());
        let regular = report_due(reported_at, number, false, seed);
        let urgent = urgent_since.map(|since| report_due(since, number, true, seed));
        Some(urgent.map_or(regular, |urgent| urgent.min(regular)))
    }

    /// What was observed since the last report, for the queue, and all that is known, for the `PoP`. None where there is
    /// nothing to tell.
    pub fn report(&mut self, now: UnixMillis) -> Option<(Report, Report)> {
        let here = self.here()?.clone();
        self.sharing.has_news = false;
        self.sharing.urgent_since = None;
        let mut fresh = Tidings::new();
        for (target, standing) in &mut self.targets {
            if standing.has_news() && target.len() <= TARGET_NAME_BYTES_MAX {
                if fresh.len() >= REPORT_TARGETS_MAX {
                    self.sharing.has_news = true;
                    break;
                }
                fresh.insert(target.clone(), standing.take_unreported(now));
            }
        }
        if fresh.is_empty() {
            return None;
        }
        self.sharing.number += 1;
        self.sharing.reported_at = now;
        let fresh = Report {
            targets: fresh,
            ..self.empty_report(&here, now)
        };
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
            targets: Tidings::new(),
        }
    }

    /// The targets of which this isolate knows most, as it would tell them.
    fn known_targets(&self, now: UnixMillis) -> Tidings {
        let is_resting = |told: &Told| {
            let verdict = told.verdict;
            verdict.is_some_and(|verdict| verdict.state.until().is_some())
        };
        let mut told = Tidings::new();
        for (target, standing) in &self.targets {
            let it = standing.told(now);
            let is_telling = !it.digest.is_faint() || is_resting(&it);
            if is_telling && target.len() <= TARGET_NAME_BYTES_MAX {
                told.insert(target.clone(), it);
            }
        }
        keep_best_known(&mut told, REPORT_TARGETS_MAX);
        told
    }

    /// Takes what the `PoP`'s other isolates tell.
    pub fn take_place(&mut self, place: &Place, now: UnixMillis) {
        let own = self.sharing.here.isolate.clone();
        let mut sums = Tidings::new();
        let others = || {
            place
                .isolates()
                .iter()
                .filter(|report| report.sender != own)
        };
        for report in others() {
            for (target, told) in &report.targets {
                let sum = sums.entry(target.clone()).or_default();
                *sum = sum.merged(*told);
            }
        }
        for target in sums.keys() {
            self.know(target);
        }
        for (target, standing) in &mut self.targets {
            standing.take_pop(sums.get(target).copied().unwrap_or_default());
        }
        let is_alive = |report: &&Report| now.since(report.at) < PEER_LIFETIME;
        let alive = others().filter(is_alive);
        self.sharing.peers = alive.map(|report| report.sender.clone()).collect();
        self.sharing.place_read_at = now;
    }

    /// Takes what all `PoP`s know.
    pub fn take_snapshot(&mut self, snapshot: &Snapshot, now: UnixMillis) {
        let Here { pop, region, .. } = self.sharing.here.clone();
        for target in snapshot.targets() {
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
                standing.take_pop_figures(rest.get(target).copied().unwrap_or_default().digest);
            }
            standing.take_far(far.capped(FAR_WEIGHT_MAX), condemned, now);
        }
    }

    /// The `PoP`'s own row of a snapshot, without what this isolate has put there itself.
    fn rest_of_pop(&self, snapshot: &Snapshot) -> Tidings {
        let here = &self.sharing.here;
        let row = snapshot.at_pop(&here.pop);
        let mut rest: Tidings = row
            .map(|(target, told)| (target.to_owned(), *told))
            .collect();
        let own = self.sharing.sent.iter();
        for report in own.filter(|report| snapshot.has(&here.isolate, report.number)) {
            for (target, told) in &report.targets {
                if let Some(rest) = rest.get_mut(target) {
                    rest.digest = rest.digest.without(told.digest);
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
