//! Writes a request as a chat completion request, for a client that speaks another dialect.
//!
//! A tool message takes no images at OpenAI: those that a tool returned follow in the user message after the
//! results. That a tool failed has no field either; its text says so.
//!
//! The longest answer is called `max_tokens`, which most compatible providers know; where a provider or model wants
//! another name, or refuses a field, its quirks say so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::super::read::Raw;
use super::super::{Quirk, Quirks, Shape, written};
use super::message_edit::{GAP, short_id};

use crate::chat::{
    AssistantMessage, Audio, Document, DocumentSource, Effort, Format, Image, Message, Part,
    Request, RequestError, RequestedCall, Tool, ToolChoice, ToolResult,
};
use crate::units::Tokens;

/// The name of a schema whose client's dialect has no name for it. OpenAI demands one.
const SCHEMA_NAME: &str = "answer";
/// The name of a file whose client gave none.
pub(in super::super) const FILE_NAME: &str = "document.pdf";
const USER_CHARS_MAX: usize = 64;

#[derive(Serialize)]
struct WireRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
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
        content: Option<Content<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
    },
    Tool {
        tool_call_id: Cow<'a, str>,
        content: Content<'a>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: WireImage<'a> },
    File { file: WireFile<'a> },
    InputAudio { input_audio: WireAudio<'a> },
}

#[derive(Serialize)]
struct WireFile<'a> {
    filename: &'a str,
    file_data: Cow<'a, str>,
}

#[derive(Serialize)]
struct WireAudio<'a> {
    data: &'a str,
    format: &'a str,
}

#[derive(Serialize)]
struct WireImage<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireCallFunction<'a>,
}

#[derive(Serialize)]
struct WireCallFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireChoice<'a> {
    Name(&'static str),
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        function: ChosenFunction<'a>,
    },
}

#[derive(Serialize)]
struct ChosenFunction<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: WireSchema<'a> },
}

#[derive(Serialize)]
struct WireSchema<'a> {
    name: &'a str,
    schema: Raw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[inline(never)]
pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    let quirks = shape.quirks;
    let is_newer = quirks.limit_name() == Some("max_completion_tokens");
    let refuses = |parallel: bool| parallel && quirks.has(Quirk::NoParallelToolCalls);
    let has_tools = !request.tools.is_empty();
    let asks_usage = shape.is_streaming && !quirks.has(Quirk::NoStreamUsage);
    let wire = WireRequest {
        model: shape.model,
        messages: messages(&request.messages, quirks),
        tools: request.tools.iter().map(tool).collect(),
        // Without tools OpenAI refuses both, and they mean nothing.
        tool_choice: request
            .tool_choice
            .as_ref()
            .filter(|_| has_tools)
            .map(choice),
        parallel_tool_calls: request
            .parallel_tool_calls
            .filter(|it| has_tools && !refuses(*it)),
        response_format: request.format.as_ref().map(format),
        max_tokens: request.answer_tokens_max.filter(|_| !is_newer),
        max_completion_tokens: request.answer_tokens_max.filter(|_| is_newer),
        temperature: request.temperature,
        top_p: request.top_p,
        stop: &request.stop,
        seed: request.seed,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        logprobs: request.logprobs.map(|_| true),
        top_logprobs: request.logprobs.filter(|count| *count > 0),
        reasoning_effort: request.effort.map(Effort::word),
        verbosity: request.verbosity.as_deref(),
        prompt_cache_key: request.cache_key.as_deref(),
        service_tier: request.service_tier.as_deref(),
        metadata: &request.metadata,
        user: request.user.as_deref().map(end_user),
        stream: shape.is_streaming.then_some(true),
        stream_options: asks_usage.then_some(StreamOptions {
            include_usage: true,
        }),
    };
    written(&wire)
}

