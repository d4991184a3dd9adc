//! `generationConfig` and the settings beside it, read by the outline and by the whole reader.
//!
//! Numbers are held to Google's ranges when a request is translated and not before: what is passed on as it is may go to a
//! model with other ranges (<https://ai.google.dev/api/generate-content#generationconfig>).

use std::fmt;

use super::super::feature::Feature;
use super::super::outline::Outline;
use super::super::read::{self, Raw};
use super::wire::{loose, object};
use crate::chat::{Effort, Format, Request, RequestError};
use crate::units::Tokens;

const TEMPERATURE: (f64, f64) = (0.0, 2.0);
const TOP_P: (f64, f64) = (0.0, 1.0);
const PENALTY: (f64, f64) = (-2.0, 2.0);
/// Alternatives of a token.
const LOGPROBS_MAX: u32 = 20;

/// What is not here is dropped for a target of another dialect.
pub(super) struct Generation<'a> {
    pub max_output_tokens: Option<Raw<'a>>,
    pub temperature: Option<Raw<'a>>,
    pub top_p: Option<Raw<'a>>,
    top_k: Option<Raw<'a>>,
    seed: Option<Raw<'a>>,
    frequency_penalty: Option<Raw<'a>>,
    presence_penalty: Option<Raw<'a>>,
    pub stop_sequences: Option<Raw<'a>>,
    response_mime_type: Option<Raw<'a>>,
    pub response_schema: Option<Raw<'a>>,
    response_json_schema: Option<Raw<'a>>,
    pub candidate_count: Option<Raw<'a>>,
    pub response_modalities: Option<Raw<'a>>,
    response_logprobs: Option<Raw<'a>>,
    logprobs: Option<Raw<'a>>,
    thinking_config: Option<Raw<'a>>,
    /// Those of [`UNSPOKEN`].
    unspoken: [Option<Raw<'a>>; UNSPOKEN.len()],
}

const SPOKEN: [&str; 16] = [
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "frequencyPenalty",
    "presencePenalty",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "candidateCount",
    "responseModalities",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
];
/// What no other dialect has words for.
const UNSPOKEN: [&str; 7] = [
    "responseFormat",
    "speechConfig",
    "imageConfig",
    "routingConfig",
    "modelSelectionConfig",
    "translationConfig",
    "audioTranscriptionConfig",
];

/// The form that the answer's text must have.
pub(super) enum Form<'a> {
    Any,
    /// JSON of no schema.
    Json,
    Schema(Raw<'a>),
    /// One word of a list, YAML and other forms that have no name elsewhere.
    Other,
}

impl<'a> Generation<'a> {
    pub fn read(raw: Raw<'a>) -> Result<Self, RequestError> {
        let at = format_args!("generationConfig");
        let expected = "an object, no key twice and in one spelling";
        let [
            max_output_tokens,
            temperature,
            top_p,
            top_k,
            seed,
            frequency_penalty,
            presence_penalty,
            stop_sequences,
            response_mime_type,
            response_schema,
            response_json_schema,
            candidate_count,
            response_modalities,
            response_logprobs,
            logprobs,
            thinking_config,
        ] = object(raw, at, expected, SPOKEN)?;
        Ok(Self {
            max_output_tokens,
            temperature,
            top_p,
            top_k,
            seed,
            frequency_penalty,
            presence_penalty,
            stop_sequences,
            response_mime_type,
            response_schema,
            response_json_schema,
            candidate_count,
            response_modalities,
            response_logprobs,
            logprobs,
            thinking_config,
            unspoken: object(raw, at, expected, UNSPOKEN)?,
        })
    }

