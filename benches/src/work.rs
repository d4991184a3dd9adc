//! The work that is measured: a decision among some targets with five rules and warm health, and reading a body.

use std::fmt::Write as _;
use std::hint::black_box;

use waypost::chat::{AttemptFailure, Usage};
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route};
use waypost::decide::{Plan, plan};
use waypost::dialects::{
    ClientDialect, Dialect, Features, Outline, Quirks, Shape, encode_request, outline,
};
use waypost::health::{Expected, Health, Observation, View};
use waypost::units::{Millis, Tokens, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_795_392_000_000);

/// Five rules of the kinds that teams write; each is tested, and three of them fire.
const RULES: &str = r#"[
    {"when": {"tags": "gold"}, "prefer": {"quality": 6}},
    {"when": {"country": ["DE", "FR"]}, "require": {"region": "eu"}},
    {"when": {"topic": "code", "difficulty": {"gt": 0.6}}, "avoid": ["t1"]},
    {"when": {"any": [{"model": {"prefix": "team/"}}, {"headers": {"x-tier": {"not": "free"}}}]}, "deadlines": {"idle_ms": 9000}},
    {"when": {"prompt_tokens": {"gt": 100000}}, "only": ["t0", "t2"]}
]"#;

/// A route, the health of its targets, and a request for it.
#[derive(Debug)]
pub struct World {
    pub route: Route,
    pub views: Vec<View>,
    pub traits: Traits,
}

impl World {
    /// A world of so many targets, up to the most that a route may have; every eighth has failed of late.
    #[must_use]
    pub fn of(targets: usize) -> Self {
        let route = Route::parse("bench", &entry(targets), &Catalogue::default());
        let route = route.expect("the entry is valid").value;
        let mut health = Health::default();
        for (place, target) in route.targets.iter().enumerate() {
            let key = target.health_key();
            let place = place as u64;
            for at in 0..20 {
                let now = UnixMillis(NOW.0 - 20_000 + at * 1_000);
                health.observe(&key, &Observation::Sent, now);
                health.observe(&key, &succeeded(place + at), now);
            }
            if place % 8 == 7 {
                let failed = Observation::Failed(AttemptFailure::Unreachable);
                health.observe(&key, &failed, NOW);
            }
        }
        let views = route.targets.iter();
        let views = views
            .map(|target| health.view(&target.health_key(), NOW))
            .collect();
        Self {
            route,
            views,
            traits: traits(&Outline {
                model: "bench".to_owned(),
                audio_tokens: Tokens(1_000),
                ..Outline::default()
            }),
        }
    }

    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        plan(
            black_box(&self.traits),
            &self.route,
            &self.views,
            black_box(seed),
        )
    }

    /// One decision, and a number that depends on it.
    #[must_use]
    pub fn decide(&self, seed: u64) -> u32 {
        let plan = black_box(self.plan(seed));
        plan.order.first().map_or(0, |first| *first as u32)
    }
}

fn succeeded(vary: u64) -> Observation {
    let expected = Expected {
        text: Some(Tokens(900)),
        warm: Tokens(0),
    };
    let usage = Usage {
        prompt: Tokens(800 + vary % 90),
        ..Usage::default()
    };
    Observation::Succeeded {
        ttft: Some(Millis(200 + vary * 17 % 400)),
        streaming: Some(Millis(2_000 + vary * 31 % 1_000)),
        answer: Tokens(100 + vary % 60),
        counted: Some((expected, usage)),
    }
}

fn entry(targets: usize) -> String {
    let mut text = String::from(r#"{"targets": ["#);
    for place in 0..targets {
        let comma = if place == 0 { "" } else { "," };
        let region = ["eu", "us", "asia"][place % 3];
        let (input, output) = (0.1 + place as f64 * 0.05, 0.4 + place as f64 * 0.2);
        let _ = write!(
            text,
            r#"{comma}{{"id": "t{place}", "provider": "openai", "model": "model-{place}", "weight": {}, "region": "{region}",
                "quality": {{"code": 0.8, "*": 0.7}}, "usd_per_mtok": {{"in": {input}, "out": {output}}}}}"#,
            1 + place % 4,
        );
    }
    let _ = write!(
        text,
        r#"], "prefer": {{"price": 1, "ttft": 0.5, "speed": 0.5, "quality": 4, "reliability": 2}},
            "temperature": 0.2, "rules": {RULES}}}"#
    );
    text
}

fn traits(outline: &Outline) -> Traits {
    let caller = Caller {
        dialect: Some(ClientDialect::OpenaiChat),
        key: "bench".to_owned(),
        session: Some("a session".to_owned()),
        tags: Some("gold,topic=code,difficulty=0.7".to_owned()),
        country: Some("US".to_owned()),
        continent: Some("NA".to_owned()),
        at: NOW,
        ..Caller::default()
    };
    Traits::of(outline, &outline.model, caller)
}

/// A request of up to 40 messages and about so many bytes in all.
#[must_use]
pub fn body(bytes: usize) -> Vec<u8> {
    const AROUND: usize = r#"{"role":"user","content":""},"#.len();
    let messages = (bytes / 250).clamp(1, 40);
    let content = "Tell me what a router does. ".repeat(bytes / messages / 28 + 1);
    let length = (bytes / messages).saturating_sub(AROUND);
    let content = content.get(..length).unwrap_or_default();
    let mut text = String::from(r#"{"model":"bench","stream":true,"max_tokens":500,"messages":["#);
    for place in 0..messages {
        let (comma, role) = (
            if place == 0 { "" } else { "," },
            ["user", "assistant"][place % 2],
        );
        let _ = write!(text, r#"{comma}{{"role":"{role}","content":"{content}"}}"#);
    }
    text.push_str("]}");
    text.into_bytes()
}

/// Outlines a body, and gives a number that depends on it.
#[must_use]
pub fn outlined(dialect: ClientDialect, body: &[u8]) -> u32 {
    let found = outline(dialect, black_box(body));
    black_box(found).map_or(0, |outline| outline.message_count)
}

/// What is done with a body before the first byte goes to a provider of the same dialect.
#[must_use]
pub fn prepared(world: &World, body: &[u8]) -> Option<Vec<u8>> {
    let outline = outline(ClientDialect::OpenaiChat, body).ok()?;
    let plan = plan(&traits(&outline), &world.route, &world.views, 7);
    let chosen = plan
        .order
        .first()
        .and_then(|place| world.route.targets.get(*place))?;
    let shape = Shape {
        model: &chosen.model,
        is_streaming: outline.is_streaming,
        answer_tokens_default: Tokens(4_096),
        prefill: None,
        quirks: Quirks::NONE,
        carried: Features::ALL,
    };
    let sent = encode_request(ClientDialect::OpenaiChat, Dialect::OpenaiChat, body, &shape);
    sent.ok().map(|sent| sent.body)
}
