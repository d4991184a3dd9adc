//! Which beginnings of prompts which target has seen lately, so that its provider may still have them in its cache.
//!
//! A bounded memory of one isolate, and no stored state: what is forgotten, or was seen by another isolate, counts
//! as cold, and costs a worse estimate and nothing else. A conversation whose messages change finds nothing, because
//! a boundary is a hash of all that stands before it; so a session's name would add nothing to what its prompts say.
//! What one caller sent is not told to another: the memory is kept apart by team, or by key where there is none.
//!
//! Not here: what a boundary is (`dialects/prefix.rs`), and what warmth is worth (`decide/cost.rs`).

use std::collections::{BTreeMap, VecDeque};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::dialects::{Boundary, Prefix};
use crate::units::{Millis, Tokens, UnixMillis};

/// How long a provider keeps a beginning that nobody asks for again. Anthropic: 5 minutes, anew with each use
/// (<https://platform.claude.com/docs/en/build-with-claude/prompt-caching>); OpenAI: 5 to 10 minutes of inactivity
/// (<https://platform.openai.com/docs/guides/prompt-caching>); both as of 2026-11-21.
pub const CACHE_LIFETIME: Millis = Millis(300_000);
/// Beginnings that are remembered, two for each answer: some 13 answers a second for the whole lifetime, in half a
/// megabyte. Beyond that the oldest are forgotten.
pub const WARM_MAX: usize = 8_192;

/// The beginnings that targets have seen.
#[derive(Clone, Debug, Default)]
pub struct Warm {
    /// When last, by [`key`].
    seen: BTreeMap<u64, UnixMillis>,
    /// The same in the order of time. One that was seen again stands here twice.
    order: VecDeque<(UnixMillis, u64)>,
}

impl Warm {
    /// How much of the prompt's beginning the target has seen within the cache's lifetime.
    #[must_use]
    pub fn tokens(&self, target: &str, scope: &str, prefix: &Prefix, now: UnixMillis) -> Tokens {
        if self.seen.is_empty() {
            return Tokens(0);
        }
        let place = place(target, scope);
        let is_warm = |boundary: &&Boundary| {
            let seen = self.seen.get(&key(place, boundary));
            seen.is_some_and(|at| now.since(*at) < CACHE_LIFETIME)
        };
        let longest = prefix.boundaries().find(is_warm);
        longest.map_or(Tokens(0), |boundary| boundary.tokens)
    }

    /// The target has answered this prompt.
    pub fn remember(&mut self, target: &str, scope: &str, prefix: &Prefix, now: UnixMillis) {
        let place = place(target, scope);
        for boundary in prefix.turns.back().into_iter().chain(&prefix.opening) {
            let key = key(place, boundary);
            self.seen.insert(key, now);
            self.order.push_back((now, key));
        }
        while let Some((at, key)) = self.order.front().copied() {
            let is_over = now.since(at) >= CACHE_LIFETIME;
            if self.order.len() <= WARM_MAX && !is_over {
                break;
            }
            self.order.pop_front();
            if self.seen.get(&key) == Some(&at) {
                self.seen.remove(&key);
            }
        }
    }
}

fn place(target: &str, scope: &str) -> u64 {
    xxh3_64_with_seed(scope.as_bytes(), xxh3_64(target.as_bytes()))
}

fn key(place: u64, boundary: &Boundary) -> u64 {
    place ^ boundary.hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(hash: u64) -> Prefix {
        let boundary = Boundary {
            hash,
            tokens: Tokens(2_000),
        };
        Prefix {
            turns: [boundary].into(),
            ..Prefix::default()
        }
    }

    #[test]
    fn a_flood_forgets_the_oldest() {
        let mut warm = Warm::default();
        for hash in 0..=WARM_MAX as u64 {
            warm.remember("t", "s", &prompt(hash), UnixMillis(hash));
        }
        let tokens = |hash| warm.tokens("t", "s", &prompt(hash), UnixMillis(9_000));
        assert_eq!((warm.seen.len(), warm.order.len()), (WARM_MAX, WARM_MAX));
        assert_eq!((tokens(0), tokens(1)), (Tokens(0), Tokens(2_000)));
    }

    #[test]
    fn the_same_prompt_again_and_again_stays_warm_in_bounded_memory() {
        let mut warm = Warm::default();
        for at in 0..WARM_MAX as u64 * 2 {
            warm.remember("t", "s", &prompt(7), UnixMillis(at));
        }
        assert_eq!((warm.seen.len(), warm.order.len()), (1, WARM_MAX));
        let now = UnixMillis(WARM_MAX as u64 * 2);
        assert_eq!(warm.tokens("t", "s", &prompt(7), now), Tokens(2_000));
    }

    #[test]
    fn what_is_over_is_dropped() {
        let mut warm = Warm::default();
        warm.remember("t", "s", &prompt(1), UnixMillis(0));
        warm.remember("t", "s", &prompt(2), UnixMillis(CACHE_LIFETIME.0));
        assert_eq!((warm.seen.len(), warm.order.len()), (1, 1));
    }

    #[test]
    fn targets_and_teams_are_kept_apart() {
        let mut warm = Warm::default();
        let now = UnixMillis(5);
        warm.remember("t", "s", &prompt(1), now);
        let tokens = |target, scope| warm.tokens(target, scope, &prompt(1), now);
        assert_eq!(
            [
                tokens("t", "s"),
                tokens("u", "s"),
                tokens("t", "r"),
                tokens("s", "t")
            ],
            [Tokens(2_000), Tokens(0), Tokens(0), Tokens(0)]
        );
    }
}
