//! What is left of rate limits: read from headers, refilled with time, and heeded before it is used up.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route};
use waypost::decide::{Seed, SeedSource};
use waypost::dialects::{
    Allowance, ClientDialect, ClientHeaders, Delivery, Form, ROOM_HEADERS, Room, outline,
};
use waypost::exchange::{Exchange, Input, Order, Output, ProviderHead, Routing};
use waypost::health::Health;
use waypost::journal::{ConfigRevisions, Record};
use waypost::units::{Millis, UnixMillis};

use super::expect::{Report, folder, inputs};

/// 2025-08-21T12:40:00Z.
const NOW: UnixMillis = UnixMillis(1_755_780_000_000);

#[test]
fn rate_limits_are_read_from_headers() {
    let mut report = Report::default();
    for (_, path) in inputs(&folder("rate_limits"), ".headers") {
        let text = fs::read_to_string(&path).unwrap();
        let value = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name));
            line.map(|(_, value)| value.to_owned())
        };
        let mut told = String::new();
        for family in ROOM_HEADERS {
            let values: Vec<Option<String>> = family.iter().map(|name| value(name)).collect();
            let Some(room) = Room::parse(&values, NOW) else {
                continue;
            };
            for (name, allowance) in [("requests", room.requests), ("tokens", room.tokens)] {
                let _ = match allowance {
                    None => writeln!(told, "{name}: not told"),
                    Some(it) => writeln!(
                        told,
                        "{name}: {} of {:?}, whole in {}",
                        it.remaining,
                        it.limit,
                        it.whole_at.since(NOW)
                    ),
                };
            }
        }
        report.compare(&path.with_extension("expected"), told.as_bytes());
    }
}

#[test]
fn spans_and_instants_of_all_kinds_are_read() {
    let wait = |reset: &str| {
        let text = |text: &str| Some(text.to_owned());
        let values = [text("1"), None, text("9"), None, text(reset), None];
        let room = Room::parse(&values, NOW).unwrap();
        room.requests.unwrap().whole_at.since(NOW).0
    };
    for (reset, millis) in [
        ("1h2m3.5s", 3_723_500),
        ("350ms", 350),
        ("58", 58_000),
        ("0", 0),
        ("2025-08-21T12:40:00.250Z", 250),
        ("2025-08-21T14:41:00+02:00", 60_000),
        ("2025-08-21T12:39:00Z", 0),
        ("2025-12-24T00:00:00Z", 86_400_000),
        ("99999h", 86_400_000),
        // What cannot be read is ten seconds.
        ("soon", 10_000),
        ("", 10_000),
        ("-5", 10_000),
        ("NaN", 10_000),
        ("1x", 10_000),
        ("2025-99-21T12:40:00Z", 10_000),
        ("2025-08-21T12:40:00", 10_000),
    ] {
        assert_eq!(wait(reset), millis, "{reset}");
    }
}

#[test]
fn what_is_left_refills_until_the_reset() {
    let allowance = Allowance {
        remaining: 20,
        limit: Some(100),
        told_at: NOW,
        whole_at: NOW + Millis(60_000),
    };
    let at = |seconds: u64| allowance.at(NOW + Millis(seconds * 1_000));
    assert_eq!(
        [at(0), at(30), at(60), at(600)],
        [Some(20.0), Some(60.0), Some(100.0), Some(100.0)]
    );
    let untold = Allowance {
        limit: None,
        ..allowance
    };
    assert_eq!(untold.at(NOW + Millis(30_000)), Some(20.0));
    assert_eq!(untold.at(NOW + Millis(60_000)), None);
}

/// A route of two targets by priority.
struct World {
    route: Arc<Route>,
    health: Health,
}

