//! Writes a request to the Responses API, for a client that speaks another dialect.
//!
//! The API has no stop texts, and to leave them out would let the answer run on: such a request is refused here, and
//! another target is asked. It would keep answers unless told otherwise, and would hold functions without `strict` to
//! their schemas; neither is what a client of another dialect asks for, so both are said
//! (<https://platform.openai.com/docs/guides/migrate-to-responses>).
//!
//! That a tool failed has no field; its text says so.

use std::borrow::Cow;

use serde::Serialize;

use super::super::read::Raw;
use super::super::{Dialect, Shape, written};
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
    input: Vec<WireItem<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<WireText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireItem<'a> {
    Message {
        role: &'static str,
        content: Content<'a>,
    },
    Call {
        #[serde(rename = "type")]
        kind: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    Output {
        #[serde(rename = "type")]
        kind: &'static str,
        call_id: &'a str,
        output: Content<'a>,
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
    InputText {
        text: &'a str,
    },
    OutputText {
        text: &'a str,
    },
    InputImage {
        image_url: Cow<'a, str>,
        detail: &'static str,
    },
}

#[derive(Serialize)]
struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// Null where there is none.
    parameters: Option<Raw<'a>>,
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireChoice<'a> {
    Name(&'static str),
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
    },
}

#[derive(Serialize)]
struct WireText<'a> {
    format: WireFormat<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonObject,
    JsonSchema {
        name: &'a str,
        schema: Raw<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

pub(in super::super) fn encode_request(
    request: &Request,
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    if !request.stop.is_empty() {
        return Err(RequestError::NotTranslatable {
            field: "stop".to_owned(),
            dialect: Dialect::OpenaiResponses.name(),
        });
    }
    let mut input = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        items(message, &mut input);
    }
    let wire = WireRequest {
        model: shape.model,
        input,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().map(choice),
        parallel_tool_calls: request.parallel_tool_calls,
        text: request
            .format
            .as_ref()
            .map(|of| WireText { format: format(of) }),
        max_output_tokens: request.answer_tokens_max,
        temperature: request.temperature,
        top_p: request.top_p,
        user: request.user.as_deref(),
        store: false,
        stream: shape.is_streaming.then_some(true),
    };
    written(&wire)
}

fn items<'a>(message: &'a Message<'a>, input: &mut Vec<WireItem<'a>>) {
    let said = |role, parts| WireItem::Message {
        role,
        content: content(parts, role == "assistant"),
    };
    match message {
        Message::System(parts) => input.push(said("system", parts)),
        Message::User(parts) => input.push(said("user", parts)),
        Message::Assistant(AssistantMessage { parts, calls }) => {
            if !parts.is_empty() || calls.is_empty() {
                input.push(said("assistant", parts));
            }
            input.extend(calls.iter().map(call));
        }
        Message::ToolResult(ToolResult { call_id, parts, .. }) => input.push(WireItem::Output {
            kind: "function_call_output",
            call_id,
            output: content(parts, false),
        }),
    }
}

fn call<'a>(call: &'a RequestedCall<'a>) -> WireItem<'a> {
    WireItem::Call {
        kind: "function_call",
        call_id: &call.id,
        name: &call.name,
        arguments: &call.arguments,
    }
}

/// One text is a string; several parts are an array, which names the texts by who said them.
fn content<'a>(parts: &'a [Part<'a>], is_output: bool) -> Content<'a> {
    let wire = |part: &'a Part<'a>| match part {
        Part::Text(text) if is_output => WirePart::OutputText { text },
        Part::Text(text) => WirePart::InputText { text },
        Part::Image(image) => WirePart::InputImage {
            image_url: url(image),
            detail: "auto",
        },
    };
    match parts {
        [] => Content::Text(""),
        [Part::Text(text)] => Content::Text(text),
        parts => Content::Parts(parts.iter().map(wire).collect()),
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
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters: tool.parameters,
        strict: tool.strict.unwrap_or(false),
    }
}

fn choice<'a>(choice: &'a ToolChoice<'a>) -> WireChoice<'a> {
    match choice {
        ToolChoice::Auto => WireChoice::Name("auto"),
        ToolChoice::Never => WireChoice::Name("none"),
        ToolChoice::Required => WireChoice::Name("required"),
        ToolChoice::Named(name) => WireChoice::Function {
            kind: "function",
            name,
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
            name: name.as_deref().unwrap_or(SCHEMA_NAME),
            schema,
            strict: *strict,
        },
    }
}
