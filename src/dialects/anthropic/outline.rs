//! What one pass over a messages request tells; see `dialects/outline.rs`.
//!
//! Fields that another dialect could not carry are named here and nowhere else. What is dropped instead is
//! listed in `request.rs`.

use std::fmt;

use serde::Deserialize;

use super::super::ClientDialect;
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::prefix::{Lane, Trail};
use super::super::read::{self, Kind, Raw};
use crate::chat::RequestError;

/// How many stop texts OpenAI takes.
const OPENAI_STOPS_MAX: usize = 4;

pub(in super::super) fn outline(body: &[u8]) -> Result<Outline, RequestError> {
    let outline = outline_of_count(body)?;
    if outline.answer_tokens_max.is_none() {
        return Err(read::missing(
            format_args!("max_tokens"),
            "it is the longest answer you accept, in tokens",
        ));
    }
    Ok(outline)
}

/// The same of a prompt that is to be counted, not answered.
pub(in super::super) fn outline_of_count(body: &[u8]) -> Result<Outline, RequestError> {
    let mut reader = MessagesReader::default();
    reader.outline.choices = 1;
    // Every stream of this dialect tells usage.
    reader.outline.wants_stream_usage = true;
    let scanned = scan(body, &mut reader)?;
    let mut outline = reader.outline.with(scanned)?;
    outline.prefix = reader
        .trail
        .finish(ClientDialect::Anthropic, outline.prompt_millitokens());
    Ok(outline)
}

#[derive(Default)]
struct MessagesReader {
    outline: Outline,
    trail: Trail,
}

/// A content block, a tool, a tool choice, a format: things with a `type`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Raw<'a>>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
    #[serde(borrow)]
    source: Option<Raw<'a>>,
    #[serde(borrow)]
    input: Option<Raw<'a>>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputConfig<'a> {
    #[serde(borrow)]
    format: Option<Raw<'a>>,
}

impl<'a> Reader<'a> for MessagesReader {
    fn keys(&self) -> &'static [&'static str] {
        &[
            "model",
            "stream",
            "max_tokens",
            "cache_control",
            "system",
            "tools",
            "tool_choice",
            "output_config",
            "metadata",
            "stop_sequences",
            "temperature",
            "top_p",
            "container",
            "context_management",
            "mcp_servers",
            "inference_geo",
        ]
    }

    fn field(&mut self, key: &str, raw: Raw<'a>) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        match key {
            "model" => {
                self.outline.model = read::text(raw, at)?.into_owned();
                if self.outline.model.is_empty() {
                    return Err(read::invalid(at, "a name, not an empty string"));
                }
            }
            "stream" => self.outline.is_streaming = read::flag(raw, at)?,
            "max_tokens" => self.outline.answer_tokens_max = Some(read::tokens(raw, at)?),
            "cache_control" => self.trail.mark(),
            "system" => {
                self.trail.begin(Lane::System);
                self.blocks(raw, at)?;
            }
            "tools" => self.tools(raw)?,
            "output_config" => self.output_config(raw)?,
            "metadata" => {
                let metadata: Metadata = read::object(raw, at, "an object")?;
                if let Some(user) = metadata.user_id {
                    let user = read::text(user, format_args!("metadata.user_id"))?;
                    self.outline.user = Some(user.into_owned());
                }
            }
            "stop_sequences" => read::each(raw, at, &mut |index, raw| {
                let at = format_args!("stop_sequences[{index}]");
                read::text(raw, at)?;
                if index == OPENAI_STOPS_MAX {
                    self.outline.unportable(at);
                }
                Ok(())
            })?,
            "tool_choice" => {
                read::object::<Typed>(raw, at, "an object with `type`")?;
            }
            "temperature" | "top_p" => {
                read::number(raw, at)?;
            }
            "mcp_servers" if raw.get() == "[]" => {}
            _ => self.outline.unportable(at),
        }
        Ok(())
    }

    fn message(&mut self, index: usize, message: &Message<'a>) -> Result<(), RequestError> {
        let at = format_args!("messages[{index}].role");
        let Some(role) = message.role else {
            return Err(read::missing(at, "it is `user` or `assistant`"));
        };
        let role = read::text(role, at)?;
        // Newer models also take instructions between the turns.
        if !matches!(&*role, "user" | "assistant" | "system") {
            return Err(read::invalid(at, "one of user, assistant, system"));
        }
        let before = self.outline.prompt_millitokens();
        self.outline.message_count = self.outline.message_count.saturating_add(1);
        self.outline.last_role_is_assistant = role == "assistant";
        let at = format_args!("messages[{index}].content");
        let Some(content) = message.content else {
            return Err(read::missing(at, "it holds what is said"));
        };
        self.trail.begin(Lane::Messages);
        self.trail.feed(&role);
        self.blocks(content, at)?;
        let millitokens = self.outline.prompt_millitokens() - before;
        self.trail.turn(role == "system", millitokens);
        Ok(())
    }
}

