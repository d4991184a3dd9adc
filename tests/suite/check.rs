//! Runs `waypost check` as a user would, on the folders of `tests/check/` and on `example/`.

use std::path::Path;
use std::process::{Command, Output};

use super::expect::{Report, folder};

fn check(dir: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("check").arg(dir).args(flags).output().unwrap()
}

#[test]
fn folders_are_told_every_problem_at_once() {
    let mut report = Report::default();
    for name in ["broken", "circle"] {
        let dir = folder("check").join(name);
        let output = check(&dir, &[]);
        assert_eq!(output.status.code(), Some(1));
        report.compare(&dir.with_extension("expected"), &output.stdout);
        let output = check(&dir, &["--json"]);
        assert_eq!(output.status.code(), Some(1));
        report.compare(&dir.with_extension("expected.json"), &output.stdout);
    }
}

#[test]
fn file_may_name_its_schema() {
    let output = check(&folder("check").join("good"), &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "3 files, 0 problems, 0 warnings\n");
}

#[test]
fn exit_codes_tell_good_from_wrong_usage() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
    assert_eq!(check(&example, &[]).status.code(), Some(0));
    let missing = check(&folder("check").join("nowhere"), &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("is not a folder"));
    assert_eq!(check(&example, &["--jsno"]).status.code(), Some(2));
    let empty = check(&folder("check").join("broken/routes/acme"), &[]);
    assert_eq!(empty.status.code(), Some(1));
}

#[test]
fn key_itself_is_never_repeated() {
    let output = check(&folder("check").join("broken"), &["--json"]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("secret"));
}
