//! Decides the worlds of `tests/replay/` again, to the last bit.
//!
//! `worlds.jsonl` holds what records hold, a world a line; `worlds.expected` what was decided, the numbers as bits. Here
//! the host decides them; `tests/replay/replay.test.mjs` has the same code do it in workerd, before and after a restart.
//! The worlds were drawn once: to draw others, delete the file and run with `UPDATE_EXPECT=1`.

use std::fmt::Write as _;
use std::fs;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use waypost::classify::Traits;
use waypost::decide::{Seed, SeedSource};
use waypost::health::{Admission, View};
use waypost::units::{Millis, Tokens, UnixMillis};

use super::expect::{Report, folder};

#[path = "../../benches/src/replay.rs"]
mod pure;

const WORLDS: usize = 200;

#[test]
fn recorded_worlds_are_decided_as_they_were() {
    let folder = folder("replay");
    let worlds = folder.join("worlds.jsonl");
    if !worlds.exists() && std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&worlds, drawn()).unwrap();
    }
    let worlds = fs::read_to_string(worlds).unwrap();
    let told: Vec<String> = worlds.lines().map(pure::replay).collect();
    let is_decided = |line: &&String| line.contains(" | order [");
    assert_eq!(told.iter().filter(is_decided).count(), WORLDS);
    let told = told.join("\n") + "\n";
    Report::default().compare(&folder.join("worlds.expected"), told.as_bytes());
}

/// The worlds reach all that a plan does.
#[test]
fn recorded_worlds_are_of_every_kind() {
    let read = |name: &str| fs::read_to_string(folder("replay").join(name)).unwrap();
    let (worlds, told) = (read("worlds.jsonl"), read("worlds.expected"));
    for part in [
        "\"temperature\":0}",
        "\"sticky\":\"session\"",
        "\"state\":\"recovering\"",
        "\"source\":\"random\"",
    ] {
        assert!(worlds.contains(part), "no world has {part}");
    }
    for part in [
        "lacks_tools",
        "ejected",
        "\"rule\"",
        "cost_usd_max",
        "order [] 0000000000000000",
    ] {
        assert!(told.contains(part), "no world ends with {part}");
    }
}

fn drawn() -> String {
    let mut runner = TestRunner::deterministic();
    let mut lines = String::new();
    for _ in 0..WORLDS {
        let world = world().new_tree(&mut runner).unwrap().current();
        let _ = writeln!(lines, "{world}");
    }
    lines
}

/// Full mantissas, over some orders of magnitude.
fn quantity(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low.ln()..high.ln()).prop_map(f64::exp)
}

fn health() -> impl Strategy<Value = View> {
    let admission = prop_oneof![
        4 => Just(Admission::Admitted),
        1 => (1_u8..9).prop_map(|ninths| Admission::Recovering { share: f64::from(ninths) / 9.0 }),
        1 => Just(Admission::Ejected { until: UnixMillis(9) }),
    ];
    let times = (quantity(0.05, 9.0), quantity(0.001, 0.5));
    let rates = (0.01..0.99, prop_oneof![Just(0.0), 0.1..9.0]);
    let counts = (quantity(1.0, 4_000.0), quantity(0.25, 4.0), 0.0..1.0);
    let cache = (0_u64..20_000, 0.0..1.0, 0.0..1.0);
    (times, rates, counts, cache, admission).prop_map(
        |(
            (ttft_seconds, seconds_per_token),
            (p_success, rate_limited),
            (answer_tokens, prompt_factor, reasoning),
            (warm_tokens, cache_hits, cache_written),
            admission,
        )| {
            View {
                p_success,
                ttft_seconds,
                seconds_per_token,
                answer_tokens,
                rate_limited,
                prompt_factor,
                prompt_factor_min: 0.5 * prompt_factor,
                reasoning,
                warm_tokens: Tokens(warm_tokens),
                cache_hits,
                cache_written,
                ttft_p95_seconds: None,
                age: Millis(0),
                room: None,
                admission,
            }
        },
    )
}

