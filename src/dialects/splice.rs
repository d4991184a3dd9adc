//! A request for a provider that speaks the client's own dialect: the client's bytes, but for named edits.
//!
//! The edits are the value of `model`; `stream` where the provider is asked otherwise than the client asked;
//! for `openai-chat`, `stream_options.include_usage`, because without it a stream tells no usage; and our own
//! field `waypost`, which is removed. Every other byte stays: white space, the order of keys, escapes, integers
//! beyond 2^53. Rebuilding the body would lose all of these, and with them the provider's prompt cache.
//!
//! One scan finds where each top-level field lies. A key is compared as JSON reads it, so `mod\u0065l` is
//! `model`; a key that comes twice is edited twice, so that no parser can see the other value.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer as _, MapAccess, Visitor};

use super::read::{self, Kind, Raw, Text};
use super::{Dialect, Shape};
use crate::chat::RequestError;

/// The client's word to us alone, which no provider knows.
const OURS: &str = "waypost";
const INCLUDE_USAGE: &str = "include_usage";

/// Where a field lies in the body.
struct Field<'a> {
    key: std::borrow::Cow<'a, str>,
    /// From the key's first quote to the value's last byte.
    span: Range<usize>,
    value: Raw<'a>,
    value_span: Range<usize>,
}

struct Edit {
    span: Range<usize>,
    with: String,
}

