//! Writes a request to Cohere's chat API.
//!
//! What the API has no words for is refused here, and another target is asked: one of several tools by name, more stop
//! texts than it takes, images in a tool's result, the probabilities of tokens that were not chosen, and a JSON format
//! beside tools or documents, which it refuses itself (<https://docs.cohere.com/v2/reference/chat>). That one call at most
//! be made cannot be said either; the answer's first alone is passed on then.
//!
//! - Tools are held to their schemas all together or not at all; so `strict_tools` is said where each is strict.
//! - Temperature goes to 2 at OpenAI and to 1 here, `top_p` from 0.01 to 0.99, penalties from 0 to 1, `top_k` to 500;
//!   what is beyond becomes the nearest. A seed loses its sign: it only has to be the same each time.
//! - Documents of the user's stand beside the conversation, numbered in their order; those of tools in their results. The
//!   API cites all of them unasked; where none is to be cited, it is told so.
//! - How much to think is a budget of tokens.
//! - That a tool failed has no field; its text says so. The client's name for its user is not sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::arguments_schema::arguments_schema;
use super::super::read::Raw;
use super::super::{Dialect, Shape, written};
use crate::chat::{
    AssistantMessage, Document, DocumentSource, Effort, Format, Image, Message, Part, Request,
    RequestError, RequestedCall, Tool, ToolChoice, ToolResult,
};
use crate::units::Tokens;

const TEMPERATURE_MAX: f64 = 1.0;
const TOP_P_MIN: f64 = 0.01;
const TOP_P_MAX: f64 = 0.99;
const TOP_K_MAX: u32 = 500;
const PENALTY_MAX: f64 = 1.0;
/// Texts in `stop_sequences`.
const STOP_MAX: usize = 5;

#[derive(Serialize)]
struct WireRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict_tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<WireThinking>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<WireDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    citation_options: Option<WireCitations>,
    stream: bool,
}

#[derive(Serialize)]
struct WireThinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_budget: Option<Tokens>,
}

#[derive(Serialize)]
struct WireDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    data: WireText<'a>,
}

#[derive(Serialize)]
struct WireText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct WireCitations {
    mode: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum WireMessage<'a> {
    System {
        content: Content<'a>,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Content<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: Content<'a>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: WireUrl<'a> },
    Document { document: WireDocument<'a> },
}

#[derive(Serialize)]
struct WireUrl<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireDefinition<'a>,
}

#[derive(Serialize)]
struct WireDefinition<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct WireFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Raw<'a>>,
}

#[inline(never)]
pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    if let Some(field) = beyond(request) {
        return Err(RequestError::NotTranslatable {
            field: field.to_owned(),
            dialect: Dialect::Cohere.name(),
        });
    }
    let is_strict = |tool: &Tool| tool.strict == Some(true);
    let is_strict = !request.tools.is_empty() && request.tools.iter().all(is_strict);
    let documents = documents(&request.messages);
    let is_cited = documents.iter().any(|(_, is_cited)| *is_cited);
    let citations_off = !documents.is_empty() && !is_cited;
    written(&WireRequest {
        model: shape.model,
        messages: request.messages.iter().map(message).collect(),
        tools: request.tools.iter().map(tool).collect(),
        strict_tools: is_strict.then_some(true),
        // A choice without tools means nothing.
        tool_choice: request
            .tool_choice
            .as_ref()
            .filter(|_| !request.tools.is_empty())
            .and_then(choice),
        response_format: request.format.as_ref().map(format),
        max_tokens: request.answer_tokens_max,
        stop_sequences: &request.stop,
        temperature: request.temperature.map(|it| it.min(TEMPERATURE_MAX)),
        p: request.top_p.map(|it| it.clamp(TOP_P_MIN, TOP_P_MAX)),
        k: request.top_k.map(|it| it.min(TOP_K_MAX)),
        seed: request.seed.map(i64::unsigned_abs),
        frequency_penalty: request.frequency_penalty.map(penalty),
        presence_penalty: request.presence_penalty.map(penalty),
        logprobs: request.logprobs.map(|_| true),
        thinking: request.effort.map(thinking),
        documents: documents.into_iter().map(|(wire, _)| wire).collect(),
        citation_options: citations_off.then_some(WireCitations { mode: "OFF" }),
        stream: shape.is_streaming,
    })
}

fn thinking(effort: Effort) -> WireThinking {
    let token_budget = effort.budget();
    let kind = if token_budget.is_some() {
        "enabled"
    } else {
        "disabled"
    };
    WireThinking { kind, token_budget }
}

/// The user's, each with whether it is to be cited. Anthropic counts those in tools' results too.
fn documents<'a>(messages: &'a [Message<'a>]) -> Vec<(WireDocument<'a>, bool)> {
    let mut found = Vec::new();
    let mut number: u32 = 0;
    for message in messages {
        let (parts, is_users) = match message {
            Message::User(parts) => (parts, true),
            Message::ToolResult(result) => (&result.parts, false),
            Message::System(_) | Message::Assistant(_) => continue,
        };
        for part in parts {
            if let Part::Document(document) = part {
                let wire = wire_document(document, Some(number));
                found.extend(
                    wire.filter(|_| is_users)
                        .map(|wire| (wire, document.is_cited)),
                );
                number = number.saturating_add(1);
            }
        }
    }
    found
}

