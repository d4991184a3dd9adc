//! A streamed answer in either direction: one state machine per dialect and direction, behind one type each.

use super::endpoint::CompletionEncoder;
use super::{
    ClientDialect, Dialect, anthropic, bedrock, cohere, gemini, openai_chat, openai_responses,
};
use crate::chat::{AttemptFailure, Event, ProviderError};
use crate::sse::{self, write_event};
use crate::units::{Tokens, UnixMillis};

/// Why an event of a provider's stream gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// This one event is unreadable. The stream may go on without it.
    Garbled,
    /// The provider says that it failed.
    Failed(AttemptFailure, ProviderError),
}

/// How far a stream is. A later stage is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    #[default]
    Waiting,
    Started,
    /// The reason to finish has been told.
    Finished,
    /// The end marker has been told.
    Ended,
}

impl Stage {
    /// Goes on to `stage`; `false` if it is there already, or further.
    pub(super) fn reach(&mut self, stage: Self) -> bool {
        let is_new = *self < stage;
        *self = stage.max(*self);
        is_new
    }
}

/// Reads a provider's stream.
#[derive(Debug)]
pub struct StreamDecoder(Decoder);

#[derive(Debug)]
enum Decoder {
    OpenaiChat(openai_chat::StreamDecoder),
    Anthropic(anthropic::StreamDecoder),
    OpenaiResponses(openai_responses::StreamDecoder),
    Cohere(cohere::StreamDecoder),
    Bedrock(bedrock::StreamDecoder),
    Gemini(gemini::StreamDecoder),
}

impl StreamDecoder {
    #[must_use]
    pub fn new(provider: Dialect) -> Self {
        Self(match provider {
            Dialect::OpenaiChat => Decoder::OpenaiChat(openai_chat::StreamDecoder::default()),
            Dialect::Anthropic => Decoder::Anthropic(anthropic::StreamDecoder::default()),
            Dialect::OpenaiResponses => {
                Decoder::OpenaiResponses(openai_responses::StreamDecoder::default())
            }
            Dialect::Cohere => Decoder::Cohere(cohere::StreamDecoder::default()),
            Dialect::Bedrock => Decoder::Bedrock(bedrock::StreamDecoder::default()),
            Dialect::Gemini => Decoder::Gemini(gemini::StreamDecoder::default()),
        })
    }

    /// Appends what `event` says. After the end marker, nothing more is read.
    ///
    /// # Errors
    /// See [`StreamFault`]. Nothing has been appended then.
    pub fn push(&mut self, event: &sse::Event, out: &mut Vec<Event>) -> Result<(), StreamFault> {
        match &mut self.0 {
            Decoder::OpenaiChat(decoder) => decoder.push(event, out),
            Decoder::Anthropic(decoder) => decoder.push(event, out),
            Decoder::OpenaiResponses(decoder) => decoder.push(event, out),
            Decoder::Cohere(decoder) => decoder.push(event, out),
            Decoder::Bedrock(decoder) => decoder.push(event, out),
            Decoder::Gemini(decoder) => decoder.push(event, out),
        }
    }
}

/// Writes a client's stream. Everything that it writes is whole events.
#[derive(Debug)]
pub struct StreamEncoder(Encoder);

#[derive(Debug)]
enum Encoder {
    OpenaiChat(openai_chat::StreamEncoder),
    Anthropic(anthropic::StreamEncoder),
    OpenaiResponses(openai_responses::StreamEncoder),
    Completion(CompletionEncoder),
    Gemini(gemini::StreamEncoder),
}

impl StreamEncoder {
    /// For a client of OpenAI's legacy completions.
    #[must_use]
    pub fn of_completion(created: UnixMillis) -> Self {
        Self(Encoder::Completion(CompletionEncoder::new(created)))
    }

    /// `created` is when the exchange began. `include_usage` is for dialects where usage is an event of its
    /// own; the others always tell it.
    #[must_use]
    pub fn new(client: ClientDialect, created: UnixMillis, include_usage: bool) -> Self {
        Self(match client {
            ClientDialect::OpenaiChat => {
                Encoder::OpenaiChat(openai_chat::StreamEncoder::new(created, include_usage))
            }
            ClientDialect::Anthropic => Encoder::Anthropic(anthropic::StreamEncoder::default()),
            ClientDialect::OpenaiResponses => {
                Encoder::OpenaiResponses(openai_responses::StreamEncoder::new(created))
            }
            ClientDialect::Gemini => Encoder::Gemini(gemini::StreamEncoder::default()),
        })
    }

    /// With an id for an answer whose provider gives none. Clients tell by it which chunks belong together.
    #[must_use]
    pub fn named(mut self, id: String) -> Self {
        match &mut self.0 {
            Encoder::OpenaiChat(encoder) => encoder.name(id),
            Encoder::Anthropic(encoder) => encoder.name(id),
            Encoder::OpenaiResponses(encoder) => encoder.name(id),
            Encoder::Completion(encoder) => encoder.name(id),
            Encoder::Gemini(encoder) => encoder.name(id),
        }
        self
    }

    /// With what the prompt is expected to count, for a dialect whose stream tells it first: what the provider has told by
    /// then comes before it, and what it tells later is told at the end.
    #[must_use]
    pub fn expecting(mut self, prompt: Tokens) -> Self {
        if let Encoder::Anthropic(encoder) = &mut self.0 {
            encoder.expect(prompt);
        }
        self
    }

    /// Appends the server-sent events that `event` completes. Usage and the reason to finish are held back
    /// until [`Event::End`] where the dialect tells both at once.
    pub fn push(&mut self, event: &Event, out: &mut Vec<u8>) {
        match &mut self.0 {
            Encoder::OpenaiChat(encoder) => encoder.push(event, out),
            Encoder::Anthropic(encoder) => encoder.push(event, out),
            Encoder::OpenaiResponses(encoder) => encoder.push(event, out),
            Encoder::Completion(encoder) => encoder.push(event, out),
            Encoder::Gemini(encoder) => encoder.push(event, out),
        }
    }
}

/// The end marker alone, for a relayed stream whose provider left it out. The Responses API and Gemini have none: the last
/// event also says why the answer ended, so that whoever has heard that has heard the end.
#[must_use]
pub fn encode_end(client: ClientDialect) -> Vec<u8> {
    let mut out = Vec::new();
    match client {
        ClientDialect::OpenaiChat => write_event(&mut out, None, b"[DONE]"),
        ClientDialect::Anthropic => {
            write_event(
                &mut out,
                Some("message_stop"),
                br#"{"type":"message_stop"}"#,
            );
        }
        ClientDialect::OpenaiResponses | ClientDialect::Gemini => {}
    }
    out
}
