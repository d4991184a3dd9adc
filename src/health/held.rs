//! Reports that wait with the consumer to be folded together, while more of them come.
//!
//! A fold reads and writes the rows of all parts that its reports touch, whether it has a hundred of them or a thousand. A
//! queue hands over a hundred at a time; so a consumer that gets full batches, which means that more are waiting, folds
//! once in [`FOLD_INTERVAL`]. A batch that is not full is folded at once, with all that is held.
//!
//! What is held is lost with the isolate that holds it. A report is worth little a minute later, and the next one of its
//! sender has the verdicts again.

use super::report::Report;
use crate::units::{Millis, UnixMillis};

/// How often a consumer folds that gets full batches. What reads the snapshot is some thirty seconds behind anyway.
pub const FOLD_INTERVAL: Millis = Millis(2_000);
/// Reports that are held at the most. A thousand of twenty targets each are some 5 MB.
pub const HELD_MAX: usize = 1_000;

/// Reports that are not folded yet.
#[derive(Debug, Default)]
pub struct Held {
    reports: Vec<Report>,
    folded_at: UnixMillis,
}

impl Held {
    /// Takes a batch of reports, and gives what is to be folded now. `is_more_waiting` says that the next batch is ready.
    #[must_use]
    pub fn take(
        &mut self,
        reports: Vec<Report>,
        is_more_waiting: bool,
        now: UnixMillis,
    ) -> Vec<Report> {
        self.reports.extend(reports);
        let is_early = now.since(self.folded_at) < FOLD_INTERVAL;
        if is_more_waiting && is_early && self.reports.len() < HELD_MAX {
            return Vec::new();
        }
        self.folded_at = now;
        std::mem::take(&mut self.reports)
    }

    /// Holds reports again that could not be folded: as many as there is room for.
    pub fn put_back(&mut self, reports: impl IntoIterator<Item = Report>) {
        let room = HELD_MAX.saturating_sub(self.reports.len());
        self.reports.extend(reports.into_iter().take(room));
    }
}
