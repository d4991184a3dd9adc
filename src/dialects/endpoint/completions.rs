//! OpenAI's legacy completions: a prompt that the model goes on with.
//!
//! A target that has them (`completions` in its `can`) is sent the client's bytes. For all others a prompt that is one text
//! becomes one message of the user's in a chat completion, which from there goes the way of any. What a conversation has no
//! words for (`suffix`, `echo`, `best_of`, `logprobs`, tokens or several prompts) makes such a target no candidate.
//!
//! The API's default of 16 tokens is not carried over: nobody who leaves `max_tokens` out wants it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/completions>, 2026-11-21. Answers are written here; those of a
//! provider are read as chat completions, whose reader takes `text` as well.

use std::fmt;

use serde::Serialize;

use super::super::feature::Feature;
use super::super::openai_chat::{WireUsage, finish_word};
use super::super::outline::{Message, Outline, Reader, scan};
use super::super::read::{self, Kind, Raw};
use super::super::splice::{self, Edit};
use super::super::stream::Stage;
use super::outline::{model, text_or_tokens};
use crate::chat::{Answer, Event, FinishReason, RequestError, Usage};
use crate::sse::write_event;
use crate::units::UnixMillis;

/// OpenAI's own limit for `n`.
const CHOICES_MAX: u32 = 128;
/// Fields that a conversation lacks, or has for something else. Where they ask for nothing, they are left out.
const BEYOND_CHAT: [&str; 5] = ["suffix", "echo", "best_of", "logprobs", "messages"];

pub(super) fn outline(body: &[u8]) -> Result<Outline, RequestError> {
    let mut reader = PromptReader::default();
    reader.outline.choices = 1;
    reader.outline.message_count = 1;
    let scanned = scan(body, &mut reader)?;
    let outline = reader.outline.with(scanned)?;
    if !reader.has_prompt {
        let remedy = "it is the text that the model goes on with";
        return Err(read::missing(format_args!("prompt"), remedy));
    }
    Ok(outline)
}

#[derive(Default)]
struct PromptReader {
    outline: Outline,
    has_prompt: bool,
}

impl<'a> Reader<'a> for PromptReader {
    fn has_messages(&self) -> bool {
        false
    }

    fn keys(&self) -> &'static [&'static str] {
        &[
            "model",
            "prompt",
            "stream",
            "stream_options",
            "max_tokens",
            "n",
            "user",
            "suffix",
            "echo",
            "best_of",
            "logprobs",
            "logit_bias",
            "stop",
            "temperature",
            "top_p",
        ]
    }

    fn field(&mut self, key: &str, raw: Raw<'a>) -> Result<(), RequestError> {
        let at = format_args!("{key}");
        let outline = &mut self.outline;
        match key {
            "model" => outline.model = model(raw)?,
            "stream" => outline.is_streaming = read::flag(raw, at)?,
            "stream_options" => {
                read::object::<serde::de::IgnoredAny>(raw, at, "an object")?;
            }
            "max_tokens" => outline.answer_tokens_max = Some(read::tokens(raw, at)?),
            "n" => {
                let expected = "a whole number from 1 to 128";
                outline.choices = read::value(raw, at, expected)?;
                if !(1..=CHOICES_MAX).contains(&outline.choices) {
                    return Err(read::invalid(at, expected));
                }
                if outline.choices > 1 {
                    outline.ask(Feature::ProviderOnly, at);
                }
            }
            "user" => outline.user = Some(read::text(raw, at)?.into_owned()),
            "prompt" => {
                self.has_prompt = true;
                text_or_tokens(outline, raw, at)?;
                if one_text(raw).is_none() {
                    outline.ask(Feature::ProviderOnly, at);
                }
            }
            "temperature" | "top_p" => {
                let value = read::number(raw, at)?;
                outline.sample(value, at, format_args!("top_p"));
            }
            _ => self.others(key, raw, at)?,
        }
        Ok(())
    }

    fn message(&mut self, _: usize, _: &Message<'a>) -> Result<(), RequestError> {
        Ok(())
    }
}

impl PromptReader {
    /// Fields of which only some values are beyond a conversation.
    fn others(&mut self, key: &str, raw: Raw, at: fmt::Arguments) -> Result<(), RequestError> {
        let outline = &mut self.outline;
        match (key, raw.get()) {
            ("suffix", "\"\"") | ("echo", "false") | ("best_of", "1") | ("logit_bias", "{}") => {}
            ("stop", _) if read::kind(raw) == Kind::Text => {
                if read::text(raw, at)?.trim().is_empty() {
                    outline.ask(Feature::ProviderOnly, at);
                }
            }
            ("stop", _) => read::each(raw, at, &mut |index, raw| {
                let at = format_args!("stop[{index}]");
                if read::text(raw, at)?.trim().is_empty() {
                    outline.ask(Feature::ProviderOnly, at);
                }
                Ok(())
            })?,
            _ => outline.ask(Feature::ProviderOnly, at),
        }
        Ok(())
    }
}

