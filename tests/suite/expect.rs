//! Compares what the code does with the file that says what it should do.
//!
//! A missing file is a failure, so that a fixture cannot be added without anyone reading its outcome. All
//! mismatches of a folder are told at once.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder beside `tests/suite.rs`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// The files of a folder whose names end in `suffix`, in order, each with its name before that.
pub fn inputs(folder: &Path, suffix: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((name.strip_suffix(suffix)?.to_owned(), path.clone()))
        })
        .collect();
    found.sort();
    found
}

/// What was wrong in one test. Panics when dropped, if anything was.
#[derive(Default)]
pub struct Report {
    problems: Vec<String>,
    compared: usize,
}

impl Report {
    /// Compares `actual` with a file, or rewrites the file if asked to.
    pub fn compare(&mut self, expected: &Path, actual: &[u8]) {
        self.compared += 1;
        let found = fs::read(expected).ok();
        if found.as_deref() == Some(actual) {
            return;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(expected, actual).unwrap();
            return;
        }
        let path = expected.display();
        self.problem(match found {
            Some(found) => format!("{path}\n{}", first_difference(&found, actual)),
            None => format!("{path} is missing; UPDATE_EXPECT=1 writes it"),
        });
    }

    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Records a problem unless both are the same.
    pub fn same(&mut self, what: &str, expected: &str, actual: &str) {
        self.compared += 1;
        if expected != actual {
            let difference = first_difference(expected.as_bytes(), actual.as_bytes());
            self.problem(format!("{what}\n{difference}"));
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n\n"));
        assert!(self.compared > 0, "nothing was compared");
    }
}

fn first_difference(expected: &[u8], actual: &[u8]) -> String {
    let expected = String::from_utf8_lossy(expected);
    let actual = String::from_utf8_lossy(actual);
    let mut lines = (1..).zip(expected.lines());
    let mut others = actual.lines();
    let mut out = String::new();
    loop {
        let (line, other) = (lines.next(), others.next());
        match (line, other) {
            (Some((_, line)), Some(other)) if line == other => {}
            (None, None) => {
                out.push_str("  they differ in line ends alone");
                return out;
            }
            (line, other) => {
                let number = line.map_or("the end".to_owned(), |(number, _)| number.to_string());
                let line = line.map_or("", |(_, line)| line);
                let other = other.unwrap_or("");
                let _ = write!(out, "  at line {number}\n  - {line}\n  + {other}");
                return out;
            }
        }
    }
}
