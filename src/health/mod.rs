//! How each target has done lately, and whether it is admitted.
//!
//! [`Digest`] sums what happened, with exponential decay; [`Standing`] adds what one isolate alone knows: failures
//! in a row and the ejection that follows from them. [`Health`] holds both for every target, and for the keys of a
//! provider's pool. `observe` changes them, `view` only looks, and both take the time as an argument.
//!
//! What is known comes in three tiers, nearest first: the isolate's own memory, its `PoP` (`place`), and a snapshot of
//! all `PoP`s (`snapshot`, in `parts` where they are many), which is also rolled up to the region and the world. No observation is in two of them. The
//! nearer one counts; the farther ones are priors of bounded weight. All is told by reports (`report`), which carry
//! digests, never single observations. Nothing here waits for another tier: without them the own memory decides.
//!
//! Digests merge by "decay both to the same instant, add", which commutes and associates, so the order in which
//! isolates report never matters. Means are kept as sums of logarithms: times to first token are spread over orders
//! of magnitude, and a geometric mean is not moved by one slow answer.
//!
//! What answers teach about cost (`learned`) fades slowly and merges the same way. What prompts a target has seen
//! (`warm`) is an isolate's own memory and never merged: another isolate's conversations are not asked here.
//!
//! Not here: what an ejection does to a plan (`decide/`).

mod budget;
mod compact;
mod digest;
mod heard;
mod held;
mod learned;
mod parts;
mod place;
mod report;
mod room;
mod sharing;
mod snapshot;
mod standing;
mod voices;
mod votes;
mod warm;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::chat::{AttemptFailure, Usage};
use crate::dialects::{Prefix, Room};
use crate::units::{Millis, Tokens, UnixMillis};

pub use budget::{RETRY_FLOOR, RETRY_RATIO, RetryBudget};
pub use digest::{Digest, Weight};
pub use held::{FOLD_INTERVAL, HELD_MAX, Held};
pub use learned::{CACHE_HITS_PRIOR, Expected, LEARNED_HALF_LIFE, Learned, PROMPT_FACTOR_MAX};
pub use parts::{ENTRY, Edition, PARTS, Reading, by_part, part_of};
pub use place::{ISOLATES_MAX, Place};
pub use report::{REPORT_INTERVAL, REPORT_TARGETS_MAX, Report, Told, Verdict, report_due};
pub use room::RoomLeft;
pub use sharing::Here;
pub use snapshot::{REPORT_LIFETIME, SENDERS_MAX, SNAPSHOT_CELLS_MAX, Snapshot};
pub use standing::{Admission, Standing, State};
pub use warm::{CACHE_LIFETIME, WARM_MAX};

use sharing::Sharing;
use standing::{RETRY_AFTER_MAX, Turns};
use warm::Warm;

/// Targets and keys kept in one isolate. A team has tens; a caller who invents models must not fill the memory.
const ENTRIES_MAX: usize = 4_096;
/// How long a key of a pool rests after a 401: until someone has had time to replace it.
const KEY_REJECTED_REST: Millis = Millis(60_000);
/// How long a key of a pool rests after a 429 that named no time, or a 403.
const KEY_LIMITED_REST: Millis = Millis(5_000);

/// What is known of all targets, here and now.
#[derive(Clone, Debug, Default)]
pub struct Health {
    targets: BTreeMap<String, Standing>,
    /// Keys of pools that rest, and until when; by the secret's name.
    keys: BTreeMap<String, UnixMillis>,
    warm: Warm,
    sharing: Sharing,
    /// What may be sent beside what clients asked for.
    pub retries: RetryBudget,
}

/// What an attempt showed.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// It was sent. Makes a probe count before its outcome is known.
    Sent,
    Succeeded {
        ttft: Option<Millis>,
        /// From the first good token to the end.
        streaming: Option<Millis>,
        answer: Tokens,
        /// What was expected of the prompt and what the provider counted, if it did.
        counted: Option<(Expected, Usage)>,
    },
    Failed(AttemptFailure),
    /// Its caller left before there was an outcome.
    Left,
    /// It was cancelled after this long without a good token, because another target's came first.
    Outrun {
        waited: Millis,
    },
}

/// All that a decision reads of one target's health. A record keeps it, so that the decision can be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The expected share of attempts that succeed, strictly between 0 and 1.
    pub p_success: f64,
    pub ttft_seconds: f64,
    /// What 95 in 100 of its streams need less than; absent while too little is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttft_p95_seconds: Option<f64>,
    pub seconds_per_token: f64,
    /// How long its answers are, for the cost of the next one.
    pub answer_tokens: f64,
    /// Answers that said it was rate limited, decayed.
    #[serde(default)]
    pub rate_limited: f64,
    /// What it counts for each prompt token of our estimate, from 1/4 to 4.
    #[serde(default = "one")]
    pub prompt_factor: f64,
    /// What it counts for them at the least, by what was seen.
    #[serde(default = "one")]
    pub prompt_factor_min: f64,
    /// The share of its answers that is reasoning.
    #[serde(default)]
    pub reasoning: f64,
    /// How much of this prompt's beginning it has seen lately, as estimated.
    #[serde(default)]
    pub warm_tokens: Tokens,
    /// The share of such tokens that its cache then has.
    #[serde(default = "cache_hits_prior")]
    pub cache_hits: f64,
    /// The share of other prompt tokens that is written to its cache.
    #[serde(default)]
    pub cache_written: f64,
    /// How long ago anything was last heard of the route's targets. Widens the choice.
    #[serde(rename = "age_ms", skip_serializing_if = "is_none", default)]
    pub age: Millis,
    /// What is left of its rate limits; absent where its provider does not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub room: Option<RoomLeft>,
    pub admission: Admission,
}

