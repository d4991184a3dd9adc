//! Writes a request to the Responses API, for a client that speaks another dialect.
//!
//! The API has no stop texts, and to leave them out would let the answer run on: such a request is refused here, and
//! another target is asked. It would keep answers unless told otherwise, and would hold functions without `strict` to
//! their schemas; neither is what a client of another dialect asks for, so both are said
//! (<https://platform.openai.com/docs/guides/migrate-to-responses>).
//!
//! That a tool failed has no field; its text says so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::openai_chat::{FILE_NAME, end_user, titled};
use super::super::read::Raw;
use super::super::{Dialect, Shape, written};
use super::request::LOGPROBS;
use crate::chat::{
    AssistantMessage, Document, DocumentSource, Format, Image, Message, Part, Request,
    RequestError, RequestedCall, Signer, Tool, ToolChoice, ToolResult,
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
    top_logprobs: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<WireReasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct WireReasoning {
    effort: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireItem<'a> {
    Reasoning {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        summary: Vec<WirePart<'a>>,
        encrypted_content: &'a str,
    },
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
        text: Cow<'a, str>,
    },
    SummaryText {
        text: &'a str,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<&'a str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
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

#[inline(never)]
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
        // Some are refused without tools, and none means anything.
        tool_choice: request
            .tool_choice
            .as_ref()
            .filter(|_| !request.tools.is_empty())
            .map(choice),
        parallel_tool_calls: request.parallel_tool_calls,
        text: text(request),
        max_output_tokens: request.answer_tokens_max,
        temperature: request.temperature,
        top_p: request.top_p,
        top_logprobs: request.logprobs.filter(|count| *count > 0),
        include: include(request),
        reasoning: request.effort.map(|effort| WireReasoning {
            effort: effort.word(),
        }),
        prompt_cache_key: request.cache_key.as_deref(),
        service_tier: request.service_tier.as_deref(),
        metadata: &request.metadata,
        user: request.user.as_deref().map(end_user),
        store: false,
        stream: shape.is_streaming.then_some(true),
    };
    written(&wire)
}

fn text<'a>(request: &'a Request<'a>) -> Option<WireText<'a>> {
    let format = request.format.as_ref().map(format);
    let verbosity = request.verbosity.as_deref();
    (format.is_some() || verbosity.is_some()).then_some(WireText { format, verbosity })
}

/// A model that is to think gives its thoughts back for the next turn; others refuse to be asked for them.
fn include(request: &Request) -> Vec<&'static str> {
    let thinks = request
        .effort
        .is_some_and(|effort| effort.budget().is_some());
    let thoughts = thinks.then_some("reasoning.encrypted_content");
    let tokens = request.logprobs.map(|_| LOGPROBS);
    thoughts.into_iter().chain(tokens).collect()
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
            input.extend(parts.iter().filter_map(thought));
            let is_said = |part: &Part| matches!(part, Part::Text(_) | Part::Image(_));
            if parts.iter().any(is_said) || (parts.is_empty() && calls.is_empty()) {
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

/// None for what is no thought, and for those of other providers' models.
fn thought<'a>(part: &'a Part<'a>) -> Option<WireItem<'a>> {
    let Part::Reasoning(thought) = part else {
        return None;
    };
    let seal = thought.seal.as_ref()?;
    let text = &*thought.text;
    (seal.by == Signer::Openai).then(|| WireItem::Reasoning {
        kind: "reasoning",
        id: seal.id.as_deref(),
        summary: (!text.is_empty())
            .then_some(WirePart::SummaryText { text })
            .into_iter()
            .collect(),
        encrypted_content: &seal.words,
    })
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
    let wire = |part: &'a Part<'a>| {
        Some(match part {
            Part::Text(text) if is_output => WirePart::OutputText { text },
            Part::Text(text) => WirePart::InputText {
                text: Cow::Borrowed(text),
            },
            Part::Image(image) => WirePart::InputImage {
                image_url: url(image),
                detail: "auto",
            },
            Part::Document(document) => wire_document(document),
            Part::Audio(_) | Part::Reasoning(_) | Part::CacheMarker(_) => return None,
        })
    };
    let is_text = |part: &&Part| matches!(part, Part::Text(_));
    let mut written = parts.iter().filter_map(wire);
    match (parts.iter().find(is_text), written.clone().count()) {
        (_, 0) => Content::Text(""),
        (Some(Part::Text(text)), 1) => Content::Text(text),
        _ => Content::Parts(written.by_ref().collect()),
    }
}

/// OpenAI demands a file's name beside its bytes.
fn wire_document<'a>(document: &'a Document<'a>) -> WirePart<'a> {
    let name = document.name.as_deref();
    match &document.source {
        DocumentSource::Text(text) => WirePart::InputText {
            text: titled(name, text),
        },
        DocumentSource::Inline { media_type, base64 } => WirePart::InputFile {
            filename: name.or(Some(FILE_NAME)),
            file_data: Some(format!("data:{media_type};base64,{base64}")),
            file_url: None,
        },
        DocumentSource::Url(url) => WirePart::InputFile {
            filename: None,
            file_data: None,
            file_url: Some(url),
        },
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
