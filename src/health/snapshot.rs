//! What isolates together know: one digest for each target and `PoP`, folded from reports by one consumer.
//!
//! Folding a report adds its digests to those of its `PoP`, both decayed to the same instant; that commutes, so the
//! order of delivery never matters. A queue delivers at least once, so the snapshot remembers, for each sender, which
//! of its last 64 reports are in it, and a report that comes again changes nothing. What is older than
//! [`REPORT_LIFETIME`] is not folded at all; so senders may be forgotten after it.
//!
//! A snapshot has the `PoP`s of its part of the world one by one, and the others rolled up to their regions (`parts`). To a
//! reader among the former that is the same as having all of them.
//!
//! Here is also what a `PoP` may believe of the others. Figures travel as they are, as priors (`Health::take_snapshot`).
//! An ejection travels only where others agree (`votes`). A brown-out seen from Frankfurt ejects nothing in Tokyo.
//!
//! Not here: who stores it, and how often (`edge/`).

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::heard::Heard;
use super::report::{BETWEEN, Kept, Report, Tidings, Told, keep_best_known};
use super::votes::{Ballot, RollUp, RollUps, Votes, add};
use crate::units::{Millis, UnixMillis};

/// The version of a snapshot. What has another is not read.
const SNAPSHOT_VERSION: u32 = 2;
/// Cells of a snapshot: a target at a `PoP`. With 130 bytes a cell that is some 270 KB, which an isolate
/// reads in a few milliseconds. Beyond it, what has the least evidence goes; but what does not fit into one snapshot is
/// in parts, and each part has as much room.
pub const SNAPSHOT_CELLS_MAX: usize = 2_048;
/// Senders that are remembered. Beyond it the one heard of longest ago is forgotten, and a report of its that then came
/// twice would count twice.
pub const SENDERS_MAX: usize = 1_024;
/// Roll-ups of a snapshot: a target in a region. All seven continents and one more name for 128 targets.
const ROLL_UPS_MAX: usize = 1_024;
/// A text that is longer is none of ours: all cells, senders and roll-ups with the longest names have less. D1 takes as
/// much in a row.
const SNAPSHOT_BYTES_MAX: usize = 2_000_000;
/// A report older than this is not folded: twenty half-lives on, it says nothing.
pub const REPORT_LIFETIME: Millis = Millis(600_000);

/// What is known of all targets at some `PoP`s one by one, and at the others rolled up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    /// The instant to which all digests are decayed.
    pub at: UnixMillis,
    /// Counts the folds.
    pub number: u64,
    /// How many parts hold what there is, where this holds nothing itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<usize>,
    /// Each `PoP` with its region, as its last report says; in the order of the `PoP`s.
    pops: Vec<(String, String)>,
    /// By target and `PoP`, with [`BETWEEN`] between them.
    cells: Tidings,
    /// In the order of their names.
    senders: Vec<Heard>,
    /// What is known at `PoP`s that are not here.
    #[serde(default, skip_serializing_if = "RollUps::is_empty")]
    rest: RollUps,
}

