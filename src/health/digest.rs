//! Exponentially decayed sums over attempts.

use serde::{Deserialize, Serialize};

use super::learned::{Expected, LEARNED_HALF_LIFE, Learned};
use crate::chat::Usage;
use crate::units::{Millis, Tokens, UnixMillis};

/// After this time an observation counts half. DESIGN section 4 gives 30 s.
pub const HALF_LIFE: Millis = Millis(30_000);

/// What an unknown target is taken for: this many observations of a typical one.
const PRIOR_WEIGHT: f64 = 1.0;
const PRIOR_TTFT_SECONDS: f64 = 1.0;
const PRIOR_SECONDS_PER_TOKEN: f64 = 0.02;
const PRIOR_ANSWER_TOKENS: f64 = 256.0;
/// The Beta posterior's prior: nine successes in ten, worth five attempts. Neither perfect nor hopeless.
const PRIOR_SUCCESSES: f64 = 4.5;
const PRIOR_FAILURES: f64 = 0.5;

/// Observations below which a spread is not believed.
const SPREAD_WEIGHT_MIN: f64 = 5.0;
/// The least standard deviation of a logarithm: a few equal times do not make the next one sure. With it the 95th
/// percentile lies half above the mean.
const DEVIATION_MIN: f64 = 0.25;
/// Standard deviations from the mean to the 95th percentile.
const Z_95: f64 = 1.644_853_626_951_472_7;

/// What has faded to less than a hundredth of an attempt and a twentieth of a lesson changes no figure by a percent.
const FAINT_ATTEMPTS: f64 = 0.01;
const FAINT_LESSONS: f64 = 0.05;
/// Less than this many observations are rounding.
pub(super) const WEIGHT_MIN: f64 = 1e-4;

/// The least time or count whose logarithm is taken; a clock that stood still measures 0.
const FLOOR: f64 = 1e-4;

/// Sums of what happened, each worth half as much every `HALF_LIFE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// The instant to which the sums are decayed.
    pub at: UnixMillis,
    pub attempts: f64,
    pub successes: f64,
    pub rate_limited: f64,
    pub ln_ttft_seconds: LogMean,
    pub ln_seconds_per_token: LogMean,
    pub ln_answer_tokens: LogMean,
    /// Fades more slowly than the rest.
    #[serde(default)]
    pub learned: Learned,
}

/// A weighted sum of logarithms and the sum of its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogMean {
    pub sum: f64,
    /// The sum of their squares.
    #[serde(default)]
    pub squares: f64,
    pub weight: f64,
}

/// What one attempt counts, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// Its success or failure.
    pub outcome: f64,
    /// Its times and its length.
    pub times: f64,
}

impl Weight {
    pub const WHOLE: Self = Self {
        outcome: 1.0,
        times: 1.0,
    };
}

impl LogMean {
    pub(super) fn add(&mut self, quantity: f64, weight: f64) {
        let ln = libm::log(quantity.max(FLOOR));
        self.sum += weight * ln;
        self.squares += weight * ln * ln;
        self.weight += weight;
    }

    pub(super) fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.squares *= factor;
        self.weight *= factor;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.squares += other.squares;
        self.weight += other.weight;
    }

    /// The same mean and spread, resting on at most this many observations.
    pub(super) fn capped(mut self, weight_max: f64) -> Self {
        if self.weight > weight_max {
            self.scale(weight_max / self.weight);
        }
        self
    }

    /// Without what `part` contributed. Nothing is left where rounding is all that would be.
    pub(super) fn without(mut self, part: Self) -> Self {
        self.sum -= part.sum;
        self.squares = (self.squares - part.squares).max(0.0);
        self.weight -= part.weight;
        if self.weight > WEIGHT_MIN {
            self
        } else {
            Self::default()
        }
    }

    /// The geometric mean, drawn towards `prior` while little is known.
    fn mean(&self, prior: f64) -> f64 {
        let sum = self.sum + PRIOR_WEIGHT * libm::log(prior);
        libm::exp(sum / (self.weight + PRIOR_WEIGHT))
    }
}

impl LogMean {
    /// The 95th percentile of a log-normal distribution with the mean and spread that were seen; none while too
    /// little was seen.
    fn p95(&self) -> Option<f64> {
        if self.weight < SPREAD_WEIGHT_MIN {
            return None;
        }
        let mean = self.sum / self.weight;
        let variance = self.squares / self.weight - mean * mean;
        let deviation = libm::sqrt(variance.max(0.0)).max(DEVIATION_MIN);
        Some(libm::exp(mean + Z_95 * deviation))
    }
}

impl Digest {
    /// The same sums, worth what they are worth at `now`. An earlier `now` changes nothing.
    #[must_use]
    pub fn decayed(mut self, now: UnixMillis) -> Self {
        if now <= self.at {
            return self;
        }
        let wait = now.since(self.at).as_seconds();
        let fading = |half_life: Millis| libm::exp2(-wait / half_life.as_seconds());
        let factor = fading(HALF_LIFE);
        self.attempts *= factor;
        self.successes *= factor;
        self.rate_limited *= factor;
        self.ln_ttft_seconds.scale(factor);
        self.ln_seconds_per_token.scale(factor);
        self.ln_answer_tokens.scale(factor);
        self.learned.scale(fading(LEARNED_HALF_LIFE));
        self.at = now;
        self
    }

