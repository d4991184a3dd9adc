//! The shape of a built-in row.
//!
//! Constants through and through, so that a starting isolate parses nothing. `builtin.rs` holds the rows themselves
//! and is written by `npm run catalogue` from `catalogue.json`, which also tells where each fact was read.

use super::{Ability, DataPolicy, Price};
use crate::dialects::{Dialect, Quirk, Quirks};

/// One provider.
#[derive(Debug)]
pub struct ProviderRow {
    pub name: &'static str,
    pub dialect: Dialect,
    /// Empty where each account has one of its own: the provider is known once a team's entry gives it.
    pub base_url: &'static str,
    pub auth: AuthRow,
    pub region: Option<&'static str>,
    pub data_policy: Option<DataPolicy>,
    pub quirks: Quirks,
}

/// How the row's secret is sent; the name is the secret's.
#[derive(Debug)]
pub enum AuthRow {
    Bearer(&'static str),
    Header(&'static str, &'static str),
    GoogleServiceAccount(&'static str),
}

/// One model under one provider.
#[derive(Debug)]
pub struct ModelRow {
    /// `provider/model`.
    pub name: &'static str,
    pub context: u32,
    pub price: Price,
    pub can: &'static [Ability],
    /// The day as of which its source told this.
    pub as_of: &'static str,
}

impl ProviderRow {
    pub(super) const fn new(
        name: &'static str,
        dialect: Dialect,
        base_url: &'static str,
        auth: AuthRow,
    ) -> Self {
        Self {
            name,
            dialect,
            base_url,
            auth,
            region: None,
            data_policy: None,
            quirks: Quirks::NONE,
        }
    }

    pub(super) const fn region(self, region: &'static str) -> Self {
        Self {
            region: Some(region),
            ..self
        }
    }

    pub(super) const fn keeps(self, policy: DataPolicy) -> Self {
        Self {
            data_policy: Some(policy),
            ..self
        }
    }

    pub(super) const fn with(self, quirk: Quirk) -> Self {
        Self {
            quirks: self.quirks.with(quirk),
            ..self
        }
    }
}

impl ModelRow {
    pub(super) const fn new(
        name: &'static str,
        context: u32,
        price: Price,
        can: &'static [Ability],
        as_of: &'static str,
    ) -> Self {
        Self {
            name,
            context,
            price,
            can,
            as_of,
        }
    }
}

/// A provider that calls itself compatible with OpenAI.
pub(super) const fn compatible(
    name: &'static str,
    base_url: &'static str,
    secret: &'static str,
) -> ProviderRow {
    let auth = AuthRow::Bearer(secret);
    ProviderRow::new(name, Dialect::OpenaiChat, base_url, auth)
}

/// A price with the tiers that most have: prompt tokens, those from the cache, those put there, and the answer's.
pub(super) const fn price(input: f64, input_cached: f64, cache_write: f64, output: f64) -> Price {
    Price {
        input_cached,
        cache_write,
        ..Price::flat(input, output)
    }
}
