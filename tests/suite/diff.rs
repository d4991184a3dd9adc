//! Runs `waypost diff` on the folders of `tests/diff/`, as text and as JSON.
//!
//! A case is a folder with `old` and `new`, folders or files, and `records.ndjson` where recorded traffic is decided
//! again.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::expect::{Report, folder};

/// The command, run in the folder of a case.
fn diff(case: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("diff").args(args);
    command
        .current_dir(folder("diff").join(case))
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn differences_are_as_their_files_say() {
    let mut report = Report::default();
    let mut cases: Vec<_> = fs::read_dir(folder("diff"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("old").is_dir() || path.join("old.json").exists())
        .collect();
    cases.sort();
    for dir in cases {
        let case = dir.file_name().unwrap().to_str().unwrap();
        let mut args = if dir.join("old").is_dir() {
            vec!["old", "new"]
        } else {
            vec!["old.json", "new.json", "--providers", "providers.json"]
        };
        if dir.join("records.ndjson").exists() {
            args.extend(["--records", "records.ndjson"]);
        }
        let text = diff(case, &args);
        let err = String::from_utf8_lossy(&text.stderr);
        let out = String::from_utf8_lossy(&text.stdout);
        let told = format!("{out}{err}\nexit {}\n", code(&text));
        report.compare(&dir.join("expected.txt"), told.as_bytes());
        args.push("--json");
        let json = diff(case, &args);
        report.compare(&dir.join("expected.json"), &json.stdout);
        report.same(case, &code(&text).to_string(), &code(&json).to_string());
    }
}

#[test]
fn exit_code_tells_a_difference_only_when_asked() {
    let exit = |case: &str, flags: &[&str]| code(&diff(case, &[&["old", "new"], flags].concat()));
    assert_eq!(exit("split", &[]), 0);
    assert_eq!(exit("split", &["--exit-code"]), 1);
    assert_eq!(exit("same", &["--exit-code"]), 0);
    assert_eq!(exit("problems", &[]), 1);
}

#[test]
fn wrong_usage_exits_with_2_and_says_why() {
    for (args, words) in [
        (vec!["old", "nowhere"], "one of each"),
        (vec!["nowhere", "neither"], "nowhere: "),
        (
            vec!["old", "new", "--providers", "x"],
            "--providers is for two files",
        ),
        (vec!["old", "new", "--records", "none"], "none: "),
        (vec!["old"], "<NEW>"),
    ] {
        let output = diff("split", &args);
        assert_eq!(code(&output), 2, "{args:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(words), "{args:?}: {told}");
    }
}

#[test]
fn records_come_from_standard_input_as_well() {
    let dir = folder("diff").join("split");
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command
        .args(["diff", "old", "new", "--records", "-"])
        .current_dir(&dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let records = fs::read(dir.join("records.ndjson")).unwrap();
    child.stdin.take().unwrap().write_all(&records).unwrap();
    let output = child.wait_with_output().unwrap();
    let from_file = diff("split", &["old", "new", "--records", "records.ndjson"]);
    let told = String::from_utf8(output.stdout).unwrap();
    let from_file = String::from_utf8(from_file.stdout).unwrap();
    // Lines that could not be read are named by where they stood.
    assert_eq!(told.replace("standard input", "records.ndjson"), from_file);
}

#[test]
fn keys_and_pasted_secrets_are_never_repeated() {
    let output = diff("kinds", &["old", "new", "--json"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("key:"), "{told}");
    assert!(!told.contains("-secret"), "{told}");
}
