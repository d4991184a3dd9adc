//! Whose attempts say what about a target, so that nobody can eject it for the others.
//!
//! A scope is a team, or a key that has none. What callers can bring about by what they send (a prompt that makes a
//! provider stumble, answers that are filtered to nothing, waits that are too short) is bounded in two ways:
//!
//! - **One scope is one voice.** While others use a target, a scope's attempts weigh no more than all the others'
//!   together, or four. So a scope that only fails cannot bring the posterior below one half while the others succeed.
//! - **A scope alone ejects nothing while others succeed.** Failures of one scope count in a row, but eject only if a
//!   second scope has failed in that row, or if no other has succeeded for [`OTHERS_WINDOW`].
//!
//! What no caller can bring about (a refused connection, a 503, a rate limit with its time) ejects whoever met it. With
//! one scope in all, everything counts as if none of this were here.
//!
//! **All together weigh no more than [`OWN_WEIGHT_MAX`] either.** What has faded makes room for what comes. So where
//! requests are many a figure is a mean over time, and a minute of ten times the requests counts no more than any other.
//! Were it a mean over requests, a target that was overrun for a minute, and hardly asked since, would have the figures of
//! that minute for as many half-lives as it takes to halve thousands of attempts down to a few.

use crate::chat::AttemptFailure;
use crate::units::{Millis, UnixMillis};

/// Scopes that are counted by themselves. Of five, at most one makes up more than half.
const VOICES_MAX: usize = 4;
/// What the recent attempts of all scopes weigh at the most; two attempts in three seconds come to as much. What other
/// numbers come to stands in `docs/scale.md`, "How the constants were chosen".
pub(super) const OWN_WEIGHT_MAX: f64 = 30.0;
/// What those of a scope among others may weigh, however few the others' are. By the prior of the posterior (4.5 of 5),
/// this many failures leave it at one half.
const AMONG_OTHERS_MIN: f64 = 4.0;
/// What they may weigh however many the others' are, so that there is as much room for the others'.
const AMONG_OTHERS_MAX: f64 = OWN_WEIGHT_MAX / 2.0;
/// Less than one attempt within a half-life is nobody.
const OTHERS_MIN: f64 = 0.5;
/// How long a success of another scope speaks against a scope that fails.
const OTHERS_WINDOW: Millis = Millis(10_000);
/// As the digests'.
const HALF_LIFE: Millis = super::digest::HALF_LIFE;

/// Who has asked a target lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Voices {
    at: UnixMillis,
    /// Attempts of all scopes, decayed.
    all: f64,
    loudest: [Voice; VOICES_MAX],
    /// The last success, and the last of another scope than that.
    succeeded: [(u64, UnixMillis); 2],
    row: Row,
}

/// A scope, its attempts, and how much they weighed; both decayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Voice {
    scope: u64,
    attempts: f64,
    weight: f64,
}

/// Failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Row {
    count: u32,
    first: u64,
    has_two: bool,
}

impl Voices {
    /// Counts an attempt, and says how much it weighs, from 0 to the room that is left.
    pub(super) fn attempt(&mut self, scope: u64, room: f64, now: UnixMillis) -> f64 {
        self.decay(now);
        self.all += 1.0;
        let all = self.all;
        let Some(voice) = self.voice(scope) else {
            return 0.0;
        };
        voice.attempts += 1.0;
        let others = (all - voice.attempts).max(0.0);
        let limit = if others < OTHERS_MIN {
            OWN_WEIGHT_MAX
        } else {
            others.clamp(AMONG_OTHERS_MIN, AMONG_OTHERS_MAX)
        };
        let weight = (limit - voice.weight).clamp(0.0, room);
        voice.weight += weight;
        weight
    }

    /// How many attempts there are in a second, of late.
    pub(super) fn per_second(mut self, now: UnixMillis) -> f64 {
        self.decay(now);
        self.all * std::f64::consts::LN_2 / HALF_LIFE.as_seconds()
    }

    pub(super) fn success(&mut self, scope: u64, now: UnixMillis) {
        self.row = Row::default();
        let [last, before] = self.succeeded;
        self.succeeded = if last.0 == scope {
            [(scope, now), before]
        } else {
            [(scope, now), last]
        };
    }

    pub(super) fn failure(&mut self, scope: u64) {
        if self.row.count == 0 {
            self.row.first = scope;
        }
        self.row.count = self.row.count.saturating_add(1);
        self.row.has_two |= self.row.first != scope;
    }

    pub(super) fn failures_in_row(&self) -> u32 {
        self.row.count
    }

    pub(super) fn forget_row(&mut self) {
        self.row = Row::default();
    }

    /// Whether this failure of this scope may eject the target.
    pub(super) fn may_eject(&self, scope: u64, failure: &AttemptFailure, now: UnixMillis) -> bool {
        let other = self
            .succeeded
            .iter()
            .find(|(who, at)| *who != scope && at.0 > 0);
        let is_refuted = other.is_some_and(|(_, at)| now.since(*at) < OTHERS_WINDOW);
        !is_callers_doing(failure) || self.row.has_two || !is_refuted
    }

    /// The scope's own count, in the place of the quietest if it has none.
    fn voice(&mut self, scope: u64) -> Option<&mut Voice> {
        let place = self.loudest.iter().position(|voice| voice.scope == scope);
        let voices = self.loudest.iter().enumerate();
        let quietest = voices
            .min_by(|a, b| a.1.attempts.total_cmp(&b.1.attempts))?
            .0;
        let voice = self.loudest.get_mut(place.unwrap_or(quietest))?;
        if place.is_none() {
            *voice = Voice {
                scope,
                ..Voice::default()
            };
        }
        Some(voice)
    }

    fn decay(&mut self, now: UnixMillis) {
        if now <= self.at {
            return;
        }
        let half_lives = now.since(self.at).as_seconds() / HALF_LIFE.as_seconds();
        let factor = libm::exp2(-half_lives);
        self.all *= factor;
        for voice in &mut self.loudest {
            voice.attempts *= factor;
            voice.weight *= factor;
        }
        self.at = now;
    }
}

/// Whether a caller can bring this about by what he sends.
fn is_callers_doing(failure: &AttemptFailure) -> bool {
    match failure {
        AttemptFailure::Unreachable
        | AttemptFailure::PaymentRequired
        | AttemptFailure::SecretMissing { .. }
        | AttemptFailure::KeyRejected { status: 401 } => false,
        // Without a time it may be about this one request's size.
        AttemptFailure::RateLimited { retry_after, .. } => retry_after.is_none(),
        AttemptFailure::ServerError {
            status,
            retry_after,
        } => retry_after.is_none() && !matches!(status, 502 | 503 | 529),
        _ => true,
    }
}
