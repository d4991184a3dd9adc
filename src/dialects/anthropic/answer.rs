//! A whole message, read and written.
//!
//! A call's input is JSON here and text in `chat`. Input that a model wrote wrongly is wrapped under the key
//! that Anthropic recommends for it, because dropping it would run a tool without its arguments.

use serde::{Deserialize, Serialize};

use super::super::fault;
use super::super::read::{self, Json, Loose, Object, Raw};
use super::citation::{ReadCitation, WireCitation, wire_citation};
use super::usage::{Count, ReadUsage, WireUsage};
use crate::chat::{
    Answer, AttemptFailure, FinishReason, ProviderError, Seal, SealForm, Signer, ToolCall,
    char_count,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReadMessage<'a> {
    #[serde(rename = "type")]
    kind: Loose<String>,
    id: Loose<String>,
    model: Loose<String>,
    #[serde(borrow)]
    content: Loose<Vec<ReadBlock<'a>>>,
    stop_reason: Loose<String>,
    usage: Loose<ReadUsage>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadBlock<'a> {
    #[serde(rename = "type")]
    pub kind: Loose<String>,
    pub text: Loose<String>,
    pub thinking: Loose<String>,
    pub id: Loose<String>,
    pub name: Loose<String>,
    #[serde(borrow)]
    pub input: Option<Raw<'a>>,
    pub signature: Loose<String>,
    pub data: Loose<String>,
    pub citations: Loose<Vec<Loose<ReadCitation>>>,
}

const EXPECTED: AttemptFailure = AttemptFailure::Malformed {
    expected: "a message",
};

/// Why the answer ended. `pause_turn` comes of tools that run at Anthropic, which no translated request has.
pub(super) fn finish(reason: &str) -> FinishReason {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}

#[inline(never)]
pub(in super::super) fn parse_answer(
    body: &[u8],
) -> Result<Answer, (AttemptFailure, ProviderError)> {
    let message: Object<ReadMessage> =
        serde_json::from_slice(body).map_err(|error| fault::of_json(&error, body, EXPECTED))?;
    let message = message.0;
    if let Some(error) = message.error
        && fault::is_error(error)
    {
        return Err(fault::inside(error));
    }
    let is_error = message.kind.0.as_deref() == Some("error");
    let Some(blocks) = message.content.0.filter(|_| !is_error) else {
        return Err((EXPECTED, ProviderError::default()));
    };
    let mut count = Count::default();
    count.update(message.usage.0.unwrap_or_default());
    let mut answer = Answer {
        id: message.id.0.unwrap_or_default(),
        model: message.model.0.unwrap_or_default(),
        usage: count.usage(),
        finish: Some(finish(&message.stop_reason.0.unwrap_or_default())),
        ..Answer::default()
    };
    for block in blocks {
        read_block(block, &mut answer);
    }
    Ok(answer)
}

fn read_block(block: ReadBlock, answer: &mut Answer) {
    match block.kind.0.as_deref() {
        Some("text") => {
            let cited = block.citations.0.unwrap_or_default();
            let start = if cited.is_empty() {
                0
            } else {
                char_count(&answer.text)
            };
            let text = block.text.0.unwrap_or_default();
            answer.text.push_str(&text);
            let cited = cited.into_iter().filter_map(|cited| cited.0);
            let span = (start, start.saturating_add(char_count(&text)));
            answer
                .citations
                .extend(cited.filter_map(|cited| cited.citation(span)));
        }
        Some("thinking") => {
            answer
                .reasoning
                .push_str(&block.thinking.0.unwrap_or_default());
            answer.seal_thoughts(Seal::of(
                Signer::Anthropic,
                SealForm::Signature,
                block.signature.0,
            ));
        }
        Some("redacted_thinking") => answer.seal_thoughts(Seal::of(
            Signer::Anthropic,
            SealForm::Encrypted,
            block.data.0,
        )),
        Some("tool_use") => answer.calls.push(ToolCall {
            id: block.id.0.unwrap_or_default(),
            name: block.name.0.unwrap_or_default(),
            arguments: block.input.map_or("{}", |input| input.get()).to_owned(),
            signature: None,
        }),
        _ => {}
    }
}

#[derive(Serialize)]
pub(super) struct WireMessage<'a> {
    pub id: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub role: &'static str,
    pub model: &'a str,
    pub content: Vec<WireBlock<'a>>,
    pub stop_reason: Option<&'static str>,
    pub stop_sequence: Option<()>,
    pub usage: WireUsage,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireBlock<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<WireCitation<'a>>,
    },
    Thinking {
        thinking: &'a str,
        /// Empty where it is not Anthropic's model that thought so.
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Input<'a>,
    },
}

/// A thought with its seal, where it has one of Anthropic's.
fn thought<'a>(text: &'a str, seal: Option<&'a Seal>) -> Option<WireBlock<'a>> {
    let seal = seal.filter(|seal| seal.by == Signer::Anthropic);
    match seal.map(|seal| (seal.form, &*seal.words)) {
        Some((SealForm::Signature, signature)) => Some(WireBlock::Thinking {
            thinking: text,
            signature,
        }),
        Some((SealForm::Encrypted, data)) => Some(WireBlock::RedactedThinking { data }),
        None if text.is_empty() => None,
        None => Some(WireBlock::Thinking {
            thinking: text,
            signature: "",
        }),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Input<'a> {
    Object(Json<'a>),
    Invalid {
        #[serde(rename = "INVALID_JSON")]
        invalid_json: &'a str,
    },
}

fn input(arguments: &str) -> Input<'_> {
    if arguments.trim().is_empty() {
        Input::Object(Json("{}"))
    } else if read::is_object(arguments) {
        Input::Object(Json(arguments))
    } else {
        Input::Invalid {
            invalid_json: arguments,
        }
    }
}

pub(super) fn stop_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
    }
}

pub(in super::super) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut content = Vec::new();
    let thoughts = answer.thoughts().into_iter();
    content.extend(thoughts.filter_map(|(text, seal)| thought(text, seal)));
    if !answer.text.is_empty() {
        content.push(WireBlock::Text {
            text: &answer.text,
            citations: answer.citations.iter().filter_map(wire_citation).collect(),
        });
    }
    if !answer.refusal.is_empty() {
        content.push(WireBlock::Text {
            text: &answer.refusal,
            citations: Vec::new(),
        });
    }
    content.extend(answer.calls.iter().map(|call| WireBlock::ToolUse {
        id: &call.id,
        name: &call.name,
        input: input(&call.arguments),
    }));
    let message = WireMessage {
        id: &answer.id,
        kind: "message",
        role: "assistant",
        model: &answer.model,
        content,
        stop_reason: Some(stop_reason(answer.finish.unwrap_or(FinishReason::Stop))),
        stop_sequence: None,
        usage: answer.usage.unwrap_or_default().into(),
    };
    serde_json::to_vec(&message).unwrap_or_default()
}
