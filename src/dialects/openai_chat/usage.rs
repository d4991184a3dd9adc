//! Tokens as chat completions count them.
//!
//! Providers differ in what `completion_tokens` holds: xAI leaves reasoning out of it and shows that in
//! `total_tokens`, so the sum decides. DeepSeek tells cached tokens by a name of its own. Tokens written to a cache,
//! of sounds and of images are told by OpenAI and by OpenRouter (its "usage accounting" page, 2026-11-21), and by
//! few others.

use serde::{Deserialize, Serialize};

use super::super::read::Loose;
use crate::chat::Usage;
use crate::units::Tokens;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadUsage {
    prompt_tokens: Loose<u64>,
    completion_tokens: Loose<u64>,
    total_tokens: Loose<u64>,
    prompt_tokens_details: Loose<PromptDetails>,
    completion_tokens_details: Loose<AnswerDetails>,
    prompt_cache_hit_tokens: Loose<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    #[serde(rename = "cached_tokens")]
    cached: Loose<u64>,
    #[serde(rename = "cache_write_tokens")]
    cache_write: Loose<u64>,
    #[serde(rename = "audio_tokens")]
    audio: Loose<u64>,
    #[serde(rename = "image_tokens")]
    image: Loose<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnswerDetails {
    reasoning_tokens: Loose<u64>,
}

impl ReadUsage {
    /// `None` if it counts nothing: some providers send an empty object in every chunk.
    pub(super) fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_tokens.0;
        let completion = self.completion_tokens.0;
        if prompt.is_none() && completion.is_none() {
            return None;
        }
        let prompt = prompt.unwrap_or_default();
        let completion = completion.unwrap_or_default();
        let prompt_details = self.prompt_tokens_details.0.unwrap_or_default();
        let cached = prompt_details.cached.0.or(self.prompt_cache_hit_tokens.0);
        let part = |count: Option<u64>| Tokens(count.unwrap_or_default().min(prompt));
        let cached = part(cached);
        let fresh = Tokens(prompt - cached.0);
        let details = self.completion_tokens_details.0.unwrap_or_default();
        let reasoning = details.reasoning_tokens.0.unwrap_or_default();
        let with_reasoning = completion.saturating_add(reasoning);
        let is_apart = self.total_tokens.0 == Some(prompt.saturating_add(with_reasoning));
        let answer = if is_apart { with_reasoning } else { completion };
        Some(Usage {
            prompt: Tokens(prompt),
            cached,
            // What was read was not written.
            cache_write: part(prompt_details.cache_write.0).min(fresh),
            audio: part(prompt_details.audio.0),
            image: part(prompt_details.image.0),
            answer: Tokens(answer),
            reasoning: Tokens(reasoning.min(answer)),
        })
    }
}

#[derive(Serialize)]
pub(in super::super) struct WireUsage {
    prompt_tokens: Tokens,
    completion_tokens: Tokens,
    total_tokens: Tokens,
    prompt_tokens_details: WirePromptDetails,
    completion_tokens_details: WireAnswerDetails,
}

#[derive(Serialize)]
struct WirePromptDetails {
    #[serde(rename = "cached_tokens")]
    cached: Tokens,
    #[serde(rename = "cache_write_tokens", skip_serializing_if = "Tokens::is_none")]
    cache_write: Tokens,
    #[serde(rename = "audio_tokens", skip_serializing_if = "Tokens::is_none")]
    audio: Tokens,
    #[serde(rename = "image_tokens", skip_serializing_if = "Tokens::is_none")]
    image: Tokens,
}

#[derive(Serialize)]
struct WireAnswerDetails {
    reasoning_tokens: Tokens,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.answer,
            total_tokens: usage.prompt + usage.answer,
            prompt_tokens_details: WirePromptDetails {
                cached: usage.cached,
                cache_write: usage.cache_write,
                audio: usage.audio,
                image: usage.image,
            },
            completion_tokens_details: WireAnswerDetails {
                reasoning_tokens: usage.reasoning,
            },
        }
    }
}
