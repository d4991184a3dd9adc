//! Reads a whole messages request, for a provider that speaks another dialect.
//!
//! `outline.rs` notes what not every dialect can carry, `docs/dialects.md` tells who can. What no other dialect has a word
//! for is not read here: `cache_control` of the whole request and of a call, citations of former answers, and `stream`,
//! which is the router's own decision.
//!
//! `outline` has run before, so what it refuses is not checked again.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::openai_chat::{cache_marker, effort, read_setting};
use super::super::read::{self, Kind, Object, Raw, Text};
use super::super::strict_schema::is_strict;
use crate::chat::{
    AssistantMessage, Document, DocumentSource, Effort, Format, Image, Message, Part, Reasoning,
    Request, RequestError, RequestedCall, Seal, SealForm, Signer, Tool, ToolChoice, ToolResult,
};
use crate::units::Tokens;

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
    #[serde(borrow)]
    top_k: Option<Raw<'a>>,
    #[serde(borrow)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow)]
    service_tier: Option<Raw<'a>>,
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
    /// Of documents alone.
    Text {
        #[serde(borrow)]
        data: Text<'a>,
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
    #[serde(borrow)]
    title: Option<Text<'a>>,
    #[serde(borrow)]
    citations: Option<Raw<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct WireTool<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
    #[serde(borrow, default)]
    input_schema: Option<Raw<'a>>,
    #[serde(borrow, default)]
    strict: Option<Raw<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
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
    #[serde(borrow)]
    effort: Option<Raw<'a>>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Enabled { budget_tokens: Option<Tokens> },
    Adaptive,
    Disabled,
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
        let at = format_args!("output_config.effort");
        request.effort = read::optional(config.effort, at, effort)?;
        request.format = config.format.map(|format| Format::JsonSchema {
            name: None,
            schema: format.schema,
            // This dialect promises that the answer follows the schema; OpenAI's must be asked to, where it can be.
            strict: Some(is_strict(format.schema)),
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
    for (raw, name, place) in [
        (wire.temperature, "temperature", &mut request.temperature),
        (wire.top_p, "top_p", &mut request.top_p),
    ] {
        let within = |raw| read::number_within(raw, format_args!("{name}"), (0.0, 1.0));
        *place = raw.map(within).transpose()?;
    }
    let at = format_args!("max_tokens");
    request.answer_tokens_max = read::optional(wire.max_tokens, at, read::tokens)?;
    if let Some(raw) = wire.top_k {
        read_setting(&mut request, "top_k", raw)?;
    }
    if let Some(thinking) = wire.thinking {
        request.effort = Some(thought_of(thinking, request.effort)?);
    }
    // What OpenAI calls so: no capacity that was bought beforehand.
    let is_standard = wire.service_tier.map(RawValue::get) == Some("\"standard_only\"");
    request.service_tier = is_standard.then_some(Cow::Borrowed("default"));
    Ok(request)
}

/// `adaptive` leaves it to the model, and to the effort that is asked for beside it.
fn thought_of(raw: Raw, beside: Option<Effort>) -> Result<Effort, RequestError> {
    let expected = "type disabled, adaptive, or enabled with `budget_tokens`";
    Ok(
        match read::value(raw, format_args!("thinking"), expected)? {
            Thinking::Enabled {
                budget_tokens: Some(budget),
            } => Effort::Tokens(budget),
            Thinking::Enabled { .. } | Thinking::Adaptive => beside.unwrap_or(Effort::High),
            Thinking::Disabled => Effort::None,
        },
    )
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
    blocks(raw, at, &mut |block, at| push_part(block, at, &mut parts))?;
    Ok(parts)
}

fn push_part<'a>(
    block: Block<'a>,
    at: fmt::Arguments,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), RequestError> {
    let marker = block.cache_control;
    parts.push(part(block, at)?);
    parts.extend(marker.and_then(cache_marker).map(Part::CacheMarker));
    Ok(())
}

fn part<'a>(block: Block<'a>, at: fmt::Arguments) -> Result<Part<'a>, RequestError> {
    match (&*block.kind.0, block.text, block.source) {
        ("text", Some(text), _) => Ok(Part::Text(text.0)),
        ("image", _, Some(source)) => {
            let expected = "a source with `url`, or with `media_type` and `data`";
            let source: Source = read::value(source, format_args!("{at}.source"), expected)?;
            match source {
                Source::Base64 { media_type, data } => Ok(Part::Image(Image::Inline {
                    media_type: media_type.0,
                    base64: data.0,
                })),
                Source::Url { url } => Ok(Part::Image(Image::Url(url.0))),
                Source::Text { .. } => Err(read::invalid(format_args!("{at}.source"), expected)),
            }
        }
        ("document", _, Some(source)) => {
            let expected = "a source with `url`, or with `media_type` and `data`";
            let source: Source = read::value(source, format_args!("{at}.source"), expected)?;
            let wish = block.citations.map_or("", RawValue::get);
            Ok(Part::Document(Document {
                name: block.title.map(|title| title.0),
                source: match source {
                    Source::Base64 { media_type, data } => DocumentSource::Inline {
                        media_type: media_type.0,
                        base64: data.0,
                    },
                    Source::Url { url } => DocumentSource::Url(url.0),
                    Source::Text { data } => DocumentSource::Text(data.0),
                },
                is_cited: wish.contains("true"),
            }))
        }
        ("thinking", ..) => Ok(thought(
            block.thinking,
            SealForm::Signature,
            block.signature,
        )),
        ("redacted_thinking", ..) => Ok(thought(None, SealForm::Encrypted, block.data)),
        _ => Err(read::invalid(at, "a text, image or document block here")),
    }
}

/// One without a signature is not Anthropic's: we wrote it, for another dialect's thoughts.
fn thought<'a>(text: Option<Text<'a>>, form: SealForm, words: Option<Text<'a>>) -> Part<'a> {
    let words = words.map(|words| words.0).filter(|words| !words.is_empty());
    Part::Reasoning(Reasoning {
        text: text.unwrap_or_default().0,
        seal: words.map(|words| Seal {
            by: Signer::Anthropic,
            form,
            words,
            id: None,
        }),
    })
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
                signature: None,
            });
            return Ok(());
        }
        push_part(block, at, &mut message.parts)
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
            return push_part(block, at, &mut words);
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
        let mut parts = match block.content {
            Some(content) => parts(content, format_args!("{at}.content"))?,
            None => Vec::new(),
        };
        let marker = block.cache_control.and_then(cache_marker);
        parts.extend(marker.map(Part::CacheMarker));
        messages.push(Message::ToolResult(ToolResult {
            call_id: id.0,
            parts,
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
        strict: wire
            .strict
            .map(|strict| strict.get() == "true" && wire.input_schema.is_some_and(is_strict)),
        cache_marker: wire.cache_control.and_then(cache_marker),
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
