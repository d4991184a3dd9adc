//! Whether a target is admitted, from failures in a row, a low posterior, or its own Retry-After.
//!
//! An ejected target is tried by nobody until its rest is over. Then one request at a time probes it: sending a
//! probe starts a new rest, so that a crowd of requests never meets a target that is still down. The first success
//! readmits it, with a share that grows with each further success.
//!
//! An isolate also takes over what others say: the ejections and readmissions of its `PoP`, and what a snapshot's other
//! places agree on, unless its own attempts have shown otherwise since. What it has from others it does not tell on, or
//! two that had heard it from each other would keep it alive. Where several isolates share a `PoP`, they take turns at
//! probing: the turns' owners are drawn by rendezvous hashing, so that nobody needs to be asked.
//!
//! A lone slow or failed request never ejects: it takes [`FAILURES_IN_ROW`], or a posterior that says that most
//! attempts fail. The caller's own mistakes are not observed at all.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::digest::{Digest, Weight};
use super::report::{Told, Verdict};
use super::room::Rooms;
use super::voices::{OWN_WEIGHT_MAX, Voices};
use super::{Observation, View};
use crate::chat::{AttemptFailure, Phase};
use crate::dialects::Room;
use crate::units::{Millis, Tokens, UnixMillis};

/// Failures in a row that eject.
const FAILURES_IN_ROW: u32 = 3;
/// Recent attempts below which the posterior is not trusted to eject.
const ATTEMPTS_MIN: f64 = 5.0;
/// A posterior below this ejects.
const P_SUCCESS_MIN: f64 = 0.5;
/// The first rest; each further ejection without a success between doubles it.
const REST_FIRST: Millis = Millis(2_000);
/// The longest rest of our own: a target that is back is found within this time.
const REST_MAX: Millis = Millis(20_000);
/// The longest Retry-After that is believed.
pub(super) const RETRY_AFTER_MAX: Millis = Millis(600_000);
/// Sound streams after which the next one is taken on trust. What few providers do amiss they do at once.
const SOUND_STREAMS_MIN: u32 = 5;
/// Successes after which a readmitted target has its whole share again.
const RAMP: u32 = 8;
/// How long it is one isolate's turn to probe, where several share a `PoP`, and in how much of it a probe may begin: what
/// came of it is known to all before the next turn.
const TURN: Millis = Millis(5_000);
const TURN_OPEN: Millis = Millis(2_000);
/// A shorter silence between two pieces is no failure of the target's, whatever a route has it be.
const IDLE_MIN: Millis = Millis(1_000);
/// Nor is an answer that took less than this: a route's own limit on whole exchanges says nothing about a target.
const WHOLE_MIN: Millis = Millis(600_000);
/// Turns that are looked at to find the own one.
const TURNS_AHEAD: u64 = 64;
/// What far away `PoP`s say is not heeded while the own attempts of this time have succeeded.
const OWN_WORD_LIFETIME: Millis = Millis(60_000);
/// What the rest of the `PoP` has seen counts as this many observations at most, ...
pub(super) const POP_WEIGHT_MAX: f64 = 20.0;
/// ... and what the rest of the region has seen, or the rest of the world, as this many.
pub(super) const FAR_WEIGHT_MAX: f64 = 5.0;

/// Whether a target may be planned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Admission {
    Admitted,
    /// Admitted again after an ejection, with this share of its weight, above 0 and below 1.
    Recovering {
        share: f64,
    },
    Ejected {
        until: UnixMillis,
    },
}

impl Admission {
    /// Whether whoever is sent there now is to show whether it is back.
    #[must_use]
    pub fn is_for_a_probe(self) -> bool {
        self == Self::Recovering {
            share: share_after(0),
        }
    }
}

