//! `docs/dialects.md` says of every feature what each dialect carries, and says what the code does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use waypost::config::{Catalogue, Route};
use waypost::dialects::{
    ClientDialect, Dialect, Endpoint, Feature, Quirks, Shape, encode_request, outline,
};
use waypost::units::Tokens;

use super::expect::Report;

/// The table's cells by feature and dialect.
fn table() -> BTreeMap<(String, String), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md");
    let text = fs::read_to_string(path).unwrap();
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("| feature |"));
    let mut lines = lines.take_while(|line| line.starts_with('|')).map(cells);
    let head = lines.next().unwrap();
    let rows = lines.skip(1).flat_map(|row| {
        let feature = row[0].trim_matches('`').to_owned();
        let cells = head.iter().zip(row).skip(2);
        let cells = cells.map(move |(dialect, cell)| ((feature.clone(), dialect.clone()), cell));
        cells.collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn the_table_of_features_is_what_dialects_carry() {
    let mut report = Report::default();
    let mut told = table();
    for feature in Feature::ALL {
        for dialect in Dialect::ALL {
            let fate = match (dialect.carries().has(*feature), feature.is_essential()) {
                (true, _) => "carried",
                (false, true) => "no candidate",
                (false, false) => "dropped",
            };
            let place = (feature.name().to_owned(), dialect.name().to_owned());
            let cell = told.remove(&place).unwrap_or_default();
            report.same(&format!("{place:?} in docs/dialects.md"), fate, &cell);
        }
    }
    for place in told.keys() {
        report.problem(format!("{place:?} in docs/dialects.md is nothing we know"));
    }
}

#[test]
fn what_some_models_alone_take_goes_to_those_whose_abilities_name_it() {
    let catalogue = r#"{"providers": {"bedrock": {"base_url": "https://b.example"}, "vertex": {"base_url": "https://v.example"}}}"#;
    let catalogue = Catalogue::parse(catalogue).unwrap().value;
    let carries = |provider: &str, can: &str, feature| {
        let target = format!(r#"{{"provider": "{provider}", "model": "m", "can": [{can}]}}"#);
        let route = format!(r#"{{"targets": [{target}]}}"#);
        let route = Route::parse("r", &route, &catalogue).unwrap().value;
        let client = Some(ClientDialect::OpenaiResponses);
        route.targets[0]
            .carries(client, Endpoint::Chat)
            .has(feature)
    };
    for (providers, ability, feature) in [
        (
            &["gemini", "mistral"][..],
            r#""reasoning""#,
            Feature::ReasoningEffort,
        ),
        (&["gemini", "vertex"], r#""logprobs""#, Feature::Logprobs),
        (
            &["gemini", "bedrock"],
            r#""service_tiers""#,
            Feature::ServiceTier,
        ),
    ] {
        for provider in providers {
            assert!(!carries(provider, "", feature), "{provider}: {feature:?}");
            assert!(
                carries(provider, ability, feature),
                "{provider}: {feature:?}"
            );
        }
    }
    assert!(carries("mistral", "", Feature::Logprobs));
    assert!(carries("mistral", "", Feature::ServiceTier));
    assert!(carries("vertex", "", Feature::Metadata));
    assert!(!carries("gemini", "", Feature::Metadata));
}

/// What a model is sent of how its answer's tokens shall be drawn, and what is named as dropped.
#[test]
fn a_model_is_told_how_to_draw_as_far_as_it_can_be() {
    let asked = [("0.5", "0.9", "9"), ("1", "0.9", "9"), ("0.5", "1.0", "9")];
    let all = ["sampling", "top_p", "top_k"];
    let expected = [
        (
            "claude-sonnet-4-0",
            [
                ("0.5 0.9 9", vec![]),
                ("1.0 0.9 9", vec![]),
                ("0.5 1.0 9", vec![]),
            ],
        ),
        (
            "claude-sonnet-4-5",
            [
                ("0.5 - 9", vec!["top_p"]),
                ("- 0.9 9", vec![]),
                ("0.5 - 9", vec![]),
            ],
        ),
        (
            "claude-opus-4-7",
            [
                ("- - -", all.to_vec()),
                ("- - -", vec!["sampling", "top_k"]),
                ("- - -", vec!["sampling", "top_k"]),
            ],
        ),
    ];
    for (model, outcomes) in expected {
        for ((temperature, top_p, top_k), (sent, dropped)) in asked.iter().zip(outcomes) {
            let body = format!(
                r#"{{"model": "r", "top_p": {top_p}, "temperature": {temperature}, "top_k": {top_k}, "messages": [{{"role": "user", "content": "hi"}}]}}"#
            );
            let client = ClientDialect::OpenaiChat;
            let carried = Dialect::Anthropic.carries_to(model, Quirks::NONE);
            let shape = Shape {
                model,
                is_streaming: false,
                answer_tokens_default: Tokens(9),
                prefill: None,
                quirks: Quirks::NONE,
                carried,
            };
            let body = body.as_bytes();
            let wire = encode_request(client, Dialect::Anthropic, body, &shape).unwrap();
            let wire: Value = serde_json::from_slice(&wire.body).unwrap();
            let told = ["temperature", "top_p", "top_k"]
                .map(|name| wire.get(name).map_or("-".to_owned(), Value::to_string));
            assert_eq!(told.join(" "), sent, "{model}");
            let asks = outline(client, body).unwrap().asks;
            let named: BTreeSet<_> = asks
                .dropped(carried)
                .map(|ask| ask.feature.name())
                .collect();
            assert_eq!(named, dropped.into_iter().collect(), "{model}");
        }
    }
}
