//! Providers as data: whose API, under which URL, in which dialect, with which secrets.
//!
//! A provider that speaks a known dialect is one row in `catalogue.json`, from which `npm run catalogue` writes
//! `builtin.rs`; no code asks for a provider's name. What a provider wants otherwise than its dialect says is a quirk
//! (`dialects/quirk.rs`), named in its row. Rows name secrets and never hold one: the edge looks the value up when it
//! makes the call.
//!
//! Not here: how a team's `providers` entry overrides a row (`config/catalogue.rs`), and what a dialect says on
//! the wire (`dialects/`).

mod builtin;
mod price;
mod row;
mod service_account;
pub mod sigv4;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dialects::{Dialect, Endpoint, Quirks};
use crate::units::Tokens;

pub use builtin::{MODELS, PROVIDERS};
pub use price::Price;
pub use row::{AuthRow, ModelRow, ProviderRow};
pub use service_account::{ServiceAccount, Unusable, token_request};

/// Whose API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub name: Arc<str>,
    pub dialect: Dialect,
    /// Without a trailing slash. The dialect's path is put behind it, before its query; `{model}` in it stands for the
    /// model's name.
    pub base_url: String,
    /// The Worker's binding to Workers AI that is called instead of the URL.
    pub binding: Option<String>,
    pub auth: Auth,
    /// Where it computes, in the team's own words (`eu`, `us`); unknown when absent.
    pub region: Option<String>,
    /// The team's own hardware, or a contract under which nothing is kept.
    pub is_private: bool,
    /// What becomes of prompts and answers there; unknown when absent.
    pub data_policy: Option<DataPolicy>,
    /// What it wants otherwise than its dialect says.
    pub quirks: Quirks,
}

/// What a provider does with prompts and answers once it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataPolicy {
    /// Nothing is kept.
    ZeroRetention,
    /// Kept for a time, to watch for abuse or to bill, and trained on by nobody.
    Retained,
    /// Kept, and models may be trained on it.
    Trains,
}

impl DataPolicy {
    /// Its names in configs.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("zero_retention", Self::ZeroRetention),
        ("retained", Self::Retained),
        ("trains", Self::Trains),
    ];
}

/// How a provider is shown who calls. Several secrets are a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    None,
    /// `authorization: Bearer <secret>`
    Bearer {
        secrets: Vec<String>,
    },
    /// `<name>: <secret>`
    Header {
        name: String,
        secrets: Vec<String>,
    },
    /// `?<name>=<secret>`
    Query {
        name: String,
        secrets: Vec<String>,
    },
    /// AWS's signature, made with the secret. See [`sigv4`].
    AwsSigv4 {
        secrets: Vec<String>,
        region: String,
        service: String,
    },
    /// `authorization: Bearer <token>`, with a token that Google gives for the JSON key of a service account.
    GoogleServiceAccount {
        secrets: Vec<String>,
    },
}

impl Auth {
    /// The names of the secrets in the pool; empty where none is needed.
    #[must_use]
    pub fn secrets(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::Bearer { secrets }
            | Self::Header { secrets, .. }
            | Self::Query { secrets, .. }
            | Self::AwsSigv4 { secrets, .. }
            | Self::GoogleServiceAccount { secrets } => secrets,
        }
    }
}

/// What a model can do and costs, under one provider. An absent field is unknown, and excludes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// The longest prompt and answer together.
    pub context: Option<Tokens>,
    pub price: Option<Price>,
    pub can: Option<Vec<Ability>>,
    /// Instead of the provider's, where its models differ.
    pub quirks: Option<Quirks>,
}

impl Terms {
    /// Whether the model can do it, as far as we know.
    #[must_use]
    pub fn may(&self, ability: Ability) -> bool {
        self.can.as_ref().is_none_or(|can| can.contains(&ability))
    }

    /// Whether the model is known to be able to do it.
    #[must_use]
    pub fn is_known_to(&self, ability: Ability) -> bool {
        self.can.as_ref().is_some_and(|can| can.contains(&ability))
    }

    /// Whether prompt tokens from the provider's cache are known to be cheaper.
    #[must_use]
    pub fn has_prompt_cache(&self) -> bool {
        self.price
            .is_some_and(|price| price.input_cached < price.input)
    }

    /// These terms, with `over`'s where it knows better.
    #[must_use]
    pub fn overridden_by(&self, over: &Self) -> Self {
        Self {
            context: over.context.or(self.context),
            price: over.price.or(self.price),
            can: over.can.clone().or_else(|| self.can.clone()),
            quirks: over.quirks.or(self.quirks),
        }
    }
}

/// Something that a request may need and a model may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    Tools,
    JsonSchema,
    Images,
    /// Goes on with an answer whose beginning is the last message.
    Prefill,
    /// Thinks before it answers, and takes how much. Asked of any other, most providers refuse the request.
    Reasoning,
    /// Tells the probabilities of its tokens. Asked of Google's only where stated: most of them refuse.
    Logprobs,
    /// Answers sooner or cheaper if asked to. Asked of Google's and Bedrock's only where stated: some refuse.
    ServiceTiers,
    /// Speaks OpenAI's legacy completions. Only where stated: all others are asked in a conversation.
    Completions,
    Embeddings,
    /// Makes or changes images; `images` are those that a prompt holds.
    ImageGeneration,
    Speech,
    /// Writes down what is said, in its language or in English.
    Transcription,
    Moderation,
}

impl Ability {
    pub const NAMES: [&'static str; 13] = [
        "tools",
        "json_schema",
        "images",
        "prefill",
        "reasoning",
        "logprobs",
        "service_tiers",
        "completions",
        "embeddings",
        "image_generation",
        "speech",
        "transcription",
        "moderation",
    ];

    /// What a model must be able to do to serve the endpoint; nothing of its own for a conversation.
    #[must_use]
    pub fn for_endpoint(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::Chat | Endpoint::CountTokens | Endpoint::Completions => None,
            Endpoint::Embeddings => Some(Self::Embeddings),
            Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => {
                Some(Self::ImageGeneration)
            }
            Endpoint::Speech => Some(Self::Speech),
            Endpoint::Transcriptions | Endpoint::Translations => Some(Self::Transcription),
            Endpoint::Moderations => Some(Self::Moderation),
        }
    }

    /// Its name in configs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::JsonSchema => "json_schema",
            Self::Images => "images",
            Self::Prefill => "prefill",
            Self::Reasoning => "reasoning",
            Self::Logprobs => "logprobs",
            Self::ServiceTiers => "service_tiers",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::ImageGeneration => "image_generation",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
            Self::Moderation => "moderation",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "tools" => Some(Self::Tools),
            "json_schema" => Some(Self::JsonSchema),
            "images" => Some(Self::Images),
            "prefill" => Some(Self::Prefill),
            "reasoning" => Some(Self::Reasoning),
            "logprobs" => Some(Self::Logprobs),
            "service_tiers" => Some(Self::ServiceTiers),
            "completions" => Some(Self::Completions),
            "embeddings" => Some(Self::Embeddings),
            "image_generation" => Some(Self::ImageGeneration),
            "speech" => Some(Self::Speech),
            "transcription" => Some(Self::Transcription),
            "moderation" => Some(Self::Moderation),
            _ => None,
        }
    }
}
