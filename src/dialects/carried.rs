//! Which features a provider of each dialect can be given of another dialect's request: the one place that a new dialect
//! fills.
//!
//! `docs/dialects.md` is the same table for people; a test compares the two. What only some models take is known by their
//! abilities and by a provider's quirks, but for Bedrock: there a model's name says whose it is.

use super::Dialect;
use super::feature::{Feature, Features};
use super::quirk::{Quirk, Quirks};

const OPENAI_CHAT: Features = Features::of(&[
    Feature::DocumentPdf,
    Feature::DocumentText,
    Feature::AudioIn,
    Feature::JsonMode,
    Feature::Logprobs,
    Feature::Stop,
    Feature::BlankStop,
    Feature::Seed,
    Feature::FrequencyPenalty,
    Feature::PresencePenalty,
    Feature::HighTemperature,
    Feature::ReasoningEffort,
    Feature::Verbosity,
    Feature::CacheKey,
    Feature::ServiceTier,
    Feature::Metadata,
    Feature::EndUser,
    Feature::StrictTools,
]);
const ANTHROPIC: Features = Features::of(&[
    Feature::DocumentPdf,
    Feature::DocumentText,
    Feature::DocumentUrl,
    Feature::Stop,
    Feature::ManyStops,
    Feature::Citations,
    Feature::TopK,
    Feature::ReasoningEffort,
    Feature::AnthropicReasoning,
    Feature::CacheMarkers,
    Feature::EndUser,
    Feature::ToolErrors,
]);
const OPENAI_RESPONSES: Features = Features::of(&[
    Feature::DocumentPdf,
    Feature::DocumentOther,
    Feature::DocumentText,
    Feature::DocumentUrl,
    Feature::JsonMode,
    Feature::Logprobs,
    Feature::HighTemperature,
    Feature::ReasoningEffort,
    Feature::Verbosity,
    Feature::OpenaiReasoning,
    Feature::CacheKey,
    Feature::ServiceTier,
    Feature::Metadata,
    Feature::EndUser,
    Feature::StrictTools,
]);
const COHERE: Features = Features::of(&[
    Feature::DocumentText,
    Feature::JsonMode,
    Feature::Logprobs,
    Feature::Stop,
    Feature::Citations,
    Feature::Seed,
    Feature::FrequencyPenalty,
    Feature::PresencePenalty,
    Feature::TopK,
    Feature::ReasoningEffort,
    Feature::StrictTools,
]);
const GEMINI: Features = Features::of(&[
    Feature::DocumentPdf,
    Feature::DocumentOther,
    Feature::DocumentText,
    Feature::DocumentUrl,
    Feature::AudioIn,
    Feature::JsonMode,
    Feature::Logprobs,
    Feature::Stop,
    Feature::BlankStop,
    Feature::Seed,
    Feature::TopK,
    Feature::HighTemperature,
    Feature::ReasoningEffort,
    Feature::GoogleReasoning,
    Feature::ServiceTier,
    Feature::Metadata,
    Feature::ToolErrors,
]);
const BEDROCK: Features = Features::of(&[
    Feature::DocumentPdf,
    Feature::DocumentOther,
    Feature::DocumentText,
    Feature::Stop,
    Feature::ManyStops,
    Feature::Citations,
    Feature::AnthropicReasoning,
    Feature::CacheMarkers,
    Feature::ServiceTier,
    Feature::Metadata,
    Feature::ToolErrors,
]);

impl Dialect {
    /// What a provider of this dialect can be given of another dialect's request.
    #[must_use]
    pub const fn carries(self) -> Features {
        match self {
            Self::OpenaiChat => OPENAI_CHAT,
            Self::Anthropic => ANTHROPIC,
            Self::OpenaiResponses => OPENAI_RESPONSES,
            Self::Cohere => COHERE,
            Self::Gemini => GEMINI,
            Self::Bedrock => BEDROCK,
        }
    }

    /// The same of one model: Bedrock's models of other makers refuse what Anthropic's alone have, and its oldest too. A
    /// model that is hidden behind an ARN's number counts as another maker's. Google's labels are Vertex's.
    #[must_use]
    pub fn carries_to(self, model: &str, quirks: Quirks) -> Features {
        let mut carried = self.carries();
        if quirks.has(Quirk::NoLabels) {
            carried = carried.without(Feature::Metadata);
        }
        let name = model.split_once("anthropic.claude-");
        let is_old = |name: &str| {
            let mut old = ["3-", "v", "instant"].iter();
            old.any(|old| name.starts_with(old))
        };
        if self != Self::Bedrock || name.is_some_and(|(_, name)| !is_old(name)) {
            return carried;
        }
        let of_claude = [
            Feature::Citations,
            Feature::AnthropicReasoning,
            Feature::CacheMarkers,
        ];
        of_claude.into_iter().fold(carried, Features::without)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_bedrock_only_newer_claude_models_get_what_is_claudes() {
        let has = |dialect: Dialect, model| {
            let carried = dialect.carries_to(model, Quirks::NONE);
            carried.has(Feature::CacheMarkers)
        };
        assert!(has(
            Dialect::Bedrock,
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
        ));
        assert!(has(Dialect::Anthropic, "any"));
        for model in [
            "amazon.nova-pro-v1:0",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "anthropic.claude-v2:1",
            "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x",
        ] {
            assert!(!has(Dialect::Bedrock, model), "{model}");
        }
    }
}
