//! Thoughts that carry a seal, as OpenRouter writes them into chat completions: `reasoning_details` beside the plain
//! `reasoning_content`. A client gives them back unchanged in the next turn.
//!
//! Each names by its `format` whose it is
//! (<https://openrouter.ai/docs/use-cases/reasoning-tokens>, "Preserving reasoning blocks", 2026-11-21). OpenAI's come in
//! two: the summary, and what is encrypted. In a stream ours come whole, when the seal does: clients that gather deltas
//! and clients that join them by `index` then read the same.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::feature::Feature;
use super::super::read::{Loose, Object, Raw, Text};
use crate::chat::{Reasoning, Seal, SealForm, Signer};

const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadDetail<'a> {
    #[serde(borrow)]
    text: Loose<Text<'a>>,
    #[serde(borrow)]
    summary: Loose<Text<'a>>,
    #[serde(borrow)]
    data: Loose<Text<'a>>,
    #[serde(borrow)]
    signature: Loose<Text<'a>>,
    #[serde(borrow)]
    id: Loose<Text<'a>>,
    #[serde(borrow)]
    format: Loose<Text<'a>>,
}

/// The thoughts in `reasoning_details`. What is not as it should be is left out: no provider could read it either.
pub(super) fn read_details(raw: Raw<'_>) -> Vec<Reasoning<'_>> {
    let details: Vec<Loose<Object<ReadDetail>>> =
        serde_json::from_str(raw.get()).unwrap_or_default();
    let mut thoughts: Vec<Reasoning> = Vec::new();
    for Object(detail) in details.into_iter().filter_map(|detail| detail.0) {
        let thought = read_detail(detail);
        let is_sealed = thought.seal.is_some();
        match thoughts.last_mut() {
            // What is encrypted belongs to the summary before it.
            Some(last) if last.seal.is_none() && is_sealed && thought.text.is_empty() => {
                last.seal = thought.seal;
            }
            _ if thought.text.is_empty() && !is_sealed => {}
            _ => thoughts.push(thought),
        }
    }
    thoughts
}

fn read_detail(detail: ReadDetail<'_>) -> Reasoning<'_> {
    let signer = detail.format.0.and_then(|format| match &*format.0 {
        "anthropic-claude-v1" => Some(Signer::Anthropic),
        "openai-responses-v1" => Some(Signer::Openai),
        "google-gemini-v1" => Some(Signer::Google),
        _ => None,
    });
    let signature = detail.signature.0.map(|words| (SealForm::Signature, words));
    let encrypted = detail.data.0.map(|words| (SealForm::Encrypted, words));
    let words = signature.or(encrypted);
    let seal = words.zip(signer).map(|((form, words), by)| Seal {
        by,
        form,
        words: words.0,
        id: detail.id.0.map(|id| id.0),
    });
    let text = detail.text.0.or(detail.summary.0);
    Reasoning {
        text: text.unwrap_or_default().0,
        seal: seal.filter(|seal| !seal.words.is_empty()),
    }
}

/// What carrying a thought takes.
pub(in super::super) fn feature(thought: &Reasoning) -> Feature {
    match thought.seal.as_ref().map(|seal| seal.by) {
        Some(Signer::Anthropic) => Feature::AnthropicReasoning,
        Some(Signer::Openai) => Feature::OpenaiReasoning,
        Some(Signer::Google) => Feature::GoogleReasoning,
        None => Feature::Reasoning,
    }
}

#[derive(Default, Serialize)]
pub(super) struct WireDetail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    format: &'static str,
    index: usize,
}

/// A sealed thought; `index` is its number in the answer.
pub(super) fn details<'a>(
    text: &'a str,
    seal: &'a Seal<'_>,
    index: usize,
) -> impl Iterator<Item = WireDetail<'a>> {
    let format = match seal.by {
        Signer::Anthropic => "anthropic-claude-v1",
        Signer::Openai => "openai-responses-v1",
        Signer::Google => "google-gemini-v1",
    };
    let words = Some(&*seal.words);
    let plain = WireDetail {
        id: seal.id.as_deref(),
        format,
        index,
        ..WireDetail::default()
    };
    let is_signed = seal.form == SealForm::Signature;
    let last = WireDetail {
        kind: if is_signed { TEXT } else { ENCRYPTED },
        text: is_signed.then_some(text),
        signature: words.filter(|_| is_signed),
        data: words.filter(|_| !is_signed),
        ..plain
    };
    let summary = (!is_signed && !text.is_empty()).then(|| WireDetail {
        kind: SUMMARY,
        summary: Some(text),
        id: seal.id.as_deref(),
        format,
        index,
        ..WireDetail::default()
    });
    summary.into_iter().chain([last])
}

/// The seals in a provider's `reasoning_details`. Their text stands in `reasoning` too.
pub(super) fn seals(raw: Raw<'_>) -> Vec<(Cow<'_, str>, Seal<'static>)> {
    let thoughts = read_details(raw).into_iter();
    let sealed = thoughts.filter_map(|thought| Some((thought.text, thought.seal?.into_owned())));
    sealed.collect()
}

/// A call's seal, as Google's own compatible endpoint writes it
/// (<https://ai.google.dev/gemini-api/docs/thought-signatures>, 2026-11-21).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ExtraContent<'a> {
    #[serde(borrow)]
    google: Loose<ReadGoogle<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadGoogle<'a> {
    #[serde(borrow)]
    thought_signature: Loose<Text<'a>>,
}

impl<'a> ExtraContent<'a> {
    pub fn signature(self) -> Option<Cow<'a, str>> {
        let signature = self.google.0?.thought_signature.0?.0;
        (!signature.is_empty()).then_some(signature)
    }
}

#[derive(Serialize)]
pub(super) struct WireExtraContent<'a> {
    google: WireGoogle<'a>,
}

#[derive(Serialize)]
struct WireGoogle<'a> {
    thought_signature: &'a str,
}

impl<'a> WireExtraContent<'a> {
    pub fn new(thought_signature: &'a str) -> Self {
        let google = WireGoogle { thought_signature };
        Self { google }
    }
}
