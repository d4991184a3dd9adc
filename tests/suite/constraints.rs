//! What a caller's own limits do to a plan, and the laws that they keep.

use proptest::prelude::*;
use waypost::classify::Traits;
use waypost::config::{Catalogue, Constraints, Route};
use waypost::decide::{Exclusion, Plan, plan};
use waypost::dialects::{Asks, ClientDialect, Feature};
use waypost::health::View;
use waypost::units::Tokens;

const PROVIDERS: &str = r#"{
  "providers": {
    "keeps": { "dialect": "openai-chat", "base_url": "https://keeps.example/v1", "auth": "none", "region": "us", "data_policy": "retained" },
    "trains": { "dialect": "openai-chat", "base_url": "https://trains.example/v1", "auth": "none", "data_policy": "trains" },
    "forgets": { "dialect": "anthropic", "base_url": "https://forgets.example/v1", "auth": "none", "region": "eu", "data_policy": "zero_retention" },
    "house": { "dialect": "openai-chat", "base_url": "https://house.example/v1", "auth": "none", "region": "eu", "private": true }
  }
}"#;

/// In the order of their weights: each differs from the others in what a caller may ask for.
const ROUTE: &str = r#"{
  "targets": [
    { "id": "one", "provider": "keeps", "model": "m1", "weight": 4, "usd_per_mtok": { "in": 1, "out": 5 }, "can": ["tools", "images"] },
    { "id": "two", "provider": "trains", "model": "m2", "weight": 3, "usd_per_mtok": { "in": 0.1, "out": 0.2 }, "can": ["tools", "images"] },
    { "id": "three", "provider": "forgets", "model": "m3", "weight": 2, "usd_per_mtok": { "in": 3, "out": 15 }, "can": ["tools", "images"] },
    { "id": "four", "provider": "house", "model": "m4", "weight": 1 }
  ],
  "temperature": 0
}"#;

fn route() -> Route {
    let catalogue = Catalogue::parse(PROVIDERS).unwrap().value;
    Route::parse("r", ROUTE, &catalogue).unwrap().value
}

fn asks(features: &[(Feature, &str)]) -> Asks {
    let mut asks = Asks::default();
    for (feature, field) in features {
        asks.note(*feature, format_args!("{field}"));
    }
    asks
}

/// A request with tools and a field that only its own dialect carries, under these limits.
fn constrained(limits: &str) -> Traits {
    let constraints = Constraints::parse(Some(limits), None, None).unwrap();
    Traits {
        dialect: Some(ClientDialect::OpenaiChat),
        prompt_tokens: Tokens(1_000),
        answer_tokens_max: Some(Tokens(1_000)),
        has_tools: true,
        asks: asks(&[(Feature::Seed, "seed")]),
        constraints: Some(Box::new(constraints)),
        ..Traits::default()
    }
}

fn views() -> Vec<View> {
    let view = |ttft_seconds, tokens_per_second: f64| View {
        ttft_seconds,
        seconds_per_token: 1.0 / tokens_per_second,
        answer_tokens: 1_000.0,
        ..View::default()
    };
    vec![
        view(0.4, 50.0),
        view(2.0, 90.0),
        view(1.0, 20.0),
        view(0.8, 60.0),
    ]
}

fn planned(limits: &str) -> Plan {
    plan(&constrained(limits), &route(), &views(), 1)
}

/// The plan, and what was dropped or set back and why.
fn told(plan: &Plan) -> String {
    let order = plan
        .order
        .iter()
        .map(|place| plan.candidates[*place].target.as_ref());
    let mut parts: Vec<String> = vec![order.collect::<Vec<_>>().join(" ")];
    for candidate in &plan.candidates {
        if let Some(Exclusion::Request { limit }) = &candidate.excluded {
            parts.push(format!("{} not: {limit}", candidate.target));
        }
        if !candidate.beyond.is_empty() {
            parts.push(format!(
                "{} back: {}",
                candidate.target,
                candidate.beyond.join(" ")
            ));
        }
    }
    parts.join("; ")
}

