//! Inputs built to explode: each is refused, or cut, by a limit that its message or its outcome names.
//!
//! What is asserted is how much comes back, never how long it took. The largest inputs are as large as the limits
//! let them be, so a limit that stopped acting would show as memory, too.

use waypost::access::KeyTerms;
use waypost::chat::RequestError;
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, ENTRY_BYTES_MAX, PROBLEMS_MAX, Problem, Route};
use waypost::dialects::{
    ClientDialect, Dialect, Outline, Quirks, Shape, encode_request, metadata, outline,
};
use waypost::units::Tokens;

/// More than what all problems of one entry may say.
const TOLD_BYTES_MAX: usize = PROBLEMS_MAX * 8 * 1_024;

const TARGET: &str = r#"{"id":"a","provider":"openai","model":"m"}"#;

/// `item` so many times, with commas between.
fn times(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

/// `count` fields, each of another name.
fn fields(count: usize, value: &str) -> String {
    let field = |place| format!("\"n{place}\":{value}");
    (0..count).map(field).collect::<Vec<_>>().join(",")
}

fn with(field: &str) -> String {
    format!("{{\"targets\":[{TARGET}],{field}}}")
}

fn when(conditions: &str) -> String {
    with(&format!(
        "\"rules\":[{{\"when\":{conditions},\"avoid\":\"a\"}}]"
    ))
}

/// `inner` inside so many lists of `open … close`.
fn nested(open: &str, close: &str, depth: usize, inner: &str) -> String {
    open.repeat(depth) + inner + &close.repeat(depth)
}

fn of_route(text: &str) -> Vec<Problem> {
    let parsed = Route::parse("r", text, &Catalogue::default());
    parsed.err().unwrap_or_default()
}

/// What the input is, its text, and the words that must be in one of its problems.
type Case = (&'static str, String, &'static str);

fn too_long() -> Vec<Case> {
    let targets = |item: &str, count| format!("{{\"targets\":[{}]}}", times(item, count));
    let any = |item: &str, count| when(&format!("{{\"any\":[{}]}}", times(item, count)));
    let tags = r#"{"tags":"x"}"#;
    let rules = times(r#"{"avoid":"a"}"#, 129);
    let headers = fields(20_000, "\"x\"");
    let values = times("\"x\"", 20_000);
    let topics = fields(20_000, "1");
    let topics = format!(r#"{{"provider":"openai","model":"m","quality":{{{topics}}}}}"#);
    let ring = times("\"x\"", 65);
    #[rustfmt::skip] // A table.
    let cases = vec![
        ("an entry of 1 MB", " ".repeat(1 << 20), "at most 524288 bytes"),
        ("100,000 targets", targets(TARGET, 100_000), "at most 524288 bytes"),
        ("257 targets", targets(TARGET, 257), "targets: expected at most 256 items"),
        ("100,000 wrong targets", targets("1", 100_000), "targets: expected at most 256 items"),
        ("129 rules", with(&format!("\"rules\":[{rules}]")), "rules: expected at most 128 items"),
        ("a million conditions", any("{}", 1_000_000), "at most 524288 bytes"),
        ("20,000 conditions", any(tags, 20_000), "at most 1000 items"),
        ("600 conditions", any(tags, 600), "at most 512 conditions in a route"),
        ("20,000 headers", when(&format!("{{\"headers\":{{{headers}}}}}")), "at most 512 conditions in a route"),
        ("20,000 values", when(&format!("{{\"tags\":[{values}]}}")), "at most 1000 items"),
        ("17 tests of text", any(r#"{"text":"x"}"#, 17), "at most 16 conditions on text"),
        ("20,000 topics", targets(&topics, 1), "at most 256 topics"),
        ("65 regions", with(&format!("\"ring\":{{\"EU\":[{ring}]}}")), "at most 64 items"),
    ];
    cases
}

fn too_deep() -> Vec<Case> {
    let groups = |open: &str, close: &str, depth| when(&nested(open, close, depth, "{}"));
    let not = |depth| format!("{{\"tags\":{}}}", nested(r#"{"not":"#, "}", depth, "\"x\""));
    #[rustfmt::skip] // A table.
    let cases = vec![
        ("open brackets", "[".repeat(100_000), "nested at most 128 deep"),
        ("any in any", groups(r#"{"any":["#, "]}", 40), "at most 16 levels"),
        ("all in all", groups(r#"{"all":["#, "]}", 40), "at most 16 levels"),
        ("none in none", groups(r#"{"none":["#, "]}", 40), "at most 16 levels"),
        ("not in not", when(&not(40)), "at most 16 levels"),
        ("any 10,000 deep", groups(r#"{"any":["#, "]}", 10_000), "nested at most 128 deep"),
        ("all 10,000 deep", groups(r#"{"all":["#, "]}", 10_000), "nested at most 128 deep"),
        ("none 10,000 deep", groups(r#"{"none":["#, "]}", 10_000), "nested at most 128 deep"),
        ("not 10,000 deep", when(&not(10_000)), "nested at most 128 deep"),
    ];
    cases
}

fn patterns() -> Vec<Case> {
    let regex = |pattern: &str| when(&format!("{{\"model\":{{\"regex\":\"{pattern}\"}}}}"));
    let half = "n".repeat(ENTRY_BYTES_MAX / 2);
    let contains = when(&format!("{{\"model\":{{\"contains\":\"{half}\"}}}}"));
    let modest = "a regular expression of modest size";
    vec![
        ("a pattern that grows", regex("(a{99}){99}"), modest),
        ("a pattern of half the entry", contains, modest),
        (
            "a pattern of 513 bytes",
            regex(&"a".repeat(513)),
            "a pattern of at most 512 bytes",
        ),
        ("deep groups", regex(&nested("(", ")", 250, "a")), modest),
    ]
}

/// Entries whose problems, not whose values, would explode.
fn many_problems() -> Vec<Case> {
    let long = "n".repeat(ENTRY_BYTES_MAX - 1_000);
    let half = "n".repeat(ENTRY_BYTES_MAX / 2);
    let unknown = fields(20_000, "1");
    let ids = times("\"b\"", 1_000);
    let metadata = format!("{{\"metadata\":{{\"{half}\":[{}]}}}}", times("1", 1_000));
    #[rustfmt::skip] // A table.
    let cases = vec![
        ("20,000 unknown fields", with(&unknown), "19900 more"),
        ("20,000 continents", with(&format!("\"ring\":{{{unknown}}}")), "at most 100 problems"),
        ("1,000 unknown ids", with(&format!("\"rules\":[{{\"avoid\":[{ids}]}}]")), "900 more"),
        ("a list under a name of half the entry", when(&metadata), "900 more"),
        ("a name as long as the entry", with(&format!("\"{long}\":1")), "one of the known fields"),
        ("a value as long as the entry", with(&format!("\"sticky\":\"{long}\"")), "whose requests stay together"),
        ("a time as long as the entry", when(&format!("{{\"time\":{{\"from\":\"{long}\"}}}}")), "a time of day"),
    ];
    cases
}

#[test]
fn entry_built_to_explode_is_refused_by_a_named_limit() {
    let cases = [too_long(), too_deep(), patterns(), many_problems()];
    for (what, text, limit) in cases.concat() {
        refused(what, &of_route(&text), limit);
    }
    let many = format!("{{\"providers\":{{{}}}}}", fields(40_000, "1"));
    let problems = Catalogue::parse(&many).err().unwrap_or_default();
    refused("40,000 providers", &problems, "39900 more");
    let pool = times("\"S\"", 33);
    let pool = format!("{{\"providers\":{{\"openai\":{{\"auth\":{{\"bearer\":[{pool}]}}}}}}}}");
    let problems = Catalogue::parse(&pool).err().unwrap_or_default();
    refused("33 secrets", &problems, "at most 32 items");
    for (what, text, limit) in [
        ("a key of 1 MB", " ".repeat(1 << 20), "at most 524288 bytes"),
        ("a deep key", "[".repeat(100_000), "nested at most 128 deep"),
        (
            "a key of many routes",
            format!("{{\"routes\":[{}]}}", times("\"r\"", 1_001)),
            "at most 1000 items",
        ),
    ] {
        let problems = KeyTerms::parse("00", &text).err().unwrap_or_default();
        refused(what, &problems, limit);
    }
}

fn refused(what: &str, problems: &[Problem], limit: &str) {
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let bytes: usize = told.iter().map(String::len).sum();
    assert!(
        told.iter().any(|told| told.contains(limit)),
        "{what}: no problem says `{limit}`, but {:.300?}",
        told.first()
    );
    // One more counts the rest.
    assert!(problems.len() <= PROBLEMS_MAX + 1, "{what}: {}", told.len());
    assert!(bytes <= TOLD_BYTES_MAX, "{what}: {bytes} bytes of problems");
}

#[test]
fn every_problem_is_told_up_to_the_limit() {
    let problems = of_route(&with(&fields(PROBLEMS_MAX, "1")));
    assert_eq!(problems.len(), PROBLEMS_MAX);
    let problems = of_route(&with(&fields(PROBLEMS_MAX + 1, "1")));
    let last = problems.last().map(ToString::to_string);
    let counted = "(entry): expected at most 100 problems to be told at once, got 1 more";
    assert_eq!((problems.len(), last.as_deref()), (101, Some(counted)));
}

fn body(rest: &str) -> Vec<u8> {
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    format!("{{\"model\":\"m\",\"max_tokens\":9,\"input\":\"hi\",\"contents\":[{{\"parts\":[]}}],\"messages\":{messages},{rest}}}")
        .into_bytes()
}

fn sent(client: ClientDialect, provider: Dialect, body: &[u8]) -> Result<usize, RequestError> {
    let shape = Shape {
        model: "m",
        is_streaming: true,
        answer_tokens_default: Tokens(9),
        prefill: None,
        quirks: Quirks::NONE,
        carried: provider.carries(),
    };
    encode_request(client, provider, body, &shape).map(|sent| sent.body.len())
}

/// Depth costs no stack, so it needs no limit: what we do not read is passed on, or named as not portable.
#[test]
fn depth_of_a_request_is_harmless() {
    let deep = nested("[", "]", 100_000, "");
    for rest in [
        format!("\"x\":{deep}"),
        format!("\"metadata\":{{\"a\":{deep}}}"),
        format!("\"stop\":{deep},\"stop_sequences\":{deep}"),
        format!(
            "\"tools\":[{{\"type\":\"function\",\"name\":\"f\",\"function\":{{\"name\":\"f\",\"parameters\":{{\"a\":{deep}}}}},\"input_schema\":{{\"a\":{deep}}}}}]"
        ),
        format!("\"tool_choice\":{{\"type\":\"auto\",\"x\":{deep}}}"),
        format!("\"stream_options\":{{\"x\":{deep}}}"),
    ] {
        for (client, provider) in ClientDialect::ALL
            .into_iter()
            .flat_map(|client| Dialect::ALL.map(|to| (client, to)))
        {
            let body = body(&rest);
            // Outlining and encoding must agree to come back, whatever they say.
            if outline(client, &body).is_ok()
                && let Ok(bytes) = sent(client, provider, &body)
            {
                assert!(bytes < 2 * body.len(), "{bytes}");
            }
            assert!(metadata(&body, &["a"]).is_empty());
        }
    }
}

#[test]
fn request_of_too_many_fields_is_refused_by_name() {
    let many = fields(100_000, "0");
    for client in ClientDialect::ALL {
        let top = outline(client, &body(&many)).unwrap_err().to_string();
        assert_eq!(top, "`body`: expected an object of at most 1024 fields");
        assert_eq!(
            sent(client, client.into(), &body(&many))
                .unwrap_err()
                .to_string(),
            top
        );
        assert!(outline(client, &body(&fields(1_019, "0"))).is_ok());
        assert!(sent(client, client.into(), &body(&fields(1_019, "0"))).is_ok());
    }
    let options = body(&format!("\"stream_options\":{{{many}}}"));
    let told = sent(ClientDialect::OpenaiChat, Dialect::OpenaiChat, &options);
    let told = told.unwrap_err().to_string();
    assert_eq!(
        told,
        "`stream_options`: expected an object of at most 1024 fields"
    );
}

#[test]
fn what_a_caller_adds_to_a_record_is_bounded() {
    let many = body(&format!("\"metadata\":{{{}}}", fields(1_000_000, "\"x\"")));
    assert_eq!(metadata(&many, &["n7", "absent"]).len(), 1);

    let caller = Caller {
        tags: Some("tag,".repeat(1_000_000) + &"x".repeat(1_000_000)),
        ..Caller::default()
    };
    let traits = Traits::of(&Outline::default(), "m", caller);
    let bytes: usize = traits.tags.iter().map(String::len).sum();
    assert!(traits.tags.len() <= 32 && bytes <= 32 * 128);
}
