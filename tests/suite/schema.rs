//! The schemas say what the readers do: on every fixture, on every described field, and on documents made at random.
//!
//! What a schema cannot say stands in [`BEYOND`], each with an entry that shows it. Everything else that a reader
//! refuses the schema must refuse too, and the other way round.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use proptest::prelude::*;
use serde_json::{Value, json};
use waypost::config::schema::{self, Description};

use super::cases::cases;
use super::documents::{Choices, document, mutated};
use super::expect::{Report, folder, inputs};
use super::readers::{BEYOND, VALIDATORS, disagreement, is_beyond_a_schema, problems};

/// Fixtures that only the reader refuses, each for what stands in [`BEYOND`] or because it is no JSON at all.
const ONLY_THE_READER_REFUSES: [&str; 4] = [
    "tests/check/broken/routes/chat.json",
    "tests/check/broken/routes/cut.json",
    "tests/config/cut_short.route.json",
    "tests/config/deep_rule.route.json",
];

#[test]
fn shipped_schemas_are_those_of_the_descriptions() {
    let mut report = Report::default();
    let shipped = root().join("docs/schema");
    for name in schema::names() {
        let text = schema::text(name).unwrap();
        report.compare(
            &shipped.join(format!("{name}.schema.json")),
            text.as_bytes(),
        );
        let schema = serde_json::from_str(&text).unwrap();
        if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
            report.problem(format!("{name} is no schema: {error}"));
        }
    }
    let files: Vec<String> = inputs(&shipped, ".schema.json")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut names = schema::names();
    names.sort_unstable();
    report.same("docs/schema", &names.join(", "), &files.join(", "));
}

#[test]
fn command_line_prints_the_shipped_schema() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
        command.arg("schema").args(arguments).output().unwrap()
    };
    for name in schema::names() {
        assert_eq!(
            run(&[name]).stdout,
            schema::text(name).unwrap().into_bytes()
        );
    }
    let listed = String::from_utf8(run(&[]).stdout).unwrap();
    assert_eq!(listed.lines().collect::<Vec<_>>(), schema::names());
    let unknown = run(&["routes"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("route, providers, keys, flags"));
}

#[test]
fn example_files_name_their_schema() {
    let mut report = Report::default();
    let example = root().join("example");
    let is_example = |(_, file): &(&str, PathBuf)| file.starts_with(&example);
    for (kind, file) in fixtures().into_iter().filter(is_example) {
        let entry: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let path = entry["$schema"].as_str().unwrap_or("none");
        let named = file.parent().unwrap().join(path).canonicalize();
        let shipped = root().join(format!("docs/schema/{kind}.schema.json"));
        let is_it = named.is_ok_and(|named| named == shipped.canonicalize().unwrap());
        let what = format!("{}: {path}", file.display());
        report.same(&what, "true", &is_it.to_string());
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The entries among the fixtures and examples, each with the name of its schema.
fn fixtures() -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for (kind, suffix) in [("route", ".route.json"), ("providers", ".providers.json")] {
        let files = inputs(&folder("config"), suffix).into_iter();
        found.extend(files.map(|(_, path)| (kind, path)));
    }
    let mut folders = vec![folder("check"), root().join("example")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.iter().any(|part| part == "routes") {
                found.push(("route", path));
            } else if path.ends_with("providers.json") {
                found.push(("providers", path));
            } else if path.ends_with("keys.json") {
                found.push(("keys", path));
            } else if path.ends_with("flags.json") {
                found.push(("flags", path));
            }
        }
    }
    found.sort();
    assert!(found.len() > 15, "{found:?}");
    found
}

/// Each problem of a fixture has an error of the schema in its place: there, on the object around it, or on an
/// alternative that it stands in.
#[test]
fn schema_refuses_what_the_reader_refuses_in_the_same_places() {
    let mut report = Report::default();
    let mut only_the_reader = Vec::new();
    for (kind, path) in fixtures() {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let Ok(document) = serde_json::from_str::<Value>(&text) else {
            only_the_reader.push(shown);
            continue;
        };
        let errors = places(&VALIDATORS[kind], &document);
        let problems = problems(kind, &text);
        if errors.is_empty() && !problems.is_empty() {
            only_the_reader.push(shown.clone());
        }
        let expressible = problems
            .iter()
            .filter(|problem| !is_beyond_a_schema(problem));
        for problem in expressible {
            let is_told = errors
                .iter()
                .any(|(place, is_wide)| covers(place, *is_wide, &problem.path));
            report.same(&format!("{shown}: {problem}"), "true", &is_told.to_string());
        }
        let is_clean = problems.iter().all(is_beyond_a_schema);
        report.same(
            &shown,
            &is_clean.to_string(),
            &errors.is_empty().to_string(),
        );
    }
    only_the_reader.sort();
    report.same(
        "only the reader refuses",
        &ONLY_THE_READER_REFUSES.join("\n"),
        &only_the_reader.join("\n"),
    );
}