/// One target as this isolate knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// What this isolate has seen itself.
    pub digest: Digest,
    /// The part of it that has not been reported.
    unreported: Digest,
    /// What the rest of the `PoP` has seen.
    pop: Digest,
    /// What the region and the world have seen, each as the prior of the nearer one.
    far: Digest,
    voices: Voices,
    rooms: Rooms,
    state: State,
    changed_at: UnixMillis,
    /// Whether the state follows from what others say, and is not to be told on.
    is_hearsay: bool,
    /// Whether a change of the state is still to be told.
    is_urgent: bool,
    succeeded_at: UnixMillis,
    /// Streams in a row in which nothing was amiss, up to [`SOUND_STREAMS_MIN`].
    sound_streams: u32,
}

/// Where a target stands between its ejections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum State {
    #[default]
    Admitted,
    /// For the `count`th time since the last success.
    Ejected { until: UnixMillis, count: u32 },
    /// One request is out to see; the others keep away until then.
    Probing { until: UnixMillis, count: u32 },
    /// Successes since the ejection, below eight.
    Recovering { successes: u32 },
}

impl State {
    /// Until when nobody asks the target.
    #[must_use]
    pub fn until(self) -> Option<UnixMillis> {
        match self {
            Self::Ejected { until, .. } | Self::Probing { until, .. } => Some(until),
            Self::Admitted | Self::Recovering { .. } => None,
        }
    }

    /// Which of two equally old states counts: the higher.
    pub(super) fn sternness(self) -> (u8, UnixMillis, u32) {
        match self {
            Self::Admitted => (0, UnixMillis(0), 0),
            Self::Recovering { successes } => (1, UnixMillis(0), u32::MAX - successes),
            Self::Probing { until, count } => (2, until, count),
            Self::Ejected { until, count } => (3, until, count),
        }
    }

    /// Bounds what came from elsewhere: nobody rests longer than the longest Retry-After.
    pub(super) fn bound(&mut self, now: UnixMillis) {
        if let Self::Ejected { until, .. } | Self::Probing { until, .. } = self {
            *until = (*until).min(now + RETRY_AFTER_MAX);
        }
    }
}

/// The isolates that share a `PoP`, for who may probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns<'a> {
    pub target: &'a str,
    pub own: &'a str,
    /// The others that are alive.
    pub peers: &'a [String],
}

impl Turns<'_> {
    /// When this isolate may next probe a target whose rest ended at `since`; `now` where it is its turn.
    fn next(&self, since: UnixMillis, now: UnixMillis) -> UnixMillis {
        if self.peers.is_empty() {
            return now;
        }
        let passed = now.since(since).0;
        let is_open = passed % TURN.0 < TURN_OPEN.0;
        let turn = passed / TURN.0 + u64::from(!is_open);
        let owns = |turn: &u64| {
            let draw = xxh3_64_with_seed(self.target.as_bytes(), since.0 ^ turn.rotate_left(32));
            let lot = |isolate: &String| xxh3_64_with_seed(isolate.as_bytes(), draw);
            let own = xxh3_64_with_seed(self.own.as_bytes(), draw);
            self.peers.iter().all(|peer| lot(peer) < own)
        };
        // With every isolate of an entry alive, one in a hundred waits longer than the turns that are looked at.
        let turns = turn..turn + TURNS_AHEAD;
        let own = turns.into_iter().find(owns).unwrap_or(turn + TURNS_AHEAD);
        (since + Millis(own * TURN.0)).max(now)
    }
}

