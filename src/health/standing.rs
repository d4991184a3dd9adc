//! Whether a target is admitted, from failures in a row, a low posterior, or its own Retry-After.
//!
//! An ejected target is tried by nobody until its rest is over. Then one request at a time probes it: sending a
//! probe starts a new rest, so that a crowd of requests never meets a target that is still down. The first success
//! readmits it, with a share that grows with each further success.
//!
//! A lone slow or failed request never ejects: it takes [`FAILURES_IN_ROW`], or a posterior that says that most
//! attempts fail. The caller's own mistakes are not observed at all.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::{Observation, View};
use crate::chat::AttemptFailure;
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
const RETRY_AFTER_MAX: Millis = Millis(600_000);
/// Sound streams after which the next one is taken on trust. What few providers do amiss they do at once.
const SOUND_STREAMS_MIN: u32 = 5;
/// Successes after which a readmitted target has its whole share again.
const RAMP: u32 = 8;

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

/// One target as this isolate knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    pub digest: Digest,
    failures_in_row: u32,
    state: State,
    /// Streams in a row in which nothing was amiss, up to [`SOUND_STREAMS_MIN`].
    sound_streams: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Admitted,
    /// For the `count`th time since the last success.
    Ejected { until: UnixMillis, count: u32 },
    /// One request is out to see; the others keep away until then.
    Probing { until: UnixMillis, count: u32 },
    /// Successes since the ejection, below [`RAMP`].
    Recovering { successes: u32 },
}

impl Standing {
    /// Whether its streams are taken for sound: the last five were.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.sound_streams >= SOUND_STREAMS_MIN
    }

    /// Notes a stream: sound is one of readable events alone, with its end marker, that ended by itself.
    pub fn note_stream(&mut self, is_sound: bool) {
        self.sound_streams = if is_sound {
            SOUND_STREAMS_MIN.min(self.sound_streams + 1)
        } else {
            0
        };
    }

    pub fn observe(&mut self, observation: &Observation, now: UnixMillis) {
        match observation {
            Observation::Sent => self.sent(now),
            Observation::Succeeded {
                ttft,
                streaming,
                answer,
                counted,
            } => {
                self.digest.succeeded(*ttft, *streaming, *answer, now);
                if let Some((expected, usage)) = counted {
                    self.digest.counted(*expected, usage, now);
                }
                self.succeeded();
            }
            Observation::Outrun { waited } => self.digest.outrun(*waited, now),
            Observation::Failed(failure) if failure.is_targets_fault() => self.failed(failure, now),
            Observation::Failed(_) => {}
        }
    }

    #[must_use]
    pub fn view(&self, now: UnixMillis) -> View {
        let digest = self.digest.decayed(now);
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
            admission: self.admission(now),
        }
    }

    fn admission(&self, now: UnixMillis) -> Admission {
        let recovering = |successes: u32| Admission::Recovering {
            share: f64::from(successes + 1) / f64::from(RAMP + 1),
        };
        match self.state {
            State::Admitted => Admission::Admitted,
            State::Ejected { until, .. } | State::Probing { until, .. } if until > now => {
                Admission::Ejected { until }
            }
            State::Ejected { .. } | State::Probing { .. } => recovering(0),
            State::Recovering { successes } => recovering(successes),
        }
    }

    /// Whoever asks an ejected target is its probe, also when it was asked for want of any other.
    fn sent(&mut self, now: UnixMillis) {
        if let State::Ejected { until, count } | State::Probing { until, count } = self.state {
            self.state = State::Probing {
                until: until.max(now + rest(count)),
                count,
            };
        }
    }

    /// A success of an attempt that began before the ejection says nothing about now, so it readmits nobody.
    fn succeeded(&mut self) {
        self.failures_in_row = 0;
        self.state = match self.state {
            State::Probing { .. } => State::Recovering { successes: 1 },
            State::Recovering { successes } if successes + 1 < RAMP => State::Recovering {
                successes: successes + 1,
            },
            State::Recovering { .. } => State::Admitted,
            unchanged => unchanged,
        };
    }

    fn failed(&mut self, failure: &AttemptFailure, now: UnixMillis) {
        let is_rate_limit = matches!(failure, AttemptFailure::RateLimited { .. });
        self.digest.failed(is_rate_limit, now);
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        let asked = failure
            .retry_after()
            .map(|wait| now + wait.min(RETRY_AFTER_MAX));
        let eject = |count: u32| State::Ejected {
            until: (now + rest(count)).max(asked.unwrap_or_default()),
            count,
        };
        let is_low =
            self.digest.attempts >= ATTEMPTS_MIN && self.digest.p_success() < P_SUCCESS_MIN;
        self.state = match self.state {
            State::Admitted
                if self.failures_in_row >= FAILURES_IN_ROW || is_low || asked.is_some() =>
            {
                eject(1)
            }
            State::Admitted => State::Admitted,
            State::Recovering { .. } => eject(1),
            State::Probing { count, .. } => eject(count.saturating_add(1)),
            // Others that were under way when it fell; they add no rest, but for what the target asks.
            State::Ejected { until, count } => State::Ejected {
                until: until.max(asked.unwrap_or_default()),
                count,
            },
        };
    }
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
        streaming: Some(Millis(900)),
        answer: Tokens(10),
        counted: None,
    };

    fn after(observations: &[(u64, Observation)]) -> Standing {
        let mut standing = Standing::default();
        for (at, observation) in observations {
            standing.observe(observation, UnixMillis(*at));
        }
        standing
    }

    fn is_ejected(standing: &Standing, at: u64) -> bool {
        matches!(
            standing.view(UnixMillis(at)).admission,
            Admission::Ejected { .. }
        )
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
        standing.observe(&Observation::Sent, UnixMillis(2_000));
        assert!(is_ejected(&standing, 2_001), "the probe is under way");
        standing.observe(&SUCCEEDED, UnixMillis(2_500));
        assert!(!is_ejected(&standing, 2_501));
    }

    #[test]
    fn failed_probe_doubles_the_rest_up_to_its_limit() {
        let mut standing = after(&[(0, FAILED), (0, FAILED), (0, FAILED)]);
        let mut now = 0;
        let mut rests = Vec::new();
        for _ in 0..6 {
            let Admission::Ejected { until } = standing.view(UnixMillis(now)).admission else {
                panic!("not ejected at {now}");
            };
            rests.push(until.0 - now);
            now = until.0;
            standing.observe(&Observation::Sent, until);
            standing.observe(&FAILED, until);
        }
        assert_eq!(rests, [2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
    }

    #[test]
    fn share_grows_back_with_success() {
        let mut standing = after(&[(0, FAILED), (0, FAILED), (0, FAILED)]);
        standing.observe(&Observation::Sent, UnixMillis(2_000));
        let mut shares = Vec::new();
        for at in 0..9 {
            let now = UnixMillis(5_000 + at);
            match standing.view(now).admission {
                Admission::Recovering { share } => shares.push((share * 9.0).round()),
                Admission::Admitted => shares.push(9.0),
                Admission::Ejected { .. } => panic!("ejected"),
            }
            standing.observe(&SUCCEEDED, now);
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
