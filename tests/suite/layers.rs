//! The shape that `DESIGN.md` promises: modules in layers, and nothing impure outside the three that may be.

use std::fs;
use std::path::{Path, PathBuf};

use super::expect::Report;

/// Where clocks, chance and the network may be.
const IMPURE: [&str; 4] = ["edge", "cli", "ui", "main"];
const FORBIDDEN: [&str; 8] = [
    "SystemTime::now",
    "Instant::now",
    "rand::",
    "getrandom",
    "js_sys",
    "web_sys",
    "worker::",
    "std::net",
];

#[test]
fn modules_use_only_those_above_them() {
    let mut report = Report::default();
    let order = order();
    for (module, path) in sources() {
        let Some(place) = order.iter().position(|name| *name == module) else {
            continue;
        };
        for (number, used) in crate_paths(&fs::read_to_string(&path).unwrap()) {
            let found = order.iter().position(|name| *name == used);
            let is_above = found.is_some_and(|found| found <= place);
            let what = format!("{}:{number} names crate::{used}", path.display());
            report.same(&what, "above", if is_above { "above" } else { "below" });
        }
    }
}

#[test]
fn only_the_edge_knows_clocks_chance_and_the_network() {
    let mut report = Report::default();
    for (module, path) in sources() {
        if IMPURE.contains(&module.as_str()) {
            continue;
        }
        for (number, line) in code_lines(&fs::read_to_string(&path).unwrap()) {
            let found = FORBIDDEN.iter().find(|word| names(&line, word));
            let what = format!("{}:{number}", path.display());
            report.same(&what, "pure", found.unwrap_or(&"pure"));
        }
    }
}

/// The modules as `src/lib.rs` declares them.
fn order() -> Vec<String> {
    let lib = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    });
    let order: Vec<String> = names.collect();
    assert!(order.len() > 3, "src/lib.rs declares modules: {order:?}");
    order
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file with the module it belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut folders = vec![source_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((module_of(&path), path));
            }
        }
    }
    found.sort();
    found
}

fn module_of(path: &Path) -> String {
    let inner = path.strip_prefix(source_folder()).unwrap();
    let first = inner.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The module that each `crate::` path names, with its line.
fn crate_paths(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in code_lines(source) {
        for rest in line.split("crate::").skip(1) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let heads = match rest.strip_prefix('{') {
                Some(group) => group.split(',').map(str::trim_start).collect(),
                None => vec![rest],
            };
            for head in heads {
                let word: String = head.chars().take_while(|c| is_word(*c)).collect();
                if !word.is_empty() {
                    found.push((number, word));
                }
            }
        }
    }
    found
}

/// Lines without comments. Good enough for paths: no string of ours holds one.
fn code_lines(source: &str) -> Vec<(usize, String)> {
    let lines = (1..).zip(source.lines()).filter_map(|(number, line)| {
        let code = line.split("//").next().unwrap_or_default();
        (!code.trim().is_empty()).then(|| (number, code.to_owned()))
    });
    lines.collect()
}

/// Whether `line` has `word`, not as the end of a longer one.
fn names(line: &str, word: &str) -> bool {
    let mut befores = line.split(word).collect::<Vec<_>>();
    befores.pop();
    befores.iter().any(|before| {
        let last = before.chars().next_back();
        !last.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn the_check_itself_sees_what_it_must() {
    let source = "use crate::chat::Event; // crate::edge\nuse crate::{sse, units::Tokens};\n";
    let seen: Vec<String> = crate_paths(source)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(seen, ["chat", "sse", "units"]);
    assert!(names(
        "let now = std::time::Instant::now();",
        "Instant::now"
    ));
    assert!(!names("operand::new()", "rand::"));
}