impl Standing {
    /// Whether its streams are taken for sound: the last five were.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.sound_streams >= SOUND_STREAMS_MIN
    }

    pub(super) fn note_room(&mut self, key: u64, room: Room) {
        self.rooms.take(key, room);
    }

    /// Notes a stream: sound is one of readable events alone, with its end marker, that ended by itself.
    pub fn note_stream(&mut self, is_sound: bool) {
        self.sound_streams = if is_sound {
            SOUND_STREAMS_MIN.min(self.sound_streams + 1)
        } else {
            0
        };
    }

    /// Takes an observation that callers of one scope have brought about.
    pub(super) fn observe(&mut self, scope: u64, observation: &Observation, now: UnixMillis) {
        match observation {
            Observation::Sent => self.sent(now),
            Observation::Succeeded {
                ttft,
                streaming,
                answer,
                counted,
            } => {
                let weight = self.weigh(scope, now);
                for digest in [&mut self.digest, &mut self.unreported] {
                    digest.succeeded(*ttft, *streaming, *answer, weight, now);
                    if let Some((expected, usage)) = counted {
                        digest.counted(*expected, usage, now);
                    }
                }
                self.voices.success(scope, now);
                self.succeeded_at = self.succeeded_at.max(now);
                let took = ttft
                    .zip(*streaming)
                    .map(|(ttft, rest)| Millis(ttft.0 + rest.0));
                self.succeeded(took, now);
            }
            Observation::Outrun { waited } => {
                let weight = self.digest.room(OWN_WEIGHT_MAX, now);
                self.digest.outrun(*waited, weight, now);
                self.unreported.outrun(*waited, weight, now);
                self.give_probe_back(now);
            }
            Observation::Left => self.give_probe_back(now),
            Observation::Failed(failure) if self.speaks_against(failure, now) => {
                self.failed(scope, failure, now);
            }
            Observation::Failed(_) => self.give_probe_back(now),
        }
    }

    /// What an attempt of this scope counts, here and in what is reported.
    fn weigh(&mut self, scope: u64, now: UnixMillis) -> Weight {
        let room = self.digest.room(OWN_WEIGHT_MAX, now);
        Weight {
            outcome: self.voices.attempt(scope, room.outcome, now),
            ..room
        }
    }

    /// Whether a failure is the target's: not the caller's own mistake, and not a wait that was too short for it.
    fn speaks_against(&self, failure: &AttemptFailure, now: UnixMillis) -> bool {
        let AttemptFailure::DeadlinePassed { phase, waited } = failure else {
            return failure.is_targets_fault();
        };
        match phase {
            Phase::Headers | Phase::FirstToken => {
                let usual = Millis::from_seconds(self.known(now).ttft_seconds());
                waited.0 >= usual.0 / 2
            }
            Phase::NextEvent => *waited >= IDLE_MIN,
            Phase::End => *waited >= WHOLE_MIN,
        }
    }

    /// The probe has shown nothing: another request may look soon.
    fn give_probe_back(&mut self, now: UnixMillis) {
        if let State::Probing { until, count } = self.state {
            let until = until.min(now + REST_FIRST);
            self.change(State::Ejected { until, count }, now);
        }
    }

    /// All that is known: what this isolate has seen, and what others have, as priors of bounded weight.
    fn known(&self, now: UnixMillis) -> Digest {
        let own = self.digest.decayed(now);
        if self.pop.at.0 == 0 && self.far.at.0 == 0 {
            return own;
        }
        let others = self.far.decayed(now).merged(self.pop.decayed(now));
        own.merged(others.capped(POP_WEIGHT_MAX))
    }

    /// When something was last heard of it.
    pub(super) fn heard_at(&self) -> UnixMillis {
        self.digest.at.max(self.pop.at).max(self.far.at)
    }

    /// What this isolate tells of the target to its `PoP`: all that it knows by itself.
    pub(super) fn told(&self, now: UnixMillis) -> Told {
        let verdict = (self.changed_at.0 > 0 && !self.is_hearsay).then_some(Verdict {
            at: self.changed_at,
            state: self.state,
        });
        Told {
            digest: self.digest.decayed(now),
            verdict,
        }
    }

    /// What has not been reported yet. It counts as reported from now on.
    pub(super) fn take_unreported(&mut self, now: UnixMillis) -> Told {
        let digest = std::mem::take(&mut self.unreported).decayed(now);
        self.is_urgent = false;
        Told {
            digest,
            ..self.told(now)
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.is_urgent || self.unreported.at.0 > 0
    }

    /// Since when there is an ejection or a readmission to tell.
    pub(super) fn urgent_since(&self) -> Option<UnixMillis> {
        self.is_urgent.then_some(self.changed_at)
    }

    /// Takes what the rest of the `PoP` knows: its figures, and its verdict if that is newer than the own one and no
    /// attempt from here has succeeded since.
    pub(super) fn take_pop(&mut self, told: Told) {
        self.pop = told.digest;
        let Some(verdict) = told.verdict.filter(|verdict| verdict.at > self.changed_at) else {
            return;
        };
        let is_resting = self.state.until().is_some();
        let is_to_rest = verdict.state.until().is_some();
        if is_to_rest && self.succeeded_at < verdict.at || !is_to_rest && is_resting {
            self.state = verdict.state;
            self.changed_at = verdict.at;
            self.is_hearsay = true;
            self.is_urgent = false;
            self.voices.forget_row();
        }
    }

    /// Takes what other places know. `condemned` is since when they agree that it is down.
    pub(super) fn take_far(&mut self, far: Digest, condemned: Option<UnixMillis>, now: UnixMillis) {
        self.far = far;
        let Some(since) = condemned.filter(|since| *since > self.changed_at) else {
            return;
        };
        let has_own_word = self.succeeded_at.0 > 0
            && now.since(self.succeeded_at) < OWN_WORD_LIFETIME
            || self.pop.successes >= 1.0;
        if self.state.until().is_none() && !has_own_word {
            self.state = State::Ejected {
                until: now + REST_FIRST,
                count: 1,
            };
            self.changed_at = since;
            self.is_hearsay = true;
            self.is_urgent = false;
        }
    }

    /// Takes the figures of the `PoP` from a snapshot, where there is no better source.
    pub(super) fn take_pop_figures(&mut self, pop: Digest) {
        self.pop = pop;
    }

    fn change(&mut self, state: State, now: UnixMillis) {
        if state != self.state {
            self.is_urgent |= state.until().is_some() != self.state.until().is_some()
                || matches!(state, State::Probing { .. });
            self.state = state;
            self.changed_at = now.max(self.changed_at + Millis(1));
            self.is_hearsay = false;
        }
    }

    pub(super) fn view(&self, turns: &Turns<'_>, now: UnixMillis) -> View {
        let digest = self.known(now);
        View {
            p_success: digest.p_success(),
            ttft_seconds: digest.ttft_seconds(),
            ttft_p95_seconds: digest.ttft_p95_seconds(),
            seconds_per_token: digest.seconds_per_token(),
            answer_tokens: digest.answer_tokens(),
            rate_limited: digest.rate_limited,
            prompt_factor: digest.learned.prompt_factor(),
            prompt_factor_min: digest.learned.prompt_factor_min(),
            reasoning: digest.learned.reasoning(),
            cache_hits: digest.learned.cache_hits(),
            cache_written: digest.learned.cache_written(),
            warm_tokens: Tokens(0),
            age: Millis(0),
            room: self.rooms.left(self.voices.per_second(now), now),
            admission: self.admission(turns, now),
        }
    }

    fn admission(&self, turns: &Turns<'_>, now: UnixMillis) -> Admission {
        let recovering = |successes: u32| Admission::Recovering {
            share: share_after(successes),
        };
        match self.state {
            State::Admitted => Admission::Admitted,
            State::Ejected { until, .. } | State::Probing { until, .. } if until > now => {
                Admission::Ejected { until }
            }
            State::Ejected { until, .. } | State::Probing { until, .. } => {
                match turns.next(until, now) {
                    turn if turn <= now => recovering(0),
                    until => Admission::Ejected { until },
                }
            }
            State::Recovering { successes } => recovering(successes),
        }
    }

    /// Whoever asks an ejected target is its probe, also when it was asked for want of any other.
    fn sent(&mut self, now: UnixMillis) {
        if let State::Ejected { until, count } | State::Probing { until, count } = self.state {
            let until = until.max(now + rest(count));
            self.change(State::Probing { until, count }, now);
        }
    }

    /// A success of an attempt that began before the ejection says nothing about now, so it readmits nobody; nor does
    /// one that ends while a probe is under way, the own or another isolate's. `took` is how long it was under way.
    fn succeeded(&mut self, took: Option<Millis>, now: UnixMillis) {
        let state = match self.state {
            // A probe is sent at the change of the state, or a millisecond before it where the clock stood.
            State::Probing { .. }
                if self.is_hearsay
                    || took.is_some_and(|took| now.since(self.changed_at).0 + 1 < took.0) =>
            {
                self.state
            }
            State::Probing { .. } => State::Recovering { successes: 1 },
            State::Recovering { successes } if successes + 1 < RAMP => State::Recovering {
                successes: successes + 1,
            },
            State::Recovering { .. } => State::Admitted,
            unchanged => unchanged,
        };
        self.change(state, now);
    }

    fn failed(&mut self, scope: u64, failure: &AttemptFailure, now: UnixMillis) {
        let is_rate_limit = matches!(failure, AttemptFailure::RateLimited { .. });
        let weight = self.weigh(scope, now);
        for digest in [&mut self.digest, &mut self.unreported] {
            digest.failed(is_rate_limit, weight, now);
        }
        self.voices.failure(scope);
        let may_eject = self.voices.may_eject(scope, failure, now);
        let asked = failure
            .retry_after()
            .map(|wait| now + wait.min(RETRY_AFTER_MAX));
        let eject = |count: u32| State::Ejected {
            until: (now + rest(count)).max(asked.unwrap_or_default()),
            count,
        };
        let is_low =
            self.digest.attempts >= ATTEMPTS_MIN && self.digest.p_success() < P_SUCCESS_MIN;
        let state = match self.state {
            State::Admitted
                if may_eject
                    && (self.voices.failures_in_row() >= FAILURES_IN_ROW
                        || is_low
                        || asked.is_some()) =>
            {
                eject(1)
            }
            State::Recovering { .. } if may_eject => eject(1),
            State::Admitted | State::Recovering { .. } => self.state,
            State::Probing { count, .. } => eject(count.saturating_add(1)),
            // Others that were under way when it fell; they add no rest, but for what the target asks.
            State::Ejected { until, count } => State::Ejected {
                until: until.max(asked.unwrap_or_default()),
                count,
            },
        };
        self.change(state, now);
    }
}

