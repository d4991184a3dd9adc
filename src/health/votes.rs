//! What places say of a target, by region: how many take it for down, how many speak for it, and what they have seen.
//!
//! A `PoP` votes with its verdict or its recent attempts. Votes of a region add up like digests, in any order, so a region
//! that is rolled up says what its `PoP`s say. Whether enough of them agree is decided where they are read.

use super::digest::Digest;
use super::report::Told;
use crate::units::{Millis, UnixMillis};

/// How long a `PoP`'s ejection counts for others, beyond its own rest. An ejected target is probed more often than this.
const VERDICT_LIFETIME: Millis = Millis(60_000);
/// Recent attempts from which on a `PoP` that has not ejected a target speaks for it.
const WITNESS_ATTEMPTS_MIN: f64 = 1.0;

/// What the `PoP`s of one region say of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Votes {
    pub against: u32,
    pub others: u32,
    /// The newest word against it.
    pub since: Option<UnixMillis>,
}

/// What is known of one target in one region.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RollUp {
    pub digest: Digest,
    pub votes: Votes,
}

/// By target and region, with [`BETWEEN`](super::report::BETWEEN) between them; in the order of these names. No map: it
/// would be ten kilobytes of code.
pub(super) type RollUps = Vec<(String, RollUp)>;

impl Told {
    /// Whether it says that the target is down.
    pub(super) fn condemns(&self, now: UnixMillis) -> bool {
        self.verdict.is_some_and(|verdict| {
            let is_fresh = now.since(verdict.at) < VERDICT_LIFETIME;
            verdict
                .state
                .until()
                .is_some_and(|until| is_fresh || until > now)
        })
    }
}

impl RollUp {
    /// What one `PoP` says.
    pub(super) fn of(told: &Told, at: UnixMillis) -> Self {
        Self {
            digest: told.digest,
            votes: Votes::of(told, at),
        }
    }

    /// What both are rolled up from.
    pub(super) fn merged(self, other: Self) -> Self {
        Self {
            digest: self.digest.merged(other.digest),
            votes: self.votes.merged(other.votes),
        }
    }

    /// Sets the instant of its sums, which the wire has once for all of them.
    pub(super) fn date(&mut self, at: UnixMillis, now: UnixMillis) {
        self.digest.at = at;
        self.votes.since = self.votes.since.map(|since| since.min(now));
    }
}

impl Votes {
    /// What one `PoP` says.
    pub(super) fn of(told: &Told, at: UnixMillis) -> Self {
        let is_against = told.condemns(at);
        let speaks = is_against || told.digest.attempts >= WITNESS_ATTEMPTS_MIN;
        Self {
            against: u32::from(is_against),
            others: u32::from(speaks && !is_against),
            since: told
                .verdict
                .map(|verdict| verdict.at)
                .filter(|_| is_against),
        }
    }

    pub(super) fn merged(self, other: Self) -> Self {
        Self {
            against: self.against.saturating_add(other.against),
            others: self.others.saturating_add(other.others),
            since: self.since.max(other.since),
        }
    }

    fn speak_against(self) -> bool {
        self.against > self.others
    }

    fn speak_for(self) -> bool {
        self.others > 0 && self.others >= self.against
    }
}

/// Votes by region; of some regions, so they are looked through.
#[derive(Debug, Default)]
pub(super) struct Ballot<'a>(Vec<(&'a str, Votes)>);

impl<'a> Ballot<'a> {
    /// Adds votes of a region.
    pub fn add(&mut self, region: &'a str, more: Votes) {
        let known = self.0.iter_mut().find(|(known, _)| *known == region);
        match known {
            Some((_, votes)) => *votes = votes.merged(more),
            None => self.0.push((region, more)),
        }
    }

    /// Since when they agree that the target is down, as seen from a region: two `PoP`s of it, or two regions of the world,
    /// and more than say otherwise. None where they do not agree.
    pub fn agreed(&self, region: &str) -> Option<UnixMillis> {
        let votes = || self.0.iter().map(|(_, votes)| votes);
        if let Some((_, near)) = self.0.iter().find(|(there, _)| *there == region) {
            if near.speak_for() {
                return None;
            }
            if near.against >= 2 && near.speak_against() {
                return near.since;
            }
        }
        let against = votes().filter(|votes| votes.speak_against());
        let others = votes().filter(|votes| votes.speak_for());
        let (against, others) = (against.count(), others.count());
        let newest = votes().filter_map(|votes| votes.since).max();
        newest.filter(|_| against >= 2 && against > others)
    }
}

/// Adds what is known of a target in a region.
pub(super) fn add(sums: &mut RollUps, name: &str, more: RollUp) {
    match sums.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
        Ok(place) => {
            if let Some((_, sum)) = sums.get_mut(place) {
                *sum = sum.merged(more);
            }
        }
        Err(place) => sums.insert(place, (name.to_owned(), more)),
    }
}

/// Adds roll-ups of other `PoP`s.
pub(super) fn add_all(sums: &mut RollUps, others: &RollUps) {
    for (name, other) in others {
        add(sums, name, *other);
    }
}
