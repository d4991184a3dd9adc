//! The catalogue that ships with the Worker. `npm run catalogue` writes this file from `catalogue.json`, where each
//! row's sources are and where a provider is added; `docs/providers.md` says how.
//!
//! Prices are US dollars per million tokens on the row's day, those of short prompts where long ones cost more. A
//! team's `providers` entry overrides any of it. Models that are not listed work as well: their price and abilities
//! are then unknown, and exclude nothing.

use super::Ability::{Images, JsonSchema, Prefill, Tools};
use super::DataPolicy::{Retained, Trains, ZeroRetention};
use super::row::{AuthRow, ModelRow, ProviderRow, compatible, price};
use crate::dialects::Dialect;
use crate::dialects::Quirk::{MaxCompletionTokens, MaxTokensOnly, NoDeveloperRole, NoStreamUsage};

#[rustfmt::skip]
pub const PROVIDERS: &[ProviderRow] = &[
    ProviderRow::new("anthropic", Dialect::Anthropic, "https://api.anthropic.com/v1", AuthRow::Header("x-api-key", "ANTHROPIC_API_KEY")).keeps(Retained),
    ProviderRow::new("azure", Dialect::OpenaiChat, "", AuthRow::Header("api-key", "AZURE_API_KEY")).keeps(Retained).with(MaxCompletionTokens),
    compatible("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY").with(NoDeveloperRole),
    compatible("databricks", "", "DATABRICKS_TOKEN").with(NoStreamUsage),
    compatible("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY").keeps(Trains).with(NoDeveloperRole),
    compatible("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY").keeps(ZeroRetention).with(NoDeveloperRole),
    compatible("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY").keeps(Retained),
    compatible("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY").with(MaxTokensOnly).with(NoDeveloperRole),
    compatible("openai", "https://api.openai.com/v1", "OPENAI_API_KEY").keeps(Retained).with(MaxCompletionTokens),
    compatible("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    compatible("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY").keeps(Retained).with(NoDeveloperRole),
    compatible("xai", "https://api.x.ai/v1", "XAI_API_KEY").keeps(Retained).with(NoDeveloperRole),
];

#[rustfmt::skip]
pub const MODELS: &[ModelRow] = &[
    ModelRow::new("anthropic/claude-haiku-4-5", 200_000, price(1.0, 0.1, 1.25, 5.0), &[Tools, JsonSchema, Images, Prefill], "2026-10-24"),
    ModelRow::new("anthropic/claude-sonnet-4-5", 200_000, price(3.0, 0.3, 3.75, 15.0), &[Tools, JsonSchema, Images, Prefill], "2026-10-24"),
    ModelRow::new("groq/llama-3.3-70b-versatile", 131_072, price(0.59, 0.59, 0.59, 0.79), &[Tools], "2026-07-02"),
    ModelRow::new("openai/gpt-4o-mini", 128_000, price(0.15, 0.075, 0.15, 0.6), &[Tools, JsonSchema, Images], "2026-07-02"),
];
