//! The laws of expected cost, and the turns of a conversation that make it fall.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route};
use waypost::decide::{Candidate, Exclusion, Seed, SeedSource, plan};
use waypost::dialects::{CACHED_TOKENS_MIN, ClientDialect, Dialect, Form, Prefix, outline};
use waypost::exchange::{Exchange, Input, Order, Output, ProviderHead, Routing};
use waypost::health::{CACHE_LIFETIME, Health, View};
use waypost::journal::{ConfigRevisions, Record};
use waypost::providers::Price;
use waypost::units::{MicroUsd, Tokens, UnixMillis};

fn route(fields: &str) -> Route {
    let text = format!(
        "{{\"targets\":[{{\"id\":\"a\",\"provider\":\"openai\",\"model\":\"m\"{fields}}}]}}"
    );
    Route::parse("r", &text, &Catalogue::default())
        .unwrap()
        .value
}

/// The only candidate of a route with these prices.
fn candidate(price: Price, traits: &Traits, view: View) -> Candidate {
    let mut route = route("");
    route.targets[0].terms.price = Some(price);
    plan(traits, &route, &[view], 1).candidates.remove(0)
}

fn cost(price: Price, traits: &Traits, view: View) -> f64 {
    candidate(price, traits, view).signals.cost.0
}

const PRICE: Price = Price {
    input: 100.0,
    input_cached: 10.0,
    cache_write: 125.0,
    input_audio: 1_000.0,
    input_image: 300.0,
    output: 500.0,
    reasoning: 700.0,
};

fn price() -> impl Strategy<Value = Price> {
    let of = || 0.0..100.0_f64;
    (of(), of(), of(), of(), of(), of(), of()).prop_map(|prices| Price {
        input: prices.0,
        input_cached: prices.1,
        cache_write: prices.2,
        input_audio: prices.3,
        input_image: prices.4,
        output: prices.5,
        reasoning: prices.6,
    })
}

fn prompt(text: u64, image: u64, audio: u64) -> Traits {
    Traits {
        prompt_tokens: Tokens(text + image + audio),
        image_tokens: Tokens(image),
        audio_tokens: Tokens(audio),
        ..Traits::default()
    }
}

proptest! {
    #[test]
    fn warmth_never_raises_the_expected_cost(
        price in price(),
        tokens in (0_u64..100_000, 0_u64..3_000, 0_u64..3_000),
        warm in 0_u64..200_000,
        shares in (0.25..4.0, 0.0..1.0, 0.0..1.0),
    ) {
        let traits = prompt(tokens.0, tokens.1, tokens.2);
        let (prompt_factor, cache_hits, cache_written) = shares;
        let cold = View { prompt_factor, cache_hits, cache_written, ..View::default() };
        let warm = View { warm_tokens: Tokens(warm), ..cold };
        let (cold, warm) = (cost(price, &traits, cold), cost(price, &traits, warm));
        prop_assert!(warm <= cold, "{} is more than {}", warm, cold);
        prop_assert!(warm >= 0.0);
    }
}

#[test]
fn each_expectation_has_its_price() {
    let traits = prompt(1_000, 800, 20);
    let view = View {
        answer_tokens: 100.0,
        ..View::default()
    };
    let others = 800.0 * 300.0 + 20.0 * 1_000.0;
    let at = |view| cost(PRICE, &traits, view) - others;
    let assert_near = |found: f64, expected: f64| {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    };
    assert_near(at(view), 1_000.0 * 100.0 + 100.0 * 500.0);
    let thinks = View {
        reasoning: 0.25,
        ..view
    };
    assert_near(at(thinks), 1_000.0 * 100.0 + 100.0 * 550.0);
    let counts_more = View {
        prompt_factor: 1.5,
        ..view
    };
    assert_near(at(counts_more), 1_500.0 * 100.0 + 100.0 * 500.0);
    let writes = View {
        cache_written: 0.8,
        ..view
    };
    assert_near(at(writes), 1_000.0 * 120.0 + 100.0 * 500.0);
    let warm = View {
        warm_tokens: Tokens(600),
        cache_hits: 0.5,
        ..counts_more
    };
    assert_near(at(warm), 1_050.0 * 100.0 + 450.0 * 10.0 + 100.0 * 500.0);
    let warm_beyond_the_text = View {
        warm_tokens: Tokens(9_000),
        cache_hits: 1.0,
        ..view
    };
    assert_near(at(warm_beyond_the_text), 1_000.0 * 10.0 + 100.0 * 500.0);
}