/// None where it is no text.
fn wire_document<'a>(document: &'a Document<'a>, number: Option<u32>) -> Option<WireDocument<'a>> {
    let DocumentSource::Text(text) = &document.source else {
        return None;
    };
    Some(WireDocument {
        id: number.map(|number| number.to_string()),
        data: WireText {
            title: document.name.as_deref(),
            text,
        },
    })
}

fn penalty(asked: f64) -> f64 {
    asked.clamp(0.0, PENALTY_MAX)
}

/// The first thing that is asked and that the API cannot be told.
fn beyond(request: &Request) -> Option<&'static str> {
    let is_named = matches!(request.tool_choice, Some(ToolChoice::Named(_)));
    let is_one_of_several = is_named && request.tools.len() > 1;
    let has_tools = !request.tools.is_empty();
    let is_image = |part: &Part| matches!(part, Part::Image(_));
    let is_document = |part: &Part| matches!(part, Part::Document(_));
    let is_unknown = |message: &Message| match message {
        Message::ToolResult(result) => result.parts.iter().any(is_image),
        Message::User(_) => false,
        Message::System(parts) | Message::Assistant(AssistantMessage { parts, .. }) => {
            parts.iter().any(is_document)
        }
    };
    let has_documents = request.messages.iter().any(|message| match message {
        Message::User(parts) => parts.iter().any(is_document),
        _ => false,
    });
    if is_one_of_several {
        Some("tool_choice")
    } else if (has_tools || has_documents) && request.format.is_some() {
        Some("response_format")
    } else if request.stop.len() > STOP_MAX {
        Some("stop")
    } else if request.logprobs.is_some_and(|count| count > 0) {
        Some("top_logprobs")
    } else if request.messages.iter().any(is_unknown) {
        Some("messages")
    } else {
        None
    }
}

fn message<'a>(message: &'a Message<'a>) -> WireMessage<'a> {
    match message {
        Message::System(parts) => WireMessage::System {
            content: content(parts, false),
        },
        Message::User(parts) => WireMessage::User {
            content: content(parts, false),
        },
        Message::Assistant(AssistantMessage { parts, calls }) => {
            let is_said = |part: &Part| matches!(part, Part::Text(_) | Part::Image(_));
            let is_silent = !parts.iter().any(is_said) && !calls.is_empty();
            WireMessage::Assistant {
                content: (!is_silent).then(|| content(parts, false)),
                tool_calls: calls.iter().map(call).collect(),
            }
        }
        Message::ToolResult(ToolResult { call_id, parts, .. }) => WireMessage::Tool {
            tool_call_id: call_id,
            content: content(parts, true),
        },
    }
}

fn call<'a>(call: &'a RequestedCall<'a>) -> WireCall<'a> {
    WireCall {
        id: &call.id,
        kind: "function",
        function: WireFunction {
            name: &call.name,
            arguments: &call.arguments,
        },
    }
}

/// One text is a string; several parts are an array.
fn content<'a>(parts: &'a [Part<'a>], is_result: bool) -> Content<'a> {
    let wire = |part: &'a Part<'a>| match part {
        Part::Document(document) if is_result => {
            let document = wire_document(document, None)?;
            Some(WirePart::Document { document })
        }
        Part::Text(text) => Some(WirePart::Text { text }),
        Part::Image(image) => Some(WirePart::ImageUrl {
            image_url: WireUrl { url: url(image) },
        }),
        // The user's documents stand beside the messages. What its dialect does not carry is in no request that comes here, or
        // may be left out.
        Part::Document(_) | Part::Audio(_) | Part::Reasoning(_) | Part::CacheMarker(_) => None,
    };
    let written: Vec<WirePart> = parts.iter().filter_map(wire).collect();
    match written.as_slice() {
        [] => Content::Text(""),
        [WirePart::Text { text }] => Content::Text(text),
        _ => Content::Parts(written),
    }
}

fn url<'a>(image: &'a Image<'a>) -> Cow<'a, str> {
    match image {
        Image::Url(url) => Cow::Borrowed(url),
        Image::Inline { media_type, base64 } => {
            Cow::Owned(format!("data:{media_type};base64,{base64}"))
        }
    }
}

fn tool<'a>(tool: &'a Tool<'a>) -> WireTool<'a> {
    WireTool {
        kind: "function",
        function: WireDefinition {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: arguments_schema(tool.parameters),
        },
    }
}

/// The only tool by its name is any tool. Without a choice the model decides.
fn choice(choice: &ToolChoice) -> Option<&'static str> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::Never => Some("NONE"),
        ToolChoice::Required | ToolChoice::Named(_) => Some("REQUIRED"),
    }
}

fn format<'a>(format: &'a Format<'a>) -> WireFormat<'a> {
    WireFormat {
        kind: "json_object",
        json_schema: match format {
            Format::JsonObject => None,
            Format::JsonSchema { schema, .. } => Some(schema),
        },
    }
}