/// Records of before `asks` say it in two fields, and are decided as they were.
#[test]
fn what_older_records_say_of_fields_still_counts() {
    for (field, said) in [
        (
            "unportable",
            r#"{"dialect":"openai-chat","unportable":"n"}"#,
        ),
        (
            "asks",
            r#"{"dialect":"openai-chat","asks":[{"feature":"several_choices","field":"n"}]}"#,
        ),
    ] {
        let traits: Traits = serde_json::from_str(said).unwrap();
        let plan = plan(&traits, &route(), &views(), 1);
        let why = plan.candidates[2].excluded.as_ref();
        let why = why.map(ToString::to_string);
        assert_eq!(
            why,
            Some("its dialect cannot carry `n`".to_owned()),
            "{field}"
        );
        assert_eq!(plan.candidates[0].excluded, None, "{field}");
    }
    let old = Traits {
        asks: Asks::default(),
        dropped: Some("seed".to_owned()),
        ..constrained("require_parameters=true")
    };
    let new = constrained("require_parameters=true");
    assert_eq!(
        plan(&old, &route(), &views(), 1),
        plan(&new, &route(), &views(), 1)
    );
}

#[test]
fn each_limit_does_what_its_name_says() {
    for (limits, expected) in [
        ("{}", "one two three four"),
        (
            r#"{"only": ["house", "ONE"]}"#,
            "one four; two not: only; three not: only",
        ),
        (
            r#"{"only": "keeps/m1"}"#,
            "one; two not: only; three not: only; four not: only",
        ),
        (
            r#"{"ignore": ["keeps", "three"]}"#,
            "two four; one not: ignore; three not: ignore",
        ),
        (r#"{"order": ["house", "two"]}"#, "four two one three"),
        (
            r#"{"order": ["house", "two"], "allow_fallbacks": false}"#,
            "four two; one not: allow_fallbacks; three not: allow_fallbacks",
        ),
        ("allow_fallbacks=false", "one"),
        ("zdr=true", "three four; one not: zdr; two not: zdr"),
        (
            "data_collection=deny",
            "one three four; two not: data_collection",
        ),
        (
            r#"{"require": {"region": "eu"}}"#,
            "three four; one not: require; two not: require",
        ),
        (
            "require_parameters=true",
            "one two; three not: require_parameters; four not: require_parameters",
        ),
        (
            r#"{"max_price": {"prompt": 1, "completion": 5}}"#,
            "one two; three not: max_price; four not: max_price",
        ),
        (
            r#"{"usd_per_mtok_max": {"out": 1}}"#,
            "two; one not: usd_per_mtok_max; three not: usd_per_mtok_max; four not: usd_per_mtok_max",
        ),
        // 1,000 tokens in and out: 0.006, 0.0003, 0.018 and, at the assumed price, 0.005 dollars.
        (
            "cost_usd_max=0.005",
            "two four; one not: cost_usd_max; three not: cost_usd_max",
        ),
        (
            "ttft_ms_max=800",
            "one four; two not: ttft_ms_max; three not: ttft_ms_max",
        ),
        (
            "tokens_per_second_min=60",
            "two four; one not: tokens_per_second_min; three not: tokens_per_second_min",
        ),
        (
            r#"{"limits": {"ttft_ms_max": 400}, "ttft_ms_max": 800}"#,
            "one four; two not: ttft_ms_max; three not: ttft_ms_max",
        ),
        ("sort=price", "two four one three"),
        ("sort=throughput", "two four one three"),
        ("sort=latency", "one four three two"),
        (r#"{"prefer": {"ttft": 9}}"#, "one four three two"),
    ] {
        assert_eq!(told(&planned(limits)), expected, "{limits}");
    }
}

#[test]
fn soft_limits_set_back_and_never_drop() {
    for (limits, expected) in [
        (
            r#"{"soft": {"zdr": true}}"#,
            "three four one two; one back: zdr; two back: zdr",
        ),
        (
            r#"{"soft": {"zdr": true, "ttft_ms_max": 900}}"#,
            "four one three two; one back: zdr; two back: zdr ttft_ms_max; three back: ttft_ms_max",
        ),
        (
            r#"{"preferred_max_latency": 0.5}"#,
            "one two three four; two back: ttft_ms_max; three back: ttft_ms_max; four back: ttft_ms_max",
        ),
        // What is named first comes first only among those that are equally within.
        (
            r#"{"soft": {"ignore": "two"}, "order": ["two", "four"]}"#,
            "four one three two; two back: ignore",
        ),
        (
            r#"{"soft": {"only": "nobody"}}"#,
            "one two three four; one back: only; two back: only; three back: only; four back: only",
        ),
    ] {
        assert_eq!(told(&planned(limits)), expected, "{limits}");
    }
}

#[test]
fn callers_limit_never_widens_the_routes() {
    let strict = ROUTE.replace(
        "\"temperature\": 0",
        "\"temperature\": 0, \"limits\": {\"cost_usd_max\": 0.001}, \
         \"rules\": [{\"name\": \"no training\", \"avoid\": [\"two\"]}]",
    );
    let catalogue = Catalogue::parse(PROVIDERS).unwrap().value;
    let route = Route::parse("r", &strict, &catalogue).unwrap().value;
    let traits = constrained(r#"{"cost_usd_max": 1, "only": ["two", "one"]}"#);
    let plan = plan(&traits, &route, &views(), 1);
    assert_eq!(plan.order, Vec::<usize>::new());
    let reason = |place: usize| {
        plan.candidates[place]
            .excluded
            .as_ref()
            .unwrap()
            .to_string()
    };
    assert_eq!(reason(0), "beyond the route's limit `cost_usd_max`");
    assert_eq!(reason(1), "excluded by rule `no training`");
}

#[test]
fn exclusion_of_older_records_is_still_read() {
    let older = r#"{"reason":"cost_above_limit"}"#;
    let read: Exclusion = serde_json::from_str(older).unwrap();
    let limit = "cost_usd_max".to_owned();
    assert_eq!(read, Exclusion::Limit { limit });
}

/// Any of a caller's limits, as it would write it.
fn limits() -> impl Strategy<Value = serde_json::Value> {
    let name = prop::sample::select(vec!["one", "two", "three", "house", "nobody"]);
    let names = prop::collection::vec(name, 0..3);
    let bounds = (
        prop::option::of(names.clone()),
        prop::option::of(names.clone()),
        prop::option::of(any::<bool>()),
        prop::option::of(0.0..0.02),
        prop::option::of(100_u64..3_000),
    )
        .prop_map(|(only, ignore, zdr, cost, ttft)| {
            serde_json::json!({ "only": only, "ignore": ignore, "zdr": zdr, "cost_usd_max": cost, "ttft_ms_max": ttft })
        });
    (bounds.clone(), bounds, names, any::<bool>()).prop_map(|(hard, soft, order, all)| {
        let mut limits = hard;
        limits["soft"] = soft;
        limits["order"] = order.into();
        limits["allow_fallbacks"] = all.into();
        limits
    })
}

fn candidates(plan: &Plan) -> Vec<&str> {
    let open = plan
        .candidates
        .iter()
        .filter(|candidate| candidate.excluded.is_none());
    open.map(|candidate| candidate.target.as_ref()).collect()
}

proptest! {
    #[test]
    fn limits_only_take_away_and_shares_stay_a_distribution(limits in limits(), seed: u64, temperature in 0.0..2.0) {
        let mut route = route();
        route.temperature = temperature;
        let free = plan(&Traits { constraints: None, ..constrained("{}") }, &route, &views(), seed);
        let bound = plan(&constrained(&limits.to_string()), &route, &views(), seed);
        let all = candidates(&free);
        prop_assert!(candidates(&bound).iter().all(|target| all.contains(target)));
        let sum: f64 = bound.candidates.iter().map(|candidate| candidate.share).sum();
        let has_candidate = !candidates(&bound).is_empty();
        prop_assert!((sum - f64::from(u8::from(has_candidate))).abs() < 1e-12);
        prop_assert_eq!(bound.order.is_empty(), !has_candidate);
        if has_candidate {
            prop_assert!(bound.propensity() > 0.0);
        }
    }

    #[test]
    fn soft_limits_change_the_order_and_not_who_is_in_it(limits in limits(), seed: u64) {
        let mut hard = limits.clone();
        hard["soft"] = serde_json::json!({});
        hard["allow_fallbacks"] = true.into();
        let mut both = limits;
        both["allow_fallbacks"] = true.into();
        let (hard, both) = (planned_with(&hard, seed), planned_with(&both, seed));
        prop_assert_eq!(candidates(&hard), candidates(&both));
        let beyond = |place: &usize| both.candidates[*place].beyond.len();
        prop_assert!(both.order.iter().is_sorted_by_key(beyond));
    }

    #[test]
    fn traits_with_limits_survive_a_record(limits in limits(), seed: u64) {
        let traits = constrained(&limits.to_string());
        let read: Traits = serde_json::from_str(&serde_json::to_string(&traits).unwrap()).unwrap();
        prop_assert_eq!(&read, &traits);
        prop_assert_eq!(plan(&read, &route(), &views(), seed), plan(&traits, &route(), &views(), seed));
    }
}

fn planned_with(limits: &serde_json::Value, seed: u64) -> Plan {
    plan(&constrained(&limits.to_string()), &route(), &views(), seed)
}
