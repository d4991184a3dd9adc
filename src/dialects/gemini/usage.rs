//! Tokens as Gemini counts them: what the model thought is no part of what it said, and the results of tools that run at
//! Google are no part of the prompt. Cached tokens are part of the prompt.

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::read::{self, Raw};
use super::wire::loose;
use crate::chat::Usage;
use crate::units::Tokens;

/// `None` if it counts nothing: Vertex tells the kind of traffic in every chunk, and figures in the last alone.
pub(super) fn read_usage(raw: Option<Raw>) -> Option<Usage> {
    let names = [
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "toolUsePromptTokenCount",
        "cachedContentTokenCount",
        "promptTokensDetails",
    ];
    let [prompt, said, thought, tool_use, cached, details] = loose(raw, names);
    let counts = [prompt, said, thought].map(count);
    if counts.iter().all(Option::is_none) {
        return None;
    }
    let [prompt, said, reasoning] = counts.map(Option::unwrap_or_default);
    let prompt = prompt + count(tool_use).unwrap_or_default();
    let (mut audio, mut image) = (Tokens(0), Tokens(0));
    if let Some(details) = details {
        // What is no list tells nothing.
        let _ = read::each(details, format_args!(""), &mut |_, detail| {
            let [modality, tokens] = loose(Some(detail), ["modality", "tokenCount"]);
            let tokens = count(tokens).unwrap_or_default();
            match modality.map(RawValue::get) {
                Some("\"AUDIO\"") => audio = audio + tokens,
                Some("\"IMAGE\"") => image = image + tokens,
                _ => {}
            }
            Ok(())
        });
    }
    Some(Usage {
        prompt,
        cached: count(cached).unwrap_or_default().min(prompt),
        audio: audio.min(prompt),
        image: image.min(prompt),
        answer: said + reasoning,
        reasoning,
        ..Usage::default()
    })
}

fn count(raw: Option<Raw>) -> Option<Tokens> {
    serde_json::from_str(raw?.get()).ok().map(Tokens)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireUsage {
    prompt_token_count: Tokens,
    #[serde(skip_serializing_if = "Tokens::is_none")]
    cached_content_token_count: Tokens,
    candidates_token_count: Tokens,
    #[serde(skip_serializing_if = "Tokens::is_none")]
    thoughts_token_count: Tokens,
    total_token_count: Tokens,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompt_tokens_details: Vec<WireDetail>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireDetail {
    modality: &'static str,
    token_count: Tokens,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        let others = usage.audio + usage.image;
        let text = Tokens(usage.prompt.0.saturating_sub(others.0));
        let details = [
            ("TEXT", text),
            ("IMAGE", usage.image),
            ("AUDIO", usage.audio),
        ];
        let is_told = |(_, count): &(&str, Tokens)| !others.is_none() && !count.is_none();
        Self {
            prompt_token_count: usage.prompt,
            cached_content_token_count: usage.cached,
            candidates_token_count: Tokens(usage.answer.0.saturating_sub(usage.reasoning.0)),
            thoughts_token_count: usage.reasoning,
            total_token_count: usage.prompt + usage.answer,
            prompt_tokens_details: details
                .into_iter()
                .filter(is_told)
                .map(|(modality, token_count)| WireDetail {
                    modality,
                    token_count,
                })
                .collect(),
        }
    }
}
