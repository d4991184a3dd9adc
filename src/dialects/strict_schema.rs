//! Whether OpenAI's strict form takes a JSON Schema.
//!
//! It refuses a schema in which an object leaves a property out of `required`, or is open
//! (<https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>, 2026-11-22). Anthropic's form takes both, and
//! the helpers of its SDKs write such schemas for every optional field. So a schema that was strict there is strict at OpenAI where
//! it can be, and else the model is told of it and not held to it.

use super::read::{self, Kind, Raw};

/// How deep a schema is followed. Each level is read once more than the one above it.
const DEPTH_MAX: usize = 48;
/// A longer schema is not read for this.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Keywords that the strict form refuses.
const REFUSED: [&str; 10] = [
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "prefixItems",
];

pub(super) fn is_strict(schema: Raw) -> bool {
    schema.get().len() <= SCHEMA_BYTES_MAX && is_strict_within(schema, DEPTH_MAX)
}

fn is_strict_within(schema: Raw, depth: usize) -> bool {
    if read::kind(schema) != Kind::Object {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let (mut is_object, mut is_closed, mut is_sound) = (false, false, true);
    let (mut named, mut required) = (Vec::new(), Vec::new());
    let outcome = read::each_field(schema, &mut |name, value| match name {
        "type" => is_object |= value.get().contains("\"object\""),
        "additionalProperties" => is_closed = value.get() == "false",
        "properties" => {
            is_object = true;
            is_sound &= all(value, &mut |name, value| {
                named.push(name.to_owned());
                is_strict_within(value, depth)
            });
        }
        "$defs" | "definitions" => {
            is_sound &= all(value, &mut |_, value| is_strict_within(value, depth));
        }
        "required" => required = serde_json::from_str(value.get()).unwrap_or_default(),
        "items" => is_sound &= is_strict_within(value, depth),
        "anyOf" => {
            let each = read::each(value, format_args!("anyOf"), &mut |_, value| {
                is_sound &= is_strict_within(value, depth);
                Ok(())
            });
            is_sound &= each.is_ok();
        }
        name => is_sound &= !REFUSED.contains(&name),
    });
    let is_named = |name: &String| required.contains(name);
    let is_whole = !is_object || (is_closed && named.iter().all(is_named));
    outcome.is_ok() && is_sound && is_whole
}

/// Whether it is an object of which each field passes.
fn all(raw: Raw, is_good: &mut dyn FnMut(&str, Raw) -> bool) -> bool {
    let mut are_good = read::kind(raw) == Kind::Object;
    let outcome = read::each_field(raw, &mut |name, value| are_good &= is_good(name, value));
    are_good && outcome.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strict_schema_names_and_closes_all() {
        for (schema, expected) in [
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
                true,
            ),
            (
                r#"{"type":"object","properties":{},"additionalProperties":false}"#,
                true,
            ),
            (
                r#"{"type":"object","properties":{"a":{},"b":{}},"required":["a"],"additionalProperties":false}"#,
                false,
            ),
            (
                r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#,
                false,
            ),
            (
                r#"{"type":"array","items":{"type":["object","null"]}}"#,
                false,
            ),
            (
                r#"{"anyOf":[{"type":"string"},{"properties":{"a":{}}}]}"#,
                false,
            ),
            (
                r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"object"}}}"##,
                false,
            ),
            (
                r##"{"$ref":"#/$defs/a","$defs":{"a":{"enum":["object"],"type":"string"}}}"##,
                true,
            ),
            (r#"{"allOf":[]}"#, false),
            (r#"{"properties":7}"#, false),
            ("true", true),
        ] {
            let raw: Raw = serde_json::from_str(schema).unwrap();
            assert_eq!(is_strict(raw), expected, "{schema}");
        }
        let deep = r#"{"items":"#.repeat(90) + "{}" + &"}".repeat(90);
        assert!(!is_strict(serde_json::from_str(&deep).unwrap()));
    }
}
