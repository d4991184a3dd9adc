//! What one pass over a chat completion request tells; see `dialects/outline.rs`.
//!
//! What not every dialect can carry is noted here and nowhere else, so that the choice of a target and the
//! translation cannot disagree.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::ClientDialect;
use super::super::feature::Feature;
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::prefix::{Lane, Trail};
use super::super::read::{self, Kind, Object, Raw};
use super::thought::{feature, read_details};
use crate::chat::RequestError;

/// OpenAI's own limit for `n`.
const CHOICES_MAX: u32 = 128;

pub(in super::super) fn outline(body: &[u8]) -> Result<Outline, RequestError> {
    let mut reader = ChatReader::default();
    reader.outline.choices = 1;
    let scanned = scan(body, &mut reader)?;
    let mut outline = reader.outline.with(scanned)?;
    outline.prefix = reader
        .trail
        .finish(ClientDialect::OpenaiChat, outline.prompt_millitokens());
    Ok(outline)
}

#[derive(Default)]
struct ChatReader {
    outline: Outline,
    trail: Trail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamOptions<'a> {
    #[serde(borrow)]
    include_usage: Option<Raw<'a>>,
}

/// A part of a message, a tool, a choice, a format: things with a `type`, in either of OpenAI's dialects.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Option<Raw<'a>>,
    #[serde(borrow)]
    pub function: Option<Raw<'a>>,
    #[serde(borrow)]
    pub text: Option<Raw<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Raw<'a>>,
    #[serde(borrow)]
    pub input_audio: Option<Raw<'a>>,
    #[serde(borrow)]
    pub image_url: Option<Raw<'a>>,
    #[serde(borrow)]
    pub file_id: Option<Raw<'a>>,
    #[serde(borrow)]
    pub format: Option<Raw<'a>>,
    #[serde(borrow)]
    pub file: Option<Raw<'a>>,
    #[serde(borrow)]
    pub file_data: Option<Raw<'a>>,
    #[serde(borrow)]
    pub file_url: Option<Raw<'a>>,
    #[serde(borrow)]
    pub filename: Option<Raw<'a>>,
    #[serde(borrow)]
    pub detail: Option<Raw<'a>>,
    #[serde(borrow)]
    pub annotations: Option<Raw<'a>>,
    #[serde(borrow)]
    pub verbosity: Option<Raw<'a>>,
    #[serde(borrow)]
    pub cache_control: Option<Raw<'a>>,
    #[serde(borrow)]
    pub extra_content: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputAudio<'a> {
    #[serde(borrow)]
    data: Option<Raw<'a>>,
    #[serde(borrow)]
    format: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: Option<Raw<'a>>,
}