impl World {
    fn new(rest: &str) -> Self {
        let text = format!(
            r#"{{"targets":[{{"id":"a","provider":"openai","model":"m","weight":1.5}},
                {{"id":"b","provider":"openai","model":"n"}}],"temperature":0{rest}}}"#
        );
        let route = Route::parse("r", &text, &Catalogue::default())
            .unwrap()
            .value;
        Self {
            route: Arc::new(route),
            health: Health::default(),
        }
    }

    /// One exchange, which the first of the plan answers; `left` is what it says is left of its requests.
    fn ask(&mut self, left: impl Fn(&str) -> Option<u64>, now: UnixMillis) -> Record {
        let body = br#"{"model":"r","messages":[{"role":"user","content":"hi"}]}"#;
        let outline = outline(ClientDialect::OpenaiChat, body).unwrap();
        let routing = Routing {
            traits: Traits::of(&outline, "r", Caller::default()),
            route: Arc::clone(&self.route),
            via: Vec::new(),
            config: ConfigRevisions::default(),
            seed: Seed {
                value: 7,
                source: SeedSource::Random,
            },
        };
        let order = Order {
            id: "wp-1".to_owned(),
            form: Form::Json,
            client: ClientDialect::OpenaiChat,
            headers: ClientHeaders::default(),
            delivery: Delivery::default(),
            body: body.to_vec(),
            prefix: outline.prefix,
            routing,
            fallbacks: Vec::new(),
            is_explained: false,
        };
        let (mut exchange, outputs) = Exchange::begin(order, &mut self.health, now);
        let calls_a = outputs.iter().any(|output| {
            matches!(output, Output::Send { call, .. } if String::from_utf8_lossy(&call.body).contains("\"m\""))
        });
        let left = left(if calls_a { "a" } else { "b" });
        let text = |text: &str| left.map(|_| text.to_owned());
        let head = ProviderHead {
            status: if left == Some(0) { 429 } else { 200 },
            content_type: "application/json".to_owned(),
            room: vec![
                left.map(|left| left.to_string()),
                None,
                text("60"),
                None,
                text("60s"),
                None,
            ],
            ..ProviderHead::default()
        };
        let answer =
            br#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,
            "message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
        let mut outputs = exchange.on(Input::Head { attempt: 0, head }, &mut self.health, now);
        let bytes = answer.to_vec();
        outputs.extend(exchange.on(Input::Chunk { attempt: 0, bytes }, &mut self.health, now));
        outputs.extend(exchange.on(Input::End { attempt: 0 }, &mut self.health, now));
        // What waits for another target is over once its caller leaves.
        outputs.extend(exchange.on(Input::ClientGone, &mut self.health, now));
        let record = outputs.into_iter().find_map(|output| match output {
            Output::Finish(record) => Some(*record),
            _ => None,
        });
        record.unwrap()
    }
}

#[test]
fn traffic_moves_before_the_429_and_comes_back() {
    let mut world = World::new("");
    let mut bucket = 50_u64;
    let mut firsts = String::new();
    for second in 0..90 {
        let now = NOW + Millis(second * 1_000);
        // It refills by one a second; others use three of it with each of our own calls.
        let after = (bucket + 1).saturating_sub(3);
        let left = |target: &str| (target == "a").then_some(after);
        let record = world.ask(left, now);
        assert_eq!(
            record.outcome.status, 200,
            "none was asked in vain: {firsts}"
        );
        let target = record.outcome.target.unwrap();
        bucket = if *target == *"a" {
            after
        } else {
            60.min(bucket + 1)
        };
        firsts.push_str(&target);
    }
    assert!(firsts.starts_with("aaaaaaaa"), "{firsts}");
    let moved = firsts.find('b').unwrap();
    assert!(
        firsts.rfind('a').is_some_and(|last| last > moved),
        "it refills: {firsts}"
    );
    assert!(bucket > 0, "{firsts}");
}

#[test]
fn plenty_of_room_changes_nothing_and_room_is_told() {
    let mut world = World::new("");
    let untold = world.ask(|_| None, NOW);
    let plenty = world.ask(|_| Some(50), NOW);
    let decision = |record: &Record| record.decision.clone().unwrap();
    let score = |record: &Record| decision(record).candidates[0].score;
    assert!((score(&untold) - score(&plenty)).abs() < f64::EPSILON);
    world.ask(|_| Some(1), NOW);
    let short = world.ask(|_| Some(50), NOW);
    let candidate = &decision(&short).candidates[0];
    let left = candidate.health.room.unwrap();
    assert_eq!((left.requests, left.tokens), (Some(1.0), None));
    let needed = 1.0 + left.attempts_per_second * 10.0;
    assert!((candidate.signals.room - 1.0 / needed).abs() < 1e-12);
    assert!((candidate.score - 1.5_f64.ln() - candidate.signals.room.ln()).abs() < 1e-12);
    assert_eq!(short.outcome.target.as_deref(), Some("b"));
    let mut heedless = World::new(r#","prefer":{"room":0}"#);
    heedless.ask(|_| Some(1), NOW);
    assert_eq!(
        heedless.ask(|_| Some(1), NOW).outcome.target.as_deref(),
        Some("a")
    );
}
