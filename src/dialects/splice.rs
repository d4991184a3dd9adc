//! A request for a provider that speaks the client's own dialect: the client's bytes, but for named edits.
//!
//! The edits are the value of `model`; `stream` where the provider is asked otherwise than the client asked;
//! where a broken answer is carried on, its beginning behind the last message and the limit of its rest; for
//! `openai-chat`, `stream_options.include_usage`, because without it a stream tells no usage; what is said
//! to the router alone, which is removed: `waypost`, `models`, and a `provider` that is an object; and what the
//! provider's quirks name (`quirk.rs`), down to single blocks of messages. Gemini's URL says what elsewhere `model` and `stream` say, so there both are
//! removed. Every other byte stays: white space, the order of keys, escapes, integers
//! beyond 2^53. Rebuilding the body would lose all of these, and with them the provider's prompt cache.
//!
//! One scan finds where each top-level field lies. A key is compared as JSON reads it, so `mod\u0065l` is
//! `model`; a key that comes twice is edited twice, so that no parser can see the other value.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer as _, MapAccess, Visitor};

use super::anthropic::remove_unsigned;
use super::openai_chat::{join_texts, shorten_ids};
use super::outline::too_many_fields;
use super::read::{self, FIELDS_MAX, Kind, Raw, Text};
use super::{ClientDialect, Prefill, Quirk, Quirks, Shape};
use crate::chat::RequestError;
use crate::units::Tokens;

const INCLUDE_USAGE: &str = "include_usage";

/// What the longest answer is called; the newer name wins, as in the outline.
const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

type MessageEdit = fn(&str, Raw, &mut Vec<Edit>) -> Result<(), RequestError>;

/// What a quirk changes within messages.
const MESSAGE_EDITS: [(Quirk, MessageEdit); 3] = [
    (Quirk::NoUnsignedThoughts, remove_unsigned),
    (Quirk::NoTextParts, join_texts),
    (Quirk::ShortCallIds, shorten_ids),
];

/// Where a field lies in the body.
pub(super) struct Field<'a> {
    pub key: std::borrow::Cow<'a, str>,
    key_span: Range<usize>,
    /// From the key's first quote to the value's last byte.
    pub span: Range<usize>,
    pub value: Raw<'a>,
    value_span: Range<usize>,
}

pub(super) struct Edit {
    pub span: Range<usize>,
    pub with: String,
}

/// The body to send.
pub(super) fn splice(
    dialect: ClientDialect,
    body: &[u8],
    shape: &Shape,
) -> Result<Vec<u8>, RequestError> {
    let text = read::utf8(body)?;
    let fields = fields(text, 0, "body")?;
    let quirks = shape.quirks.of(dialect.into());
    let mut edits = Vec::new();
    let mut inserts = String::new();
    if dialect != ClientDialect::Gemini {
        let model = quoted(shape.model);
        set(&fields, "model", &model, &mut edits, &mut inserts);
        edit_stream(&fields, shape, &mut edits, &mut inserts);
    }
    let limit = limit(&fields);
    let removed = removed(&fields, dialect, shape, quirks, limit);
    if let Some(prefill) = shape.prefill {
        begin_answer(dialect, &fields, &removed, &prefill, &mut edits)?;
    }
    if let (Some(name), Some(limit)) = (quirks.limit_name(), limit) {
        rename(limit, name, &mut edits);
    }
    if quirks.has(Quirk::NoDeveloperRole) {
        rename_developers(text, &fields, &mut edits)?;
    }
    for messages in fields.iter().filter(|field| field.key == "messages") {
        for (quirk, edit) in MESSAGE_EDITS {
            if quirks.has(quirk) {
                edit(text, messages.value, &mut edits)?;
            }
        }
    }
    if dialect == ClientDialect::OpenaiChat && !quirks.has(Quirk::NoStreamUsage) {
        edit_stream_options(&fields, shape, &mut edits, &mut inserts)?;
    }
    let is_followed = removed.contains(&false);
    remove(&fields, &removed, &mut edits);
    insert(text, 0, inserts, is_followed, &mut edits);
    Ok(apply(text, edits))
}