impl MessagesReader {
    /// A string, or an array of content blocks.
    fn blocks(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        match read::kind(raw) {
            Kind::Text => {
                // The same as a block of text.
                self.trail.feed("\"text\"");
                self.trail.feed(raw.get());
                self.outline.text.push_string(raw);
                Ok(())
            }
            Kind::Array => read::each(raw, at, &mut |index, raw| {
                self.block(raw, format_args!("{at}[{index}]"))
            }),
            _ => Err(read::invalid(at, "a string or an array of content blocks")),
        }
    }

    fn block(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        let block: Typed = read::object(raw, at, "an object with `type`")?;
        let Some(kind) = block.kind else {
            return Err(read::missing(
                format_args!("{at}.type"),
                "it says what the block is, for example `text`",
            ));
        };
        self.trail.feed(kind.get());
        self.mark(&block);
        // All but `cache_control`, which clients move from turn to turn.
        for piece in [block.text, block.source, block.input].iter().flatten() {
            self.trail.feed(piece.get());
        }
        match &*read::text(kind, format_args!("{at}.type"))? {
            "text" => match block.text {
                Some(text) if read::kind(text) == Kind::Text => self.outline.text.push_string(text),
                _ => return Err(read::invalid(format_args!("{at}.text"), "a string")),
            },
            "image" => {
                self.outline.image_count = self.outline.image_count.saturating_add(1);
                let at = format_args!("{at}.source");
                let source: Typed = match block.source {
                    Some(source) => read::object(source, at, "an object with `type`")?,
                    None => return Err(read::missing(at, "it holds the image")),
                };
                let kind = source.kind.map(serde_json::value::RawValue::get);
                if !matches!(kind, Some("\"base64\"" | "\"url\"")) {
                    self.outline.unportable(at);
                }
            }
            "tool_use" => {
                if let Some(input) = block.input {
                    self.outline.text.push_json(input);
                }
            }
            "tool_result" => {
                if let Some(content) = block.content {
                    self.blocks(content, format_args!("{at}.content"))?;
                }
            }
            "thinking" | "redacted_thinking" => self.trail.feed(raw.get()),
            _ => {
                self.trail.feed(raw.get());
                self.outline.unportable(at);
            }
        }
        Ok(())
    }

    fn tools(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Tools);
        self.trail.feed(raw.get());
        read::each(raw, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            let tool: Typed = read::object(raw, at, "an object with `name`")?;
            // The others run at Anthropic.
            if tool.kind.is_some_and(|kind| kind.get() != "\"custom\"") {
                self.outline.unportable(at);
            }
            self.mark(&tool);
            self.outline.tool_count = self.outline.tool_count.saturating_add(1);
            self.outline.text.push_json(raw);
            Ok(())
        })
    }

    fn mark(&mut self, part: &Typed) {
        if part
            .cache_control
            .is_some_and(|control| read::kind(control) != Kind::Null)
        {
            self.trail.mark();
        }
    }

    fn output_config(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Format);
        self.trail.feed(raw.get());
        let config: OutputConfig = read::object(raw, format_args!("output_config"), "an object")?;
        let Some(format) = config.format else {
            return Ok(());
        };
        let at = format_args!("output_config.format");
        let format: Typed = read::object(format, at, "an object with `type` and `schema`")?;
        if format
            .kind
            .is_some_and(|kind| kind.get() == "\"json_schema\"")
        {
            self.outline.wants_json_schema = true;
        } else {
            self.outline.unportable(at);
        }
        Ok(())
    }
}
