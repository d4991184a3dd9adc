//! Tokens as the Responses API counts them.
//!
//! Sounds and images are not told apart here, and reasoning is always part of the output.

use serde::{Deserialize, Serialize};

use super::super::read::Loose;
use crate::chat::Usage;
use crate::units::Tokens;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadUsage {
    input_tokens: Loose<u64>,
    output_tokens: Loose<u64>,
    input_tokens_details: Loose<Details>,
    output_tokens_details: Loose<Details>,
}

/// Of the input the first two, of the output the last.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(rename = "cached_tokens")]
    cached: Loose<u64>,
    #[serde(rename = "cache_write_tokens")]
    cache_write: Loose<u64>,
    #[serde(rename = "reasoning_tokens")]
    reasoning: Loose<u64>,
}

impl ReadUsage {
    /// `None` if it counts nothing.
    pub(super) fn usage(self) -> Option<Usage> {
        let (prompt, answer) = (self.input_tokens.0, self.output_tokens.0);
        if prompt.is_none() && answer.is_none() {
            return None;
        }
        let prompt = Tokens(prompt.unwrap_or_default());
        let answer = Tokens(answer.unwrap_or_default());
        let input = self.input_tokens_details.0.unwrap_or_default();
        let output = self.output_tokens_details.0.unwrap_or_default();
        let cached = Tokens(input.cached.0.unwrap_or_default()).min(prompt);
        // What was read was not written.
        let fresh = Tokens(prompt.0 - cached.0);
        Some(Usage {
            prompt,
            cached,
            cache_write: Tokens(input.cache_write.0.unwrap_or_default()).min(fresh),
            answer,
            reasoning: Tokens(output.reasoning.0.unwrap_or_default()).min(answer),
            ..Usage::default()
        })
    }
}

#[derive(Serialize)]
pub(super) struct WireUsage {
    input_tokens: Tokens,
    input_tokens_details: WireInputDetails,
    output_tokens: Tokens,
    output_tokens_details: WireOutputDetails,
    total_tokens: Tokens,
}

#[derive(Serialize)]
struct WireInputDetails {
    cached_tokens: Tokens,
    cache_write_tokens: Tokens,
}

#[derive(Serialize)]
struct WireOutputDetails {
    reasoning_tokens: Tokens,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt,
            input_tokens_details: WireInputDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.answer,
            output_tokens_details: WireOutputDetails {
                reasoning_tokens: usage.reasoning,
            },
            total_tokens: usage.prompt + usage.answer,
        }
    }
}
