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

/// A folder that holds a link to itself was read forty times over, and a pipe for ever.
#[cfg(unix)]
#[test]
fn links_lead_to_files_and_not_in_circles() {
    use std::fs;
    use std::os::unix::fs::symlink;

    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linked");
    let _ = fs::remove_dir_all(&dir);
    let routes = dir.join("routes");
    fs::create_dir_all(&routes).unwrap();
    let route = r#"{"targets":[{"id":"a","provider":"openai","model":"gpt-4o"}]}"#;
    fs::write(dir.join("elsewhere"), route).unwrap();
    symlink("../elsewhere", routes.join("linked.json")).unwrap();
    symlink(".", routes.join("circle")).unwrap();
    symlink("nowhere", routes.join("dangling.json")).unwrap();
    symlink("/dev/zero", routes.join("endless.json")).unwrap();
    fs::write(routes.join("._chat.json"), [0, 255]).unwrap();
    fs::create_dir(routes.join("folder.json")).unwrap();
    let told = check(&dir, &[]).stdout;
    let told = String::from_utf8_lossy(&told);
    assert_eq!(told, "1 files, 0 problems, 0 warnings\n");

    fs::write(routes.join("two\nlines.json"), route).unwrap();
    let output = check(&dir, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("(name): expected a path below `routes`"),
        "{told}"
    );
}
