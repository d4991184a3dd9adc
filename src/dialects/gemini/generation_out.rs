//! Writes `generationConfig` and the settings beside it.
//!
//! - How much to think is a level, as models from Gemini 3 on take it; those before them take a budget, which a quirk of
//!   the model says (<https://ai.google.dev/gemini-api/docs/thinking>). Whoever asks for thoughts is shown them. The lowest level,
//!   `MINIMAL`, some models refuse, Gemini's Pro and Flash from 3.7 on (same page, 2026-11-22); `LOW` is taken by all.
//!   No budget at all is refused by 2.5 Pro, whose least is 128 tokens.
//! - A seed has 32 bits here; a longer one is cut, since it only has to be the same each time.
//! - `topK` ends at 64, which today's models use themselves; older ones refused more than 40.
//! - Penalties are not sent: since Gemini 2.5 models refuse a request that has them
//!   (<https://github.com/google-gemini/cookbook/issues/1290>).
//! - Labels of others than small letters of ASCII, digits, `_` and `-` are left out. Google Cloud refuses most of those
//!   (<https://docs.cloud.google.com/resource-manager/docs/labels-overview#requirements>).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::quirk::Quirk;
use super::super::read::Raw;
use super::super::{Shape, labels_that};
use crate::chat::{Effort, Format, Request};
use crate::units::Tokens;

const TOP_K_MAX: u32 = 64;
/// The beginnings of names of Gemini's models that know the lowest level.
const MINIMAL: [&str; 4] = [
    "gemini-3-flash",
    "gemini-3.1-flash",
    "gemini-3.5",
    "gemini-3.6",
];
/// What Gemini 2.5 Pro thinks at least, in tokens.
const PRO_BUDGET_MIN: Tokens = Tokens(128);
const LABELS_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 63;

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireGeneration<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<WireThinking>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireThinking {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<Tokens>,
}

impl WireGeneration<'_> {
    pub fn is_empty(&self) -> bool {
        let numbers = [self.temperature, self.top_p];
        let has_number = numbers.iter().any(Option::is_some) || self.max_output_tokens.is_some();
        let has_draw = self.top_k.is_some() || self.seed.is_some();
        let has_form = self.response_mime_type.is_some() || !self.stop_sequences.is_empty();
        let has_more = self.response_logprobs.is_some() || self.thinking_config.is_some();
        !(has_number || has_draw || has_form || has_more)
    }
}

pub(super) fn generation<'a>(request: &'a Request<'a>, shape: &Shape) -> WireGeneration<'a> {
    let schema = match &request.format {
        Some(Format::JsonSchema { schema, .. }) => Some(*schema),
        Some(Format::JsonObject) | None => None,
    };
    let takes_budget = shape.quirks.has(Quirk::ThinkingBudget);
    WireGeneration {
        max_output_tokens: request.answer_tokens_max,
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k.map(|it| it.clamp(1, TOP_K_MAX)),
        seed: request.seed.map(seed),
        stop_sequences: &request.stop,
        response_mime_type: request.format.as_ref().map(|_| "application/json"),
        response_json_schema: schema,
        response_logprobs: request.logprobs.map(|_| true),
        logprobs: request.logprobs.filter(|count| *count > 0),
        thinking_config: request.effort.map(|effort| {
            if takes_budget {
                thinking_budget(effort, shape.model)
            } else {
                thinking_level(effort, shape.model)
            }
        }),
    }
}

fn seed(asked: i64) -> i64 {
    if i32::try_from(asked).is_ok() {
        asked
    } else {
        asked & i64::from(i32::MAX)
    }
}

/// Thoughts are shown to whoever asks for some.
fn thinking_level(effort: Effort, model: &str) -> WireThinking {
    let level = match effort.word() {
        "none" | "minimal" => "MINIMAL",
        "low" => "LOW",
        "medium" => "MEDIUM",
        _ => "HIGH",
    };
    let is_least = level == "MINIMAL";
    let takes_least = MINIMAL.iter().any(|name| model.starts_with(name));
    let takes_least = takes_least || !model.starts_with("gemini-");
    WireThinking {
        include_thoughts: (!is_least).then_some(true),
        thinking_level: Some(if is_least && !takes_least {
            "LOW"
        } else {
            level
        }),
        thinking_budget: None,
    }
}

fn thinking_budget(effort: Effort, model: &str) -> WireThinking {
    let is_least = matches!(effort.word(), "none" | "minimal");
    let least = if model.contains("-pro") {
        PRO_BUDGET_MIN
    } else {
        Tokens(0)
    };
    WireThinking {
        include_thoughts: (!is_least).then_some(true),
        thinking_level: None,
        thinking_budget: Some(effort.budget().unwrap_or_default().max(least)),
    }
}

/// Google's word for one of OpenAI's tiers; none for those that it does not have.
pub(super) fn service_tier(request: &Request) -> Option<&'static str> {
    match request.service_tier.as_deref() {
        Some("flex") => Some("flex"),
        Some("priority") => Some("priority"),
        Some("default") => Some("standard"),
        _ => None,
    }
}

/// Whether Google takes it.
fn is_label(key: &str, value: &str) -> bool {
    let is_known = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
    };
    let fits = |text: &str| text.len() <= LABEL_BYTES_MAX && text.bytes().all(is_known);
    let is_begun = key.bytes().next().is_some_and(|it| it.is_ascii_lowercase());
    is_begun && fits(key) && fits(value)
}

pub(super) fn labels<'a>(request: &'a Request<'a>) -> BTreeMap<&'a str, &'a str> {
    labels_that(request, is_label, LABELS_MAX)
}
