//! What a request is expected to cost at a target, before it is sent.
//!
//! Everything comes from the traits, the target's price and its [`View`], so a record replays it. The formula, its
//! units and what is assumed where nothing is known stand in `docs/cost.md`.
//!
//! Not here: what tokens that were counted cost (`providers/price.rs`).

use crate::classify::Traits;
use crate::config::Target;
use crate::health::View;
use crate::providers::Price;
use crate::units::{MicroUsd, Tokens};

/// What a model without a listed price is taken to cost: a mid-sized model's price in 2026.
const PRICE_ASSUMED: Price = Price::flat(1.0, 4.0);

/// All of a prompt as this target counts it. Images and sounds as estimated: nothing is learned of them.
#[must_use]
pub fn prompt_tokens(traits: &Traits, view: &View) -> Tokens {
    whole(text(traits, view)) + traits.image_tokens + traits.audio_tokens
}

/// Those of them that this target has seen lately, and may have in its cache.
#[must_use]
pub fn warm_tokens(traits: &Traits, view: &View) -> Tokens {
    whole(warm(traits, view))
}

/// Whether a prompt is longer than `context` even if its estimate is far too high. What images and sounds count is a
/// guess, and no reason to drop anyone: the provider's own refusal sends such a prompt on.
pub fn is_surely_longer(traits: &Traits, view: &View, context: Tokens) -> bool {
    traits.text_tokens().as_f64() * view.prompt_factor_min > context.as_f64()
}

/// Prompt tokens as this target counts them, some of them from its cache, and an answer as long as its recent ones,
/// up to the client's limit.
pub fn expected(target: &Target, traits: &Traits, view: &View) -> MicroUsd {
    let price = target.terms.price.unwrap_or(PRICE_ASSUMED);
    let limit = traits
        .answer_tokens_max
        .map_or(f64::INFINITY, Tokens::as_f64);
    let answer = view.answer_tokens.min(limit);
    let answer_price = between(price.output, price.reasoning, view.reasoning);
    let text = text(traits, view);
    let fresh_price = between(price.input, price.cache_write, view.cache_written);
    let cached = warm(traits, view) * view.cache_hits;
    // Where the cache is dearer than none, nothing is saved, and nothing lost by having asked before.
    let saved = cached * (fresh_price - price.input_cached).max(0.0);
    MicroUsd(
        text * fresh_price - saved
            + traits.image_tokens.as_f64() * price.input_image
            + traits.audio_tokens.as_f64() * price.input_audio
            + answer * answer_price,
    )
}

/// Text as this target counts it.
fn text(traits: &Traits, view: &View) -> f64 {
    traits.text_tokens().as_f64() * view.prompt_factor
}

fn warm(traits: &Traits, view: &View) -> f64 {
    (view.warm_tokens.as_f64() * view.prompt_factor).min(text(traits, view))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate is not negative, and one beyond u64 becomes its end"
)]
fn whole(tokens: f64) -> Tokens {
    Tokens(tokens.round() as u64)
}

/// `share` of the way from one price to another.
fn between(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}
