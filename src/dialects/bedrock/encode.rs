//! Writes a Converse request.
//!
//! What the API has no words for is refused here, and another target is asked: images by URL or of another format than
//! its four, documents of another than its nine, without any text beside them, or outside of a user's turn, any JSON
//! without a schema, a conversation that the assistant begins, a choice of no tool where earlier turns called some, and such turns without the tools themselves,
//! which the API demands beside them. That one call at most be made cannot be said either; the answer's first alone is
//! passed on then.
//!
//! - Instructions move to the top and are joined in their order. Turns of one role that follow each other become one, so
//!   that all results of a turn's tools lie in one message; the API wants the roles to alternate. Blocks of white space
//!   alone are left out: it refuses them.
//! - The choice of no tool is said by naming none.
//! - Temperature goes to 2 at OpenAI and to 1 here; higher ones become 1.
//! - `strict` tools are not carried: few models take the field, and the others refuse the request.
//! - Labels whose characters the API does not take are left out; it would refuse the request.
//! - `top_k` is not carried: each model has its own place for it and refuses another's, and Claude's newest refuse it at all
//!   (<https://github.com/NousResearch/hermes-agent/issues/11137>).
//! - An answer that the model shall go on with must not end in white space; that is trimmed.
//! - Ids of calls have at most 64 letters, digits, `_` and `-`. Others' ids are made such, in calls and results alike.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::super::arguments_schema::arguments_schema;
use super::super::closed_schema::closed;
use super::super::read::Json;
use super::super::{Dialect, Feature, Features, Shape, labels_that};
use super::part::{
    Block, CACHE_POINT, CachePoint, ToolUse, WireResult, blocks, is_writable, mark, number_names,
};
use crate::chat::{
    AssistantMessage, Format, Message, Part, Request, RequestError, RequestedCall, Tool,
    ToolChoice, ToolResult,
};
use crate::units::Tokens;

const TEMPERATURE_MAX: f64 = 1.0;
const CALL_ID_BYTES_MAX: usize = 64;
const LABELS_MAX: usize = 16;
const LABEL_CHARS_MAX: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "InferenceConfig::is_empty")]
    inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    request_metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<ServiceTier>,
}

#[derive(Serialize)]
struct ServiceTier {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Cow<'a, str>],
}

impl InferenceConfig<'_> {
    fn is_empty(&self) -> bool {
        let has_number = self.temperature.is_some() || self.top_p.is_some();
        self.max_tokens.is_none() && !has_number && self.stop_sequences.is_empty()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum WireTool<'a> {
    ToolSpec(ToolSpec<'a>),
    CachePoint(CachePoint),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    json: Cow<'a, RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WireChoice<'a> {
    Auto {},
    Any {},
    Tool { name: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputConfig<'a> {
    text_format: TextFormat<'a>,
}

#[derive(Serialize)]
struct TextFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: WireSchema<'a>,
}

#[derive(Serialize)]
struct WireSchema<'a> {
    /// As a text that holds it.
    schema: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[inline(never)]
pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    if let Some(field) = beyond(request) {
        return Err(RequestError::NotTranslatable {
            field: field.to_owned(),
            dialect: Dialect::Bedrock.name(),
        });
    }
    let mut messages = turns(&request.messages, shape.carried);
    if messages.is_empty() {
        return Err(RequestError::Invalid {
            field: "messages".to_owned(),
            expected: "a message of the user with some content".to_owned(),
        });
    }
    if messages
        .first()
        .is_some_and(|first| first.role == Role::Assistant)
    {
        return Err(RequestError::NotTranslatable {
            field: "messages".to_owned(),
            dialect: Dialect::Bedrock.name(),
        });
    }
    trim_prefill(&mut messages);
    number_names(messages.iter_mut().flat_map(|turn| &mut turn.content));
    let wire = WireRequest {
        system: system(&request.messages, shape.carried),
        messages,
        inference_config: InferenceConfig {
            max_tokens: request.answer_tokens_max,
            temperature: request.temperature.map(|it| it.min(TEMPERATURE_MAX)),
            top_p: request.top_p,
            stop_sequences: &request.stop,
        },
        tool_config: tool_config(request, shape.carried),
        output_config: request.format.as_ref().and_then(output_config),
        request_metadata: labels_that(request, is_label, LABELS_MAX),
        service_tier: service_tier(request),
    };
    serde_json::to_vec(&wire).map_err(|_| RequestError::Invalid {
        field: "messages".to_owned(),
        expected: "arguments of tool calls that are JSON objects".to_owned(),
    })
}

/// The first thing that is asked and that the API cannot be told.
fn beyond(request: &Request) -> Option<&'static str> {
    let has_tools = !request.tools.is_empty();
    let is_never = request.tool_choice == Some(ToolChoice::Never);
    let has_called = request.messages.iter().any(|message| match message {
        Message::Assistant(message) => !message.calls.is_empty(),
        Message::ToolResult(_) => true,
        Message::System(_) | Message::User(_) => false,
    });
    if !request.messages.iter().all(is_known) {
        Some("messages")
    } else if matches!(request.format, Some(Format::JsonObject)) {
        Some("response_format")
    } else if has_called && is_never {
        Some("tool_choice")
    } else if has_called && !has_tools {
        Some("tools")
    } else {
        None
    }
}

/// Whether the API takes each part of it. A user's documents need words beside them.
fn is_known(message: &Message) -> bool {
    let is_document = |part: &Part| matches!(part, Part::Document(_));
    let is_said = |part: &Part| matches!(part, Part::Text(text) if !text.trim().is_empty());
    match message {
        Message::User(parts) => {
            let is_bare = parts.iter().any(is_document) && !parts.iter().any(is_said);
            !is_bare && parts.iter().all(is_writable)
        }
        Message::ToolResult(result) => result.parts.iter().all(is_writable),
        Message::System(parts) | Message::Assistant(AssistantMessage { parts, .. }) => {
            parts.iter().all(is_writable) && !parts.iter().any(is_document)
        }
    }
}