/// The body of another endpoint than a conversation's: its model, and nothing that is said to the router alone.
pub(super) fn splice_model(body: &[u8], model: &str) -> Result<Vec<u8>, RequestError> {
    let text = read::utf8(body)?;
    let fields = fields(text, 0, "body")?;
    let mut edits = Vec::new();
    let mut inserts = String::new();
    set(&fields, "model", &quoted(model), &mut edits, &mut inserts);
    let removed: Vec<bool> = fields.iter().map(is_ours).collect();
    remove(&fields, &removed, &mut edits);
    insert(text, 0, inserts, removed.contains(&false), &mut edits);
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

/// Puts the beginning of the answer behind the last message, and takes its length off the limit of the rest.
fn begin_answer(
    dialect: ClientDialect,
    fields: &[Field],
    removed: &[bool],
    prefill: &Prefill,
    edits: &mut Vec<Edit>,
) -> Result<(), RequestError> {
    let kept = fields.iter().zip(removed).filter(|(_, gone)| !**gone);
    for (field, _) in kept {
        let end = field.value_span.end.saturating_sub(1);
        match &*field.key {
            "contents" if dialect == ClientDialect::Gemini => edits.push(Edit {
                span: end..end,
                with: format!(
                    ",{{\"role\":\"model\",\"parts\":[{{\"text\":{}}}]}}",
                    quoted(prefill.text)
                ),
            }),
            "generationConfig" | "generation_config" if dialect == ClientDialect::Gemini => {
                let start = field.value_span.start;
                let config = self::fields(field.value.get(), start, "generationConfig")?;
                edits.extend(config.iter().filter_map(|limit| shorten(limit, prefill)));
            }
            _ if dialect == ClientDialect::Gemini => {}
            "messages" if dialect != ClientDialect::OpenaiResponses => edits.push(Edit {
                span: end..end,
                with: format!(",{}", begun(prefill)),
            }),
            "input" if dialect == ClientDialect::OpenaiResponses => {
                edits.extend(begin_after_input(field, prefill));
            }
            _ => edits.extend(shorten(field, prefill)),
        }
    }
    Ok(())
}

/// Takes the length of what is there off the limit of the answer, if this is one.
fn shorten(field: &Field, prefill: &Prefill) -> Option<Edit> {
    let is_limit = matches!(
        &*field.key,
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" | "maxOutputTokens"
    );
    let limit = serde_json::from_str(field.value.get()).ok();
    let limit = limit.filter(|_| is_limit)?;
    Some(Edit {
        span: field.value_span.clone(),
        with: prefill.rest(Tokens(limit)).0.to_string(),
    })
}

/// The field that limits the answer. One that is null says nothing.
fn limit<'f, 'a>(fields: &'f [Field<'a>]) -> Option<&'f Field<'a>> {
    let said = |name: &&str| {
        let mut found = fields.iter().filter(|field| field.key == **name);
        found.find(|field| read::kind(field.value) != Kind::Null)
    };
    LIMITS.iter().find_map(said)
}

fn rename(field: &Field, name: &str, edits: &mut Vec<Edit>) {
    if field.key != name {
        edits.push(Edit {
            span: field.key_span.clone(),
            with: quoted(name),
        });
    }
}

