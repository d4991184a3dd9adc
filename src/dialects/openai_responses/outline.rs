//! What one pass over a request to the Responses API tells; see `dialects/outline.rs`.
//!
//! What not every dialect can carry is noted here and nowhere else.
//!
//! An answer in the `background` is refused whatever the target speaks: it is fetched later, by its id, and the
//! router has no such path.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::ClientDialect;
use super::super::feature::Feature;
use super::super::openai_chat::{
    Typed, note_file, note_format, note_setting, note_strict, note_temperature, note_tool_choice,
    note_top_p,
};
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::prefix::{Lane, Trail};
use super::super::read::{self, Kind, Raw};
use crate::chat::RequestError;

pub(in super::super) fn outline(body: &[u8]) -> Result<Outline, RequestError> {
    let mut reader = ResponsesReader::default();
    reader.outline.choices = 1;
    // Every stream of this dialect tells usage.
    reader.outline.wants_stream_usage = true;
    let scanned = scan(body, &mut reader)?;
    let mut outline = reader.outline.with(scanned)?;
    // What OpenAI keeps may stand for the input.
    if outline.message_count == 0 && !outline.asks.has(Feature::Stored) {
        return Err(read::missing(
            format_args!("input"),
            "it is what is asked, a string or an array of items",
        ));
    }
    outline.prefix = reader
        .trail
        .finish(ClientDialect::OpenaiResponses, outline.prompt_millitokens());
    Ok(outline)
}

#[derive(Default)]
struct ResponsesReader {
    outline: Outline,
    trail: Trail,
}

/// An item of the input. What has no `type` is a message.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Option<Raw<'a>>,
    #[serde(borrow)]
    pub role: Option<Raw<'a>>,
    #[serde(borrow)]
    pub content: Option<Raw<'a>>,
    #[serde(borrow)]
    pub call_id: Option<Raw<'a>>,
    #[serde(borrow)]
    pub name: Option<Raw<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Raw<'a>>,
    #[serde(borrow)]
    pub output: Option<Raw<'a>>,
    #[serde(borrow)]
    pub encrypted_content: Option<Raw<'a>>,
    #[serde(borrow)]
    pub summary: Option<Raw<'a>>,
    #[serde(borrow)]
    pub id: Option<Raw<'a>>,
}

impl<'a> Item<'a> {
    pub fn read(raw: Raw<'a>, at: fmt::Arguments) -> Result<Self, RequestError> {
        let expected = "an object with `role` and `content`, or with `type`; no key twice";
        read::object(raw, at, expected)
    }

    /// What it is.
    pub fn kind(&self, at: fmt::Arguments) -> Result<Cow<'a, str>, RequestError> {
        match self.kind {
            Some(kind) => read::text(kind, format_args!("{at}.type")),
            None => Ok("message".into()),
        }
    }
}

impl<'a> Reader<'a> for ResponsesReader {
    fn has_messages(&self) -> bool {
        false
    }