/// The client's name for its end user. OpenAI takes 64 characters and asks for a hash anyway, so a longer one becomes that: Claude
/// Code's has some 150 (<https://platform.openai.com/docs/guides/safety-best-practices#implement-safety-identifiers>).
pub(in super::super) fn end_user(name: &str) -> Cow<'_, str> {
    if name.chars().count() > USER_CHARS_MAX {
        return Cow::Owned(format!("user_{:016x}", xxh3_64(name.as_bytes())));
    }
    Cow::Borrowed(name)
}

fn messages<'a>(messages: &'a [Message<'a>], quirks: Quirks) -> Vec<WireMessage<'a>> {
    let mut wire = Vec::with_capacity(messages.len());
    // Images and documents that tools returned, until the results end.
    let mut images: Vec<&Part> = Vec::new();
    for message in messages {
        if let Message::ToolResult(result) = message {
            images.extend(result.parts.iter().filter(|part| is_shown(part)));
            wire.push(tool_result(result, quirks));
            continue;
        }
        let held = std::mem::take(&mut images);
        match message {
            Message::User(parts) => {
                let all: Vec<&Part> = held.into_iter().chain(parts).collect();
                wire.push(WireMessage::User {
                    content: content(&all, quirks),
                });
            }
            other => {
                push_images(&held, quirks, &mut wire);
                wire.push(plain(other, quirks));
            }
        }
    }
    push_images(&images, quirks, &mut wire);
    wire
}

fn push_images<'a>(images: &[&'a Part<'a>], quirks: Quirks, wire: &mut Vec<WireMessage<'a>>) {
    if !images.is_empty() {
        wire.push(WireMessage::User {
            content: content(images, quirks),
        });
    }
}

fn plain<'a>(message: &'a Message<'a>, quirks: Quirks) -> WireMessage<'a> {
    match message {
        Message::System(parts) => WireMessage::System {
            content: content(&parts.iter().collect::<Vec<_>>(), quirks),
        },
        Message::User(parts) => WireMessage::User {
            content: content(&parts.iter().collect::<Vec<_>>(), quirks),
        },
        Message::Assistant(message) => assistant(message, quirks),
        Message::ToolResult(result) => tool_result(result, quirks),
    }
}

fn assistant<'a>(message: &'a AssistantMessage<'a>, quirks: Quirks) -> WireMessage<'a> {
    let is_said = |part: &&Part| matches!(part, Part::Text(_));
    let parts: Vec<&Part> = message.parts.iter().filter(is_said).collect();
    let is_silent = parts.is_empty() && !message.calls.is_empty();
    WireMessage::Assistant {
        content: (!is_silent).then(|| content(&parts, quirks)),
        tool_calls: message.calls.iter().map(|it| call(it, quirks)).collect(),
    }
}

fn call<'a>(call: &'a RequestedCall<'a>, quirks: Quirks) -> WireCall<'a> {
    WireCall {
        id: call_id(&call.id, quirks),
        kind: "function",
        function: WireCallFunction {
            name: &call.name,
            arguments: &call.arguments,
        },
    }
}

fn call_id(id: &str, quirks: Quirks) -> Cow<'_, str> {
    if quirks.has(Quirk::ShortCallIds) {
        short_id(id)
    } else {
        Cow::Borrowed(id)
    }
}

fn tool_result<'a>(result: &'a ToolResult<'a>, quirks: Quirks) -> WireMessage<'a> {
    let texts: Vec<&Part> = result.parts.iter().filter(|part| !is_shown(part)).collect();
    WireMessage::Tool {
        tool_call_id: call_id(&result.call_id, quirks),
        content: content(&texts, quirks),
    }
}

/// Whether it is no text.
fn is_shown(part: &Part) -> bool {
    matches!(part, Part::Image(_) | Part::Document(_) | Part::Audio(_))
}

