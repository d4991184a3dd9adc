//! What a target's answers teach about the cost of the next one: decayed sums, as the rest of the digest.
//!
//! Each is drawn towards a stated prior while little is known, so that one odd answer moves an expectation a little
//! and ten move it. They fade slowly, by half in [`LEARNED_HALF_LIFE`]: a tokenizer does not change within a minute,
//! but what people ask of a route may change within a day.
//!
//! Only what a provider counted itself is learned from. An estimate would teach nothing but itself.

use serde::{Deserialize, Serialize};

use super::digest::{LogMean, WEIGHT_MIN};
use crate::chat::Usage;
use crate::units::{Millis, Tokens};

/// After this time what was learned counts half.
pub const LEARNED_HALF_LIFE: Millis = Millis(1_800_000);
/// A prior is worth this many answers.
const PRIOR_WEIGHT: f64 = 2.0;
/// The largest factor between an estimate and what a provider counts that is believed, either way: the worst pair of
/// script and tokenizer in docs/cost.md is off by less.
pub const PROMPT_FACTOR_MAX: f64 = 4.0;
/// How far an estimate may be too high, as a logarithm: the worst of nine in ten in docs/cost.md, before a target
/// has counted anything, and what stays when it has counted much, because texts differ.
const LN_TOO_HIGH_UNKNOWN: f64 = 0.8;
const LN_TOO_HIGH_KNOWN: f64 = 0.1;
/// The share of a prompt that its provider cached and then still has. Between never and always, because it depends
/// on which of its machines answers; wrong by at most half of the discount until two answers have told.
pub const CACHE_HITS_PRIOR: f64 = 0.5;

/// Decayed sums over answers whose tokens the provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// Prompt tokens as counted, over those estimated.
    pub ln_prompt_factor: LogMean,
    /// Cached tokens over those that were expected to be.
    pub cache_hits: Mean,
    /// Tokens written to the cache over those not read from it.
    pub cache_written: Mean,
    /// Reasoning tokens over answer tokens.
    pub reasoning: Mean,
}

/// A weighted sum of shares from 0 to 1, and the sum of its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    pub sum: f64,
    pub weight: f64,
}

impl Mean {
    /// Adds `part / whole`, at most 1; nothing where there is no whole.
    fn add(&mut self, part: f64, whole: f64) {
        if whole > 0.0 {
            self.sum += (part / whole).min(1.0);
            self.weight += 1.0;
        }
    }

    fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.weight *= factor;
    }

    fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.weight += other.weight;
    }

    fn capped(mut self, weight_max: f64) -> Self {
        if self.weight > weight_max {
            self.scale(weight_max / self.weight);
        }
        self
    }

    fn without(mut self, part: Self) -> Self {
        self.weight -= part.weight;
        if self.weight > WEIGHT_MIN {
            self.sum = (self.sum - part.sum).clamp(0.0, self.weight);
            self
        } else {
            Self::default()
        }
    }

    fn mean(&self, prior: f64) -> f64 {
        (self.sum + PRIOR_WEIGHT * prior) / (self.weight + PRIOR_WEIGHT)
    }
}

/// What was expected of a prompt, to be compared with what its provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// As estimated for no model in particular. Absent where there was more than text: what images and sounds count
    /// says nothing about a tokenizer.
    pub text: Option<Tokens>,
    /// In the cache, as this target counts tokens.
    pub warm: Tokens,
}

impl Learned {
    /// Takes an answer whose tokens its provider counted.
    pub fn observe(&mut self, expected: Expected, usage: &Usage) {
        let counted = usage.prompt.as_f64();
        if let Some(text) = expected.text.filter(|text| text.0 > 0 && counted > 0.0) {
            let factor = counted / text.as_f64();
            let believed = factor.clamp(1.0 / PROMPT_FACTOR_MAX, PROMPT_FACTOR_MAX);
            self.ln_prompt_factor.add(believed, 1.0);
        }
        let cached = usage.cached.as_f64();
        self.cache_hits.add(cached, expected.warm.as_f64());
        self.cache_written
            .add(usage.cache_write.as_f64(), counted - cached);
        self.reasoning
            .add(usage.reasoning.as_f64(), usage.answer.as_f64());
    }

    pub(super) fn scale(&mut self, factor: f64) {
        self.ln_prompt_factor.scale(factor);
        self.cache_hits.scale(factor);
        self.cache_written.scale(factor);
        self.reasoning.scale(factor);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.ln_prompt_factor.merge(other.ln_prompt_factor);
        self.cache_hits.merge(other.cache_hits);
        self.cache_written.merge(other.cache_written);
        self.reasoning.merge(other.reasoning);
    }

    pub(super) fn capped(self, weight_max: f64) -> Self {
        Self {
            ln_prompt_factor: self.ln_prompt_factor.capped(weight_max),
            cache_hits: self.cache_hits.capped(weight_max),
            cache_written: self.cache_written.capped(weight_max),
            reasoning: self.reasoning.capped(weight_max),
        }
    }

    pub(super) fn without(self, part: Self) -> Self {
        Self {
            ln_prompt_factor: self.ln_prompt_factor.without(part.ln_prompt_factor),
            cache_hits: self.cache_hits.without(part.cache_hits),
            cache_written: self.cache_written.without(part.cache_written),
            reasoning: self.reasoning.without(part.reasoning),
        }
    }

