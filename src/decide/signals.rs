//! Measures a candidate: every signal is a positive quantity, and counts by its logarithm.
//!
//! ```text
//! score = ln(weight) − price·ln(cost) − ttft·ln(ttft) − speed·ln(seconds per token)
//!       + quality·ln(quality) + reliability·ln(p_success) − load·ln(1 + rate_limited) − distance·ln(distance)
//! ```
//!
//! Logarithms make units cancel: the same prices in another currency add the same constant to every score. A signal
//! never looks at another candidate, so no candidate can swap two others.
//!
//! To add a signal: a field here, a line in [`Signals::of`] and [`Signals::score`], an exponent in `Prefer`.

use serde::{Deserialize, Serialize};

use crate::classify::Traits;
use crate::config::{Prefer, Quality, Route, Target};
use crate::health::View;
use crate::providers::Price;
use crate::units::{MicroUsd, Tokens};

/// What a model without a listed price is taken to cost: a mid-sized model's price in 2026.
const PRICE_ASSUMED: Price = Price {
    input: 1.0,
    input_cached: 1.0,
    output: 4.0,
};
/// A free target costs this: its logarithm must be finite. A thousandth of a millionth of a dollar.
const COST_MIN: f64 = 1e-3;
/// What a target without a stated quality is taken for.
const QUALITY_ASSUMED: f64 = 0.5;

/// The measured quantities of one candidate for one request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    pub weight: f64,
    /// What this request is expected to cost here.
    #[serde(rename = "cost_micro_usd")]
    pub cost: MicroUsd,
    pub ttft_seconds: f64,
    pub seconds_per_token: f64,
    /// From 0 (excluded) to 1.
    pub quality: f64,
    pub p_success: f64,
    /// Answers of late that said it was rate limited, each worth half after 30 s.
    pub rate_limited: f64,
    /// The place of its region in the ring, from 1; one more than the last for a region that is not in it.
    pub distance: f64,
}

/// Regions from the nearest to the farthest, for one caller.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    regions: &'a [String],
}

impl<'a> Ring<'a> {
    #[must_use]
    pub fn of(route: &'a Route, traits: &Traits) -> Self {
        let here = traits.continent.as_deref().unwrap_or("*");
        let regions = route.ring.get(here).or_else(|| route.ring.get("*"));
        Self {
            regions: regions.map_or(&[], Vec::as_slice),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a ring has some tens of regions"
    )]
    fn distance(&self, region: Option<&str>) -> f64 {
        let is_it =
            |known: &String| region.is_some_and(|region| known.eq_ignore_ascii_case(region));
        let place = self.regions.iter().position(is_it);
        (place.unwrap_or(self.regions.len()) + 1) as f64
    }
}

impl Signals {
    #[must_use]
    pub fn of(target: &Target, traits: &Traits, view: &View, ring: &Ring<'_>) -> Self {
        Self {
            weight: target.weight,
            cost: expected_cost(target, traits, view),
            ttft_seconds: view.ttft_seconds,
            seconds_per_token: view.seconds_per_token,
            quality: quality_for(&target.quality, traits.topic.as_deref()),
            p_success: view.p_success,
            rate_limited: view.rate_limited,
            distance: ring.distance(target.region.as_deref()),
        }
    }

    /// The weighted sum of logarithms. Finite: every quantity is positive and every exponent bounded.
    #[must_use]
    pub fn score(&self, prefer: Prefer) -> f64 {
        libm::log(self.weight)
            - prefer.price * libm::log(self.cost.0.max(COST_MIN))
            - prefer.ttft * libm::log(self.ttft_seconds)
            - prefer.speed * libm::log(self.seconds_per_token)
            + prefer.quality * libm::log(self.quality)
            + prefer.reliability * libm::log(self.p_success)
            - prefer.load * libm::log(1.0 + self.rate_limited)
            - prefer.distance * libm::log(self.distance)
    }
}

/// Prompt tokens as estimated, answer tokens as this target's recent answers had, up to the client's limit.
fn expected_cost(target: &Target, traits: &Traits, view: &View) -> MicroUsd {
    let price = target.terms.price.unwrap_or(PRICE_ASSUMED);
    let limit = traits
        .answer_tokens_max
        .map_or(f64::INFINITY, Tokens::as_f64);
    let answer = MicroUsd(view.answer_tokens.min(limit) * price.output);
    price.cost(traits.prompt_tokens, Tokens(0), Tokens(0)) + answer
}

fn quality_for(quality: &Quality, topic: Option<&str>) -> f64 {
    let by_topic = topic.and_then(|topic| quality.by_topic.get(topic));
    by_topic
        .copied()
        .or(quality.other)
        .unwrap_or(QUALITY_ASSUMED)
}