fn is_none(span: &Millis) -> bool {
    span.0 == 0
}

fn one() -> f64 {
    1.0
}

fn cache_hits_prior() -> f64 {
    CACHE_HITS_PRIOR
}

impl Default for View {
    /// A target that nobody has asked yet.
    fn default() -> Self {
        let turns = Turns {
            target: "",
            own: "",
            peers: &[],
        };
        Standing::default().view(&turns, UnixMillis(0))
    }
}

impl Health {
    #[must_use]
    pub fn view(&self, target: &str, now: UnixMillis) -> View {
        self.targets
            .get(target)
            .map_or_else(View::default, |standing| {
                standing.view(&self.sharing.turns(target), now)
            })
    }

    /// How long ago anything was last heard of any of the targets; nothing where nobody ever heard of them.
    #[must_use]
    pub fn age(&self, targets: &[String], now: UnixMillis) -> Millis {
        let heard = targets.iter().filter_map(|target| self.targets.get(target));
        let newest = heard.map(Standing::heard_at).max();
        let newest = newest.filter(|newest| newest.0 > 0);
        newest.map_or(Millis(0), |newest| now.since(newest))
    }

    /// Takes an observation that nobody in particular has brought about.
    pub fn observe(&mut self, target: &str, observation: &Observation, now: UnixMillis) {
        self.observe_from("", target, observation, now);
    }

    /// Takes an observation that callers of this scope have brought about: a team, or a key that has none.
    pub fn observe_from(
        &mut self,
        scope: &str,
        target: &str,
        observation: &Observation,
        now: UnixMillis,
    ) {
        if !self.targets.contains_key(target) {
            self.make_room();
            self.targets.insert(target.to_owned(), Standing::default());
        }
        if let Some(standing) = self.targets.get_mut(target) {
            standing.observe(xxh3_64(scope.as_bytes()), observation, now);
            self.sharing.note(standing);
        }
    }

    /// Takes what a target's answer told of its rate limits, for the key of this name.
    pub fn note_room(&mut self, target: &str, secret: &str, room: Room) {
        if let Some(standing) = self.targets.get_mut(target) {
            standing.note_room(xxh3_64(secret.as_bytes()), room);
        }
    }

    /// How much of a prompt's beginning the target has seen within a cache's lifetime, from callers of this scope.
    #[must_use]
    pub fn warm_tokens(
        &self,
        target: &str,
        scope: &str,
        prefix: &Prefix,
        now: UnixMillis,
    ) -> Tokens {
        self.warm.tokens(target, scope, prefix, now)
    }

    /// Notes that the target has answered this prompt.
    pub fn remember(&mut self, target: &str, scope: &str, prefix: &Prefix, now: UnixMillis) {
        self.warm.remember(target, scope, prefix, now);
    }

    /// Whether a target's streams may be passed on unread, because those before were sound.
    #[must_use]
    pub fn is_sound(&self, target: &str) -> bool {
        self.targets.get(target).is_some_and(Standing::is_sound)
    }

    /// Notes whether a stream was sound. A target that nobody has observed has had none.
    pub fn note_stream(&mut self, target: &str, is_sound: bool) {
        if let Some(standing) = self.targets.get_mut(target) {
            standing.note_stream(is_sound);
        }
    }

    /// Notes that a key of a pool was refused or limited.
    pub fn rest_key(&mut self, secret: &str, failure: &AttemptFailure, now: UnixMillis) {
        let rest = match failure {
            // Some providers say so to what a caller asks for: no caller shall lay up a whole pool.
            AttemptFailure::KeyRejected { status: 403 } => KEY_LIMITED_REST,
            AttemptFailure::KeyRejected { .. } | AttemptFailure::PaymentRequired => {
                KEY_REJECTED_REST
            }
            AttemptFailure::RateLimited { retry_after, .. } => {
                retry_after.unwrap_or(KEY_LIMITED_REST).min(RETRY_AFTER_MAX)
            }
            _ => return,
        };
        if self.keys.len() >= ENTRIES_MAX {
            self.keys.retain(|_, until| *until > now);
        }
        if self.keys.len() < ENTRIES_MAX {
            self.keys.insert(secret.to_owned(), now + rest);
        }
    }

    #[must_use]
    pub fn is_key_resting(&self, secret: &str, now: UnixMillis) -> bool {
        self.keys.get(secret).is_some_and(|until| *until > now)
    }

    /// Every target that something is known of.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

    /// Forgets the target that was heard of longest ago, when full.
    fn make_room(&mut self) {
        if self.targets.len() < ENTRIES_MAX {
            return;
        }
        let oldest = self
            .targets
            .iter()
            .min_by_key(|(_, standing)| standing.digest.at)
            .map(|(target, _)| target.clone());
        if let Some(target) = oldest {
            self.targets.remove(&target);
        }
    }
}
