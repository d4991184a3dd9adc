//! What the fuzzer calls, and `cargo test` with the committed corpus (`tests/suite/fuzz.rs`): one function a target.
//!
//! Each takes any bytes and panics when a promise is broken: a crash, an accepted value that cannot be right, or two
//! readers that disagree. `serde_json::Value` stands in for the provider's parser, which we do not know.
//!
//! The parsers of entries and of requests are here; an answer's way back is in `sse`, `streams` and `exchange`.
//!
//! Not here: whether an entry or a request should have been accepted. Fixtures say that.

mod exchange;
mod pieces;
mod program;
mod sse;
mod streams;

pub use exchange::exchange;
pub use sse::sse;
pub use streams::streams;

use std::collections::BTreeSet;

use serde_json::Value;
use waypost::access::KeyTerms;
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, PROBLEMS_MAX, Problem, Revision, Route, Rule};
use waypost::decide::{Candidate, Exclusion, Plan, Seed, plan, redirect};
use waypost::dialects::{
    ClientDialect, Dialect, GeminiAddress, Outgoing, Outline, Prefill, Quirk, Quirks, Shape,
    encode_request, metadata, outline, parse_request, user_text,
};
use waypost::health::{Admission, View};
use waypost::units::{Tokens, UnixMillis};

/// The fields of a body that the router itself writes or takes out.
const EDITED: [&str; 6] = [
    "model",
    "models",
    "provider",
    "stream",
    "stream_options",
    "waypost",
];
const THREE_TARGETS: &str = r#"{"targets": [
    {"id": "a", "provider": "openai", "model": "m", "usd_per_mtok": {"in": 1, "out": 2}, "region": "eu"},
    {"id": "b", "provider": "anthropic", "model": "n", "private": true, "weight": 3},
    {"id": "c", "provider": "groq", "model": "o", "can": []}
], "prefer": {"price": 1, "ttft": 1}, "temperature": 0.5}"#;
const USER_TEXT_BYTES: usize = 1_000;

/// An entry: a route or a key's terms or a `providers` entry. Before a NUL, the `providers` that the route names.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (providers, text) = text.split_once('\0').unwrap_or((text, text));
    check_problems(KeyTerms::parse("00", text).map(|_| ()));
    let catalogue = Catalogue::parse(providers);
    check_problems(catalogue.as_ref().map(|_| ()).map_err(Clone::clone));
    let catalogue = catalogue.map_or_else(|_| Catalogue::default(), |checked| checked.value);
    match Route::parse("r", text, &catalogue) {
        Ok(checked) => {
            assert_eq!(checked.value.revision, Revision::of(text));
            check_route(&checked.value);
            check_plans(&checked.value, bytes);
        }
        Err(problems) => check_problems(Err(problems)),
    }
}

fn check_problems(outcome: Result<(), Vec<Problem>>) {
    if let Err(problems) = outcome {
        assert!((1..=PROBLEMS_MAX + 1).contains(&problems.len()));
    }
}

fn check_route(route: &Route) {
    let ids: BTreeSet<&str> = route.targets.iter().map(|it| &*it.id).collect();
    assert_eq!(ids.len(), route.targets.len(), "an id comes twice");
    assert!(!ids.is_empty(), "no target");
    for target in &route.targets {
        assert!(target.weight > 0.0 && target.weight.is_finite());
        let qualities = target
            .quality
            .by_topic
            .values()
            .chain(&target.quality.other);
        for quality in qualities {
            assert!(*quality > 0.0 && *quality <= 1.0, "{quality}");
        }
    }
    assert!((0.0..=1_000.0).contains(&route.temperature));
    let named = |rule: &Rule| {
        rule.only
            .iter()
            .flatten()
            .chain(&rule.avoid)
            .cloned()
            .collect()
    };
    for id in route
        .rules
        .iter()
        .flat_map(|rule| -> Vec<String> { named(rule) })
    {
        assert!(ids.contains(id.as_str()), "a rule names {id}");
    }
}

