//! Runs `waypost explain` on the files of `tests/explain/`, as text and as JSON, and the shapes that a header takes.
//!
//! A file `<case>.request.json` is a saved body, `<case>.record.json` a record. `<case>.args`, where there is one, has
//! further arguments, one a line. Requests are decided against the folder `config` beside them.

use std::fmt;
use std::fs;
use std::process::{Command, Output};

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use waypost::classify::Traits;
use waypost::config::{Catalogue, Route};
use waypost::decide::{Seed, SeedSource, plan};
use waypost::health::{RoomLeft, View};
use waypost::journal::{Decision, Explanation};
use waypost::units::Tokens;

use super::expect::{Report, folder, inputs};

#[test]
fn explanations_are_as_their_files_say() {
    let mut report = Report::default();
    let folder = folder("explain");
    for suffix in [".request.json", ".record.json"] {
        for (case, path) in inputs(&folder, suffix) {
            let args = fs::read_to_string(folder.join(format!("{case}.args"))).unwrap_or_default();
            let mut args: Vec<&str> = args.lines().collect();
            let file = path.file_name().unwrap().to_str().unwrap();
            if suffix == ".request.json" {
                args.extend(["--config", "config", "--at", "1790000000000"]);
            }
            args.push(file);
            let expected = folder.join(format!("{case}.expected.txt"));
            let text = explain(&args);
            report.compare(&expected, told(&text).as_bytes());

            args.push("--json");
            let json = explain(&args);
            let expected = folder.join(format!("{case}.expected.json"));
            report.compare(&expected, &json.stdout);
            report.same(&case, &exit(&text), &exit(&json));
            check_sums(&case, &json.stdout, &mut report);
        }
    }
}

/// The command, run in the folder of the fixtures, so that its messages name files in the same way everywhere.
fn explain(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("explain").args(args);
    command.current_dir(folder("explain")).output().unwrap()
}

fn told(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}\nexit {}\n", exit(output))
}

fn exit(output: &Output) -> String {
    output
        .status
        .code()
        .map_or("signal".to_owned(), |code| code.to_string())
}

/// A JSON object whose order counts.
struct Terms(Vec<f64>);