/// A record of before cost was learned replays to the cost that it had.
#[test]
fn old_records_health_counts_as_nothing_learned() {
    let mut written = serde_json::to_value(View::default()).unwrap();
    let fields = written.as_object_mut().unwrap();
    for new in [
        "prompt_factor",
        "prompt_factor_min",
        "reasoning",
        "warm_tokens",
        "cache_hits",
        "cache_written",
    ] {
        assert!(fields.remove(new).is_some(), "{new} is written");
    }
    let view: View = serde_json::from_value(written).unwrap();
    let unknown = View::default();
    let [old, new] =
        [view, unknown].map(|view| candidate(PRICE, &prompt(1_000, 0, 0), view).signals);
    assert_eq!(old, new);
    assert_eq!(
        (
            view.prompt_factor,
            view.prompt_factor_min,
            view.warm_tokens,
            view.cache_hits
        ),
        (1.0, 1.0, Tokens(0), 0.5)
    );
}

#[test]
fn context_excludes_only_what_is_too_long_even_if_the_estimate_is_high() {
    let route = route(r#","context_tokens":3000"#);
    let excluded = |traits: Traits, prompt_factor_min| {
        let view = View {
            prompt_factor_min,
            ..View::default()
        };
        plan(&traits, &route, &[view], 1).candidates[0]
            .excluded
            .clone()
    };
    let lacks = Some(Exclusion::LacksContext);
    assert_eq!(excluded(prompt(3_000, 0, 0), 1.0), None);
    assert_eq!(excluded(prompt(3_001, 0, 0), 1.0), lacks);
    assert_eq!(excluded(prompt(6_000, 0, 0), 0.5), None);
    assert_eq!(excluded(prompt(6_001, 0, 0), 0.5), lacks);
    let unknown = View::default().prompt_factor_min;
    assert_eq!(excluded(prompt(6_600, 0, 0), unknown), None);
    assert_eq!(excluded(prompt(6_700, 0, 0), unknown), lacks);
    let images = excluded(prompt(3_000, 80_000, 80_000), 1.0);
    assert_eq!(images, None, "what images count is a guess");
}

/// A client of one conversation, and the router that it talks to.
struct World {
    route: Arc<Route>,
    health: Health,
    key: String,
    team: Option<String>,
}

impl World {
    fn new() -> Self {
        let text = r#"{"targets":[
            {"id":"a","provider":"openai","model":"m","weight":2,"usd_per_mtok":{"in":1,"in_cached":0.1,"out":0}},
            {"id":"b","provider":"openai","model":"n","usd_per_mtok":{"in":1,"in_cached":0.1,"out":0}},
            {"id":"c","provider":"openai","model":"o","usd_per_mtok":{"in":1,"out":0}}],"temperature":0}"#;
        let route = Route::parse("r", text, &Catalogue::default())
            .unwrap()
            .value;
        Self {
            route: Arc::new(route),
            health: Health::default(),
            key: "k".to_owned(),
            team: None,
        }
    }

    fn order(&self, dialect: ClientDialect, body: &Value) -> Order {
        let body = body.to_string().into_bytes();
        let outline = outline(dialect, &body).unwrap();
        let caller = Caller {
            dialect: Some(dialect),
            key: self.key.clone(),
            team: self.team.clone(),
            ..Caller::default()
        };
        let routing = Routing {
            traits: Traits::of(&outline, "r", caller),
            route: Arc::clone(&self.route),
            via: Vec::new(),
            config: ConfigRevisions::default(),
            seed: Seed {
                value: 7,
                source: SeedSource::Random,
            },
        };
        Order {
            id: "wp-1".to_owned(),
            form: Form::Json,
            client: dialect,
            headers: waypost::dialects::ClientHeaders::default(),
            delivery: waypost::dialects::Delivery::default(),
            body,
            prefix: outline.prefix,
            routing,
            fallbacks: Vec::new(),
            is_explained: false,
        }
    }

    /// Each target's expected cost in whole micro-dollars, and its warm tokens.
    fn look(&self, dialect: ClientDialect, body: &Value, now: u64) -> Vec<(MicroUsd, u64)> {
        let told = self
            .order(dialect, body)
            .explain(&self.health, UnixMillis(now));
        let candidates = told.decision.candidates.iter();
        let figures = candidates.map(|told| {
            let Candidate {
                signals, health, ..
            } = &told.candidate;
            (MicroUsd(signals.cost.0.round()), health.warm_tokens.0)
        });
        figures.collect()
    }

    /// Lets the first target of the plan answer.
    fn ask(&mut self, dialect: ClientDialect, body: &Value, usage: &Value, now: u64) -> Record {
        let order = self.order(dialect, body);
        let now = UnixMillis(now);
        let (mut exchange, _) = Exchange::begin(order, &mut self.health, now);
        let head = ProviderHead {
            status: 200,
            content_type: "application/json".to_owned(),
            ..ProviderHead::default()
        };
        let answer = json!({ "id": "c", "model": "m", "usage": usage, "choices": [
            { "index": 0, "message": { "role": "assistant", "content": "Yes." }, "finish_reason": "stop" }] });
        let bytes = answer.to_string().into_bytes();
        let inputs = [
            Input::Head { attempt: 0, head },
            Input::Chunk { attempt: 0, bytes },
            Input::End { attempt: 0 },
        ];
        let outputs = inputs
            .into_iter()
            .flat_map(|input| exchange.on(input, &mut self.health, now));
        let record = outputs.filter_map(|output| match output {
            Output::Finish(record) => Some(*record),
            _ => None,
        });
        record.last().unwrap()
    }
}

