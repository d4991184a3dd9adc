//! Reads a whole messages request, for a provider that speaks another dialect.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `container`, `context_management`, `mcp_servers`, `inference_geo`, server tools, blocks other than text, images, tool calls and their results, more than four stop texts | not portable: the outline names it and no other dialect is asked |
//! | `top_k` | dropped: it nudges the sampling, and promises nothing that a reader of the answer could miss |
//! | `thinking`, `output_config.effort` | dropped: hints, and models without the feature refuse the field |
//! | `thinking` and `redacted_thinking` blocks | dropped: their signatures are Anthropic's, and no other model reads them |
//! | `cache_control` | dropped: a price, not an answer. Other providers cache prompts unasked |
//! | `service_tier`, the rest of `metadata` | dropped: dealings with Anthropic that change no answer |
//! | `citations` of text blocks | dropped: notes about a former answer |
//! | `stream` | the router's own decision |
//!
//! `outline` has run before, so what it refuses is not checked again.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::super::read::{self, Kind, Object, Raw, Text};
use crate::chat::{
    AssistantMessage, Format, Image, Message, Part, Request, RequestError, RequestedCall, Tool,
    ToolChoice, ToolResult,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireRequest<'a> {
    #[serde(borrow)]
    system: Option<Raw<'a>>,
    #[serde(borrow)]
    messages: Option<Raw<'a>>,
    #[serde(borrow)]
    tools: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_choice: Option<Raw<'a>>,
    #[serde(borrow)]
    output_config: Option<Raw<'a>>,
    #[serde(borrow)]
    max_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    temperature: Option<Raw<'a>>,
    #[serde(borrow)]
    top_p: Option<Raw<'a>>,
    #[serde(borrow)]
    stop_sequences: Option<Raw<'a>>,
    #[serde(borrow)]
    metadata: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 {
        #[serde(borrow)]
        media_type: Text<'a>,
        #[serde(borrow)]
        data: Text<'a>,
    },
    Url {
        #[serde(borrow)]
        url: Text<'a>,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    source: Option<Raw<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_use_id: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct WireTool<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    input_schema: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(default)]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputConfig<'a> {
    #[serde(borrow)]
    format: Option<WireFormat<'a>>,
}

#[derive(Deserialize)]
struct WireFormat<'a> {
    #[serde(borrow)]
    schema: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<Text<'a>>,
}

pub(in super::super) fn parse_request(body: &[u8]) -> Result<Request<'_>, RequestError> {
    let wire: Object<WireRequest> =
        serde_json::from_str(read::utf8(body)?).map_err(|error| read::not_json(&error))?;
    let wire = wire.0;
    let mut request = Request::default();
    if let Some(system) = wire.system {
        let parts = parts(system, format_args!("system"))?;
        request.messages.push(Message::System(parts));
    }
    if let Some(messages) = wire.messages {
        read::each(messages, format_args!("messages"), &mut |index, raw| {
            message(
                raw,
                format_args!("messages[{index}]"),
                &mut request.messages,
            )
        })?;
    }
    if let Some(tools) = wire.tools {
        read::each(tools, format_args!("tools"), &mut |index, raw| {
            request
                .tools
                .push(tool(raw, format_args!("tools[{index}]"))?);
            Ok(())
        })?;
    }
    if let Some(choice) = wire.tool_choice {
        tool_choice(choice, &mut request)?;
    }
    if let Some(config) = wire.output_config {
        let at = format_args!("output_config");
        let expected = "an object, its `format` with `type` and `schema`";
        let config: OutputConfig = read::object(config, at, expected)?;
        request.format = config.format.map(|format| Format::JsonSchema {
            name: None,
            schema: format.schema,
            // This dialect promises that the answer follows the schema; OpenAI's must be asked to.
            strict: Some(true),
        });
    }
    if let Some(stops) = wire.stop_sequences {
        read::each(stops, format_args!("stop_sequences"), &mut |index, raw| {
            let at = format_args!("stop_sequences[{index}]");
            request.stop.push(read::text(raw, at)?);
            Ok(())
        })?;
    }
    if let Some(metadata) = wire.metadata {
        let metadata: Metadata =
            read::object(metadata, format_args!("metadata"), "an object with strings")?;
        request.user = metadata.user_id.map(|user| user.0);
    }
    let numbers = [
        (wire.temperature, "temperature", &mut request.temperature),
        (wire.top_p, "top_p", &mut request.top_p),
    ];
    for (raw, name, place) in numbers {
        *place = raw
            .map(|raw| read::number(raw, format_args!("{name}")))
            .transpose()?;
    }
    request.answer_tokens_max = wire
        .max_tokens
        .map(|raw| read::tokens(raw, format_args!("max_tokens")))
        .transpose()?;
    Ok(request)
}

/// Reads the messages one by one, and keeps none but those that one is split into.
pub(in super::super) fn each_message<'a>(
    body: &'a [u8],
    visit: &mut dyn FnMut(Message<'a>),
) -> Result<(), RequestError> {
    let Some(messages) = read::messages(body)? else {
        return Ok(());
    };
    let mut split = Vec::new();
    read::each(messages, format_args!("messages"), &mut |index, raw| {
        message(raw, format_args!("messages[{index}]"), &mut split)?;
        split.drain(..).for_each(&mut *visit);
        Ok(())
    })
}

