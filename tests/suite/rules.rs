//! The laws of rules, over random trees of conditions and random requests.
//!
//! What a tree means is said twice: by the code, and here by [`holds`], which walks the JSON itself, as slowly and as
//! plainly as it can. The two share no line. Words and numbers are few, so that they meet often.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waypost::classify::{Caller, Traits};
use waypost::config::{Catalogue, Route};
use waypost::decide::plan;
use waypost::dialects::Outline;
use waypost::health::View;
use waypost::units::{Tokens, UnixMillis};

const TEXTS: [&str; 9] = [
    "tags",
    "country",
    "continent",
    "pop",
    "key",
    "team",
    "model",
    "topic",
    "text",
];
const NUMBERS: [&str; 4] = [
    "prompt_tokens",
    "answer_tokens_max",
    "messages",
    "difficulty",
];
const FLAGS: [&str; 5] = ["images", "tools", "json_schema", "stream", "sensitive"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEK_MINUTES: usize = 7 * 1_440;
/// Groups and operators in each other: the limit is 16, and a condition may stand in eight groups.
const GROUPS_DEPTH: u32 = 7;
const OPERATORS_DEPTH: u32 = 3;

/// Trees that are compared. A mistake in one operator on one subject decides few of them.
const TREES: u32 = 2_000;

/// A request, by the names that conditions use; a name that is absent is unknown.
type Known = Map<String, Value>;

fn word() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["a", "b", "A", "ab", "ba", "aab"]).prop_map(Value::from)
}

fn number() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![json!(0), json!(1), json!(2), json!(0.5)])
}

fn flag() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(value)
}

/// What is known of a request. The text of a message and what is counted is never unknown.
fn known() -> impl Strategy<Value = Known> {
    let texts = prop::collection::vec(maybe(word()), TEXTS.len());
    let tags = prop::collection::vec(word(), 0..3);
    let whole = prop::collection::vec(0_u32..3, 3);
    let flags = prop::collection::vec(any::<bool>(), FLAGS.len());
    let named = (maybe(word()), maybe(word()), maybe(number()));
    let at = 0_u64..u64::try_from(WEEK_MINUTES * 3).unwrap();
    (texts, tags, whole, flags, named, at).prop_map(|(texts, tags, whole, flags, named, at)| {
        let mut known = Known::new();
        for (name, text) in TEXTS.iter().zip(texts) {
            known.extend(text.map(|text| ((*name).to_owned(), text)));
        }
        for name in ["key", "model", "text"] {
            known.entry(name).or_insert(json!("ab"));
        }
        known.insert("tags".to_owned(), json!(tags));
        for (name, count) in NUMBERS.iter().zip(whole) {
            known.insert((*name).to_owned(), json!(count));
        }
        for (name, flag) in FLAGS.iter().zip(flags) {
            known.insert((*name).to_owned(), json!(flag));
        }
        // A request is sensitive, or nobody has said.
        if known.get("sensitive") == Some(&json!(false)) {
            known.remove("sensitive");
        }
        if known.get("answer_tokens_max") == Some(&json!(0)) {
            known.remove("answer_tokens_max");
        }
        let (header, metadata, difficulty) = named;
        known.extend(header.map(|value| ("header".to_owned(), value)));
        known.extend(metadata.map(|value| ("metadata".to_owned(), value)));
        let difficulty = difficulty.filter(|value| value.as_f64() <= Some(1.0));
        known.extend(difficulty.map(|value| ("difficulty".to_owned(), value)));
        known.insert("minutes".to_owned(), json!(at));
        known
    })
}

fn traits(known: &Known, route: &Route) -> Traits {
    let text = |name: &str| known.get(name).and_then(Value::as_str).map(str::to_owned);
    let is = |name: &str| known.get(name) == Some(&json!(true));
    let count = |name: &str| known.get(name).and_then(Value::as_u64);
    let at = UnixMillis(count("minutes").unwrap() * 60_000);
    let body = json!({"messages": [{"role": "user", "content": text("text")}],
        "metadata": {"a": text("metadata")}});
    let mut caller = Caller {
        at,
        ..Caller::default()
    };
    caller.ask_for(route, body.to_string().as_bytes(), |name| {
        (name == "x-a").then(|| text("header")).flatten()
    });
    Traits {
        tags: serde_json::from_value(known["tags"].clone()).unwrap(),
        country: text("country"),
        continent: text("continent"),
        pop: text("pop"),
        key: text("key").unwrap(),
        team: text("team"),
        model: text("model").unwrap(),
        topic: text("topic"),
        text_matches: caller.text_matches,
        headers: caller.headers,
        metadata: caller.metadata,
        at,
        prompt_tokens: Tokens(count("prompt_tokens").unwrap()),
        answer_tokens_max: count("answer_tokens_max").map(Tokens),
        messages: u32::try_from(count("messages").unwrap()).unwrap(),
        difficulty: known.get("difficulty").and_then(Value::as_f64),
        has_images: is("images"),
        has_tools: is("tools"),
        has_json_schema: is("json_schema"),
        is_streaming: is("stream"),
        is_sensitive: is("sensitive").then_some(true),
        ..Traits::of(&Outline::default(), "", Caller::default())
    }
}

