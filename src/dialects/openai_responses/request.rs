//! Reads a whole request to the Responses API, for a provider that speaks another dialect.
//!
//! `outline.rs` notes what not every dialect can carry, `docs/dialects.md` tells who can. What no other dialect has a word
//! for is not read here: `truncation`, `max_tool_calls`, ids and `status` of items, and `stream`, which is the router's own
//! decision. `instructions` are a system message before all others, `safety_identifier` stands in for `user`, and a
//! function without `strict` stays so: the target has its own default, as OpenAI has.
//!
//! A turn of the model's may be several items; other dialects have one message for it. So the calls join the message
//! before them.
//!
//! `outline` has run before, so what it refuses is not checked again.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::openai_chat::{
    IMAGE_EXPECTED, NamedFunction, Typed, WireFile, WireFunction, WireSchema, document_of,
    image_of, read_setting,
};
use super::super::read::{self, Kind, Loose, Object, Raw, Text};
use super::answer::PARAGRAPH;
use super::outline::Item;
use crate::chat::{
    AssistantMessage, Format, Message, Part, Reasoning, Request, RequestError, RequestedCall, Seal,
    SealForm, Signer, Tool, ToolChoice, ToolResult,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireRequest<'a> {
    #[serde(borrow)]
    input: Option<Raw<'a>>,
    #[serde(borrow)]
    instructions: Option<Raw<'a>>,
    #[serde(borrow)]
    tools: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_choice: Option<Raw<'a>>,
    #[serde(borrow)]
    parallel_tool_calls: Option<Raw<'a>>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
    #[serde(borrow)]
    max_output_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    temperature: Option<Raw<'a>>,
    #[serde(borrow)]
    top_p: Option<Raw<'a>>,
    #[serde(borrow)]
    include: Option<Raw<'a>>,
    #[serde(borrow)]
    top_logprobs: Option<Raw<'a>>,
    #[serde(borrow)]
    reasoning: Option<Raw<'a>>,
    #[serde(borrow)]
    prompt_cache_key: Option<Raw<'a>>,
    #[serde(borrow)]
    service_tier: Option<Raw<'a>>,
    #[serde(borrow)]
    metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    user: Option<Raw<'a>>,
    #[serde(borrow)]
    safety_identifier: Option<Raw<'a>>,
}

/// What `include` calls the probabilities of tokens.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

pub(in super::super) fn parse_request(body: &[u8]) -> Result<Request<'_>, RequestError> {
    let wire = wire(body)?;
    let mut request = Request {
        format: wire.text.map(format).transpose()?.flatten(),
        ..Request::default()
    };
    each_wire_message(&wire, &mut |message| join(message, &mut request.messages))?;
    if let Some(tools) = wire.tools {
        read::each(tools, format_args!("tools"), &mut |index, raw| {
            let tool = tool(raw, format_args!("tools[{index}]"))?;
            request.tools.push(tool);
            Ok(())
        })?;
    }
    request.tool_choice = wire.tool_choice.map(tool_choice).transpose()?;
    let at = format_args!("parallel_tool_calls");
    request.parallel_tool_calls = read::optional(wire.parallel_tool_calls, at, read::flag)?;
    let at = format_args!("max_output_tokens");
    request.answer_tokens_max = read::optional(wire.max_output_tokens, at, read::tokens)?;
    let user = read::optional(wire.user, format_args!("user"), read::text)?;
    let stand_in = format_args!("safety_identifier");
    request.user = match user {
        Some(user) => Some(user),
        None => read::optional(wire.safety_identifier, stand_in, read::text)?,
    };
    settings(&wire, &mut request)?;
    Ok(request)
}

fn settings<'a>(wire: &WireRequest<'a>, request: &mut Request<'a>) -> Result<(), RequestError> {
    for (key, raw) in [
        ("temperature", wire.temperature),
        ("top_p", wire.top_p),
        (
            "top_logprobs",
            wire.top_logprobs.filter(|count| count.get() != "0"),
        ),
        ("reasoning", wire.reasoning),
        ("prompt_cache_key", wire.prompt_cache_key),
        ("service_tier", wire.service_tier),
        ("metadata", wire.metadata),
    ] {
        if let Some(raw) = raw {
            read_setting(request, key, raw)?;
        }
    }
    let asks = wire.include.map_or("", RawValue::get);
    if asks.contains(LOGPROBS) {
        request.logprobs.get_or_insert(0);
    }
    if let Some(text) = wire.text {
        let config: Typed = read::object(text, format_args!("text"), "an object")?;
        if let Some(verbosity) = config.verbosity {
            let verbosity = read::text(verbosity, format_args!("text.verbosity"))?;
            request.verbosity = Some(verbosity);
        }
    }
    Ok(())
}