impl Snapshot {
    /// Reads a snapshot; none where it is none.
    #[must_use]
    pub fn parse(text: &str, now: UnixMillis) -> Option<Self> {
        if text.len() > SNAPSHOT_BYTES_MAX {
            return None;
        }
        let mut snapshot: Self = serde_json::from_str(text).ok()?;
        if snapshot.v != SNAPSHOT_VERSION || !snapshot.is_ordered() || !snapshot.is_bounded() {
            return None;
        }
        snapshot.at = snapshot.at.min(now);
        let at = snapshot.at;
        for told in snapshot.cells.values_mut() {
            told.date(at, now);
        }
        for (_, roll_up) in &mut snapshot.rest {
            roll_up.date(at, now);
        }
        Some(snapshot)
    }

    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds what the reports say, and says how many of them were new.
    pub fn fold<'a>(
        &mut self,
        reports: impl IntoIterator<Item = &'a Report>,
        now: UnixMillis,
    ) -> usize {
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

    /// What is known of a target, by `PoP`.
    pub fn cells(&self, target: &str) -> impl Iterator<Item = (&str, &Told)> {
        let cells = self.cells.range(format!("{target}{BETWEEN}")..);
        cells.map_while(move |(cell, told)| {
            let pop = cell.strip_prefix(target)?.strip_prefix(BETWEEN)?;
            Some((pop, told))
        })
    }

    /// What is known of a target at `PoP`s that are not here, by region.
    fn rest(&self, target: &str) -> impl Iterator<Item = (&str, &RollUp)> {
        let first = format!("{target}{BETWEEN}");
        let first = self.rest.partition_point(|(name, _)| *name < first);
        let rest = self.rest.iter().skip(first);
        rest.map_while(move |(name, roll_up)| {
            let region = name.strip_prefix(target)?.strip_prefix(BETWEEN)?;
            Some((region, roll_up))
        })
    }

    /// The targets; one at many `PoP`s and in many regions comes as often.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let rest = self.rest.iter().map(|(name, _)| name);
        let names = self.cells.keys().chain(rest);
        names.filter_map(|name| Some(name.split_once(BETWEEN)?.0))
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
        let cells = self.cells(target).filter(|(there, _)| *there != pop);
        let cells = cells.map(|(there, told)| (self.region_of(there), told.digest));
        let rest = self
            .rest(target)
            .map(|(there, roll_up)| (there, roll_up.digest));
        let mut sums = (Digest::default(), Digest::default());
        for (there, digest) in cells.chain(rest) {
            let sum = if there == region {
                &mut sums.0
            } else {
                &mut sums.1
            };
            *sum = sum.merged(digest);
        }
        sums
    }

    /// Since when the others agree that a target is down, as seen from a `PoP`; none where they do not.
    #[must_use]
    pub fn condemned(&self, target: &str, pop: &str, region: &str) -> Option<UnixMillis> {
        let mut ballot = Ballot::default();
        for (there, told) in self.cells(target).filter(|(there, _)| *there != pop) {
            ballot.add(self.region_of(there), Votes::of(told, self.at));
        }
        for (there, roll_up) in self.rest(target) {
            ballot.add(there, roll_up.votes);
        }
        ballot.agreed(region)
    }

    /// How many cells and how many senders there are.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.cells.len(), self.senders.len())
    }

    /// Decays all to `now` and forgets what says nothing by then.
    pub(super) fn age(&mut self, now: UnixMillis) {
        self.decay(now);
        self.forget(now);
    }

    /// What is known here, rolled up to the regions.
    pub(super) fn rolled_up(&self) -> RollUps {
        let mut sums = RollUps::new();
        for (cell, told) in &self.cells {
            if let Some((target, pop)) = cell.rsplit_once(BETWEEN) {
                let name = format!("{target}{BETWEEN}{}", self.region_of(pop));
                add(&mut sums, &name, RollUp::of(told, self.at));
            }
        }
        sums
    }

    /// Adds what others know at other `PoP`s.
    pub(super) fn join(&mut self, other: Self) {
        self.v = SNAPSHOT_VERSION;
        self.at = self.at.max(other.at);
        for pop in other.pops {
            if let Err(place) = self.pops.binary_search(&pop) {
                self.pops.insert(place, pop);
            }
        }
        self.cells.extend(other.cells);
        for heard in other.senders {
            if let Err(place) = self.place_of(&heard.sender) {
                self.senders.insert(place, heard);
            }
        }
    }

    /// Adds what is known elsewhere, rolled up.
    pub(super) fn set_rest(&mut self, rest: RollUps) {
        self.rest = rest;
        let attempts = self.rest.iter().map(|(_, it)| it.digest.attempts);
        let mut kept = Kept::of(&attempts.collect::<Vec<_>>(), ROLL_UPS_MAX);
        self.rest.retain(|(_, it)| kept.has(it.digest.attempts));
    }

    /// One that holds nothing.
    pub(super) fn empty(number: u64, at: UnixMillis) -> Self {
        Self {
            v: SNAPSHOT_VERSION,
            at,
            number,
            ..Self::default()
        }
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
            && self.rest.is_sorted_by(|(one, _), (next, _)| one <= next)
            && self
                .senders
                .is_sorted_by(|one, next| one.sender <= next.sender)
    }

    fn is_bounded(&self) -> bool {
        self.cells.len() <= SNAPSHOT_CELLS_MAX
            && self.pops.len() <= SNAPSHOT_CELLS_MAX
            && self.senders.len() <= SENDERS_MAX
            && self.rest.len() <= ROLL_UPS_MAX
    }

    fn decay(&mut self, now: UnixMillis) {
        self.v = SNAPSHOT_VERSION;
        for told in self.cells.values_mut() {
            told.digest = told.digest.decayed(now);
        }
        self.at = self.at.max(now);
    }

    /// Whether the report is new; it counts as known from now on.
    fn note(&mut self, report: &Report) -> bool {
        let place = self.place_of(&report.sender).unwrap_or_else(|place| {
            let heard = Heard::of(&report.sender);
            self.senders.insert(place, heard);
            place
        });
        let heard = self.senders.get_mut(place);
        heard.is_some_and(|heard| heard.note(report))
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
