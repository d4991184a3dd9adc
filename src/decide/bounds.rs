//! Which bounds a target is beyond: those of the route, which drop it, and those of the caller, which drop it or set
//! it back.
//!
//! A bound on what is not known is not met: a limit that a guess can pass is none. The expected cost is the one
//! exception, because a target without a price has an assumed one (`cost.rs`).

use super::rules::{is_among, meets};
use super::signals::Signals;
use crate::classify::Traits;
use crate::config::{Bounds, DataCollection, Limits, Target};
use crate::providers::{Ability, DataPolicy};

/// The names of the limits that the target is beyond.
pub(super) fn beyond_limits(
    limits: &Limits,
    target: &Target,
    signals: &Signals,
) -> impl Iterator<Item = &'static str> {
    let price = target.terms.price;
    let is_dearer = |limit: Option<f64>, price: Option<f64>| {
        limit.is_some_and(|limit| price.is_none_or(|price| price > limit))
    };
    let is_above = |limit: Option<f64>, figure: f64| limit.is_some_and(|limit| figure > limit);
    let is_price_above = is_dearer(limits.price_in_max, price.map(|price| price.input))
        || is_dearer(limits.price_out_max, price.map(|price| price.output));
    let ttft_max = limits.ttft_ms_max.map(crate::units::Millis::as_seconds);
    let is_slower = limits
        .tokens_per_second_min
        .is_some_and(|least| 1.0 / signals.seconds_per_token < least);
    named([
        (
            "cost_usd_max",
            is_above(limits.cost_max.map(|cost| cost.0), signals.cost.0),
        ),
        ("usd_per_mtok_max", is_price_above),
        ("ttft_ms_max", is_above(ttft_max, signals.ttft_seconds)),
        ("tokens_per_second_min", is_slower),
    ])
}

/// The names of the caller's bounds that the target is beyond.
pub(super) fn beyond(
    bounds: &Bounds,
    target: &Target,
    traits: &Traits,
    signals: &Signals,
) -> impl Iterator<Item = &'static str> {
    let is_in = |names: &Option<Vec<String>>| {
        names
            .as_ref()
            .map(|names| names.iter().any(|name| is_named(target, name)))
    };
    let max_price = Limits {
        price_in_max: bounds.max_price.prompt,
        price_out_max: bounds.max_price.completion,
        ..Limits::default()
    };
    let policy = data_policy(target);
    let may_collect = bounds.data_collection == Some(DataCollection::Deny)
        && policy.is_none_or(|policy| policy == DataPolicy::Trains);
    let may_retain = bounds.zdr == Some(true) && policy != Some(DataPolicy::ZeroRetention);
    let lacks = bounds.require_parameters == Some(true) && lacks_parameters(target, traits);
    let is_too_dear = beyond_limits(&max_price, target, signals).next().is_some();
    named([
        ("only", is_in(&bounds.only) == Some(false)),
        ("ignore", is_in(&bounds.ignore) == Some(true)),
        ("require", !meets(&bounds.require, target)),
        ("require_parameters", lacks),
        ("data_collection", may_collect),
        ("zdr", may_retain),
        ("max_price", is_too_dear),
    ])
    .chain(beyond_limits(&bounds.limits, target, signals))
}

fn named<const N: usize>(checks: [(&'static str, bool); N]) -> impl Iterator<Item = &'static str> {
    checks
        .into_iter()
        .filter_map(|(name, is_beyond)| is_beyond.then_some(name))
}

/// Whether a caller's name means this target: its id, its provider, or both as `provider/model`.
pub(super) fn is_named(target: &Target, name: &str) -> bool {
    is_called(&target.id, &target.provider.name, &target.model, name)
}

/// The same, of a target's id, provider and model.
pub(super) fn is_called(id: &str, provider: &str, model: &str, name: &str) -> bool {
    let is_both = || {
        name.split_once('/').is_some_and(|(first, second)| {
            first.eq_ignore_ascii_case(provider) && second.eq_ignore_ascii_case(model)
        })
    };
    is_among(&[id, provider], name) || is_both()
}

/// What is private keeps nothing for others.
fn data_policy(target: &Target) -> Option<DataPolicy> {
    if target.is_private {
        return Some(DataPolicy::ZeroRetention);
    }
    target.provider.data_policy
}

/// Whether a field of the request would not reach the target, or it is not known to be able to do what is asked.
fn lacks_parameters(target: &Target, traits: &Traits) -> bool {
    let is_unknown = |needed: bool, ability| needed && !target.terms.is_known_to(ability);
    let carried = target.carries(traits.dialect, traits.endpoint);
    traits.dropped_by(carried).next().is_some()
        || is_unknown(traits.has_tools, Ability::Tools)
        || is_unknown(traits.has_images, Ability::Images)
        || is_unknown(traits.has_json_schema, Ability::JsonSchema)
}