/// One text is a string, which every compatible provider knows; several parts are an array.
fn content<'a>(parts: &[&'a Part<'a>], quirks: Quirks) -> Content<'a> {
    let is_written = |part: &&&Part| !matches!(part, Part::CacheMarker(_) | Part::Reasoning(_));
    let mut written = parts.iter().filter(is_written);
    match (written.clone().next(), written.clone().nth(1)) {
        (None, _) => Content::Text("".into()),
        (Some(Part::Text(text)), None) => Content::Text(Cow::Borrowed(text)),
        _ => {
            let parts: Vec<WirePart> = written.by_ref().filter_map(|it| wire_part(it)).collect();
            match joined(&parts) {
                Some(text) if quirks.has(Quirk::NoTextParts) => Content::Text(text.into()),
                _ => Content::Parts(parts),
            }
        }
    }
}

/// The parts as one text; none where one of them is none.
fn joined(parts: &[WirePart]) -> Option<String> {
    let texts = parts.iter().map(|part| match part {
        WirePart::Text { text } => Some(&**text),
        _ => None,
    });
    Some(texts.collect::<Option<Vec<&str>>>()?.join(GAP))
}

fn wire_part<'a>(part: &'a Part<'a>) -> Option<WirePart<'a>> {
    Some(match part {
        Part::CacheMarker(_) | Part::Reasoning(_) => return None,
        Part::Text(text) => WirePart::Text {
            text: Cow::Borrowed(text),
        },
        Part::Document(document) => wire_document(document),
        Part::Audio(Audio { format, base64 }) => WirePart::InputAudio {
            input_audio: WireAudio {
                data: base64,
                format,
            },
        },
        Part::Image(Image::Url(url)) => WirePart::ImageUrl {
            image_url: WireImage {
                url: Cow::Borrowed(url),
            },
        },
        Part::Image(Image::Inline { media_type, base64 }) => WirePart::ImageUrl {
            image_url: WireImage {
                url: Cow::Owned(format!("data:{media_type};base64,{base64}")),
            },
        },
    })
}

/// A document of plain text is a text under its name. OpenAI demands a file's name, and takes no URL.
fn wire_document<'a>(document: &'a Document<'a>) -> WirePart<'a> {
    let filename = document.name.as_deref();
    match &document.source {
        DocumentSource::Text(text) => WirePart::Text {
            text: titled(filename, text),
        },
        DocumentSource::Inline { media_type, base64 } => WirePart::File {
            file: WireFile {
                filename: filename.unwrap_or(FILE_NAME),
                file_data: Cow::Owned(format!("data:{media_type};base64,{base64}")),
            },
        },
        DocumentSource::Url(url) => WirePart::File {
            file: WireFile {
                filename: filename.unwrap_or(FILE_NAME),
                file_data: Cow::Borrowed(url),
            },
        },
    }
}

/// A document of plain text, for a dialect that has only text.
pub(in super::super) fn titled<'a>(name: Option<&str>, text: &'a str) -> Cow<'a, str> {
    match name {
        Some(name) => Cow::Owned(format!("{name}\n\n{text}")),
        None => Cow::Borrowed(text),
    }
}

fn tool<'a>(tool: &'a Tool<'a>) -> WireTool<'a> {
    WireTool {
        kind: "function",
        function: WireFunction {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters,
            strict: tool.strict,
        },
    }
}

fn choice<'a>(choice: &'a ToolChoice<'a>) -> WireChoice<'a> {
    match choice {
        ToolChoice::Auto => WireChoice::Name("auto"),
        ToolChoice::Never => WireChoice::Name("none"),
        ToolChoice::Required => WireChoice::Name("required"),
        ToolChoice::Named(name) => WireChoice::Function {
            kind: "function",
            function: ChosenFunction { name },
        },
    }
}

fn format<'a>(format: &'a Format<'a>) -> WireFormat<'a> {
    match format {
        Format::JsonObject => WireFormat::JsonObject,
        Format::JsonSchema {
            name,
            schema,
            strict,
        } => WireFormat::JsonSchema {
            json_schema: WireSchema {
                name: name.as_deref().unwrap_or(SCHEMA_NAME),
                schema,
                strict: *strict,
            },
        },
    }
}
