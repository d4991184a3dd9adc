//! Writes a request as a chat completion request, for a client that speaks another dialect.
//!
//! A tool message takes no images at OpenAI: those that a tool returned follow in the user message after the
//! results. That a tool failed has no field either; its text says so.
//!
//! The longest answer is called `max_tokens`, which most compatible providers know; where a provider or model wants
//! another name, or refuses a field, its quirks say so.

use std::borrow::Cow;

use serde::Serialize;

use super::super::read::Raw;
use super::super::{Quirk, Shape, written};
use crate::chat::{
    AssistantMessage, Format, Image, Message, Part, Request, RequestError, RequestedCall, Tool,
    ToolChoice, ToolResult,
};
use crate::units::Tokens;

/// The name of a schema whose client's dialect has no name for it. OpenAI demands one.
const SCHEMA_NAME: &str = "answer";

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
    user: Option<&'a str>,
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
    ImageUrl { image_url: WireImage<'a> },
}

#[derive(Serialize)]
struct WireImage<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
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

pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    let quirks = shape.quirks;
    let is_newer = quirks.limit_name() == Some("max_completion_tokens");
    let refuses = |parallel: bool| parallel && quirks.has(Quirk::NoParallelToolCalls);
    let asks_usage = shape.is_streaming && !quirks.has(Quirk::NoStreamUsage);
    let wire = WireRequest {
        model: shape.model,
        messages: messages(&request.messages),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().map(choice),
        parallel_tool_calls: request.parallel_tool_calls.filter(|it| !refuses(*it)),
        response_format: request.format.as_ref().map(format),
        max_tokens: request.answer_tokens_max.filter(|_| !is_newer),
        max_completion_tokens: request.answer_tokens_max.filter(|_| is_newer),
        temperature: request.temperature,
        top_p: request.top_p,
        stop: &request.stop,
        user: request.user.as_deref(),
        stream: shape.is_streaming.then_some(true),
        stream_options: asks_usage.then_some(StreamOptions {
            include_usage: true,
        }),
    };
    written(&wire)
}

fn messages<'a>(messages: &'a [Message<'a>]) -> Vec<WireMessage<'a>> {
    let mut wire = Vec::with_capacity(messages.len());
    // Images that tools returned, until the results end.
    let mut images: Vec<&Part> = Vec::new();
    for message in messages {
        if let Message::ToolResult(result) = message {
            images.extend(result.parts.iter().filter(|part| is_image(part)));
            wire.push(tool_result(result));
            continue;
        }
        let held = std::mem::take(&mut images);
        match message {
            Message::User(parts) => {
                let all: Vec<&Part> = held.into_iter().chain(parts).collect();
                wire.push(WireMessage::User {
                    content: content(&all),
                });
            }
            other => {
                push_images(&held, &mut wire);
                wire.push(plain(other));
            }
        }
    }
    push_images(&images, &mut wire);
    wire
}

fn push_images<'a>(images: &[&'a Part<'a>], wire: &mut Vec<WireMessage<'a>>) {
    if !images.is_empty() {
        wire.push(WireMessage::User {
            content: content(images),
        });
    }
}

fn plain<'a>(message: &'a Message<'a>) -> WireMessage<'a> {
    match message {
        Message::System(parts) => WireMessage::System {
            content: content(&parts.iter().collect::<Vec<_>>()),
        },
        Message::User(parts) => WireMessage::User {
            content: content(&parts.iter().collect::<Vec<_>>()),
        },
        Message::Assistant(message) => assistant(message),
        Message::ToolResult(result) => tool_result(result),
    }
}

fn assistant<'a>(message: &'a AssistantMessage<'a>) -> WireMessage<'a> {
    let is_silent = message.parts.is_empty() && !message.calls.is_empty();
    let parts: Vec<&Part> = message.parts.iter().collect();
    WireMessage::Assistant {
        content: (!is_silent).then(|| content(&parts)),
        tool_calls: message.calls.iter().map(call).collect(),
    }
}

fn call<'a>(call: &'a RequestedCall<'a>) -> WireCall<'a> {
    WireCall {
        id: &call.id,
        kind: "function",
        function: WireCallFunction {
            name: &call.name,
            arguments: &call.arguments,
        },
    }
}

fn tool_result<'a>(result: &'a ToolResult<'a>) -> WireMessage<'a> {
    let texts: Vec<&Part> = result.parts.iter().filter(|part| !is_image(part)).collect();
    WireMessage::Tool {
        tool_call_id: &result.call_id,
        content: content(&texts),
    }
}

fn is_image(part: &Part) -> bool {
    matches!(part, Part::Image(_))
}

/// One text is a string, which every compatible provider knows; several parts are an array.
fn content<'a>(parts: &[&'a Part<'a>]) -> Content<'a> {
    match parts {
        [] => Content::Text(""),
        [Part::Text(text)] => Content::Text(text),
        parts => Content::Parts(parts.iter().map(|part| wire_part(part)).collect()),
    }
}

fn wire_part<'a>(part: &'a Part<'a>) -> WirePart<'a> {
    match part {
        Part::Text(text) => WirePart::Text { text },
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
