//! What tokens cost, by what they are.
//!
//! Each part of a prompt has one price: what was read from the provider's cache, what was written to it, sounds,
//! images, and the rest. Where a provider counts a token in two parts (a cached sound), the cheaper tier comes first,
//! as it does on the bill. Reasoning is a part of the answer.
//!
//! Not here: tokens that are only expected (`decide/cost.rs`).

use serde::{Deserialize, Serialize};

use crate::chat::Usage;
use crate::units::{MicroUsd, Tokens};

/// US dollars per million tokens, which is micro-dollars per token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub input: f64,
    /// Prompt tokens that the provider had in its cache; as `input` when it has no such price.
    pub input_cached: f64,
    /// Prompt tokens that it put there; as `input` when it has no such price.
    pub cache_write: f64,
    /// Prompt tokens of sounds; as `input` when it has no such price.
    pub input_audio: f64,
    /// Prompt tokens of images; as `input` when it has no such price.
    pub input_image: f64,
    pub output: f64,
    /// Answer tokens of reasoning; as `output` when it has no such price.
    pub reasoning: f64,
}

impl Price {
    /// Two prices alone, which stand for the others.
    #[must_use]
    pub const fn flat(input: f64, output: f64) -> Self {
        Self {
            input,
            input_cached: input,
            cache_write: input,
            input_audio: input,
            input_image: input,
            output,
            reasoning: output,
        }
    }

    /// Every price times `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            input: self.input * factor,
            input_cached: self.input_cached * factor,
            cache_write: self.cache_write * factor,
            input_audio: self.input_audio * factor,
            input_image: self.input_image * factor,
            output: self.output * factor,
            reasoning: self.reasoning * factor,
        }
    }

    /// What these tokens cost. No token is counted twice, whatever the parts say.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> MicroUsd {
        let mut rest = usage.prompt;
        let mut part = |tokens: Tokens, price: f64| {
            let tokens = tokens.min(rest);
            rest = Tokens(rest.0 - tokens.0);
            tokens.as_f64() * price
        };
        let parts = part(usage.cached, self.input_cached)
            + part(usage.cache_write, self.cache_write)
            + part(usage.audio, self.input_audio)
            + part(usage.image, self.input_image);
        let reasoning = usage.reasoning.min(usage.answer);
        let answer = Tokens(usage.answer.0 - reasoning.0);
        MicroUsd(
            parts
                + rest.as_f64() * self.input
                + answer.as_f64() * self.output
                + reasoning.as_f64() * self.reasoning,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        input: 100.0,
        input_cached: 10.0,
        cache_write: 125.0,
        input_audio: 1_000.0,
        input_image: 300.0,
        output: 500.0,
        reasoning: 700.0,
    };

    #[test]
    fn each_part_has_its_price() {
        let usage = Usage {
            prompt: Tokens(31),
            cached: Tokens(1),
            cache_write: Tokens(2),
            audio: Tokens(4),
            image: Tokens(8),
            answer: Tokens(3),
            reasoning: Tokens(1),
        };
        let parts = [
            16.0 * 100.0,
            10.0,
            2.0 * 125.0,
            4.0 * 1_000.0,
            8.0 * 300.0,
            2.0 * 500.0,
            700.0,
        ];
        assert_eq!(PRICE.cost(&usage), MicroUsd(parts.iter().sum()));
        assert_eq!(
            PRICE.scaled(2.0).cost(&usage),
            MicroUsd(parts.iter().sum::<f64>() * 2.0)
        );
    }

    #[test]
    fn parts_that_overlap_are_paid_once() {
        let usage = Usage {
            prompt: Tokens(3),
            cached: Tokens(2),
            cache_write: Tokens(2),
            audio: Tokens(3),
            image: Tokens(3),
            answer: Tokens(1),
            reasoning: Tokens(9),
        };
        assert_eq!(PRICE.cost(&usage), MicroUsd(2.0 * 10.0 + 125.0 + 700.0));
    }
}
