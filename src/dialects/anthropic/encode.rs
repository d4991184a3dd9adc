//! Writes a request as a messages request, for a client that speaks another dialect.
//!
//! - Instructions move to the top and are joined in their order, also those from the middle of the
//!   conversation. Anthropic's own compatible endpoint does that
//!   (<https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk>); a `system` turn in its
//!   place is known to its newest models only.
//! - Turns of one role that follow each other become one, as Anthropic would read them, and so all results of a
//!   turn's tools lie in one message, as it demands. Blocks of white space alone are left out: it refuses them.
//! - Temperature goes to 2 at OpenAI and to 1 here; higher ones become 1, as at the compatible endpoint.
//! - `strict` tools are not carried: older models refuse the field, and the compatible endpoint drops it too.
//! - An answer that the model shall go on with must not end in white space; that is trimmed.
//! - Ids of calls may have letters, digits, `_` and `-`; other providers' ids have `.` and `:`. The rest
//!   becomes `_`, in calls and results alike.

use std::borrow::Cow;

use serde::Serialize;

use super::super::Shape;
use super::super::read::{Json, Raw};
use crate::chat::{
    AssistantMessage, Format, Image, Message, Part, Request, RequestError, RequestedCall, Tool,
    ToolChoice, ToolResult,
};
use crate::units::Tokens;

const TEMPERATURE_MAX: f64 = 1.0;
/// The schema of a tool whose client gave none: no arguments.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

#[derive(Serialize)]
struct WireRequest<'a> {
    model: &'a str,
    max_tokens: Tokens,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
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
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Json<'a>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Json<'a>,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    format: WireFormat<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonSchema { schema: Raw<'a> },
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    let mut messages = turns(&request.messages);
    if messages.is_empty() {
        return Err(RequestError::Invalid {
            field: "messages".to_owned(),
            expected: "a message of the user with some content".to_owned(),
        });
    }
    trim_prefill(&mut messages);
    let wire = WireRequest {
        model: shape.model,
        max_tokens: request
            .answer_tokens_max
            .unwrap_or(shape.answer_tokens_default),
        system: system(&request.messages),
        messages,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: choice(request),
        output_config: request.format.as_ref().map(output_config).transpose()?,
        stop_sequences: &request.stop,
        temperature: request
            .temperature
            .map(|temperature| temperature.min(TEMPERATURE_MAX)),
        top_p: request.top_p,
        metadata: request.user.as_deref().map(|user_id| Metadata { user_id }),
        stream: shape.is_streaming.then_some(true),
    };
    serde_json::to_vec(&wire).map_err(|_| RequestError::Invalid {
        field: "messages".to_owned(),
        expected: "arguments of tool calls that are JSON objects".to_owned(),
    })
}

fn system<'a>(messages: &'a [Message<'a>]) -> Vec<Block<'a>> {
    let parts = messages.iter().filter_map(|message| match message {
        Message::System(parts) => Some(parts),
        _ => None,
    });
    parts.flatten().filter_map(block).collect()
}

fn turns<'a>(messages: &'a [Message<'a>]) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    for message in messages {
        let (role, content): (Role, Vec<Block>) = match message {
            Message::System(_) => continue,
            Message::User(parts) => (Role::User, parts.iter().filter_map(block).collect()),
            Message::Assistant(message) => (Role::Assistant, assistant(message)),
            Message::ToolResult(result) => (Role::User, vec![tool_result(result)]),
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
        && let Some(Block::Text { text }) = last.content.last_mut()
    {
        *text = text.trim_end();
    }
}

fn assistant<'a>(message: &'a AssistantMessage<'a>) -> Vec<Block<'a>> {
    let parts = message.parts.iter().filter_map(block);
    parts.chain(message.calls.iter().map(tool_use)).collect()
}

fn tool_use<'a>(call: &'a RequestedCall<'a>) -> Block<'a> {
    Block::ToolUse {
        id: call_id(&call.id),
        name: &call.name,
        input: Json(if call.arguments.trim().is_empty() {
            "{}"
        } else {
            &call.arguments
        }),
    }
}

fn tool_result<'a>(result: &'a ToolResult<'a>) -> Block<'a> {
    Block::ToolResult {
        tool_use_id: call_id(&result.call_id),
        content: result.parts.iter().filter_map(block).collect(),
        is_error: result.is_error.then_some(true),
    }
}

fn call_id(id: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.chars().all(is_allowed) {
        return Cow::Borrowed(id);
    }
    if id.is_empty() {
        return Cow::Borrowed("call");
    }
    Cow::Owned(id.replace(|c| !is_allowed(c), "_"))
}

fn block<'a>(part: &'a Part<'a>) -> Option<Block<'a>> {
    match part {
        Part::Text(text) => (!text.trim().is_empty()).then_some(Block::Text { text }),
        Part::Image(Image::Url(url)) => Some(Block::Image {
            source: Source::Url { url },
        }),
        Part::Image(Image::Inline { media_type, base64 }) => Some(Block::Image {
            source: Source::Base64 {
                media_type,
                data: base64,
            },
        }),
    }
}

fn tool<'a>(tool: &'a Tool<'a>) -> WireTool<'a> {
    WireTool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: Json(tool.parameters.map_or(NO_ARGUMENTS, |schema| schema.get())),
    }
}

/// A choice without tools is refused here, and means nothing anyway.
fn choice<'a>(request: &'a Request<'a>) -> Option<WireChoice<'a>> {
    if request.tools.is_empty() {
        return None;
    }
    let disable = request.parallel_tool_calls.map(|parallel| !parallel);
    let (kind, name) = match &request.tool_choice {
        None if disable != Some(true) => return None,
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Never) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
    };
    Some(WireChoice {
        kind,
        name,
        disable_parallel_tool_use: disable.filter(|_| kind != "none"),
    })
}

fn output_config<'a>(format: &'a Format<'a>) -> Result<OutputConfig<'a>, RequestError> {
    match format {
        Format::JsonSchema { schema, .. } => Ok(OutputConfig {
            format: WireFormat::JsonSchema { schema },
        }),
        Format::JsonObject => Err(RequestError::NotTranslatable {
            field: "response_format".to_owned(),
            dialect: "anthropic",
        }),
    }
}