/// Whether a text matches.
type Matches = fn(&str) -> bool;

/// Patterns, each with what it matches in words of its own.
const PATTERNS: [(&str, Matches); 4] = [
    ("^a", |text| text.starts_with('a')),
    ("[bB]", |text| text.contains(['b', 'B'])),
    ("(?i)AB", |text| text.to_lowercase().contains("ab")),
    ("a{2}", |text| text.contains("aa")),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Number,
    Flag,
}

fn scalar(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Text => word().boxed(),
        Kind::Number => number().boxed(),
        Kind::Flag => flag().boxed(),
    }
}

/// A test as a team may write it. With `is_plain`, one without negation, and no list is empty.
fn test(kind: Kind, is_plain: bool) -> BoxedStrategy<Value> {
    let least = usize::from(is_plain);
    let list = prop::collection::vec(scalar(kind), least..3).prop_map(Value::from);
    let field = |name: &'static str, value: BoxedStrategy<Value>| {
        value.prop_map(move |value| json!({ name: value })).boxed()
    };
    let mut leaves = vec![scalar(kind), list.clone().boxed()];
    leaves.push(field("eq", scalar(kind)));
    if kind == Kind::Flag {
        let not = field("not", scalar(kind));
        return prop::strategy::Union::new(leaves.into_iter().chain((!is_plain).then_some(not)))
            .boxed();
    }
    leaves.push(field("in", list.boxed()));
    if kind == Kind::Text {
        let glob = prop::sample::select(vec!["a*", "*b", "?", "a?b", "*"]).prop_map(Value::from);
        let regex = prop::sample::select(PATTERNS.to_vec()).prop_map(|(name, _)| json!(name));
        leaves.push(field("contains", word().boxed()));
        leaves.push(field("prefix", word().boxed()));
        leaves.push(field("glob", glob.boxed()));
        leaves.push(field("regex", regex.boxed()));
    } else {
        let ends = (0..3_u32, 0..3_u32).prop_map(|(a, b)| json!([a.min(b), a.max(b)]));
        leaves.push(field("gt", number().boxed()));
        leaves.push(field("lt", number().boxed()));
        leaves.push(field("between", ends.boxed()));
    }
    let leaf = prop::strategy::Union::new(leaves);
    let tree = leaf.prop_recursive(OPERATORS_DEPTH, 12, 3, move |inner| {
        let group = prop::collection::vec(inner.clone(), least..3);
        let names = if is_plain {
            vec!["any", "all"]
        } else {
            vec!["any", "all", "none"]
        };
        let groups =
            (prop::sample::select(names), group).prop_map(|(name, tests)| json!({ name: tests }));
        let both = (inner.clone(), inner.clone()).prop_map(|(one, other)| joined(one, other));
        if is_plain {
            return prop_oneof![groups, both].boxed();
        }
        let not = inner.prop_map(|test| json!({ "not": test }));
        prop_oneof![groups, both, not].boxed()
    });
    tree.boxed()
}

/// Two objects as one, whose fields must all hold; the first where they cannot be.
fn joined(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (name, value) in other {
                one.entry(name).or_insert(value);
            }
            Value::Object(one)
        }
        (one, _) => one,
    }
}

fn time() -> impl Strategy<Value = Value> {
    let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let days = prop::sample::subsequence(DAYS.to_vec(), 1..7);
    (0..1_440_u32, 0..1_440_u32, days, -720..840_i32)
        .prop_filter("a window has a length", |(from, to, ..)| from != to)
        .prop_map(move |(from, to, days, offset)| {
            let sign = if offset < 0 { '-' } else { '+' };
            let offset = format!("{sign}{}", clock(offset.unsigned_abs()));
            json!({"from": clock(from), "to": clock(to), "days": days, "utc_offset": offset})
        })
}