    /// What two observers know together.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let at = self.at.max(other.at);
        let (mut sum, other) = (self.decayed(at), other.decayed(at));
        sum.attempts += other.attempts;
        sum.successes += other.successes;
        sum.rate_limited += other.rate_limited;
        sum.ln_ttft_seconds.merge(other.ln_ttft_seconds);
        sum.ln_seconds_per_token.merge(other.ln_seconds_per_token);
        sum.ln_answer_tokens.merge(other.ln_answer_tokens);
        sum.learned.merge(other.learned);
        sum
    }

    /// The same rates and means, resting on at most this many observations.
    #[must_use]
    pub fn capped(mut self, weight_max: f64) -> Self {
        if self.attempts > weight_max {
            let factor = weight_max / self.attempts;
            self.attempts *= factor;
            self.successes *= factor;
            self.rate_limited *= factor;
        }
        self.ln_ttft_seconds = self.ln_ttft_seconds.capped(weight_max);
        self.ln_seconds_per_token = self.ln_seconds_per_token.capped(weight_max);
        self.ln_answer_tokens = self.ln_answer_tokens.capped(weight_max);
        self.learned = self.learned.capped(weight_max);
        self
    }

    /// What is known without what `part` contributed to it.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        let at = self.at.max(part.at);
        let (mut rest, part) = (self.decayed(at), part.decayed(at));
        rest.attempts -= part.attempts;
        if rest.attempts > WEIGHT_MIN {
            rest.successes = (rest.successes - part.successes).clamp(0.0, rest.attempts);
            rest.rate_limited = (rest.rate_limited - part.rate_limited).max(0.0);
        } else {
            (rest.attempts, rest.successes, rest.rate_limited) = (0.0, 0.0, 0.0);
        }
        rest.ln_ttft_seconds = rest.ln_ttft_seconds.without(part.ln_ttft_seconds);
        rest.ln_seconds_per_token = rest.ln_seconds_per_token.without(part.ln_seconds_per_token);
        rest.ln_answer_tokens = rest.ln_answer_tokens.without(part.ln_answer_tokens);
        rest.learned = rest.learned.without(part.learned);
        rest
    }

    /// Whether nothing worth telling is left of what was seen.
    #[must_use]
    pub fn is_faint(&self) -> bool {
        self.attempts < FAINT_ATTEMPTS && self.learned.ln_prompt_factor.weight < FAINT_LESSONS
    }

    pub fn succeeded(
        &mut self,
        ttft: Option<Millis>,
        streaming: Option<Millis>,
        answer: Tokens,
        weight: Weight,
        now: UnixMillis,
    ) {
        *self = self.decayed(now);
        self.attempts += weight.outcome;
        self.successes += weight.outcome;
        if let Some(ttft) = ttft {
            self.ln_ttft_seconds.add(ttft.as_seconds(), weight.times);
        }
        if answer.0 > 0 {
            self.ln_answer_tokens.add(answer.as_f64(), weight.times);
        }
        // One token arrives at once: there is no time between tokens to measure.
        if let (Some(streaming), true) = (streaming, answer.0 > 1) {
            let per_token = streaming.as_seconds() / (answer.as_f64() - 1.0);
            self.ln_seconds_per_token.add(per_token, weight.times);
        }
    }

    /// The provider counted the tokens of an answer.
    pub fn counted(&mut self, expected: Expected, usage: &Usage, now: UnixMillis) {
        *self = self.decayed(now);
        self.learned.observe(expected, usage);
    }

    /// It would have taken longer than this: the least that it can be counted as.
    pub fn outrun(&mut self, waited: Millis, weight: Weight, now: UnixMillis) {
        *self = self.decayed(now);
        self.ln_ttft_seconds.add(waited.as_seconds(), weight.times);
    }

    pub fn failed(&mut self, is_rate_limit: bool, weight: Weight, now: UnixMillis) {
        *self = self.decayed(now);
        self.attempts += weight.outcome;
        if is_rate_limit {
            self.rate_limited += weight.outcome;
        }
    }

    /// What one more attempt may count for no sum to rest on more than `weight_max` of them.
    pub(super) fn room(&self, weight_max: f64, now: UnixMillis) -> Weight {
        let it = self.decayed(now);
        let room = |weight: f64| (weight_max - weight).clamp(0.0, 1.0);
        let times = it.ln_ttft_seconds.weight.max(it.ln_answer_tokens.weight);
        Weight {
            outcome: room(it.attempts),
            times: room(times),
        }
    }

    /// The mean of the Beta posterior over the chance of success.
    #[must_use]
    pub fn p_success(&self) -> f64 {
        let seen = self.attempts.max(self.successes);
        (self.successes + PRIOR_SUCCESSES) / (seen + PRIOR_SUCCESSES + PRIOR_FAILURES)
    }

    #[must_use]
    pub fn ttft_seconds(&self) -> f64 {
        self.ln_ttft_seconds.mean(PRIOR_TTFT_SECONDS)
    }

    /// What 95 in 100 streams of this kind need less than; none while too little was seen.
    #[must_use]
    pub fn ttft_p95_seconds(&self) -> Option<f64> {
        self.ln_ttft_seconds.p95()
    }

    #[must_use]
    pub fn seconds_per_token(&self) -> f64 {
        self.ln_seconds_per_token.mean(PRIOR_SECONDS_PER_TOKEN)
    }

    #[must_use]
    pub fn answer_tokens(&self) -> f64 {
        self.ln_answer_tokens.mean(PRIOR_ANSWER_TOKENS)
    }
}
