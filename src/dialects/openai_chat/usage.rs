//! Tokens as chat completions count them.
//!
//! Providers differ in what `completion_tokens` holds: xAI leaves reasoning out of it and shows that in
//! `total_tokens`, so the sum decides. DeepSeek tells cached tokens by a name of its own.

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
    cached_tokens: Loose<u64>,
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
        let details = self.prompt_tokens_details.0.unwrap_or_default();
        let cached = details.cached_tokens.0.or(self.prompt_cache_hit_tokens.0);
        let details = self.completion_tokens_details.0.unwrap_or_default();
        let reasoning = details.reasoning_tokens.0.unwrap_or_default();
        let with_reasoning = completion.saturating_add(reasoning);
        let is_apart = self.total_tokens.0 == Some(prompt.saturating_add(with_reasoning));
        let answer = if is_apart { with_reasoning } else { completion };
        Some(Usage {
            prompt: Tokens(prompt),
            cached: Tokens(cached.unwrap_or_default().min(prompt)),
            answer: Tokens(answer),
            reasoning: Tokens(reasoning.min(answer)),
        })
    }
}

#[derive(Serialize)]
pub(super) struct WireUsage {
    prompt_tokens: Tokens,
    completion_tokens: Tokens,
    total_tokens: Tokens,
    prompt_tokens_details: WirePromptDetails,
    completion_tokens_details: WireAnswerDetails,
}

#[derive(Serialize)]
struct WirePromptDetails {
    cached_tokens: Tokens,
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
                cached_tokens: usage.cached,
            },
            completion_tokens_details: WireAnswerDetails {
                reasoning_tokens: usage.reasoning,
            },
        }
    }
}
