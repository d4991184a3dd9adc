//! Runs `waypost replay` on the cases of `tests/replay/cases/`, and on 10,000 records of random decisions.
//!
//! A case is a folder with the arguments, a word a line; its records, configs and what is told lie beside them.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use waypost::classify::Traits;
use waypost::config::{Catalogue, Route};
use waypost::decide::{Seed, plan};
use waypost::health::View;
use waypost::journal::{ConfigRevisions, Decision, Record};
use waypost::units::UnixMillis;

use super::expect::{Report, folder};
use super::replay::world;

const RECORDS: usize = 10_000;
/// How many of them are of one route, each of another world otherwise.
const RECORDS_PER_ROUTE: usize = 20;

/// The command, run in a folder, so that its messages name files in the same way everywhere.
fn replay(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("replay").args(args).current_dir(dir);
    command.env_remove("WAYPOST_URL").output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn cases() -> PathBuf {
    folder("replay").join("cases")
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    })
}

#[test]
fn replays_are_as_their_files_say() {
    let mut report = Report::default();
    let entries = fs::read_dir(cases()).unwrap();
    let mut dirs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    for dir in dirs {
        let args = fs::read_to_string(dir.join("args")).unwrap();
        let mut args: Vec<&str> = args.lines().collect();
        let text = replay(&dir, &args);
        let out = String::from_utf8_lossy(&text.stdout);
        let err = String::from_utf8_lossy(&text.stderr);
        let shown = format!("{out}{err}\nexit {}\n", code(&text));
        report.compare(&dir.join("expected.txt"), shown.as_bytes());
        args.push("--json");
        let json = replay(&dir, &args);
        report.compare(&dir.join("expected.json"), &json.stdout);
        let case = dir.file_name().unwrap().to_string_lossy();
        report.same(&case, &code(&text).to_string(), &code(&json).to_string());
    }
}

/// A route of this world, its entry's text and its name.
fn entry(place: usize, world: &mut Value) -> (Route, String) {
    let mut route = world["route"].take();
    if place.is_multiple_of(2 * RECORDS_PER_ROUTE) {
        let targets = route["targets"].as_array_mut().unwrap();
        for (place, target) in targets.iter_mut().enumerate() {
            target["model"] = json!(format!("m{place}"));
        }
    }
    let text = route.to_string();
    let name = format!("r{place}");
    let parsed = Route::parse(&name, &text, &Catalogue::default());
    (parsed.unwrap().value, text)
}

/// Decides a random world, as the Worker would, and writes what it leaves behind.
fn recorded(place: usize, mut world: Value, route: &Route) -> String {
    let mut traits: Traits = serde_json::from_value(world["traits"].take()).unwrap();
    if place % 3 == 1 {
        let asked = json!({"order": ["t1"], "allow_fallbacks": place.is_multiple_of(2), "sort": (place.is_multiple_of(4)).then_some("price")});
        traits.constraints = Some(serde_json::from_value(asked).unwrap());
    }
    let views: Vec<View> = serde_json::from_value(world["health"].take()).unwrap();
    let random: Seed = serde_json::from_value(world["seed"].take()).unwrap();
    let seed = Seed::of(route, &traits, random.value);
    let decision = Decision::of(&plan(&traits, route, &views, seed.value), seed);
    let at = UnixMillis(u64::try_from(place).unwrap());
    let mut record = Record::rejected(
        format!("wp-{place}"),
        at,
        route.name.clone(),
        traits,
        200,
        "",
    );
    record.decision = Some(decision);
    record.config = Some(ConfigRevisions {
        route: route.revision.clone(),
        ..ConfigRevisions::default()
    });
    record.to_line(usize::MAX)
}

/// From the revision that it names, and from its own figures.
#[test]
fn every_record_replays_to_the_same_plan() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replayed");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("was/routes")).unwrap();
    let mut runner = TestRunner::deterministic();
    let mut lines = String::new();
    let mut route = None;
    for place in 0..RECORDS {
        let mut world = world().new_tree(&mut runner).unwrap().current();
        if place % RECORDS_PER_ROUTE == 0 {
            let (parsed, text) = entry(place, &mut world);
            let file = format!("was/routes/{}.json", parsed.name);
            fs::write(dir.join(file), text).unwrap();
            route = Some(parsed);
        }
        let line = recorded(place, world, route.as_ref().unwrap());
        let _ = writeln!(lines, "{line}");
    }
    let file = fs::File::create(dir.join("records.ndjson.gz")).unwrap();
    let mut file = GzEncoder::new(file, Compression::fast());
    file.write_all(lines.as_bytes()).unwrap();
    file.finish().unwrap();
    for (args, from_figures) in [(vec!["--revisions", "was"], 0), (vec![], RECORDS)] {
        let output = replay(&dir, &[vec!["records.ndjson.gz", "--json"], args].concat());
        let told = told(&output);
        assert_eq!(told["same"], RECORDS, "{}", told["first_different"][0]);
        assert_eq!(told["from_figures"], from_figures, "{}", told["reasons"]);
        assert_eq!(code(&output), 0);
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// A digit, the last bit of a score, another seed: each is seen, and named.
#[test]
fn a_record_that_was_changed_is_told() {
    let mut runner = TestRunner::deterministic();
    let mut world = world().new_tree(&mut runner).unwrap().current();
    let text =
        r#"{"targets":[{"provider":"openai","model":"a"},{"provider":"openai","model":"b"}]}"#;
    world["route"] = serde_json::from_str(text).unwrap();
    let (route, _) = entry(1, &mut world);
    let line = recorded(0, world, &route);
    let record: Value = serde_json::from_str(&line).unwrap();
    let score = record["decision"]["candidates"][0]["score"]
        .as_f64()
        .unwrap();
    let changes: [(&str, Value); 4] = [
        (
            "/decision/candidates/0/score",
            json!(f64::from_bits(score.to_bits() + 1)),
        ),
        ("/decision/seed/value", json!("00000000000000aa")),
        ("/decision/propensity", json!(0.123)),
        ("/decision/plan", json!(["t9"])),
    ];
    for (pointer, value) in changes {
        let mut altered = record.clone();
        *altered.pointer_mut(pointer).unwrap() = value;
        let output = replay_of(&altered.to_string(), &["-", "--json"]);
        let told = told(&output);
        assert_eq!(
            (code(&output), &told["different"]),
            (1, &json!(1)),
            "{pointer}"
        );
        let found = &told["first_different"][0]["decisions"][0]["differences"];
        assert!(!found.as_array().unwrap().is_empty(), "{pointer}: {told}");
    }
}

/// The command, with this for standard input.
fn replay_of(input: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("replay").args(args).env_remove("WAYPOST_URL");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn wrong_usage_exits_with_2_and_says_why() {
    for (args, words) in [
        (vec![], "<RECORDS>..."),
        (vec!["nowhere"], "nowhere: "),
        (vec!["."], "expected files that end in .ndjson"),
        (vec!["-", "--config", "nowhere"], "nowhere is not a folder"),
        (
            vec!["-", "--revisions", "nowhere"],
            "nowhere is not a folder",
        ),
        (vec!["-", "--since", "yesterday"], "2026-11-21T10:00:00Z"),
        (
            vec!["--id", "x", "--url", "http://example.com"],
            "expected an https URL",
        ),
        (vec!["--id", "x", "--config", "."], "cannot be used with"),
    ] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty");
        fs::create_dir_all(&dir).unwrap();
        let output = replay(&dir, &args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), 2, "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}