/// Makes system messages of developer messages.
fn rename_developers(
    text: &str,
    fields: &[Field],
    edits: &mut Vec<Edit>,
) -> Result<(), RequestError> {
    for messages in fields.iter().filter(|field| field.key == "messages") {
        // Spelt with an escape it is the same word.
        let raw = messages.value.get();
        if !raw.contains("developer") && !raw.contains("\\u") {
            continue;
        }
        read::each(
            messages.value,
            format_args!("messages"),
            &mut |index, message| {
                let start = message.get().as_ptr().addr() - text.as_ptr().addr();
                let what = format!("messages[{index}]");
                for field in self::fields(message.get(), start, &what)? {
                    let is_developer = || key_text(field.value) == "developer";
                    if field.key == "role" && is_developer() {
                        edits.push(Edit {
                            span: field.value_span,
                            with: quoted("system"),
                        });
                    }
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// The message with the beginning of the answer.
fn begun(prefill: &Prefill) -> String {
    format!(
        "{{\"role\":\"assistant\",\"content\":{}}}",
        quoted(prefill.text)
    )
}

/// A string is the text of one message of the user's; behind it, or behind the last of the items, goes the beginning.
fn begin_after_input(field: &Field, prefill: &Prefill) -> Option<Edit> {
    let begun = begun(prefill);
    let end = field.value_span.end;
    match read::kind(field.value) {
        Kind::Text => Some(Edit {
            span: field.value_span.clone(),
            with: format!(
                "[{{\"role\":\"user\",\"content\":{}}},{begun}]",
                field.value.get()
            ),
        }),
        Kind::Array => Some(Edit {
            span: end.saturating_sub(1)..end.saturating_sub(1),
            with: format!(",{begun}"),
        }),
        _ => None,
    }
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
fn removed(
    fields: &[Field],
    dialect: ClientDialect,
    shape: &Shape,
    quirks: Quirks,
    limit: Option<&Field>,
) -> Vec<bool> {
    let has_options = matches!(
        dialect,
        ClientDialect::OpenaiChat | ClientDialect::OpenaiResponses
    );
    let no_options = has_options && !shape.is_streaming && is_streaming(fields);
    let no_options = no_options || quirks.has(Quirk::NoStreamUsage);
    let is_removed = |field: &Field| match &*field.key {
        "model" | "stream" => dialect == ClientDialect::Gemini,
        "stream_options" => no_options,
        "parallel_tool_calls" => {
            quirks.has(Quirk::NoParallelToolCalls) && field.value.get() != "false"
        }
        name if LIMITS.contains(&name) => quirks.limit_name().is_some_and(|known| match limit {
            Some(limit) => field.span != limit.span,
            None => name != known,
        }),
        _ => is_ours(field),
    };
    fields.iter().map(is_removed).collect()
}

/// Whether it is the client's word to us alone, as the outline took it.
fn is_ours(field: &Field) -> bool {
    match &*field.key {
        "waypost" | "models" => true,
        "provider" => read::kind(field.value) == Kind::Object,
        _ => false,
    }
}

/// Removes fields, each with the comma after it, or, behind the last one that stays, with the comma before it.
pub(super) fn remove(fields: &[Field], removed: &[bool], edits: &mut Vec<Edit>) {
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

pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> Vec<u8> {
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
pub(super) fn fields<'a>(
    text: &'a str,
    start: usize,
    what: &str,
) -> Result<Vec<Field<'a>>, RequestError> {
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
                if fields.len() > FIELDS_MAX {
                    continue;
                }
                let value_span = place(value);
                let key_span = place(key);
                fields.push(Field {
                    span: key_span.start..value_span.end,
                    key: key_text(key),
                    key_span,
                    value,
                    value_span,
                });
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields(text, start));
    let fields = fields
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| {
            if error.is_data() {
                read::invalid(format_args!("{what}"), "an object")
            } else {
                read::not_json(&error)
            }
        })?;
    if fields.len() > FIELDS_MAX {
        return Err(too_many_fields(what));
    }
    Ok(fields)
}

/// A key with a broken escape is no key of ours, and neither is what is no text.
fn key_text(key: Raw<'_>) -> std::borrow::Cow<'_, str> {
    Text::deserialize(&mut serde_json::Deserializer::from_str(key.get()))
        .map(|text| text.0)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Features;
    use super::*;

    const MODEL: &str = "the \"model\"";

    fn shape(is_streaming: bool) -> Shape<'static> {
        Shape {
            model: MODEL,
            is_streaming,
            answer_tokens_default: Tokens(1),
            prefill: None,
            quirks: Quirks::NONE,
            carried: Features::ALL,
        }
    }

    fn spliced(dialect: ClientDialect, body: &str, is_streaming: bool) -> String {
        let bytes = splice(dialect, body.as_bytes(), &shape(is_streaming)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_stream_that_the_client_wanted_whole_is_asked_for_and_back() {
        let chat = ClientDialect::OpenaiChat;
        let streamed = r#"{"stream":true,"stream_options":{"a":1},"model":"m"}"#;
        let whole = r#"{"stream":false,"model":"the \"model\""}"#;
        assert_eq!(spliced(chat, streamed, false), whole);
        assert_eq!(
            spliced(chat, r#"{"stream":null,"model":"m"}"#, true),
            r#"{"stream_options":{"include_usage":true},"stream":true,"model":"the \"model\""}"#
        );
        assert_eq!(
            spliced(
                ClientDialect::Anthropic,
                r#"{"model":"m","max_tokens":1}"#,
                true
            ),
            r#"{"stream":true,"model":"the \"model\"","max_tokens":1}"#
        );
    }

    #[test]
    fn an_answer_of_the_responses_api_is_carried_on_behind_its_input() {
        let carried_on = |body: &str| {
            let prefill = Prefill {
                text: "So \"far\"",
                tokens: Tokens(2),
            };
            let shape = Shape {
                prefill: Some(prefill),
                ..shape(false)
            };
            let bytes = splice(ClientDialect::OpenaiResponses, body.as_bytes(), &shape).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let begun = r#"{"role":"assistant","content":"So \"far\""}"#;
        assert_eq!(
            carried_on(r#"{"model":"m","input":"h\u0069","max_output_tokens":9}"#),
            format!(
                r#"{{"model":"the \"model\"","input":[{{"role":"user","content":"h\u0069"}},{begun}],"max_output_tokens":7}}"#
            )
        );
        assert_eq!(
            carried_on(r#"{"model":"m","input":[{"role":"user","content":"hi"} ],"messages":[]}"#),
            format!(
                r#"{{"model":"the \"model\"","input":[{{"role":"user","content":"hi"}} ,{begun}],"messages":[]}}"#
            )
        );
    }

    #[test]
    fn a_body_of_gemini_comes_out_as_its_client_wrote_it() {
        let address = "/v1beta/models/acme%2Fdemo:streamGenerateContent";
        let address = super::super::GeminiAddress::parse(address, "alt=sse").unwrap();
        for body in [
            "{}",
            " {\n} ",
            r#" { "contents" : [ {"parts":[{"text":"h\u0069"}]}], "x":9007199254740993 }"#,
        ] {
            let written = address.write_into(body.as_bytes()).unwrap();
            let written = String::from_utf8(written).unwrap();
            assert_eq!(spliced(ClientDialect::Gemini, &written, true), body);
        }
        let prefill = Prefill {
            text: "So \"far\"",
            tokens: Tokens(2),
        };
        let shape = Shape {
            prefill: Some(prefill),
            ..shape(true)
        };
        let body = r#"{"model":"m","stream":true,"contents":[{"parts":[]}],"generation_config":{"max_output_tokens":9}}"#;
        let bytes = splice(ClientDialect::Gemini, body.as_bytes(), &shape).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"contents":[{"parts":[]},{"role":"model","parts":[{"text":"So \"far\""}]}],"generation_config":{"max_output_tokens":7}}"#
        );
    }

    #[test]
    fn a_body_of_our_own_field_alone_stays_an_object() {
        let chat = ClientDialect::OpenaiChat;
        let model = r#""model":"the \"model\"""#;
        assert_eq!(
            spliced(chat, r#"{ "waypost" : 1 }"#, false),
            format!("{{{model}  }}")
        );
        assert_eq!(spliced(chat, "{}", false), format!("{{{model}}}"));
        assert_eq!(
            spliced(
                chat,
                r#"{"waypost":1,"model":1,"waypost":2,"waypost":3}"#,
                false
            ),
            format!("{{{model}}}")
        );
    }

    #[test]
    fn nesting_as_deep_as_the_body_is_long_is_only_passed_on() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let body = format!(r#"{{"model":"m","x":{deep}}}"#);
        assert!(spliced(ClientDialect::OpenaiChat, &body, false).ends_with(&format!("{deep}}}")));
    }

    fn space() -> impl Strategy<Value = String> {
        "[ \t\r\n]{0,2}"
    }

    /// Keys as clients may spell them, each with what it means.
    fn key() -> impl Strategy<Value = (String, String)> {
        let known = prop::sample::select(vec![
            (r#""model""#, "model"),
            (r#""mod\u0065l""#, "model"),
            (r#""\u0073tream""#, "stream"),
            (r#""stream""#, "stream"),
            (r#""stream_options""#, "stream_options"),
            (r#""waypost""#, "waypost"),
            (r#""way\u0070ost""#, "waypost"),
            (r#""provider""#, "provider"),
            (r#""models""#, "models"),
            (r#""model ""#, "model "),
            (r#""\"model\"""#, "\"model\""),
            (r#""""#, ""),
        ]);
        let known = known.prop_map(|(raw, key)| (raw.to_owned(), key.to_owned()));
        let any = "\\PC{0,6}".prop_map(|key| (quoted(&key), key));
        prop_oneof![3 => known, 1 => any]
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(vec![
                "null",
                "true",
                "false",
                "9007199254740993",
                "-0.10e+05",
                "{}",
                "[]",
                "\"\"",
                r#"{"include_usage": false,"include_\u0075sage" :1 , "b":[1]}"#,
                r#""\ud83d\ude00\\\"model\":1,{""#,
            ])
            .prop_map(str::to_owned),
            "\\PC{0,8}".prop_map(|text| quoted(&text)),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let pair = (key(), space(), inner.clone());
            let pairs = prop::collection::vec(pair, 0..3).prop_map(|pairs| {
                let pairs: Vec<_> = pairs
                    .into_iter()
                    .map(|((key, _), space, value)| format!("{key}{space}:{value}"))
                    .collect();
                format!("{{{}}}", pairs.join(","))
            });
            let items = prop::collection::vec(inner, 0..3);
            prop_oneof![
                pairs,
                items.prop_map(|items| format!("[{}]", items.join(" , ")))
            ]
        })
    }

    /// A top-level field: its key as spelt and as meant, what stands between, its value, and the space around.
    #[derive(Clone, Debug)]
    struct Written {
        before: String,
        key: (String, String),
        colon: String,
        value: String,
        after: String,
    }

    fn field() -> impl Strategy<Value = Written> {
        (space(), key(), space(), value(), space()).prop_map(
            |(before, key, colon, value, after)| {
                // Options of another type than an object are the outline's to refuse.
                let is_odd = key.1 == "stream_options" && !value.starts_with(['{', 'n']);
                Written {
                    before,
                    key,
                    colon: format!("{colon}:"),
                    value: if is_odd { "{}".to_owned() } else { value },
                    after,
                }
            },
        )
    }

    fn chunks(body: &str) -> Vec<(String, String)> {
        let fields = fields(body, 0, "body").unwrap();
        let chunks = fields.iter().map(|field| {
            let chunk = body.get(field.span.clone()).unwrap().to_owned();
            (field.key.clone().into_owned(), chunk)
        });
        chunks.collect()
    }

    /// What must become of a field's value.
    fn edited(field: &Written, is_streaming: bool, was_streaming: bool) -> String {
        match field.key.1.as_str() {
            "model" => quoted(MODEL),
            "stream" if is_streaming => "true".to_owned(),
            "stream" if was_streaming => "false".to_owned(),
            _ => field.value.clone(),
        }
    }

    proptest! {
        #[test]
        fn only_the_named_edits_are_made(
            written in prop::collection::vec(field(), 0..6),
            lead in space(),
            trail in space(),
            is_streaming: bool,
            dialect in prop::sample::select(ClientDialect::ALL.to_vec()),
        ) {
            let texts: Vec<_> = written.iter().map(|it| {
                let Written { before, key, colon, value, after } = it;
                format!("{before}{}{colon}{value}{after}", key.0)
            }).collect();
            let body = format!("{lead}{{{}}}{trail}", texts.join(","));
            let result = spliced(dialect, &body, is_streaming);

            let names = |name: &str| written.iter().any(|field| field.key.1 == name);
            let was_streaming = written.iter().any(|it| it.key.1 == "stream" && it.value == "true");
            let is_chat = dialect == ClientDialect::OpenaiChat;
            let has_options = is_chat && is_streaming;
            let is_gemini = dialect == ClientDialect::Gemini;
            let knows_options = is_chat || dialect == ClientDialect::OpenaiResponses;
            let drops_options = knows_options && !is_streaming && was_streaming;
            let mut expected = Vec::new();
            if !is_gemini && !names("model") {
                expected.push(("model".to_owned(), format!("\"model\":{}", quoted(MODEL))));
            }
            if !is_gemini && is_streaming && !names("stream") {
                expected.push(("stream".to_owned(), "\"stream\":true".to_owned()));
            }
            if has_options && !names("stream_options") {
                let options = "\"stream_options\":{\"include_usage\":true}";
                expected.push(("stream_options".to_owned(), options.to_owned()));
            }
            for field in &written {
                let key = field.key.1.as_str();
                let is_ours = matches!(key, "waypost" | "models")
                    || (is_gemini && matches!(key, "model" | "stream"))
                    || (key == "provider" && field.value.starts_with('{'));
                if is_ours || (drops_options && key == "stream_options") {
                    continue;
                }
                let value = edited(field, is_streaming, was_streaming);
                expected.push((key.to_owned(), format!("{}{}{value}", field.key.0, field.colon)));
            }

            let found = chunks(&result);
            prop_assert_eq!(found.len(), expected.len(), "{}\n{}", body, result);
            for ((key, chunk), (expected_key, expected_chunk)) in found.iter().zip(&expected) {
                prop_assert_eq!(key, expected_key);
                if has_options && key == "stream_options" {
                    let (_, options) = chunk.split_once(':').unwrap();
                    let options = chunks(options);
                    for (key, chunk) in options {
                        prop_assert!(key != INCLUDE_USAGE || chunk.ends_with("true"), "{}", chunk);
                    }
                } else {
                    prop_assert_eq!(chunk, expected_chunk);
                }
            }
            let (head, tail) = (lead + "{", format!("{}{trail}", '}'));
            prop_assert!(result.starts_with(&head) && result.ends_with(&tail), "{}", result);
            let edits_nothing = !is_gemini && names("model")
                && written.iter().all(|it| it.value == edited(it, is_streaming, was_streaming))
                && !names("waypost") && !has_options && !drops_options
                && (!is_streaming || names("stream"));
            if edits_nothing {
                prop_assert_eq!(result, body);
            }
        }
    }
}
