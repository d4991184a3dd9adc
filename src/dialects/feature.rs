//! What a request may ask for that not every dialect can carry.
//!
//! The outline notes each feature once, with the path of the first field that asks for it ([`Asks`]). What a provider can be
//! given is a set (`carried.rs`). A target that cannot carry an essential feature is no candidate; the fields of the droppable
//! ones that it cannot carry are named in a response header and in the record.
//!
//! A feature is essential if the answer means something else without it, and droppable if it nudges, pays, labels or
//! remembers. `docs/dialects.md` is the same table for people; a test compares the two.
//!
//! One value for each and a set of bits, not one flag for each in the outline: a plan asks every target about all of
//! them, and records hold only what was asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Dialect;

/// Declares the enum, its list and its names in one place.
macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $word:literal $kind:ident;)*) => {
        /// What a request may ask for. Its name in records is that of docs/dialects.md.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Feature {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Feature {
            /// All of them, the essential ones first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in records and in the documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Whether the answer means something else without it.
            #[must_use]
            pub const fn is_essential(self) -> bool {
                match self {
                    $(Self::$name => matches!(Kind::$kind, Kind::Essential),)*
                }
            }
        }
    };
}

enum Kind {
    Essential,
    Droppable,
}

features! {
    /// Several answers to one request: OpenAI's `n`.
    SeveralChoices = "several_choices" Essential;
    /// A PDF in the request itself, as base64.
    DocumentPdf = "document_pdf" Essential;
    /// A document of another type, as base64.
    DocumentOther = "document_other" Essential;
    /// A document of plain text.
    DocumentText = "document_text" Essential;
    /// A document that the provider fetches.
    DocumentUrl = "document_url" Essential;
    /// Sounds in the prompt.
    AudioIn = "audio_in" Essential;
    /// An answer that is spoken.
    AudioOut = "audio_out" Essential;
    /// Any JSON object as the answer, without a schema.
    JsonMode = "json_mode" Essential;
    /// The probabilities of the answer's tokens.
    Logprobs = "logprobs" Essential;
    LogitBias = "logit_bias" Essential;
    /// Up to four texts that end the answer.
    Stop = "stop" Essential;
    /// A stop text of white space alone.
    BlankStop = "blank_stop" Essential;
    /// More than four stop texts.
    ManyStops = "many_stops" Essential;
    /// An answer that cites its documents.
    Citations = "citations" Essential;
    /// Tools that run at the provider, or whose input is no JSON.
    ProviderTools = "provider_tools" Essential;
    /// What the provider keeps: former answers, conversations, files, containers.
    Stored = "stored" Essential;
    /// A tool must be called, one by name or any.
    ForcedCall = "forced_call" Essential;
    /// A field of the dialect's own that changes the answer.
    ProviderOnly = "provider_only" Essential;
    /// Content of a type that we do not know.
    NewContent = "new_content" Essential;
    /// A seed for the draw of tokens. No provider promises to heed it.
    Seed = "seed" Droppable;
    FrequencyPenalty = "frequency_penalty" Droppable;
    PresencePenalty = "presence_penalty" Droppable;
    TopK = "top_k" Droppable;
    /// How the answer's tokens are drawn: a `temperature` or a `top_p` other than 1, which is the default.
    Sampling = "sampling" Droppable;
    /// Both of them.
    TopP = "top_p" Droppable;
    /// A temperature above 1. A dialect whose scale ends there gets 1.
    HighTemperature = "high_temperature" Droppable;
    /// How long the model shall think, in words or tokens.
    ReasoningEffort = "reasoning_effort" Droppable;
    Verbosity = "verbosity" Droppable;
    /// What a model thought in a former turn, unsigned.
    Reasoning = "reasoning" Droppable;
    /// The same, signed or encrypted by Anthropic.
    AnthropicReasoning = "anthropic_reasoning" Droppable;
    /// The same, encrypted by OpenAI.
    OpenaiReasoning = "openai_reasoning" Droppable;
    /// The same, and calls of tools, signed by Google.
    GoogleReasoning = "google_reasoning" Droppable;
    /// Where the provider shall end what it caches of the prompt.
    CacheMarkers = "cache_markers" Droppable;
    /// What of former turns the provider shall forget, to spare tokens.
    ContextEdits = "context_edits" Droppable;
    /// Which prompts share a cache.
    CacheKey = "cache_key" Droppable;
    ServiceTier = "service_tier" Droppable;
    Metadata = "metadata" Droppable;
    /// The client's own name for its end user.
    EndUser = "end_user" Droppable;
    /// Whom a former answer cited.
    CitedText = "cited_text" Droppable;
    /// The name of who speaks, beside the role.
    Names = "names" Droppable;
    ImageDetail = "image_detail" Droppable;
    /// A promise that calls follow their schema.
    StrictTools = "strict_tools" Droppable;
    /// That a tool failed. Its text says so too.
    ToolErrors = "tool_errors" Droppable;
    /// A field that we do not know.
    Other = "other" Droppable;
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    pub const NONE: Self = Self(0);
    /// What a target gets of a request in its own dialect.
    pub const ALL: Self = Self::of(Feature::ALL);

    #[must_use]
    pub const fn of(features: &[Feature]) -> Self {
        let mut bits = 0;
        let mut rest = features;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u64;
            rest = others;
        }
        Self(bits)
    }

    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u64 != 0
    }

    #[must_use]
    pub const fn without(self, feature: Feature) -> Self {
        Self(self.0 & !(1 << feature as u64))
    }

    /// Whether it is what a target gets of a request in its own dialect.
    #[must_use]
    pub const fn is_own(self) -> bool {
        self.has(Feature::NewContent)
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A feature that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub feature: Feature,
    /// The path of the first field that asks for it, in the client's dialect.
    pub field: String,
}

