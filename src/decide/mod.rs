//! The decision: which targets, in which order, and why.
//!
//! [`plan`] is stateless and exact. Its arguments are all that goes in, a record keeps them, and the same
//! arguments give the same plan, bit for bit, on every platform: logarithms and exponentials are `libm`'s, and
//! draws are hashes of the seed.
//!
//! Three steps, a file each: `rules` drops, `signals` (with `cost`) measures, `stale` widens, and this file orders. The order is one line,
//! `key = score / temperature + gumbel(hash(seed, target))`, sorted descending: a weighted random choice without
//! replacement, whose first place falls to each candidate with its softmax share. With a seed that is a hash of
//! the session it is weighted rendezvous hashing, so sessions stay, with no state anywhere.
//!
//! Not here: presets, canaries and flags. They are values of a route's plain fields, never branches beside this.

mod bounds;
mod cost;
mod rules;
mod seed;
mod signals;
mod stale;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::classify::Traits;
use crate::config::{Constraints, Embeddings, Route};
use crate::dialects::Endpoint;
use crate::health::{Admission, View};

pub use cost::{prompt_tokens, warm_tokens};
pub use rules::{Exclusion, Settings, redirect};
pub use seed::{Seed, SeedSource};
pub use signals::{Contributions, Ring, Signals};

/// Below this a temperature is 0: scores divided by less lose the draw in rounding.
const TEMPERATURE_MIN: f64 = 1e-6;

/// One target under consideration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub target: Arc<str>,
    pub provider: Arc<str>,
    pub model: Arc<str>,
    pub signals: Signals,
    /// The sum of the weighted signals.
    pub score: f64,
    /// The probability that it is tried first.
    pub share: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub excluded: Option<Exclusion>,
    /// The caller's soft bounds that it is beyond. It is tried after the candidates that are within more of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub beyond: Vec<String>,
    pub health: View,
}

/// The candidates in the order in which they will be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Every target of the route, in the route's order.
    pub candidates: Vec<Candidate>,
    /// Places in `candidates`. Ejected targets stand at the end: a router does not give up while a target that
    /// may serve the request has not been tried. One place alone where the caller allows no fallbacks.
    pub order: Vec<usize>,
    /// The rules that fired, by name.
    pub rules: Vec<String>,
    /// What they left of the route's settings; the temperature as it was for this draw.
    pub settings: Settings,
}

impl Plan {
    /// The probability with which the first of the order came first.
    #[must_use]
    pub fn propensity(&self) -> f64 {
        let first = self
            .order
            .first()
            .and_then(|place| self.candidates.get(*place));
        first.map_or(0.0, |candidate| candidate.share)
    }
}

/// Plans a request. `views` holds the health of each of the route's targets, in the route's order.
#[must_use]
pub fn plan(traits: &Traits, route: &Route, views: &[View], seed: u64) -> Plan {
    let unconstrained = Constraints::default();
    let constraints = traits.constraints.as_deref().unwrap_or(&unconstrained);
    let fired = rules::fired(traits, route);
    let mut settings = rules::settings(route, &fired, constraints);
    settings.temperature += stale::width(settings.prefer, views);
    let ring = Ring::of(route, traits);
    let consider = |(place, target): (usize, &crate::config::Target)| {
        let view = views.get(place).copied().unwrap_or_default();
        let mut signals = Signals::of(target, traits, &view, &ring);
        if constraints.sort.is_some() {
            // Sorting by one quantity leaves no room for the route's split.
            signals.weight = 1.0;
        }
        let soft = traits.constraints.iter();
        let beyond = soft.flat_map(|asked| bounds::beyond(&asked.soft, target, traits, &signals));
        Candidate {
            target: Arc::clone(&target.id),
            provider: Arc::clone(&target.provider.name),
            model: Arc::clone(&target.model),
            score: signals.score(settings.prefer),
            share: 0.0,
            excluded: rules::exclusion(target, traits, &view, &settings.limits, &fired, &signals),
            beyond: beyond.map(str::to_owned).collect(),
            signals,
            health: view,
        }
    };
    let mut candidates: Vec<Candidate> = route.targets.iter().enumerate().map(consider).collect();
    let spared = spared(&candidates, route.ejected_share_max);
    let temperature = settings.temperature;
    let mut order = order(&mut candidates, &spared, temperature, constraints, seed);
    if traits.endpoint == Endpoint::Embeddings && route.embeddings == Embeddings::SameModel {
        keep_model_of_first(&mut order, &candidates);
    }
    Plan {
        candidates,
        order,
        settings,
        rules: fired.iter().map(|fired| fired.name.clone()).collect(),
    }
}

