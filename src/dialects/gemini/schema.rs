//! Schemas in Google's subset of `OpenAPI`, made the JSON Schemas that they mean.
//!
//! `parameters` and `responseSchema` have types in capitals, `nullable`, and counts as texts, because Google's parser
//! writes 64-bit numbers so (<https://ai.google.dev/api/caching#Schema>). Other providers take JSON Schema alone. What is
//! the same in both stays the bytes it was, in its order. An answer has the properties that its schema names and no others,
//! which Anthropic demands to be said.
//!
//! The schemas are replaced in the body before it is read, since all that is read borrows from it. A body that goes to a
//! provider of this dialect never comes here.

use std::borrow::Cow;
use std::ops::Range;

use super::super::read::{self, Kind, Raw};
use super::generation::Generation;
use super::request::WireRequest;
use super::wire::{Declaration, each_declaration};
use crate::chat::RequestError;

/// The longest schema in this form. Each level is read once more than the one above it.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// How deep a schema is followed. Google's own parser stops at a hundred levels of JSON, two for each of these.
const DEPTH_MAX: usize = 48;

/// The body with JSON Schemas in the place of Google's.
pub(in super::super) fn with_json_schemas(body: &[u8]) -> Result<Cow<'_, [u8]>, RequestError> {
    let mut found = Vec::new();
    each_schema(body, &mut |raw, is_closed| {
        let start = raw.get().as_ptr().addr() - body.as_ptr().addr();
        let mut written = String::with_capacity(raw.get().len());
        let level = Level {
            depth: DEPTH_MAX,
            is_closed,
        };
        schema(raw, level, &mut written);
        found.push((start..start + raw.get().len(), written));
    })?;
    if found.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    found.sort_by_key(|(span, _): &(Range<usize>, String)| span.start);
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    for (span, written) in found {
        out.extend_from_slice(body.get(at..span.start).unwrap_or_default());
        out.extend_from_slice(written.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    Ok(Cow::Owned(out))
}

/// How a schema is to be written.
#[derive(Clone, Copy)]
struct Level {
    /// How many levels are followed, this one among them.
    depth: usize,
    /// Whether an object may have the properties that are named, and no others.
    is_closed: bool,
}

impl Level {
    fn below(self) -> Self {
        Self {
            depth: self.depth.saturating_sub(1),
            ..self
        }
    }
}

/// Calls `visit` with each schema, and whether it is the answer's.
fn each_schema<'a>(
    body: &'a [u8],
    visit: &mut dyn FnMut(Raw<'a>, bool),
) -> Result<(), RequestError> {
    let wire = WireRequest::read(body)?;
    if let Some(tools) = wire.tools {
        read::each(tools, format_args!("tools"), &mut |index, raw| {
            let at = format_args!("tools[{index}]");
            each_declaration(raw, at, &mut |raw, at| {
                let declaration = Declaration::read(raw, at)?;
                if let Some(schema) = declaration.parameters {
                    check_length(schema, format_args!("{at}.parameters"))?;
                    visit(schema, false);
                }
                Ok(())
            })
            .map(drop)
        })?;
    }
    if let Some(config) = wire.generation_config {
        let config = Generation::read(config)?;
        if let Some(schema) = config.response_schema {
            check_length(schema, format_args!("generationConfig.responseSchema"))?;
            visit(schema, true);
        }
    }
    Ok(())
}

fn check_length(schema: Raw, at: std::fmt::Arguments) -> Result<(), RequestError> {
    if schema.get().len() > SCHEMA_BYTES_MAX {
        let expected = format!("a schema of at most {SCHEMA_BYTES_MAX} bytes");
        return Err(read::invalid(at, &expected));
    }
    Ok(())
}

fn schema(raw: Raw, level: Level, out: &mut String) {
    let mut is_nullable = false;
    let mut is_open = level.is_closed;
    let mut has_properties = false;
    let read = read::each_field(raw, &mut |name, value| {
        let name = keyword(name);
        is_nullable |= name == "nullable" && value.get() == "true";
        is_open &= name != "additionalProperties";
        has_properties |= name == "properties";
    });
    if level.depth == 0 || read.is_err() {
        out.push_str(raw.get());
        return;
    }
    fields(raw, out, &mut |name, value, out| {
        let name = keyword(name);
        let is_format_of_words = name == "format" && value.get() == "\"enum\"";
        if matches!(name, "nullable" | "propertyOrdering") || is_format_of_words {
            return;
        }
        key(name, out);
        match name {
            "type" => kind(value, is_nullable, out),
            "enum" if is_nullable => with_null(value, out),
            "items" | "additionalProperties" => schema(value, level.below(), out),
            "properties" | "defs" | "$defs" => fields(value, out, &mut |name, value, out| {
                key(name, out);
                schema(value, level.below(), out);
            }),
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => list(value, level.below(), out),
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
            | "maxProperties" => out.push_str(value.get().trim_matches('"')),
            _ => out.push_str(value.get()),
        }
    });
    if is_open && has_properties && out.pop().is_some() {
        out.push_str(",\"additionalProperties\":false}");
    }
}

/// Writes an object again, with what `write` makes of each of its fields. What is no object stays what it was.
fn fields(raw: Raw, out: &mut String, write: &mut dyn FnMut(&str, Raw, &mut String)) {
    if read::kind(raw) != Kind::Object {
        out.push_str(raw.get());
        return;
    }
    out.push('{');
    // What does not parse does not come here.
    let _ = read::each_field(raw, &mut |name, value| {
        let end = out.len();
        if !out.ends_with('{') {
            out.push(',');
        }
        let begin = out.len();
        write(name, value, out);
        if out.len() == begin {
            out.truncate(end);
        }
    });
    out.push('}');
}

fn list(raw: Raw, level: Level, out: &mut String) {
    if read::kind(raw) != Kind::Array {
        out.push_str(raw.get());
        return;
    }
    out.push('[');
    let _ = read::each(raw, format_args!("anyOf"), &mut |index, raw| {
        if index > 0 {
            out.push(',');
        }
        schema(raw, level, out);
        Ok(())
    });
    out.push(']');
}

fn key(name: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(name).unwrap_or_default());
    out.push(':');
}