impl<'a> Reader<'a> for ChatReader {
    fn keys(&self) -> &'static [&'static str] {
        &[
            "model",
            "stream",
            "stream_options",
            "n",
            "max_tokens",
            "max_completion_tokens",
            "tools",
            "tool_choice",
            "response_format",
            "user",
            "safety_identifier",
            "stop",
            "temperature",
            "top_p",
            "parallel_tool_calls",
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "modalities",
            "audio",
            "prediction",
            "web_search_options",
            "moderation",
            "functions",
            "function_call",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "top_k",
            "reasoning_effort",
            "reasoning",
            "verbosity",
            "prompt_cache_key",
            "service_tier",
            "metadata",
        ]
    }

    fn field(&mut self, key: &str, raw: Raw<'a>) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        let outline = &mut self.outline;
        match key {
            "model" => {
                outline.model = read::text(raw, at)?.into_owned();
                if outline.model.is_empty() {
                    return Err(read::invalid(at, "a name, not an empty string"));
                }
            }
            "stream" => outline.is_streaming = read::flag(raw, at)?,
            "stream_options" => {
                let options: StreamOptions = read::object(raw, at, "an object")?;
                let usage = options.include_usage;
                outline.wants_stream_usage = usage.is_some_and(|usage| usage.get() == "true");
            }
            "n" => {
                outline.choices = read::value(raw, at, "a whole number from 1 to 128")?;
                if !(1..=CHOICES_MAX).contains(&outline.choices) {
                    return Err(read::invalid(at, "a whole number from 1 to 128"));
                }
                if outline.choices > 1 {
                    outline.ask(Feature::SeveralChoices, at);
                }
            }
            "max_tokens" => {
                let tokens = read::tokens(raw, at)?;
                outline.answer_tokens_max.get_or_insert(tokens);
            }
            // The newer name of the two wins, whichever comes first.
            "max_completion_tokens" => outline.answer_tokens_max = Some(read::tokens(raw, at)?),
            "tools" => self.tools(raw)?,
            "response_format" => self.format(raw)?,
            "user" => {
                outline.ask(Feature::EndUser, at);
                outline.user = Some(read::text(raw, at)?.into_owned());
            }
            "safety_identifier" => {
                outline.ask(Feature::EndUser, at);
                let user = read::text(raw, at)?;
                outline.user.get_or_insert_with(|| user.into_owned());
            }
            _ => self.asked_field(key, raw)?,
        }
        Ok(())
    }

    fn message(&mut self, index: usize, message: &Message<'a>) -> Result<(), RequestError> {
        let at = format_args!("messages[{index}].role");
        let Some(role) = message.role else {
            return Err(read::missing(at, "it says who speaks, for example `user`"));
        };
        let role = read::text(role, at)?;
        match &*role {
            "system" | "developer" | "user" | "assistant" | "tool" => {}
            // Superseded by `tool`, which names its call; this one only names its function.
            "function" => self.outline.ask(Feature::ProviderOnly, at),
            _ => {
                return Err(read::invalid(
                    at,
                    "one of system, developer, user, assistant, tool",
                ));
            }
        }
        let before = self.outline.prompt_millitokens();
        let outline = &mut self.outline;
        outline.message_count = outline.message_count.saturating_add(1);
        outline.last_role_is_assistant = role == "assistant";
        for (field, name, feature) in [
            (
                message.function_call,
                "function_call",
                Feature::ProviderOnly,
            ),
            (message.audio, "audio", Feature::Stored),
            (message.name, "name", Feature::Names),
            (message.reasoning, "reasoning", Feature::Reasoning),
            (
                message.reasoning_content,
                "reasoning_content",
                Feature::Reasoning,
            ),
        ] {
            if field.is_some() {
                outline.ask(feature, format_args!("messages[{index}].{name}"));
            }
        }
        if let Some(details) = message.reasoning_details {
            note_details(outline, details, index);
        }
        if role == "tool" && message.tool_call_id.is_none() {
            return Err(read::missing(
                format_args!("messages[{index}].tool_call_id"),
                "it names the call that this is the result of",
            ));
        }
        self.content(index, &role, message)?;
        if let Some(calls) = message.tool_calls {
            self.calls(index, calls)?;
        }
        self.trail.begin(Lane::Messages);
        self.trail.feed(&role);
        for piece in [message.content, message.tool_calls, message.tool_call_id] {
            self.trail.feed(piece.map_or("", RawValue::get));
        }
        let millitokens = self.outline.prompt_millitokens() - before;
        let is_instruction = matches!(&*role, "system" | "developer");
        self.trail.turn(is_instruction, millitokens);
        Ok(())
    }
}

impl ChatReader {
    fn content(&mut self, index: usize, role: &str, message: &Message) -> Result<(), RequestError> {
        let at = format_args!("messages[{index}].content");
        match message.content {
            // An assistant that called tools, or refused, has said nothing.
            None if role == "assistant" || role == "function" => Ok(()),
            None => Err(read::missing(at, "it holds what is said")),
            Some(raw) => match read::kind(raw) {
                Kind::Text => {
                    self.outline.text.push_string(raw);
                    Ok(())
                }
                Kind::Array => read::each(raw, at, &mut |part, raw| {
                    self.part(format_args!("messages[{index}].content[{part}]"), raw)
                }),
                _ => Err(read::invalid(at, "a string or an array of parts")),
            },
        }
    }