/// The share of its weight that a target has after so many successes since its ejection.
fn share_after(successes: u32) -> f64 {
    f64::from(successes + 1) / f64::from(RAMP + 1)
}

/// How long the `count`th ejection in a row lasts.
fn rest(count: u32) -> Millis {
    let doublings = count.saturating_sub(1).min(16);
    Millis(REST_FIRST.0 << doublings).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Observation = Observation::Failed(AttemptFailure::Unreachable);
    const SUCCEEDED: Observation = Observation::Succeeded {
        ttft: Some(Millis(100)),
        streaming: Some(Millis(300)),
        answer: Tokens(10),
        counted: None,
    };

    fn after(observations: &[(u64, Observation)]) -> Standing {
        let mut standing = Standing::default();
        for (at, observation) in observations {
            standing.observe(1, observation, UnixMillis(*at));
        }
        standing
    }

    const ALONE: Turns<'_> = Turns {
        target: "t",
        own: "a",
        peers: &[],
    };

    fn admission(standing: &Standing, at: u64) -> Admission {
        standing.view(&ALONE, UnixMillis(at)).admission
    }

    fn is_ejected(standing: &Standing, at: u64) -> bool {
        matches!(admission(standing, at), Admission::Ejected { .. })
    }

    #[test]
    fn three_failures_in_a_row_eject_two_do_not() {
        let two = [(0, FAILED), (1, FAILED)];
        assert!(!is_ejected(&after(&two), 2));
        let three = [(0, FAILED), (1, FAILED), (2, FAILED)];
        assert!(is_ejected(&after(&three), 3));
        let mended = [(0, FAILED), (1, FAILED), (2, SUCCEEDED), (3, FAILED)];
        assert!(!is_ejected(&after(&mended), 4));
    }

    #[test]
    fn ejected_target_is_probed_by_one_request_after_its_rest() {
        let mut standing = after(&[(0, FAILED), (0, FAILED), (0, FAILED)]);
        assert!(is_ejected(&standing, 1_999));
        assert!(!is_ejected(&standing, 2_000));
        standing.observe(1, &Observation::Sent, UnixMillis(2_000));
        assert!(is_ejected(&standing, 2_001), "the probe is under way");
        standing.observe(1, &SUCCEEDED, UnixMillis(2_500));
        assert!(!is_ejected(&standing, 2_501));
    }

    #[test]
    fn failed_probe_doubles_the_rest_up_to_its_limit() {
        let mut standing = after(&[(0, FAILED), (0, FAILED), (0, FAILED)]);
        let mut now = 0;
        let mut rests = Vec::new();
        for _ in 0..6 {
            let Admission::Ejected { until } = admission(&standing, now) else {
                panic!("not ejected at {now}");
            };
            rests.push(until.0 - now);
            now = until.0;
            standing.observe(1, &Observation::Sent, until);
            standing.observe(1, &FAILED, until);
        }
        assert_eq!(rests, [2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
    }

    #[test]
    fn share_grows_back_with_success() {
        let mut standing = after(&[(0, FAILED), (0, FAILED), (0, FAILED)]);
        standing.observe(1, &Observation::Sent, UnixMillis(2_000));
        let mut shares = Vec::new();
        for at in 0..9 {
            let now = UnixMillis(5_000 + at);
            match admission(&standing, now.0) {
                Admission::Recovering { share } => shares.push((share * 9.0).round()),
                Admission::Admitted => shares.push(9.0),
                Admission::Ejected { .. } => panic!("ejected"),
            }
            standing.observe(1, &SUCCEEDED, now);
        }
        assert_eq!(shares, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    }

    #[test]
    fn crowd_that_fails_together_ejects_once() {
        let crowd: Vec<_> = (0..50).map(|_| (0, FAILED)).collect();
        assert!(!is_ejected(&after(&crowd), 2_000));
    }

    #[test]
    fn success_from_before_the_ejection_readmits_nobody() {
        let standing = after(&[(0, FAILED), (0, FAILED), (0, FAILED), (1, SUCCEEDED)]);
        assert!(is_ejected(&standing, 2));
    }

    #[test]
    fn long_answer_from_before_the_ejection_is_not_taken_for_the_probes() {
        let long = Observation::Succeeded {
            ttft: Some(Millis(100)),
            streaming: Some(Millis(9_900)),
            answer: Tokens(800),
            counted: None,
        };
        let probed = [
            (5_000, FAILED),
            (5_000, FAILED),
            (5_000, FAILED),
            (7_000, Observation::Sent),
        ];
        let mut standing = after(&probed);
        standing.observe(1, &long, UnixMillis(7_500));
        assert!(is_ejected(&standing, 7_501));
        let mut other = Standing::default();
        other.take_pop(after(&probed).told(UnixMillis(7_001)));
        other.observe(1, &SUCCEEDED, UnixMillis(8_500));
        assert!(is_ejected(&other, 8_501), "the probe is another isolate's");
        let mut standing = after(&probed);
        standing.observe(1, &SUCCEEDED, UnixMillis(8_000));
        assert!(!is_ejected(&standing, 8_001), "the probe's own answer");
    }

    #[test]
    fn retry_after_ejects_at_once_and_for_as_long_as_asked() {
        let limited = Observation::Failed(AttemptFailure::RateLimited {
            status: 429,
            retry_after: Some(Millis(30_000)),
        });
        let standing = after(&[(0, limited)]);
        assert!(is_ejected(&standing, 29_999));
        assert!(!is_ejected(&standing, 30_000));
    }

    #[test]
    fn callers_own_mistakes_do_not_count() {
        let rejected = Observation::Failed(AttemptFailure::Rejected { status: 400 });
        let many: Vec<_> = (0..50).map(|at| (at, rejected.clone())).collect();
        assert_eq!(after(&many), Standing::default());
    }

    #[test]
    fn mostly_failing_target_is_ejected_though_never_thrice_in_a_row() {
        let mut observations = Vec::new();
        for at in 0..18 {
            observations.push((at * 10, if at % 3 == 2 { SUCCEEDED } else { FAILED }));
        }
        assert!(is_ejected(&after(&observations), 180));
    }
}
