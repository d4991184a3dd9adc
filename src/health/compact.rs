//! What is told of a target, on the wire: one array of numbers, rounded to six digits, without the zeros at its end.
//!
//! First the verdict in four numbers, all 0 where there is none; then the digest's sums. Named fields would be four times
//! as long, and there is such an array for each target and `PoP`. A roll-up has its votes in the place of the verdict. The instant of the sums is not in it: whoever holds many
//! has decayed them to one. Numbers may be added at the end: what is not there is 0.
//!
//! What arrives is believed only if it can be: numbers that no observations give are taken for nothing at all.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::{Digest, LogMean};
use super::learned::{Learned, Mean};
use super::report::{Told, Verdict};
use super::standing::State;
use super::votes::{RollUp, Votes};
use crate::units::UnixMillis;

/// Numbers of one digest.
const FIGURES: usize = 21;
/// Numbers of one verdict: since when, the state, until when or 0, and its count.
const WORDS: usize = 4;
/// No isolate sees more within some half-lives.
const WEIGHT_MAX: f64 = 1e9;
/// Sums of successes may be this much over those of attempts, by rounding.
const ROUNDING: f64 = 1e-3;
/// What is below a millionth is none.
const FIGURE_MIN: f64 = 1e-6;

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(words(self.verdict), &self.digest, serializer)
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (words, digest) = read(deserializer)?;
        Ok(Self {
            digest,
            verdict: verdict(words),
        })
    }
}

impl Serialize for RollUp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Votes {
            against,
            others,
            since,
        } = self.votes;
        let since = instant(since.unwrap_or_default());
        let words = [since, f64::from(against), f64::from(others), 0.0];
        write(words, &self.digest, serializer)
    }
}

impl<'de> Deserialize<'de> for RollUp {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversions saturate, which is meant"
    )]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ([since, against, others, _], digest) = read(deserializer)?;
        let since = UnixMillis(since as u64);
        let votes = Votes {
            against: against as u32,
            others: others as u32,
            since: (since.0 > 0).then_some(since),
        };
        Ok(Self { digest, votes })
    }
}

fn write<S: Serializer>(
    words: [f64; WORDS],
    digest: &Digest,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut numbers: Vec<f64> = words.to_vec();
    numbers.extend(figures(digest).map(rounded));
    while numbers.last() == Some(&0.0) {
        numbers.pop();
    }
    numbers.serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<([f64; WORDS], Digest), D::Error> {
    let given = Vec::<f64>::deserialize(deserializer)?;
    let mut words = [0.0; WORDS];
    let mut figures = [0.0; FIGURES];
    for (number, given) in words.iter_mut().chain(&mut figures).zip(given) {
        *number = given;
    }
    let digest = digest(figures);
    let is_possible = is_possible(&digest);
    let digest = if is_possible {
        digest
    } else {
        Digest::default()
    };
    Ok((words, digest))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "instants and spans in milliseconds are below 2^53"
)]
fn instant(at: UnixMillis) -> f64 {
    at.0 as f64
}

fn words(verdict: Option<Verdict>) -> [f64; WORDS] {
    let Some(Verdict { at, state }) = verdict else {
        return [0.0; WORDS];
    };
    let (kind, until, count) = match state {
        State::Admitted => (1.0, UnixMillis(0), 0),
        State::Ejected { until, count } => (2.0, until, count),
        State::Probing { until, count } => (3.0, until, count),
        State::Recovering { successes } => (4.0, UnixMillis(0), successes),
    };
    [instant(at), kind, instant(until), f64::from(count)]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversions saturate, which is meant"
)]
fn verdict([at, kind, until, count]: [f64; WORDS]) -> Option<Verdict> {
    let (until, count) = (UnixMillis(until as u64), count as u32);
    let state = match kind as u8 {
        1 => State::Admitted,
        2 => State::Ejected { until, count },
        3 => State::Probing { until, count },
        4 => State::Recovering { successes: count },
        _ => return None,
    };
    let at = UnixMillis(at as u64);
    Some(Verdict { at, state })
}

/// To six significant digits.
fn rounded(figure: f64) -> f64 {
    if !(FIGURE_MIN..=f64::MAX).contains(&figure.abs()) {
        return 0.0;
    }
    let mut scale = 1.0;
    while figure.abs() * scale < 1e5 {
        scale *= 10.0;
    }
    libm::round(figure * scale) / scale
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
