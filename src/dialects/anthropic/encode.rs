//! Writes a request as a messages request, for a client that speaks another dialect.
//!
//! - Instructions move to the top and are joined in their order, also those from the middle of the
//!   conversation. Anthropic's own compatible endpoint does that
//!   (<https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk>); a `system` turn in its
//!   place is known to its newest models only.
//! - Turns of one role that follow each other become one, as Anthropic would read them, and so all results of a
//!   turn's tools lie in one message, as it demands. Blocks of white space alone are left out: it refuses them.
//! - Temperature goes to 2 at OpenAI and to 1 here; higher ones become 1, as at the compatible endpoint, and the field
//!   is named as dropped.
//! - `strict` tools are not carried: older models refuse the field, and the compatible endpoint drops it too.
//! - How much to think goes as an effort, which models from Claude 4.6 on take, and with it goes the wish to think, unless
//!   something else in the request forbids that: a tool that must be called, an answer that is to be gone on with, a
//!   temperature or the like (<https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking>, 2026-11-21). No
//!   effort at all is not said: it is the default of some, and others refuse it. Whoever asks for thoughts is shown a summary of them,
//!   which from 4.7 on must be asked for.
//! - An answer that the model shall go on with must not end in white space; that is trimmed.
//! - Ids of calls may have letters, digits, `_` and `-`; other providers' ids have `.` and `:`. The rest
//!   becomes `_`, in calls and results alike.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::Shape;
use super::super::arguments_schema::arguments_schema;
use super::super::claude::Claude;
use super::super::closed_schema::closed;
use super::super::read::Json;
use crate::chat::{
    AssistantMessage, CacheMarker, DocumentSource, Format, Image, Message, Part, Reasoning,
    Request, RequestError, RequestedCall, Seal, SealForm, Signer, Tool, ToolChoice, ToolResult,
};
use crate::units::Tokens;

const TEMPERATURE_MAX: f64 = 1.0;
/// The longest answer with its thoughts, where the client names none.
const THINKING_TOKENS_DEFAULT: Tokens = Tokens(16_384);

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
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Switch>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
}

#[derive(Serialize)]
struct CacheControl<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
}

