//! What each provider of a scenario can do: how fast it is, how much it takes at once, and how it fails on a good day.

use super::dice::Spread;
use super::scenario::{Region, count, number, spread};
use super::whole;
use crate::config::{Node, Object, Problems, Route};
use crate::dialects::Dialect;
use crate::units::Millis;

/// What a provider can do.
#[derive(Debug)]
pub(super) struct Capacity {
    pub name: String,
    pub base_url: String,
    pub ttft_ms: Spread,
    /// Of one stream.
    pub tokens_per_s: f64,
    pub answer_tokens: Spread,
    /// Streams at once; absent where there is no end.
    pub concurrent_max: Option<f64>,
    pub when_full: WhenFull,
    pub retry_after: Option<Millis>,
    /// By what factor all takes longer when it is full; in between in proportion.
    pub slowdown: f64,
    /// The share of calls that get a 500 at the best of times.
    pub error_share: f64,
    /// How soon it says no.
    pub error_after: Millis,
    /// The way there and back, by the place of the caller's region.
    pub rtt: Vec<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    Limit,
    Queue,
}

/// The capacity of each provider of the route's targets.
pub(super) fn read(
    fields: &Object<'_>,
    route: &Route,
    regions: &[Region],
    scale: f64,
    problems: &mut Problems,
) -> Option<Vec<Capacity>> {
    let expected = "an object: what each provider of the route can do, by its name";
    let node = fields.required("capacity", expected, problems)?;
    let given = node.open_object(problems)?;
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (place, target) in route.targets.iter().enumerate() {
        let provider = &target.provider;
        if provider.dialect != Dialect::OpenaiChat {
            let path = format!("route.targets[{place}].provider");
            let expected = "a provider of the dialect `openai-chat`, the one that is simulated";
            problems.note(&path, expected, provider.dialect.name());
        }
        let known = (provider.name.as_ref(), provider.base_url.as_str());
        if !names.contains(&known) {
            names.push(known);
        }
    }
    let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    for (name, node) in given.fields() {
        if !known.contains(&name) {
            problems.unknown_name(
                &node.path,
                "a provider of the route's targets",
                name,
                &known,
            );
        }
    }
    let mut capacities = Vec::new();
    for (name, base_url) in names {
        let node = given.required(name, "what this provider can do", problems);
        let capacity = node.and_then(|node| capacity(&node, (name, base_url), scale, problems));
        if let Some((mut capacity, rtt)) = capacity {
            let of = |region: &Region| {
                let known = rtt.iter().find(|(name, _)| *name == region.name);
                known.map_or(Millis(0), |(_, rtt)| *rtt)
            };
            capacity.rtt = regions.iter().map(of).collect();
            capacities.push(capacity);
        }
    }
    Some(capacities)
}

const CAPACITY: [&str; 10] = [
    "ttft_ms",
    "tokens_per_s",
    "answer_tokens",
    "concurrent_max",
    "when_full",
    "retry_after_s",
    "slowdown",
    "error_share",
    "error_after_ms",
    "rtt_ms",
];

/// With the ways to it, by the name of the region.
fn capacity(
    node: &Node<'_>,
    (name, base_url): (&str, &str),
    scale: f64,
    problems: &mut Problems,
) -> Option<(Capacity, Vec<(String, Millis)>)> {
    let fields = node.object(&CAPACITY, problems)?;
    let concurrent = fields.field("concurrent_max");
    let concurrent = concurrent.and_then(|node| node.number(1.0, 1e9, problems));
    let kinds = [("limit", WhenFull::Limit), ("queue", WhenFull::Queue)];
    let when_full = fields.field("when_full");
    let when_full = when_full.and_then(|node| node.choice("one of", &kinds, problems));
    let retry_after = fields.field("retry_after_s");
    let retry_after = retry_after.and_then(|node| node.number(0.0, 600.0, problems));
    let mut rtt = Vec::new();
    if let Some(node) = fields.field("rtt_ms") {
        for (region, node) in node.open_object(problems)?.fields() {
            let wait = node.number(0.0, 60_000.0, problems).unwrap_or_default();
            rtt.push((region.to_owned(), Millis(whole(wait))));
        }
    }
    let capacity = Capacity {
        name: name.to_owned(),
        base_url: base_url.to_owned(),
        ttft_ms: spread(&fields, "ttft_ms", (400.0, 1_200.0), problems),
        tokens_per_s: number(&fields, "tokens_per_s", 60.0, (0.1, 1e6), problems),
        answer_tokens: spread(&fields, "answer_tokens", (200.0, 800.0), problems),
        concurrent_max: concurrent.map(|most| (most * scale).max(1.0)),
        when_full: when_full.unwrap_or(WhenFull::Limit),
        retry_after: retry_after.map(Millis::from_seconds),
        slowdown: number(&fields, "slowdown", 1.0, (1.0, 100.0), problems),
        error_share: number(&fields, "error_share", 0.0, (0.0, 1.0), problems),
        error_after: Millis(count(&fields, "error_after_ms", 50, (0, 60_000), problems)),
        rtt: Vec::new(),
    };
    Some((capacity, rtt))
}
