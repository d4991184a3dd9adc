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

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::report::{REPORT_VERSION, Report, Tidings, Told, keep_best_known};
use crate::units::{Millis, UnixMillis};

/// Cells of a snapshot: a target at a `PoP`. With 130 bytes a cell that is some 270 KB, which an isolate
/// reads in a few milliseconds; ten targets at thirty `PoP`s have 40 KB. Beyond it, what has the least evidence goes.
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
    /// Each `PoP` with its region, as its last report says; in the order of the `PoP`s.
    pops: Vec<(String, String)>,
    /// By target and `PoP`, with [`BETWEEN`] between them.
    cells: Tidings,
    /// In the order of their names.
    senders: Vec<Heard>,
}

/// Stands in no name of a model that a provider has, and in no airport code.
const BETWEEN: char = '\n';

/// Which reports of one sender are in the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "HeardWire", into = "HeardWire")]
struct Heard {
    sender: String,
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
        if !snapshot.is_ordered() {
            return None;
        }
        let at = snapshot.at;
        for told in snapshot.cells.values_mut() {
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
        let place = self.place_of(sender).ok();
        let heard = place.and_then(|place| self.senders.get(place));
        heard.is_some_and(|heard| heard.has(number))
    }

    /// Everything that is known of a target, by `PoP`.
    pub fn cells(&self, target: &str) -> impl Iterator<Item = (&str, &Told)> {
        let cells = self.cells.range(format!("{target}{BETWEEN}")..);
        cells.map_while(move |(cell, told)| {
            let pop = cell.strip_prefix(target)?.strip_prefix(BETWEEN)?;
            Some((pop, told))
        })
    }

    /// The targets in the order of their names; one at many `PoP`s comes as often.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let target = |cell: &'_ String| cell.split_once(BETWEEN).map(|(target, _)| target.len());
        self.cells
            .keys()
            .filter_map(move |cell| cell.get(..target(cell)?))
    }

    /// What is known at one `PoP`, by target.
    pub fn at_pop(&self, pop: &str) -> impl Iterator<Item = (&str, &Told)> {
        self.cells.iter().filter_map(move |(cell, told)| {
            let (target, there) = cell.rsplit_once(BETWEEN)?;
            (there == pop).then_some((target, told))
        })
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
        let mut votes: Vec<(&str, Votes)> = Vec::new();
        for (there, told) in self.cells(target).filter(|(there, _)| *there != pop) {
            let there = self.region_of(there);
            let place = votes.iter().position(|(region, _)| *region == there);
            let place = place.unwrap_or_else(|| {
                votes.push((there, Votes::default()));
                votes.len() - 1
            });
            if let Some((_, votes)) = votes.get_mut(place) {
                votes.count(told, self.at);
            }
        }
        if let Some((_, near)) = votes.iter().find(|(there, _)| *there == region) {
            if near.speak_for() {
                return None;
            }
            if near.against >= 2 && near.speak_against() {
                return near.since;
            }
        }
        let against = votes.iter().filter(|(_, votes)| votes.speak_against());
        let others = votes.iter().filter(|(_, votes)| votes.speak_for());
        let (against, others) = (against.count(), others.count());
        let newest = votes.iter().filter_map(|(_, votes)| votes.since).max();
        newest.filter(|_| against >= 2 && against > others)
    }

    fn region_of(&self, pop: &str) -> &str {
        let place = self
            .pops
            .binary_search_by(|(known, _)| known.as_str().cmp(pop));
        let known = place.ok().and_then(|place| self.pops.get(place));
        known.map_or("", |(_, region)| region)
    }

    /// The place of a sender, or where its place would be.
    fn place_of(&self, sender: &str) -> Result<usize, usize> {
        self.senders
            .binary_search_by(|heard| heard.sender.as_str().cmp(sender))
    }

    /// Whether what is looked up by its order is in order; a snapshot that anything else has written may not be.
    fn is_ordered(&self) -> bool {
        self.pops.is_sorted()
            && self
                .senders
                .is_sorted_by(|one, next| one.sender <= next.sender)
    }

    fn decay(&mut self, now: UnixMillis) {
        for told in self.cells.values_mut() {
            told.digest = told.digest.decayed(now);
        }
        self.at = self.at.max(now);
    }

    /// Whether the report is new; it counts as known from now on.
    fn note(&mut self, report: &Report) -> bool {
        let place = self.place_of(&report.sender).unwrap_or_else(|place| {
            let heard = Heard {
                sender: report.sender.clone(),
                ..Heard::default()
            };
            self.senders.insert(place, heard);
            place
        });
        self.senders.get_mut(place).is_some_and(|heard| {
            heard.at = heard.at.max(report.at);
            heard.note(report.number)
        })
    }

    fn add(&mut self, report: &Report, now: UnixMillis) {
        let place = self.pops.binary_search_by(|(pop, _)| pop.cmp(&report.pop));
        match place.map(|place| self.pops.get_mut(place)) {
            Ok(Some((_, region))) => region.clone_from(&report.region),
            Ok(None) => {}
            Err(place) => {
                let pop = (report.pop.clone(), report.region.clone());
                self.pops.insert(place, pop);
            }
        }
        for (target, told) in &report.targets {
            let name = format!("{target}{BETWEEN}{}", report.pop);
            let cell = self.cells.entry(name).or_default();
            *cell = cell.merged(*told);
            cell.digest = cell.digest.decayed(now);
        }
    }

    /// Drops what says nothing any more, and what is too much.
    fn forget(&mut self, now: UnixMillis) {
        self.senders
            .retain(|heard| now.since(heard.at) < REPORT_LIFETIME);
        while self.senders.len() > SENDERS_MAX {
            let ages = self.senders.iter().enumerate();
            let oldest = ages
                .min_by_key(|(_, heard)| heard.at)
                .map(|(place, _)| place);
            self.senders.remove(oldest.unwrap_or_default());
        }
        self.cells
            .retain(|_, told| !told.digest.is_faint() || told.condemns(now));
        keep_best_known(&mut self.cells, SNAPSHOT_CELLS_MAX);
        let mut is_known = vec![false; self.pops.len()];
        for (_, pop) in self
            .cells
            .keys()
            .filter_map(|cell| cell.rsplit_once(BETWEEN))
        {
            let place = self
                .pops
                .binary_search_by(|(known, _)| known.as_str().cmp(pop));
            if let Some(known) = place.ok().and_then(|place| is_known.get_mut(place)) {
                *known = true;
            }
        }
        let mut is_known = is_known.into_iter();
        self.pops.retain(|_| is_known.next().unwrap_or_default());
    }
}

/// Sender, last number, bits, and when.
type HeardWire = (String, u64, u64, u64);

impl From<HeardWire> for Heard {
    fn from((sender, last, seen, at): HeardWire) -> Self {
        let at = UnixMillis(at);
        Self {
            sender,
            last,
            seen,
            at,
        }
    }
}

impl From<Heard> for HeardWire {
    fn from(heard: Heard) -> Self {
        (heard.sender, heard.last, heard.seen, heard.at.0)
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
