//! The schema of a tool's arguments, for providers that demand one of an object.
//!
//! OpenAI takes a function without parameters, and its compatible providers take `{}` and schemas that do not say `type`. Anthropic,
//! and so Bedrock, refuse a tool whose schema is not of an object by name
//! (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use>, 2026-11-22; `input_schema.type: Field required`).
//! A function has no other arguments than an object's, so the word is added and nothing else is touched.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::read::{self, Kind, Raw};

/// Of a tool whose client gave none: no arguments.
const NONE: &str = r#"{"type":"object","properties":{}}"#;

/// The client's schema, of an object by name.
pub(super) fn arguments_schema(schema: Option<Raw<'_>>) -> Cow<'_, RawValue> {
    let Some(schema) = schema.filter(|schema| read::kind(schema) == Kind::Object) else {
        return owned(NONE.to_owned(), RawValue::NULL);
    };
    let (mut is_empty, mut is_typed) = (true, false);
    let outcome = read::each_field(schema, &mut |name, _| {
        is_empty = false;
        is_typed |= name == "type";
    });
    if is_typed || outcome.is_err() {
        return Cow::Borrowed(schema);
    }
    if is_empty {
        return owned(NONE.to_owned(), schema);
    }
    let fields = schema
        .get()
        .trim_start()
        .strip_prefix('{')
        .unwrap_or_default();
    owned(format!("{{\"type\":\"object\",{fields}"), schema)
}

fn owned(text: String, otherwise: Raw<'_>) -> Cow<'_, RawValue> {
    RawValue::from_string(text).map_or(Cow::Borrowed(otherwise), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_of_an_object_by_name() {
        for (given, expected) in [
            (None, NONE),
            (Some("{}"), NONE),
            (Some("{ }"), NONE),
            (
                Some(r#"{ "properties":{"type":{"type":"string"}}}"#),
                r#"{"type":"object", "properties":{"type":{"type":"string"}}}"#,
            ),
            (
                Some(r##"{"$ref":"#/$defs/a"}"##),
                r##"{"type":"object","$ref":"#/$defs/a"}"##,
            ),
            (Some(r#"{ "type" : "object"}"#), r#"{ "type" : "object"}"#),
            (Some(r#"{"type":["object"]}"#), r#"{"type":["object"]}"#),
        ] {
            let given: Option<Raw> = given.map(|given| serde_json::from_str(given).unwrap());
            assert_eq!(arguments_schema(given).get(), expected);
        }
    }
}