    fn keys(&self) -> &'static [&'static str] {
        &[
            "model",
            "stream",
            "stream_options",
            "input",
            "instructions",
            "max_output_tokens",
            "tools",
            "tool_choice",
            "text",
            "user",
            "safety_identifier",
            "temperature",
            "top_p",
            "parallel_tool_calls",
            "top_logprobs",
            "include",
            "store",
            "background",
            "previous_response_id",
            "conversation",
            "prompt",
            "moderation",
            "reasoning",
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
            "input" => self.input(raw)?,
            "instructions" => {
                read::text(raw, at)?;
                outline.text.push_string(raw);
                self.trail.begin(Lane::System);
                self.trail.feed(raw.get());
            }
            "max_output_tokens" => outline.answer_tokens_max = Some(read::tokens(raw, at)?),
            "tools" => self.tools(raw)?,
            "text" => self.format(raw)?,
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

    /// This dialect has none.
    fn message(&mut self, _: usize, _: &Message<'a>) -> Result<(), RequestError> {
        Ok(())
    }
}

impl ResponsesReader {
    fn input(&mut self, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("input");
        let expected = "a string, or an array with at least one item";
        match read::kind(raw) {
            Kind::Text => {
                let before = self.outline.prompt_millitokens();
                self.outline.message_count = 1;
                self.outline.text.push_string(raw);
                self.turn("user", [Some(raw), None], before);
                Ok(())
            }
            Kind::Array => {
                read::each(raw, at, &mut |index, raw| self.item(index, raw))?;
                if self.outline.message_count == 0 {
                    return Err(read::invalid(at, expected));
                }
                Ok(())
            }
            _ => Err(read::invalid(at, expected)),
        }
    }

    fn item(&mut self, index: usize, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("input[{index}]");
        let item = Item::read(raw, at)?;
        let before = self.outline.prompt_millitokens();
        self.outline.message_count = self.outline.message_count.saturating_add(1);
        self.outline.last_role_is_assistant = false;
        let kind = item.kind(at)?;
        match &*kind {
            "message" => return self.message_item(index, &item, before),
            "function_call" => {
                call_id(&item, at)?;
                if let Some(arguments) = item.arguments {
                    self.outline.text.push_string(arguments);
                }
            }
            "function_call_output" => {
                call_id(&item, at)?;
                let at = format_args!("{at}.output");
                match item.output {
                    Some(output) => self.content(output, at)?,
                    None => return Err(read::missing(at, "it holds what the function returned")),
                }
            }
            "reasoning" => {
                let sealed = item.encrypted_content;
                let is_sealed = sealed.is_some_and(|sealed| read::kind(sealed) == Kind::Text);
                let feature = if is_sealed {
                    Feature::OpenaiReasoning
                } else {
                    Feature::Reasoning
                };
                self.outline.ask(feature, at);
            }
            "item_reference" => {
                let at = format_args!("{at}.type");
                self.outline.ask(Feature::Stored, at);
            }
            _ => {
                let at = format_args!("{at}.type");
                self.outline.ask(Feature::NewContent, at);
            }
        }
        self.turn(&kind, [Some(raw), None], before);
        Ok(())
    }

    fn message_item(&mut self, index: usize, item: &Item, before: u64) -> Result<(), RequestError> {
        let at = format_args!("input[{index}].role");
        let Some(role) = item.role else {
            return Err(read::missing(at, "it says who speaks, for example `user`"));
        };
        let role = read::text(role, at)?;
        if !matches!(&*role, "system" | "developer" | "user" | "assistant") {
            let expected = "one of system, developer, user, assistant";
            return Err(read::invalid(at, expected));
        }
        let at = format_args!("input[{index}].content");
        let Some(content) = item.content else {
            return Err(read::missing(at, "it holds what is said"));
        };
        self.outline.last_role_is_assistant = role == "assistant";
        self.content(content, at)?;
        self.turn(&role, [Some(content), item.call_id], before);
        Ok(())
    }

    /// An item has ended. A string as the whole input is the message that it stands for.
    fn turn(&mut self, role: &str, pieces: [Option<Raw>; 2], before: u64) {
        self.trail.begin(Lane::Messages);
        self.trail.feed(role);
        for piece in pieces {
            self.trail.feed(piece.map_or("", RawValue::get));
        }
        let millitokens = self.outline.prompt_millitokens() - before;
        let is_instruction = matches!(role, "system" | "developer");
        self.trail.turn(is_instruction, millitokens);
    }

    /// A string, or an array of parts.
    fn content(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        match read::kind(raw) {
            Kind::Text => {
                self.outline.text.push_string(raw);
                Ok(())
            }
            Kind::Array => read::each(raw, at, &mut |part, raw| {
                self.part(format_args!("{at}[{part}]"), raw)
            }),
            _ => Err(read::invalid(at, "a string or an array of parts")),
        }
    }

    fn part(&mut self, at: fmt::Arguments, raw: Raw) -> Result<(), RequestError> {
        let part: Typed = read::object(raw, at, "an object with `type`")?;
        let Some(kind) = part.kind else {
            return Err(read::missing(
                format_args!("{at}.type"),
                "it says what the part is, for example `input_text`",
            ));
        };
        let kind = read::text(kind, format_args!("{at}.type"))?;
        match &*kind {
            "input_text" | "output_text" => {
                self.words(part.text, format_args!("{at}.text"))?;
                let is_some = |cited: &RawValue| !matches!(cited.get(), "null" | "[]");
                if part.annotations.is_some_and(is_some) {
                    let at = format_args!("{at}.annotations");
                    self.outline.ask(Feature::CitedText, at);
                }
            }
            "refusal" => self.words(part.refusal, format_args!("{at}.refusal"))?,
            "input_image" => {
                self.outline.image_count = self.outline.image_count.saturating_add(1);
                let is_other = |raw: &RawValue| !matches!(raw.get(), "\"auto\"" | "null");
                if part.detail.is_some_and(is_other) {
                    let at = format_args!("{at}.detail");
                    self.outline.ask(Feature::ImageDetail, at);
                }
                if part.file_id.is_some() {
                    let at = format_args!("{at}.file_id");
                    self.outline.ask(Feature::Stored, at);
                } else if part.image_url.is_none() {
                    let remedy = "it is an https URL, or a data URL";
                    return Err(read::missing(format_args!("{at}.image_url"), remedy));
                }
            }
            "input_file" => note_file(&mut self.outline, &part, at),
            _ => self.outline.ask(Feature::NewContent, at),
        }
        Ok(())
    }

    fn words(&mut self, raw: Option<Raw>, at: fmt::Arguments) -> Result<(), RequestError> {
        match raw {
            Some(text) if read::kind(text) == Kind::Text => {
                self.outline.text.push_string(text);
                Ok(())
            }
            _ => Err(read::invalid(at, "a string")),
        }
    }

    fn tools(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Tools);
        self.trail.feed(raw.get());
        read::each(raw, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            let tool: Typed = read::object(raw, at, "an object with `type` and `name`")?;
            // The others run at OpenAI, or have inputs that are no JSON.
            if tool.kind.is_none_or(|kind| kind.get() != "\"function\"") {
                self.outline.ask(Feature::ProviderTools, at);
            }
            note_strict(&mut self.outline, raw, at);
            self.outline.tool_count = self.outline.tool_count.saturating_add(1);
            self.outline.text.push_json(raw);
            Ok(())
        })
    }

    fn format(&mut self, raw: Raw) -> Result<(), RequestError> {
        let config: Typed = read::object(raw, format_args!("text"), "an object")?;
        if config.verbosity.is_some() {
            let at = format_args!("text.verbosity");
            self.outline.ask(Feature::Verbosity, at);
        }
        let Some(format) = config.format else {
            return Ok(());
        };
        self.trail.begin(Lane::Format);
        self.trail.feed(format.get());
        note_format(&mut self.outline, format, format_args!("text.format"))
    }

    /// Fields of which some values are beyond some dialects.
    fn asked_field(&mut self, key: &str, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        match key {
            "tool_choice" => note_tool_choice(&mut self.outline, raw, at)?,
            "temperature" => note_temperature(&mut self.outline, raw)?,
            "top_p" => note_top_p(&mut self.outline, raw)?,
            "parallel_tool_calls" => {
                read::flag(raw, at)?;
            }
            "background" => {
                if read::flag(raw, at)? {
                    let expected =
                        "false: the router has no path by which the answer could be fetched";
                    return Err(read::invalid(at, expected));
                }
            }
            "store" => {
                if read::flag(raw, at)? {
                    self.outline.ask(Feature::Stored, at);
                }
            }
            // The others of its values are about tools that are named already, or about reasoning.
            "include" => read::each(raw, at, &mut |index, raw| {
                if raw.get() == "\"message.output_text.logprobs\"" {
                    let at = format_args!("include[{index}]");
                    self.outline.ask(Feature::Logprobs, at);
                }
                Ok(())
            })?,
            "top_logprobs" if raw.get() == "0" => {}
            // How a stream is padded.
            "stream_options" => {}
            "top_logprobs" => self.outline.ask(Feature::Logprobs, at),
            "previous_response_id" | "conversation" | "prompt" => {
                self.outline.ask(Feature::Stored, at);
            }
            "moderation" => self.outline.ask(Feature::ProviderOnly, at),
            _ => note_setting(&mut self.outline, key, raw),
        }
        Ok(())
    }
}

fn call_id(item: &Item, at: fmt::Arguments) -> Result<(), RequestError> {
    let at = format_args!("{at}.call_id");
    match item.call_id {
        Some(id) => read::text(id, at).map(drop),
        None => Err(read::missing(at, "it names the call")),
    }
}
