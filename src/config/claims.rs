//! Which revisions this process has just made live, while the store may still show older ones.
//!
//! A store that lags lets two writers find the same revision. Whoever writes says so here first, awaiting nothing, so of
//! two that expect the same revision only one gets it. For as long as the store may lag, what is known here counts
//! instead of what the store shows; a revision that is neither ours nor older than ours came from elsewhere, and counts.

use std::collections::BTreeMap;

use super::{EntryName, Precondition, Revision, Unmet};
use crate::units::{Millis, UnixMillis};

/// How long the store may show what was there before: KV's own figure.
const LAG: Millis = Millis(60_000);
/// Entries that are remembered. Beyond it the store alone counts.
const CLAIMS_MAX: usize = 1_000;

/// What was made live within the last minute, by entry.
#[derive(Debug, Default)]
pub struct Claims(BTreeMap<String, Claim>);

#[derive(Debug)]
struct Claim {
    /// Absent where the entry was deleted.
    live: Option<Revision>,
    /// What the store may show instead.
    older: Vec<Option<Revision>>,
    at: UnixMillis,
}

impl Claims {
    /// The live revision of an entry for which the store shows `shown`.
    #[must_use]
    pub fn live(
        &self,
        name: &EntryName,
        shown: Option<&Revision>,
        now: UnixMillis,
    ) -> Option<Revision> {
        let is_lagging = |claim: &&Claim| {
            let is_shown = |older: &Option<Revision>| older.as_ref() == shown;
            now.since(claim.at) < LAG && claim.older.iter().any(is_shown)
        };
        match self.0.get(&name.key()).filter(is_lagging) {
            Some(claim) => claim.live.clone(),
            None => shown.cloned(),
        }
    }

    /// Makes `new` the live revision, or none where the entry is to go. Returns what was live.
    ///
    /// # Errors
    /// The live revision is not what the precondition demands; nothing was changed.
    pub fn claim(
        &mut self,
        name: &EntryName,
        shown: Option<&Revision>,
        precondition: &Precondition,
        new: Option<&Revision>,
        now: UnixMillis,
    ) -> Result<Option<Revision>, Unmet> {
        let was = self.live(name, shown, now);
        precondition.check(was.as_ref())?;
        self.0.retain(|_, claim| now.since(claim.at) < LAG);
        if self.0.len() < CLAIMS_MAX || self.0.contains_key(&name.key()) {
            let claim = self.0.entry(name.key()).or_insert(Claim {
                live: None,
                older: Vec::new(),
                at: now,
            });
            claim.older.push(was.clone());
            claim.older.retain(|older| older.as_ref() != new);
            claim.live = new.cloned();
            claim.at = now;
        }
        Ok(was)
    }

    /// Forgets what could not be written: what the store shows counts again.
    pub fn forget(&mut self, name: &EntryName) {
        self.0.remove(&name.key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: EntryName = EntryName::Providers;
    const START: UnixMillis = UnixMillis(1_000_000);

    fn revision(text: &str) -> Revision {
        Revision(text.to_owned())
    }

    fn claim(claims: &mut Claims, shown: &str, expected: &str, new: &str) -> Result<(), Unmet> {
        let precondition = Precondition::Is(vec![revision(expected)]);
        let (shown, new) = (revision(shown), revision(new));
        let claimed = claims.claim(&NAME, Some(&shown), &precondition, Some(&new), START);
        claimed.map(|was| assert_eq!(was, Some(revision(expected))))
    }

    fn live(claims: &Claims, shown: &str, after: Millis) -> Option<Revision> {
        claims.live(&NAME, Some(&revision(shown)), START + after)
    }

    #[test]
    fn of_two_that_expect_the_same_revision_only_one_gets_it() {
        let mut claims = Claims::default();
        // Both have read `a` before either wrote.
        assert_eq!(claim(&mut claims, "a", "a", "b"), Ok(()));
        assert_eq!(claim(&mut claims, "a", "a", "c"), Err(Unmet::Failed));
        assert_eq!(live(&claims, "a", Millis(0)), Some(revision("b")));
        assert_eq!(claim(&mut claims, "a", "b", "c"), Ok(()));
    }

    #[test]
    fn what_the_store_shows_late_does_not_count_until_it_cannot_be_late_any_more() {
        let mut claims = Claims::default();
        assert_eq!(claim(&mut claims, "a", "a", "b"), Ok(()));
        assert_eq!(claim(&mut claims, "b", "b", "c"), Ok(()));
        for shown in ["a", "b", "c"] {
            assert_eq!(live(&claims, shown, Millis(59_999)), Some(revision("c")));
            assert_eq!(live(&claims, shown, LAG), Some(revision(shown)));
        }
        // Somebody elsewhere wrote it.
        assert_eq!(live(&claims, "x", Millis(1)), Some(revision("x")));
    }

    #[test]
    fn going_back_makes_the_older_revision_the_live_one() {
        let mut claims = Claims::default();
        assert_eq!(claim(&mut claims, "a", "a", "b"), Ok(()));
        assert_eq!(claim(&mut claims, "a", "b", "a"), Ok(()));
        assert_eq!(live(&claims, "b", Millis(1)), Some(revision("a")));
        assert_eq!(live(&claims, "a", Millis(1)), Some(revision("a")));
    }

    #[test]
    fn deleted_entry_is_gone_though_the_store_still_shows_it() {
        let mut claims = Claims::default();
        let shown = revision("a");
        let claimed = claims.claim(&NAME, Some(&shown), &Precondition::Exists, None, START);
        assert_eq!(claimed, Ok(Some(shown)));
        assert_eq!(live(&claims, "a", Millis(1)), None);
        claims.forget(&NAME);
        assert_eq!(live(&claims, "a", Millis(1)), Some(revision("a")));
    }

    #[test]
    fn memory_is_bounded() {
        let mut claims = Claims::default();
        for number in 0..=CLAIMS_MAX {
            let name = EntryName::Route(number.to_string());
            let new = revision("b");
            let claimed = claims.claim(&name, None, &Precondition::None, Some(&new), START);
            assert_eq!(claimed, Ok(None));
        }
        assert_eq!(claims.0.len(), CLAIMS_MAX);
    }
}
