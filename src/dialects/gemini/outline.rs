//! What one pass over a Gemini request tells; see `dialects/outline.rs`.
//!
//! What not every dialect can carry is noted here and nowhere else.

use std::fmt;

use super::super::ClientDialect;
use super::super::feature::Feature;
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::prefix::{Lane, Trail};
use super::super::read::{self, Kind, Raw};
use super::generation::{Form, Generation, service_tier};
use super::media::{Media, MediaKind};
use super::request::result;
use super::wire::{
    Content, Function, Part, Role, ToolConfig, each_declaration, is_spelling, object,
};
use crate::chat::RequestError;

/// How many stop texts OpenAI takes; more are a feature of their own.
const STOPS_FEW: usize = 4;
/// Where Google keeps files that only its own models can read.
const GOOGLES_FILES: &str = "https://generativelanguage.googleapis.com/";

pub(in super::super) fn outline(body: &[u8]) -> Result<Outline, RequestError> {
    let mut reader = ContentsReader::default();
    reader.outline.choices = 1;
    // Every stream of this dialect tells usage.
    reader.outline.wants_stream_usage = true;
    let scanned = scan(body, &mut reader)?;
    let mut outline = reader.outline.with(scanned)?;
    if outline.message_count == 0 {
        return Err(read::missing(
            format_args!("contents"),
            "it holds the conversation, an array of objects with `role` and `parts`",
        ));
    }
    outline.prefix = reader
        .trail
        .finish(ClientDialect::Gemini, outline.prompt_millitokens());
    Ok(outline)
}

#[derive(Default)]
struct ContentsReader {
    outline: Outline,
    trail: Trail,
    /// The fields that have come, as they are called in camel case.
    seen: Vec<&'static str>,
}

/// What a field is called in camel case.
fn camel(key: &str) -> &'static str {
    let mut known = KEYS.iter().filter(|known| !known.contains('_'));
    known.find(|known| is_spelling(key, known)).unwrap_or(&"")
}

const KEYS: [&str; 22] = [
    "model",
    "stream",
    "contents",
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
    "generationConfig",
    "generation_config",
    "safetySettings",
    "safety_settings",
    "cachedContent",
    "cached_content",
    "modelArmorConfig",
    "model_armor_config",
    "continuationToken",
    "continuation_token",
    "store",
    "labels",
    "serviceTier",
    "service_tier",
];

impl<'a> Reader<'a> for ContentsReader {
    fn has_messages(&self) -> bool {
        false
    }

    fn keys(&self) -> &'static [&'static str] {
        &KEYS
    }

    fn field(&mut self, key: &str, raw: Raw<'a>) -> Result<(), RequestError> {
        let key = camel(key);
        let at = format_args!("{key}");
        if self.seen.contains(&key) {
            return Err(read::invalid(at, "one value, not two"));
        }
        self.seen.push(key);
        match key {
            "model" => {
                self.outline.model = read::text(raw, at)?.into_owned();
                if self.outline.model.is_empty() {
                    return Err(read::invalid(at, "a name, not an empty string"));
                }
            }
            "stream" => self.outline.is_streaming = read::flag(raw, at)?,
            "contents" => self.contents(raw)?,
            "systemInstruction" => {
                self.trail.begin(Lane::System);
                let content = Content::read(raw, at)?;
                self.trail
                    .feed(content.parts.map_or("", |parts| parts.get()));
                self.parts(&content, at)?;
            }
            "tools" => self.tools(raw)?,
            "toolConfig" => self.tool_config(raw)?,
            "generationConfig" => self.generation(raw)?,
            "safetySettings" => self.safety(raw)?,
            "labels" if raw.get() != "{}" => self.outline.ask(Feature::Metadata, at),
            "serviceTier" if service_tier(raw).is_some() => {
                self.outline.ask(Feature::ServiceTier, at);
            }
            "labels" | "serviceTier" => {}
            "store" if raw.get() == "false" => {}
            "cachedContent" | "store" | "continuationToken" => {
                self.outline.ask(Feature::Stored, at);
            }
            _ => self.outline.ask(Feature::ProviderOnly, at),
        }
        Ok(())
    }

    /// This dialect has none.
    fn message(&mut self, _: usize, _: &Message<'a>) -> Result<(), RequestError> {
        Ok(())
    }
}

impl ContentsReader {
    fn contents(&mut self, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("contents");
        read::each(raw, at, &mut |index, raw| {
            self.content(raw, format_args!("contents[{index}]"))
        })?;
        if self.outline.message_count == 0 {
            return Err(read::invalid(at, "an array with at least one turn"));
        }
        Ok(())
    }

    fn content(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        let content = Content::read(raw, at)?;
        let role = content.role(at)?;
        let before = self.outline.prompt_millitokens();
        self.outline.message_count = self.outline.message_count.saturating_add(1);
        self.outline.last_role_is_assistant = role == Role::Model;
        self.trail.begin(Lane::Messages);
        self.trail
            .feed(if role == Role::Model { "model" } else { "user" });
        self.trail
            .feed(content.parts.map_or("", |parts| parts.get()));
        self.parts(&content, at)?;
        let millitokens = self.outline.prompt_millitokens() - before;
        self.trail.turn(false, millitokens);
        Ok(())
    }