    fn part(&mut self, at: std::fmt::Arguments, raw: Raw) -> Result<(), RequestError> {
        let part: Typed = read::object(raw, at, "an object with `type`")?;
        let Some(kind) = part.kind else {
            return Err(read::missing(
                format_args!("{at}.type"),
                "it says what the part is, for example `text`",
            ));
        };
        let kind = read::text(kind, format_args!("{at}.type"))?;
        match &*kind {
            "text" | "refusal" => match part.text.or(part.refusal) {
                Some(text) if read::kind(text) == Kind::Text => self.outline.text.push_string(text),
                _ => return Err(read::invalid(format_args!("{at}.{kind}"), "a string")),
            },
            "image_url" => {
                self.outline.image_count = self.outline.image_count.saturating_add(1);
                if part.image_url.is_some_and(has_detail) {
                    let at = format_args!("{at}.image_url.detail");
                    self.outline.ask(Feature::ImageDetail, at);
                }
            }
            // Named by its type where we know that, since the path alone tells a reader little.
            "input_audio" => {
                let at = format_args!("{at}.input_audio");
                self.outline.ask(Feature::AudioIn, at);
                self.audio(part.input_audio);
            }
            "file" => {
                let at = format_args!("{at}.file");
                let file = part.file.map(|file| read::object(file, at, "an object"));
                note_file(
                    &mut self.outline,
                    &file.transpose()?.unwrap_or_default(),
                    at,
                );
            }
            _ => self.outline.ask(Feature::NewContent, at),
        }
        self.mark(&part, at);
        Ok(())
    }

    /// As OpenRouter's clients mark what Anthropic shall cache.
    fn mark(&mut self, part: &Typed, at: fmt::Arguments) {
        let is_marked = |control| read::kind(control) != Kind::Null;
        if part.cache_control.is_some_and(is_marked) {
            self.trail.mark();
            let at = format_args!("{at}.cache_control");
            self.outline.ask(Feature::CacheMarkers, at);
        }
    }

    /// What of it is no audio, its provider refuses.
    fn audio(&mut self, audio: Option<Raw>) {
        let audio =
            audio.and_then(|raw| serde_json::from_str::<Object<InputAudio>>(raw.get()).ok());
        let Some(Object(InputAudio { data, format })) = audio else {
            return;
        };
        let is_compressed = format.is_some_and(|format| format.get() != "\"wav\"");
        let length = data.map_or(0, |data| read::inside(data).len());
        self.outline.audio(length, is_compressed);
    }

    fn calls(&mut self, index: usize, calls: Raw) -> Result<(), RequestError> {
        let at = format_args!("messages[{index}].tool_calls");
        read::each(calls, at, &mut |call, raw| {
            let at = format_args!("messages[{index}].tool_calls[{call}]");
            let call: Typed = read::object(raw, at, "an object with `id` and `function`")?;
            if call.kind.is_some_and(|kind| kind.get() != "\"function\"") {
                self.outline.ask(Feature::ProviderTools, at);
            }
            if call.extra_content.is_some() {
                let at = format_args!("{at}.extra_content");
                self.outline.ask(Feature::GoogleReasoning, at);
            }
            if let Some(function) = call.function {
                let function: Function =
                    read::object(function, format_args!("{at}.function"), "an object")?;
                if let Some(arguments) = function.arguments {
                    self.outline.text.push_string(arguments);
                }
            }
            Ok(())
        })
    }

