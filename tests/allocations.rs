//! What a request allocates on its way from its body to the call: in proportion to the answer, not to the prompt.
//!
//! A binary of its own, because the allocator that counts is global; and one test, because it counts all threads.
//! Bounds are the same for a prompt of 100 KB and of 1 MB. `npm run bench` shows the same for the memory of the wasm.

use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route, TEXT_BYTES_MAX};
use waypost::decide::{Plan, Seed, plan};
use waypost::dialects::{ClientDialect, Quirks, Shape, encode_request, outline};
use waypost::health::View;
use waypost::units::Tokens;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const SIZES: [usize; 2] = [100_000, 1_000_000];
/// For outline, traits and a plan of three targets, whatever the prompt.
const PLAN_BYTES_MAX: u64 = 8 * 1_024;
/// What splicing needs beside the body that it writes.
const SPLICE_BYTES_MAX: usize = 4 * 1_024;
/// What a route that tests the text holds of it: twice the limit in a buffer that doubles, and what is tested.
const TEXT_COPIES_MAX: usize = 6;

const ROUTE: &str = r#"{"targets": [
    {"id": "a", "provider": "openai", "model": "m", "usd_per_mtok": {"in": 1, "out": 2}},
    {"id": "b", "provider": "openai", "model": "n"}, {"id": "c", "provider": "anthropic", "model": "o"}
], "prefer": {"price": 1, "ttft": 1}, "sticky": "session", "rules": [RULE]}"#;

/// Conversations of about so many bytes, each of a kind that a reader could be tempted to copy.
fn bodies(bytes: usize) -> Vec<(&'static str, String)> {
    let body =
        |messages: &str| format!("{{\"model\":\"r\",\"max_tokens\":9,\"messages\":[{messages}]}}");
    let message = |content: &str| format!("{{\"role\":\"user\",\"content\":\"{content}\"}}");
    let parts = |content: &str| {
        let part = format!("{{\"type\":\"text\",\"text\":\"{content}\"}}");
        format!("{{\"role\":\"user\",\"content\":[{part},{part}]}}")
    };
    let filled = |piece: &str| piece.repeat(bytes / piece.len());
    let small = message("a small one");
    vec![
        ("one message", body(&message(&filled("plain text ")))),
        (
            "many messages",
            body(&vec![small.as_str(); bytes / small.len()].join(",")),
        ),
        (
            "escaped text",
            body(&message(&filled(r#"line\n\"quoted\" \u00e9\ud83d\ude00 "#))),
        ),
        (
            "text beyond ASCII",
            body(&message(&filled("グリニッジ天文台 "))),
        ),
        ("parts", body(&parts(&filled("half of it ")))),
    ]
}

/// The body as this dialect writes it.
fn in_words_of(dialect: ClientDialect, body: &str) -> String {
    match dialect {
        ClientDialect::OpenaiChat | ClientDialect::Anthropic => body.to_owned(),
        ClientDialect::OpenaiResponses => body
            .replace("\"messages\"", "\"input\"")
            .replace("\"type\":\"text\"", "\"type\":\"input_text\""),
        ClientDialect::Gemini => {
            let body = body.replace("\"messages\"", "\"contents\"");
            if body.contains("\"content\":[") {
                return body.replace("\"content\"", "\"parts\"");
            }
            let body = body.replace("\"content\":", "\"parts\":[{\"text\":");
            body.replace("\"}", "\"}]}")
        }
    }
}

/// The bytes allocated in all, and those held at the peak, while `work` runs.
fn counted<T>(work: impl FnOnce() -> T) -> (T, u64, usize) {
    let before = dhat::HeapStats::get();
    // A block that is only as large as what is already held would hide below an earlier peak.
    let profiler_peak_is_now = before.max_bytes == before.curr_bytes;
    assert!(profiler_peak_is_now, "the peak was before");
    let made = work();
    let after = dhat::HeapStats::get();
    (
        made,
        after.total_bytes - before.total_bytes,
        after.max_bytes - before.curr_bytes,
    )
}

fn planned(dialect: ClientDialect, body: &[u8], route: &Route) -> Plan {
    let outline = outline(dialect, body).unwrap_or_default();
    let mut caller = Caller {
        dialect: Some(dialect),
        session: Some("s".to_owned()),
        ..Caller::default()
    };
    caller.ask_for(route, body, |_| None);
    let traits = Traits::of(&outline, &outline.model, caller);
    assert!(traits.messages > 0, "the body was read");
    let seed = Seed::of(route, &traits, 1).value;
    plan(&traits, route, &[View::default(); 3], seed)
}

fn spliced(dialect: ClientDialect, body: &[u8]) -> Vec<u8> {
    let shape = Shape {
        model: "another",
        is_streaming: true,
        answer_tokens_default: Tokens(9),
        prefill: None,
        quirks: Quirks::NONE,
        carried: waypost::dialects::Features::ALL,
    };
    let sent = encode_request(dialect, dialect.into(), body, &shape);
    sent.map(|sent| sent.body).unwrap_or_default()
}

#[test]
fn prompt_is_not_copied_on_its_way_to_a_call() {
    let catalogue = Catalogue::default();
    let route = |rule: &str| {
        let entry = ROUTE.replace("RULE", rule);
        Route::parse("r", &entry, &catalogue).unwrap().value
    };
    let plain = route(r#"{"when": {"tags": "x"}, "avoid": "a"}"#);
    let reading = route(r#"{"when": {"text": {"contains": "secret"}}, "avoid": "a"}"#);
    for bytes in SIZES {
        for (kind, body) in bodies(bytes) {
            for dialect in ClientDialect::ALL {
                let what = format!("{kind} of {bytes} bytes in {}", dialect.name());
                let body = in_words_of(dialect, &body);
                check(&what, dialect, body.as_bytes(), &plain, &reading);
            }
        }
    }
}

fn check(what: &str, dialect: ClientDialect, body: &[u8], plain: &Route, reading: &Route) {
    let profile = || dhat::Profiler::builder().testing().build();
    let profiler = profile();
    let (order, total, _) = counted(|| planned(dialect, body, plain).order);
    assert_eq!(order.len(), 3);
    // A turn of Gemini's is always an array in an object. serde_json notes the brackets that are open, in eight bytes.
    let turns = String::from_utf8_lossy(body).matches("\"parts\"").count() as u64;
    let total_max = PLAN_BYTES_MAX + 8 * turns;
    assert!(total <= total_max, "{what}: {total} bytes for a plan");
    drop(profiler);

    let profiler = profile();
    let (sent, _, peak) = counted(|| spliced(dialect, body));
    assert_ne!(sent.len(), body.len());
    assert!(
        peak <= sent.len() + SPLICE_BYTES_MAX,
        "{what}: {peak} bytes to splice"
    );
    drop(profiler);

    let profiler = profile();
    let (_, _, peak) = counted(|| planned(dialect, body, reading));
    // Escaped text is copied where it is unescaped, a message at a time: that is its own length, in a buffer that
    // doubles, and the text itself.
    let has_escapes = body.contains(&b'\\');
    let unescaped = if has_escapes { 2 * body.len() } else { 0 };
    let text = TEXT_COPIES_MAX * TEXT_BYTES_MAX + unescaped;
    assert!(peak <= text, "{what}: {peak} bytes to read the text");
    drop(profiler);
}