    fn parts(&mut self, content: &Content, at: fmt::Arguments) -> Result<(), RequestError> {
        let at = format_args!("{at}.parts");
        let Some(parts) = content.parts else {
            return Err(read::missing(at, "it holds what is said"));
        };
        read::each(parts, at, &mut |index, raw| {
            self.part(raw, format_args!("{at}[{index}]"))
        })
    }

    fn part(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        let part = Part::read(raw, at)?;
        if part.signature(at)?.is_some() {
            let at = format_args!("{at}.thoughtSignature");
            self.outline.ask(Feature::GoogleReasoning, at);
        } else if part.is_thought() {
            self.outline.ask(Feature::Reasoning, at);
        }
        if let Some(text) = part.text {
            if read::kind(text) != Kind::Text {
                return Err(read::invalid(format_args!("{at}.text"), "a string"));
            }
            self.outline.text.push_string(text);
        } else if let Some(blob) = part.inline_data {
            self.inline_data(blob, format_args!("{at}.inlineData"))?;
        } else if let Some(file) = part.file_data {
            self.file_data(file, format_args!("{at}.fileData"))?;
        } else if let Some(call) = part.function_call {
            let at = format_args!("{at}.functionCall");
            let call = Function::read(call, at)?;
            call.name(at)?;
            if let Some(args) = call.args {
                self.outline.text.push_json(args);
            }
        } else if let Some(response) = part.function_response {
            let at = format_args!("{at}.functionResponse");
            let response = Function::read(response, at)?;
            response.name(at)?;
            if let Some(response) = response.response {
                self.outline.text.push_json(response);
                if result(Some(response)).1 {
                    let at = format_args!("{at}.response.error");
                    self.outline.ask(Feature::ToolErrors, at);
                }
            }
            if response.parts.is_some() {
                let at = format_args!("{at}.parts");
                self.outline.ask(Feature::NewContent, at);
            }
        } else {
            self.outline.ask(Feature::NewContent, at);
        }
        Ok(())
    }

    fn inline_data(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        let media = Media::read(raw, at)?;
        let Some(data) = media.data else {
            return Err(read::missing(format_args!("{at}.data"), "it is base64"));
        };
        let mime_type = media.mime_type(at)?;
        if mime_type.starts_with("audio/") {
            let is_compressed = !matches!(&*mime_type, "audio/wav" | "audio/x-wav" | "audio/pcm");
            self.outline.audio(data.get().len(), is_compressed);
        }
        let feature = match MediaKind::of(&mime_type) {
            MediaKind::Image => {
                self.outline.image_count = self.outline.image_count.saturating_add(1);
                return Ok(());
            }
            MediaKind::Pdf => Feature::DocumentPdf,
            MediaKind::PlainText => Feature::DocumentText,
            MediaKind::OtherDocument => Feature::DocumentOther,
            MediaKind::Audio(_) => Feature::AudioIn,
            MediaKind::Unknown => Feature::NewContent,
        };
        self.outline.ask(feature, at);
        Ok(())
    }

    fn file_data(&mut self, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        let media = Media::read(raw, at)?;
        let Some(uri) = media.file_uri else {
            let remedy = "it is an https URL, or names a file at Google";
            return Err(read::missing(format_args!("{at}.fileUri"), remedy));
        };
        let uri = read::text(uri, format_args!("{at}.fileUri"))?;
        let kind = media.kind(at)?;
        if kind == MediaKind::Image {
            self.outline.image_count = self.outline.image_count.saturating_add(1);
        }
        let is_public = uri.starts_with("https://") || uri.starts_with("http://");
        if !is_public || uri.starts_with(GOOGLES_FILES) {
            self.outline.ask(Feature::Stored, at);
        } else if kind == MediaKind::Pdf {
            self.outline.ask(Feature::DocumentUrl, at);
        } else if kind != MediaKind::Image {
            self.outline.ask(Feature::NewContent, at);
        }
        Ok(())
    }

