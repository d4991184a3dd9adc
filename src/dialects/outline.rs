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

use super::estimate::TextSize;
use super::feature::{Asks, Feature};
use super::prefix::Prefix;
use super::read::{self, FIELDS_MAX, Object, Raw, Text};
use crate::chat::RequestError;
use crate::units::Tokens;

/// What the markers around a message cost.
const TOKENS_PER_MESSAGE: u64 = 4;
/// A mid-sized image on the large providers; they differ by a factor of three.
const TOKENS_PER_IMAGE: u64 = 800;
/// A user's audio, at OpenAI: one token for 100 ms (<https://developers.openai.com/api/docs/guides/realtime-costs>).
const AUDIO_TOKENS_PER_SECOND: u64 = 10;
/// 16 bits at 24 kHz, one channel: what OpenAI's audio models take and make.
const WAV_BYTES_PER_SECOND: u64 = 48_000;
/// 64 kbit/s, usual for speech.
const COMPRESSED_BYTES_PER_SECOND: u64 = 8_000;

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
    /// The text that the model will read: messages, tool arguments and results, tool definitions.
    pub text: TextSize,
    pub image_count: u32,
    /// Of all sounds in the prompt, estimated from their bytes.
    pub audio_tokens: Tokens,
    /// The beginnings that a provider's cache may hold.
    pub prefix: Prefix,
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
    /// What is asked for that not every dialect can carry.
    pub asks: Asks,
    /// What the client says to the router alone.
    pub ours: Ours,
}

/// The fields of a body that are for the router, whatever the dialect. No provider is sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// The JSON text of `provider`, an object as OpenRouter's clients write it.
    pub provider: Option<String>,
    /// The JSON text of `waypost`, an object.
    pub waypost: Option<String>,
    /// Names to try after `model`, as OpenRouter's `models`.
    pub fallbacks: Vec<String>,
}

/// Something that the client asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// A route, or `provider/model`.
    pub name: String,
    /// What the body calls it.
    pub model: String,
}

/// The longest text of a constraint: it goes into the record.
pub const CONSTRAINT_BYTES_MAX: usize = 8 * 1024;
/// Names in `models`. Each may be a route with targets of its own, and a plan is never walked that far.
const FALLBACKS_MAX: usize = 8;
/// The longest name in `models`.
const NAME_BYTES_MAX: usize = 512;
/// How much of a dropped field's name is kept.
const DROPPED_CHARS_MAX: usize = 64;

impl Outline {
    /// What the prompt will count, before any provider has counted it.
    #[must_use]
    pub fn prompt_tokens(&self) -> Tokens {
        Tokens(self.prompt_millitokens().div_ceil(1_000))
    }

    /// The same in thousandths, so that parts of a prompt add up whatever their order.
    pub(super) fn prompt_millitokens(&self) -> u64 {
        let markers = Tokens(u64::from(self.message_count) * TOKENS_PER_MESSAGE);
        let others = markers + self.image_tokens() + self.audio_tokens;
        self.text
            .millitokens
            .saturating_add(others.0.saturating_mul(1_000))
    }

    /// Those of them that stand for images.
    #[must_use]
    pub fn image_tokens(&self) -> Tokens {
        Tokens(u64::from(self.image_count) * TOKENS_PER_IMAGE)
    }

    /// Counts a sound of this many characters of base64.
    pub(super) fn audio(&mut self, base64_length: usize, is_compressed: bool) {
        let bytes = base64_length as u64 / 4 * 3;
        let per_second = if is_compressed {
            COMPRESSED_BYTES_PER_SECOND
        } else {
            WAV_BYTES_PER_SECOND
        };
        let tokens = bytes
            .saturating_mul(AUDIO_TOKENS_PER_SECOND)
            .div_ceil(per_second);
        self.audio_tokens = self.audio_tokens + Tokens(tokens);
    }

    /// Takes a temperature or a `top_p`. Where both are asked for, `top_p` is what some models do without.
    pub(super) fn sample(&mut self, value: f64, at: fmt::Arguments, top_p: fmt::Arguments) {
        if (value - 1.0).abs() < f64::EPSILON {
            return;
        }
        if self.asks.has(Feature::Sampling) {
            self.ask(Feature::TopP, top_p);
        }
        self.ask(Feature::Sampling, at);
    }

    pub(super) fn ask(&mut self, feature: Feature, field: fmt::Arguments) {
        self.asks.note(feature, field);
    }
}

/// What a dialect makes of the pieces.
pub(super) trait Reader<'a> {
    /// Whether the conversation is an array called `messages`, shown message by message; else it is one of the keys.
    fn has_messages(&self) -> bool {
        true
    }
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
    #[serde(borrow)]
    pub name: Option<Raw<'a>>,
    #[serde(borrow)]
    pub reasoning: Option<Raw<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<Raw<'a>>,
    #[serde(borrow)]
    pub reasoning_details: Option<Raw<'a>>,
}