/// What a request asks for, each feature once, in the order in which they were met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asks(Vec<Ask>);

impl Asks {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Ask> {
        self.0.iter()
    }

    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.0.iter().any(|ask| ask.feature == feature)
    }

    /// Notes a feature, unless it is known already.
    pub fn note(&mut self, feature: Feature, field: fmt::Arguments) {
        if !self.has(feature) {
            let field = field.to_string();
            self.0.push(Ask { feature, field });
        }
    }

    /// The first essential feature that is not among `carried`.
    #[must_use]
    pub fn beyond(&self, carried: Features) -> Option<&Ask> {
        let mut asks = self.0.iter();
        asks.find(|ask| ask.feature.is_essential() && !carried.has(ask.feature))
    }

    /// The droppable features that are not among `carried`.
    pub fn dropped(&self, carried: Features) -> impl Iterator<Item = &Ask> {
        let is_dropped = move |feature: Feature| !feature.is_essential() && !carried.has(feature);
        self.0.iter().filter(move |ask| is_dropped(ask.feature))
    }

    /// Whether `chat` has words for all that is essential, and so for the answer to it.
    #[must_use]
    pub fn are_portable(&self) -> bool {
        let sets = Dialect::ALL.iter().map(|dialect| dialect.carries());
        self.beyond(sets.fold(Features::NONE, Features::and))
            .is_none()
    }
}

impl<'a> IntoIterator for &'a Asks {
    type Item = &'a Ask;
    type IntoIter = std::slice::Iter<'a, Ask>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_a_bit_for_each_feature() {
        assert!(Feature::ALL.len() <= 64);
        let is_in_place = |(place, feature): (usize, &Feature)| *feature as usize == place;
        assert!(Feature::ALL.iter().enumerate().all(is_in_place));
        let one = Features::of(&[Feature::Other]);
        assert!(one.has(Feature::Other) && !one.has(Feature::Stop));
    }

    #[test]
    fn what_is_asked_is_noted_once_by_its_first_field() {
        let mut asks = Asks::default();
        for (feature, field) in [
            (Feature::Seed, "seed"),
            (Feature::Stop, "stop"),
            (Feature::Names, "messages[0].name"),
            (Feature::Names, "messages[1].name"),
        ] {
            asks.note(feature, format_args!("{field}"));
        }
        let carried = Features::of(&[Feature::Seed]);
        let field = |ask: &Ask| ask.field.clone();
        assert_eq!(asks.beyond(carried).map(field), Some("stop".to_owned()));
        let dropped: Vec<String> = asks.dropped(carried).map(field).collect();
        assert_eq!(dropped, ["messages[0].name"]);
        assert_eq!(asks.beyond(Features::ALL), None);
    }
}