    fn tools(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Tools);
        self.trail.feed(raw.get());
        read::each(raw, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            let tool: Typed = read::object(raw, at, "an object with `type` and `function`")?;
            if tool.kind.is_none_or(|kind| kind.get() != "\"function\"") {
                self.outline.ask(Feature::ProviderTools, at);
            }
            self.mark(&tool, at);
            if let Some(function) = tool.function {
                note_strict(&mut self.outline, function, format_args!("{at}.function"));
            }
            self.outline.tool_count = self.outline.tool_count.saturating_add(1);
            self.outline.text.push_json(raw);
            Ok(())
        })
    }

    fn format(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Format);
        self.trail.feed(raw.get());
        note_format(&mut self.outline, raw, format_args!("response_format"))
    }

    /// Fields of which some values are beyond some dialects.
    fn asked_field(&mut self, key: &str, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        match key {
            "stop" => return self.stop(raw),
            "tool_choice" => note_tool_choice(&mut self.outline, raw, at)?,
            "temperature" => note_temperature(&mut self.outline, raw)?,
            "top_p" => note_top_p(&mut self.outline, raw)?,
            "parallel_tool_calls" => {
                read::flag(raw, at)?;
            }
            "modalities" if raw.get().replace(char::is_whitespace, "") == "[\"text\"]" => {}
            // Switched off, or empty. Empty options of a web search do switch it on.
            "logprobs" | "top_logprobs" if matches!(raw.get(), "false" | "0") => {}
            "logit_bias" | "functions" if matches!(raw.get(), "{}" | "[]") => {}
            "logprobs" | "top_logprobs" => self.outline.ask(Feature::Logprobs, at),
            "logit_bias" => self.outline.ask(Feature::LogitBias, at),
            "modalities" | "audio" => self.outline.ask(Feature::AudioOut, at),
            "web_search_options" => self.outline.ask(Feature::ProviderTools, at),
            "prediction" | "moderation" | "functions" | "function_call" => {
                self.outline.ask(Feature::ProviderOnly, at);
            }
            _ => note_setting(&mut self.outline, key, raw),
        }
        Ok(())
    }

    /// To leave one out would let the answer run on.
    fn stop(&mut self, raw: Raw) -> Result<(), RequestError> {
        let mut one = |raw, at: fmt::Arguments| {
            let is_blank = read::text(raw, at)?.trim().is_empty();
            self.outline.ask(Feature::Stop, at);
            if is_blank {
                self.outline.ask(Feature::BlankStop, at);
            }
            Ok(())
        };
        if read::kind(raw) == Kind::Text {
            return one(raw, format_args!("stop"));
        }
        read::each(raw, format_args!("stop"), &mut |index, raw| {
            one(raw, format_args!("stop[{index}]"))
        })
    }
}

/// The settings that OpenAI's two dialects call alike, and what compatible providers added.
pub(in super::super) fn note_setting(outline: &mut Outline, key: &str, raw: Raw) {
    let is_default = matches!(raw.get(), "0" | "0.0" | "{}" | "\"auto\"");
    let feature = match key {
        "seed" => Feature::Seed,
        "frequency_penalty" if !is_default => Feature::FrequencyPenalty,
        "presence_penalty" if !is_default => Feature::PresencePenalty,
        "top_k" => Feature::TopK,
        "reasoning_effort" | "reasoning" if !is_default => Feature::ReasoningEffort,
        "verbosity" => Feature::Verbosity,
        "prompt_cache_key" => Feature::CacheKey,
        "service_tier" if !is_default => Feature::ServiceTier,
        "metadata" if !is_default => Feature::Metadata,
        _ => return,
    };
    outline.ask(feature, format_args!("{key}"));
}

pub(in super::super) fn note_temperature(
    outline: &mut Outline,
    raw: Raw,
) -> Result<(), RequestError> {
    let at = format_args!("temperature");
    let temperature = read::number(raw, at)?;
    outline.sample(temperature, at, format_args!("top_p"));
    if temperature > 1.0 {
        outline.ask(Feature::HighTemperature, at);
    }
    Ok(())
}

pub(in super::super) fn note_top_p(outline: &mut Outline, raw: Raw) -> Result<(), RequestError> {
    let at = format_args!("top_p");
    let top_p = read::number(raw, at)?;
    outline.sample(top_p, at, at);
    Ok(())
}