fn system<'a>(messages: &'a [Message<'a>], carried: Features) -> Vec<Block<'a>> {
    let parts = messages.iter().filter_map(|message| match message {
        Message::System(parts) => Some(parts),
        _ => None,
    });
    blocks(parts.flatten(), carried)
}

fn turns<'a>(messages: &'a [Message<'a>], carried: Features) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    for message in messages {
        let (role, content): (Role, Vec<Block>) = match message {
            Message::System(_) => continue,
            Message::User(parts) => (Role::User, blocks(parts, carried)),
            Message::Assistant(message) => (Role::Assistant, assistant(message, carried)),
            Message::ToolResult(result) => (Role::User, tool_result(result, carried)),
        };
        match turns.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(content),
            _ => turns.push(Turn { role, content }),
        }
    }
    turns
}

fn trim_prefill(turns: &mut [Turn]) {
    if let Some(last) = turns.last_mut()
        && last.role == Role::Assistant
        && let Some(Block::Text(text)) = last.content.last_mut()
    {
        *text = text.trim_end();
    }
}

/// A turn of thoughts alone is left out: newer models take it for an answer to go on with, and refuse that.
fn assistant<'a>(message: &'a AssistantMessage<'a>, carried: Features) -> Vec<Block<'a>> {
    let mut content = blocks(&message.parts, carried);
    content.extend(message.calls.iter().map(tool_use));
    let is_thought = |block: &Block| matches!(block, Block::ReasoningContent(_));
    if content.iter().all(is_thought) {
        content.clear();
    }
    content
}

fn tool_use<'a>(call: &'a RequestedCall<'a>) -> Block<'a> {
    let is_blank = call.arguments.trim().is_empty();
    Block::ToolUse(ToolUse {
        id: call_id(&call.id),
        name: &call.name,
        input: Json(if is_blank { "{}" } else { &call.arguments }),
    })
}

/// A result has no marks within; one behind any of its parts is behind it all.
fn tool_result<'a>(result: &'a ToolResult<'a>, carried: Features) -> Vec<Block<'a>> {
    let unmarked = carried.without(Feature::CacheMarkers);
    let mut content = vec![Block::ToolResult(WireResult {
        tool_use_id: call_id(&result.call_id),
        content: blocks(&result.parts, unmarked),
        status: result.is_error.then_some("error"),
    })];
    let is_mark = |part: &Part| matches!(part, Part::CacheMarker(_));
    if result.parts.iter().any(is_mark) {
        mark(&mut content, carried);
    }
    content
}

/// What is too long becomes its hash, so that two long ids stay two.
fn call_id(id: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.is_empty() {
        Cow::Borrowed("call")
    } else if id.len() > CALL_ID_BYTES_MAX {
        Cow::Owned(format!("call_{:016x}", xxh3_64(id.as_bytes())))
    } else if id.chars().all(is_allowed) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(id.replace(|c| !is_allowed(c), "_"))
    }
}

fn tool_config<'a>(request: &'a Request<'a>, carried: Features) -> Option<ToolConfig<'a>> {
    let tool_choice = match &request.tool_choice {
        None => None,
        Some(ToolChoice::Never) => return None,
        Some(ToolChoice::Auto) => Some(WireChoice::Auto {}),
        Some(ToolChoice::Required) => Some(WireChoice::Any {}),
        Some(ToolChoice::Named(name)) => Some(WireChoice::Tool { name }),
    };
    let is_marked = |of: &Tool| of.cache_marker.is_some() && carried.has(Feature::CacheMarkers);
    let point = |of: &Tool| is_marked(of).then_some(WireTool::CachePoint(CACHE_POINT));
    let tools = request.tools.iter();
    let tools: Vec<_> = tools
        .flat_map(|of| std::iter::once(tool(of)).chain(point(of)))
        .collect();
    (!tools.is_empty()).then_some(ToolConfig { tools, tool_choice })
}

fn tool<'a>(tool: &'a Tool<'a>) -> WireTool<'a> {
    let description = tool.description.as_deref();
    WireTool::ToolSpec(ToolSpec {
        name: &tool.name,
        description: description.filter(|text| !text.is_empty()),
        input_schema: Schema {
            json: arguments_schema(tool.parameters),
        },
    })
}

/// Whether the API takes it.
fn is_label(key: &str, value: &str) -> bool {
    let fits = |text: &str| {
        let is_known =
            |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || ":_@$#=/+,-.".contains(c);
        text.chars().count() <= LABEL_CHARS_MAX && text.chars().all(is_known)
    };
    !key.is_empty() && fits(key) && fits(value)
}

/// OpenAI's words are AWS's too; those that AWS does not have are left out.
fn service_tier(request: &Request) -> Option<ServiceTier> {
    let known = ["default", "flex", "priority"];
    let asked = request.service_tier.as_deref();
    let kind = known.into_iter().find(|kind| asked == Some(kind))?;
    Some(ServiceTier { kind })
}

fn output_config<'a>(format: &'a Format<'a>) -> Option<OutputConfig<'a>> {
    let Format::JsonSchema { name, schema, .. } = format else {
        return None;
    };
    Some(OutputConfig {
        text_format: TextFormat {
            kind: "json_schema",
            structure: Structure {
                json_schema: WireSchema {
                    schema: match closed(schema) {
                        Cow::Borrowed(schema) => schema.get().into(),
                        Cow::Owned(schema) => String::from(Box::<str>::from(schema)).into(),
                    },
                    name: name.as_deref(),
                },
            },
        },
    })
}
