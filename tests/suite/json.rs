//! `tests/json/`: `JSONTestSuite`'s cases as request bodies, in every dialect of clients.
//!
//! What is JSON is read, and reaches a provider of the same dialect byte for byte; what is not is refused as such; what
//! parsers may take or leave does neither harm. `tests/edge/json.test.mjs` does the same over HTTP, in workerd.

use waypost::chat::RequestError;
use waypost::dialects::{self, ClientDialect, Dialect, Features, Quirks, Shape};
use waypost::units::Tokens;

use super::expect::folder;

/// A request in each dialect, without its closing brace.
fn base(client: ClientDialect) -> &'static str {
    match client.into() {
        Dialect::OpenaiChat => r#"{"model":"r","messages":[{"role":"user","content":"hi"}]"#,
        Dialect::OpenaiResponses => r#"{"model":"r","input":"hi""#,
        Dialect::Gemini => r#"{"model":"r","contents":[{"parts":[{"text":"hi"}]}]"#,
        _ => r#"{"model":"r","max_tokens":9,"messages":[{"role":"user","content":"hi"}]"#,
    }
}

/// Name and bytes of the cases of a kind: `y`, `n` or `i`.
fn cases(kind: &str) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(folder("json").join("JSONTestSuite.txt")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(kind));
    lines
        .map(|line| {
            let mut fields = line.split(' ').skip(1);
            let times = fields.next().unwrap().parse().unwrap();
            let mut bytes = unhex(fields.next().unwrap_or_default()).repeat(times);
            bytes.extend(unhex(fields.next().unwrap_or_default()));
            (line.split(' ').next().unwrap().to_owned(), bytes)
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn as_value(client: ClientDialect, case: &[u8]) -> Vec<u8> {
    [base(client).as_bytes(), br#","x_case":"#, case, b"}"].concat()
}

/// What the provider would be sent, or why the request is refused.
fn sent(client: ClientDialect, provider: Dialect, body: &[u8]) -> Result<Vec<u8>, RequestError> {
    dialects::outline(client, body)?;
    let shape = Shape {
        model: "m",
        is_streaming: false,
        answer_tokens_default: Tokens(4096),
        prefill: None,
        quirks: Quirks::NONE,
        carried: Features::ALL,
    };
    Ok(dialects::encode_request(client, provider, body, &shape)?.body)
}

#[test]
fn what_is_json_reaches_the_provider_as_it_is() {
    assert_eq!(cases("y").len(), 95);
    for client in ClientDialect::ALL {
        for (name, case) in cases("y") {
            let body = as_value(client, &case);
            let sent_on = sent(client, client.into(), &body)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            // Gemini's model goes into the URL.
            let (asked, named) = match client {
                ClientDialect::Gemini => (r#""model":"r","#, ""),
                _ => (r#""r""#, r#""m""#),
            };
            let expected = String::from_utf8(body).unwrap().replacen(asked, named, 1);
            assert_eq!(String::from_utf8(sent_on).unwrap(), expected, "{name}");
            for provider in Dialect::ALL {
                let _ = sent(client, provider, &as_value(client, &case));
            }
        }
    }
}

#[test]
fn objects_are_read_as_bodies() {
    for client in ClientDialect::ALL {
        for (name, case) in cases("y") {
            let text = String::from_utf8(case).unwrap();
            let Some(rest) = text.trim().strip_prefix('{') else {
                continue;
            };
            let comma = if rest.trim() == "}" { "" } else { "," };
            let body = format!("{}{comma}{rest}", base(client));
            sent(client, client.into(), body.as_bytes())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn what_is_no_json_is_refused_as_such() {
    assert_eq!(cases("n").len(), 188);
    for client in ClientDialect::ALL {
        for (name, case) in cases("n") {
            assert!(
                sent(client, client.into(), &case).is_err(),
                "{name} as a body"
            );
            let refusal = sent(client, client.into(), &as_value(client, &case));
            assert!(
                matches!(refusal, Err(RequestError::NotJson { .. })),
                "{name} as a value: {refusal:?}"
            );
        }
    }
}

#[test]
fn what_may_be_either_does_no_harm() {
    assert_eq!(cases("i").len(), 35);
    for client in ClientDialect::ALL {
        for (_, case) in cases("i") {
            for provider in Dialect::ALL {
                let _ = sent(client, provider, &case);
                let _ = sent(client, provider, &as_value(client, &case));
            }
        }
    }
}
