//! What the isolates of one `PoP` tell each other, through the data centre's own cache.
//!
//! Each isolate has a place of its own in the entry and puts all that it knows there, under a growing number. Two
//! versions of the entry join by taking the newer of each place, which commutes, associates and may be repeated. So two
//! isolates that write at once lose nothing, though the cache has no transactions: each looks again soon, and puts its
//! place once more if it is gone.
//! And a reader leaves out its own place, so that it never counts an observation twice.

use super::report::Report;
use crate::units::{Millis, UnixMillis};

/// Isolates of one entry, the newest first. A data centre has more only for a Worker under a load that fills digests
/// anyway.
pub const ISOLATES_MAX: usize = 32;
/// An isolate that has not told anything for this long is forgotten: by then what it knew counts a sixteenth.
const PLACE_LIFETIME: Millis = Millis(120_000);

/// The entry of one `PoP`: the isolates' reports, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    isolates: Vec<Report>,
}

impl Place {
    /// Reads the entry; an empty one where it cannot be read.
    #[must_use]
    pub fn parse(text: &str, now: UnixMillis) -> Self {
        let reports: Vec<Report> = serde_json::from_str(text).unwrap_or_default();
        let checked = reports.into_iter().filter_map(|report| report.checked(now));
        Self::of(checked.collect())
    }

    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(&self.isolates).unwrap_or_default()
    }

    /// The newer of each isolate's reports, at most [`ISOLATES_MAX`].
    #[must_use]
    pub fn of(reports: Vec<Report>) -> Self {
        let mut isolates: Vec<Report> = Vec::new();
        for report in reports {
            let place = isolates.binary_search_by(|known| known.sender.cmp(&report.sender));
            match place {
                Err(place) => isolates.insert(place, report),
                Ok(place) => {
                    let known = isolates.get_mut(place);
                    if let Some(known) = known.filter(|known| known.number < report.number) {
                        *known = report;
                    }
                }
            }
        }
        while isolates.len() > ISOLATES_MAX {
            let places = isolates.iter().enumerate();
            let oldest = places.min_by_key(|(_, report)| (report.at, &report.sender));
            let oldest = oldest.map(|(place, _)| place);
            isolates.remove(oldest.unwrap_or_default());
        }
        Self { isolates }
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

    /// Whether this report, or a newer one of its isolate, is here.
    #[must_use]
    pub fn has(&self, report: &Report) -> bool {
        let mut isolates = self.isolates.iter();
        isolates.any(|known| known.sender == report.sender && known.number >= report.number)
    }

    #[must_use]
    pub fn isolates(&self) -> &[Report] {
        &self.isolates
    }
}
