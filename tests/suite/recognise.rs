//! A body is known by its fields: every good request of `tests/dialects/` as its own dialect's, but for those of Anthropic's
//! that say nothing which chat completions do not say in the same words.

use std::fs;

use waypost::dialects::{self, ClientDialect};

use super::dialects::place;
use super::expect::{Report, inputs};

/// Requests of Anthropic's with plain messages, and settings that both dialects have or that providers of either take.
const PLAIN: [&str; 7] = [
    "metadata",
    "multi_turn",
    "sampling",
    "sampling.out_of_range",
    "splice",
    "stop_and_limits.max_tokens_zero",
    "text",
];

#[test]
fn a_body_is_known_by_its_fields() {
    let mut report = Report::default();
    for client in ClientDialect::ALL {
        for (name, path) in inputs(&place(client.into()), ".request.json") {
            let body = fs::read(&path).unwrap();
            if name.starts_with("bad.") || dialects::outline(client, &body).is_err() {
                continue;
            }
            let known = dialects::recognise(None, None, &body).unwrap();
            let is_plain = client == ClientDialect::Anthropic && PLAIN.contains(&name.as_str());
            let own = if is_plain {
                ClientDialect::OpenaiChat
            } else {
                client
            };
            let what = format!("{} {name}", client.name());
            report.same(&what, own.name(), known.name());
        }
    }
}

#[test]
fn what_is_said_comes_before_what_is_shown() {
    let body = br#"{"contents":[]}"#;
    let gemini = ClientDialect::Gemini;
    let anthropic = ClientDialect::Anthropic;
    assert_eq!(dialects::recognise(None, None, body), Ok(gemini));
    assert_eq!(
        dialects::recognise(None, Some(anthropic), body),
        Ok(anthropic)
    );
    let named = dialects::recognise(Some("openai-responses"), Some(anthropic), body);
    assert_eq!(named, Ok(ClientDialect::OpenaiResponses));
    let unknown = dialects::recognise(Some("latin"), None, body).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "`dialect`: expected one of openai-chat, anthropic, openai-responses, gemini"
    );
}

#[test]
fn fields_of_two_dialects_are_a_mistake() {
    for (body, field, other) in [
        (r#"{"messages":[],"input":"hi"}"#, "input", "messages"),
        (r#"{"contents":[],"messages":[]}"#, "contents", "messages"),
        (r#"{"contents":[],"input":[]}"#, "contents", "input"),
        (
            r#"{"messages":[],"system":"x","stop":"y"}"#,
            "system",
            "stop",
        ),
        (
            r#"{"messages":[{"tool_calls":[],"content":[{"type":"tool_use"}]}]}"#,
            "messages[].tool_calls",
            "messages[].content[].type",
        ),
    ] {
        let error = dialects::recognise(None, None, body.as_bytes()).unwrap_err();
        assert_eq!(error.field(), Some(field), "{body}");
        assert!(
            error
                .to_string()
                .contains(&format!("`{other}` is another's")),
            "{error}"
        );
    }
}

#[test]
fn what_shows_nothing_is_for_chat_completions_to_judge() {
    for body in [
        "",
        "7",
        "[]",
        r#"{"model":"x"}"#,
        r#"{"messages":7,"tools":{}}"#,
        r#"{"messages":[7,{"content":[7]}],"input":null,"system":null}"#,
    ] {
        let known = dialects::recognise(None, None, body.as_bytes());
        assert_eq!(known, Ok(ClientDialect::OpenaiChat), "{body}");
    }
}