impl<'a> From<&'a CacheMarker<'a>> for CacheControl<'a> {
    fn from(marker: &'a CacheMarker) -> Self {
        Self {
            kind: "ephemeral",
            ttl: marker.ttl.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Switch {
    enabled: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 {
        media_type: &'a str,
        data: &'a str,
    },
    Url {
        url: &'a str,
    },
    Text {
        media_type: &'static str,
        data: &'a str,
    },
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl<'a>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<WireFormat<'a>>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Thinking {
    Adaptive { display: &'static str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonSchema { schema: Cow<'a, RawValue> },
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

#[inline(never)]
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
    let is_prefilled = messages
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant);
    trim_prefill(&mut messages);
    let effort = effort(request);
    let thinking = effort.filter(|_| !is_prefilled && may_think(request));
    let thinking = thinking.map(|_| Thinking::Adaptive {
        display: "summarized",
    });
    let format = request.format.as_ref().map(format).transpose()?;
    let is_configured = effort.is_some() || format.is_some();
    // Thoughts count as well.
    let thinks_unasked = Claude::read(shape.model).is_some_and(Claude::thinks_unasked);
    let tokens_default = if thinking.is_some() || thinks_unasked {
        shape.answer_tokens_default.max(THINKING_TOKENS_DEFAULT)
    } else {
        shape.answer_tokens_default
    };
    let wire = WireRequest {
        model: shape.model,
        max_tokens: request.answer_tokens_max.unwrap_or(tokens_default),
        system: system(&request.messages),
        messages,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: choice(request),
        thinking,
        output_config: is_configured.then_some(OutputConfig { effort, format }),
        stop_sequences: &request.stop,
        temperature: request
            .temperature
            .map(|temperature| temperature.min(TEMPERATURE_MAX)),
        top_p: request.top_p,
        top_k: request.top_k,
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
    blocks(parts.flatten())
}

fn turns<'a>(messages: &'a [Message<'a>]) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    for message in messages {
        let (role, content): (Role, Vec<Block>) = match message {
            Message::System(_) => continue,
            Message::User(parts) => (Role::User, blocks(parts)),
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
        && let Some(Block::Text { text, .. }) = last.content.last_mut()
    {
        *text = text.trim_end();
    }
}

fn assistant<'a>(message: &'a AssistantMessage<'a>) -> Vec<Block<'a>> {
    let mut content = blocks(&message.parts);
    content.extend(message.calls.iter().map(tool_use));
    content
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
    // One behind all of it is the result's own.
    let (parts, marker) = match result.parts.split_last() {
        Some((Part::CacheMarker(marker), parts)) => (parts, Some(marker.into())),
        _ => (result.parts.as_slice(), None),
    };
    Block::ToolResult {
        tool_use_id: call_id(&result.call_id),
        content: blocks(parts),
        is_error: result.is_error.then_some(true),
        cache_control: marker,
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

/// A marker belongs to the block before it.
fn blocks<'a>(parts: impl IntoIterator<Item = &'a Part<'a>>) -> Vec<Block<'a>> {
    let mut blocks: Vec<Block> = Vec::new();
    for part in parts {
        if let Part::CacheMarker(marker) = part {
            if let Some(last) = blocks.last_mut() {
                mark(last, marker);
            }
        } else {
            blocks.extend(block(part));
        }
    }
    blocks
}

/// Thoughts cannot be marked.
fn mark<'a>(block: &mut Block<'a>, marker: &'a CacheMarker<'a>) {
    match block {
        Block::Text { cache_control, .. }
        | Block::Image { cache_control, .. }
        | Block::Document { cache_control, .. }
        | Block::ToolResult { cache_control, .. } => *cache_control = Some(marker.into()),
        Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::ToolUse { .. } => {}
    }
}

/// None for white space, for thoughts of other providers' models, and for what cannot be carried here.
fn block<'a>(part: &'a Part<'a>) -> Option<Block<'a>> {
    let cache_control = None;
    match part {
        Part::Text(text) => (!text.trim().is_empty()).then_some(Block::Text {
            text,
            cache_control,
        }),
        Part::Image(Image::Url(url)) => Some(Block::Image {
            source: Source::Url { url },
            cache_control,
        }),
        Part::Image(Image::Inline { media_type, base64 }) => Some(Block::Image {
            source: Source::Base64 {
                media_type,
                data: base64,
            },
            cache_control,
        }),
        Part::Document(document) => Some(Block::Document {
            source: source(&document.source),
            title: document.name.as_deref(),
            citations: document.is_cited.then_some(Switch { enabled: true }),
            cache_control,
        }),
        Part::Reasoning(thought) => thought.seal.as_ref().and_then(|seal| sealed(thought, seal)),
        Part::Audio(_) | Part::CacheMarker(_) => None,
    }
}

fn source<'a>(source: &'a DocumentSource<'a>) -> Source<'a> {
    match source {
        DocumentSource::Inline { media_type, base64 } => Source::Base64 {
            media_type,
            data: base64,
        },
        DocumentSource::Text(data) => Source::Text {
            media_type: "text/plain",
            data,
        },
        DocumentSource::Url(url) => Source::Url { url },
    }
}

fn sealed<'a>(thought: &'a Reasoning<'a>, seal: &'a Seal<'a>) -> Option<Block<'a>> {
    match (seal.by, seal.form) {
        (Signer::Anthropic, SealForm::Signature) => Some(Block::Thinking {
            thinking: &thought.text,
            signature: &seal.words,
        }),
        (Signer::Anthropic, SealForm::Encrypted) => {
            Some(Block::RedactedThinking { data: &seal.words })
        }
        _ => None,
    }
}

fn tool<'a>(tool: &'a Tool<'a>) -> WireTool<'a> {
    WireTool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: arguments_schema(tool.parameters),
        cache_control: tool.cache_marker.as_ref().map(CacheControl::from),
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

/// The words that all models know which know any.
fn effort(request: &Request) -> Option<&'static str> {
    match request.effort?.word() {
        "none" => None,
        "minimal" | "low" => Some("low"),
        "medium" => Some("medium"),
        _ => Some("high"),
    }
}

/// Whether nothing in the settings forbids thinking.
fn may_think(request: &Request) -> bool {
    let must_call = matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    let is_warm = |temperature: f64| temperature < TEMPERATURE_MAX;
    !must_call
        && !request.temperature.is_some_and(is_warm)
        && request.top_p.is_none()
        && request.top_k.is_none()
}

fn format<'a>(format: &'a Format<'a>) -> Result<WireFormat<'a>, RequestError> {
    match format {
        Format::JsonSchema { schema, .. } => Ok(WireFormat::JsonSchema {
            schema: closed(schema),
        }),
        Format::JsonObject => Err(RequestError::NotTranslatable {
            field: "response_format".to_owned(),
            dialect: "anthropic",
        }),
    }
}
