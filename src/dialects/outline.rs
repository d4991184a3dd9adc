//! What one pass over a request tells before any target is chosen.
//!
//! The pass borrows everything and keeps only counts: a prompt of ten megabytes costs no memory. It checks what
//! we rely on, with the path of the field, and leaves the rest to the provider, whose rules change without us.
//!
//! A key that we read may not come twice. The provider is sent the same bytes, and if its parser took the other
//! one, a caller could show us one model and the provider another.
//!
//! Not here: which fields a dialect has. That is in its own `outline.rs`.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};

use super::read::{self, Object, Raw, Text};
use crate::chat::RequestError;
use crate::units::Tokens;

/// The facts about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub struct Outline {
    pub model: String,
    pub is_streaming: bool,
    /// The client asked for usage at the end of the stream. Always so where the dialect always tells it.
    pub wants_stream_usage: bool,
    pub message_count: u32,
    /// Bytes of text that the model will read: messages, tool arguments and results, tool definitions.
    pub text_bytes: u64,
    pub image_count: u32,
    pub tool_count: u32,
    pub wants_json_schema: bool,
    pub wants_json_object: bool,
    pub answer_tokens_max: Option<Tokens>,
    /// How many answers are asked for: OpenAI's `n`.
    pub choices: u32,
    /// The client's own name for its end user.
    pub user: Option<String>,
    /// The model is to go on with an answer that has begun.
    pub last_role_is_assistant: bool,
    /// The first field that a target of another dialect could not carry without changing the meaning.
    pub has_unportable: Option<String>,
}

impl Outline {
    pub(super) fn unportable(&mut self, field: fmt::Arguments) {
        if self.has_unportable.is_none() {
            self.has_unportable = Some(field.to_string());
        }
    }
}

/// What a dialect makes of the pieces.
pub(super) trait Reader<'a> {
    /// The top-level keys that it reads, beside `messages`. None may come twice.
    fn keys(&self) -> &'static [&'static str];
    fn field(&mut self, key: &str, raw: Raw<'a>) -> Result<(), RequestError>;
    fn message(&mut self, index: usize, message: &Message<'a>) -> Result<(), RequestError>;
}

/// The fields of a message that some dialect reads.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub role: Option<Raw<'a>>,
    #[serde(borrow)]
    pub content: Option<Raw<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Raw<'a>>,
    #[serde(borrow)]
    pub tool_call_id: Option<Raw<'a>>,
    #[serde(borrow)]
    pub function_call: Option<Raw<'a>>,
    #[serde(borrow)]
    pub audio: Option<Raw<'a>>,
}

/// Shows `reader` every field of `body`.
pub(super) fn scan<'a>(body: &'a [u8], reader: &mut dyn Reader<'a>) -> Result<(), RequestError> {
    let body = read::utf8(body)?;
    let mut state = State::default();
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let outcome = deserializer
        .deserialize_map(Top {
            reader,
            state: &mut state,
        })
        .and_then(|()| deserializer.end());
    let Err(error) = outcome else {
        return match state.messages {
            Some(0) => Err(read::invalid(
                format_args!("messages"),
                "an array with at least one message",
            )),
            Some(_) => Ok(()),
            None => Err(read::missing(
                format_args!("messages"),
                "it holds the conversation, an array of objects with `role` and `content`",
            )),
        };
    };
    Err(match (state.failure, error.is_data(), state.messages) {
        (Some(failure), ..) => failure,
        (None, false, _) => read::not_json(&error),
        (None, true, None) => read::invalid(format_args!("body"), "a JSON object"),
        (None, true, Some(_)) if !state.is_array => {
            read::invalid(format_args!("messages"), "an array of objects")
        }
        (None, true, Some(index)) => read::invalid(
            format_args!("messages[{index}]"),
            "an object with `role` and `content`, no key twice",
        ),
    })
}

#[derive(Default)]
struct State {
    /// One bit for each of the reader's keys.
    seen: u64,
    is_array: bool,
    /// How many messages have been read.
    messages: Option<usize>,
    failure: Option<RequestError>,
}

impl State {
    fn stop<E: serde::de::Error>(&mut self, failure: RequestError) -> E {
        self.failure = Some(failure);
        E::custom("stopped")
    }
}

struct Top<'s, 'a> {
    reader: &'s mut dyn Reader<'a>,
    state: &'s mut State,
}

impl<'a> Visitor<'a> for Top<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = fields.next_key()? {
            if key == "messages" {
                if self.state.messages.is_some() {
                    return Err(self.state.stop(twice(&key)));
                }
                self.state.messages = Some(0);
                fields.next_value_seed(Messages {
                    reader: &mut *self.reader,
                    state: &mut *self.state,
                })?;
                continue;
            }
            let raw: Raw<'a> = fields.next_value()?;
            let keys = self.reader.keys();
            let Some(place) = keys.iter().position(|known| *known == key) else {
                continue;
            };
            let bit = 1_u64 << place;
            if self.state.seen & bit != 0 {
                return Err(self.state.stop(twice(&key)));
            }
            self.state.seen |= bit;
            if read::kind(raw) == read::Kind::Null {
                continue;
            }
            if let Err(failure) = self.reader.field(&key, raw) {
                return Err(self.state.stop(failure));
            }
        }
        Ok(())
    }
}

fn twice(key: &str) -> RequestError {
    read::invalid(format_args!("{key}"), "one value, not two")
}

struct Messages<'s, 'a> {
    reader: &'s mut dyn Reader<'a>,
    state: &'s mut State,
}

impl<'a> DeserializeSeed<'a> for Messages<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Messages<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        self.state.is_array = true;
        let mut index = 0;
        while let Some(Object(message)) = elements.next_element::<Object<Message<'a>>>()? {
            if let Err(failure) = self.reader.message(index, &message) {
                return Err(self.state.stop(failure));
            }
            index += 1;
            self.state.messages = Some(index);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, outline};

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        for (before, after) in [
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}],"x":"#,
                "}",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi","x":"#,
                "}]}",
            ),
            (
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"new","x":"#,
                "}]}]}",
            ),
        ] {
            for dialect in Dialect::ALL {
                assert!(outline(dialect, format!("{before}{deep}{after}").as_bytes()).is_ok());
                assert!(outline(dialect, format!("{before}{deep}").as_bytes()).is_err());
            }
        }
    }
}
