//! A JSON Schema as structured output at Anthropic and on Amazon Bedrock takes it.
//!
//! Both refuse bounds and lengths, texts of most formats, and objects that do not say that they have no further properties
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>). The helpers of OpenAI's and Google's SDKs write
//! such bounds for every integer. So what is refused moves into the description, where the model sees it, as Anthropic's own
//! SDKs do; an object is closed, which leaves every answer valid that there can be; and `oneOf` becomes `anyOf`. A caller who
//! checks the answer against the schema, as those helpers do, notices a bound that was not heeded.
//!
//! A schema that needs no change stays the bytes it was. What cannot be said otherwise (`not`, properties of any name) stays,
//! and the provider refuses it. Not here: the schemas of tools, which both take as they are.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::read::{self, Kind, Raw, Text};

/// The longest schema that is changed. Each level is read once more than the one above it.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// How deep a schema is followed.
const DEPTH_MAX: usize = 48;
/// What moves into the description.
const BOUNDS: [&str; 13] = [
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "contains",
    "propertyNames",
    "uniqueItems",
];
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// The schema, or another that has the same answers and more.
pub(super) fn closed(schema: Raw<'_>) -> Cow<'_, RawValue> {
    if schema.get().len() > SCHEMA_BYTES_MAX {
        return Cow::Borrowed(schema);
    }
    let mut writer = Writer::default();
    writer.schema(schema, DEPTH_MAX);
    match RawValue::from_string(writer.out) {
        Ok(written) if writer.is_changed => Cow::Owned(written),
        _ => Cow::Borrowed(schema),
    }
}

#[derive(Default)]
struct Writer {
    out: String,
    is_changed: bool,
}

/// What one level of a schema says that decides how it is written.
#[derive(Default)]
struct Level {
    is_object: bool,
    is_said_closed: bool,
    has_any_of: bool,
    description: String,
    /// What moves into the description, as `name: value`.
    notes: Vec<String>,
}

impl Level {
    /// `None` for what is no object that can be read.
    fn read(raw: Raw) -> Option<Self> {
        if read::kind(raw) != Kind::Object {
            return None;
        }
        let mut level = Self::default();
        let outcome = read::each_field(raw, &mut |name, value| match name {
            "type" => level.is_object |= value.get().contains("\"object\""),
            "properties" => level.is_object = true,
            // True is the default. What names a schema is not ours to close.
            "additionalProperties" => level.is_said_closed = value.get() != "true",
            "anyOf" => level.has_any_of = true,
            "description" => level.description = text(value),
            _ if is_refused(name, value) => level.notes.push(format!("{name}: {}", value.get())),
            _ => {}
        });
        outcome.ok().map(|()| level)
    }

    fn is_open(&self) -> bool {
        self.is_object && !self.is_said_closed
    }
}

fn is_refused(name: &str, value: Raw) -> bool {
    match name {
        "minItems" => !matches!(value.get(), "0" | "1"),
        "format" => !FORMATS.contains(&text(value).as_str()),
        name => BOUNDS.contains(&name),
    }
}

fn text(raw: Raw) -> String {
    let read: Option<Text> = serde_json::from_str(raw.get()).ok();
    read.map(|text| text.0.into_owned()).unwrap_or_default()
}

impl Writer {
    fn schema(&mut self, raw: Raw, depth: usize) {
        let Some(level) = Level::read(raw).filter(|_| depth > 0) else {
            self.out.push_str(raw.get());
            return;
        };
        self.out.push('{');
        // What does not parse does not come here.
        let _ = read::each_field(raw, &mut |name, value| {
            self.field(name, value, &level, depth);
        });
        if !level.notes.is_empty() {
            let gap = if level.description.is_empty() {
                ""
            } else {
                "\n\n"
            };
            let notes = level.notes.join(", ");
            let words = format!("{}{gap}{{{notes}}}", level.description);
            self.key("description");
            self.out
                .push_str(&serde_json::to_string(&words).unwrap_or_default());
            self.is_changed = true;
        }
        if level.is_open() {
            self.key("additionalProperties");
            self.out.push_str("false");
            self.is_changed = true;
        }
        self.out.push('}');
    }

    fn field(&mut self, name: &str, value: Raw, level: &Level, depth: usize) {
        let is_rewritten = name == "description" && !level.notes.is_empty();
        let is_opening = name == "additionalProperties" && level.is_open();
        if is_rewritten || is_opening || is_refused(name, value) {
            return;
        }
        match name {
            // It names the language and says nothing of the answer.
            "$schema" => self.is_changed = true,
            "oneOf" if !level.has_any_of => {
                self.is_changed = true;
                self.key("anyOf");
                self.list(value, depth);
            }
            "anyOf" | "allOf" => {
                self.key(name);
                self.list(value, depth);
            }
            "items" => {
                self.key(name);
                self.schema(value, depth.saturating_sub(1));
            }
            "properties" | "$defs" | "definitions" => {
                self.key(name);
                self.members(value, depth);
            }
            name => {
                self.key(name);
                self.out.push_str(value.get());
            }
        }
    }

    fn members(&mut self, raw: Raw, depth: usize) {
        if read::kind(raw) != Kind::Object {
            self.out.push_str(raw.get());
            return;
        }
        self.out.push('{');
        let _ = read::each_field(raw, &mut |name, value| {
            self.key(name);
            self.schema(value, depth.saturating_sub(1));
        });
        self.out.push('}');
    }

    fn list(&mut self, raw: Raw, depth: usize) {
        if read::kind(raw) != Kind::Array {
            self.out.push_str(raw.get());
            return;
        }
        self.out.push('[');
        let _ = read::each(raw, format_args!("anyOf"), &mut |index, raw| {
            if index > 0 {
                self.out.push(',');
            }
            self.schema(raw, depth.saturating_sub(1));
            Ok(())
        });
        self.out.push(']');
    }

    fn key(&mut self, name: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out
            .push_str(&serde_json::to_string(name).unwrap_or_default());
        self.out.push(':');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(schema: &str) -> String {
        let raw: Raw = serde_json::from_str(schema).unwrap();
        closed(raw).get().to_owned()
    }

    #[test]
    fn what_is_refused_moves_into_the_description_and_objects_are_closed() {
        for (schema, expected) in [
            (
                r#"{"type":"integer","minimum":1,"description":"Years.","maximum":5}"#,
                r#"{"type":"integer","description":"Years.\n\n{minimum: 1, maximum: 5}"}"#,
            ),
            (
                r#"{"$schema":"x","type":"object","properties":{"a":{"type":["object","null"]}}}"#,
                r#"{"type":"object","properties":{"a":{"type":["object","null"],"additionalProperties":false}},"additionalProperties":false}"#,
            ),
            (
                r#"{"oneOf":[{"type":"string","format":"iri"},{"type":"array","items":{"maxLength":2},"minItems":2}]}"#,
                r#"{"anyOf":[{"type":"string","description":"{format: \"iri\"}"},{"type":"array","items":{"description":"{maxLength: 2}"},"description":"{minItems: 2}"}]}"#,
            ),
            (
                r#"{"$defs":{"a":{"additionalProperties":true,"properties":{}}}}"#,
                r#"{"$defs":{"a":{"properties":{},"additionalProperties":false}}}"#,
            ),
        ] {
            assert_eq!(written(schema), expected);
        }
    }

    #[test]
    fn what_needs_no_change_stays_the_bytes_it_was() {
        for schema in [
            r#"{ "type" : "object", "properties":{"minimum":{"type":"array","minItems":1}},"additionalProperties":false}"#,
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"type":"string","format":"date","pattern":"a+","enum":["\u0061"]}"#,
            "true",
            r#"{"anyOf":7,"$defs":[],"items":null}"#,
        ] {
            assert_eq!(written(schema), schema);
        }
    }

    #[test]
    fn a_deep_schema_is_followed_so_far_and_no_further() {
        let deep = format!(
            "{}{{\"minimum\":1}}{}",
            r#"{"items":"#.repeat(100),
            "}".repeat(100)
        );
        assert_eq!(written(&deep), deep);
    }
}