fn target() -> impl Strategy<Value = Value> {
    let price = prop::option::of((quantity(0.05, 50.0), quantity(0.1, 90.0)));
    let can = prop::sample::select(vec![json!(null), json!([]), json!(["tools"])]);
    let region = prop::sample::select(vec![json!(null), json!("eu"), json!("us")]);
    (quantity(0.01, 100.0), 0.05..1.0, price, can, region).prop_map(
        |(weight, quality, price, can, region)| {
            let price = price.map(|(input, output)| json!({"in": input, "out": output}));
            json!({"provider": "openai", "model": "m", "weight": weight, "can": can, "region": region,
                "quality": {"code": quality, "*": 0.5}, "usd_per_mtok": price})
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Value>> {
    let rule = prop::sample::select(vec![
        json!({"when": {"tags": "a"}, "avoid": ["t0"]}),
        json!({"when": {"tools": true}, "prefer": {"price": 2.5}}),
        json!({"when": {"none": [{"country": "DE"}]}, "require": {"region": "eu"}}),
        json!({"name": "dear", "when": {"prompt_tokens": {"gt": 5000}}, "limits": {"cost_usd_max": 0.01}}),
        json!({"when": {"model": {"glob": "team/*"}}, "only": ["t0", "t1"]}),
    ]);
    prop::collection::vec(rule, 0..3)
}

fn traits() -> impl Strategy<Value = Traits> {
    let text = |words: &'static [&'static str]| {
        prop::option::of(prop::sample::select(words).prop_map(str::to_owned))
    };
    let session = prop::option::of("[0-9a-f]{16}");
    let whole = (1_u64..20_000, prop::option::of(1_u64..4_000));
    (
        text(&["DE", "US"]),
        text(&["EU", "NA"]),
        text(&["code"]),
        session,
        whole,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(country, continent, topic, session, (prompt, answer), [a, tools, team])| Traits {
                country,
                continent,
                topic,
                session,
                tags: if a { vec!["a".to_owned()] } else { Vec::new() },
                model: if team { "team/chat" } else { "chat" }.to_owned(),
                has_tools: tools,
                prompt_tokens: Tokens(prompt),
                answer_tokens_max: answer.map(Tokens),
                ..Traits::default()
            },
        )
}

pub fn world() -> impl Strategy<Value = Value> {
    let targets = prop::collection::vec((target(), health()), 2..6);
    let prefer = (0.0..3.0, 0.0..3.0, 0.0..6.0, 0.0..6.0, 0.0..2.0);
    let temperature = prop_oneof![2 => Just(json!(0)), 3 => (0.01..2.0).prop_map(|it| json!(it))];
    let sticky = prop::sample::select(vec![json!(null), json!("session"), json!("key")]);
    (targets, prefer, temperature, sticky, rules(), traits(), any::<u64>()).prop_map(
        |(targets, (price, ttft, quality, reliability, distance), temperature, sticky, rules, traits, seed)| {
            let (targets, health): (Vec<Value>, Vec<View>) = targets.into_iter().unzip();
            let name = |(place, mut target): (usize, Value)| {
                target["id"] = json!(format!("t{place}"));
                target
            };
            let targets: Vec<Value> = targets.into_iter().enumerate().map(name).collect();
            let seed = Seed { value: seed, source: SeedSource::Random };
            json!({
                "route": {
                    "targets": targets, "temperature": temperature, "sticky": sticky, "rules": rules,
                    "ring": {"EU": ["eu", "us"], "*": ["us"]},
                    "prefer": {"price": price, "ttft": ttft, "speed": 0.5, "quality": quality,
                        "reliability": reliability, "load": 0.5, "distance": distance},
                },
                "traits": traits, "health": health, "seed": seed,
            })
        },
    )
}
