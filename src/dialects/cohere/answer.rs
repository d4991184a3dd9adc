//! A whole answer of Cohere's chat API, read.
//!
//! What the model plans before it calls tools (`tool_plan`) is its reasoning, as `thinking` is. A generation that went
//! wrong ends with the reason `ERROR` or `TIMEOUT` inside a 200.
//!
//! Tokens are told twice: as the model saw them, with what Cohere itself puts around the prompt, and as they are
//! billed. The billed ones count, because they are what is paid
//! (<https://docs.cohere.com/docs/how-does-cohere-pricing-work>).

use serde::Deserialize;

use super::super::fault;
use super::super::read::{Loose, Object};
use super::source::{ReadCitation, ReadLogprob};
use crate::chat::{Answer, AttemptFailure, FinishReason, ProviderError, ToolCall, Usage};
use crate::units::Tokens;

/// A call's, where the model wrote none.
pub(super) const NO_ARGUMENTS: &str = "{}";

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadAnswer {
    id: Loose<String>,
    finish_reason: Loose<String>,
    message: Loose<ReadMessage>,
    usage: Loose<ReadUsage>,
    logprobs: Loose<Vec<Loose<ReadLogprob>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadMessage {
    content: Loose<Vec<Loose<ReadPart>>>,
    tool_plan: Loose<String>,
    tool_calls: Loose<Vec<Loose<ReadCall>>>,
    citations: Loose<Vec<Loose<ReadCitation>>>,
}

/// A part of the content, or a piece of one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadPart {
    pub text: Loose<String>,
    pub thinking: Loose<String>,
}

/// A tool call, or a piece of one.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadCall {
    pub id: Loose<String>,
    pub function: Loose<ReadFunction>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadFunction {
    pub name: Loose<String>,
    pub arguments: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadUsage {
    billed_units: Loose<Count>,
    tokens: Loose<Count>,
    cached_tokens: Loose<f64>,
}

/// Cohere's schema calls them numbers, not integers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Count {
    input_tokens: Loose<f64>,
    output_tokens: Loose<f64>,
}

impl ReadUsage {
    /// `None` if it counts nothing.
    pub fn usage(self) -> Option<Usage> {
        let billed = self.billed_units.0.unwrap_or_default();
        let seen = self.tokens.0.unwrap_or_default();
        let prompt = billed.input_tokens.0.or(seen.input_tokens.0);
        let answer = billed.output_tokens.0.or(seen.output_tokens.0);
        if prompt.is_none() && answer.is_none() {
            return None;
        }
        let prompt = tokens(prompt);
        Some(Usage {
            prompt,
            cached: tokens(self.cached_tokens.0).min(prompt),
            answer: tokens(answer),
            ..Usage::default()
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer that there is, and what is less than none is none"
)]
fn tokens(count: Option<f64>) -> Tokens {
    Tokens(count.unwrap_or_default() as u64)
}

/// Why it ended, or that it failed. `words` are the provider's.
pub(super) fn finish(
    reason: &str,
    has_calls: bool,
    words: Option<String>,
) -> Result<FinishReason, (AttemptFailure, ProviderError)> {
    Ok(match reason {
        "ERROR" | "TIMEOUT" => return Err(fault::named(reason, words)),
        // The last two are of the API's first version, which some deployments still say.
        "MAX_TOKENS" | "ERROR_LIMIT" => FinishReason::Length,
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        "TOOL_CALL" => FinishReason::ToolCalls,
        _ if has_calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    })
}

const EXPECTED: AttemptFailure = AttemptFailure::Malformed {
    expected: "a chat response",
};

#[inline(never)]
pub(in super::super) fn parse_answer(
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    let answer: Object<ReadAnswer> =
        serde_json::from_slice(body).map_err(|error| fault::of_json(&error, body, EXPECTED))?;
    let read = answer.0;
    let reason = read.finish_reason.0.unwrap_or_default();
    let Some(message) = read.message.0 else {
        // An error's `message` is a string.
        return Err(fault::in_answer(body, EXPECTED));
    };
    let mut answer = Answer {
        id: read.id.0.unwrap_or_default(),
        usage: read.usage.0.and_then(ReadUsage::usage),
        reasoning: message.tool_plan.0.unwrap_or_default(),
        ..Answer::default()
    };
    let parts = message.content.0.unwrap_or_default().into_iter();
    for part in parts.filter_map(|part| part.0) {
        answer
            .reasoning
            .push_str(&part.thinking.0.unwrap_or_default());
        answer.text.push_str(&part.text.0.unwrap_or_default());
    }
    let citations = message.citations.0.unwrap_or_default().into_iter();
    let citations = citations.filter_map(|citation| citation.0);
    answer.citations = citations.flat_map(|ReadCitation(all)| all).collect();
    let logprobs = read.logprobs.0.unwrap_or_default().into_iter();
    let logprobs = logprobs.filter_map(|logprob| logprob.0);
    answer.logprobs = logprobs.filter_map(|ReadLogprob(token)| token).collect();
    let calls = message.tool_calls.0.unwrap_or_default().into_iter();
    answer.calls = calls.filter_map(|call| call.0).map(call).collect();
    answer.finish = Some(finish(&reason, !answer.calls.is_empty(), None)?);
    Ok(answer)
}

fn call(read: ReadCall) -> ToolCall {
    let function = read.function.0.unwrap_or_default();
    let arguments = function.arguments.0.filter(|text| !text.is_empty());
    ToolCall {
        id: read.id.0.unwrap_or_default(),
        name: function.name.0.unwrap_or_default(),
        arguments: arguments.unwrap_or_else(|| NO_ARGUMENTS.to_owned()),
        signature: None,
    }
}