/// Plans requests of which nothing is known, and of which all is.
fn check_plans(route: &Route, bytes: &[u8]) {
    let random = hash(bytes);
    let body = br#"{"messages":[{"role":"user","content":"a secret, x"}],"metadata":{"a":"x"}}"#;
    let mut caller = Caller {
        dialect: Some(ClientDialect::OpenaiChat),
        session: Some("s".to_owned()),
        tags: Some("x,topic=code,difficulty=0.5,sensitive".to_owned()),
        country: Some("DE".to_owned()),
        continent: Some("EU".to_owned()),
        at: UnixMillis(random >> 20),
        ..Caller::default()
    };
    caller.ask_for(route, body, |name| Some(name.to_owned()));
    let outline = Outline {
        model: "x".to_owned(),
        audio_tokens: Tokens(random >> 40),
        tool_count: 1,
        answer_tokens_max: Some(Tokens(random >> 50)),
        ..Outline::default()
    };
    for traits in [Traits::default(), Traits::of(&outline, "x", caller)] {
        let _ = redirect(&traits, route);
        let seed = Seed::of(route, &traits, random).value;
        let views: Vec<View> = (0..route.targets.len())
            .map(|place| view(seed, place))
            .collect();
        let planned = plan(&traits, route, &views, seed);
        assert_eq!(planned, plan(&traits, route, &views, seed));
        check_plan(&planned, route);
    }
}

/// Health of all kinds, by the seed's bits.
fn view(seed: u64, place: usize) -> View {
    let kind = seed.rotate_right(u32::try_from(place % 61).unwrap_or_default()) % 8;
    let admission = match kind {
        0 => Admission::Ejected {
            until: UnixMillis(9),
        },
        1 => Admission::Recovering { share: 0.25 },
        _ => Admission::Admitted,
    };
    View {
        rate_limited: [0.0, 3.0][usize::from(kind > 5)],
        admission,
        ..View::default()
    }
}

fn check_plan(plan: &Plan, route: &Route) {
    let is_out = |it: &Candidate| {
        it.excluded
            .as_ref()
            .is_some_and(|why| *why != Exclusion::Ejected)
    };
    let mut order = plan.order.clone();
    order.sort_unstable();
    let places = 0..route.targets.len();
    let open: Vec<usize> = places
        .filter(|place| !is_out(&plan.candidates[*place]))
        .collect();
    assert_eq!(order, open, "the order is every candidate, once");
    let shares = plan.candidates.iter().map(|candidate| candidate.share);
    let sum: f64 = shares.clone().sum();
    assert!(shares.clone().all(|share| (0.0..=1.0).contains(&share)));
    let expected = if open.is_empty() { 0.0 } else { 1.0 };
    assert!((sum - expected).abs() < 1e-9, "shares sum to {sum}");
    assert!(
        plan.candidates
            .iter()
            .all(|candidate| candidate.score.is_finite())
    );
}

/// A client's request: the first byte picks its dialect, the rest is the body.
pub fn request(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    // The others came later, and must not change what older inputs mean.
    let client = match (first & 0x20, first & 0x34) {
        (_, 0x14) => ClientDialect::Gemini,
        (0, _) => ClientDialect::ALL[usize::from(first & 1)],
        _ => ClientDialect::OpenaiResponses,
    };
    let text = user_text(client, body, USER_TEXT_BYTES).unwrap_or_default();
    assert!(text.len() <= USER_TEXT_BYTES, "{}", text.len());
    let _ = parse_request(client, body);
    let asked = metadata(body, &["a", "user_id"]);
    assert!(asked.len() <= 2);
    let outlined = outline(client, body);
    let tree: Option<Value> = serde_json::from_slice(body).ok();
    if let (Ok(outline), Some(tree)) = (&outlined, &tree) {
        check_outline(client, outline, tree);
    }
    for provider in Dialect::ALL {
        let shape = Shape {
            model: "the \"model\"",
            is_streaming: first & 0x80 != 0,
            answer_tokens_default: Tokens(9),
            prefill: (first & 0x40 != 0 && outlined.is_ok()).then_some(Prefill {
                text: "So \"far\"",
                tokens: Tokens(2),
            }),
            quirks: Quirks::NONE,
            carried: provider.carries(),
        };
        // The exchange outlines first, so what fails there is only spliced here, to see that nothing breaks.
        let is_own = provider == client.into();
        if outlined.is_err() && !is_own {
            continue;
        }
        let Ok(sent) = encode_request(client, provider, body, &shape) else {
            continue;
        };
        check_sent(&shape, &sent, provider);
        check_quirky(client, provider, body, &shape);
        if is_own
            && shape.prefill.is_none()
            && let Some(tree) = &tree
        {
            check_spliced(tree, &sent.body);
        }
        if !is_own && let Some(reader) = ClientDialect::parse(provider.name()) {
            let read = outline(reader, &addressed(provider, &sent));
            assert!(
                read.is_ok(),
                "{}: {read:?}",
                String::from_utf8_lossy(&sent.body)
            );
        }
    }
    if let Ok(outline) = &outlined {
        check_limited(outline, body);
    }
}

