//! Which features a provider of each dialect can be given of another dialect's request: the one place that a new dialect
//! fills.
//!
//! `docs/dialects.md` is the same table for people; a test compares the two. What only some models take is known by their
//! abilities and by a provider's quirks, but for what a model's name says: whose it is on Bedrock, and what Claude's (`claude.rs`) and
//! OpenAI's newer models refuse.

use super::Dialect;
use super::claude::{Claude, Sampling};
use super::feature::{Feature, Features};
use super::quirk::{Quirk, Quirks};

const OPENAI_CHAT: Features = Features::of(&[
    Feature::ForcedCall,
    Feature::Sampling,
    Feature::TopP,
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
    Feature::ForcedCall,
    Feature::Sampling,
    Feature::TopP,
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
    Feature::ForcedCall,
    Feature::Sampling,
    Feature::TopP,
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
    Feature::ForcedCall,
    Feature::Sampling,
    Feature::TopP,
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
    Feature::ForcedCall,
    Feature::Sampling,
    Feature::TopP,
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
    Feature::ForcedCall,
    Feature::Sampling,
    Feature::TopP,
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
        let refused = self.refused_by(model).iter().copied();
        let mut carried = refused.fold(self.carries(), Features::without);
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

    /// What a model of this dialect refuses, as its name says.
    fn refused_by(self, model: &str) -> &'static [Feature] {
        const DRAWS: [Feature; 3] = [Feature::Sampling, Feature::TopP, Feature::TopK];
        const DRAWS_AND_FORCE: [Feature; 4] = [
            Feature::Sampling,
            Feature::TopP,
            Feature::TopK,
            Feature::ForcedCall,
        ];
        match self {
            Self::Anthropic | Self::Bedrock => {
                let claude = Claude::read(model);
                match claude.map(|it| (it.sampling(), it.can_be_forced())) {
                    None | Some((Sampling::Any, _)) => &[],
                    Some((Sampling::One, _)) => &[Feature::TopP],
                    Some((Sampling::None, true)) => &DRAWS,
                    Some((Sampling::None, false)) => &DRAWS_AND_FORCE,
                }
            }
            Self::OpenaiChat | Self::OpenaiResponses if is_reasoning_gpt(model) => &DRAWS,
            Self::OpenaiChat | Self::OpenaiResponses | Self::Cohere | Self::Gemini => &[],
        }
    }
}

/// OpenAI's models that think, but for those named after their chat
/// (<https://developers.openai.com/api/docs/guides/reasoning>, 2026-11-22): `o1` and its like, and GPT from 5 on.
fn is_reasoning_gpt(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    let is_at_least = |prefix: &str, least: u8| {
        let version = name.strip_prefix(prefix).unwrap_or_default();
        let digits = version.split(|c: char| !c.is_ascii_digit()).next();
        let version: Option<u8> = digits.and_then(|digits| digits.parse().ok());
        version.is_some_and(|version| version >= least)
    };
    (is_at_least("o", 1) || is_at_least("gpt-", 5)) && !name.contains("-chat")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openais_models_that_think_cannot_be_told_how_to_draw() {
        for (models, expected) in [
            (
                "gpt-4o gpt-4.1 gpt-5-chat-latest gpt-oss-120b olmo-3 o claude-opus-5",
                false,
            ),
            (
                "o1 o3-mini o4-mini-2025-04-16 gpt-5 gpt-5.4-nano openai/gpt-5.6-sol gpt-12",
                true,
            ),
        ] {
            for model in models.split(' ') {
                assert_eq!(is_reasoning_gpt(model), expected, "{model}");
            }
        }
    }

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