/// Vectors of different models cannot be compared: the first choice settles the model.
fn keep_model_of_first(order: &mut Vec<usize>, candidates: &[Candidate]) {
    let model = |place: &usize| candidates.get(*place).map(|candidate| &candidate.model);
    if let Some(first) = order.first().and_then(model) {
        order.retain(|place| model(place) == Some(first));
    }
}

/// Scores and orders candidates as they were recorded, where the route that they are of is not at hand. What rules and
/// limits said of them is taken from them. `embeddings` is the route's, or what its plan says of it.
#[must_use]
pub fn reorder(
    traits: &Traits,
    mut candidates: Vec<Candidate>,
    settings: Settings,
    rules: Vec<String>,
    embeddings: Embeddings,
    seed: u64,
) -> Plan {
    let unconstrained = Constraints::default();
    let constraints = traits.constraints.as_deref().unwrap_or(&unconstrained);
    let is_spared = |it: &Candidate| is_ejected(it) && it.excluded.is_none();
    let places = candidates.iter().enumerate();
    let spared: Vec<usize> = places
        .filter(|(_, candidate)| is_spared(candidate))
        .map(|(place, _)| place)
        .collect();
    for candidate in &mut candidates {
        candidate.score = candidate.signals.score(settings.prefer);
        candidate.share = 0.0;
        if candidate.excluded == Some(Exclusion::Ejected) {
            // It follows from health, once more.
            candidate.excluded = None;
        }
    }
    let temperature = settings.temperature;
    let mut order = order(&mut candidates, &spared, temperature, constraints, seed);
    if traits.endpoint == Endpoint::Embeddings && embeddings == Embeddings::SameModel {
        keep_model_of_first(&mut order, &candidates);
    }
    Plan {
        candidates,
        order,
        rules,
        settings,
    }
}

/// The place of the caller's name for the candidate in its order; the same for all that it does not name.
fn turn(candidate: &Candidate, constraints: &Constraints) -> usize {
    let names = &constraints.order;
    let Candidate {
        target,
        provider,
        model,
        ..
    } = candidate;
    let is_it = |name: &String| bounds::is_called(target, provider, model, name);
    names.iter().position(is_it).unwrap_or(names.len())
}

/// A place, and what it is sorted by: by tier, then by key, then by draw.
struct Ranked {
    place: usize,
    tier: Tier,
    key: f64,
    draw: f64,
    /// The logarithm of what the share is proportional to.
    ln_share: f64,
}

/// Candidates of a lower tier come before all of a higher one, whatever their keys: the admitted before the ejected,
/// then those within more of the caller's soft bounds, then those that the caller names earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tier {
    is_ejected: bool,
    beyond: usize,
    turn: usize,
}

/// The places of those that are asked though they are ejected, because too many are: the likeliest to succeed.
fn spared(candidates: &[Candidate], share_max: f64) -> Vec<usize> {
    if share_max >= 1.0 {
        return Vec::new();
    }
    let open = candidates.iter().enumerate();
    let open = open.filter(|(_, candidate)| candidate.excluded.is_none());
    let ejected: Vec<(usize, &Candidate)> = open
        .clone()
        .filter(|(_, candidate)| is_ejected(candidate))
        .collect();
    let excess = ejected.len() - most_of(open.count(), share_max).min(ejected.len());
    let is_likelier = |a: &(usize, &Candidate), b: &(usize, &Candidate)| {
        let p_success = |candidate: &Candidate| candidate.health.p_success;
        let order = p_success(a.1).total_cmp(&p_success(b.1));
        order.then(b.0.cmp(&a.0)).is_gt()
    };
    let ahead = |it: &(usize, &Candidate)| {
        ejected
            .iter()
            .filter(|other| is_likelier(other, it))
            .count()
    };
    let spared = ejected.iter().filter(|it| ahead(it) < excess);
    spared.map(|(place, _)| *place).collect()
}

/// The largest whole number that is no more than this share of a count.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a route has some hundreds of targets, and a share is from 0 to 1"
)]
fn most_of(count: usize, share: f64) -> usize {
    // A third of three is one, though its product in binary may be less.
    libm::floor(count as f64 * share + 1e-9) as usize
}

