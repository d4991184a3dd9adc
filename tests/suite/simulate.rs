//! Runs `waypost simulate` on the scenarios of `example/scenarios/`, made small, and holds them to laws.
//!
//! Figures are no fixtures: they follow from every constant of `health` and `decide`, and `docs/scale.md` tells them. What
//! is fixed is the answer to a scenario that is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::expect::{Report, folder, inputs};

/// A request a second of a scenario's hundreds. Times stay as they are.
const SMALL: &str = "scale=0.002";
/// One place of two isolates in each region: with a request a second, what they know of each other is fresh.
const ONE_PLACE: [&str; 10] = [
    "--set",
    "regions.EU.pops=1",
    "--set",
    "regions.NA.pops=1",
    "--set",
    "regions.AS.pops=1",
    "--set",
    "isolates_per_pop=2",
    "--set",
    "scale=0.01",
];

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("example/scenarios")
}

fn simulate(file: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("simulate").arg(file).args(args);
    command.output().unwrap()
}

fn outcome(name: &str, args: &[&str]) -> Value {
    let file = scenarios().join(format!("{name}.json"));
    let output = simulate(&file, &[&["--json"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value, path: &str) -> f64 {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {path}:\n{value:#}"))
}

#[test]
fn every_request_of_every_scenario_ends_once() {
    let mut report = Report::default();
    for (name, _) in inputs(&scenarios(), ".json") {
        let scale = match name.as_str() {
            "300-places" => "scale=0.0005",
            "many-targets" => "scale=0.001",
            "quiet-places" => "scale=0.02",
            _ => SMALL,
        };
        let outcome = outcome(&name, &["--set", scale]);
        let counts = |path: &str| number(&outcome, path).to_string();
        report.same(&name, &counts("/requests"), &counts("/ended"));
        report.same(&name, &counts("/requests"), &counts("/whole/requests"));
        assert!(number(&outcome, "/requests") > 300.0, "{name}");
    }
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_gives_others() {
    let file = scenarios().join("flapping.json");
    let run = |seed: &str| {
        let args = ["--json", "--set", SMALL, "--seed", seed];
        simulate(&file, &args).stdout
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

#[test]
fn dead_target_is_left_within_seconds_and_taken_back() {
    let args = [&ONE_PLACE[..], &["--set", "seconds=400"]].concat();
    let outcome = outcome("provider-down", &args);
    assert!(number(&outcome, "/reactions/0/traffic_s") <= 20.0);
    assert!(number(&outcome, "/reactions/0/back_s") <= 30.0);
    let completed = number(&outcome, "/phases/1/completed");
    assert!(completed > 0.999, "failover answers all: {completed}");
    let share = number(&outcome, "/phases/1/targets/0/share");
    assert!(share < 0.1, "of a dead target: {share}");
}

#[test]
fn brown_out_of_one_region_ejects_nothing_elsewhere() {
    let room = "capacity.alpha.concurrent_max=1e6";
    let args = [&ONE_PLACE[..], &["--set", "seconds=360", "--set", room]].concat();
    let outcome = outcome("regional-brown-out", &args);
    let reaction = |name: &str| outcome.pointer(&format!("/reactions/0/{name}"));
    assert_ne!(reaction("region_s"), Some(&Value::Null));
    assert_eq!(reaction("world_s"), Some(&Value::Null));
}

/// Ten isolates of one place, each asked several times a second, and a target that is down for three minutes: the crowd
/// looks as often as one isolate alone would, whose first rest is 2 seconds.
#[test]
fn crowd_of_isolates_probes_one_at_a_time() {
    let args = [
        &ONE_PLACE[..6],
        &["--set", "isolates_per_pop=10", "--set", "scale=0.05"],
        &["--set", "faults[0].at_s=20", "--set", "seconds=195"],
    ]
    .concat();
    let outcome = outcome("provider-down", &args);
    let probes = number(&outcome, "/providers/0/probes");
    assert!(probes >= 12.0, "of three places in three minutes: {probes}");
    let gap = number(&outcome, "/providers/0/probe_gap_s_min");
    assert!(gap >= 2.0, "seconds between two probes of a place: {gap}");
    let crowded = outcome.pointer("/providers/0/probes_crowded");
    assert_eq!(crowded, Some(&Value::from(0)));
}

#[test]
fn sweep_tells_a_line_for_each_value() {
    let file = scenarios().join("provider-down.json");
    let args = ["--set", SMALL, "--sweep", "route.temperature=0,0.5"];
    let output = simulate(&file, &args);
    let told = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let expected = ["value", "route.temperature=0", "route.temperature=0.5"];
    assert_eq!(names, expected);
}

#[test]
fn plot_is_an_svg_of_three_panels() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulated.svg");
    let args = ["--set", SMALL, "--plot", file.to_str().unwrap()];
    let output = simulate(&scenarios().join("provider-down.json"), &args);
    assert_eq!(output.status.code(), Some(0));
    let drawn = fs::read_to_string(file).unwrap();
    for title in [
        "first calls, % of all",
        "time to the first token, ms",
        "a second",
    ] {
        assert!(drawn.contains(title), "{title}");
    }
}

#[test]
fn wrong_scenario_is_told_every_problem_at_once() {
    let mut report = Report::default();
    let folder = folder("simulate");
    for (name, file) in inputs(&folder, ".scenario.json") {
        let output = simulate(&file, &[]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let told = String::from_utf8(output.stdout).unwrap();
        let told = told.replace(&format!("{}: ", file.display()), "");
        report.compare(&folder.join(format!("{name}.expected")), told.as_bytes());
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    let file = scenarios().join("provider-down.json");
    for args in [
        ["--set", "seconds"],
        ["--set", "regions.XX.pops=3"],
        [
            "--sweep",
            "seed=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65",
        ],
    ] {
        assert_eq!(simulate(&file, &args).status.code(), Some(2), "{args:?}");
    }
    let missing = simulate(&scenarios().join("nothing.json"), &[]);
    assert_eq!(missing.status.code(), Some(2));
}
