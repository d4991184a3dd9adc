//! What one pass over a messages request tells; see `dialects/outline.rs`.
//!
//! What not every dialect can carry is noted here and nowhere else.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::ClientDialect;
use super::super::feature::Feature;
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::prefix::{Lane, Trail};
use super::super::read::{self, Kind, Raw};
use crate::chat::RequestError;

/// How many stop texts OpenAI takes; more are a feature of their own.
const STOPS_FEW: usize = 4;

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
    #[serde(borrow)]
    media_type: Option<Raw<'a>>,
    #[serde(borrow)]
    citations: Option<Raw<'a>>,
    #[serde(borrow)]
    context: Option<Raw<'a>>,
    #[serde(borrow)]
    signature: Option<Raw<'a>>,
    #[serde(borrow)]
    is_error: Option<Raw<'a>>,
    #[serde(borrow)]
    disable_parallel_tool_use: Option<Raw<'a>>,
    #[serde(borrow)]
    strict: Option<Raw<'a>>,
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
    #[serde(borrow)]
    effort: Option<Raw<'a>>,
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
            "top_k",
            "thinking",
            "service_tier",
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
            "cache_control" => {
                self.trail.mark();
                self.outline.ask(Feature::CacheMarkers, at);
            }
            "system" => {
                self.trail.begin(Lane::System);
                self.blocks(raw, at)?;
            }
            "tools" => self.tools(raw)?,
            "output_config" => self.output_config(raw)?,
            "metadata" => {
                let metadata: Metadata = read::object(raw, at, "an object")?;
                if let Some(user) = metadata.user_id {
                    let at = format_args!("metadata.user_id");
                    self.outline.ask(Feature::EndUser, at);
                    self.outline.user = Some(read::text(user, at)?.into_owned());
                }
            }
            "stop_sequences" => read::each(raw, at, &mut |index, raw| {
                let at = format_args!("stop_sequences[{index}]");
                read::text(raw, at)?;
                self.outline.ask(Feature::Stop, at);
                if index == STOPS_FEW {
                    self.outline.ask(Feature::ManyStops, at);
                }
                Ok(())
            })?,
            "tool_choice" => {
                let choice: Typed = read::object(raw, at, "an object with `type`")?;
                let is_forced = |kind: Raw| matches!(kind.get(), "\"any\"" | "\"tool\"");
                if choice.kind.is_some_and(is_forced) {
                    self.outline.ask(Feature::ForcedCall, at);
                }
            }
            "temperature" | "top_p" => {
                let value = read::number(raw, at)?;
                self.outline.sample(value, at, format_args!("top_p"));
            }
            "mcp_servers" if raw.get() == "[]" => {}
            "mcp_servers" => self.outline.ask(Feature::ProviderTools, at),
            "container" => self.outline.ask(Feature::Stored, at),
            "top_k" => self.outline.ask(Feature::TopK, at),
            "thinking" => self.outline.ask(Feature::ReasoningEffort, at),
            "context_management" => self.context_edits(raw)?,
            "service_tier" if raw.get() == "\"auto\"" => {}
            "service_tier" => self.outline.ask(Feature::ServiceTier, at),
            _ => self.outline.ask(Feature::ProviderOnly, at),
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
        self.mark(&block, at);
        // All but `cache_control`, which clients move from turn to turn.
        for piece in [block.text, block.source, block.input].iter().flatten() {
            self.trail.feed(piece.get());
        }
        match &*read::text(kind, format_args!("{at}.type"))? {
            "text" => match block.text {
                Some(text) if read::kind(text) == Kind::Text => {
                    self.outline.text.push_string(text);
                    self.cited(&block, at);
                }
                _ => return Err(read::invalid(format_args!("{at}.text"), "a string")),
            },
            "image" => {
                self.outline.image_count = self.outline.image_count.saturating_add(1);
                let at = format_args!("{at}.source");
                let source: Typed = match block.source {
                    Some(source) => read::object(source, at, "an object with `type`")?,
                    None => return Err(read::missing(at, "it holds the image")),
                };
                match source.kind.map(RawValue::get) {
                    Some("\"base64\"" | "\"url\"") => {}
                    Some("\"file\"") => self.outline.ask(Feature::Stored, at),
                    _ => self.outline.ask(Feature::NewContent, at),
                }
            }
            "document" => self.document(&block, at)?,
            "tool_use" => {
                if let Some(input) = block.input {
                    self.outline.text.push_json(input);
                }
            }
            "tool_result" => {
                if let Some(content) = block.content {
                    self.blocks(content, format_args!("{at}.content"))?;
                }
                if block.is_error.is_some_and(|flag| flag.get() == "true") {
                    let at = format_args!("{at}.is_error");
                    self.outline.ask(Feature::ToolErrors, at);
                }
            }
            "thinking" | "redacted_thinking" => {
                self.trail.feed(raw.get());
                // Without one it is not Anthropic's: we wrote it, for another dialect's thoughts.
                let is_signed = block.signature.is_none_or(|words| words.get() != "\"\"");
                self.outline.ask(
                    if is_signed {
                        Feature::AnthropicReasoning
                    } else {
                        Feature::Reasoning
                    },
                    at,
                );
            }
            _ => {
                self.trail.feed(raw.get());
                self.outline.ask(Feature::NewContent, at);
            }
        }
        Ok(())
    }

    fn document(&mut self, block: &Typed, at: fmt::Arguments) -> Result<(), RequestError> {
        let source_at = format_args!("{at}.source");
        let source: Typed = match block.source {
            Some(source) => read::object(source, source_at, "an object with `type`")?,
            None => return Err(read::missing(source_at, "it holds the document")),
        };
        let is_pdf = source
            .media_type
            .is_some_and(|kind| kind.get() == "\"application/pdf\"");
        let feature = match source.kind.map(RawValue::get) {
            Some("\"base64\"") if is_pdf => Feature::DocumentPdf,
            Some("\"base64\"") => Feature::DocumentOther,
            Some("\"text\"") => Feature::DocumentText,
            Some("\"url\"") => Feature::DocumentUrl,
            Some("\"file\"") => Feature::Stored,
            _ => Feature::NewContent,
        };
        self.outline.ask(feature, source_at);
        let is_said = |raw: &&RawValue| read::kind(raw) != Kind::Null;
        if block.context.as_ref().is_some_and(is_said) {
            let at = format_args!("{at}.context");
            self.outline.ask(Feature::ProviderOnly, at);
        }
        let wish = block.citations.filter(is_said);
        if wish.is_some_and(|wish| wish.get().contains("true")) {
            let at = format_args!("{at}.citations");
            self.outline.ask(Feature::Citations, at);
        }
        Ok(())
    }

    fn cited(&mut self, block: &Typed, at: fmt::Arguments) {
        let is_some = |cited: Raw| !matches!(cited.get(), "null" | "[]");
        if block.citations.is_some_and(is_some) {
            let at = format_args!("{at}.citations");
            self.outline.ask(Feature::CitedText, at);
        }
    }

    fn tools(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Tools);
        self.trail.feed(raw.get());
        read::each(raw, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            let tool: Typed = read::object(raw, at, "an object with `name`")?;
            // The others run at Anthropic.
            if tool.kind.is_some_and(|kind| kind.get() != "\"custom\"") {
                self.outline.ask(Feature::ProviderTools, at);
            }
            if tool.strict.is_some_and(|strict| strict.get() == "true") {
                let at = format_args!("{at}.strict");
                self.outline.ask(Feature::StrictTools, at);
            }
            self.mark(&tool, at);
            self.outline.tool_count = self.outline.tool_count.saturating_add(1);
            self.outline.text.push_json(raw);
            Ok(())
        })
    }

    /// Those that clear tools' results and thoughts spare tokens; another, as one that sums up, changes what is answered.
    fn context_edits(&mut self, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("context_management");
        let [edits] = read::fields(Some(raw), ["edits"]);
        let mut feature = Feature::ContextEdits;
        if let Some(edits) = edits {
            read::each(edits, format_args!("{at}.edits"), &mut |index, raw| {
                let at = format_args!("{at}.edits[{index}]");
                let edit: Typed = read::object(raw, at, "an object with `type`")?;
                let is_clearing = |kind: Raw| kind.get().starts_with("\"clear_");
                if !edit.kind.is_some_and(is_clearing) {
                    feature = Feature::ProviderOnly;
                }
                Ok(())
            })?;
        }
        self.outline.ask(feature, at);
        Ok(())
    }

    fn mark(&mut self, part: &Typed, at: fmt::Arguments) {
        if part
            .cache_control
            .is_some_and(|control| read::kind(control) != Kind::Null)
        {
            self.trail.mark();
            let at = format_args!("{at}.cache_control");
            self.outline.ask(Feature::CacheMarkers, at);
        }
    }

    fn output_config(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Format);
        self.trail.feed(raw.get());
        let config: OutputConfig = read::object(raw, format_args!("output_config"), "an object")?;
        if config.effort.is_some() {
            let at = format_args!("output_config.effort");
            self.outline.ask(Feature::ReasoningEffort, at);
        }
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
            self.outline.ask(Feature::ProviderOnly, at);
        }
        Ok(())
    }
}