/// Reads the messages one by one, and keeps none.
pub(in super::super) fn each_message<'a>(
    body: &'a [u8],
    visit: &mut dyn FnMut(Message<'a>),
) -> Result<(), RequestError> {
    each_wire_message(&wire(body)?, visit)
}

fn wire(body: &[u8]) -> Result<WireRequest<'_>, RequestError> {
    let wire: Object<WireRequest> =
        serde_json::from_str(read::utf8(body)?).map_err(|error| read::not_json(&error))?;
    Ok(wire.0)
}

fn each_wire_message<'a>(
    wire: &WireRequest<'a>,
    visit: &mut dyn FnMut(Message<'a>),
) -> Result<(), RequestError> {
    if let Some(instructions) = wire.instructions {
        let text = read::text(instructions, format_args!("instructions"))?;
        visit(Message::System(vec![Part::Text(text)]));
    }
    let at = format_args!("input");
    match wire.input {
        None => Ok(()),
        Some(input) if read::kind(input) == Kind::Text => {
            visit(Message::User(vec![Part::Text(read::text(input, at)?)]));
            Ok(())
        }
        Some(input) => read::each(input, at, &mut |index, raw| {
            visit(item(raw, format_args!("input[{index}]"))?);
            Ok(())
        }),
    }
}

/// Puts what the model said in one turn into one message: calls join what is before them, and what it says after a
/// call joins the call. Their results may not be parted from them.
fn join<'a>(message: Message<'a>, messages: &mut Vec<Message<'a>>) {
    match (message, messages.last_mut()) {
        (Message::Assistant(more), Some(Message::Assistant(turn)))
            if !more.calls.is_empty()
                || !turn.calls.is_empty()
                || matches!(turn.parts.last(), Some(Part::Reasoning(_))) =>
        {
            turn.parts.extend(more.parts);
            turn.calls.extend(more.calls);
        }
        (message, _) => messages.push(message),
    }
}

fn item<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Message<'a>, RequestError> {
    let item = Item::read(raw, at)?;
    let mut parts = Vec::new();
    Ok(match &*item.kind(at)? {
        "message" => {
            if let Some(content) = item.content {
                contents(content, format_args!("{at}.content"), &mut parts)?;
            }
            match &*word(item.role, format_args!("{at}.role"))? {
                "system" | "developer" => Message::System(parts),
                "assistant" => Message::Assistant(AssistantMessage {
                    parts,
                    calls: Vec::new(),
                }),
                _ => Message::User(parts),
            }
        }
        "function_call" => Message::Assistant(AssistantMessage {
            parts,
            calls: vec![call(&item, at)?],
        }),
        "function_call_output" => {
            if let Some(output) = item.output {
                contents(output, format_args!("{at}.output"), &mut parts)?;
            }
            Message::ToolResult(ToolResult {
                call_id: word(item.call_id, format_args!("{at}.call_id"))?,
                parts,
                is_error: false,
            })
        }
        "reasoning" => {
            parts.push(Part::Reasoning(thought(&item, at)?));
            let calls = Vec::new();
            Message::Assistant(AssistantMessage { parts, calls })
        }
        _ => {
            return Err(read::invalid(
                at,
                "a message, a call, its output, or reasoning",
            ));
        }
    })
}

/// What is not as it should be is left out: only the model that wrote it could tell.
fn thought<'a>(item: &Item<'a>, at: fmt::Arguments) -> Result<Reasoning<'a>, RequestError> {
    let mut paragraphs: Vec<Cow<str>> = Vec::new();
    for list in [item.summary, item.content].into_iter().flatten() {
        let parts: Vec<Loose<Typed>> = serde_json::from_str(list.get()).unwrap_or_default();
        for text in parts.into_iter().filter_map(|part| part.0?.text) {
            paragraphs.push(read::text(text, at)?);
        }
    }
    let text = match paragraphs.len() {
        1 => paragraphs.remove(0),
        _ => paragraphs.join(PARAGRAPH).into(),
    };
    let words = read::optional(item.encrypted_content, at, read::text)?;
    let id = read::optional(item.id, at, read::text)?;
    let seal = words.map(|words| Seal {
        by: Signer::Openai,
        form: SealForm::Encrypted,
        words,
        id,
    });
    Ok(Reasoning { text, seal })
}

