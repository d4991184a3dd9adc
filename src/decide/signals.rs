//! Measures a candidate: every signal is a positive quantity, and counts by its logarithm.
//!
//! ```text
//! score = ln(weight) − price·ln(cost) − ttft·ln(ttft) − speed·ln(seconds per token)
//!       + quality·ln(quality) + reliability·ln(p_success) − load·ln(1 + rate_limited) − distance·ln(distance)
//!       + room·ln(room)
//! ```
//!
//! Logarithms make units cancel: the same prices in another currency add the same constant to every score. A signal
//! never looks at another candidate, so no candidate can swap two others.
//!
//! To add a signal: a field here, a line in [`Signals::of`] and [`Signals::contributions`], an exponent in `Prefer`.

use serde::{Deserialize, Serialize, Serializer};

use super::cost;
use crate::classify::Traits;
use crate::config::{Prefer, Quality, Route, Target};
use crate::health::View;
use crate::units::MicroUsd;

/// A free target costs this: its logarithm must be finite. A thousandth of a millionth of a dollar.
const COST_MIN: f64 = 1e-3;
/// Rate limits are looked ahead for this long: what is told is as old as the last answer.
const ROOM_HORIZON_SECONDS: f64 = 10.0;
/// A target without any room left counts as this: its logarithm must be finite.
const ROOM_MIN: f64 = 1e-3;
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
    /// What is left of its rate limits, over what the next seconds need of them: above 0, and 1 where that is enough.
    #[serde(skip_serializing_if = "is_plenty", default = "plenty")]
    pub room: f64,
}

fn plenty() -> f64 {
    1.0
}

fn is_plenty(room: &f64) -> bool {
    *room >= plenty()
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
            cost: cost::expected(target, traits, view),
            ttft_seconds: view.ttft_seconds,
            seconds_per_token: view.seconds_per_token,
            quality: quality_for(&target.quality, traits.topic.as_deref()),
            p_success: view.p_success,
            rate_limited: view.rate_limited,
            distance: ring.distance(target.region.as_deref()),
            room: room(traits, view),
        }
    }

    /// The weighted sum of logarithms.
    #[must_use]
    pub fn score(&self, prefer: Prefer) -> f64 {
        self.contributions(prefer).sum()
    }

    /// The terms of that sum. Finite: every quantity is positive and every exponent bounded.
    #[must_use]
    pub fn contributions(&self, prefer: Prefer) -> Contributions {
        // Most routes prefer by few signals, and a logarithm costs more than the rest of a term.
        let term = |exponent: f64, quantity: f64| match exponent {
            0.0 => 0.0,
            exponent => exponent * libm::log(quantity),
        };
        let liked = |exponent: f64, quantity: f64| 0.0 + term(exponent, quantity);
        let disliked = |exponent: f64, quantity: f64| 0.0 - term(exponent, quantity);
        Contributions([
            ("weight", liked(1.0, self.weight)),
            ("price", disliked(prefer.price, self.cost.0.max(COST_MIN))),
            ("ttft", disliked(prefer.ttft, self.ttft_seconds)),
            ("speed", disliked(prefer.speed, self.seconds_per_token)),
            ("quality", liked(prefer.quality, self.quality)),
            ("reliability", liked(prefer.reliability, self.p_success)),
            ("load", disliked(prefer.load, 1.0 + self.rate_limited)),
            ("distance", disliked(prefer.distance, self.distance)),
            ("room", liked(prefer.room, self.room)),
        ])
    }
}

/// What each signal adds to a candidate's score, by the name of its preference. A JSON object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contributions(pub [(&'static str, f64); CONTRIBUTIONS]);

/// The weight, and one signal for each exponent of `Prefer`.
pub const CONTRIBUTIONS: usize = 9;

impl Contributions {
    /// In the order in which they stand: a sum of other rounding could decide a tie another way.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.0.iter().fold(0.0, |sum, (_, term)| sum + term)
    }
}

impl Serialize for Contributions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

/// What is left of the limits, over what this request and those of the next [`ROOM_HORIZON_SECONDS`] need.
fn room(traits: &Traits, view: &View) -> f64 {
    let Some(left) = view.room else {
        return plenty();
    };
    let requests = 1.0 + left.attempts_per_second * ROOM_HORIZON_SECONDS;
    let each = cost::prompt_tokens(traits, view).as_f64() + view.answer_tokens;
    let enough = |left: Option<f64>, needed: f64| left.map_or(plenty(), |left| left / needed);
    let room = enough(left.requests, requests).min(enough(left.tokens, requests * each.max(1.0)));
    // No number is none: a record may hold anything.
    if room >= ROOM_MIN {
        room.min(plenty())
    } else {
        ROOM_MIN
    }
}

fn quality_for(quality: &Quality, topic: Option<&str>) -> f64 {
    let by_topic = topic.and_then(|topic| quality.by_topic.get(topic));
    by_topic
        .copied()
        .or(quality.other)
        .unwrap_or(QUALITY_ASSUMED)
}