fn condition(is_plain: bool) -> BoxedStrategy<Value> {
    let of = |names: &[&'static str], kind: Kind| {
        (prop::sample::select(names.to_vec()), test(kind, is_plain))
            .prop_map(|(name, test)| json!({ name: test }))
    };
    let named = (
        prop::sample::select(vec![("headers", "X-A"), ("metadata", "a")]),
        test(Kind::Text, is_plain),
    )
        .prop_map(|((group, name), test)| json!({ group: { name: test } }));
    prop_oneof![
        4 => of(&TEXTS, Kind::Text),
        1 => of(&["text"], Kind::Text),
        3 => of(&NUMBERS, Kind::Number),
        2 => of(&FLAGS, Kind::Flag),
        2 => named,
        1 => time().prop_map(|time| json!({ "time": time })),
    ]
    .boxed()
}

fn when() -> impl Strategy<Value = Value> {
    condition(false).prop_recursive(GROUPS_DEPTH, 24, 3, |inner| {
        let group = prop::collection::vec(inner.clone(), 1..3);
        let groups = (prop::sample::select(vec!["any", "all", "none"]), group)
            .prop_map(|(name, parts)| json!({ name: parts }));
        let both = (inner.clone(), inner).prop_map(|(one, other)| joined(one, other));
        prop_oneof![2 => groups, 1 => both]
    })
}

/// What a tree means, by the words of `docs/routes.md`.
fn holds(when: &Value, known: &Known) -> bool {
    when.as_object()
        .unwrap()
        .iter()
        .all(|(name, inner)| match name.as_str() {
            "all" => inner
                .as_array()
                .unwrap()
                .iter()
                .all(|part| holds(part, known)),
            "any" => inner
                .as_array()
                .unwrap()
                .iter()
                .any(|part| holds(part, known)),
            "none" => !inner
                .as_array()
                .unwrap()
                .iter()
                .any(|part| holds(part, known)),
            "time" => is_in(inner, known["minutes"].as_u64().unwrap()),
            "headers" => passes(&inner["X-A"], known.get("header")),
            "metadata" => passes(&inner["a"], known.get("metadata")),
            subject => passes(inner, known.get(subject)),
        })
}

fn passes(test: &Value, fact: Option<&Value>) -> bool {
    match test {
        Value::Array(values) => values.iter().any(|value| passes(value, fact)),
        Value::Object(operators) => operators.iter().all(|(name, by)| operates(name, by, fact)),
        value => match fact {
            Some(Value::Array(items)) => items.iter().any(|item| passes(value, Some(item))),
            Some(Value::String(word)) => word.eq_ignore_ascii_case(value.as_str().unwrap()),
            Some(Value::Number(number)) => number.as_f64() == value.as_f64(),
            fact => fact == Some(value),
        },
    }
}

fn operates(name: &str, by: &Value, fact: Option<&Value>) -> bool {
    let number = fact.and_then(Value::as_f64);
    let each = || by.as_array().unwrap().iter();
    let is = |found: fn(&str, &str) -> bool| {
        let lower = |text: &str| text.to_ascii_lowercase();
        let one =
            |text: &Value| found(&lower(text.as_str().unwrap()), &lower(by.as_str().unwrap()));
        match fact {
            Some(Value::Array(items)) => items.iter().any(one),
            Some(text) => one(text),
            None => false,
        }
    };
    match name {
        "eq" | "in" => passes(by, fact),
        "not" => !passes(by, fact),
        "any" => each().any(|test| passes(test, fact)),
        "all" => each().all(|test| passes(test, fact)),
        "none" => !each().any(|test| passes(test, fact)),
        "gt" => number > by.as_f64() && number.is_some(),
        "lt" => number < by.as_f64() && number.is_some(),
        "between" => number.is_some() && number >= by[0].as_f64() && number <= by[1].as_f64(),
        "contains" => is(|text, by| text.contains(by)),
        "prefix" => is(|text, by| text.starts_with(by)),
        "glob" => is(|text, by| globs(text.as_bytes(), by.as_bytes())),
        _ => {
            let (_, matches) = PATTERNS.iter().find(|(written, _)| by == written).unwrap();
            match fact {
                Some(Value::Array(items)) => items.iter().any(|it| matches(it.as_str().unwrap())),
                fact => fact.is_some_and(|text| matches(text.as_str().unwrap())),
            }
        }
    }
}

