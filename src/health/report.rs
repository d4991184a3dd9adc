//! What one isolate tells the others: its digests, and which targets it has ejected.
//!
//! The same shape travels two ways. To the queue goes what was observed since the last report, once, under the next
//! number; so whoever folds it can tell a report that comes twice. To the `PoP`'s cache goes all that the isolate knows,
//! again and again; the newest replaces the one before.
//!
//! Nothing in a report comes from a caller but the names of models that he may ask for; those are bounded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::digest::{Digest, WEIGHT_MIN};
use super::standing::State;
use crate::units::{Millis, UnixMillis};

/// The version of a report and a place. What has another is not read.
pub const REPORT_VERSION: u32 = 1;
/// Targets of one report. A queue's message of 128 KB holds them with the longest names.
pub const REPORT_TARGETS_MAX: usize = 128;
/// The longest name that is told: a provider's and a model's. Longer ones stay within the isolate.
pub const TARGET_NAME_BYTES_MAX: usize = 256;
/// Stands between a target and a place in a snapshot, and in no name of either.
pub(super) const BETWEEN: char = '\n';
/// The longest name of an isolate, a `PoP` or a region.
const PLACE_BYTES_MAX: usize = 32;

/// The time between two reports of an isolate, on average.
pub const REPORT_INTERVAL: Millis = Millis(3_000);
/// How soon an ejection or a readmission is told.
pub const REPORT_URGENT: Millis = Millis(250);

/// What one isolate tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub v: u32,
    /// The isolate: random, drawn when it starts.
    pub sender: String,
    /// Counts the sender's reports, from 1.
    pub number: u64,
    /// The instant to which all digests are decayed.
    pub at: UnixMillis,
    /// Where the isolate runs: the airport code of the data centre.
    pub pop: String,
    /// The continent that its callers come from.
    pub region: String,
    pub targets: Tidings,
}

/// What is told, by what it is told of.
pub type Tidings = BTreeMap<String, Told>;

/// Drops what rests on the least, to a factor of two, until at most `count_max` are left.
pub(super) fn keep_best_known(tidings: &mut Tidings, count_max: usize) {
    let attempts = tidings.values().map(|told| told.digest.attempts);
    let mut kept = Kept::of(&attempts.collect::<Vec<_>>(), count_max);
    tidings.retain(|_, told| kept.has(told.digest.attempts));
}

/// Which of too many are kept: those that rest on the most.
pub(super) struct Kept {
    excess: usize,
    /// What rests on more attempts stays; of the others as many go as must.
    least: f64,
}

impl Kept {
    pub fn of(attempts: &[f64], count_max: usize) -> Self {
        let excess = attempts.len().saturating_sub(count_max);
        // No sort: it would be six kilobytes of code for what hardly ever happens.
        let mut least = WEIGHT_MIN;
        let count = |least: f64| attempts.iter().filter(|known| **known > least).count();
        while count(least) > count_max {
            least *= 2.0;
        }
        Self { excess, least }
    }

    /// To be asked of each of them once.
    pub fn has(&mut self, attempts: f64) -> bool {
        let goes = self.excess > 0 && attempts <= self.least;
        self.excess -= usize::from(goes);
        !goes
    }
}

/// What is told of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    pub digest: Digest,
    /// Absent where it has always been admitted.
    pub verdict: Option<Verdict>,
}

/// Whether a target is admitted, and since when. Of two, the newer one counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub at: UnixMillis,
    pub state: State,
}

impl Report {
    /// Reads a report that came at `now`; none where it is none. Instants in the future are taken for `now`.
    #[must_use]
    pub fn parse(text: &str, now: UnixMillis) -> Option<Self> {
        let report: Self = serde_json::from_str(text).ok()?;
        report.checked(now)
    }

    pub(super) fn checked(mut self, now: UnixMillis) -> Option<Self> {
        let is_name = |name: &String, most: usize| name.len() <= most && name.bytes().all(is_plain);
        let are_names = [&self.sender, &self.pop, &self.region]
            .into_iter()
            .all(|name| is_name(name, PLACE_BYTES_MAX));
        if self.v != REPORT_VERSION || !are_names || self.targets.len() > REPORT_TARGETS_MAX {
            return None;
        }
        self.at = self.at.min(now);
        let at = self.at;
        self.targets
            .retain(|target, _| is_name(target, TARGET_NAME_BYTES_MAX));
        for told in self.targets.values_mut() {
            told.date(at, now);
        }
        Some(self)
    }
}

/// What stands in a name, and in JSON as it is: so a snapshot's limits bound its bytes, and [`BETWEEN`] is in no name.
fn is_plain(byte: u8) -> bool {
    byte >= b' ' && !matches!(byte, b'"' | b'\\')
}

impl Told {
    /// Sets the instant of its sums, which the wire has once for all of them.
    pub(super) fn date(&mut self, at: UnixMillis, now: UnixMillis) {
        self.digest.at = at;
        if let Some(verdict) = &mut self.verdict {
            verdict.at = verdict.at.min(now);
            verdict.state.bound(now);
        }
    }

    /// What two observers know together.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            digest: self.digest.merged(other.digest),
            verdict: newer(self.verdict, other.verdict),
        }
    }
}

/// The newer of two verdicts; of equally old ones the sterner, so that the order does not matter.
pub(super) fn newer(one: Option<Verdict>, other: Option<Verdict>) -> Option<Verdict> {
    [one, other]
        .into_iter()
        .flatten()
        .max_by_key(|verdict| (verdict.at, verdict.state.sternness()))
}

/// When an isolate reports next: between half and one and a half of the interval after the last report, so that isolates
/// that started together do not report together; sooner where an ejection or a readmission is to be told.
#[must_use]
pub fn report_due(last: UnixMillis, number: u64, is_urgent: bool, seed: u64) -> UnixMillis {
    let interval = if is_urgent {
        REPORT_URGENT
    } else {
        REPORT_INTERVAL
    };
    let draw = xxh3_64_with_seed(&number.to_le_bytes(), seed);
    last + Millis(interval.0 / 2 + draw % interval.0)
}
