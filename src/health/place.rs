//! What the isolates of one `PoP` tell each other, through the data centre's own cache.
//!
//! Each isolate has a place of its own in the entry and puts all that it knows there, under a growing number. Two
//! versions of the entry join by taking the newer of each place, which commutes, associates and may be repeated. So two
//! isolates that write at once lose nothing for good, though the cache has no transactions: each puts its place again.
//! And a reader leaves out its own place, so that it never counts an observation twice.

use serde::{Deserialize, Serialize};

use super::report::{REPORT_VERSION, Report};
use crate::units::{Millis, UnixMillis};

/// Isolates of one entry, the newest first. A data centre has more only for a Worker under a load that fills digests
/// anyway.
pub const ISOLATES_MAX: usize = 32;
/// An isolate that has not told anything for this long is forgotten: by then what it knew counts a sixteenth.
const PLACE_LIFETIME: Millis = Millis(120_000);

/// The entry of one `PoP`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    v: u32,
    isolates: Vec<Report>,
}

impl Place {
    /// Reads the entry; an empty one where it cannot be read.
    #[must_use]
    pub fn parse(text: &str, now: UnixMillis) -> Self {
        let place: Option<Self> = serde_json::from_str(text).ok();
        let place = place.filter(|place| place.v == REPORT_VERSION);
        let isolates = place.map(|place| place.isolates).unwrap_or_default();
        let checked = isolates
            .into_iter()
            .filter_map(|report| report.checked(now));
        Self::of(checked.collect())
    }

    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The newer of each isolate's reports, at most [`ISOLATES_MAX`].
    #[must_use]
    pub fn of(reports: Vec<Report>) -> Self {
        let mut isolates: Vec<Report> = Vec::new();
        for report in reports {
            let is_same = |known: &&mut Report| known.sender == report.sender;
            match isolates.iter_mut().find(is_same) {
                Some(known) if known.number < report.number => *known = report,
                Some(_) => {}
                None => isolates.push(report),
            }
        }
        // No two compare equal: their senders differ.
        isolates.sort_unstable_by(|a, b| b.at.cmp(&a.at).then_with(|| a.sender.cmp(&b.sender)));
        isolates.truncate(ISOLATES_MAX);
        Self {
            v: REPORT_VERSION,
            isolates,
        }
    }

    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let mut reports = self.isolates;
        reports.extend(other.isolates);
        Self::of(reports)
    }

    /// Without isolates that have long been silent.
    #[must_use]
    pub fn at(mut self, now: UnixMillis) -> Self {
        self.isolates
            .retain(|report| now.since(report.at) < PLACE_LIFETIME);
        self
    }

    #[must_use]
    pub fn isolates(&self) -> &[Report] {
        &self.isolates
    }
}