/// Some 1,500 tokens, which nobody else says.
fn long(topic: &str) -> String {
    format!("Tell me about {topic}, please. ").repeat(220)
}

fn chat(turns: &[(&str, &str)]) -> Value {
    let message = |(role, content): &(&str, &str)| json!({ "role": role, "content": content });
    json!({ "model": "r", "max_tokens": 10, "messages": turns.iter().map(message).collect::<Vec<_>>() })
}

/// As many tokens as were estimated, so that nothing but the cache is learned.
fn counted(prompt: u64, cached: u64) -> Value {
    json!({ "prompt_tokens": prompt, "completion_tokens": 3, "prompt_tokens_details": { "cached_tokens": cached } })
}

const CHAT: ClientDialect = ClientDialect::OpenaiChat;

#[test]
fn second_turn_is_cheaper_where_the_first_was_answered_until_the_cache_is_cold() {
    let mut world = World::new();
    let whales = long("whales");
    let first = chat(&[("system", "Be brief."), ("user", &whales)]);
    let second = chat(&[
        ("system", "Be brief."),
        ("user", &whales),
        ("assistant", "Yes."),
        ("user", "And seals?"),
    ]);
    let cold = world.look(CHAT, &second, 1_000);
    let size = world.order(CHAT, &first).routing.traits.prompt_tokens.0;
    assert!(
        cold.iter()
            .all(|(cost, warm)| *warm == 0 && *cost == cold[0].0)
    );
    let record = world.ask(CHAT, &first, &counted(size, 0), 1_000);
    assert_eq!(record.outcome.target.as_deref(), Some("a"));
    let written = serde_json::to_string(&record).unwrap();
    assert!(
        !written.contains("prefix") && !written.contains("hash"),
        "no hash of a prompt is kept"
    );

    let warm = world.look(CHAT, &second, 2_000);
    assert_eq!(warm[0].1, size);
    // Half of the cached price's discount of nine tenths, as long as nothing was seen.
    let saved = Tokens(size).as_f64() * 0.5 * 0.9;
    assert!(
        (cold[0].0.0 - warm[0].0.0 - saved).abs() <= 1.0,
        "{cold:?} {warm:?}"
    );
    assert_eq!(warm[1..], cold[1..], "the others have not seen it");
    let last = 1_000 + CACHE_LIFETIME.0;
    assert_eq!(world.look(CHAT, &second, last - 1)[0].1, size);
    assert_eq!(world.look(CHAT, &second, last), cold);
}

