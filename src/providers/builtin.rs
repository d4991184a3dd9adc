//! The catalogue that ships with the Worker. To add a compatible provider, add a row.
//!
//! Base URLs are the providers' own documented ones. Prices are US dollars per million tokens, as their
//! price pages gave them on the row's day; a team's `providers` entry overrides any of it. Models that are
//! not listed work as well: their price and abilities are then unknown, and exclude nothing.

use super::Ability::{self, Images, JsonSchema, Prefill, Tools};
use crate::dialects::Dialect;

/// One provider.
#[derive(Debug)]
pub struct ProviderRow {
    pub name: &'static str,
    pub dialect: Dialect,
    pub base_url: &'static str,
    pub auth: AuthRow,
}

/// How the row's secret is sent; the name is the secret's.
#[derive(Debug)]
pub enum AuthRow {
    Bearer(&'static str),
    Header(&'static str, &'static str),
}

/// One model under one provider.
#[derive(Debug)]
pub struct ModelRow {
    pub provider: &'static str,
    pub model: &'static str,
    pub context: u64,
    pub usd_in: f64,
    pub usd_in_cached: f64,
    pub usd_cache_write: f64,
    pub usd_out: f64,
    pub can: &'static [Ability],
    /// When the price page was read.
    pub as_of: &'static str,
}

const fn compatible(
    name: &'static str,
    base_url: &'static str,
    secret: &'static str,
) -> ProviderRow {
    ProviderRow {
        name,
        dialect: Dialect::OpenaiChat,
        base_url,
        auth: AuthRow::Bearer(secret),
    }
}

pub const PROVIDERS: &[ProviderRow] = &[
    ProviderRow {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com/v1",
        auth: AuthRow::Header("x-api-key", "ANTHROPIC_API_KEY"),
    },
    compatible("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    compatible(
        "deepseek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
    ),
    compatible(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
    ),
    compatible("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    compatible("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    compatible("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    compatible(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
    ),
    compatible(
        "together",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
    ),
    compatible("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
];

pub const MODELS: &[ModelRow] = &[
    ModelRow {
        provider: "anthropic",
        model: "claude-haiku-4-5",
        context: 200_000,
        usd_in: 1.0,
        usd_in_cached: 0.1,
        usd_cache_write: 1.25,
        usd_out: 5.0,
        can: &[Tools, JsonSchema, Images, Prefill],
        as_of: "2026-11-21",
    },
    ModelRow {
        provider: "anthropic",
        model: "claude-sonnet-4-5",
        context: 200_000,
        usd_in: 3.0,
        usd_in_cached: 0.3,
        usd_cache_write: 3.75,
        usd_out: 15.0,
        can: &[Tools, JsonSchema, Images, Prefill],
        as_of: "2026-11-21",
    },
    ModelRow {
        provider: "groq",
        model: "llama-3.3-70b-versatile",
        context: 131_072,
        usd_in: 0.59,
        usd_in_cached: 0.59,
        usd_cache_write: 0.59,
        usd_out: 0.79,
        can: &[Tools],
        as_of: "2026-11-21",
    },
    ModelRow {
        provider: "openai",
        model: "gpt-4o-mini",
        context: 128_000,
        usd_in: 0.15,
        usd_in_cached: 0.075,
        usd_cache_write: 0.15,
        usd_out: 0.6,
        can: &[Tools, JsonSchema, Images],
        as_of: "2026-11-21",
    },
];