/// What a scan found besides the fields of the dialect.
#[derive(Default)]
pub(super) struct Scanned {
    dropped: Option<String>,
    ours: Ours,
}

impl Outline {
    /// Adds what every dialect has. Without `model` the first of `models` is it.
    pub(super) fn with(self, scanned: Scanned) -> Result<Self, RequestError> {
        let named = self.named_by(scanned);
        if named.model.is_empty() {
            return Err(read::missing(
                format_args!("model"),
                "it names a route, or `provider/model`",
            ));
        }
        Ok(named)
    }

    /// The same where it need not name a model.
    pub(super) fn named_by(mut self, scanned: Scanned) -> Self {
        if let Some(name) = scanned.dropped {
            self.ask(Feature::Other, format_args!("{name}"));
        }
        self.ours = scanned.ours;
        let names = &mut self.ours.fallbacks;
        if self.model.is_empty() && !names.is_empty() {
            self.model = names.remove(0);
        }
        names.retain(|name| *name != self.model);
        self
    }
}

impl Outline {
    /// What the client asks for, and what it would have instead, in its order. A route that is named apart from the
    /// body is meant alone.
    #[must_use]
    pub fn asked(&self, apart: Option<String>) -> (Asked, Vec<Asked>) {
        let of = |name: &String| Asked {
            name: name.clone(),
            model: name.clone(),
        };
        match apart {
            Some(name) => {
                let model = self.model.clone();
                (Asked { name, model }, Vec::new())
            }
            None => (
                of(&self.model),
                self.ours.fallbacks.iter().map(of).collect(),
            ),
        }
    }
}

/// Shows `reader` every field of `body`.
pub(super) fn scan<'a>(
    body: &'a [u8],
    reader: &mut dyn Reader<'a>,
) -> Result<Scanned, RequestError> {
    let body = read::utf8(body)?;
    let mut state = State::default();
    let has_messages = reader.has_messages();
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
            Some(_) => Ok(state.scanned),
            None if !has_messages => Ok(state.scanned),
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
    /// One bit for each of [`OURS`].
    ours_seen: u64,
    scanned: Scanned,
}

/// The fields that every dialect's body may have for us.
const OURS: [&str; 3] = ["provider", "waypost", "models"];

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
        let mut count = 0;
        while let Some(Text(key)) = fields.next_key()? {
            count += 1;
            if count > FIELDS_MAX {
                return Err(self.state.stop(too_many_fields("body")));
            }
            if key == "messages" && self.reader.has_messages() {
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
            let place = |known: &[&str]| known.iter().position(|known| *known == key);
            let (seen, bit) = match (place(self.reader.keys()), place(&OURS)) {
                (Some(place), _) => (&mut self.state.seen, 1_u64 << place),
                (None, Some(place)) => (&mut self.state.ours_seen, 1_u64 << place),
                (None, None) => {
                    self.state.scanned.drop_field(&key, raw);
                    continue;
                }
            };
            if *seen & bit != 0 {
                return Err(self.state.stop(twice(&key)));
            }
            *seen |= bit;
            if read::kind(raw) == read::Kind::Null {
                continue;
            }
            let read = if place(self.reader.keys()).is_some() {
                self.reader.field(&key, raw)
            } else {
                self.state.scanned.take(&key, raw)
            };
            if let Err(failure) = read {
                return Err(self.state.stop(failure));
            }
        }
        Ok(())
    }
}

impl Scanned {
    fn drop_field(&mut self, key: &str, raw: Raw) {
        if self.dropped.is_none() && read::kind(raw) != read::Kind::Null {
            self.dropped = Some(key.chars().take(DROPPED_CHARS_MAX).collect());
        }
    }

    /// Takes a field of [`OURS`]. A `provider` that is no object is none of ours, and the provider's to judge.
    fn take(&mut self, key: &str, raw: Raw) -> Result<(), RequestError> {
        let is_object = read::kind(raw) == read::Kind::Object;
        let at = format_args!("{key}");
        match key {
            "models" => self.take_fallbacks(raw)?,
            "provider" if is_object => self.ours.provider = Some(constraints(raw, at)?),
            "provider" => self.drop_field(key, raw),
            _ if is_object => self.ours.waypost = Some(constraints(raw, at)?),
            _ => return Err(read::invalid(at, "an object with limits for this request")),
        }
        Ok(())
    }

