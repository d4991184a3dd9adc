//! Reads a whole chat completion request, for a provider that speaks another dialect.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `n` > 1, `logprobs`, `top_logprobs`, `logit_bias`, `audio`, `modalities`, `prediction`, `web_search_options`, `moderation`, `functions`, `function_call`, JSON mode, stop texts of white space, tools other than functions, parts other than text and images | not portable: the outline names it and no other dialect is asked |
//! | `frequency_penalty`, `presence_penalty`, `seed` | dropped: they nudge the sampling, and promise nothing that a reader of the answer could miss |
//! | `reasoning_effort`, `verbosity` | dropped: hints, and models without the feature refuse the field |
//! | `service_tier`, `store`, `metadata`, `prompt_cache_key` and its kin | dropped: dealings with OpenAI that change no answer |
//! | `messages[].name`, `image_url.detail`, a former answer's `reasoning_content` | dropped: other dialects have no place for them |
//! | `safety_identifier` | stands in for `user` |
//! | `stream`, `stream_options` | the router's own decision |
//!
//! Anthropic's compatible endpoint treats the dropped ones alike
//! (<https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk>).
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
    messages: Option<Raw<'a>>,
    #[serde(borrow)]
    tools: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_choice: Option<Raw<'a>>,
    #[serde(borrow)]
    parallel_tool_calls: Option<Raw<'a>>,
    #[serde(borrow)]
    response_format: Option<Raw<'a>>,
    #[serde(borrow)]
    max_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    max_completion_tokens: Option<Raw<'a>>,
    #[serde(borrow)]
    temperature: Option<Raw<'a>>,
    #[serde(borrow)]
    top_p: Option<Raw<'a>>,
    #[serde(borrow)]
    stop: Option<Raw<'a>>,
    #[serde(borrow)]
    user: Option<Raw<'a>>,
    #[serde(borrow)]
    safety_identifier: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    function: WireCallFunction<'a>,
}

#[derive(Deserialize)]
struct WireCallFunction<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct WirePart<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    image_url: Option<WireImage<'a>>,
}

#[derive(Deserialize)]
struct WireImage<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

#[derive(Deserialize)]
struct WireTool<'a> {
    #[serde(borrow)]
    function: WireFunction<'a>,
}

#[derive(Deserialize)]
pub(in super::super) struct WireFunction<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow, default)]
    pub description: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub parameters: Option<Raw<'a>>,
    #[serde(default)]
    pub strict: Option<bool>,
}

#[derive(Deserialize)]
struct NamedChoice<'a> {
    #[serde(borrow)]
    function: NamedFunction<'a>,
}

#[derive(Deserialize)]
pub(in super::super) struct NamedFunction<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
}

#[derive(Deserialize)]
struct WireFormat<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    json_schema: Option<WireSchema<'a>>,
}

#[derive(Deserialize)]
pub(in super::super) struct WireSchema<'a> {
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub schema: Option<Raw<'a>>,
    #[serde(default)]
    pub strict: Option<bool>,
}

