//! What all isolates together know: one digest for each target and `PoP`, folded by one consumer.
//!
//! Folding a report adds its digests to those of its `PoP`, both decayed to the same instant; that commutes, so the
//! order of delivery never matters. A queue delivers at least once, so the snapshot remembers, for each sender, which
//! of its last 64 reports are in it, and a report that comes again changes nothing. What is older than
//! [`REPORT_LIFETIME`] is not folded at all; so senders may be forgotten after it.
//!
//! Here is also what a `PoP` may believe of the others. Figures travel as they are, as priors (`Health::take_snapshot`).
//! An ejection travels only where others agree: two `PoP`s of the own region, or two regions of the world, and more than
//! say otherwise. A brown-out seen from Frankfurt ejects nothing in Tokyo.
//!
//! Not here: who stores it, and how often (`edge/`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::report::{REPORT_VERSION, Report, Told};
use crate::units::{Millis, UnixMillis};

/// Targets of a snapshot, and cells (a target at a `PoP`). With 130 bytes a cell that is some 270 KB, which an isolate
/// reads in a few milliseconds; ten targets at thirty `PoP`s have 40 KB. Beyond it, what has the least evidence goes.
pub const SNAPSHOT_TARGETS_MAX: usize = 512;
pub const SNAPSHOT_CELLS_MAX: usize = 2_048;
/// Senders that are remembered. Beyond it the one heard of longest ago is forgotten, and a report of its that then came
/// twice would count twice.
pub const SENDERS_MAX: usize = 1_024;
/// A report older than this is not folded: twenty half-lives on, it says nothing.
pub const REPORT_LIFETIME: Millis = Millis(600_000);
/// How long a `PoP`'s ejection counts for others, beyond its own rest. An ejected target is probed more often than this.
const VERDICT_LIFETIME: Millis = Millis(60_000);
/// Recent attempts from which on a `PoP` that has not ejected a target speaks for it.
const WITNESS_ATTEMPTS_MIN: f64 = 1.0;

/// What is known of all targets, everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    /// The instant to which all digests are decayed.
    pub at: UnixMillis,
    /// Counts the folds.
    pub number: u64,
    /// The region of each `PoP`, as its last report says.
    pops: BTreeMap<String, String>,
    /// By target and `PoP`.
    targets: BTreeMap<String, BTreeMap<String, Told>>,
    senders: BTreeMap<String, Heard>,
}

/// Which reports of one sender are in the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Heard {
    /// The highest number.
    last: u64,
    /// Bit `n` stands for the number `last - n`.
    seen: u64,
    at: UnixMillis,
}

impl Snapshot {
    /// Reads a snapshot; none where it is none.
    #[must_use]
    pub fn parse(text: &str, now: UnixMillis) -> Option<Self> {
        let mut snapshot: Self = serde_json::from_str(text).ok()?;
        if snapshot.v != REPORT_VERSION {
            return None;
        }
        snapshot.at = snapshot.at.min(now);
        let at = snapshot.at;
        for told in snapshot.targets.values_mut().flat_map(BTreeMap::values_mut) {
            told.date(at, now);
        }
        Some(snapshot)
    }

    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds what the reports say, and says how many of them were new.
    pub fn fold(&mut self, reports: &[Report], now: UnixMillis) -> usize {
        self.v = REPORT_VERSION;
        self.decay(now);
        let mut folded = 0;
        for report in reports {
            if now.since(report.at) < REPORT_LIFETIME && self.note(report) {
                self.add(report, now);
                folded += 1;
            }
        }
        self.number = self.number.saturating_add(1);
        self.forget(now);
        folded
    }

    /// Whether the report of this sender and number is in the snapshot.
    #[must_use]
    pub fn has(&self, sender: &str, number: u64) -> bool {
        self.senders
            .get(sender)
            .is_some_and(|heard| heard.has(number))
    }

    /// Everything that is known of a target, by `PoP`.
    pub fn cells(&self, target: &str) -> impl Iterator<Item = (&str, &Told)> {
        let cells = self.targets.get(target).into_iter().flatten();
        cells.map(|(pop, told)| (pop.as_str(), told))
    }

    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

    /// What the other `PoP`s of the region know of a target, and what all other regions know.
    #[must_use]
    pub fn beyond(&self, target: &str, pop: &str, region: &str) -> (Digest, Digest) {
        let mut sums = (Digest::default(), Digest::default());
        for (there, told) in self.cells(target).filter(|(there, _)| *there != pop) {
            let sum = if self.region_of(there) == region {
                &mut sums.0
            } else {
                &mut sums.1
            };
            *sum = sum.merged(told.digest);
        }
        sums
    }

    /// Since when the others agree that a target is down, as seen from a `PoP`; none where they do not.
    #[must_use]
    pub fn condemned(&self, target: &str, pop: &str, region: &str) -> Option<UnixMillis> {
        let mut votes: BTreeMap<&str, Votes> = BTreeMap::new();
        for (there, told) in self.cells(target).filter(|(there, _)| *there != pop) {
            let votes = votes.entry(self.region_of(there)).or_default();
            votes.count(told, self.at);
        }
        let newest =
            |votes: &BTreeMap<&str, Votes>| votes.values().filter_map(|votes| votes.since).max();
        if let Some(near) = votes.get(region) {
            if near.speak_for() {
                return None;
            }
            if near.against >= 2 && near.speak_against() {
                return near.since;
            }
        }
        let against = votes.values().filter(|votes| votes.speak_against()).count();
        let others = votes.values().filter(|votes| votes.speak_for()).count();
        (against >= 2 && against > others)
            .then(|| newest(&votes))
            .flatten()
    }

