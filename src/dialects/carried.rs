//! Which features a provider of each dialect can be given of another dialect's request: the one place that a new dialect
//! fills.
//!
//! `docs/dialects.md` is the same table for people; a test compares the two. What only some models take is known by their
//! abilities and by a provider's quirks, but for two things that a model's name says: whose it is on Bedrock, and whether it
//! lets the caller say how tokens are drawn, which Claude's and OpenAI's newer models do not.

use super::Dialect;
use super::feature::{Feature, Features};
use super::quirk::{Quirk, Quirks};

const OPENAI_CHAT: Features = Features::of(&[
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
        let unheeded = match self.sampling(model) {
            Sampling::Any => &[][..],
            Sampling::One => &[Feature::TopP],
            Sampling::None => &[Feature::Sampling, Feature::TopP, Feature::TopK],
        };
        let carried = unheeded.iter().copied();
        let mut carried = carried.fold(self.carries(), Features::without);
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

/// What a model lets the caller say of how its tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sampling {
    Any,
    /// A temperature or a `top_p`, not both.
    One,
    None,
}

impl Dialect {
    fn sampling(self, model: &str) -> Sampling {
        match self {
            Self::Anthropic | Self::Bedrock => match model.rsplit_once("claude-") {
                Some((_, name)) => sampling_of_claude(name),
                None => Sampling::Any,
            },
            Self::OpenaiChat | Self::OpenaiResponses if is_reasoning_gpt(model) => Sampling::None,
            Self::OpenaiChat | Self::OpenaiResponses | Self::Cohere | Self::Gemini => Sampling::Any,
        }
    }
}

/// Of the name behind `claude-`. From 4.1 on one of the two is taken, and from 4.7 on none
/// (<https://platform.claude.com/docs/en/api/migration-2026-10-21>, 2026-11-22). A name that tells no version is a new one's.
fn sampling_of_claude(name: &str) -> Sampling {
    // `3-5-sonnet`, `v2`, `instant-v1`: the version came before the family once.
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with(['v', 'i']) {
        return Sampling::Any;
    }
    let version = name.split_once('-').map_or("", |(_, version)| version);
    // Behind the version stands the day of the snapshot.
    let number = |digits: &str| digits.parse::<u8>().ok();
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(number);
    let major = numbers.next().flatten();
    let minor = numbers.next().flatten().unwrap_or_default();
    match (major, minor) {
        (Some(4), 0) | (Some(..4), _) => Sampling::Any,
        (Some(4), ..7) => Sampling::One,
        _ => Sampling::None,
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
    fn a_models_name_says_whether_it_can_be_told_how_to_draw() {
        let expected = "
            anthropic Any claude-3-5-sonnet-20241022 claude-opus-4-20250514 claude-sonnet-4-0 kimi-k2
            anthropic One claude-opus-4-1-20250805 claude-sonnet-4.5 claude-haiku-4-5@20251001 claude-opus-4-6
            anthropic None claude-opus-4-7 claude-sonnet-5 claude-haiku-5-5 claude-fable-5-1 claude-opus-latest
            bedrock Any amazon.nova-pro-v1:0 anthropic.claude-v2:1 anthropic.claude-instant-v1
            bedrock Any anthropic.claude-3-haiku-20240307-v1:0
            bedrock One eu.anthropic.claude-sonnet-4-5-20250929-v1:0
            bedrock None global.anthropic.claude-opus-4-7
            openai-chat Any gpt-4o gpt-4.1 gpt-5-chat-latest gpt-oss-120b olmo-3 o claude-opus-5
            openai-responses None o1 o3-mini o4-mini-2025-04-16 gpt-5 gpt-5.4-nano openai/gpt-5.6-sol gpt-12
            gemini Any gemini-3-pro";
        for line in expected.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let dialect = words.next().and_then(Dialect::parse).unwrap();
            let sampling = words.next().unwrap();
            for model in words {
                assert_eq!(
                    format!("{:?}", dialect.sampling(model)),
                    sampling,
                    "{model}"
                );
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