impl<'de> Deserialize<'de> for Terms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Terms;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Terms, A::Error> {
                let mut terms = Vec::new();
                while let Some((_, term)) = map.next_entry::<String, f64>()? {
                    terms.push(term);
                }
                Ok(Terms(terms))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// To the last bit: what is shown is what decided.
fn check_sums(case: &str, json: &[u8], report: &mut Report) {
    #[derive(Deserialize)]
    struct Told {
        decision: Decided,
    }
    #[derive(Deserialize)]
    struct Decided {
        candidates: Vec<Scored>,
    }
    #[derive(Deserialize)]
    struct Scored {
        target: String,
        score: f64,
        contributions: Option<Terms>,
    }
    let Ok(told) = serde_json::from_slice::<Told>(json) else {
        return;
    };
    for candidate in told.decision.candidates {
        if let Some(Terms(terms)) = candidate.contributions {
            let what = format!("{case}: the contributions to {}", candidate.target);
            let sum: f64 = terms.iter().sum();
            report.same(&what, &candidate.score.to_string(), &sum.to_string());
        }
    }
}

#[test]
fn wrong_usage_says_what_is_missing_and_exits_with_2() {
    let record = "everyday.request.json";
    for (args, words) in [
        (vec![record], "add --config DIR"),
        (
            vec!["--config", "nowhere", record],
            "nowhere is not a folder",
        ),
        (vec!["--config", "config", "nothing.json"], "nothing.json: "),
        (
            vec!["--config", "config", "--header", "x-waypost-tags", record],
            "name: value",
        ),
        (
            vec!["--config", "config", "--seed", "xyz", record],
            "hexadecimal",
        ),
        (vec!["--config", "config"], "<FILE>"),
    ] {
        let output = explain(&args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

/// An explanation of a route whose targets are named `<name><place>`; all but the first lack images.
fn explanation(targets: usize, name: &str, header: &str) -> Explanation {
    let target = |place: usize| {
        let can = if place == 0 { "\"images\"" } else { "" };
        format!(
            "{{\"id\":\"{name}{place}\",\"provider\":\"openai\",\"model\":\"m\",\"can\":[{can}]}}"
        )
    };
    let targets: Vec<String> = (0..targets).map(target).collect();
    let text = format!(
        "{{\"targets\":[{}],\"prefer\":{{\"price\":1}}}}",
        targets.join(",")
    );
    let route = Route::parse("r", &text, &Catalogue::default())
        .unwrap()
        .value;
    let traits = Traits {
        prompt_tokens: Tokens(100),
        has_images: true,
        headers: [("x-tier".to_owned(), header.to_owned())].into(),
        ..Traits::default()
    };
    let seed = Seed {
        value: 7,
        source: SeedSource::Random,
    };
    let plan = plan(&traits, &route, &[], seed.value);
    let mut decision = Decision::of(&plan, seed);
    if name == "long" {
        decision.plan = decision
            .candidates
            .iter()
            .map(|known| known.target.clone())
            .collect();
    }
    Explanation::new("r".to_owned(), Vec::new(), None, traits, decision).explained()
}

#[test]
fn header_says_as_much_as_fits() {
    let mut report = Report::default();
    let explanation = explanation(4, "long", "paid");
    let whole = explanation.to_header(usize::MAX);
    assert_eq!(whole, serde_json::to_string(&explanation).unwrap());
    let mut shapes = vec![whole.clone()];
    for limit in (0..=whole.len()).rev() {
        let value = explanation.to_header(limit);
        assert!(value.len() <= limit, "{limit}: {value}");
        if shapes.last() != Some(&value) {
            shapes.push(value);
        }
    }
    shapes.push(String::new());
    report.compare(
        &folder("explain").join("header.expected"),
        shapes.join("\n").as_bytes(),
    );
}

#[test]
fn header_is_printable_ascii_and_reads_back() {
    let words = "ä 世界 😀 \u{7f} \\n \\\" \\\\";
    let explanation = explanation(2, words, "Zoë\n\t\u{1}");
    for limit in [usize::MAX, 900, 300] {
        let value = explanation.to_header(limit);
        assert!(
            value.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{value}"
        );
        let read: serde_json::Value = serde_json::from_str(&value).unwrap();
        assert_eq!(
            read["decision"]["plan"][0],
            format!("ä 世界 😀 \u{7f} \n \" \\0")
        );
        if limit == usize::MAX {
            assert_eq!(read, serde_json::to_value(&explanation).unwrap());
        }
    }
}

proptest! {
    /// The sum of what is shown, in the order in which it is shown, is the score that decided.
    #[test]
    fn contributions_sum_to_the_score(
        prefer in prop::array::uniform7(0.0_f64..10.0),
        (weight, price, quality) in (0.01_f64..100.0, 0.0_f64..50.0, 0.05_f64..1.0),
        (p_success, ttft_seconds, seconds_per_token) in (0.01_f64..0.99, 0.05_f64..20.0, 0.001_f64..0.5),
        (rate_limited, by_room, left) in (0.0_f64..20.0, 0.0_f64..10.0, 0.01_f64..2.0),
    ) {
        let [by_price, ttft, speed, by_quality, reliability, load, by_distance] = prefer;
        // The rule's exponent counts, not the route's own.
        let text = format!(
            "{{\"targets\":[{{\"provider\":\"openai\",\"model\":\"m\",\"weight\":{weight},\"quality\":{quality},\
             \"usd_per_mtok\":{{\"in\":{price},\"out\":{price}}}}}],\"ring\":{{\"*\":[\"eu\",\"us\"]}},\"prefer\":{{\"price\":{by_price},\"ttft\":{ttft},\
             \"speed\":{speed},\"quality\":11,\"reliability\":{reliability},\"load\":{load},\"distance\":{by_distance},\"room\":{by_room}}},\
             \"rules\":[{{\"when\":{{\"key\":\"web\"}},\"prefer\":{{\"quality\":{by_quality}}}}}]}}"
        );
        let route = Route::parse("r", &text, &Catalogue::default()).unwrap().value;
        let room = Some(RoomLeft { requests: Some(left), ..RoomLeft::default() });
        let view = View { p_success, ttft_seconds, seconds_per_token, rate_limited, room, ..View::default() };
        let traits = Traits { prompt_tokens: Tokens(1_000), key: "web".to_owned(), ..Traits::default() };
        let plan = plan(&traits, &route, &[view], 1);
        let seed = Seed { value: 1, source: SeedSource::Random };
        let decision = Decision::of(&plan, seed);
        let told = Explanation::new("r".to_owned(), Vec::new(), None, traits, decision).explained();
        let explained = &told.decision.candidates[0];
        let cost = explained.candidate.signals.cost.0.max(1e-3);
        let terms = explained.contributions.unwrap().0;
        prop_assert_eq!(terms, [
            ("weight", libm::log(weight)),
            ("price", -by_price * libm::log(cost)),
            ("ttft", -ttft * libm::log(ttft_seconds)),
            ("speed", -speed * libm::log(seconds_per_token)),
            ("quality", by_quality * libm::log(quality)),
            ("reliability", reliability * libm::log(p_success)),
            ("load", -load * libm::log(1.0 + rate_limited)),
            ("distance", -by_distance * libm::log(3.0)),
            ("room", by_room * libm::log(left.min(1.0))),
        ]);
        let sum: f64 = terms.iter().map(|(_, term)| term).sum();
        prop_assert_eq!(sum.to_bits(), plan.candidates[0].score.to_bits());
    }
}