fn is_ejected(candidate: &Candidate) -> bool {
    matches!(candidate.health.admission, Admission::Ejected { .. })
}

fn order(
    candidates: &mut [Candidate],
    spared: &[usize],
    temperature: f64,
    constraints: &Constraints,
    seed: u64,
) -> Vec<usize> {
    let is_open = |candidate: &&Candidate| candidate.excluded.is_none();
    // When health alone would leave nobody, it is ignored.
    let is_health_heeded = candidates
        .iter()
        .filter(is_open)
        .any(|candidate| !is_ejected(candidate));
    let rank = |(place, candidate): (usize, &Candidate)| {
        let draw = gumbel(seed, &candidate.target);
        let recovery = match candidate.health.admission {
            Admission::Recovering { share } if is_health_heeded => libm::log(share),
            _ => 0.0,
        };
        let (key, ln_share) = if temperature < TEMPERATURE_MIN {
            (candidate.score, 0.0)
        } else {
            let ln_share = candidate.score / temperature + recovery;
            (ln_share + draw, ln_share)
        };
        Ranked {
            place,
            tier: Tier {
                is_ejected: is_health_heeded && is_ejected(candidate) && !spared.contains(&place),
                beyond: candidate.beyond.len(),
                turn: turn(candidate, constraints),
            },
            key,
            draw,
            ln_share,
        }
    };
    let mut ranked: Vec<Ranked> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.excluded.is_none())
        .map(rank)
        .collect();
    // No two compare equal: their places differ.
    ranked.sort_unstable_by(|a, b| {
        a.tier
            .cmp(&b.tier)
            .then(b.key.total_cmp(&a.key))
            .then(b.draw.total_cmp(&a.draw))
            .then(a.place.cmp(&b.place))
    });
    let shares = shares(&ranked, temperature);
    for (place, share) in shares {
        if let Some(candidate) = candidates.get_mut(place) {
            candidate.share = share;
        }
    }
    for ranked in &ranked {
        if let Some(candidate) = candidates.get_mut(ranked.place)
            && ranked.tier.is_ejected
        {
            candidate.excluded = Some(Exclusion::Ejected);
        }
    }
    let mut order: Vec<usize> = ranked.iter().map(|ranked| ranked.place).collect();
    if constraints.allow_fallbacks == Some(false) && constraints.order.is_empty() {
        order.truncate(1);
    }
    order
}

/// The closed form of what sorting by key draws within the first tier: a softmax; at temperature 0 an even split of
/// the best.
fn shares(ranked: &[Ranked], temperature: f64) -> Vec<(usize, f64)> {
    let first = ranked.first().map(|ranked| ranked.tier);
    let rivals = || {
        let is_rival = |ranked: &&Ranked| Some(ranked.tier) == first;
        ranked.iter().filter(is_rival)
    };
    if temperature < TEMPERATURE_MIN {
        let Some(best) = rivals().map(|ranked| ranked.key).max_by(f64::total_cmp) else {
            return Vec::new();
        };
        let is_best = |ranked: &&Ranked| ranked.key.total_cmp(&best).is_eq();
        let ties = u32::try_from(rivals().filter(is_best).count()).unwrap_or(u32::MAX);
        return rivals()
            .filter(is_best)
            .map(|ranked| (ranked.place, 1.0 / f64::from(ties)))
            .collect();
    }
    let top = rivals()
        .map(|ranked| ranked.ln_share)
        .fold(f64::NEG_INFINITY, f64::max);
    let weight = |ranked: &Ranked| (ranked.place, libm::exp(ranked.ln_share - top));
    let mut shares: Vec<(usize, f64)> = rivals().map(weight).collect();
    let sum: f64 = shares.iter().map(|(_, weight)| weight).sum();
    for (_, share) in &mut shares {
        *share /= sum;
    }
    shares
}

/// A draw from the standard Gumbel distribution that depends on the seed and the target's id alone.
/// The maximum of `ln w + gumbel` is a choice in proportion to `w` (Gumbel 1954; "Gumbel-max trick").
fn gumbel(seed: u64, target: &str) -> f64 {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(target.as_bytes(), seed);
    // 53 bits, moved off 0 and 1 by half a step, so that both logarithms are finite.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number of 53 bits is exact in an f64"
    )]
    let uniform = ((hash >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0);
    -libm::log(-libm::log(uniform))
}