/// A string; empty where there is none.
fn word<'a>(raw: Option<Raw<'a>>, at: fmt::Arguments) -> Result<Cow<'a, str>, RequestError> {
    Ok(read::optional(raw, at, read::text)?.unwrap_or_default())
}

fn call<'a>(item: &Item<'a>, at: fmt::Arguments) -> Result<RequestedCall<'a>, RequestError> {
    let name = format_args!("{at}.name");
    if item.name.is_none() {
        return Err(read::missing(name, "it names the function that was called"));
    }
    let arguments = word(item.arguments, format_args!("{at}.arguments"))?;
    Ok(RequestedCall {
        signature: None,
        id: word(item.call_id, format_args!("{at}.call_id"))?,
        name: word(item.name, name)?,
        arguments: if arguments.trim().is_empty() {
            "{}".into()
        } else if read::is_object(&arguments) {
            arguments
        } else {
            let expected = "a string that holds a JSON object";
            return Err(read::invalid(format_args!("{at}.arguments"), expected));
        },
    })
}

fn contents<'a>(
    raw: Raw<'a>,
    at: fmt::Arguments,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), RequestError> {
    if read::kind(raw) == Kind::Text {
        parts.push(Part::Text(read::text(raw, at)?));
        return Ok(());
    }
    read::each(raw, at, &mut |index, raw| {
        parts.push(part(raw, format_args!("{at}[{index}]"))?);
        Ok(())
    })
}

fn part<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Part<'a>, RequestError> {
    let part: Typed = read::object(raw, at, "a part as OpenAI defines it")?;
    if let Some(text) = part.text.or(part.refusal) {
        return Ok(Part::Text(read::text(text, at)?));
    }
    if part.file_data.or(part.file_url).is_some() {
        let word = |raw| read::optional(raw, at, |raw, at| read::text(raw, at).map(Text));
        let file = WireFile {
            filename: word(part.filename)?,
            file_data: word(part.file_data)?,
            file_url: word(part.file_url)?,
        };
        return document_of(file, at).map(Part::Document);
    }
    let Some(url) = part.image_url else {
        let expected = "a part with `text`, `image_url`, `file_data` or `file_url`";
        return Err(read::invalid(at, expected));
    };
    let at = format_args!("{at}.image_url");
    image_of(read::text(url, at)?)
        .map(Part::Image)
        .ok_or_else(|| read::invalid(at, IMAGE_EXPECTED))
}

fn tool<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Tool<'a>, RequestError> {
    let wire: WireFunction = read::object(raw, at, "an object with `type` and `name`")?;
    if wire
        .parameters
        .is_some_and(|schema| read::kind(schema) != Kind::Object)
    {
        let expected = "a JSON Schema object";
        return Err(read::invalid(format_args!("{at}.parameters"), expected));
    }
    Ok(Tool {
        name: wire.name.0,
        description: wire.description.map(|text| text.0),
        parameters: wire.parameters,
        strict: wire.strict,
        cache_marker: None,
    })
}

fn tool_choice(raw: Raw<'_>) -> Result<ToolChoice<'_>, RequestError> {
    Ok(match raw.get() {
        "\"auto\"" => ToolChoice::Auto,
        "\"none\"" => ToolChoice::Never,
        "\"required\"" => ToolChoice::Required,
        _ => {
            let expected = "auto, none, required, or an object with `type` and `name`";
            let named: NamedFunction = read::object(raw, format_args!("tool_choice"), expected)?;
            ToolChoice::Named(named.name.0)
        }
    })
}

fn format(raw: Raw<'_>) -> Result<Option<Format<'_>>, RequestError> {
    let config: Typed = read::object(raw, format_args!("text"), "an object with `format`")?;
    let Some(raw) = config.format else {
        return Ok(None);
    };
    let at = format_args!("text.format");
    let format: Typed = read::object(raw, at, "an object with `type`")?;
    match format.kind.map(RawValue::get) {
        Some("\"json_object\"") => Ok(Some(Format::JsonObject)),
        Some("\"json_schema\"") => {
            let wire: WireSchema = read::object(raw, at, "an object with `name` and `schema`")?;
            let Some(schema) = wire.schema else {
                let at = format_args!("text.format.schema");
                return Err(read::missing(at, "it holds the JSON Schema"));
            };
            Ok(Some(Format::JsonSchema {
                name: wire.name.map(|name| name.0),
                schema,
                strict: wire.strict,
            }))
        }
        _ => Ok(None),
    }
}