/// Plans a request with the limits that its own caller set. None may add to the plan, and the plan must be sound.
fn check_limited(outline: &Outline, body: &[u8]) {
    let Ok(checked) = Route::parse("r", THREE_TARGETS, &Catalogue::default()) else {
        panic!("the route is valid");
    };
    let mut caller = Caller::default();
    if caller.constrain(outline, None).is_err() {
        return;
    }
    let traits = Traits::of(outline, &outline.model, caller);
    let random = hash(body);
    let views = [View::default(); 3];
    let planned = plan(&traits, &checked.value, &views, random);
    assert_eq!(planned, plan(&traits, &checked.value, &views, random));
    let shares = planned.candidates.iter().map(|candidate| candidate.share);
    let sum: f64 = shares.clone().sum();
    let expected = if planned.order.is_empty() { 0.0 } else { 1.0 };
    assert!(shares.clone().all(|share| (0.0..=1.0).contains(&share)));
    assert!((sum - expected).abs() < 1e-9, "shares sum to {sum}");
    let distinct: BTreeSet<usize> = planned.order.iter().copied().collect();
    assert_eq!(distinct.len(), planned.order.len());
}

fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| {
        let next = hash.wrapping_mul(0x0100_0000_01b3);
        next.wrapping_add(u64::from(*byte))
    };
    bytes.iter().fold(0, step)
}

fn check_outline(client: ClientDialect, outline: &Outline, tree: &Value) {
    // The first of `models` stands in.
    let model = tree["model"].as_str().or(tree["models"][0].as_str());
    assert_eq!(Some(outline.model.as_str()), model);
    assert_eq!(outline.is_streaming, tree["stream"] == true);
    let conversation = &tree[match client {
        ClientDialect::OpenaiResponses => "input",
        ClientDialect::Gemini => "contents",
        ClientDialect::OpenaiChat | ClientDialect::Anthropic => "messages",
    }];
    let one = usize::from(conversation.is_string());
    let messages = conversation.as_array().map_or(one, Vec::len);
    assert_eq!(usize::try_from(outline.message_count), Ok(messages));
}

/// With every quirk at once, what was JSON stays JSON.
fn check_quirky(client: ClientDialect, provider: Dialect, body: &[u8], shape: &Shape) {
    let add = |quirks: Quirks, (_, quirk): &(&str, Quirk)| quirks.with(*quirk);
    let quirks = Quirk::NAMES.iter().fold(Quirks::NONE, add);
    let shape = Shape { quirks, ..*shape };
    let Ok(sent) = encode_request(client, provider, body, &shape) else {
        return;
    };
    assert!(std::str::from_utf8(&sent.body).is_ok());
    let Ok(tree) = serde_json::from_slice::<Value>(&addressed(provider, &sent)) else {
        return;
    };
    if provider == Dialect::Bedrock {
        return;
    }
    assert_eq!(tree["model"], shape.model);
    if provider == Dialect::OpenaiChat {
        assert!(tree.get("stream_options").is_none());
        assert!(tree.get("max_completion_tokens").is_none());
    }
}

/// What any provider's parser must see.
fn check_sent(shape: &Shape, sent: &Outgoing, provider: Dialect) {
    assert!(std::str::from_utf8(&sent.body).is_ok());
    // Deeper than this parser goes, there is nothing to compare.
    let Ok(tree) = serde_json::from_slice::<Value>(&addressed(provider, sent)) else {
        return;
    };
    assert!(tree.get("waypost").is_none());
    // Its path says both.
    if provider == Dialect::Bedrock {
        assert!(tree.get("model").is_none() && tree.get("stream").is_none());
        return;
    }
    assert_eq!(tree["model"], shape.model);
    assert_eq!(tree["stream"] == true, shape.is_streaming);
    let usage = &tree["stream_options"]["include_usage"];
    assert!(provider != Dialect::OpenaiChat || !shape.is_streaming || *usage == true);
}

/// The body with what Gemini's URL says, as its own clients' bodies have it here.
fn addressed(provider: Dialect, sent: &Outgoing) -> Vec<u8> {
    if provider != Dialect::Gemini {
        return sent.body.clone();
    }
    let (path, query) = sent.path.split_once('?').unwrap_or((&sent.path, ""));
    let address = GeminiAddress::parse(&format!("/v1beta{path}"), query);
    let body = address.map(|address| address.write_into(&sent.body));
    body.expect("a path of Gemini's").expect("an object")
}

fn check_spliced(before: &Value, body: &[u8]) {
    let after: Value = serde_json::from_slice(body).expect("JSON stays JSON");
    let rest = |tree: &Value| {
        let mut fields = tree.as_object().cloned().unwrap_or_default();
        for name in EDITED {
            fields.remove(name);
        }
        fields
    };
    assert_eq!(rest(before), rest(&after));
}
