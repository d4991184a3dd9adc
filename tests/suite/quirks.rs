//! `tests/quirks/`: what a provider with a quirk is sent.
//!
//! A fixture is `<quirk>.<variant>.<client's dialect>.request.json`; beside it lies `.sent.json`, the very bytes where
//! the client speaks the provider's dialect, which is the quirk's. Every quirk has fixtures of all clients.

use std::fs;

use serde_json::Value;
use waypost::config::{Catalogue, Route};
use waypost::dialects::{ClientDialect, Features, Quirk, Quirks, Shape, encode_request, outline};
use waypost::providers::{MODELS, PROVIDERS};
use waypost::units::Tokens;

use super::expect::{Report, folder, inputs};

#[test]
fn providers_with_quirks_are_sent_what_they_take() {
    let mut report = Report::default();
    for (name, quirk) in Quirk::NAMES {
        for client in ClientDialect::ALL {
            let suffix = format!(".{}.request.json", client.name());
            let found = inputs(&folder("quirks"), &suffix);
            let own = found
                .iter()
                .filter(|(it, _)| it.split('.').next() == Some(name));
            assert!(own.clone().count() > 0, "no fixture {name}…{suffix}");
            for (variant, path) in own {
                let body = fs::read(path).unwrap();
                let quirks = Quirks::NONE.with(quirk);
                let provider = quirk.dialect();
                let shape = Shape {
                    model: "m",
                    is_streaming: outline(client, &body).unwrap().is_streaming,
                    answer_tokens_default: Tokens(4096),
                    prefill: None,
                    quirks,
                    carried: provider.carries_to("m", quirks),
                };
                let sent = encode_request(client, provider, &body, &shape).unwrap();
                let sent = if provider == client.into() {
                    sent.body
                } else {
                    pretty(&sent.body)
                };
                let expected = format!("{variant}.{}.sent.json", client.name());
                report.compare(&path.with_file_name(expected), &sent);
            }
        }
    }
}

fn pretty(body: &[u8]) -> Vec<u8> {
    let tree: Value = serde_json::from_slice(body).unwrap();
    (serde_json::to_string_pretty(&tree).unwrap() + "\n").into_bytes()
}

#[test]
fn other_dialects_heed_no_quirk() {
    let bodies = [
        (
            ClientDialect::Anthropic,
            r#"{"model":"r","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        ),
        (
            ClientDialect::OpenaiResponses,
            r#"{"model":"r","max_output_tokens":9,"stream":true,"input":[{"role":"developer","content":"hi"}]}"#,
        ),
        (
            ClientDialect::Gemini,
            r#"{"model":"r","stream":true,"contents":[{"parts":[]}],"max_tokens":9,"parallel_tool_calls":true}"#,
        ),
    ];
    let add = |quirks: Quirks, (_, quirk): &(&str, Quirk)| quirks.with(*quirk);
    let all = Quirk::NAMES.iter().fold(Quirks::NONE, add);
    let sent = |quirks| {
        let shape = Shape {
            model: "m",
            is_streaming: true,
            answer_tokens_default: Tokens(9),
            prefill: None,
            quirks,
            carried: Features::ALL,
        };
        bodies
            .map(|(dialect, body)| encode_request(dialect, dialect.into(), body.as_bytes(), &shape))
    };
    assert_eq!(sent(all), sent(Quirks::NONE));
}

#[test]
fn a_models_quirks_stand_for_its_providers() {
    let entry = r#"{"providers": {"p": {"dialect": "openai-chat", "base_url": "https://x.example", "quirks": ["no_stream_usage"]}},
        "models": {"p/plain": {"quirks": []}, "p/new": {"quirks": ["max_completion_tokens"]}}}"#;
    let catalogue = Catalogue::parse(entry).unwrap().value;
    let quirks = |model: &str| {
        let target = format!(r#"{{"targets": [{{"provider": "p", "model": "{model}"}}]}}"#);
        let route = Route::parse("r", &target, &catalogue).unwrap().value;
        route.targets[0].quirks()
    };
    assert_eq!(quirks("other"), Quirks::NONE.with(Quirk::NoStreamUsage));
    assert_eq!(quirks("plain"), Quirks::NONE);
    assert_eq!(quirks("new"), Quirks::NONE.with(Quirk::MaxCompletionTokens));
}

/// A built-in row is no better than one that a team writes: the reader takes it.
#[test]
fn built_in_rows_are_valid_entries() {
    let catalogue = Catalogue::default();
    for row in PROVIDERS {
        let known = catalogue.provider(row.name);
        if row.base_url.is_empty() {
            assert!(known.is_none(), "{}", row.name);
            let bare = format!(r#"{{"providers": {{"{}": {{}}}}}}"#, row.name);
            let problems = Catalogue::parse(&bare).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            let url = r#""base_url": "https://x.example""#;
            let placed = bare.replace("{}", &format!("{{{url}}}"));
            let placed = Catalogue::parse(&placed).unwrap().value;
            let provider = placed.provider(row.name).unwrap();
            assert_eq!(provider.quirks, row.quirks);
            continue;
        }
        let entry = format!(
            r#"{{"providers": {{"{}": {{"base_url": "{}"}}}}}}"#,
            row.name, row.base_url
        );
        let read = Catalogue::parse(&entry).unwrap().value;
        assert_eq!(read.provider(row.name), known);
    }
    for row in MODELS {
        let (provider, model) = row.name.split_once('/').unwrap();
        let is_known = PROVIDERS.iter().any(|known| known.name == provider);
        assert!(is_known && !model.is_empty(), "{}", row.name);
        let price = row.price;
        for tier in [
            price.input,
            price.input_cached,
            price.cache_write,
            price.output,
        ] {
            assert!(tier.is_finite() && tier >= 0.0, "{}", row.name);
        }
    }
    assert!(PROVIDERS.is_sorted_by_key(|row| row.name));
    assert!(MODELS.is_sorted_by_key(|row| row.name));
}