/// The body to send.
pub(super) fn splice(
    dialect: Dialect,
    body: &[u8],
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    let text = read::utf8(body)?;
    let fields = fields(text, 0, "body")?;
    let mut edits = Vec::new();
    let mut inserts = String::new();
    set(
        &fields,
        "model",
        &quoted(shape.model),
        &mut edits,
        &mut inserts,
    );
    edit_stream(&fields, shape, &mut edits, &mut inserts);
    if dialect == Dialect::OpenaiChat {
        edit_stream_options(&fields, shape, &mut edits, &mut inserts)?;
    }
    let removed = removed(&fields, dialect, shape);
    let is_followed = removed.contains(&false);
    remove(&fields, &removed, &mut edits);
    insert(text, 0, inserts, is_followed, &mut edits);
    Ok(apply(text, edits))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Gives every field called `key` this value, or adds one.
fn set(fields: &[Field], key: &str, value: &str, edits: &mut Vec<Edit>, inserts: &mut String) {
    let mut is_there = false;
    for field in fields.iter().filter(|field| field.key == key) {
        is_there = true;
        if field.value.get() != value {
            edits.push(Edit {
                span: field.value_span.clone(),
                with: value.to_owned(),
            });
        }
    }
    if !is_there {
        add(inserts, key, value);
    }
}

fn add(inserts: &mut String, key: &str, value: &str) {
    if !inserts.is_empty() {
        inserts.push(',');
    }
    inserts.push_str(&quoted(key));
    inserts.push(':');
    inserts.push_str(value);
}

fn edit_stream(fields: &[Field], shape: &Shape, edits: &mut Vec<Edit>, inserts: &mut String) {
    let is_named = fields.iter().any(|field| field.key == "stream");
    if shape.is_streaming {
        set(fields, "stream", "true", edits, inserts);
    } else if is_named && is_streaming(fields) {
        set(fields, "stream", "false", edits, inserts);
    }
}

fn is_streaming(fields: &[Field]) -> bool {
    let mut streams = fields.iter().filter(|field| field.key == "stream");
    streams.any(|field| field.value.get() == "true")
}

/// Asks for usage, and keeps whatever else the client wrote into `stream_options`.
fn edit_stream_options(
    fields: &[Field],
    shape: &Shape,
    edits: &mut Vec<Edit>,
    inserts: &mut String,
) -> Result<(), RequestError> {
    if !shape.is_streaming {
        return Ok(());
    }
    let mut is_there = false;
    for field in fields.iter().filter(|field| field.key == "stream_options") {
        is_there = true;
        if read::kind(field.value) == Kind::Null {
            edits.push(Edit {
                span: field.value_span.clone(),
                with: format!("{{\"{INCLUDE_USAGE}\":true}}"),
            });
            continue;
        }
        let start = field.value_span.start;
        let options = self::fields(field.value.get(), start, "stream_options")?;
        let mut inserts = String::new();
        set(&options, INCLUDE_USAGE, "true", edits, &mut inserts);
        insert(
            field.value.get(),
            start,
            inserts,
            !options.is_empty(),
            edits,
        );
    }
    if !is_there {
        add(
            inserts,
            "stream_options",
            &format!("{{\"{INCLUDE_USAGE}\":true}}"),
        );
    }
    Ok(())
}

/// Which fields must not reach the provider. OpenAI refuses `stream_options` where nothing is streamed.
fn removed(fields: &[Field], dialect: Dialect, shape: &Shape) -> Vec<bool> {
    let no_options = dialect == Dialect::OpenaiChat && !shape.is_streaming && is_streaming(fields);
    fields
        .iter()
        .map(|field| field.key == OURS || (no_options && field.key == "stream_options"))
        .collect()
}

/// Removes fields, each with the comma after it, or, behind the last one that stays, with the comma before it.
fn remove(fields: &[Field], removed: &[bool], edits: &mut Vec<Edit>) {
    let last_kept = removed.iter().rposition(|gone| !gone);
    let mut nexts = fields.iter().skip(1).map(|next| next.span.start);
    let mut end_before = None;
    for (index, (field, gone)) in fields.iter().zip(removed).enumerate() {
        let next = nexts.next();
        if *gone {
            let span = match (last_kept, end_before, next) {
                (Some(kept), Some(before), _) if index > kept => before..field.span.end,
                (_, _, Some(next)) => field.span.start..next,
                (_, _, None) => field.span.start..field.span.end,
            };
            edits.push(Edit {
                span,
                with: String::new(),
            });
        }
        end_before = Some(field.span.end);
    }
}

/// Puts new fields right after the opening brace of the object that `text` is. A comma divides them from what
/// stays of the others.
fn insert(text: &str, start: usize, mut inserts: String, is_followed: bool, edits: &mut Vec<Edit>) {
    if inserts.is_empty() {
        return;
    }
    if is_followed {
        inserts.push(',');
    }
    let at = start + text.find('{').map_or(0, |brace| brace + 1);
    edits.push(Edit {
        span: at..at,
        with: inserts,
    });
}

fn apply(text: &str, mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut out = Vec::with_capacity(text.len() + added);
    let mut at = 0;
    for edit in edits {
        let kept = text.get(at..edit.span.start).unwrap_or_default();
        out.extend_from_slice(kept.as_bytes());
        out.extend_from_slice(edit.with.as_bytes());
        at = at.max(edit.span.end);
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default().as_bytes());
    out
}

/// The fields of the object that `text` is. `start` is where `text` lies in the body.
fn fields<'a>(text: &'a str, start: usize, what: &str) -> Result<Vec<Field<'a>>, RequestError> {
    struct Fields<'a>(&'a str, usize);
    impl<'a> Visitor<'a> for Fields<'a> {
        type Value = Vec<Field<'a>>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let place = |raw: Raw| {
                let at = raw.get().as_ptr().addr() - self.0.as_ptr().addr() + self.1;
                at..at + raw.get().len()
            };
            let mut fields = Vec::new();
            while let Some((key, value)) = map.next_entry::<Raw<'a>, Raw<'a>>()? {
                let value_span = place(value);
                fields.push(Field {
                    span: place(key).start..value_span.end,
                    key: key_text(key),
                    value,
                    value_span,
                });
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields(text, start));
    fields
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| {
            if error.is_data() {
                read::invalid(format_args!("{what}"), "an object")
            } else {
                read::not_json(&error)
            }
        })
}

/// A key with a broken escape is no key of ours.
fn key_text(key: Raw<'_>) -> std::borrow::Cow<'_, str> {
    Text::deserialize(&mut serde_json::Deserializer::from_str(key.get()))
        .map(|text| text.0)
        .unwrap_or_default()
}