fn globs(text: &[u8], glob: &[u8]) -> bool {
    match (text, glob) {
        ([], []) => true,
        (_, [b'*', rest @ ..]) => (0..=text.len()).any(|skip| globs(&text[skip..], rest)),
        ([_, text @ ..], [b'?', rest @ ..]) => globs(text, rest),
        ([head, text @ ..], [same, rest @ ..]) if head == same => globs(text, rest),
        _ => false,
    }
}

/// Marks every minute of a week that the window covers, from each day's beginning, and looks.
fn is_in(window: &Value, utc_minutes: u64) -> bool {
    let minutes = |text: &str| -> i64 {
        let (hours, minutes) = text.split_once(':').unwrap();
        hours.parse::<i64>().unwrap() * 60 + minutes.parse::<i64>().unwrap()
    };
    let text = |name: &str| window[name].as_str().unwrap();
    let (from, to) = (minutes(text("from")), minutes(text("to")));
    let (sign, offset) = text("utc_offset").split_at(1);
    let offset = minutes(offset) * if sign == "-" { -1 } else { 1 };
    let length = (to - from).rem_euclid(1_440);
    let mut week = [false; WEEK_MINUTES];
    for day in window["days"].as_array().unwrap() {
        let day = DAYS.iter().position(|name| day == name).unwrap() * 1_440;
        for minute in from..from + length {
            week[(day + usize::try_from(minute).unwrap()) % WEEK_MINUTES] = true;
        }
    }
    // The first of January 1970 was a Thursday.
    let local = i64::try_from(utc_minutes).unwrap() + offset + 3 * 1_440;
    let place = local.rem_euclid(i64::try_from(WEEK_MINUTES).unwrap());
    week[usize::try_from(place).unwrap()]
}

/// A route with one rule, if its tree is within the limits.
fn ruled(when: &Value) -> Result<Route, TestCaseError> {
    let text = json!({"targets": [{"id": "a", "provider": "openai", "model": "m"}],
        "rules": [{"when": when, "avoid": "a"}]});
    match Route::parse("r", &text.to_string(), &Catalogue::default()) {
        Ok(checked) => Ok(checked.value),
        Err(problems) if problems.iter().all(|it| it.expected.starts_with("at most")) => {
            Err(TestCaseError::reject("over a limit"))
        }
        Err(problems) => Err(TestCaseError::fail(format!("{problems:?} in {when}"))),
    }
}

fn fires(when: &Value, known: &Known) -> Result<bool, TestCaseError> {
    let route = ruled(when)?;
    let traits = traits(known, &route);
    let planned = plan(&traits, &route, &[View::default()], 1);
    let fired = !planned.rules.is_empty();
    let fact = |subject: &waypost::config::Subject| traits.fact(subject);
    prop_assert_eq!(fired, route.rules[0].when.holds(&fact, traits.at));
    prop_assert_eq!(fired, planned.order.is_empty(), "what fires, acts");
    Ok(fired)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(TREES))]

    #[test]
    fn tree_means_what_its_json_says(when in when(), known in known()) {
        prop_assert_eq!(fires(&when, &known)?, holds(&when, &known), "{} {:?}", when, known);
    }
}

proptest! {
    #[test]
    fn condition_that_always_holds_adds_nothing_to_all(when in when(), known in known()) {
        for always in [json!({}), json!({"key": {"not": {"in": []}}}), json!({"none": [{"model": []}]})] {
            prop_assert!(fires(&always, &known)?);
            let with = json!({"all": [when, always]});
            prop_assert_eq!(fires(&with, &known)?, fires(&when, &known)?);
        }
    }

    #[test]
    fn none_is_the_negation_of_any_and_each(one in when(), other in when(), known in known()) {
        let none = fires(&json!({"none": [one, other]}), &known)?;
        prop_assert_eq!(none, !fires(&json!({"any": [one, other]}), &known)?);
        prop_assert_eq!(none, fires(&json!({"all": [{"none": [one]}, {"none": [other]}]}), &known)?);
        let both = fires(&json!({"all": [one, other]}), &known)?;
        prop_assert_eq!(both, fires(&json!({"none": [{"none": [one]}, {"none": [other]}]}), &known)?);
    }

    #[test]
    fn operators_negate_as_groups_do(one in test(Kind::Text, false), other in test(Kind::Text, false), known in known()) {
        let fires = |test: Value| fires(&json!({"country": test}), &known);
        let none = fires(json!({"none": [one, other]}))?;
        prop_assert_eq!(none, fires(json!({"not": {"any": [one, other]}}))?);
        prop_assert_eq!(none, fires(json!({"all": [{"not": one}, {"not": other}]}))?);
        prop_assert_eq!(!none, fires(json!({"any": [one, other]}))?);
    }

    #[test]
    fn what_is_unknown_matches_only_a_negation(test in test(Kind::Text, true), known in known()) {
        for subject in ["country", "team", "topic"] {
            let mut known = known.clone();
            known.remove(subject);
            let fires = |when: Value| fires(&when, &known);
            let is_met = fires(json!({ subject: test }))?;
            let is_not = fires(json!({ subject: {"not": test} }))?;
            let is_none_of = fires(json!({ subject: {"none": [test]} }))?;
            let is_in_none = fires(json!({"none": [{ subject: test }]}))?;
            prop_assert_eq!([is_met, is_not, is_none_of, is_in_none], [false, true, true, true]);
        }
    }
}

