//! How a route treats requests and failures: who stays where, what may be spent, how long is waited, and what happens then.

use super::read::{Node, Object, Problems};
use super::schema::providers::USD_PER_MTOK_MAX;
use super::schema::route as described;
use super::schema::route::{COST_USD_MAX, DAY_MS, TOKENS_PER_SECOND_MAX};
use crate::units::{MicroUsd, Millis};

/// Whose requests stay with one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    Session,
    User,
    Key,
    /// A request header, by its name in lower case.
    Header(String),
}

/// What a target may be expected to take at most. One that is expected to take more is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Of the whole request.
    #[serde(rename = "cost_micro_usd_max", skip_serializing_if = "Option::is_none")]
    pub cost_max: Option<MicroUsd>,
    /// Of prompt tokens, in US dollars per million. A target without a known price is above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_in_max: Option<f64>,
    /// Of answer tokens, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_out_max: Option<f64>,
    /// Until the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms_max: Option<Millis>,
    /// After the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second_min: Option<f64>,
}

/// How long an attempt may take. Absent means no limit but the Worker's own defaults (`exchange::deadlines`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Deadlines {
    #[serde(rename = "headers_ms", skip_serializing_if = "Option::is_none")]
    pub headers: Option<Millis>,
    #[serde(rename = "first_token_ms", skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Millis>,
    /// Between two pieces of a stream.
    #[serde(rename = "idle_ms", skip_serializing_if = "Option::is_none")]
    pub idle: Option<Millis>,
    /// For the whole exchange. Kills healthy long answers, so there is no default.
    #[serde(rename = "total_ms", skip_serializing_if = "Option::is_none")]
    pub total: Option<Millis>,
}

/// What happens to a stream that breaks after its first good token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Midstream {
    /// A typed error event, then the end.
    #[default]
    Error,
    Continue,
    Buffer,
}

/// What happens when a provider's safety filter refuses before the client has seen any of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtered {
    /// The filter's decision is the answer.
    #[default]
    Stop,
    /// The next target is asked.
    Next,
}

/// Which targets are asked for embeddings once the first has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Embeddings {
    /// Those of the same model: another's vectors cannot be compared with what the client has stored.
    #[default]
    SameModel,
    /// All: the team knows that its models have one space, or stores nothing.
    AnyModel,
}

/// When a second target is asked beside one that has not begun to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hedge {
    /// After this time; else after what the first target's recent streams say.
    pub after: Option<Millis>,
    /// What the second is expected to cost at most.
    pub cost_max: Option<MicroUsd>,
}

impl Limits {
    /// These limits, with `over`'s where it has any.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            cost_max: over.cost_max.or(self.cost_max),
            price_in_max: over.price_in_max.or(self.price_in_max),
            price_out_max: over.price_out_max.or(self.price_out_max),
            ttft_ms_max: over.ttft_ms_max.or(self.ttft_ms_max),
            tokens_per_second_min: over.tokens_per_second_min.or(self.tokens_per_second_min),
        }
    }
}

impl Deadlines {
    /// These deadlines, with `over`'s where it has any.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            headers: over.headers.or(self.headers),
            first_token: over.first_token.or(self.first_token),
            idle: over.idle.or(self.idle),
            total: over.total.or(self.total),
        }
    }
}

pub(super) fn read_sticky(node: &Node<'_>, problems: &mut Problems) -> Option<Sticky> {
    if node.value.is_object() {
        let fields = node.described(&described::STICKY_HEADER, problems)?;
        let header = fields.required("header", "the name of a request header", problems)?;
        let name = header.text(problems)?;
        return Some(Sticky::Header(name.to_ascii_lowercase()));
    }
    let name = node.text(problems)?;
    let chosen = STICKY.iter().find(|(known, _)| *known == name);
    if chosen.is_none() {
        let known = sticky_names();
        problems.unknown_name(&node.path, "whose requests stay together", name, &known);
    }
    chosen.map(|(_, sticky)| sticky.clone())
}

const STICKY: [(&str, Sticky); 3] = [
    ("session", Sticky::Session),
    ("user", Sticky::User),
    ("key", Sticky::Key),
];

