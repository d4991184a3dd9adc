//! Reads a whole request to the Responses API, for a provider that speaks another dialect.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `previous_response_id`, `conversation`, `prompt`, `store: true`, `moderation`, `top_logprobs`, `include` of logprobs, tools other than functions, JSON mode, items other than messages, function calls and their outputs, and reasoning, parts other than text and images, images by `file_id` | not portable: the outline names it and no other dialect is asked |
//! | `background: true` | refused |
//! | items of `reasoning`, with what is encrypted in them | dropped: only the model that thought it can read it |
//! | `reasoning`, `text.verbosity`, `truncation` | dropped: hints, and models without the feature refuse the field |
//! | `service_tier`, `metadata`, `prompt_cache_key` and its kin, other values of `include`, `max_tool_calls` | dropped: dealings with OpenAI that change no answer |
//! | `input_image.detail`, ids and `status` of items | dropped: other dialects have no place for them |
//! | `safety_identifier` | stands in for `user` |
//! | a function without `strict` | so it stays: the target has its own default, as OpenAI has |
//! | `instructions` | a system message before all others |
//! | `stream`, `stream_options` | the router's own decision |
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
    IMAGE_EXPECTED, NamedFunction, Typed, WireFunction, WireSchema, image_of,
};
use super::super::read::{self, Kind, Object, Raw};
use super::outline::Item;
use crate::chat::{
    AssistantMessage, Format, Message, Part, Request, RequestError, RequestedCall, Tool,
    ToolChoice, ToolResult,
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
    user: Option<Raw<'a>>,
    #[serde(borrow)]
    safety_identifier: Option<Raw<'a>>,
}

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
    request.temperature =
        read::optional(wire.temperature, format_args!("temperature"), read::number)?;
    request.top_p = read::optional(wire.top_p, format_args!("top_p"), read::number)?;
    let user = read::optional(wire.user, format_args!("user"), read::text)?;
    let stand_in = format_args!("safety_identifier");
    request.user = match user {
        Some(user) => Some(user),
        None => read::optional(wire.safety_identifier, stand_in, read::text)?,
    };
    Ok(request)
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
            if let Some(message) = item(raw, format_args!("input[{index}]"))? {
                visit(message);
            }
            Ok(())
        }),
    }
}

/// Puts what the model said in one turn into one message: calls join what is before them, and what it says after a
/// call joins the call. Their results may not be parted from them.
fn join<'a>(message: Message<'a>, messages: &mut Vec<Message<'a>>) {
    match (message, messages.last_mut()) {
        (Message::Assistant(more), Some(Message::Assistant(turn)))
            if !more.calls.is_empty() || !turn.calls.is_empty() =>
        {
            turn.parts.extend(more.parts);
            turn.calls.extend(more.calls);
        }
        (message, _) => messages.push(message),
    }
}

/// Absent where it is reasoning.
fn item<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Option<Message<'a>>, RequestError> {
    let item = Item::read(raw, at)?;
    let mut parts = Vec::new();
    Ok(Some(match &*item.kind(at)? {
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
        _ => return Ok(None),
    }))
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
    let Some(url) = part.image_url else {
        return Err(read::invalid(at, "a part with `text` or `image_url`"));
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
