//! `docs/errors.md` says of every kind of error how each dialect's caller is told it, and says what the code does.
//!
//! What an attempt leads to runs through the exchange, by the scripts of `tests/errors/attempts.txt`. What the edge refuses
//! before there is a request stands here as the edge makes it; `tests/edge/refusals.test.mjs` holds the Worker to it. The
//! classes are those of the SDKs that `tests/sdk/` runs.

use std::fs;
use std::path::Path;

use serde_json::Value;
use waypost::chat::RequestError;
use waypost::dialects::{self, ClientDialect, ClientError};

use super::exchange;
use super::expect::{Report, folder};

const HEAD: &str = "| what went wrong | OpenAI's APIs | its SDKs raise | Anthropic's API | its SDKs raise | Gemini's API | its SDKs raise |";

/// An error as a client gets it.
struct Told {
    status: u16,
    body: Value,
    has_retry_after: bool,
}

#[test]
fn the_page_of_errors_is_what_callers_are_told() {
    let mut report = Report::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut lines = vec![HEAD.to_owned(), "|---".repeat(7) + "|"];
    for (kind, told) in refused().into_iter().chain(attempted()) {
        let [chat, anthropic, responses, gemini] = &told;
        report.same(&kind, &cell(chat), &cell(responses));
        let [chat, anthropic, gemini] = [chat, anthropic, gemini].map(cell);
        let [openai_sdk, anthropic_sdk, google_sdk] = [
            class_of_openai(told[0].status),
            class_of_anthropic(told[1].status),
            class_of_google(told[3].status),
        ];
        lines.push(format!(
            "| {kind} | {chat} | {openai_sdk} | {anthropic} | {anthropic_sdk} | {gemini} | {google_sdk} |"
        ));
    }
    let (before, rest) = page.split_once(HEAD).expect("the head of the table");
    let after = rest.find("\n\n").map_or("", |end| rest.split_at(end).1);
    let page = format!("{before}{}{after}", lines.join("\n"));
    report.compare(&path, page.as_bytes());
}

/// What is refused before a target is asked, for each client.
fn refused() -> Vec<(String, [Told; 4])> {
    let unknown_key = ClientError {
        status: 401,
        code: "unknown_key".to_owned(),
        message: "this key is not known here".to_owned(),
        param: Some("authorization".to_owned()),
        retry_after: None,
    };
    let [not_allowed, no_route, too_large, no_candidate] = [
        RequestError::NotAllowed {
            name: "smart".to_owned(),
        },
        RequestError::UnknownRoute {
            name: "smart".to_owned(),
            known: String::new(),
        },
        RequestError::TooLarge { bytes: 2, limit: 1 },
        RequestError::NoCandidate {
            route: "smart".to_owned(),
            reasons: String::new(),
        },
    ]
    .map(|error| ClientError::from(&error));
    let alike = |error: ClientError| ClientDialect::ALL.map(|client| told(client, &error));
    let invalid = ClientDialect::ALL.map(|client| {
        let error = dialects::outline(client, br#"{"model":7}"#).unwrap_err();
        told(client, &ClientError::from(&error))
    });
    vec![
        (
            "no key, or one that is not known".to_owned(),
            alike(unknown_key),
        ),
        (
            "the key may not use this route".to_owned(),
            alike(not_allowed),
        ),
        ("no such route".to_owned(), alike(no_route)),
        ("a field is missing or wrong".to_owned(), invalid),
        ("the body is too large".to_owned(), alike(too_large)),
        (
            "no target can do what is asked".to_owned(),
            alike(no_candidate),
        ),
    ]
}

fn told(client: ClientDialect, error: &ClientError) -> Told {
    Told {
        status: dialects::error_status(client, error),
        body: serde_json::from_slice(&dialects::encode_error(client, error)).unwrap(),
        has_retry_after: error.retry_after.is_some(),
    }
}

/// What comes of the scripted attempts, for each client.
fn attempted() -> Vec<(String, [Told; 4])> {
    let text = fs::read_to_string(folder("errors").join("attempts.txt")).unwrap();
    let kinds = text.split("## ").skip(1);
    let kinds = kinds.map(|script| {
        let (kind, steps) = script.split_once('\n').unwrap();
        let told = ClientDialect::ALL.map(|client| {
            let said = match client {
                ClientDialect::OpenaiChat | ClientDialect::Anthropic => {
                    r#""max_tokens":9,"messages":[{"role":"user","content":"x"}]"#
                }
                ClientDialect::OpenaiResponses => r#""input":"x""#,
                ClientDialect::Gemini => r#""contents":[{"parts":[{"text":"x"}]}]"#,
            };
            let script = format!(
                "client {}\nroute {{\"targets\":[{{\"provider\":\"o\",\"model\":\"m\"}}],\"deadlines\":{{\"headers_ms\":99}}}}\n\
                 request {{\"model\":\"r\",{said}}}\n{steps}",
                client.name()
            );
            let (status, body, log) = exchange::answer(&script, kind);
            Told {
                status,
                body: serde_json::from_slice(&body).unwrap(),
                has_retry_after: log.contains(" retry-after=30"),
            }
        });
        (kind.to_owned(), told)
    });
    kinds.collect()
}

/// The status, the dialect's word for it, the code, and the field.
fn cell(told: &Told) -> String {
    let error = &told.body["error"];
    let info = &error["details"][0];
    let words = [
        &error["type"],
        &error["status"],
        if error["code"].is_string() {
            &error["code"]
        } else {
            &info["reason"]
        },
        if error["param"].is_string() {
            &error["param"]
        } else {
            &info["metadata"]["field"]
        },
    ];
    let words = words.iter().filter_map(|word| word.as_str());
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    let wait = if told.has_retry_after {
        ", `Retry-After`"
    } else {
        ""
    };
    format!("{}: {}{wait}", told.status, words.join(", "))
}

/// openai 3.54.0 for Python and 7.57.0 for Node, `_make_status_error` and `APIError.generate`.
fn class_of_openai(status: u16) -> &'static str {
    match status {
        400 => "`BadRequestError`",
        401 => "`AuthenticationError`",
        403 => "`PermissionDeniedError`",
        404 => "`NotFoundError`",
        429 => "`RateLimitError`",
        500.. => "`InternalServerError`",
        _ => "`APIStatusError`, in Node `APIError`",
    }
}

/// anthropic 2.12.0 for Python and 1.12.0 for Node, by status.
fn class_of_anthropic(status: u16) -> &'static str {
    match status {
        413 => "`ContentTooLargeError`",
        503 => "`ServiceUnavailableError`",
        504 => "`GatewayTimeoutError`",
        529 => "`OverloadedError`",
        _ => class_of_openai(status),
    }
}

/// google-genai 3.4.0 for Python; @google/genai 3.1.0 for Node has one class.
fn class_of_google(status: u16) -> &'static str {
    if status < 500 {
        "`ClientError`, in Node `ApiError`"
    } else {
        "`ServerError`, in Node `ApiError`"
    }
}