/// Whose requests may stay together, but for those with the same value of a header.
pub(super) fn sticky_names() -> Vec<&'static str> {
    STICKY.iter().map(|(name, _)| *name).collect()
}

pub(super) fn read_limits(node: &Node<'_>, problems: &mut Problems) -> Limits {
    node.described(&described::LIMITS, problems)
        .map_or_else(Limits::default, |fields| limits_among(&fields, problems))
}

/// The limits among an object's fields, which its reader knows from the description of limits.
pub(super) fn limits_among(fields: &Object<'_>, problems: &mut Problems) -> Limits {
    let cost_max = fields
        .field("cost_usd_max")
        .and_then(|node| node.number(0.0, COST_USD_MAX, problems))
        .map(|usd| MicroUsd(usd * 1e6));
    let (price_in_max, price_out_max) = fields
        .field("usd_per_mtok_max")
        .map(|node| read_price_max(&node, problems))
        .unwrap_or_default();
    let ttft_ms_max = fields
        .field("ttft_ms_max")
        .and_then(|node| node.whole(1, DAY_MS, problems))
        .map(Millis);
    let tokens_per_second_min = fields
        .field("tokens_per_second_min")
        .and_then(|node| node.number(0.0, TOKENS_PER_SECOND_MAX, problems));
    Limits {
        cost_max,
        price_in_max,
        price_out_max,
        ttft_ms_max,
        tokens_per_second_min,
    }
}

/// Prices of prompt and answer.
fn read_price_max(node: &Node<'_>, problems: &mut Problems) -> (Option<f64>, Option<f64>) {
    let Some(fields) = node.described(&described::PRICE_MAX, problems) else {
        return (None, None);
    };
    let [input, output] = ["in", "out"].map(|name| {
        let node = fields.field(name)?;
        node.number(0.0, USD_PER_MTOK_MAX, problems)
    });
    (input, output)
}

pub(super) fn read_deadlines(node: &Node<'_>, problems: &mut Problems) -> Deadlines {
    let Some(fields) = node.described(&described::DEADLINES, problems) else {
        return Deadlines::default();
    };
    let mut span = |name: &str| {
        let node = fields.field(name)?;
        node.whole(1, DAY_MS, problems).map(Millis)
    };
    Deadlines {
        headers: span("headers_ms"),
        first_token: span("first_token_ms"),
        idle: span("idle_ms"),
        total: span("total_ms"),
    }
}

/// `true`, or an object.
pub(super) fn read_hedge(node: &Node<'_>, problems: &mut Problems) -> Option<Hedge> {
    if !node.value.is_object() {
        return node.flag(problems)?.then(Hedge::default);
    }
    let fields = node.described(&described::HEDGE, problems)?;
    let after = fields
        .field("after_ms")
        .and_then(|node| node.whole(1, DAY_MS, problems))
        .map(Millis);
    let cost_max = fields
        .field("cost_usd_max")
        .and_then(|node| node.number(0.0, COST_USD_MAX, problems))
        .map(|usd| MicroUsd(usd * 1e6));
    Some(Hedge { after, cost_max })
}

pub(super) fn read_midstream(node: &Node<'_>, problems: &mut Problems) -> Option<Midstream> {
    node.choice("what to do with a broken stream", &MIDSTREAM, problems)
}

const MIDSTREAM: [(&str, Midstream); 3] = [
    ("error", Midstream::Error),
    ("continue", Midstream::Continue),
    ("buffer", Midstream::Buffer),
];

pub(super) fn midstream_names() -> Vec<&'static str> {
    MIDSTREAM.iter().map(|(name, _)| *name).collect()
}

pub(super) fn read_filtered(node: &Node<'_>, problems: &mut Problems) -> Option<Filtered> {
    node.choice("what to do with a filtered answer", &FILTERED, problems)
}

const FILTERED: [(&str, Filtered); 2] = [("stop", Filtered::Stop), ("next", Filtered::Next)];

pub(super) const EMBEDDINGS: [(&str, Embeddings); 2] = [
    ("same_model", Embeddings::SameModel),
    ("any_model", Embeddings::AnyModel),
];

pub(super) fn embeddings_names() -> Vec<&'static str> {
    EMBEDDINGS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn filtered_names() -> Vec<&'static str> {
    FILTERED.iter().map(|(name, _)| *name).collect()
}