#[test]
fn hit_rate_follows_what_the_provider_reports() {
    let mut world = World::new();
    let body = chat(&[("user", &long("otters"))]);
    let size = world.order(CHAT, &body).routing.traits.prompt_tokens.0;
    world.ask(CHAT, &body, &counted(size, 0), 0);
    let cost = |world: &World| world.look(CHAT, &body, 0)[0].0.0;
    let unknown = cost(&world);
    for _ in 0..8 {
        world.ask(CHAT, &body, &counted(size, size), 0);
    }
    let expected = Tokens(size).as_f64() * (1.0 - 0.9 * 0.9);
    assert!(
        (cost(&world) - expected).abs() <= 1.0,
        "nine of ten, with the prior"
    );
    for _ in 0..90 {
        world.ask(CHAT, &body, &counted(size, 0), 0);
    }
    assert!(
        cost(&world) > unknown,
        "a cache that never hits is worth little"
    );
}

#[test]
fn other_prefix_is_cold() {
    let mut world = World::new();
    let whales = long("whales");
    let first = chat(&[("system", "Be brief."), ("user", &whales)]);
    world.ask(CHAT, &first, &counted(1_500, 0), 0);
    let warm = |world: &World, body: &Value| world.look(CHAT, body, 1)[0].1;
    assert!(warm(&world, &first) > 1_024);
    let other_system = chat(&[("system", "Be long."), ("user", &whales)]);
    let other_message = chat(&[("system", "Be brief."), ("user", &long("wales"))]);
    let shorter = chat(&[("user", &whales)]);
    let mut other_tools = first.clone();
    other_tools["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]);
    for body in [other_system, other_message, shorter, other_tools] {
        assert_eq!(warm(&world, &body), 0, "{}", body.to_string().len());
    }
    let mut other_fields = first.clone();
    other_fields["temperature"] = json!(0.5);
    other_fields["model"] = json!("another name of the route");
    assert_eq!(
        warm(&world, &other_fields),
        warm(&world, &first),
        "they stand in no prompt"
    );
    world.key = "another".to_owned();
    assert_eq!(
        warm(&world, &first),
        0,
        "nobody learns what another key asked"
    );
}

#[test]
fn keys_of_a_team_share_the_system_prompt_that_they_all_send() {
    let mut world = World::new();
    world.team = Some("t".to_owned());
    let system = long("manners");
    let ask = |text| chat(&[("system", system.as_str()), ("user", text)]);
    world.ask(CHAT, &ask("One?"), &counted(1_500, 0), 0);
    world.key = "another".to_owned();
    let warm = world.look(CHAT, &ask("Two?"), 1)[0].1;
    let whole = world
        .order(CHAT, &ask("Two?"))
        .routing
        .traits
        .prompt_tokens
        .0;
    assert!(warm > 1_024 && warm < whole, "{warm} of {whole}");
}

#[test]
fn nothing_is_remembered_where_the_cache_is_no_cheaper_or_the_prompt_is_short() {
    let mut world = World::new();
    let short = chat(&[("user", "Hello?")]);
    assert_eq!(world.order(CHAT, &short).prefix, Prefix::default());
    Arc::make_mut(&mut world.route).targets.rotate_right(1);
    Arc::make_mut(&mut world.route).targets[0].weight = 9.0;
    let body = chat(&[("user", &long("owls"))]);
    let record = world.ask(CHAT, &body, &counted(1_500, 0), 0);
    assert_eq!(record.outcome.target.as_deref(), Some("c"));
    assert!(
        world
            .look(CHAT, &body, 1)
            .iter()
            .all(|(_, warm)| *warm == 0)
    );
}

/// A provider's own count of tokens is learned, and only that.
#[test]
fn prompt_factor_is_learned_from_what_was_reported_and_text_alone() {
    let mut world = World::new();
    let body = chat(&[("user", &long("bees"))]);
    let size = world.order(CHAT, &body).routing.traits.prompt_tokens.0;
    let factor = |world: &World| {
        let told = world
            .order(CHAT, &body)
            .explain(&world.health, UnixMillis(0));
        told.decision.candidates[0].candidate.health.prompt_factor
    };
    world.ask(CHAT, &body, &Value::Null, 0);
    assert!((factor(&world) - 1.0).abs() < 1e-12, "not reported");
    let mut seen = body.clone();
    seen["messages"][0]["content"] = json!([
        { "type": "text", "text": "What is it?" }, { "type": "image_url", "image_url": { "url": "https://x.example/" } }]);
    world.ask(CHAT, &seen, &counted(90_000, 0), 0);
    assert!((factor(&world) - 1.0).abs() < 1e-12, "an image");
    world.ask(CHAT, &body, &counted(size * 2, 0), 0);
    assert!((factor(&world) - 2.0_f64.powf(1.0 / 3.0)).abs() < 1e-9);
}

fn messages(system: &Value, turns: &[Value]) -> Value {
    json!({ "model": "r", "max_tokens": 10, "system": system, "messages": turns })
}

/// Clients of Anthropic's dialect mark the end of what is to be cached, and move the mark with each turn.
#[test]
fn cache_control_may_move_between_turns() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let marked = |text: &str| json!({ "type": "text", "text": text, "cache_control": { "type": "ephemeral" } });
    let turn = |role: &str, block: Value| json!({ "role": role, "content": [block] });
    let whales = long("whales");
    let first = messages(
        &json!([marked("Be brief.")]),
        &[turn("user", marked(&whales))],
    );
    let second = messages(
        &json!("Be brief."),
        &[
            turn("user", text(&whales)),
            turn("assistant", text("Yes.")),
            turn("user", marked("And seals?")),
        ],
    );
    let mut world = World::new();
    world.ask(ClientDialect::Anthropic, &first, &counted(1_500, 0), 0);
    let size = world
        .order(ClientDialect::Anthropic, &first)
        .routing
        .traits
        .prompt_tokens
        .0;
    assert_eq!(world.look(ClientDialect::Anthropic, &second, 1)[0].1, size);
    let other_image = |data: &str| {
        let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } });
        messages(&json!(whales.as_str()), &[turn("user", image)])
    };
    world.ask(
        ClientDialect::Anthropic,
        &other_image("AAAA"),
        &counted(2_300, 0),
        0,
    );
    let [same, other] = ["AAAA", "AAAB"]
        .map(|data| world.look(ClientDialect::Anthropic, &other_image(data), 1)[0].1);
    assert!(
        other >= CACHED_TOKENS_MIN.0 && other < same,
        "the system prompt alone is warm: {other}, {same}"
    );
}

