//! Reads a whole chat completion request, for a provider that speaks another dialect.
//!
//! `outline.rs` notes what not every dialect can carry, `docs/dialects.md` tells who can. What no other dialect has a word
//! for is not read here: `messages[].name`, `image_url.detail`, unsigned thoughts of former answers, `stream` and
//! `stream_options`, which are the router's own decision. `safety_identifier` stands in for `user`.
//!
//! `outline` has run before, so what it refuses is not checked again.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::super::read::{self, Kind, Object, Raw, Text};
use super::setting::read_setting;
use super::thought::{ExtraContent, read_details};
use crate::chat::{
    AssistantMessage, Audio, CacheMarker, Document, DocumentSource, Format, Image, Message, Part,
    Request, RequestError, RequestedCall, Tool, ToolChoice, ToolResult,
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
    top_k: Option<Raw<'a>>,
    #[serde(borrow)]
    seed: Option<Raw<'a>>,
    #[serde(borrow)]
    frequency_penalty: Option<Raw<'a>>,
    #[serde(borrow)]
    presence_penalty: Option<Raw<'a>>,
    #[serde(borrow)]
    logprobs: Option<Raw<'a>>,
    #[serde(borrow)]
    top_logprobs: Option<Raw<'a>>,
    #[serde(borrow)]
    reasoning_effort: Option<Raw<'a>>,
    #[serde(borrow)]
    reasoning: Option<Raw<'a>>,
    #[serde(borrow)]
    verbosity: Option<Raw<'a>>,
    #[serde(borrow)]
    prompt_cache_key: Option<Raw<'a>>,
    #[serde(borrow)]
    service_tier: Option<Raw<'a>>,
    #[serde(borrow)]
    metadata: Option<Raw<'a>>,
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
    #[serde(borrow)]
    reasoning_details: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    function: WireCallFunction<'a>,
    #[serde(borrow, default)]
    extra_content: Option<ExtraContent<'a>>,
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
    #[serde(borrow, default)]
    input_audio: Option<WireAudio<'a>>,
    #[serde(borrow, default)]
    file: Option<WireFile<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct WireAudio<'a> {
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow)]
    format: Text<'a>,
}

/// A document: in chat completions a part's `file`, in the Responses API the part itself.
#[derive(Deserialize)]
pub(in super::super) struct WireFile<'a> {
    #[serde(borrow, default)]
    pub filename: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub file_data: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub file_url: Option<Text<'a>>,
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
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
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
    if let Some(flag) = wire.logprobs
        && read::flag(flag, format_args!("logprobs"))?
    {
        request.logprobs = Some(0);
    }
    for (key, raw) in [
        ("temperature", wire.temperature),
        ("top_p", wire.top_p),
        ("top_k", wire.top_k),
        ("seed", wire.seed),
        ("frequency_penalty", wire.frequency_penalty),
        ("presence_penalty", wire.presence_penalty),
        (
            "top_logprobs",
            wire.top_logprobs.filter(|_| request.logprobs.is_some()),
        ),
        ("reasoning_effort", wire.reasoning_effort),
        ("reasoning", wire.reasoning),
        ("verbosity", wire.verbosity),
        ("prompt_cache_key", wire.prompt_cache_key),
        ("service_tier", wire.service_tier),
        ("metadata", wire.metadata),
    ] {
        if let Some(raw) = raw {
            read_setting(request, key, raw)?;
        }
    }
    Ok(())
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
    if let Some(details) = wire.reasoning_details {
        parts.extend(read_details(details).into_iter().map(Part::Reasoning));
    }
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
        let at = format_args!("{at}[{index}]");
        let part: WirePart = read::object(raw, at, "a content part as OpenAI defines it")?;
        let marker = part.cache_control;
        parts.push(content_part(part, at)?);
        parts.extend(marker.and_then(cache_marker).map(Part::CacheMarker));
        Ok(())
    })
}

fn content_part<'a>(wire: WirePart<'a>, at: fmt::Arguments) -> Result<Part<'a>, RequestError> {
    if let Some(text) = wire.text.or(wire.refusal) {
        return Ok(Part::Text(text.0));
    }
    if let Some(audio) = wire.input_audio {
        return Ok(Part::Audio(Audio {
            format: audio.format.0,
            base64: audio.data.0,
        }));
    }
    if let Some(file) = wire.file {
        return document_of(file, at).map(Part::Document);
    }
    let Some(image) = wire.image_url else {
        let expected = "a content part with `text`, `image_url`, `input_audio` or `file`";
        return Err(read::invalid(at, expected));
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

/// A document of the request itself, as a data URL, or one to be fetched; compatible providers take URLs as `file_data`.
pub(in super::super) fn document_of<'a>(
    file: WireFile<'a>,
    at: fmt::Arguments,
) -> Result<Document<'a>, RequestError> {
    let given = file
        .file_data
        .or(file.file_url)
        .and_then(|data| image_of(data.0));
    let source = match given {
        Some(Image::Url(url)) if url.starts_with("http") => DocumentSource::Url(url),
        Some(Image::Inline { media_type, base64 }) => DocumentSource::Inline { media_type, base64 },
        _ => {
            let expected = "`file_data`, a data URL with a media type and base64";
            return Err(read::invalid(at, expected));
        }
    };
    Ok(Document {
        name: file.filename.map(|name| name.0),
        source,
        is_cited: false,
    })
}

/// As Anthropic writes it, and OpenRouter's clients for Anthropic's models. Null is none.
pub(in super::super) fn cache_marker(raw: Raw<'_>) -> Option<CacheMarker<'_>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Control<'a> {
        #[serde(borrow)]
        ttl: Option<Text<'a>>,
    }
    let control: Object<Control> = serde_json::from_str(raw.get()).ok()?;
    Some(CacheMarker {
        ttl: control.0.ttl.map(|ttl| ttl.0),
    })
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
            signature: wire.extra_content.and_then(ExtraContent::signature),
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
        cache_marker: wire.cache_control.and_then(cache_marker),
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