fn message<'a>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), RequestError> {
    let wire: WireMessage = read::object(raw, at, "an object with `role` and `content`")?;
    let Some(content) = wire.content else {
        return Ok(());
    };
    let at = format_args!("{at}.content");
    match &*wire.role.0 {
        "system" => messages.push(Message::System(parts(content, at)?)),
        "assistant" => messages.push(Message::Assistant(assistant(content, at)?)),
        _ => user(content, at, messages)?,
    }
    Ok(())
}

/// The blocks of a string or an array. A string is one text block.
fn blocks<'a>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    visit: &mut dyn FnMut(Block<'a>, fmt::Arguments) -> Result<(), RequestError>,
) -> Result<(), RequestError> {
    if read::kind(raw) == Kind::Text {
        let block = Block {
            kind: Text(Cow::Borrowed("text")),
            text: Some(Text(read::text(raw, at)?)),
            ..Block::default()
        };
        return visit(block, at);
    }
    read::each(raw, at, &mut |index, raw| {
        let at = format_args!("{at}[{index}]");
        let block = read::object(raw, at, "a content block as Anthropic defines it")?;
        visit(block, at)
    })
}

fn parts<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Vec<Part<'a>>, RequestError> {
    let mut parts = Vec::new();
    blocks(raw, at, &mut |block, at| {
        parts.extend(part(block, at)?);
        Ok(())
    })?;
    Ok(parts)
}

/// `None` for thinking.
fn part<'a>(block: Block<'a>, at: fmt::Arguments) -> Result<Option<Part<'a>>, RequestError> {
    match (&*block.kind.0, block.text, block.source) {
        ("text", Some(text), _) => Ok(Some(Part::Text(text.0))),
        ("image", _, Some(source)) => {
            let expected = "a source with `url`, or with `media_type` and `data`";
            let source: Source = read::value(source, format_args!("{at}.source"), expected)?;
            Ok(Some(Part::Image(match source {
                Source::Base64 { media_type, data } => Image::Inline {
                    media_type: media_type.0,
                    base64: data.0,
                },
                Source::Url { url } => Image::Url(url.0),
            })))
        }
        ("thinking" | "redacted_thinking", ..) => Ok(None),
        _ => Err(read::invalid(at, "a text or image block here")),
    }
}

fn assistant<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<AssistantMessage<'a>, RequestError> {
    let mut message = AssistantMessage::default();
    blocks(raw, at, &mut |block, at| {
        if block.kind.0 == "tool_use" {
            let input = block
                .input
                .filter(|input| read::kind(input) == Kind::Object);
            let (Some(id), Some(name), Some(input)) = (block.id, block.name, input) else {
                return Err(read::invalid(
                    at,
                    "a tool_use block with id, name and input",
                ));
            };
            message.calls.push(RequestedCall {
                id: id.0,
                name: name.0,
                arguments: Cow::Borrowed(input.get()),
            });
        } else {
            message.parts.extend(part(block, at)?);
        }
        Ok(())
    })?;
    Ok(message)
}

/// One turn of the user's may hold several tools' results, then its words.
fn user<'a>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), RequestError> {
    let mut words = Vec::new();
    let mut has_results = false;
    blocks(raw, at, &mut |block, at| {
        if block.kind.0 != "tool_result" {
            words.extend(part(block, at)?);
            return Ok(());
        }
        has_results = true;
        if !words.is_empty() {
            messages.push(Message::User(std::mem::take(&mut words)));
        }
        let Some(id) = block.tool_use_id else {
            return Err(read::missing(
                format_args!("{at}.tool_use_id"),
                "it names the call that this is the result of",
            ));
        };
        messages.push(Message::ToolResult(ToolResult {
            call_id: id.0,
            parts: match block.content {
                Some(content) => parts(content, format_args!("{at}.content"))?,
                None => Vec::new(),
            },
            is_error: block.is_error.unwrap_or_default(),
        }));
        Ok(())
    })?;
    if !words.is_empty() || !has_results {
        messages.push(Message::User(words));
    }
    Ok(())
}

fn tool<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Tool<'a>, RequestError> {
    let wire: WireTool = read::object(raw, at, "an object with `name` and `input_schema`")?;
    Ok(Tool {
        name: wire.name.0,
        description: wire.description.map(|text| text.0),
        parameters: wire.input_schema,
        strict: None,
    })
}

fn tool_choice<'a>(raw: Raw<'a>, request: &mut Request<'a>) -> Result<(), RequestError> {
    let at = format_args!("tool_choice");
    let wire: WireChoice = read::object(raw, at, "an object with `type`")?;
    request.tool_choice = Some(match (&*wire.kind.0, wire.name) {
        ("auto", _) => ToolChoice::Auto,
        ("none", _) => ToolChoice::Never,
        ("any", _) => ToolChoice::Required,
        ("tool", Some(name)) => ToolChoice::Named(name.0),
        _ => {
            return Err(read::invalid(
                at,
                "type auto, any, none, or tool with `name`",
            ));
        }
    });
    request.parallel_tool_calls = wire.disable_parallel_tool_use.map(|disable| !disable);
    Ok(())
}