/// A type's name in small letters; with null beside it where that is allowed.
fn kind(raw: Raw, is_nullable: bool, out: &mut String) {
    let name = raw.get().to_ascii_lowercase();
    if is_nullable && read::kind(raw) == Kind::Text && name != "\"null\"" {
        out.extend(["[", &name, ",\"null\"]"]);
    } else {
        out.push_str(&name);
    }
}

fn with_null(values: Raw, out: &mut String) {
    match values.get().strip_suffix(']') {
        Some(values) if !values.trim_end().ends_with('[') => {
            out.push_str(values);
            out.push_str(",null]");
        }
        _ => out.push_str(values.get()),
    }
}

/// A keyword in camel case, as JSON Schema has it.
fn keyword(name: &str) -> &str {
    match name {
        "any_of" => "anyOf",
        "prefix_items" => "prefixItems",
        "additional_properties" => "additionalProperties",
        "property_ordering" => "propertyOrdering",
        "min_items" => "minItems",
        "max_items" => "maxItems",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "min_properties" => "minProperties",
        "max_properties" => "maxProperties",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(schema: &str) -> String {
        let body = format!(r#"{{"generationConfig":{{"responseSchema":{schema}}},"contents":[]}}"#);
        let body = with_json_schemas(body.as_bytes()).unwrap();
        let text = String::from_utf8(body.into_owned()).unwrap();
        let (_, rest) = text
            .split_once(r#"{"generationConfig":{"responseSchema":"#)
            .unwrap();
        rest.strip_suffix(r#"},"contents":[]}"#).unwrap().to_owned()
    }

    #[test]
    fn google_schemas_become_json_schemas() {
        for (google, expected) in [
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"nullable":{"type":"BOOLEAN"}},"property_ordering":["type"],"required":["type"]}"#,
                r#"{"type":"object","properties":{"type":{"type":["string","null"]},"nullable":{"type":"boolean"}},"required":["type"],"additionalProperties":false}"#,
            ),
            (
                r#"{"properties":{},"additional_properties":{"type":"STRING"}}"#,
                r#"{"properties":{},"additionalProperties":{"type":"string"}}"#,
            ),
            (
                r#"{ "nullable": false, "type": "ARRAY", "max_items": "9007199254740993", "items": {"any_of": [{"type":"INTEGER"},{"type":"string"}]} }"#,
                r#"{"type":"array","maxItems":9007199254740993,"items":{"anyOf":[{"type":"integer"},{"type":"string"}]}}"#,
            ),
            (
                r#"{"type":"STRING","format":"enum","enum":["a","b" ],"nullable":true}"#,
                r#"{"type":["string","null"],"enum":["a","b" ,null]}"#,
            ),
            (r#"{"format":"enum"}"#, "{}"),
            ("7", "7"),
        ] {
            assert_eq!(written(google), expected);
        }
    }

    #[test]
    fn a_deep_schema_costs_no_stack_and_a_long_one_is_refused() {
        let nested = |levels: usize| {
            r#"{"type":"ARRAY","items":"#.repeat(levels) + "{}" + &"}".repeat(levels)
        };
        assert_eq!(written(&nested(40)), nested(40).replace("ARRAY", "array"));
        let kept = written(&nested(60));
        assert_eq!(kept.matches("ARRAY").count(), 60 - DEPTH_MAX);
        let long = format!(
            r#"{{"generationConfig":{{"response_schema":{}}}}}"#,
            nested(20_000)
        );
        let error = with_json_schemas(long.as_bytes()).unwrap_err();
        assert_eq!(error.field(), Some("generationConfig.responseSchema"));
    }
}