    fn region_of(&self, pop: &str) -> &str {
        self.pops.get(pop).map_or("", String::as_str)
    }

    fn decay(&mut self, now: UnixMillis) {
        for told in self.targets.values_mut().flat_map(BTreeMap::values_mut) {
            told.digest = told.digest.decayed(now);
        }
        self.at = self.at.max(now);
    }

    /// Whether the report is new; it counts as known from now on.
    fn note(&mut self, report: &Report) -> bool {
        let heard = self.senders.entry(report.sender.clone()).or_default();
        let is_new = heard.note(report.number);
        heard.at = heard.at.max(report.at);
        is_new
    }

    fn add(&mut self, report: &Report, now: UnixMillis) {
        self.pops.insert(report.pop.clone(), report.region.clone());
        for (target, told) in &report.targets {
            let cells = self.targets.entry(target.clone()).or_default();
            let cell = cells.entry(report.pop.clone()).or_default();
            *cell = cell.merged(*told);
            cell.digest = cell.digest.decayed(now);
        }
    }

    /// Drops what says nothing any more, and what is too much.
    fn forget(&mut self, now: UnixMillis) {
        self.senders
            .retain(|_, heard| now.since(heard.at) < REPORT_LIFETIME);
        while self.senders.len() > SENDERS_MAX {
            let oldest = self.senders.iter().min_by_key(|(_, heard)| heard.at);
            let Some(sender) = oldest.map(|(sender, _)| sender.clone()) else {
                break;
            };
            self.senders.remove(&sender);
        }
        for cells in self.targets.values_mut() {
            cells.retain(|_, told| !told.digest.is_faint() || told.condemns(now));
        }
        self.targets.retain(|_, cells| !cells.is_empty());
        self.drop_least_known();
        let known = &self.targets;
        self.pops
            .retain(|pop, _| known.values().any(|cells| cells.contains_key(pop)));
    }

    fn drop_least_known(&mut self) {
        let cells = || {
            self.targets.iter().flat_map(|(target, cells)| {
                cells
                    .iter()
                    .map(move |(pop, told)| (told.digest.attempts, target, pop))
            })
        };
        let mut totals: Vec<(f64, &String)> = self
            .targets
            .iter()
            .map(|(target, cells)| {
                (
                    cells.values().map(|told| told.digest.attempts).sum(),
                    target,
                )
            })
            .collect();
        totals.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let targets: Vec<String> = totals
            .into_iter()
            .skip(SNAPSHOT_TARGETS_MAX)
            .map(|(_, target)| target.clone())
            .collect();
        let mut least: Vec<_> = cells().collect();
        least.sort_by(|a, b| {
            b.0.total_cmp(&a.0)
                .then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
        });
        let excess: Vec<(String, String)> = least
            .into_iter()
            .skip(SNAPSHOT_CELLS_MAX)
            .map(|(_, target, pop)| (target.clone(), pop.clone()))
            .collect();
        for target in targets {
            self.targets.remove(&target);
        }
        for (target, pop) in excess {
            if let Some(cells) = self.targets.get_mut(&target) {
                cells.remove(&pop);
            }
        }
        self.targets.retain(|_, cells| !cells.is_empty());
    }
}

impl Heard {
    fn has(&self, number: u64) -> bool {
        let bit = self.last.checked_sub(number);
        bit.is_some_and(|bit| bit >= 64 || (self.seen >> bit) & 1 == 1)
    }

    /// A number that is too old to tell counts as known: better one report lost than one counted twice.
    fn note(&mut self, number: u64) -> bool {
        if self.seen != 0 && self.has(number) {
            return false;
        }
        if self.seen == 0 || number > self.last {
            let ahead = number - self.last.min(number);
            let kept = u32::try_from(ahead)
                .ok()
                .and_then(|n| self.seen.checked_shl(n));
            self.seen = kept.unwrap_or(0) | 1;
            self.last = number;
        } else {
            self.seen |= 1 << (self.last - number);
        }
        true
    }
}

impl Told {
    /// Whether it says that the target is down.
    fn condemns(&self, now: UnixMillis) -> bool {
        self.verdict.is_some_and(|verdict| {
            let is_fresh = now.since(verdict.at) < VERDICT_LIFETIME;
            verdict
                .state
                .until()
                .is_some_and(|until| is_fresh || until > now)
        })
    }
}

/// What the `PoP`s of one region say of one target.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    against: u32,
    others: u32,
    /// The newest word against it.
    since: Option<UnixMillis>,
}

impl Votes {
    fn count(&mut self, told: &Told, at: UnixMillis) {
        if told.condemns(at) {
            self.against += 1;
            self.since = self.since.max(told.verdict.map(|verdict| verdict.at));
        } else if told.digest.attempts >= WITNESS_ATTEMPTS_MIN {
            self.others += 1;
        }
    }

    fn speak_against(self) -> bool {
        self.against > self.others
    }

    fn speak_for(self) -> bool {
        self.others > 0 && self.others >= self.against
    }
}
