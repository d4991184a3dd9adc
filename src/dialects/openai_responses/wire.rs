//! A response and its output items as they are written, whole or as parts of a stream's events.
//!
//! A response repeats the request that it answers. We do not have that any more when the answer ends: what may be
//! null is null, and the three fields that may not be (`tools`, `tool_choice`, `parallel_tool_calls`) have the
//! API's defaults.

use std::borrow::Cow;

use serde::Serialize;

use super::super::openai_chat::{WireCitation, WireLogprob, flat, wire_logprobs};
use super::usage::WireUsage;
use crate::chat::{Citation, FinishReason, TokenLogprob, Usage};
use crate::units::UnixMillis;

/// How much of an answer's id is in its items' ids. OpenAI takes back ids of at most 64 characters.
const ID_CHARS_MAX: usize = 40;
/// An array without elements.
type Nothing = [(); 0];

#[derive(Serialize)]
pub(super) struct WireResponse<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    error: Option<()>,
    incomplete_details: Option<Incomplete>,
    instructions: Option<()>,
    max_output_tokens: Option<()>,
    metadata: Option<()>,
    model: &'a str,
    output: Vec<WireItem<'a>>,
    parallel_tool_calls: bool,
    previous_response_id: Option<()>,
    temperature: Option<()>,
    tool_choice: &'static str,
    tools: Nothing,
    top_p: Option<()>,
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

impl<'a> WireResponse<'a> {
    /// One that has only begun.
    pub fn new(id: &'a str, model: &'a str, created: UnixMillis) -> Self {
        Self {
            id,
            object: "response",
            created_at: created.seconds(),
            status: IN_PROGRESS,
            error: None,
            incomplete_details: None,
            instructions: None,
            max_output_tokens: None,
            metadata: None,
            model,
            output: Vec::new(),
            parallel_tool_calls: true,
            previous_response_id: None,
            temperature: None,
            tool_choice: "auto",
            tools: [],
            top_p: None,
            usage: None,
        }
    }

    /// The same, when it has ended.
    pub fn ended(
        mut self,
        output: Vec<WireItem<'a>>,
        finish: FinishReason,
        usage: Option<Usage>,
    ) -> Self {
        self.status = status(finish);
        self.incomplete_details = match finish {
            FinishReason::Length => Some("max_output_tokens"),
            FinishReason::ContentFilter => Some("content_filter"),
            FinishReason::Stop | FinishReason::ToolCalls => None,
        }
        .map(|reason| Incomplete { reason });
        self.output = output;
        self.usage = usage.map(WireUsage::from);
        self
    }
}

pub(super) const IN_PROGRESS: &str = "in_progress";
pub(super) const COMPLETED: &str = "completed";

/// The status of an answer that ended so, and of its last item.
pub(super) fn status(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::ToolCalls => COMPLETED,
        FinishReason::Length | FinishReason::ContentFilter => "incomplete",
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireItem<'a> {
    Reasoning {
        id: Cow<'a, str>,
        summary: Vec<WirePart<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    Message {
        id: Cow<'a, str>,
        status: &'static str,
        role: &'static str,
        content: Vec<WirePart<'a>>,
    },
    FunctionCall {
        id: Cow<'a, str>,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart<'a> {
    SummaryText {
        text: &'a str,
    },
    OutputText {
        text: &'a str,
        annotations: Vec<WireCitation<'a>>,
        logprobs: Vec<WireLogprob<'a>>,
    },
    Refusal {
        refusal: &'a str,
    },
}

impl<'a> WirePart<'a> {
    /// Sources without a URL are not what this part can name.
    pub fn output(text: &'a str, citations: &'a [Citation], tokens: &'a [TokenLogprob]) -> Self {
        let cited = citations.iter().filter(|cited| !cited.url.is_empty());
        Self::OutputText {
            text,
            annotations: cited.map(flat).collect(),
            logprobs: wire_logprobs(tokens),
        }
    }
}

/// A call's arguments. A client reads them as JSON, and some providers write nothing for none.
pub(super) fn arguments(text: &str) -> &str {
    if text.trim().is_empty() { "{}" } else { text }
}

/// The id of the item at this place of the output: its kind, the answer, and the place.
pub(super) fn item_id(kind: &str, answer_id: &str, place: usize) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let answer: String = answer_id
        .chars()
        .filter(is_plain)
        .take(ID_CHARS_MAX)
        .collect();
    format!("{kind}_{answer}_{place}")
}
