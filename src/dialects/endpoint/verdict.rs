//! Whether a whole answer of an endpoint is one, and what it cost.
//!
//! Only the field that the answer is for is looked at, and usage, under the names that OpenAI gives it: embeddings count as
//! chat completions do (`prompt_tokens`), images and transcriptions as the Responses API (`input_tokens`).

use serde::Deserialize;

use super::super::fault;
use super::super::read::{self, Kind, Loose, Object, Raw};
use super::Endpoint;
use crate::chat::{Answer, AttemptFailure, FinishReason, ProviderError, Usage};
use crate::units::Tokens;

type Failed = (AttemptFailure, ProviderError);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Whole<'a> {
    #[serde(borrow)]
    error: Option<Raw<'a>>,
    #[serde(borrow)]
    data: Option<Raw<'a>>,
    #[serde(borrow)]
    results: Option<Raw<'a>>,
    #[serde(borrow)]
    input_tokens: Option<Raw<'a>>,
    usage: Loose<ReadUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadUsage {
    prompt_tokens: Loose<u64>,
    input_tokens: Loose<u64>,
    completion_tokens: Loose<u64>,
    output_tokens: Loose<u64>,
    input_tokens_details: Loose<Details>,
    /// As transcriptions spell it.
    input_token_details: Loose<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    image_tokens: Loose<u64>,
    audio_tokens: Loose<u64>,
}

pub(super) fn judge(endpoint: Endpoint, body: &[u8]) -> Result<Answer, Failed> {
    let malformed = AttemptFailure::Malformed {
        expected: expected(endpoint),
    };
    let whole: Object<Whole> = serde_json::from_slice(body)
        .map_err(|error| fault::of_json(&error, body, malformed.clone()))?;
    let whole = whole.0;
    if let Some(error) = whole.error
        && fault::is_error(error)
    {
        return Err(fault::inside(error));
    }
    let content = match endpoint {
        Endpoint::Moderations => whole.results,
        Endpoint::CountTokens => whole.input_tokens,
        Endpoint::Speech | Endpoint::Transcriptions | Endpoint::Translations => {
            return Ok(answer(whole.usage.0));
        }
        _ => whole.data,
    };
    match (endpoint, content.map(|raw| (read::kind(raw), raw.get()))) {
        (Endpoint::CountTokens, Some((Kind::Scalar, number))) if number.parse::<u64>().is_ok() => {}
        (Endpoint::CountTokens, _) => return Err((malformed, ProviderError::default())),
        (_, Some((Kind::Array, list))) if is_filled(list) => {}
        (_, Some((Kind::Array, _))) => {
            return Err((AttemptFailure::EmptyAnswer, ProviderError::default()));
        }
        _ => return Err((malformed, ProviderError::default())),
    }
    Ok(answer(whole.usage.0))
}

fn expected(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Embeddings => "embeddings in `data`",
        Endpoint::Moderations => "judgements in `results`",
        Endpoint::CountTokens => "`input_tokens`",
        Endpoint::ImageGenerations | Endpoint::ImageEdits | Endpoint::ImageVariations => {
            "images in `data`"
        }
        _ => "a JSON object",
    }
}

/// Whether an array has an element.
fn is_filled(list: &str) -> bool {
    let inside = list.strip_prefix('[').unwrap_or_default();
    !inside.trim_start().starts_with(']')
}

fn answer(usage: Option<ReadUsage>) -> Answer {
    Answer {
        finish: Some(FinishReason::Stop),
        usage: usage.and_then(ReadUsage::usage),
        ..Answer::default()
    }
}

impl ReadUsage {
    /// `None` if it counts no tokens: some transcriptions are counted in seconds.
    fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_tokens.0.or(self.input_tokens.0);
        let answer = self.completion_tokens.0.or(self.output_tokens.0);
        if prompt.is_none() && answer.is_none() {
            return None;
        }
        let prompt = Tokens(prompt.unwrap_or_default());
        let details = self.input_tokens_details.0.or(self.input_token_details.0);
        let details = details.unwrap_or_default();
        let part = |count: Option<u64>| Tokens(count.unwrap_or_default()).min(prompt);
        Some(Usage {
            prompt,
            audio: part(details.audio_tokens.0),
            image: part(details.image_tokens.0),
            answer: Tokens(answer.unwrap_or_default()),
            ..Usage::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(endpoint: Endpoint, body: &str) -> Result<Option<Usage>, &'static str> {
        let judged = judge(endpoint, body.as_bytes());
        judged
            .map(|answer| answer.usage)
            .map_err(|(failure, _)| failure.code())
    }

    #[test]
    fn an_answer_without_what_it_is_for_is_none() {
        let embeddings = |body| told(Endpoint::Embeddings, body);
        assert_eq!(embeddings(r#"{"data":[{"embedding":[0.1]}]}"#), Ok(None));
        assert_eq!(embeddings(r#"{"data":[ ]}"#), Err("empty_answer"));
        assert_eq!(embeddings(r#"{"object":"list"}"#), Err("malformed"));
        assert_eq!(embeddings(r#"{"data":{}}"#), Err("malformed"));
        assert_eq!(embeddings("[1]"), Err("malformed"));
        assert_eq!(embeddings("<html>"), Err("malformed"));
        assert_eq!(embeddings(r#"{"data":[{"embed"#), Err("cut_off"));
        assert_eq!(
            embeddings(r#"{"error":{"code":"rate_limit_exceeded"}}"#),
            Err("rate_limited")
        );
        assert_eq!(
            told(Endpoint::Moderations, r#"{"data":[1]}"#),
            Err("malformed")
        );
        assert_eq!(told(Endpoint::Moderations, r#"{"results":[{}]}"#), Ok(None));
        assert_eq!(
            told(Endpoint::CountTokens, r#"{"input_tokens":-1}"#),
            Err("malformed")
        );
        assert_eq!(
            told(Endpoint::CountTokens, r#"{"input_tokens":7}"#),
            Ok(None)
        );
        assert_eq!(told(Endpoint::Transcriptions, r#"{"text":""}"#), Ok(None));
    }

    #[test]
    fn usage_is_read_under_each_of_its_names() {
        let counted = |prompt, answer| Usage {
            prompt: Tokens(prompt),
            answer: Tokens(answer),
            ..Usage::default()
        };
        let usage = r#"{"data":[1],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
        assert_eq!(told(Endpoint::Embeddings, usage), Ok(Some(counted(8, 0))));
        let usage = r#"{"data":[1],"usage":{"input_tokens":50,"output_tokens":272,"input_tokens_details":{"image_tokens":40,"text_tokens":10}}}"#;
        let image = Usage {
            image: Tokens(40),
            ..counted(50, 272)
        };
        assert_eq!(told(Endpoint::ImageEdits, usage), Ok(Some(image)));
        let usage = r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45}}"#;
        let audio = Usage {
            audio: Tokens(14),
            ..counted(14, 45)
        };
        assert_eq!(told(Endpoint::Transcriptions, usage), Ok(Some(audio)));
        let seconds = r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#;
        assert_eq!(told(Endpoint::Transcriptions, seconds), Ok(None));
    }
}