pub(in super::super) fn parse_request(body: &[u8]) -> Result<Request<'_>, RequestError> {
    let wire: Object<WireRequest> =
        serde_json::from_str(read::utf8(body)?).map_err(|error| read::not_json(&error))?;
    let wire = wire.0;
    let mut request = Request {
        format: wire.response_format.map(format).transpose()?.flatten(),
        ..Request::default()
    };
    if let Some(messages) = wire.messages {
        read::each(messages, format_args!("messages"), &mut |index, raw| {
            let at = format_args!("messages[{index}]");
            request.messages.push(message(raw, at)?);
            Ok(())
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
    if let Some(stop) = wire.stop {
        request.stop = stops(stop)?;
    }
    request.tool_choice = wire.tool_choice.map(tool_choice).transpose()?;
    let at = format_args!("parallel_tool_calls");
    request.parallel_tool_calls = read::optional(wire.parallel_tool_calls, at, read::flag)?;
    request.answer_tokens_max = match wire.max_completion_tokens {
        Some(raw) => Some(read::tokens(raw, format_args!("max_completion_tokens"))?),
        None => read::optional(wire.max_tokens, format_args!("max_tokens"), read::tokens)?,
    };
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
    let Some(messages) = read::messages(body)? else {
        return Ok(());
    };
    read::each(messages, format_args!("messages"), &mut |index, raw| {
        visit(message(raw, format_args!("messages[{index}]"))?);
        Ok(())
    })
}

fn message<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Message<'a>, RequestError> {
    let wire: WireMessage = read::object(
        raw,
        at,
        "a message with `role` and `content`, as OpenAI defines it",
    )?;
    let mut parts = Vec::new();
    if let Some(content) = wire.content {
        contents(content, format_args!("{at}.content"), &mut parts)?;
    }
    Ok(match &*wire.role.0 {
        "system" | "developer" => Message::System(parts),
        "assistant" => {
            parts.extend(wire.refusal.map(|text| Part::Text(text.0)));
            let calls = match wire.tool_calls {
                Some(raw) => calls(raw, format_args!("{at}.tool_calls"))?,
                None => Vec::new(),
            };
            Message::Assistant(AssistantMessage { parts, calls })
        }
        "tool" => Message::ToolResult(ToolResult {
            call_id: wire.tool_call_id.unwrap_or_default().0,
            parts,
            is_error: false,
        }),
        _ => Message::User(parts),
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
    let wire: WirePart = read::object(raw, at, "a content part as OpenAI defines it")?;
    if let Some(text) = wire.text.or(wire.refusal) {
        return Ok(Part::Text(text.0));
    }
    let Some(image) = wire.image_url else {
        return Err(read::invalid(
            at,
            "a content part with `text` or `image_url`",
        ));
    };
    image_of(image.url.0)
        .map(Part::Image)
        .ok_or_else(|| read::invalid(format_args!("{at}.image_url.url"), IMAGE_EXPECTED))
}

pub(in super::super) const IMAGE_EXPECTED: &str =
    "an https URL, or a data URL with a media type and base64";

pub(in super::super) fn image_of(url: Cow<'_, str>) -> Option<Image<'_>> {
    if !url.starts_with("data:") {
        return Some(Image::Url(url));
    }
    match url {
        Cow::Borrowed(url) => {
            let (media_type, base64) = data_url(url)?;
            Some(Image::Inline {
                media_type: media_type.into(),
                base64: base64.into(),
            })
        }
        Cow::Owned(url) => {
            let (media_type, base64) = data_url(&url)?;
            Some(Image::Inline {
                media_type: media_type.to_owned().into(),
                base64: base64.to_owned().into(),
            })
        }
    }
}

fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, base64) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    let media_type = media_type.split(';').next().unwrap_or_default();
    (!media_type.is_empty() && !base64.is_empty()).then_some((media_type, base64))
}

fn calls<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Vec<RequestedCall<'a>>, RequestError> {
    let mut calls = Vec::new();
    read::each(raw, at, &mut |index, raw| {
        let at = format_args!("{at}[{index}]");
        let wire: WireCall = read::object(
            raw,
            at,
            "an object with `id`, `function.name` and `function.arguments`",
        )?;
        let arguments = wire.function.arguments.unwrap_or_default().0;
        calls.push(RequestedCall {
            id: wire.id.0,
            name: wire.function.name.0,
            arguments: if arguments.trim().is_empty() {
                Cow::Borrowed("{}")
            } else if read::is_object(&arguments) {
                arguments
            } else {
                return Err(read::invalid(
                    format_args!("{at}.function.arguments"),
                    "a string that holds a JSON object",
                ));
            },
        });
        Ok(())
    })?;
    Ok(calls)
}

fn tool<'a>(raw: Raw<'a>, at: fmt::Arguments) -> Result<Tool<'a>, RequestError> {
    let wire: WireTool = read::object(raw, at, "an object with `type` and `function.name`")?;
    let function = wire.function;
    if let Some(parameters) = function.parameters
        && read::kind(parameters) != Kind::Object
    {
        return Err(read::invalid(
            format_args!("{at}.function.parameters"),
            "a JSON Schema object",
        ));
    }
    Ok(Tool {
        name: function.name.0,
        description: function.description.map(|text| text.0),
        parameters: function.parameters,
        strict: function.strict,
    })
}

fn tool_choice(raw: Raw<'_>) -> Result<ToolChoice<'_>, RequestError> {
    Ok(match raw.get() {
        "\"auto\"" => ToolChoice::Auto,
        "\"none\"" => ToolChoice::Never,
        "\"required\"" => ToolChoice::Required,
        _ => {
            let at = format_args!("tool_choice");
            let expected = "auto, none, required, or an object with `function.name`";
            let named: NamedChoice = read::object(raw, at, expected)?;
            ToolChoice::Named(named.function.name.0)
        }
    })
}

fn format(raw: Raw<'_>) -> Result<Option<Format<'_>>, RequestError> {
    let at = format_args!("response_format");
    let wire: WireFormat = read::object(raw, at, "an object with `type`, as OpenAI defines it")?;
    match &*wire.kind.0 {
        "json_object" => Ok(Some(Format::JsonObject)),
        "json_schema" => {
            let schema = wire.json_schema.and_then(|wire| Some((wire.schema?, wire)));
            let Some((schema, wire)) = schema else {
                return Err(read::missing(
                    format_args!("response_format.json_schema.schema"),
                    "it holds the JSON Schema",
                ));
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

fn stops(raw: Raw<'_>) -> Result<Vec<Cow<'_, str>>, RequestError> {
    let at = format_args!("stop");
    if read::kind(raw) == Kind::Text {
        return Ok(vec![read::text(raw, at)?]);
    }
    let mut stops = Vec::new();
    read::each(raw, at, &mut |index, raw| {
        stops.push(read::text(raw, format_args!("stop[{index}]"))?);
        Ok(())
    })?;
    Ok(stops)
}
