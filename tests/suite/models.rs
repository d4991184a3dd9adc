//! `tests/models/`: what a model's name changes in what it is sent.
//!
//! A fixture is `<case>.request.json`: a client's request, its dialect and the target's, names of models, and quirks if they have
//! any. Beside it lies `.sent`, what each of them is sent, or why it is sent nothing.

use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;
use serde_json::Value;
use waypost::dialects::{ClientDialect, Dialect, Quirk, Quirks, Shape, encode_request};
use waypost::units::Tokens;

use super::expect::{Report, folder, inputs};

#[derive(Deserialize)]
struct Fixture {
    client: String,
    provider: String,
    models: Vec<String>,
    #[serde(default)]
    quirks: Vec<String>,
    body: Value,
}

#[test]
fn models_are_sent_what_those_of_their_name_take() {
    let mut report = Report::default();
    for (name, path) in inputs(&folder("models"), ".request.json") {
        let fixture: Fixture = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let client = ClientDialect::parse(&fixture.client).unwrap();
        let provider = Dialect::parse(&fixture.provider).unwrap();
        let body = fixture.body.to_string();
        let of = |quirk: &String| {
            Quirk::NAMES
                .iter()
                .find(|(name, _)| name == quirk)
                .unwrap()
                .1
        };
        let quirks = fixture.quirks.iter().map(of);
        let quirks = quirks.fold(Quirks::NONE, Quirks::with);
        let mut told = String::new();
        for model in &fixture.models {
            let shape = Shape {
                model,
                is_streaming: false,
                answer_tokens_default: Tokens(4096),
                prefill: None,
                quirks,
                carried: provider.carries_to(model, quirks),
            };
            let sent = match encode_request(client, provider, body.as_bytes(), &shape) {
                Ok(sent) => {
                    let tree: Value = serde_json::from_slice(&sent.body).unwrap();
                    serde_json::to_string_pretty(&tree).unwrap()
                }
                Err(error) => error.to_string(),
            };
            let _ = writeln!(told, "{model}: {sent}");
        }
        report.compare(
            &path.with_file_name(format!("{name}.sent")),
            told.as_bytes(),
        );
    }
}