    /// What an estimate is to be multiplied with: the geometric mean of what was seen, with a prior of 1.
    #[must_use]
    pub fn prompt_factor(&self) -> f64 {
        let LogMean { sum, weight, .. } = self.ln_prompt_factor;
        libm::exp(sum / (weight + PRIOR_WEIGHT))
    }

    /// What it counts at the least for each token of an estimate, by what was seen.
    #[must_use]
    pub fn prompt_factor_min(&self) -> f64 {
        let unknown = PRIOR_WEIGHT / (self.ln_prompt_factor.weight + PRIOR_WEIGHT);
        let margin = LN_TOO_HIGH_KNOWN + (LN_TOO_HIGH_UNKNOWN - LN_TOO_HIGH_KNOWN) * unknown;
        self.prompt_factor() * libm::exp(-margin)
    }

    #[must_use]
    pub fn cache_hits(&self) -> f64 {
        self.cache_hits.mean(CACHE_HITS_PRIOR)
    }

    /// Nothing is taken to be written until it was: most requests do not ask for it.
    #[must_use]
    pub fn cache_written(&self) -> f64 {
        self.cache_written.mean(0.0)
    }

    /// Nothing is taken for reasoning until it was.
    #[must_use]
    pub fn reasoning(&self) -> f64 {
        self.reasoning.mean(0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(prompt: u64) -> Usage {
        Usage {
            prompt: Tokens(prompt),
            answer: Tokens(1),
            ..Usage::default()
        }
    }

    fn expected(text: u64) -> Expected {
        Expected {
            text: Some(Tokens(text)),
            ..Expected::default()
        }
    }

    proptest! {
        /// After n answers with the same factor, two of n + 2 parts of its logarithm are still to be learned.
        #[test]
        fn the_factor_is_the_geometric_mean_with_two_ones(truth in 250_000_u64..=4_000_000, answers in 0_u32..50) {
            let mut learned = Learned::default();
            for _ in 0..answers {
                learned.observe(expected(1_000_000), &counted(truth));
            }
            let n = f64::from(answers);
            let factor = Tokens(truth).as_f64() / 1e6;
            let error = (factor / learned.prompt_factor()).ln();
            prop_assert!((error - factor.ln() * 2.0 / (n + 2.0)).abs() < 1e-9);
        }

        #[test]
        fn whatever_a_provider_counts_the_figures_stay_in_their_ranges(
            answers in prop::collection::vec(any::<[u64; 6]>(), 1..20)
        ) {
            let mut learned = Learned::default();
            for [prompt, cached, cache_write, answer, reasoning, text] in answers {
                let usage = Usage {
                    prompt: Tokens(prompt),
                    cached: Tokens(cached.min(prompt)),
                    cache_write: Tokens(cache_write.min(prompt)),
                    answer: Tokens(answer),
                    reasoning: Tokens(reasoning.min(answer)),
                    ..Usage::default()
                };
                learned.observe(Expected { text: Some(Tokens(text)), warm: Tokens(text / 2) }, &usage);
            }
            let factor = learned.prompt_factor();
            prop_assert!((1.0 / PROMPT_FACTOR_MAX..=PROMPT_FACTOR_MAX).contains(&factor), "{}", factor);
            for share in [learned.cache_hits(), learned.cache_written(), learned.reasoning()] {
                prop_assert!((0.0..=1.0).contains(&share), "{}", share);
            }
        }
    }

    #[test]
    fn the_least_factor_draws_near_as_more_is_known() {
        let mut learned = Learned::default();
        let mut shares = Vec::new();
        for _ in 0..3 {
            let share = learned.prompt_factor_min() / learned.prompt_factor();
            shares.push((share * 1_000.0).round() / 1_000.0);
            for _ in 0..12 {
                learned.observe(expected(100), &counted(150));
            }
        }
        assert_eq!(format!("{shares:?}"), "[0.449, 0.819, 0.857]");
    }

    #[test]
    fn one_odd_answer_does_not_throw_the_factor() {
        let mut learned = Learned::default();
        learned.observe(expected(10), &counted(1_000_000));
        assert!(learned.prompt_factor() < 1.6);
    }

    fn assert_shares(learned: &Learned, expected: [f64; 3]) {
        let found = [
            learned.cache_hits(),
            learned.cache_written(),
            learned.reasoning(),
        ];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn shares_start_at_their_priors_and_follow_what_is_seen() {
        let mut learned = Learned::default();
        assert_shares(&learned, [0.5, 0.0, 0.0]);
        let usage = Usage {
            prompt: Tokens(3_000),
            cached: Tokens(2_000),
            cache_write: Tokens(500),
            answer: Tokens(100),
            reasoning: Tokens(75),
            ..Usage::default()
        };
        for _ in 0..2 {
            learned.observe(
                Expected {
                    text: None,
                    warm: Tokens(2_000),
                },
                &usage,
            );
        }
        assert_shares(&learned, [0.75, 0.25, 0.375]);
        assert_eq!(learned.ln_prompt_factor, LogMean::default());
    }
}
