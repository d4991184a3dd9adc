//! Reads the entries in `tests/config/`: what each becomes, or every problem it has.
//!
//! A file `<case>.route.json` is a route, `<case>.providers.json` a `providers` entry.

use std::fmt::Write as _;
use std::fs;

use waypost::config::{Catalogue, Checked, Problem, Route};

use super::expect::{Report, folder, inputs};

const PROVIDERS: &str = r#"{"providers": {
    "our-vllm": {"dialect": "openai-chat", "base_url": "https://llm.example.com/v1", "auth": {"bearer": "OUR_VLLM_KEY"}, "region": "eu", "private": true}
}}"#;

#[test]
fn entries_become_values_or_every_problem() {
    let mut report = Report::default();
    let catalogue = Catalogue::parse(PROVIDERS).unwrap().value;
    for (_, path) in inputs(&folder("config"), ".route.json") {
        let text = fs::read_to_string(&path).unwrap();
        let found = told(Route::parse("r", &text, &catalogue));
        report.compare(&path.with_extension("expected"), found.as_bytes());
    }
    for (_, path) in inputs(&folder("config"), ".providers.json") {
        let text = fs::read_to_string(&path).unwrap();
        // The built-in rows are left out of what is compared: they change with the catalogue.
        let found = match Catalogue::parse(&text) {
            Ok(checked) => told(Ok(Checked {
                value: checked.value.provider("ours").cloned(),
                warnings: checked.warnings,
            })),
            Err(problems) => told::<Route>(Err(problems)),
        };
        report.compare(&path.with_extension("expected"), found.as_bytes());
    }
}

fn told<T: std::fmt::Debug>(parsed: Result<Checked<T>, Vec<Problem>>) -> String {
    let mut out = String::new();
    match parsed {
        Ok(checked) => {
            for warning in checked.warnings {
                let _ = writeln!(out, "warning: {warning}");
            }
            let _ = writeln!(out, "{:#?}", checked.value);
        }
        Err(problems) => {
            for problem in problems {
                let _ = writeln!(out, "{problem}");
            }
        }
    }
    out
}

#[test]
fn secret_pasted_for_its_name_is_not_repeated() {
    let text = r#"{"providers":{"openai":{"auth":{"bearer":"sk-proj-very-secret"}}}}"#;
    let problems = Catalogue::parse(text).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1);
    assert!(!told.concat().contains("very-secret"), "{told:?}");
}

#[test]
fn example_folder_has_no_problem() {
    let read = |path: &str| {
        let path = format!("{}/example/{path}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).unwrap()
    };
    let catalogue = Catalogue::parse(&read("providers.json")).unwrap().value;
    for name in ["default", "demo", "split"] {
        let route = Route::parse(name, &read(&format!("routes/{name}.json")), &catalogue);
        assert_eq!(route.unwrap().warnings, [], "{name}");
    }
}
