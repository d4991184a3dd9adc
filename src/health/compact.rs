//! A digest on the wire: its sums as one array of numbers, rounded to six digits, without the zeros at its end.
//!
//! Named fields would be four times as long, and there is a digest for each target and `PoP`. The instant is not in the
//! array: whoever holds many digests has decayed them to one. Numbers may be added at the end: what is not there is 0.
//!
//! What arrives is believed only if it can be: numbers that no observations give are taken for nothing at all.

use serde::{Deserialize, Deserializer, Serializer};

use super::digest::{Digest, LogMean};
use super::learned::{Learned, Mean};
use crate::units::UnixMillis;

/// Numbers of one digest.
const FIGURES: usize = 21;
/// No isolate sees more within some half-lives.
const WEIGHT_MAX: f64 = 1e9;
/// Sums of successes may be this much over those of attempts, by rounding.
const ROUNDING: f64 = 1e-3;

pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    let figures = figures(digest).map(rounded);
    let last = figures.iter().rposition(|figure| *figure != 0.0);
    serializer.collect_seq(figures.iter().take(last.map_or(0, |last| last + 1)))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let given = Vec::<f64>::deserialize(deserializer)?;
    let mut figures = [0.0; FIGURES];
    for (figure, given) in figures.iter_mut().zip(given) {
        *figure = given;
    }
    let digest = digest(figures);
    Ok(if is_possible(&digest) {
        digest
    } else {
        Digest::default()
    })
}

/// To six significant digits.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return 0.0;
    }
    let scale = libm::pow(10.0, 5.0 - libm::floor(libm::log10(figure.abs())));
    let rounded = libm::round(figure * scale) / scale;
    if rounded.is_finite() { rounded } else { 0.0 }
}

fn figures(digest: &Digest) -> [f64; FIGURES] {
    let (ttft, per_token) = (digest.ln_ttft_seconds, digest.ln_seconds_per_token);
    let (answer, learned) = (digest.ln_answer_tokens, digest.learned);
    let prompt = learned.ln_prompt_factor;
    [
        digest.attempts,
        digest.successes,
        digest.rate_limited,
        ttft.sum,
        ttft.squares,
        ttft.weight,
        per_token.sum,
        per_token.squares,
        per_token.weight,
        answer.sum,
        answer.squares,
        answer.weight,
        prompt.sum,
        prompt.squares,
        prompt.weight,
        learned.cache_hits.sum,
        learned.cache_hits.weight,
        learned.cache_written.sum,
        learned.cache_written.weight,
        learned.reasoning.sum,
        learned.reasoning.weight,
    ]
}

fn digest(figures: [f64; FIGURES]) -> Digest {
    let [attempts, successes, rate_limited, rest @ ..] = figures;
    let [t1, t2, t3, p1, p2, p3, a1, a2, a3, f1, f2, f3, rest @ ..] = rest;
    let [h1, h2, w1, w2, r1, r2] = rest;
    let log_mean = |sum, squares, weight| LogMean {
        sum,
        squares,
        weight,
    };
    let mean = |sum, weight| Mean { sum, weight };
    Digest {
        at: UnixMillis(0),
        attempts,
        successes,
        rate_limited,
        ln_ttft_seconds: log_mean(t1, t2, t3),
        ln_seconds_per_token: log_mean(p1, p2, p3),
        ln_answer_tokens: log_mean(a1, a2, a3),
        learned: Learned {
            ln_prompt_factor: log_mean(f1, f2, f3),
            cache_hits: mean(h1, h2),
            cache_written: mean(w1, w2),
            reasoning: mean(r1, r2),
        },
    }
}

fn is_possible(digest: &Digest) -> bool {
    let is_weight = |weight: f64| (0.0..=WEIGHT_MAX).contains(&weight);
    let is_share = |mean: Mean| {
        is_weight(mean.weight) && (0.0..=mean.weight * (1.0 + ROUNDING)).contains(&mean.sum)
    };
    // The logarithm of what can be measured lies within ±30, from 1e-4 up to a day or all tokens there are.
    let is_log_mean = |mean: LogMean| {
        let span = 30.0 * mean.weight * (1.0 + ROUNDING);
        is_weight(mean.weight)
            && (-span..=span).contains(&mean.sum)
            && (0.0..=30.0 * span).contains(&mean.squares)
    };
    let learned = digest.learned;
    is_weight(digest.attempts)
        && (0.0..=digest.attempts * (1.0 + ROUNDING)).contains(&digest.successes)
        && is_weight(digest.rate_limited)
        && [
            digest.ln_ttft_seconds,
            digest.ln_seconds_per_token,
            digest.ln_answer_tokens,
            learned.ln_prompt_factor,
        ]
        .into_iter()
        .all(is_log_mean)
        && [learned.cache_hits, learned.cache_written, learned.reasoning]
            .into_iter()
            .all(is_share)
}