/// Where the schema has errors, as a reader writes a path, and whether it may stand for one further inside.
fn places(validator: &Validator, document: &Value) -> Vec<(String, bool)> {
    let errors = validator.iter_errors(document);
    let place = |error: jsonschema::ValidationError<'_>| {
        let mut path = String::new();
        for part in error.instance_path().as_str().split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                path = format!("{path}[{part}]");
            } else if path.is_empty() {
                path = part;
            } else {
                path = format!("{path}.{part}");
            }
        }
        (
            path,
            matches!(error.kind(), ValidationErrorKind::AnyOf { .. }),
        )
    };
    errors.map(place).collect()
}

fn covers(place: &str, is_wide: bool, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(place) else {
        return false;
    };
    let steps = rest
        .trim_start_matches('.')
        .split(['.', '['])
        .filter(|step| !step.is_empty());
    is_wide || steps.count() <= 1
}

#[test]
fn what_only_a_reader_finds_is_listed_with_an_entry_that_shows_it() {
    let target = r#"{"id": "a", "provider": "openai", "model": "m"}"#;
    let rule = |when: &Value| json!({"avoid": "a", "when": when});
    let route = |rules: Vec<Value>| {
        let target: Value = serde_json::from_str(target).unwrap();
        json!({"targets": [target], "rules": rules}).to_string()
    };
    for (beginning, reason, name, text) in BEYOND {
        let text = match text {
            "MANY" => {
                let condition = json!({"any": vec![json!({}); 600]});
                route(vec![rule(&condition)])
            }
            "DEEP" => {
                let deep = (0..17).fold(json!({}), |inner, _| json!({"any": [inner]}));
                route(vec![rule(&deep)])
            }
            "TEXTS" => route(vec![rule(&json!({"text": "x"})); 17]),
            text => text.replace("TARGET", target),
        };
        let problems = problems(name, &text);
        assert_eq!(problems.len(), 1, "{beginning} ({reason}): {problems:?}");
        assert!(problems[0].expected.starts_with(beginning), "{problems:?}");
        let document = serde_json::from_str(&text).unwrap();
        assert!(
            VALIDATORS[name].is_valid(&document),
            "{beginning} ({reason})"
        );
    }
}

/// The three values about which the two differ, and why.
#[test]
fn null_a_whole_number_with_a_fraction_and_a_limit_in_bytes_are_told_apart() {
    let validator = &VALIDATORS["route"];
    let check = |field: &str, reader: bool, schema: bool| {
        let text = format!(
            r#"{{"targets": [{{"id": "a", "provider": "openai", "model": "m"}}], {field}}}"#
        );
        let problems = problems("route", &text);
        assert_eq!(problems.is_empty(), reader, "{field}: {problems:?}");
        let document = serde_json::from_str(&text).unwrap();
        assert_eq!(validator.is_valid(&document), schema, "{field}");
    };
    // The reader takes it for a field left out; in a file that a person writes, it is a slip.
    check(r#""temperature": null"#, true, false);
    // JSON Schema counts 5.0 as a whole number.
    check(r#""deadlines": {"idle_ms": 5.0}"#, false, true);
    // JSON Schema counts characters.
    let rule = |pattern: &str| {
        format!(r#""rules": [{{"avoid": "a", "when": {{"model": {{"prefix": "{pattern}"}}}}}}]"#)
    };
    check(&rule(&"é".repeat(256)), true, true);
    check(&rule(&"é".repeat(257)), false, true);
    check(&rule(&"e".repeat(513)), false, false);
}

/// Every described field in turn: good values, values at and past its bounds, values of other types; and every
/// object without a required field and with an unknown one.
#[test]
fn reader_and_schema_agree_on_every_described_field() {
    for name in ["route", "providers", "keys"] {
        let (mut good, mut bad) = (0, 0);
        for document in cases(root_of(name)) {
            if let Some(told) = disagreement(name, &document) {
                panic!("{name}: {told}");
            }
            let count = if VALIDATORS[name].is_valid(&document) {
                &mut good
            } else {
                &mut bad
            };
            *count += 1;
        }
        assert!(good > 20 && bad > 20, "{name}: {good} good and {bad} bad");
    }
}

fn root_of(name: &str) -> &'static Description {
    schema::description(name).unwrap()
}

fn entry() -> impl Strategy<Value = (&'static str, Value, Vec<u8>)> {
    let name = prop_oneof![4 => Just("route"), 2 => Just("providers"), 1 => Just("keys")];
    let bytes = || prop::collection::vec(any::<u8>(), 0..400);
    (name, bytes(), bytes()).prop_map(|(name, bytes, more)| {
        let document = document(root_of(name), &mut Choices::new(&bytes));
        (name, document, more)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn document_made_from_the_description_is_good((name, document, _) in entry()) {
        prop_assert!(VALIDATORS[name].is_valid(&document), "{}", document);
        prop_assert_eq!(disagreement(name, &document), None);
    }

    #[test]
    fn reader_and_schema_agree_on_a_document_with_one_change((name, document, bytes) in entry()) {
        let changed = mutated(document, &mut Choices::new(&bytes));
        prop_assert_eq!(disagreement(name, &changed), None);
    }
}
