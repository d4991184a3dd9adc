//! Tokens as messages count them: the prompt in three parts that do not overlap, of which the cache's reads are
//! our `cached` and what was written to it our `cache_write`.

use serde::{Deserialize, Serialize};

use super::super::read::Loose;
use crate::chat::Usage;
use crate::units::Tokens;

/// The figures so far. Those of a stream come in two events, and the later one may repeat some.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadUsage {
    input_tokens: Loose<u64>,
    cache_read_input_tokens: Loose<u64>,
    cache_creation_input_tokens: Loose<u64>,
    output_tokens: Loose<u64>,
    output_tokens_details: Loose<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Loose<u64>,
}

impl Count {
    /// Takes the later figures where there are any.
    pub(super) fn update(&mut self, read: ReadUsage) {
        let details = read.output_tokens_details.0.unwrap_or_default();
        self.input = read.input_tokens.0.or(self.input);
        self.cache_read = read.cache_read_input_tokens.0.or(self.cache_read);
        self.cache_creation = read.cache_creation_input_tokens.0.or(self.cache_creation);
        self.output = read.output_tokens.0.or(self.output);
        self.thinking = details.thinking_tokens.0.or(self.thinking);
    }

    /// `None` if nothing was counted.
    pub(super) fn usage(self) -> Option<Usage> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let tokens = |count: Option<u64>| Tokens(count.unwrap_or_default());
        let answer = tokens(self.output);
        Some(Usage {
            prompt: tokens(self.input) + tokens(self.cache_read) + tokens(self.cache_creation),
            cached: tokens(self.cache_read),
            cache_write: tokens(self.cache_creation),
            audio: Tokens(0),
            image: Tokens(0),
            answer,
            reasoning: tokens(self.thinking).min(answer),
        })
    }
}

#[derive(Serialize)]
pub(super) struct WireUsage {
    #[serde(rename = "input_tokens")]
    input: u64,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Tokens,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Tokens,
    #[serde(rename = "output_tokens")]
    output: Tokens,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        // Elsewhere the two may overlap; the sum of the three parts must be the prompt.
        let fresh = usage.prompt.0.saturating_sub(usage.cached.0);
        let written = usage.cache_write.0.min(fresh);
        Self {
            input: fresh - written,
            cache_creation: Tokens(written),
            cache_read: usage.cached,
            output: usage.answer,
        }
    }
}