#[test]
fn condition_on_text_sees_where_it_ends() {
    let mut known = Known::new();
    let counted = ["prompt_tokens", "messages", "minutes"].map(|name| (name, json!(0)));
    let texts = [
        ("key", json!("")),
        ("model", json!("m")),
        ("tags", json!([])),
    ];
    let text = [("text", json!("please help"))];
    known.extend(
        counted
            .into_iter()
            .chain(texts)
            .chain(text)
            .map(|(name, it)| (name.to_owned(), it)),
    );
    for test in [
        json!("Please help"),
        json!({"glob": "*help"}),
        json!({"regex": "help$"}),
    ] {
        assert!(fires(&json!({ "text": test }), &known).unwrap(), "{test}");
    }
}

/// Six targets, by place: private or not, in one of two regions, or none.
fn targets() -> Value {
    let target = |place: usize| {
        let region = [json!("eu"), json!("us"), Value::Null][place % 3].clone();
        json!({"id": format!("t{place}"), "provider": "openai", "model": "m", "weight": place + 1,
            "private": place < 3, "region": region})
    };
    (0..6).map(target).collect()
}

/// A rule that drops candidates and changes nothing else.
fn dropping() -> impl Strategy<Value = Value> {
    let ids = || prop::sample::subsequence(vec!["t0", "t1", "t2", "t3", "t4", "t5"], 1..5);
    let region = prop::sample::select(vec!["eu", "us", "asia"]);
    let effect = prop_oneof![
        ids().prop_map(|ids| json!({"only": ids})),
        ids().prop_map(|ids| json!({"avoid": ids})),
        region.prop_map(|region| json!({"require": {"region": region}})),
        any::<bool>().prop_map(|wanted| json!({"require": {"private": wanted}})),
    ];
    (condition(false), effect).prop_map(|(when, effect)| joined(effect, json!({"when": when})))
}

fn planned(rules: &[Value], known: &Known, seed: u64) -> waypost::decide::Plan {
    let text = json!({"targets": targets(), "rules": rules}).to_string();
    let route = Route::parse("r", &text, &Catalogue::default())
        .unwrap()
        .value;
    plan(&traits(known, &route), &route, &[View::default(); 6], seed)
}

proptest! {
    #[test]
    fn another_rule_never_adds_a_candidate(
        mut rules in prop::collection::vec(dropping(), 1..5),
        place: prop::sample::Index,
        known in known(),
        seed: u64,
    ) {
        let with = planned(&rules, &known, seed).order;
        rules.remove(place.index(rules.len()));
        let mut without = planned(&rules, &known, seed).order;
        // Whoever stays, stays in the same order.
        without.retain(|place| with.contains(place));
        prop_assert_eq!(with, without);
    }

    #[test]
    fn order_of_rules_matters_to_settings_alone(
        rules in prop::collection::vec(dropping(), 2..5),
        known in known(),
        seed: u64,
    ) {
        let backwards: Vec<Value> = rules.iter().rev().cloned().collect();
        let (here, there) = (planned(&rules, &known, seed), planned(&backwards, &known, seed));
        prop_assert_eq!(here.order, there.order);
        for (one, other) in here.candidates.iter().zip(&there.candidates) {
            prop_assert_eq!(one.share.to_bits(), other.share.to_bits());
            prop_assert_eq!(one.excluded.is_some(), other.excluded.is_some());
        }
        let last = |rules: [u32; 2]| {
            let rule = |price: u32| json!({"when": {}, "prefer": {"price": price}});
            planned(&rules.map(rule), &known, seed).settings.prefer.price
        };
        prop_assert_eq!((last([1, 2]), last([2, 1])), (2.0, 1.0));
    }
}