/// The prompt's JSON text, where it is one string, or a list of one.
fn one_text(raw: Raw<'_>) -> Option<&str> {
    match read::kind(raw) {
        Kind::Text => Some(raw.get()),
        Kind::Array => match serde_json::from_str::<[Raw; 1]>(raw.get()).ok()? {
            [only] if read::kind(only) == Kind::Text => Some(only.get()),
            _ => None,
        },
        _ => None,
    }
}

/// The same request as a chat completion: the prompt as what the user says, every other byte the client's.
pub(super) fn as_chat(body: &[u8]) -> Result<Vec<u8>, RequestError> {
    let text = read::utf8(body)?;
    let fields = splice::fields(text, 0, "body")?;
    let is_beyond = |field: &splice::Field| BEYOND_CHAT.contains(&&*field.key);
    let removed: Vec<bool> = fields.iter().map(is_beyond).collect();
    let mut edits = Vec::new();
    for field in fields.iter().filter(|field| field.key == "prompt") {
        let Some(prompt) = one_text(field.value) else {
            return Err(RequestError::NotTranslatable {
                field: "prompt".to_owned(),
                dialect: "chat",
            });
        };
        edits.push(Edit {
            span: field.span.clone(),
            with: format!("\"messages\":[{{\"role\":\"user\",\"content\":{prompt}}}]"),
        });
    }
    splice::remove(&fields, &removed, &mut edits);
    Ok(splice::apply(text, edits))
}

#[derive(Serialize)]
struct WireCompletion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [WireChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

impl<'a> WireChoice<'a> {
    fn of(text: &'a str, finish: Option<FinishReason>) -> Self {
        // Nobody has tools here.
        Self {
            index: 0,
            text,
            logprobs: None,
            finish_reason: finish.map(finish_word),
        }
    }
}

/// Writes a whole answer. What the model thought aloud has no place in it, and a refusal is text.
#[must_use]
pub fn encode_answer(answer: &Answer, created: UnixMillis) -> Vec<u8> {
    let finish = answer.finish.unwrap_or(FinishReason::Stop);
    let text = [answer.text.as_str(), &answer.refusal].concat();
    let completion = WireCompletion {
        id: &answer.id,
        object: "text_completion",
        created: created.seconds(),
        model: &answer.model,
        choices: &[WireChoice::of(&text, Some(finish))],
        usage: answer.usage.map(WireUsage::from),
    };
    serde_json::to_vec(&completion).unwrap_or_default()
}

/// Writes a stream: a chunk for each piece of text, one with the reason to finish, one with usage, and `[DONE]`.
#[derive(Debug)]
pub struct StreamEncoder {
    created: UnixMillis,
    id: String,
    model: String,
    usage: Option<Usage>,
    stage: Stage,
}

impl StreamEncoder {
    #[must_use]
    pub fn new(created: UnixMillis) -> Self {
        Self {
            created,
            id: String::new(),
            model: String::new(),
            usage: None,
            stage: Stage::Waiting,
        }
    }

    /// The answer's id, until its provider names one.
    pub fn name(&mut self, id: String) {
        self.id = id;
    }

    pub fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.stage == Stage::Ended {
            return;
        }
        match event {
            Event::Start { id, model } => {
                if self.stage.reach(Stage::Started) {
                    if !id.is_empty() {
                        self.id.clone_from(id);
                    }
                    self.model.clone_from(model);
                }
            }
            Event::Text(piece) | Event::Refusal(piece) if !piece.is_empty() => {
                self.chunk(&[WireChoice::of(piece, None)], None, out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(reason) => self.finish(*reason, out),
            Event::End => {
                self.finish(FinishReason::Stop, out);
                if let Some(usage) = self.usage {
                    self.chunk(&[], Some(usage), out);
                }
                self.stage = Stage::Ended;
                write_event(out, None, b"[DONE]");
            }
            Event::Text(_)
            | Event::Refusal(_)
            | Event::Reasoning(_)
            | Event::Seal(_)
            | Event::Citation(_)
            | Event::Logprobs(_)
            | Event::CallSignature { .. }
            | Event::CallStart { .. }
            | Event::CallArguments { .. } => {}
        }
    }

    fn finish(&mut self, reason: FinishReason, out: &mut Vec<u8>) {
        if self.stage.reach(Stage::Finished) {
            self.chunk(&[WireChoice::of("", Some(reason))], None, out);
        }
    }

    fn chunk(&self, choices: &[WireChoice], usage: Option<Usage>, out: &mut Vec<u8>) {
        let chunk = WireCompletion {
            id: &self.id,
            object: "text_completion",
            created: self.created.seconds(),
            model: &self.model,
            choices,
            usage: usage.map(WireUsage::from),
        };
        write_event(out, None, &serde_json::to_vec(&chunk).unwrap_or_default());
    }
}
