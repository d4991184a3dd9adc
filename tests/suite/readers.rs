//! An entry as its reader and as its schema see it, and what no schema can see.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use waypost::access::KeyTerms;
use waypost::config::{Catalogue, PROBLEMS_MAX, Problem, Problems, Route, flag_problems, schema};

/// The beginnings of what only a reader can find, why, and an entry (`target` is a good one) that the schema accepts.
pub const BEYOND: [(&str, &str, &str, &str); 12] = [
    (
        "a known provider",
        "providers are in another entry",
        "route",
        r#"{"targets": [{"provider": "nobody", "model": "m"}]}"#,
    ),
    (
        "an id that no other target",
        "two values at once",
        "route",
        r#"{"targets": [{"provider": "openai", "model": "m"}, {"provider": "openai", "model": "m"}]}"#,
    ),
    (
        "a target's id",
        "two values at once",
        "route",
        r#"{"targets": [TARGET], "rules": [{"only": "b"}]}"#,
    ),
    (
        "either `max_completion_tokens` or `max_tokens_only`",
        "two values at once",
        "providers",
        r#"{"providers": {"openai": {"quirks": ["max_completion_tokens", "max_tokens_only"]}}}"#,
    ),
    (
        "regions by continent",
        "a strategy or a rule stands for more than it says",
        "route",
        r#"{"targets": [TARGET], "strategy": "nearest"}"#,
    ),
    (
        "a regular expression of modest size",
        "a regular language cannot tell one from another text",
        "route",
        r#"{"targets": [TARGET], "rules": [{"avoid": "a", "when": {"model": {"regex": "("}}}]}"#,
    ),
    (
        "the smaller number first",
        "two values at once",
        "route",
        r#"{"targets": [TARGET], "rules": [{"avoid": "a", "when": {"messages": {"between": [2, 1]}}}]}"#,
    ),
    (
        "a `to` that differs",
        "two values at once",
        "route",
        r#"{"targets": [TARGET], "rules": [{"avoid": "a", "when": {"time": {"from": "01:00", "to": "01:00"}}}]}"#,
    ),
    (
        "at most 512 conditions",
        "a schema does not count across a document",
        "route",
        "MANY",
    ),
    (
        "at most 16 levels",
        "a definition does not know how deep it stands",
        "route",
        "DEEP",
    ),
    (
        "at most 16 conditions on text",
        "a schema does not count across a document",
        "route",
        "TEXTS",
    ),
    (
        "`provider/model` with a known provider",
        "two values at once",
        "providers",
        r#"{"models": {"nobody/m": {}}}"#,
    ),
];

/// The providers that fixtures and examples name, beside the built-in ones.
const PROVIDERS: &str = r#"{"providers": {
    "our-vllm": {"dialect": "openai-chat", "base_url": "https://llm.example.com/v1"},
    "ours": {"dialect": "openai-chat", "base_url": "https://llm.example.com/v1"},
    "quick": {"dialect": "openai-chat", "base_url": "https://llm.example.com/v1"},
    "careful": {"dialect": "anthropic", "base_url": "https://llm.example.com/v1"}
}}"#;

static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::parse(PROVIDERS).unwrap().value);

pub static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let validator = |name: &'static str| {
        let schema: Value = serde_json::from_str(&schema::text(name).unwrap()).unwrap();
        (name, jsonschema::draft202012::new(&schema).unwrap())
    };
    schema::names().into_iter().map(validator).collect()
});

/// The problems that the reader of this kind of entry has with a text.
pub fn problems(name: &str, text: &str) -> Vec<Problem> {
    match name {
        "route" => Route::parse("r", text, &CATALOGUE).err(),
        "providers" => Catalogue::parse(text).err(),
        "keys" => Some(problems_of_keys(text)),
        "flags" => Some(flag_problems(text)),
        other => panic!("no reader of {other}"),
    }
    .unwrap_or_default()
}

/// As `waypost check` reads `keys.json`: each key's terms are an entry of their own.
fn problems_of_keys(text: &str) -> Vec<Problem> {
    let mut found = Problems::default();
    let Ok(keys) = serde_json::from_str::<serde_json::Map<String, Value>>(text) else {
        found.note("", "an object", "another value");
        return found.list;
    };
    for (key, terms) in keys.iter().filter(|(key, _)| *key != "$schema") {
        for problem in KeyTerms::parse("0", &terms.to_string())
            .err()
            .unwrap_or_default()
        {
            let path = format!("{key}.{}", problem.path);
            found.list.push(Problem { path, ..problem });
        }
    }
    found.list
}

pub fn is_beyond_a_schema(problem: &Problem) -> bool {
    let begins = |beginning: &str| problem.expected.starts_with(beginning);
    // What is counted and not told is of the same kinds as what is told.
    let counts = format!("at most {PROBLEMS_MAX} problems");
    begins("valid JSON")
        || begins(&counts)
        || BEYOND.iter().any(|(beginning, ..)| begins(beginning))
}

/// Why reader and schema differ about a document, if they do.
pub fn disagreement(name: &str, document: &Value) -> Option<String> {
    let validator = &VALIDATORS[name];
    let mut problems = problems(name, &document.to_string());
    problems.retain(|problem| !is_beyond_a_schema(problem));
    let is_refused = !validator.is_valid(document);
    if is_refused != problems.is_empty() {
        return None;
    }
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    Some(format!(
        "{document}\n  the reader: {told:?}\n  the schema: {errors:?}"
    ))
}