    fn tools(&mut self, raw: Raw) -> Result<(), RequestError> {
        self.trail.begin(Lane::Tools);
        self.trail.feed(raw.get());
        read::each(raw, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            // The others run at Google.
            if each_declaration(raw, at, &mut |raw, _| {
                self.outline.tool_count = self.outline.tool_count.saturating_add(1);
                self.outline.text.push_json(raw);
                Ok(())
            })? {
                self.outline.ask(Feature::ProviderTools, at);
            }
            Ok(())
        })
    }

    fn tool_config(&mut self, raw: Raw) -> Result<(), RequestError> {
        let config = ToolConfig::read(raw)?;
        if config.retrieval.is_some() {
            let at = format_args!("toolConfig.retrievalConfig");
            self.outline.ask(Feature::ProviderTools, at);
        }
        let at = format_args!("toolConfig.functionCallingConfig");
        let mode = read::optional(config.mode, format_args!("{at}.mode"), read::text)?;
        let mode = mode.as_deref();
        if mode == Some("ANY") {
            let at = format_args!("{at}.mode");
            self.outline.ask(Feature::ForcedCall, at);
        }
        if !matches!(
            mode,
            None | Some("MODE_UNSPECIFIED" | "AUTO" | "ANY" | "NONE")
        ) {
            let at = format_args!("{at}.mode");
            self.outline.ask(Feature::ProviderOnly, at);
        }
        let Some(allowed) = config.allowed else {
            return Ok(());
        };
        let at = format_args!("{at}.allowedFunctionNames");
        read::each(allowed, at, &mut |index, raw| {
            read::text(raw, format_args!("{at}[{index}]"))?;
            // Elsewhere one function can be named, which must be called then.
            if index > 0 || mode != Some("ANY") {
                self.outline.ask(Feature::ProviderOnly, at);
            }
            Ok(())
        })
    }

    fn generation(&mut self, raw: Raw) -> Result<(), RequestError> {
        let at = format_args!("generationConfig");
        let config = Generation::read(raw)?;
        let outline = &mut self.outline;
        let limit = format_args!("{at}.maxOutputTokens");
        outline.answer_tokens_max = read::optional(config.max_output_tokens, limit, read::tokens)?;
        for (number, name) in [(config.temperature, "temperature"), (config.top_p, "topP")] {
            let at = format_args!("{at}.{name}");
            let number = read::optional(number, at, read::number)?;
            if let Some(number) = number {
                outline.sample(number, at, format_args!("generationConfig.topP"));
            }
            if name == "temperature" && number.is_some_and(|number| number > 1.0) {
                outline.ask(Feature::HighTemperature, at);
            }
        }
        if let Some(stops) = config.stop_sequences {
            let at = format_args!("{at}.stopSequences");
            read::each(stops, at, &mut |index, raw| {
                let at = format_args!("{at}[{index}]");
                let is_blank = read::text(raw, at)?.trim().is_empty();
                outline.ask(Feature::Stop, at);
                if is_blank {
                    outline.ask(Feature::BlankStop, at);
                }
                if index == STOPS_FEW {
                    outline.ask(Feature::ManyStops, at);
                }
                Ok(())
            })?;
        }
        if let Some(count) = config.candidate_count {
            let at = format_args!("{at}.candidateCount");
            outline.choices = read::value::<u32>(count, at, "a whole number")?.max(1);
            if outline.choices > 1 {
                outline.ask(Feature::SeveralChoices, at);
            }
        }
        if let Some(modalities) = config.response_modalities {
            let at = format_args!("{at}.responseModalities");
            read::each(modalities, at, &mut |index, raw| {
                match &*read::text(raw, format_args!("{at}[{index}]"))? {
                    "TEXT" => {}
                    "AUDIO" => outline.ask(Feature::AudioOut, at),
                    _ => outline.ask(Feature::ProviderOnly, at),
                }
                Ok(())
            })?;
        }
        for name in config.unspoken() {
            outline.ask(Feature::ProviderOnly, format_args!("{at}.{name}"));
        }
        config.note_settings(&mut self.outline);
        self.form(&config)
    }

    fn form(&mut self, config: &Generation) -> Result<(), RequestError> {
        let at = format_args!("generationConfig.responseMimeType");
        match config.form()? {
            Form::Any => return Ok(()),
            Form::Json => {
                self.outline.wants_json_object = true;
                self.outline.ask(Feature::JsonMode, at);
            }
            Form::Schema(schema) => {
                if read::kind(schema) != Kind::Object {
                    let at = format_args!("generationConfig.responseSchema");
                    return Err(read::invalid(at, "a schema, an object"));
                }
                self.outline.wants_json_schema = true;
                self.trail.begin(Lane::Format);
                self.trail.feed(schema.get());
            }
            Form::Other => self.outline.ask(Feature::ProviderOnly, at),
        }
        Ok(())
    }

    /// Whoever turns Google's filters off misses nothing elsewhere; whoever sets them does.
    fn safety(&mut self, raw: Raw) -> Result<(), RequestError> {
        read::each(raw, format_args!("safetySettings"), &mut |index, raw| {
            let at = format_args!("safetySettings[{index}]");
            let expected = "an object with `category` and `threshold`";
            let [threshold] = object(raw, at, expected, ["threshold"])?;
            let threshold_at = format_args!("{at}.threshold");
            let threshold = read::optional(threshold, threshold_at, read::text)?;
            let is_off = matches!(
                threshold.as_deref(),
                None | Some("BLOCK_NONE" | "OFF" | "HARM_BLOCK_THRESHOLD_UNSPECIFIED")
            );
            if !is_off {
                self.outline.ask(Feature::ProviderOnly, at);
            }
            Ok(())
        })
    }
}