    pub fn form(&self) -> Result<Form<'a>, RequestError> {
        let at = format_args!("generationConfig.responseMimeType");
        let media_type = read::optional(self.response_mime_type, at, read::text)?;
        let schema = self.response_json_schema.or(self.response_schema);
        Ok(match (media_type.as_deref(), schema) {
            (None | Some("application/json"), Some(schema)) => Form::Schema(schema),
            (Some("application/json"), None) => Form::Json,
            (None | Some("" | "text/plain"), None) => Form::Any,
            _ => Form::Other,
        })
    }

    /// What no other dialect has words for, by name.
    pub fn unspoken(&self) -> impl Iterator<Item = &'static str> {
        let named = UNSPOKEN.iter().zip(self.unspoken);
        named.filter_map(|(name, raw)| is_set(raw).then_some(*name))
    }

    /// Notes what nudges the answer, or asks for more than its words.
    pub fn note_settings(&self, outline: &mut Outline) {
        let asks_for = |raw: Option<Raw>| raw.is_some_and(|raw| !matches!(raw.get(), "0" | "0.0"));
        let penalties = [self.frequency_penalty, self.presence_penalty].map(asks_for);
        let [frequency, presence] = penalties;
        let asked = [
            (frequency, "frequencyPenalty", Feature::FrequencyPenalty),
            (presence, "presencePenalty", Feature::PresencePenalty),
            (self.top_k.is_some(), "topK", Feature::TopK),
            (self.seed.is_some(), "seed", Feature::Seed),
            (
                self.says_how_much_to_think(),
                "thinkingConfig",
                Feature::ReasoningEffort,
            ),
            (
                is_set(self.response_logprobs),
                "responseLogprobs",
                Feature::Logprobs,
            ),
            (is_set(self.logprobs), "logprobs", Feature::Logprobs),
        ];
        for (_, name, feature) in asked.iter().filter(|(is_asked, ..)| *is_asked) {
            outline.ask(*feature, format_args!("generationConfig.{name}"));
        }
    }

    /// Whether it says how much to think; that the model shall decide, or show its thoughts, says nothing of it.
    fn says_how_much_to_think(&self) -> bool {
        let [budget, level] = loose(self.thinking_config, ["thinkingBudget", "thinkingLevel"]);
        let has_budget = budget.is_some_and(|budget| !budget.get().starts_with('-'));
        has_budget || level.is_some_and(|level| level.get() != UNSPECIFIED_LEVEL)
    }

    /// Takes all but the stop texts, which are many.
    fn settings(&self, request: &mut Request<'a>) -> Result<(), RequestError> {
        let at = format_args!("generationConfig.maxOutputTokens");
        request.answer_tokens_max = read::optional(self.max_output_tokens, at, read::tokens)?;
        let Request {
            temperature,
            top_p,
            frequency_penalty,
            presence_penalty,
            ..
        } = request;
        for (raw, name, range, number) in [
            (self.temperature, "temperature", TEMPERATURE, temperature),
            (self.top_p, "topP", TOP_P, top_p),
            (
                self.frequency_penalty,
                "frequencyPenalty",
                PENALTY,
                frequency_penalty,
            ),
            (
                self.presence_penalty,
                "presencePenalty",
                PENALTY,
                presence_penalty,
            ),
        ] {
            if let Some(raw) = raw {
                let at = format_args!("generationConfig.{name}");
                *number = Some(read::number_within(raw, at, range)?);
            }
        }
        request.top_k = read::optional(self.top_k, format_args!("generationConfig.topK"), whole)?;
        request.seed = read::optional(self.seed, format_args!("generationConfig.seed"), seed)?;
        if self
            .response_logprobs
            .is_some_and(|raw| raw.get() == "true")
        {
            let at = format_args!("generationConfig.logprobs");
            let count = read::optional(self.logprobs, at, whole)?.unwrap_or_default();
            if count > LOGPROBS_MAX {
                return Err(read::invalid(at, "a whole number from 0 to 20"));
            }
            request.logprobs = Some(count);
        }
        if let Some(raw) = self.thinking_config {
            request.effort = effort(raw)?;
        }
        Ok(())
    }
}

fn is_set(raw: Option<Raw>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "false" | "0"))
}

/// The SDK for Python writes `40.0`.
fn whole(raw: Raw, at: fmt::Arguments) -> Result<u32, RequestError> {
    let number = raw.get();
    let number = number.strip_suffix(".0").unwrap_or(number).parse();
    number.map_err(|_| read::invalid(at, "a whole number, 0 or more"))
}

fn seed(raw: Raw, at: fmt::Arguments) -> Result<i64, RequestError> {
    read::value(raw, at, "a whole number")
}

const LEVELS: [(&str, Effort); 4] = [
    ("minimal", Effort::Minimal),
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
];
const UNSPECIFIED_LEVEL: &str = "\"THINKING_LEVEL_UNSPECIFIED\"";

/// None where the model shall decide: a budget of -1, or neither. A level says more than a budget beside it.
fn effort(raw: Raw) -> Result<Option<Effort>, RequestError> {
    let at = format_args!("generationConfig.thinkingConfig");
    let expected = "an object with `thinkingLevel` or `thinkingBudget`, no key twice";
    let names = ["thinkingBudget", "thinkingLevel"];
    let [budget, level] = object(raw, at, expected, names)?;
    if let Some(level) = level.filter(|level| level.get() != UNSPECIFIED_LEVEL) {
        let word = level.get().trim_matches('"');
        let mut known = LEVELS.into_iter();
        let known = known.find(|(name, _)| name.eq_ignore_ascii_case(word));
        let expected = "one of MINIMAL, LOW, MEDIUM, HIGH";
        let at = format_args!("{at}.thinkingLevel");
        return match known {
            Some((_, effort)) => Ok(Some(effort)),
            None => Err(read::invalid(at, expected)),
        };
    }
    let Some(budget) = budget else {
        return Ok(None);
    };
    let at = format_args!("{at}.thinkingBudget");
    let budget: i64 = read::value(budget, at, "a whole number of tokens, -1 or more")?;
    Ok(u64::try_from(budget).ok().map(Tokens).map(Effort::Tokens))
}

/// Takes a whole `generationConfig`.
pub(super) fn read_generation<'a>(
    raw: Raw<'a>,
    request: &mut Request<'a>,
) -> Result<(), RequestError> {
    let config = Generation::read(raw)?;
    config.settings(request)?;
    if let Some(stops) = config.stop_sequences {
        let at = format_args!("generationConfig.stopSequences");
        read::each(stops, at, &mut |index, raw| {
            let stop = read::text(raw, format_args!("{at}[{index}]"))?;
            request.stop.push(stop);
            Ok(())
        })?;
    }
    request.format = match config.form()? {
        Form::Schema(schema) => Some(Format::JsonSchema {
            name: None,
            schema,
            // OpenAI's strict form takes only schemas that demand every field, which Google's need not.
            strict: None,
        }),
        Form::Json => Some(Format::JsonObject),
        Form::Any | Form::Other => None,
    };
    Ok(())
}

/// OpenAI's word for a tier; none for the default, and for one that we do not know.
pub(super) fn service_tier(raw: Raw) -> Option<&'static str> {
    let known = ["flex", "priority"];
    let word = raw.get().trim_matches('"');
    let word = word.rsplit_once(['_']).map_or(word, |(_, word)| word);
    known
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(word))
}