    fn take_fallbacks(&mut self, raw: Raw) -> Result<(), RequestError> {
        let names = &mut self.ours.fallbacks;
        read::each(raw, format_args!("models"), &mut |index, raw| {
            let at = format_args!("models[{index}]");
            let name = read::text(raw, at)?;
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                let expected = format!("a name of 1 to {NAME_BYTES_MAX} bytes");
                return Err(read::invalid(at, &expected));
            }
            if index >= FALLBACKS_MAX {
                let expected = format!("at most {FALLBACKS_MAX} names");
                return Err(read::invalid(format_args!("models"), &expected));
            }
            names.push(name.into_owned());
            Ok(())
        })
    }
}

fn constraints(raw: Raw, at: fmt::Arguments) -> Result<String, RequestError> {
    if raw.get().len() > CONSTRAINT_BYTES_MAX {
        let expected = format!("at most {CONSTRAINT_BYTES_MAX} bytes");
        return Err(read::invalid(at, &expected));
    }
    Ok(raw.get().to_owned())
}

pub(super) fn too_many_fields(what: &str) -> RequestError {
    let expected = format!("an object of at most {FIELDS_MAX} fields");
    read::invalid(format_args!("{what}"), &expected)
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
    use super::super::{ClientDialect, outline};
    use crate::chat::RequestError;

    fn both(fields: &str) -> Vec<Result<super::Outline, RequestError>> {
        let body = format!(
            r#"{{{fields},"max_tokens":1,"input":"hi","messages":[{{"role":"user","content":"hi"}}],"contents":[{{"parts":[]}}]}}"#
        );
        let outlined = ClientDialect::ALL.map(|dialect| outline(dialect, body.as_bytes()));
        outlined.into()
    }

    #[test]
    fn names_stand_in_for_model_and_come_once() {
        let names = |fields: &str| {
            let outlined = both(fields).into_iter().map(|outlined| {
                let (first, others) = outlined.unwrap().asked(None);
                [vec![first], others].concat()
            });
            let names: Vec<Vec<String>> = outlined
                .map(|asked| asked.into_iter().map(|asked| asked.name).collect())
                .collect();
            assert!(names.iter().all(|others| *others == names[0]));
            names[0].clone()
        };
        assert_eq!(names(r#""models":["a","b"]"#), ["a", "b"]);
        assert_eq!(
            names(r#""model":"c","models":["a","c","b"]"#),
            ["c", "a", "b"]
        );
        assert_eq!(names(r#""model":"c","models":null"#), ["c"]);
        assert_eq!(names(r#""model":"c","mod\u0065ls":[]"#), ["c"]);
        let outlined = both(r#""model":"c","models":["a"]"#).remove(0).unwrap();
        let (first, others) = outlined.asked(Some("apart".to_owned()));
        assert_eq!((first.name.as_str(), first.model.as_str()), ("apart", "c"));
        assert_eq!(others, []);
    }

    #[test]
    fn what_is_ours_is_refused_where_it_cannot_be_read() {
        let long = format!(
            r#""model":"c","waypost":{{"only":"{}"}}"#,
            "x".repeat(9_000)
        );
        for (fields, field) in [
            (r#""models":[]"#, "model"),
            (r#""model":"c","models":"a""#, "models"),
            (r#""model":"c","models":[1]"#, "models[0]"),
            (r#""model":"c","models":["a",""]"#, "models[1]"),
            (
                r#""model":"c","models":["1","2","3","4","5","6","7","8","9"]"#,
                "models",
            ),
            (r#""model":"c","waypost":[]"#, "waypost"),
            (r#""model":"c","waypost":{},"waypost":{}"#, "waypost"),
            (r#""model":"c","provider":{},"provider":7"#, "provider"),
            (&long, "waypost"),
        ] {
            for outlined in both(fields) {
                assert_eq!(outlined.unwrap_err().field(), Some(field), "{fields}");
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        for (before, after) in [
            (
                r#"{"model":"m","max_tokens":1,"input":"hi","contents":[{"parts":[]}],"messages":[{"role":"user","content":"hi"}],"x":"#,
                "}",
            ),
            (
                r#"{"model":"m","max_tokens":1,"input":"hi","contents":[{"parts":[]}],"messages":[{"role":"user","content":"hi","x":"#,
                "}]}",
            ),
            (
                r#"{"model":"m","max_tokens":1,"input":"hi","contents":[{"parts":[]}],"messages":[{"role":"user","content":[{"type":"new","x":"#,
                "}]}]}",
            ),
        ] {
            for dialect in ClientDialect::ALL {
                assert!(outline(dialect, format!("{before}{deep}{after}").as_bytes()).is_ok());
                assert!(outline(dialect, format!("{before}{deep}").as_bytes()).is_err());
            }
        }
    }
}