#[test]
fn anthropic_caches_only_what_it_is_asked_to() {
    let mut world = World::new();
    let providers = r#"{"targets":[{"id":"a","provider":"anthropic","model":"m","usd_per_mtok":{"in":1,"in_cached":0.1,"out":0}}]}"#;
    let route = Route::parse("r", providers, &Catalogue::default());
    world.route = Arc::new(route.unwrap().value);
    let whales = long("whales");
    let plain = messages(
        &json!("Be brief."),
        &[json!({ "role": "user", "content": whales })],
    );
    let mut marked = plain.clone();
    marked["cache_control"] = json!({ "type": "ephemeral" });
    let mut marked_tool = plain.clone();
    marked_tool["tools"] = json!([{ "name": "f", "cache_control": { "type": "ephemeral" } }]);
    let mut unmarked = plain.clone();
    unmarked["system"] = json!([{ "type": "text", "text": "Be brief.", "cache_control": null }]);
    let is_asked = |dialect, body: &Value| {
        let order = world.order(dialect, body);
        order.prefix.is_cached_by(Dialect::Anthropic)
    };
    assert!(
        is_asked(ClientDialect::Anthropic, &marked)
            && is_asked(ClientDialect::Anthropic, &marked_tool)
    );
    assert!(
        !is_asked(ClientDialect::Anthropic, &plain)
            && !is_asked(ClientDialect::Anthropic, &unmarked)
    );
    assert!(
        !is_asked(CHAT, &chat(&[("user", &whales)])),
        "its dialect has no words for it"
    );
    let order = world.order(ClientDialect::Anthropic, &plain);
    let (key, now) = (world.route.targets[0].health_key(), UnixMillis(0));
    world
        .health
        .remember(&key, order.routing.scope(), &order.prefix, now);
    assert_eq!(world.look(ClientDialect::Anthropic, &plain, 1)[0].1, 0);
    assert_eq!(
        world.look(ClientDialect::Anthropic, &marked, 1)[0].1,
        order.routing.traits.prompt_tokens.0
    );
}

