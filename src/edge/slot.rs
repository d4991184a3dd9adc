//! One entry in memory: its last good value, and why a newer text was refused.

use std::sync::Arc;

use super::clock::now;
use crate::config::{Problem, Revision};
use crate::units::{Millis, UnixMillis};

/// A refresh that has not come back by then is taken for lost, and the next request starts another.
const REFRESH_LOST: Millis = Millis(30_000);

/// One entry as it was last read.
pub struct Slot<T> {
    /// Absent where there is no such entry, or none that was ever good.
    pub value: Option<Arc<T>>,
    /// Of the text that `value` was read from.
    pub revision: Revision,
    /// Of the catalogue that it was resolved against.
    against: Revision,
    /// Why the newest text was refused, if it was.
    pub problems: Vec<Problem>,
    pub read_at: Option<UnixMillis>,
    refreshing_since: Option<UnixMillis>,
}

/// What a name led to.
pub struct Found<T> {
    pub value: Option<Arc<T>>,
    pub revision: Revision,
    pub problems: u32,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            value: None,
            revision: Revision::default(),
            against: Revision::default(),
            problems: Vec::new(),
            read_at: None,
            refreshing_since: None,
        }
    }
}

impl<T> From<&Slot<T>> for Found<T> {
    fn from(slot: &Slot<T>) -> Self {
        Self {
            value: slot.value.clone(),
            revision: slot.revision.clone(),
            problems: u32::try_from(slot.problems.len()).unwrap_or(u32::MAX),
        }
    }
}

impl<T> Slot<T> {
    /// What is remembered, and whether the asker should start a new read beside itself. None before the first read.
    pub fn look(&mut self, refresh: Millis) -> Option<(Found<T>, bool)> {
        self.read_at?;
        let is_asker_due = self.is_stale(refresh) && self.claim_refresh();
        Some((Found::from(&*self), is_asker_due))
    }

    pub fn is_stale(&self, refresh: Millis) -> bool {
        self.read_at
            .is_none_or(|read_at| now().since(read_at) >= refresh)
    }

    /// Whether a new read should start: nobody else's is under way.
    fn claim_refresh(&mut self) -> bool {
        let now = now();
        let is_taken = self
            .refreshing_since
            .is_some_and(|since| now.since(since) < REFRESH_LOST);
        if !is_taken {
            self.refreshing_since = Some(now);
        }
        !is_taken
    }

    /// Notes that the entry was read, and sets its value.
    pub fn set(&mut self, value: Option<Arc<T>>) {
        self.value = value;
        self.mark_read();
    }

    /// Takes the newest text, or keeps what is good: what is in memory, else what `last_good` gives. Says whether
    /// the newest text was read anew and accepted.
    pub fn take(
        &mut self,
        newest: Option<&str>,
        against: &Revision,
        parse: impl FnOnce(&str) -> Result<T, Vec<Problem>>,
        last_good: impl FnOnce() -> Option<(T, Revision)>,
    ) -> bool {
        self.mark_read();
        let Some(text) = newest else {
            let read_at = self.read_at;
            *self = Self {
                read_at,
                against: against.clone(),
                ..Self::default()
            };
            return false;
        };
        let revision = Revision::of(text);
        let is_known =
            self.value.is_some() && self.revision == revision && self.against == *against;
        if is_known && self.problems.is_empty() {
            return false;
        }
        match parse(text) {
            Ok(value) => {
                self.value = Some(Arc::new(value));
                self.revision = revision;
                self.against = against.clone();
                self.problems.clear();
                true
            }
            Err(problems) => {
                self.problems = problems;
                if self.value.is_none()
                    && let Some((value, revision)) = last_good()
                {
                    self.value = Some(Arc::new(value));
                    self.revision = revision;
                    self.against = against.clone();
                }
                false
            }
        }
    }

    fn mark_read(&mut self) {
        self.read_at = Some(now());
        self.refreshing_since = None;
    }
}