/// A document, as either of OpenAI's dialects has it.
pub(in super::super) fn note_file(outline: &mut Outline, file: &Typed, at: fmt::Arguments) {
    let feature = match (file.file_id, file.file_data, file.file_url) {
        (Some(_), ..) => Feature::Stored,
        (_, Some(data), _) if data.get().starts_with("\"data:application/pdf;") => {
            Feature::DocumentPdf
        }
        (_, Some(data), _) if data.get().starts_with("\"http") => Feature::DocumentUrl,
        (_, Some(_), _) => Feature::DocumentOther,
        (_, _, Some(_)) => Feature::DocumentUrl,
        _ => Feature::NewContent,
    };
    outline.ask(feature, at);
}

/// Tools are long and few are strict: what does not hold the word is not read.
pub(in super::super) fn note_strict(outline: &mut Outline, function: Raw, at: fmt::Arguments) {
    #[derive(Deserialize)]
    struct Strict {
        strict: Option<bool>,
    }
    if function.get().contains("\"strict\"")
        && let Ok(Strict { strict: Some(true) }) = serde_json::from_str(function.get())
    {
        outline.ask(Feature::StrictTools, format_args!("{at}.strict"));
    }
}

/// Whether an `image_url` has a `detail` other than the default. A data URL may have megabytes and is not searched:
/// the key stands before it or behind it.
fn has_detail(image: Raw) -> bool {
    const SEARCHED_BYTES: usize = 128;
    let bytes = image.get().as_bytes();
    let start = bytes.get(..SEARCHED_BYTES).unwrap_or(bytes);
    let end = bytes.len().saturating_sub(SEARCHED_BYTES);
    let end = bytes.get(end..).unwrap_or_default();
    let is_there = |part: &[u8]| part.windows(8).any(|window| window == b"\"detail\"");
    if !is_there(start) && !is_there(end) {
        return false;
    }
    let image: Option<Object<Typed>> = serde_json::from_str(image.get()).ok();
    let detail = image.and_then(|image| image.0.detail);
    detail.is_some_and(|detail| !matches!(detail.get(), "\"auto\"" | "null"))
}

/// What was thought in a former turn, as OpenRouter's clients give it back: each piece names whose it is.
fn note_details(outline: &mut Outline, details: Raw, index: usize) {
    let at = format_args!("messages[{index}].reasoning_details");
    for thought in read_details(details) {
        outline.ask(feature(&thought), at);
    }
}

/// Notes which form of answer is asked for.
pub(in super::super) fn note_format(
    outline: &mut Outline,
    raw: Raw,
    at: fmt::Arguments,
) -> Result<(), RequestError> {
    let format: Typed = read::object(raw, at, "an object with `type`")?;
    match format.kind.map(RawValue::get) {
        Some("\"text\"") => {}
        Some("\"json_object\"") => {
            outline.wants_json_object = true;
            outline.ask(Feature::JsonMode, at);
        }
        Some("\"json_schema\"") => outline.wants_json_schema = true,
        Some(_) => outline.ask(Feature::ProviderOnly, at),
        None => {
            return Err(read::missing(
                format_args!("{at}.type"),
                "it is one of text, json_object, json_schema",
            ));
        }
    }
    Ok(())
}

/// Other dialects know three words and the name of a function.
pub(in super::super) fn note_tool_choice(
    outline: &mut Outline,
    raw: Raw,
    at: fmt::Arguments,
) -> Result<(), RequestError> {
    let is_name = matches!(raw.get(), "\"auto\"" | "\"none\"" | "\"required\"");
    let choice: Typed = match read::kind(raw) {
        Kind::Object => read::object(raw, at, "an object")?,
        _ => Typed::default(),
    };
    let is_function = choice.kind.is_some_and(|kind| kind.get() == "\"function\"");
    if is_function || raw.get() == "\"required\"" {
        outline.ask(Feature::ForcedCall, at);
    } else if !is_name {
        outline.ask(Feature::ProviderOnly, at);
    }
    Ok(())
}
