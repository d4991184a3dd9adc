//! A whole answer of Converse, read.
//!
//! It has no id and names no model. Calls of Bedrock's own tools, which no client of ours
//! can ask for, are ignored. Signatures and redacted thoughts are Anthropic's: its models alone make them
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ReasoningContentBlock.html>).
//!
//! The prompt is counted in three parts that do not overlap: what was neither read from the cache nor written to it, and
//! both of these (<https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>).

use serde::Deserialize;

use super::super::fault;
use super::super::read::{Loose, Object, Raw};
use super::citation::{ReadCitation, ReadText};
use crate::chat::{
    Answer, AttemptFailure, FinishReason, ProviderError, Seal, SealForm, Signer, ToolCall, Usage,
    char_count,
};
use crate::units::Tokens;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReadAnswer<'a> {
    #[serde(borrow)]
    output: Loose<ReadOutput<'a>>,
    stop_reason: Loose<String>,
    usage: Loose<ReadUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadOutput<'a> {
    #[serde(borrow)]
    message: Loose<ReadMessage<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadMessage<'a> {
    #[serde(borrow)]
    content: Loose<Vec<Loose<ReadBlock<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReadBlock<'a> {
    text: Loose<String>,
    #[serde(borrow)]
    tool_use: Loose<ReadToolUse<'a>>,
    reasoning_content: Loose<ReadReasoning>,
    citations_content: Loose<ReadCitations>,
}

/// A call, or how one begins.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ReadToolUse<'a> {
    pub tool_use_id: Loose<String>,
    pub name: Loose<String>,
    /// Only where Bedrock calls its own tool.
    #[serde(rename = "type")]
    pub kind: Loose<String>,
    #[serde(borrow)]
    pub input: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReadReasoning {
    reasoning_text: Loose<ReadThought>,
    redacted_content: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadThought {
    text: Loose<String>,
    signature: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadCitations {
    content: Loose<Vec<Loose<ReadText>>>,
    citations: Loose<Vec<Loose<ReadCitation>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadUsage {
    #[serde(rename = "inputTokens")]
    input: Loose<u64>,
    #[serde(rename = "outputTokens")]
    output: Loose<u64>,
    #[serde(rename = "cacheReadInputTokens")]
    cache_read: Loose<u64>,
    #[serde(rename = "cacheWriteInputTokens")]
    cache_write: Loose<u64>,
}

impl ReadUsage {
    /// `None` if it counts nothing.
    pub fn usage(self) -> Option<Usage> {
        if self.input.0.is_none() && self.output.0.is_none() {
            return None;
        }
        let tokens = |count: Loose<u64>| Tokens(count.0.unwrap_or_default());
        let cached = tokens(self.cache_read);
        let cache_write = tokens(self.cache_write);
        Some(Usage {
            prompt: tokens(self.input) + cached + cache_write,
            cached,
            cache_write,
            answer: tokens(self.output),
            ..Usage::default()
        })
    }
}

/// Why it ended, or that it is broken: the model wrote what Bedrock could not read.
pub(super) fn finish(reason: &str) -> Result<FinishReason, (AttemptFailure, ProviderError)> {
    Ok(match reason {
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => return Err(fault::named(reason, None)),
        _ => FinishReason::Stop,
    })
}

const EXPECTED: AttemptFailure = AttemptFailure::Malformed {
    expected: "a Converse response",
};

#[inline(never)]
pub(in super::super) fn parse_answer(
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    let read: Object<ReadAnswer> =
        serde_json::from_slice(body).map_err(|error| fault::of_json(&error, body, EXPECTED))?;
    let read = read.0;
    let message = read.output.0.and_then(|output| output.message.0);
    let Some(blocks) = message.and_then(|message| message.content.0) else {
        return Err(fault::in_answer(body, EXPECTED));
    };
    let mut answer = Answer {
        finish: Some(finish(&read.stop_reason.0.unwrap_or_default())?),
        usage: read.usage.0.and_then(ReadUsage::usage),
        ..Answer::default()
    };
    for block in blocks.into_iter().filter_map(|block| block.0) {
        read_block(block, &mut answer);
    }
    Ok(answer)
}

fn read_block(block: ReadBlock, answer: &mut Answer) {
    answer.text.push_str(&block.text.0.unwrap_or_default());
    read_cited(block.citations_content.0.unwrap_or_default(), answer);
    let reasoning = block.reasoning_content.0.unwrap_or_default();
    let thought = reasoning.reasoning_text.0.unwrap_or_default();
    answer
        .reasoning
        .push_str(&thought.text.0.unwrap_or_default());
    answer.seal_thoughts(Seal::of(
        Signer::Anthropic,
        SealForm::Signature,
        thought.signature.0,
    ));
    let redacted = reasoning.redacted_content.0;
    answer.seal_thoughts(Seal::of(Signer::Anthropic, SealForm::Encrypted, redacted));
    if let Some(call) = block.tool_use.0.filter(|call| call.kind.0.is_none()) {
        answer.calls.push(ToolCall {
            id: call.tool_use_id.0.unwrap_or_default(),
            name: call.name.0.unwrap_or_default(),
            arguments: call.input.map_or("{}", |input| input.get()).to_owned(),
            signature: None,
        });
    }
}

fn read_cited(read: ReadCitations, answer: &mut Answer) {
    let citations = read.citations.0.unwrap_or_default();
    // To count a text's characters takes time, and most have no sources.
    let start = if citations.is_empty() {
        0
    } else {
        char_count(&answer.text)
    };
    let mut end = start;
    let pieces = read.content.0.unwrap_or_default().into_iter();
    for piece in pieces.filter_map(|piece| piece.0) {
        let piece = piece.text.0.unwrap_or_default();
        end = end.saturating_add(char_count(&piece));
        answer.text.push_str(&piece);
    }
    let citations = citations.into_iter().filter_map(|citation| citation.0);
    let citations = citations.filter_map(|citation| citation.citation((start, end)));
    answer.citations.extend(citations);
}