#[test]
fn order_of_fields_and_dialect() {
    let whales = long("whales");
    let prefix = |dialect, body: &str| outline(dialect, body.as_bytes()).unwrap().prefix;
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let rest = format!(r#""messages":[{{"role":"user","content":"{whales}"}}]"#);
    let head = r#""model":"r","max_tokens":5"#;
    let one = prefix(CHAT, &format!("{{{head},{tools},{rest}}}"));
    assert_eq!(one, prefix(CHAT, &format!("{{{rest},{tools},{head}}}")));
    let other = prefix(ClientDialect::Anthropic, &format!("{{{head},{rest}}}"));
    assert_ne!(prefix(CHAT, &format!("{{{head},{rest}}}")), other);
}

/// Four seconds of sound, as a client sends it in two formats; and what is no sound at all.
#[test]
fn sounds_count_by_their_seconds() {
    let audio_tokens = |audio: Value| {
        let part = json!({ "type": "input_audio", "input_audio": audio });
        let body = json!({ "model": "r", "messages": [{ "role": "user", "content": [part] }] });
        let outline = outline(CHAT, body.to_string().as_bytes()).unwrap();
        let traits = Traits::of(&outline, "r", Caller::default());
        assert_eq!(
            traits.text_tokens() + traits.audio_tokens,
            traits.prompt_tokens
        );
        traits.audio_tokens.0
    };
    let base64 = |bytes: usize| "A".repeat(bytes / 3 * 4);
    assert_eq!(
        audio_tokens(json!({ "format": "wav", "data": base64(192_000) })),
        40
    );
    assert_eq!(
        audio_tokens(json!({ "format": "mp3", "data": base64(32_001) })),
        41
    );
    for odd in [
        json!({ "data": 7 }),
        json!("x"),
        json!([]),
        json!({ "format": "wav" }),
    ] {
        assert_eq!(audio_tokens(odd), 0);
    }
}

#[test]
fn memory_of_a_prompt_is_bounded() {
    let whales = long("whales");
    let turns: Vec<(&str, &str)> = (0..500).map(|_| ("user", whales.as_str())).collect();
    let prefix = outline(CHAT, chat(&turns).to_string().as_bytes())
        .unwrap()
        .prefix;
    assert_eq!(prefix.turns.len(), 64);
    assert!(
        prefix
            .boundaries()
            .map(|boundary| boundary.tokens)
            .is_sorted_by(|a, b| a > b)
    );
}
