//! What one pass over a chat completion request tells; see `dialects/outline.rs`.
//!
//! Fields that another dialect could not carry are named here and nowhere else, so that the choice of a target
//! and the translation cannot disagree. What is dropped instead is listed in `request.rs`.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::ClientDialect;
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::prefix::{Lane, Trail};
use super::super::read::{self, Kind, Object, Raw};
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
                    outline.unportable(at);
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
            "user" => outline.user = Some(read::text(raw, at)?.into_owned()),
            "safety_identifier" => {
                let user = read::text(raw, at)?;
                outline.user.get_or_insert_with(|| user.into_owned());
            }
            _ => self.unportable_field(key, raw)?,
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
            "function" => self.outline.unportable(at),
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
        if message.function_call.is_some() {
            outline.unportable(format_args!("messages[{index}].function_call"));
        }
        if message.audio.is_some() {
            outline.unportable(format_args!("messages[{index}].audio"));
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
            }
            // Named by its type where we know that, since the path alone tells a reader little.
            "input_audio" => {
                self.outline.unportable(format_args!("{at}.input_audio"));
                self.audio(part.input_audio);
            }
            "file" => self.outline.unportable(format_args!("{at}.{kind}")),
            _ => self.outline.unportable(at),
        }
        Ok(())
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
                self.outline.unportable(at);
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
                self.outline.unportable(at);
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

    /// Fields of which only some values are beyond other dialects.
    fn unportable_field(&mut self, key: &str, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        match key {
            "stop" => return self.stop(raw),
            "tool_choice" => note_tool_choice(&mut self.outline, raw, at)?,
            "temperature" | "top_p" => {
                read::number(raw, at)?;
            }
            "parallel_tool_calls" => {
                read::flag(raw, at)?;
            }
            "modalities" if raw.get().replace(char::is_whitespace, "") == "[\"text\"]" => {}
            // Switched off, or empty. Empty options of a web search do switch it on.
            "logprobs" | "top_logprobs" if matches!(raw.get(), "false" | "0") => {}
            "logit_bias" | "functions" if matches!(raw.get(), "{}" | "[]") => {}
            _ => self.outline.unportable(at),
        }
        Ok(())
    }

    /// Anthropic takes no stop text of white space alone, and to leave one out would let the answer run on.
    fn stop(&mut self, raw: Raw) -> Result<(), RequestError> {
        let outline = &mut self.outline;
        if read::kind(raw) == Kind::Text {
            if read::text(raw, format_args!("stop"))?.trim().is_empty() {
                outline.unportable(format_args!("stop"));
            }
            return Ok(());
        }
        read::each(raw, format_args!("stop"), &mut |index, raw| {
            let at = format_args!("stop[{index}]");
            if read::text(raw, at)?.trim().is_empty() {
                outline.unportable(at);
            }
            Ok(())
        })
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
            outline.unportable(at);
        }
        Some("\"json_schema\"") => outline.wants_json_schema = true,
        Some(_) => outline.unportable(at),
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
    if !is_name && !is_function {
        outline.unportable(at);
    }
    Ok(())
}
